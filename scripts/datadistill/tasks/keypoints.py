"""Multi-person keypoint detection: Keypoint R-CNN with FPN (section 4).

Boxes come from one untransformed pass; keypoints from the average of their heatmaps over all transforms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from datadistill.tasks.task import COORDINATE_DECIMALS, SCORE_DECIMALS, Task, rounded

if TYPE_CHECKING:
    from datadistill.detections import Detections
    from datadistill.label.thresholds import Thresholds

HALF_PIXEL = 0.5
"""COCO's keypoints are pixel indices, a detector's are continuous: index + 0.5 is the pixel's centre."""


class Keypoints(Task):
    """Boxes of people with keypoints; one threshold for boxes, and one for all types of keypoints."""

    name = "keypoints"
    base_config = "Detectron1-Comparisons/keypoint_rcnn_R_50_FPN_1x.yaml"
    iou_type = "keypoints"
    refines = True
    default_count_instances = "with_keypoints"

    def has_target(self, annotation: Mapping[str, Any]) -> bool:
        """Is any keypoint labelled? As Detectron 1 and 2 filter training images."""
        return any(v > 0 for v in (annotation.get("keypoints") or ())[2::3])

    def label_fields(self, detections: Detections, thresholds: Thresholds) -> dict[str, list[Any]]:
        """`keypoints` in COCO's form, `num_keypoints` and `keypoint_scores`.

        A keypoint whose score reaches the keypoint threshold is x, y (pixel indices), 2; one below it is 0, 0, 0. An
        instance all of whose keypoints are below it keeps its box, with `num_keypoints` 0.
        """
        import numpy as np

        points, scores = pixel_indices(detections.keypoints[..., :2]), detections.keypoints[..., 2]
        visible = thresholds.visible(detections)
        labels = np.concatenate([points.round(COORDINATE_DECIMALS), np.full((*visible.shape, 1), 2.0)], axis=2)
        labels *= visible[..., None]
        return {
            "keypoints": [_flat(person) for person in labels.tolist()],
            "num_keypoints": visible.sum(axis=1).tolist(),
            "keypoint_scores": rounded(scores, SCORE_DECIMALS),
        }

    def result_fields(self, detections: Detections) -> dict[str, list[Any]]:
        """`keypoints`: x, y (pixel indices) and score for each. No `bbox`.

        With a `bbox` pycocotools would take areas from boxes, and AP of medium and large people would move; without
        one it takes them from the keypoints, as in Detectron 1's results.
        """
        import numpy as np

        points, scores = pixel_indices(detections.keypoints[..., :2]), detections.keypoints[..., 2:]
        rows = np.concatenate([points, scores.astype("float64")], axis=2)
        return {"keypoints": rows.reshape(len(detections), -1).tolist()}


def pixel_indices(points: Any) -> Any:
    """Continuous positions (..., 2) as COCO's pixel indices, in double precision."""
    return points.astype("float64") - HALF_PIXEL


def continuous(keypoints: Sequence[float]) -> Any:
    """(K, 3) of a COCO annotation's `keypoints`: pixel indices made continuous; an unlabelled one stays at 0, 0."""
    import numpy as np

    points = np.array(keypoints, float).reshape(-1, 3)
    points[:, :2] += HALF_PIXEL * (points[:, 2:] > 0)
    return points


def _flat(person: list[list[float]]) -> list[float]:
    """x1, y1, v1, x2, ... with whole numbers for v."""
    return [value for x, y, v in person for value in (x, y, int(v))]


TASK = Keypoints()
