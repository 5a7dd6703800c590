"""Multi-person keypoint detection: Keypoint R-CNN with FPN (section 4).

Boxes come from one untransformed pass; keypoints from the average of their heatmaps over all transforms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from datadistill.errors import UserError
from datadistill.tasks.task import COORDINATE_DECIMALS, SCORE_DECIMALS, Task, rounded
from datadistill.values import is_finite

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
    coco_file = "person_keypoints"
    refines = True
    default_count_instances = "with_keypoints"

    def has_target(self, annotation: Mapping[str, Any]) -> bool:
        """Is any keypoint labelled? As Detectron 1 and 2 filter training images."""
        return any(v > 0 for v in (annotation.get("keypoints") or ())[2::3])

    def clean_categories(
        self, categories: list[dict[str, Any]], name: str, *, annotated: bool, num_keypoints: int | None
    ) -> list[dict[str, Any]]:
        """The categories that define keypoints, each of which must have `num_keypoints` of them."""
        posed = [entry for entry in categories if entry.get("keypoints")]
        if annotated and not posed:
            raise UserError(
                f"{name}: no category defines keypoints; the task {self.name!r} needs a person_keypoints file"
            )
        for entry in posed:
            if num_keypoints is not None and len(entry["keypoints"]) != num_keypoints:
                raise UserError(
                    f"{name}: category {entry['name']!r} has {len(entry['keypoints'])} keypoints, the config's "
                    f"num_keypoints is {num_keypoints}"
                )
        return posed

    def clean_annotation(self, annotation: dict[str, Any], category: Mapping[str, Any], what: str) -> dict[str, Any]:
        """`keypoints` default to none visible; `num_keypoints` is counted anew."""
        annotation["keypoints"] = _check_keypoints(annotation.get("keypoints"), what, len(category["keypoints"]))
        annotation["num_keypoints"] = sum(v > 0 for v in annotation["keypoints"][2::3])
        return annotation

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


def _check_keypoints(values: Any, what: str, count: int) -> list[float]:
    if values is None:
        return [0] * (3 * count)
    if not isinstance(values, list) or len(values) != 3 * count:
        size = len(values) / 3 if isinstance(values, list) else 0
        raise UserError(f"{what} has {size:g} keypoints, its category has {count}")
    if not all(is_finite(value) for value in values) or not set(values[2::3]) <= {0, 1, 2}:
        raise UserError(f"{what} has malformed keypoints; x, y and a visibility 0, 1 or 2 are needed for each")
    return values


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
