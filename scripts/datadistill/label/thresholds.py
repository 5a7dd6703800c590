"""Score thresholds that make generated labels as frequent as true ones (sections 4 and 6.1). Pure numpy.

- Instances: generated instances per unlabelled image equal labelled instances per labelled image. Both denominators
  are all images of the split.
- Objects: the same for each category.
- Keypoints: one threshold for all types, at which keypoints per generated instance equal keypoints per labelled
  instance.

A detection is kept when its score is at least the threshold, so detections of equal score are kept or dropped
together: the count reached is the largest reachable one that doesn't exceed the target.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from datadistill.detections import Detections
from datadistill.errors import UserError
from datadistill.specs import LEAST_MARGIN, GateSpec, LabelSetSpec

if TYPE_CHECKING:
    from datadistill.tasks.task import Task

COUNT_INSTANCES = ("with_keypoints", "all")
CURVE_POINTS = 512

MATCHED, ALL_KEPT, NONE_KEPT, UNLABELLED, FIXED = "matched", "all kept", "none kept", "no labelled instances", "fixed"


@dataclass(frozen=True)
class Threshold:
    """One threshold and what it comes to.

    - `threshold`: what scores at least this is kept; `None` keeps nothing.
    - `target`, `achieved`: the average asked for and reached (instances per image, or keypoints per instance);
      `target` is `None` where nothing is to be matched (`model.py predict`).
    - `kept` of `available`: counts.
    - `outcome`: "matched"; "all kept" (fewer available than the target asks for); "none kept" (the group of highest,
      equal scores alone exceeds the target, or nothing is available); "no labelled instances"; "fixed" (by the
      config).
    """

    threshold: float | None
    target: float | None
    achieved: float
    kept: int
    available: int
    outcome: str

    def passes(self, scores: np.ndarray) -> np.ndarray:
        """Boolean mask of `scores` (any shape) that are kept."""
        return np.zeros(scores.shape, bool) if self.threshold is None else scores >= np.float32(self.threshold)


def match(scores: np.ndarray, target: float, denominator: int) -> Threshold:
    """The threshold that keeps the largest reachable count not above `target * denominator`. `scores` in any order."""
    falling = np.sort(scores.ravel())[::-1]
    available = len(falling)
    # The target is a ratio of counts: what rounding takes away from it must not cost an instance.
    limit = math.floor(target * denominator * (1 + 1e-12) + 1e-9)
    if available <= limit:
        threshold, kept, outcome = (float(falling[-1]), available, ALL_KEPT) if available else (None, 0, NONE_KEPT)
        if available == limit and available:
            outcome = MATCHED
    else:
        # Counts are reachable only at the end of a group of equal scores.
        kept = limit
        while kept and falling[kept - 1] == falling[kept]:
            kept = int(np.searchsorted(-falling, -falling[kept], side="left"))
        threshold, outcome = (float(falling[kept - 1]), MATCHED) if kept else (None, NONE_KEPT)
    return Threshold(threshold, target, kept / denominator if denominator else 0.0, kept, available, outcome)


def fixed(scores: np.ndarray, threshold: float, denominator: int, target: float | None = None) -> Threshold:
    """A given threshold, with what it achieves."""
    kept = int((scores >= np.float32(threshold)).sum())
    return Threshold(threshold, target, kept / denominator if denominator else 0.0, kept, scores.size, FIXED)


@dataclass(frozen=True)
class LabelledCounts:
    """What a labelled split holds: images (all of them), non-crowd instances of each category, and visible keypoints.

    - `instances` and `with_keypoints`: category id -> count; the latter has at least one visible (v > 0) keypoint.
    - `keypoints`: the visible ones of all categories together.
    """

    images: int
    instances: dict[int, int]
    with_keypoints: dict[int, int]
    keypoints: int

    def counted(self, count_instances: str) -> dict[int, int]:
        """Instances of each category that a target counts: "with_keypoints" or "all"."""
        if count_instances not in COUNT_INSTANCES:
            raise UserError(f"count_instances: {count_instances!r} must be one of {', '.join(COUNT_INSTANCES)}")
        return self.instances if count_instances == "all" else self.with_keypoints

    def instances_per_image(self, count_instances: str) -> float:
        """Average over all images of the split."""
        return sum(self.counted(count_instances).values()) / self.images

    def keypoints_per_instance(self, count_instances: str) -> float:
        """Visible keypoints per counted instance."""
        return self.keypoints / max(1, sum(self.counted(count_instances).values()))


def count_labelled(split: Mapping[str, Any], task: Task) -> LabelledCounts:
    """Counts of a split in COCO form; the task counts visible keypoints, if it has any."""
    instances = {c["id"]: 0 for c in split["categories"]}
    with_keypoints = dict(instances)
    keypoints = 0
    for annotation in split["annotations"]:
        if annotation.get("iscrowd", 0):
            continue
        visible = task.parts(annotation)
        instances[annotation["category_id"]] += 1
        with_keypoints[annotation["category_id"]] += visible > 0
        keypoints += visible
    if not split["images"] or not any(instances.values()):
        raise UserError(
            "labelled split: it has no labelled instance to take targets from; choose another labelled split"
        )
    return LabelledCounts(len(split["images"]), instances, with_keypoints, keypoints)


def gate(
    spec: GateSpec, labelled: Mapping[str, Any], predictions: Detections, margin: float = LEAST_MARGIN, *, task: Task
) -> dict[str, Any]:
    """The score from which boxes are worth refining: what the spec asks for, and at least `margin` times the target.

    A label set that keeps no more needs no further inference. JSON values: `threshold` (a number, never null), `target`,
    `margin` (None where the threshold is fixed), `achieved`, `kept`, `available`, `outcome`.
    """
    _require_pool(predictions)
    counts = count_labelled(labelled, task)
    target = counts.instances_per_image(spec.count_instances)
    _require_target(target, spec.count_instances)
    images = len(predictions.image_ids)
    if spec.threshold is not None:
        chosen = fixed(predictions.scores, spec.threshold, images)
        return {**dataclasses.asdict(chosen), "target": target, "margin": None}
    margin = max(margin, spec.covers or LEAST_MARGIN)
    if spec.per_category:
        # Boxes of all categories pass from the lowest of their thresholds on.
        counted = counts.counted(spec.count_instances)
        matched = (
            _for_category(predictions.scores[predictions.categories == c], margin * counted[c] / counts.images, images)
            for c in counted
        )
        lowest = min((t.threshold for t in matched if t.threshold is not None), default=None)
        chosen = Threshold(lowest, target, 0.0, 0, len(predictions), NONE_KEPT)
        if lowest is not None:
            chosen = dataclasses.replace(fixed(predictions.scores, lowest, images, target), outcome=MATCHED)
    else:
        chosen = match(predictions.scores, margin * target, images)
    # Where no box passes, a number just above the highest score says so in a form that needs no special case.
    threshold = chosen.threshold
    if threshold is None:
        threshold = float(np.nextafter(predictions.scores.max(), np.float32(np.inf)))
    return {**dataclasses.asdict(chosen), "threshold": threshold, "target": target, "margin": margin}


@dataclass(frozen=True)
class Thresholds:
    """Everything that decides what becomes a label, and the report about it.

    - `categories`: COCO category id -> threshold in force for its boxes.
    - `overall`: one threshold for all categories. In force (copied to each category) unless `per_category`; otherwise
      for comparison, with `overall_by_category` telling what each category would get.
    - `keypoints`: for all types of keypoints; `None` for tasks without.
    - `report`: JSON values for people: statistics of both splits, curves.
    """

    per_category: bool
    categories: dict[int, Threshold]
    overall: Threshold
    overall_by_category: dict[int, Threshold]
    keypoints: Threshold | None
    report: dict[str, Any]

    def keep(self, detections: Detections) -> np.ndarray:
        """(N,) mask of the detections that become labels."""
        mask = np.zeros(len(detections), bool)
        for category, threshold in self.categories.items():
            mask |= (detections.categories == category) & threshold.passes(detections.scores)
        return mask

    def visible(self, detections: Detections) -> np.ndarray:
        """(N, K) mask of the keypoints that are labelled as visible."""
        if self.keypoints is None or detections.keypoints is None:
            raise ValueError("no keypoint threshold, or no keypoints")
        return self.keypoints.passes(detections.keypoints[..., 2])

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` reads them back."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Thresholds:
        """The inverse of `to_json`, after a trip through a file (where keys are strings)."""
        return Thresholds(
            values["per_category"],
            _thresholds(values["categories"]),
            Threshold(**values["overall"]),
            _thresholds(values["overall_by_category"]),
            None if values["keypoints"] is None else Threshold(**values["keypoints"]),
            values["report"],
        )


def _thresholds(values: Mapping[str, Any]) -> dict[int, Threshold]:
    return {int(category): Threshold(**threshold) for category, threshold in values.items()}


def choose(
    spec: LabelSetSpec,
    labelled: Mapping[str, Any],
    predictions: Detections,
    refined: Detections | None = None,
    *,
    task: Task,
) -> Thresholds:
    """Thresholds of a label set.

    `predictions` are all boxes of the unlabelled split; `refined` those of them that passed the gate, with keypoints
    (only for tasks with keypoints; others get no keypoint threshold). Raises `UserError` for an empty pool, a
    labelled split without instances, and a threshold that reaches below the gate.
    """
    _require_pool(predictions)
    counts = count_labelled(labelled, task)
    counted = counts.counted(spec.count_instances)
    images = len(predictions.image_ids)
    overall_target = spec.instance_ratio * counts.instances_per_image(spec.count_instances)
    _require_target(overall_target, spec.count_instances)
    targets = {c: spec.instance_ratio * counted[c] / counts.images for c in sorted(counted)}

    if spec.instance_threshold is not None:
        overall = fixed(predictions.scores, spec.instance_threshold, images, overall_target)
    else:
        overall = match(predictions.scores, overall_target, images)
    by_category = {c: predictions.scores[predictions.categories == c] for c in targets}
    overall_by_category = {c: _applied(overall, scores, targets[c], images) for c, scores in by_category.items()}
    # A threshold fixed by the config is one for all.
    per_category = spec.per_category and spec.instance_threshold is None
    categories = overall_by_category
    if per_category:
        categories = {c: _for_category(scores, targets[c], images) for c, scores in by_category.items()}
    thresholds = Thresholds(
        per_category,
        categories,
        overall,
        overall_by_category,
        None,
        {
            "count_instances": spec.count_instances,
            "labelled": {
                "images": counts.images,
                "instances_per_image": {how: counts.instances_per_image(how) for how in COUNT_INSTANCES},
                "keypoints_per_instance": counts.keypoints_per_instance(spec.count_instances),
            },
            "unlabelled": {
                "images": images,
                "detections": len(predictions),
                "kept": sum(t.kept for t in categories.values()),
                "instances_per_image": sum(t.kept for t in categories.values()) / images,
            },
            "names": {str(c["id"]): c["name"] for c in labelled["categories"]},
            "instance_curve": curve(predictions.scores, images),
        },
    )
    return thresholds if refined is None else _with_keypoints(thresholds, spec, counts, predictions, refined)


def choose_thresholds(
    task: Task,
    spec: LabelSetSpec,
    labelled: Mapping[str, Any],
    predictions: Detections,
    refined: Detections | None = None,
) -> Thresholds:
    """`choose` for a task: one that refines needs `refined`, and also gets a keypoint threshold."""
    if task.refines != (refined is not None):
        raise UserError(f"task {task.name}: thresholds need {'refined' if task.refines else 'no refined'} detections")
    return choose(spec, labelled, predictions, refined, task=task)


def _applied(threshold: Threshold, scores: np.ndarray, target: float, images: int) -> Threshold:
    """A threshold for all categories, with what it comes to in one."""
    kept = int(threshold.passes(scores).sum())
    return dataclasses.replace(threshold, target=target, achieved=kept / images, kept=kept, available=len(scores))


def _for_category(scores: np.ndarray, target: float, images: int) -> Threshold:
    if target == 0:
        return Threshold(None, 0.0, 0.0, 0, len(scores), UNLABELLED)
    return match(scores, target, images)


def _with_keypoints(
    thresholds: Thresholds, spec: LabelSetSpec, counts: LabelledCounts, predictions: Detections, refined: Detections
) -> Thresholds:
    if refined.keypoints is None:
        raise UserError("refined detections hold no keypoints; delete their shards and run refine again")
    kept = refined.select(thresholds.keep(refined))
    wanted = int(thresholds.keep(predictions).sum())
    if len(kept) != wanted:
        raise UserError(
            f"the label set keeps {wanted} boxes, but only {len(kept)} of them passed the gate; "
            "delete the gate and the refinement that they are from, and run again"
        )
    scores = kept.keypoints[..., 2]
    target = spec.keypoint_ratio * counts.keypoints_per_instance(spec.count_instances)
    if spec.keypoint_threshold is not None:
        chosen = fixed(scores, spec.keypoint_threshold, len(kept), target)
    else:
        chosen = match(scores, target, len(kept))
    report = {**thresholds.report, "keypoint_curve": curve(scores, len(kept))}
    report["unlabelled"] = {
        **report["unlabelled"],
        "without_visible_keypoints": int((~chosen.passes(scores).any(axis=1)).sum()),
    }
    return dataclasses.replace(thresholds, keypoints=chosen, report=report)


def curve(scores: np.ndarray, denominator: int, points: int = CURVE_POINTS) -> dict[str, list[float]]:
    """Average count per image (or per instance) against the threshold, at no more than `points` counts, denser at low
    counts.

    `threshold` falls, `average` rises; the last point keeps everything.
    """
    falling = np.sort(scores.ravel())[::-1]
    if not len(falling):
        return {"threshold": [], "average": []}
    counts = np.unique(np.geomspace(1, len(falling), points).round().astype(int))
    return {
        "threshold": falling[counts - 1].astype(float).tolist(),
        "average": (counts / max(1, denominator)).tolist(),
    }


def _require_pool(predictions: Detections) -> None:
    if not len(predictions.image_ids):
        raise UserError("unlabelled split: it holds no image; nothing can be labelled")
    if not len(predictions):
        raise UserError(
            f"the teacher detects nothing on the {len(predictions.image_ids)} unlabelled image(s): "
            "train it for longer, or lower score_floor"
        )


def _require_target(target: float, count_instances: str) -> None:
    if target == 0:
        raise UserError(
            f"labelled split: no instance counts towards the target (count_instances: {count_instances}); "
            "check its annotations, or set count_instances to all"
        )


def image_ids(split: Mapping[str, Any]) -> list[int]:
    """The image ids of a split in COCO form."""
    return [image["id"] for image in split["images"]]


def summary(thresholds: Thresholds) -> list[str]:
    """Lines for people: target, threshold and achieved average of each threshold in force."""
    names = thresholds.report["names"]
    table = [(names[str(c)], t, "an image") for c, t in thresholds.categories.items()]
    if len(table) > 1 and not thresholds.per_category:
        table = [("all categories", thresholds.overall, "an image")]
    if thresholds.keypoints is not None:
        table.append(("keypoints", thresholds.keypoints, "an instance"))
    return [_line(*row) for row in table]


def _line(name: str, threshold: Threshold, unit: str) -> str:
    shown = "nothing" if threshold.threshold is None else f"scores from {threshold.threshold:.4f}"
    target = "" if threshold.target is None else f" (target {threshold.target:.3f})"
    text = f"{name}: {shown} kept, {threshold.achieved:.3f} {unit}{target}, {threshold.kept} of {threshold.available}"
    # A pool that is too small, a tie too large, a category unheard of: worth a word. What went as asked isn't.
    return text if threshold.outcome in (MATCHED, FIXED) else f"{text}: {threshold.outcome}"
