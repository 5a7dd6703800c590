"""COCO's object keypoint similarity (OKS), and the quality of keypoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from datadistill.tasks.similarity import MATCH_AT
from datadistill.tasks.task import ratio

if TYPE_CHECKING:
    from datadistill.evaluate.label_quality import Match

FallOffs = Callable[[Mapping[str, Any]], np.ndarray]
"""From a category to the fall-off (sigma) of each of its keypoints."""


@dataclass(frozen=True)
class KeypointSimilarity:
    """OKS of labels to true instances. Labels without a visible keypoint are left out; a keypoint that a label lacks has
    similarity 0; instances without a labelled keypoint don't count."""

    fall_offs: FallOffs
    name: str = "poses"
    phrase: str = "an OKS of at least 0.5"

    def judged(self, label: Mapping[str, Any]) -> bool:
        """With a visible keypoint."""
        return bool(visible(label).any())

    def counts(self, instance: Mapping[str, Any]) -> bool:
        """No crowd, and with a labelled keypoint."""
        return _labelled(instance)

    def matrix(
        self,
        labels: Sequence[Mapping[str, Any]],
        instances: Sequence[Mapping[str, Any]],
        category: Mapping[str, Any] | None,
    ) -> np.ndarray:
        if category is None or not category.get("keypoints"):
            return np.zeros((len(labels), len(instances)))
        sigmas = self.fall_offs(category)
        values = [[keypoint_similarity(a, b, sigmas) for b in instances] for a in labels]
        return np.array(values).reshape(len(labels), len(instances))


def _labelled(instance: Mapping[str, Any]) -> bool:
    return not instance.get("iscrowd", 0) and bool(visible(instance).any())


def visible(annotation: Mapping[str, Any]) -> np.ndarray:
    """(K,) mask of the keypoints that an annotation labels."""
    return np.asarray((annotation.get("keypoints") or ())[2::3]) > 0


def keypoint_similarity(label: Mapping[str, Any], instance: Mapping[str, Any], sigmas: np.ndarray) -> float:
    """Object keypoint similarity of a label to a true person, as COCO defines it, over the keypoints labelled in the
    truth.

    A keypoint that the label lacks (v = 0) has similarity 0. For a person without labelled keypoints it is the mean,
    over the label's keypoints, of their similarity to the person's box widened by its own size on each side, as COCO
    does.
    """
    theirs, ours = _points(label), _points(instance)
    found, known = theirs[:, 2] > 0, ours[:, 2] > 0
    if known.any():
        offsets = theirs[:, :2] - ours[:, :2]
        considered = known
    else:
        left, top, width, height = instance["bbox"]
        low, high = np.array([left - width, top - height]), np.array([left + 2 * width, top + 2 * height])
        offsets = np.maximum(0, low - theirs[:, :2]) + np.maximum(0, theirs[:, :2] - high)
        considered = found
    similarity = np.where(found, _falloff((offsets**2).sum(axis=1), instance["area"], sigmas), 0.0)
    return float(similarity[considered].mean()) if considered.any() else 0.0


def _falloff(squared_distances: np.ndarray, area: float, sigmas: np.ndarray) -> np.ndarray:
    return np.exp(-squared_distances / (2 * (area + np.spacing(1)) * (2 * sigmas) ** 2))


def _points(annotation: Mapping[str, Any]) -> np.ndarray:
    return np.asarray(annotation["keypoints"], float).reshape(-1, 3)


def keypoint_report(matches: Sequence[Match], truth: Mapping[str, Any], fall_offs: FallOffs) -> dict[str, Any]:
    """How well generated keypoints lie, over `matches` of boxes. JSON values.

    A generated keypoint is correct where its own similarity to the true one is >= 0.5. `accuracy` = correct / compared
    (those whose true keypoint is labelled); `precision` = correct / generated (also those on wrong boxes and those that
    the truth has not); `recall` = correct / true; `mean_error`: distance over the square root of the true box's area,
    averaged over those compared; `by_type` has accuracy, mean_error and compared.
    """
    sigmas = {c["id"]: fall_offs(c) for c in truth["categories"] if c.get("keypoints")}
    category = next(category for category in truth["categories"] if category["id"] in sigmas)
    names = category["keypoints"]
    generated, compared, correct = (np.zeros(len(names), int) for _ in range(3))
    errors = np.zeros(len(names))
    unlabelled = 0
    for match in matches:
        if match.ignored or match.label["category_id"] not in sigmas:
            continue
        shown = visible(match.label)
        generated += shown
        if match.truth is None:
            continue
        label, instance = _points(match.label), _points(match.truth)
        both = shown & (instance[:, 2] > 0)
        unlabelled += int((shown & ~both).sum())
        squared = ((label[:, :2] - instance[:, :2]) ** 2).sum(axis=1)
        near = _falloff(squared, match.truth["area"], sigmas[match.label["category_id"]]) >= MATCH_AT
        compared += both
        correct += both & near
        width, height = match.truth["bbox"][2:]
        errors += np.where(both, np.sqrt(squared / max(width * height, np.spacing(1))), 0.0)
    people = [annotation for annotation in truth["annotations"] if _labelled(annotation)]
    total = sum(int(visible(annotation).sum()) for annotation in people)
    return {
        "generated": int(generated.sum()),
        "compared": int(compared.sum()),
        "correct": int(correct.sum()),
        "not_in_truth": unlabelled,
        "truth": total,
        "accuracy": ratio(int(correct.sum()), int(compared.sum())),
        "precision": ratio(int(correct.sum()), int(generated.sum())),
        "recall": ratio(int(correct.sum()), total),
        "mean_error": ratio(float(errors.sum()), int(compared.sum())),
        "by_type": [
            {
                "name": name,
                "compared": int(compared[i]),
                "accuracy": ratio(int(correct[i]), int(compared[i])),
                "mean_error": ratio(float(errors[i]), int(compared[i])),
            }
            for i, name in enumerate(names)
        ],
    }
