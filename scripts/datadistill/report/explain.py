"""What the ensemble does to one person: the keypoints of each transform beside those of their average (Figure 2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from datadistill.detections import Detections
from datadistill.errors import UserError
from datadistill.label.refine import refine
from datadistill.report.right_keypoints import right_shares
from datadistill.specs import RefinementSpec
from datadistill.tasks.task import RefiningTask, get_refining_task

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
    """One person among the `candidates` best-scored large ones of a label set: where the truth is known, one whom the ensemble
    gets right and single transforms don't (`most_rescued`), else one of whom they differ (`most_telling`).

    Returns `image` (path), `box` (xyxy), `score`, `transforms` (`label`, `points`), `ensemble`, `truth` (or None),
    `task` (its name, as the label set has it) and `category` (COCO's entry); points are (K, 3): x, y in continuous coordinates of the image, and score (truth: visibility).
    """
    task = get_refining_task(labels["info"]["task"])
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
    known = None if truth is None else true_people(truth, task, detections)
    right = (
        None
        if known is None
        else right_shares(np.concatenate([ensemble[None], stacked])[..., :2], known, detections.boxes)
    )
    chosen = None if right is None else most_rescued(right[0], right[1:])
    if chosen is None:
        chosen = most_telling(stacked[..., :2], detections.boxes)
    person = None if known is None else known[chosen]
    record = next(image for image in split["images"] if image["id"] == int(detections.ids[chosen]))
    return {
        "image": record["file_name"],
        "box": detections.boxes[chosen].tolist(),
        "score": float(detections.scores[chosen]),
        "transforms": [
            {"label": transform.name, "points": points[chosen].tolist()}
            for transform, points in zip(spec.transforms, stacked, strict=True)
        ],
        "ensemble": ensemble[chosen].tolist(),
        "truth": None if person is None else person.tolist(),
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


# The share of a person's keypoints that must be right for the person to be.
_RIGHT_SHARE = 0.9


def most_rescued(ensemble: np.ndarray, transforms: np.ndarray) -> int | None:
    """Index of the person of whom the ensemble has the most right that single transforms have wrong.

    `ensemble` is (people,) and `transforms` (transforms, people), from `right_shares`. Only people of whom the ensemble has 90 % right
    are looked at, or as many as it has of anyone; None where no person's truth is known.
    """
    if np.isnan(ensemble).all():
        return None
    good = ensemble >= min(_RIGHT_SHARE, float(np.nanmax(ensemble)))
    return int(np.argmax(np.where(good, ensemble - transforms.mean(0), -np.inf)))


def true_people(truth: Mapping[str, Any], task: RefiningTask, detections: Detections) -> list[np.ndarray | None]:
    """For each detection the keypoints, (K, 3) in continuous coordinates, of the true person whose box overlaps most (IoU of at
    least 0.5), or None."""
    of_image: dict[int, list[Mapping[str, Any]]] = {}
    for annotation in truth["annotations"]:
        if task.has_target(annotation):
            of_image.setdefault(annotation["image_id"], []).append(annotation)
    return [
        _nearest_person(of_image.get(int(image_id), []), task, box)
        for image_id, box in zip(detections.ids, detections.boxes, strict=True)
    ]


def _nearest_person(people: Sequence[Mapping[str, Any]], task: RefiningTask, box: np.ndarray) -> np.ndarray | None:
    best, chosen = 0.5, None
    for person in people:
        x, y, w, h = person["bbox"]
        overlap = np.clip(np.minimum(box[2:], [x + w, y + h]) - np.maximum(box[:2], [x, y]), 0, None).prod()
        union = (box[2:] - box[:2]).prod() + w * h - overlap
        if overlap / union >= best:
            best, chosen = overlap / union, person
    return None if chosen is None else task.points(chosen)
