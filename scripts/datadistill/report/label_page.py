"""A page of generated labels: one HTML file that opens anywhere, with its images inside.

Sliders move the thresholds, and counts (with precision and recall, where the truth is known) follow them: they are of
the whole split, whichever images are shown. Light: numpy and Pillow.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from datadistill.errors import UserError
from datadistill.progress import progress

if TYPE_CHECKING:
    from datadistill.detections import Detections
    from datadistill.label.thresholds import Thresholds
    from datadistill.tasks.task import Task

TEMPLATE = Path(__file__).with_name("label_page.html")
SLIDER_STEPS = 200
"""The slider's steps between 0 and 1, as in the template; counts are exact at each of them."""
JPEG_QUALITY = 82


def label_page(
    task: Task,
    split: Mapping[str, Any],
    categories: Sequence[Mapping[str, Any]],
    detections: Detections,
    thresholds: Thresholds,
    *,
    title: str,
    note: str,
    truth: Mapping[str, Any] | None = None,
    images: int = 100,
    side: int = 480,
) -> str:
    """The page as HTML.

    - `detections`: all there are of `split` (COCO JSON), also those below `thresholds`; of keypoints, those that passed the gate.
    - `truth`: the split with its hidden annotations, where they are known.
    - `images`: how many are shown, those with the least certain labels; `side`: their longest side, pixels.

    Raises `UserError` for an image that can't be read.
    """
    if truth is not None:
        # It may have images that were left out of the split: their instances are none that labels miss.
        images_of_split = {image["id"] for image in split["images"]}
        truth = {**truth, "annotations": [a for a in truth["annotations"] if a["image_id"] in images_of_split]}
    outcome = _outcomes(task, split, categories, detections, thresholds, truth)
    shown = least_certain(detections, thresholds, images)
    records = {image["id"]: image for image in split["images"]}
    pictures = {
        identity: thumbnail(records[identity]["file_name"], side)
        for identity in progress(shown, total=len(shown), unit="image", label="pictures of the page")
    }
    data = {
        "title": title,
        "note": note,
        "truth": truth is not None,
        "total_images": len(detections.image_ids),
        "categories": [
            _category(task, category, detections, thresholds, outcome, truth)
            for category in categories
            if category["id"] in thresholds.categories
        ],
        "images": [_image(records[identity], pictures[identity], truth) for identity in shown],
        "labels": _labels(detections, thresholds, outcome, set(shown)),
    }
    # In JSON a `<` stands only in text, where its escape means the same; as it is, it could end the script element.
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return TEMPLATE.read_text(encoding="utf-8").replace("/*DATA*/", text)


def least_certain(detections: Detections, thresholds: Thresholds, count: int) -> list[int]:
    """Ids of up to `count` images, those with the most uncertain detection first; of equal ones the smaller id.

    A detection is as uncertain as its score is near to its threshold (1 less the distance), or, where it is kept, as its transforms
    disagree about it, if that is more. The page orders images by the same rule.
    """
    limits = np.full(len(detections), 1.0)
    for category, threshold in thresholds.categories.items():
        if threshold.threshold is not None:
            limits[detections.categories == category] = threshold.threshold
    uncertain = 1 - np.abs(detections.scores - limits)
    kept = thresholds.keep(detections)
    uncertain[kept] = np.maximum(uncertain, _disagreement(detections, thresholds))[kept]
    most = np.full(len(detections.image_ids), -1.0)
    np.maximum.at(most, detections.image_index, uncertain)
    order = np.lexsort((detections.image_ids, -most))
    return [int(detections.image_ids[place]) for place in order[:count]]


def thumbnail(path: str, side: int) -> str:
    """An image as a data address: turned as its EXIF orientation says, its longest side at most `side` pixels."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            image.draft("RGB", (side, side))
            small = ImageOps.exif_transpose(image).convert("RGB")
            small.thumbnail((side, side))
    except OSError as error:
        raise UserError(f"{path}: can't be read as an image ({error}); restore it, or make the split again") from None
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def _disagreement(detections: Detections, thresholds: Thresholds) -> np.ndarray:
    """(N,) that of each label as label files have it; 0 where it isn't known."""
    posed = detections.keypoints is not None and thresholds.keypoints is not None
    found = detections.mean_disagreement(thresholds.visible(detections) if posed else None)
    return np.zeros(len(detections)) if found is None else np.nan_to_num(found.astype(float))


