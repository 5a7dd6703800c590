"""A third task, as somebody would add it: one point a box, at its centre. All of it is this module.

Its labels are COCO's `keypoints` with a single one, made from any file of boxes. It takes one pass, keypoints included,
scores points by COCO's similarity with a fall-off of its own, and draws a dot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from datadistill.tasks.task import Look, Task, boxes_xywh, rounded

NAMES = ["centre"]
FALL_OFF = 0.1


class Points(Task):
    """The centre of every object."""

    name = "points"
    base_config = "Detectron1-Comparisons/keypoint_rcnn_R_50_FPN_1x.yaml"
    iou_type = "keypoints"
    stats: ClassVar = {"AP": 0, "AP50": 1}
    own_fields = ("keypoints",)
    coco_file = "instances"
    default_count_instances = "all"
    picture_note = "Dots: centres"

    def configure(self, cfg: Any, categories: Sequence[Mapping[str, Any]]) -> None:
        super().configure(cfg, categories)
        cfg.MODEL.ROI_KEYPOINT_HEAD.NUM_KEYPOINTS = 1

    def first_pass(self, transforms: tuple, plain: tuple, *, last: bool) -> tuple[tuple, bool]:
        return plain, True

    def clean_categories(
        self, categories: list[dict[str, Any]], name: str, *, annotated: bool, num_keypoints: int | None
    ) -> list[dict[str, Any]]:
        return [{**category, "keypoints": NAMES, "skeleton": []} for category in categories]

    def clean_annotation(self, annotation: dict[str, Any], category: Mapping[str, Any], what: str) -> dict[str, Any]:
        left, top, width, height = annotation["bbox"]
        return {**annotation, "keypoints": [left + width / 2, top + height / 2, 2], "num_keypoints": 1}

    def has_target(self, annotation: Mapping[str, Any]) -> bool:
        return True

    def parts(self, annotation: Mapping[str, Any]) -> int:
        return 1

    def label_fields(self, detections: Any, thresholds: Any) -> dict[str, list[Any]]:
        points = detections.keypoints[:, 0, :2] - 0.5
        return {
            "keypoints": [[x, y, 2] for x, y in rounded(points, 3)],
            "num_keypoints": [1] * len(detections),
        }

    def result_fields(self, detections: Any) -> dict[str, list[Any]]:
        points = detections.keypoints[:, 0].astype("float64") - [0.5, 0.5, 0]
        return {"keypoints": points.tolist(), "bbox": boxes_xywh(detections).tolist()}

    def sigmas(self, category: Mapping[str, Any], where: str) -> tuple[float, ...]:
        return (FALL_OFF,)

    def similarity(self) -> Any:
        import numpy as np

        from datadistill.tasks.oks import KeypointSimilarity

        return KeypointSimilarity(lambda category: np.array([FALL_OFF]), name="points", phrase="a similarity of 0.5")

    def draw(self, pen: Any, annotation: Mapping[str, Any], category: Mapping[str, Any], look: Look) -> None:
        x, y, _ = annotation["keypoints"]
        pen.dot(x + 0.5, y + 0.5, look.colour or look.shade, 3)


TASK = Points()
