"""Object detection: Faster R-CNN with FPN (section 6). Boxes of all transforms are merged by NMS and voting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from datadistill.errors import UserError
from datadistill.tasks.keypoint_schema import without_schema
from datadistill.tasks.task import Task, boxes_xywh

if TYPE_CHECKING:
    from datadistill.detections import Detections
    from datadistill.label.thresholds import Thresholds


class Objects(Task):
    """Boxes of many categories, each with its own score threshold (section 6.1)."""

    name = "objects"
    base_config = "Detectron1-Comparisons/faster_rcnn_R_50_FPN_noaug_1x.yaml"
    iou_type = "bbox"
    stats: ClassVar = {"AP": 0, "AP50": 1, "AP75": 2, "APs": 3, "APm": 4, "APl": 5}
    coco_file = "instances"
    default_count_instances = "all"

    def has_target(self, annotation: Mapping[str, Any]) -> bool:
        """Every box is something to learn from."""
        return True

    def clean_categories(
        self, categories: list[dict[str, Any]], name: str, *, annotated: bool, num_keypoints: int | None
    ) -> list[dict[str, Any]]:
        """All categories, without what only keypoints need."""
        if annotated and not categories:
            raise UserError(f"{name}: it defines no categories")
        plain = map(without_schema, categories)
        return [{k: v for k, v in entry.items() if k not in ("keypoints", "skeleton")} for entry in plain]

    def clean_annotation(self, annotation: dict[str, Any], category: Mapping[str, Any], what: str) -> dict[str, Any]:
        """Without keypoints."""
        annotation.pop("keypoints", None)
        annotation.pop("num_keypoints", None)
        return annotation

    def learns_from(self, other: str) -> bool:
        """Whatever else is annotated, there are boxes."""
        return True

    def label_fields(self, detections: Detections, thresholds: Thresholds) -> dict[str, list[Any]]:
        """A box says all."""
        return {}

    def result_fields(self, detections: Detections) -> dict[str, list[Any]]:
        """`bbox`: left, top, width, height."""
        return {"bbox": boxes_xywh(detections).tolist()}


TASK = Objects()
