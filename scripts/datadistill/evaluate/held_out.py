"""How good a label set is, where nobody knows the truth of its images: what its teacher labels on images of which it is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from datadistill.evaluate.label_quality import label_quality
from datadistill.tasks.task import Task

if TYPE_CHECKING:
    from datadistill.detections import Detections
    from datadistill.label.thresholds import Thresholds

MEASURES = ("an image", "precision", "recall")
"""What is said of a label set: how many labels an image of the pool has, and per cent on held-out images."""


def judge(task: Task, split: Mapping[str, Any], detections: Detections, thresholds: Thresholds) -> dict[str, Any]:
    """Quality of the labels that a label set's thresholds make of what its teacher detects on an annotated split.

    - `split`: COCO JSON with annotations, of images that no model learned from; `detections`: the teacher's on all of them, by the
      inference of the label set.
    - `thresholds`: those of the label set, chosen on its own images.

    Returns JSON values: `measures` by `MEASURES` (precision and recall by the task's own similarity, in per cent; None where
    undefined), and the whole `report` of `label_quality`. Raises `UserError` if `detections` are not of exactly the split's images.
    """
    detections.require_exactly((image["id"] for image in split["images"]), "detections of the held-out split")
    labels = {
        "images": split["images"],
        "annotations": task.annotations(detections, thresholds, source=""),
        "categories": split["categories"],
    }
    report = label_quality(labels, split, task)
    overall = report[task.similarity().name]["overall"]
    per_cent = [None if overall[key] is None else 100.0 * overall[key] for key in ("precision", "recall")]
    each = [thresholds.report["unlabelled"]["instances_per_image"], *per_cent]
    return {"measures": dict(zip(MEASURES, each, strict=True)), "report": report}
