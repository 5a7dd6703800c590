"""Predictions for people and for other programs: COCO results, a COCO file of what is sure enough, and pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from datadistill.detections import Detections
from datadistill.files import write_json
from datadistill.label.thresholds import Thresholds, fixed
from datadistill.progress import progress
from datadistill.tasks.task import Task

RESULTS, PREDICTIONS, PICTURES = "results.json", "predictions.json", "pictures"


def write_predictions(
    folder: Path,
    task: Task,
    categories: Sequence[Mapping[str, Any]],
    split: Mapping[str, Any],
    detections: Detections,
    *,
    model: str,
    score: float,
    keypoint_score: float,
) -> dict[str, Any]:
    """Write `results.json` and `predictions.json`, and return what the latter holds.

    - `results.json`: every detection as a COCO result, for pycocotools.
    - `predictions.json`: a COCO file: the images (ids and file names), the categories, and as annotations the detections of at
      least `score`, with their boxes. Keypoints below `keypoint_score` are not visible there (v = 0).
    """
    scored = [] if detections.keypoints is None else detections.keypoints[..., 2]
    images = len(split["images"])
    whole = fixed(detections.scores, score, images)
    by_category = {category["id"]: whole for category in categories}
    points = None if detections.keypoints is None else fixed(scored, keypoint_score, len(detections))
    thresholds = Thresholds(False, by_category, whole, by_category, points, {})
    predictions = {
        "info": {
            "description": "Predictions of a model; not annotated by people.",
            "task": task.name,
            "model": model,
            "score_threshold": score,
        },
        "licenses": [],
        "images": list(split["images"]),
        "annotations": task.annotations(detections, thresholds, source=model),
        "categories": [dict(category) for category in categories],
    }
    write_json(folder / RESULTS, task.results(detections))
    write_json(folder / PREDICTIONS, predictions)
    return predictions


def write_pictures(folder: Path, task: Task, predictions: Mapping[str, Any], count: int | None) -> list[Path]:
    """Draw `count` images of `predictions.json` (None: all), spread evenly over their order, as JPEGs in `pictures/`."""
    from datadistill.annotations import by_image
    from datadistill.report.annotated_image import draw_image

    images = evenly(predictions["images"], count)
    annotations = by_image(predictions["annotations"])
    categories = {category["id"]: category for category in predictions["categories"]}
    paths = [folder / PICTURES / name for name in picture_names(images)]
    for image, path in progress(zip(images, paths, strict=True), total=len(images), label="draw"):
        draw_image(image["file_name"], annotations.get(image["id"], []), categories, task, path)
    return paths


def evenly(items: Sequence[Any], count: int | None) -> list[Any]:
    """`count` of the items, in their order, the first and the last among them; all where there are no more."""
    if count is None or count >= len(items):
        return list(items)
    return [items[round(i * (len(items) - 1) / max(1, count - 1))] for i in range(count)]


def picture_names(images: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A file name for the picture of each image: its own, after that of its video; with its id where that names two."""
    stems = [
        "-".join(PurePosixPath(name).stem for name in (image.get("video"), image["file_name"]) if name)
        for image in images
    ]
    times = Counter(stems)
    for image, stem in zip(images, stems, strict=True):
        yield f"{stem}.jpg" if times[stem] == 1 else f"{stem}-{image['id']}.jpg"
