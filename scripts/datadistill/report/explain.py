"""What the ensemble does to one person: the keypoints of each transform beside those of their average (Figure 2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from datadistill.detections import Detections
from datadistill.errors import UserError
from datadistill.label.refine import refine
from datadistill.specs import RefinementSpec
from datadistill.tasks.task import Task, get_task

if TYPE_CHECKING:
    import torch
    from detectron2.config import CfgNode


def explain_ensemble(
    model: torch.nn.Module,
    cfg: CfgNode,
    categories: Sequence[Mapping[str, Any]],
    split: Mapping[str, Any],
    labels: Mapping[str, Any],
    spec: RefinementSpec,
    *,
    truth: Mapping[str, Any] | None = None,
    candidates: int = 40,
) -> dict[str, Any]:
    """One person, chosen by `most_telling` among the `candidates` best-scored large ones of a label set.

    Returns `image` (path), `box` (xyxy), `score`, `transforms` (`label`, `points`), `ensemble`, `truth` (or None),
    `task` (its name, as the label set has it) and `category` (COCO's entry); points are (K, 3): x, y in continuous coordinates of the image, and score (truth: visibility).
    """
    task = get_task(labels["info"]["task"])
    people = candidate_people(labels["annotations"], candidates)
    if not people:
        raise UserError("the label set has no instance to show; lower its thresholds")
    detections = _as_detections(people)
    each = [
        refine(
            model, cfg, categories, split, detections, dataclasses.replace(spec, transforms=(transform,), gate=None)
        ).keypoints
        for transform in spec.transforms
    ]
    ensemble = refine(model, cfg, categories, split, detections, dataclasses.replace(spec, gate=None)).keypoints
    assert ensemble is not None
    stacked = np.stack([points for points in each if points is not None])
    chosen = most_telling(stacked[..., :2], detections.boxes)
    box = detections.boxes[chosen]
    image_id = int(detections.ids[chosen])
    record = next(image for image in split["images"] if image["id"] == image_id)
    return {
        "image": record["file_name"],
        "box": box.tolist(),
        "score": float(detections.scores[chosen]),
        "transforms": [
            {"label": transform.name, "points": points[chosen].tolist()}
            for transform, points in zip(spec.transforms, stacked, strict=True)
        ],
        "ensemble": ensemble[chosen].tolist(),
        "truth": _truth(truth, task, image_id, box) if truth else None,
        "task": task.name,
        "category": next(c for c in categories if c["id"] == int(detections.categories[chosen])),
    }


# Above this area (square pixels) a person is large enough to look at; score alone decides.
_LARGE = 96.0**2


def candidate_people(annotations: Sequence[Mapping[str, Any]], count: int) -> list[Mapping[str, Any]]:
    """Up to `count` annotations by score and size, the best first; none is smaller than the median, or in a small label set
    there would be people of a few pixels among them."""
    median = float(np.median([a["area"] for a in annotations])) if annotations else 0.0
    large = [a for a in annotations if a["area"] >= median]
    return sorted(large, key=lambda a: (-a["score"] * min(a["area"], _LARGE), a["id"]))[:count]


def _as_detections(people: Sequence[Mapping[str, Any]]) -> Detections:
    order = sorted(people, key=lambda a: (a["image_id"], -a["score"]))
    images = sorted({a["image_id"] for a in order})
    corners = np.array([[x, y, x + w, y + h] for x, y, w, h in (a["bbox"] for a in order)], np.float32)
    return Detections(
        np.array(images, np.int64),
        np.array([images.index(a["image_id"]) for a in order], np.int64),
        corners,
        np.array([a["score"] for a in order], np.float32),
        np.array([a["category_id"] for a in order], np.int64),
    )


def most_telling(points: np.ndarray, boxes: np.ndarray) -> int:
    """Index of the person of whom the transforms agree on the whole, and differ most in a few keypoints.

    `points` is (transforms, people, K, 2), `boxes` (people, 4). Spread is the mean distance from the transforms' mean, in units of the
    box's diagonal. Of the half of the people with the smaller median spread, the one with the largest 90th percentile:
    where most keypoints are disputed, the box holds two people or none, and an average says nothing.
    """
    diagonal = np.linalg.norm(boxes[:, 2:] - boxes[:, :2], axis=1)
    spread = np.linalg.norm(points - points.mean(0), axis=-1).mean(0) / diagonal[:, None]
    median, high = np.median(spread, axis=1), np.percentile(spread, 90, axis=1)
    return int(np.argmax(np.where(median <= np.median(median), high, -1.0)))


def _truth(truth: Mapping[str, Any], task: Task, image_id: int, box: np.ndarray) -> list[list[float]] | None:
    """Keypoints of the true person whose box overlaps most (IoU of at least 0.5), in continuous coordinates."""
    best, chosen = 0.5, None
    for annotation in truth["annotations"]:
        if annotation["image_id"] != image_id or not task.has_target(annotation):
            continue
        x, y, w, h = annotation["bbox"]
        overlap = np.clip(np.minimum(box[2:], [x + w, y + h]) - np.maximum(box[:2], [x, y]), 0, None).prod()
        union = (box[2:] - box[:2]).prod() + w * h - overlap
        if overlap / union >= best:
            best, chosen = overlap / union, annotation
    if chosen is None:
        return None
    return task.points(chosen).tolist()