_WRONG, _RIGHT, _IGNORED, _UNKNOWN = 0, 1, 2, 3


def _outcomes(
    task: Task,
    split: Mapping[str, Any],
    categories: Sequence[Mapping[str, Any]],
    detections: Detections,
    thresholds: Thresholds,
    truth: Mapping[str, Any] | None,
) -> np.ndarray:
    """(N,) what each detection comes to where the truth is known. It doesn't depend on the thresholds of boxes: labels are
    matched by falling score, and a lower one takes nothing from a higher one."""
    outcome = np.full(len(detections), _UNKNOWN)
    if truth is None:
        return outcome
    from datadistill.evaluate.label_quality import match_labels

    everything = {key: dataclasses.replace(value, threshold=-np.inf) for key, value in thresholds.categories.items()}
    open_to_all = dataclasses.replace(thresholds, categories=everything)
    rows = np.flatnonzero(open_to_all.keep(detections))
    annotations = task.annotations(detections, open_to_all, source="")
    labels = {"images": split["images"], "annotations": annotations, "categories": list(categories)}
    for match in match_labels(labels, truth, task.similarity()):
        row = rows[match.label["id"] - 1]
        outcome[row] = _IGNORED if match.ignored else _WRONG if match.truth is None else _RIGHT
    return outcome


def _category(
    task: Task,
    category: Mapping[str, Any],
    detections: Detections,
    thresholds: Thresholds,
    outcome: np.ndarray,
    truth: Mapping[str, Any] | None,
) -> dict[str, Any]:
    own = thresholds.categories[category["id"]].threshold
    of_category = detections.categories == category["id"]
    scores, result = detections.scores[of_category].astype(float), outcome[of_category]
    steps = {round(step / SLIDER_STEPS, 6) for step in range(SLIDER_STEPS + 1)} | ({own} if own is not None else set())
    grid = np.array(sorted(steps, reverse=True))

    def reaching(values: np.ndarray) -> list[int]:
        return (len(values) - np.searchsorted(np.sort(values), grid, side="left")).tolist()

    true = [a for a in truth["annotations"] if a["category_id"] == category["id"]] if truth else []
    return {
        "id": category["id"],
        "name": category["name"],
        "threshold": own,
        # Of keypoints, boxes below the gate were never refined: counts say nothing there.
        "floor": float(scores.min()) if len(scores) else None,
        "skeleton": [[a - 1, b - 1] for a, b in category.get("skeleton") or ()],
        "curve": {
            "score": grid.tolist(),
            "kept": reaching(scores),
            "right": reaching(scores[result == _RIGHT]),
            "ignored": reaching(scores[result == _IGNORED]),
        },
        "truth": sum(1 for a in true if task.similarity().counts(a)),
    }


def _image(record: Mapping[str, Any], source: str, truth: Mapping[str, Any] | None) -> dict[str, Any]:
    image = {
        "id": record["id"],
        "name": Path(record["file_name"]).name,
        "width": record["width"],
        "height": record["height"],
        "source": source,
    }
    if truth is not None:
        image["truth"] = [a["bbox"] for a in truth["annotations"] if a["image_id"] == record["id"]]
    return image


def _labels(
    detections: Detections, thresholds: Thresholds, outcome: np.ndarray, shown: set[int]
) -> list[dict[str, Any]]:
    boxes = detections.boxes.astype(float)
    boxes[:, 2:] -= boxes[:, :2]
    visible = None if detections.keypoints is None else thresholds.visible(detections)
    disagreement = _disagreement(detections, thresholds)
    rows = []
    for row in np.flatnonzero(np.isin(detections.ids, list(shown))):
        label: dict[str, Any] = {
            "image": int(detections.ids[row]),
            "category": int(detections.categories[row]),
            "score": float(detections.scores[row]),
            "disagreement": round(float(disagreement[row]), 4),
            "box": boxes[row].round(1).tolist(),
        }
        if outcome[row] != _UNKNOWN:
            label["right"] = int(outcome[row])
        if visible is not None:
            label["keypoints"] = [
                point.round(1).tolist() if seen else None
                for point, seen in zip(detections.keypoints[row, :, :2].astype(float), visible[row], strict=True)
            ]
        rows.append(label)
    return rows
