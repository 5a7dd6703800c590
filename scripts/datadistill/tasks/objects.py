"""Object detection: Faster R-CNN with FPN (section 6). Boxes of all transforms are merged by NMS and voting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from datadistill.tasks.task import Task, boxes_xywh

if TYPE_CHECKING:
    from datadistill.detections import Detections
    from datadistill.label.thresholds import Thresholds


class Objects(Task):
    """Boxes of many categories, each with its own score threshold (section 6.1)."""

    name = "objects"
    base_config = "Detectron1-Comparisons/faster_rcnn_R_50_FPN_noaug_1x.yaml"
    iou_type = "bbox"
    refines = False
    default_count_instances = "all"

    def has_target(self, annotation: Mapping[str, Any]) -> bool:
        """Every box is something to learn from."""
        return True

    def label_fields(self, detections: Detections, thresholds: Thresholds) -> dict[str, list[Any]]:
        """A box says all."""
        return {}

    def result_fields(self, detections: Detections) -> dict[str, list[Any]]:
        """`bbox`: left, top, width, height."""
        return {"bbox": boxes_xywh(detections).tolist()}


TASK = Objects()
