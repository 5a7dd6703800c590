"""Multi-person keypoint detection: Keypoint R-CNN with FPN (section 4).

Boxes come from one untransformed pass; keypoints from the average of their heatmaps over all transforms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from datadistill.errors import UserError
from datadistill.tasks.keypoint_schema import check_one_schema, clean_schema, flip_pairs, sigmas, without_schema
from datadistill.tasks.task import (
    COORDINATE_DECIMALS,
    DISAGREEMENT_DECIMALS,
    SCORE_DECIMALS,
    Look,
    RefiningTask,
    rounded,
)
from datadistill.values import excerpt, is_finite, is_integer, is_plain_text

if TYPE_CHECKING:
    from detectron2.config import CfgNode

    from datadistill.detections import Detections
    from datadistill.evaluate.label_quality import Match
    from datadistill.label.thresholds import Thresholds
    from datadistill.report.drawing import Pen
    from datadistill.tasks.similarity import Similarity

HALF_PIXEL = 0.5
"""COCO's keypoints are pixel indices, a detector's are continuous: index + 0.5 is the pixel's centre."""


LEFT, RIGHT = "#F5A623", "#3FA9F5"
"""Colours of a person's sides, so that an inverted person (the paper's Figure 3) can be seen."""


class Keypoints(RefiningTask):
    """Boxes of people with keypoints; one threshold for boxes, and one for all types of keypoints."""

    name = "keypoints"
    base_config = "Detectron1-Comparisons/keypoint_rcnn_R_50_FPN_1x.yaml"
    iou_type = "keypoints"
    stats: ClassVar = {"AP": 0, "AP50": 1, "AP75": 2, "APm": 3, "APl": 4}
    own_fields = ("keypoints",)
    coco_file = "person_keypoints"
    default_count_instances = "with_keypoints"
    picture_note = "Orange: the subject's left; blue: right"
    gallery_by_category = False

    def has_target(self, annotation: Mapping[str, Any]) -> bool:
        """Is any keypoint labelled? As Detectron 1 and 2 filter training images."""
        return any(v > 0 for v in (annotation.get("keypoints") or ())[2::3])

    def clean_categories(
        self, categories: list[dict[str, Any]], name: str, *, annotated: bool, num_keypoints: int | None
    ) -> list[dict[str, Any]]:
        """The categories that define keypoints, the same for all, with their pairs and sigmas (`keypoint_schema.clean_schema`).

        There must be `num_keypoints` of them, where the config says so.
        """
        for entry in categories:
            _check_names(entry.get("keypoints"), f"{name}: category {entry['name']!r}")
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
            _check_skeleton(entry.get("skeleton"), len(entry["keypoints"]), f"{name}: category {entry['name']!r}")
        if not annotated:
            return [without_schema(entry) for entry in posed]
        posed = [clean_schema(entry, f"{name}: category {entry['name']!r}") for entry in posed]
        check_one_schema(posed, name)
        return posed

    def clean_annotation(self, annotation: dict[str, Any], category: Mapping[str, Any], what: str) -> dict[str, Any]:
        """`keypoints` default to none visible; `num_keypoints` is counted anew."""
        annotation["keypoints"] = _check_keypoints(annotation.get("keypoints"), what, len(category["keypoints"]))
        annotation["num_keypoints"] = sum(v > 0 for v in annotation["keypoints"][2::3])
        return annotation

    def configure(self, cfg: CfgNode, categories: Sequence[Mapping[str, Any]]) -> None:
        super().configure(cfg, categories)
        cfg.MODEL.ROI_KEYPOINT_HEAD.NUM_KEYPOINTS = len(categories[0]["keypoints"])

    def parts(self, annotation: Mapping[str, Any]) -> int:
        """Visible keypoints."""
        return sum(v > 0 for v in (annotation.get("keypoints") or ())[2::3])

    def label_fields(self, detections: Detections, thresholds: Thresholds) -> dict[str, list[Any]]:
        """`keypoints` in COCO's form, `num_keypoints`, `keypoint_scores`, and `keypoint_disagreement` where it is known.

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
            **_keypoint_disagreement(detections),
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

    def scored_categories(self, categories: Sequence[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
        """Those with keypoints."""
        posed = [category for category in categories if category.get("keypoints")]
        if not posed:
            raise UserError(
                f"{name}: no category with keypoints, so there is nothing to score; check the annotation file"
            )
        return posed

    def sigmas(self, category: Mapping[str, Any], where: str) -> tuple[float, ...]:
        """The category's own, else the defaults."""
        return sigmas(category, where)

    def similarity(self) -> Similarity:
        """OKS."""
        from datadistill.tasks.oks import KeypointSimilarity

        return KeypointSimilarity(self._fall_offs)

    def part_quality(self, matches: Sequence[Match], truth: Mapping[str, Any]) -> dict[str, Any]:
        """`keypoints`: see `oks.keypoint_report`."""
        from datadistill.tasks.oks import keypoint_report

        return {"keypoints": keypoint_report(matches, truth, self._fall_offs)}

    def _fall_offs(self, category: Mapping[str, Any]) -> Any:
        import numpy as np

        return np.array(self.sigmas(category, f"category {category['name']!r}"))

    def shown_fields(self, detections: Detections) -> dict[str, list[Any]]:
        """`keypoints` as pixel indices, all visible."""
        import numpy as np

        if detections.keypoints is None:
            return {}
        points = np.insert(pixel_indices(detections.keypoints[..., :2]), 2, 2.0, axis=2)
        return {"keypoints": points.reshape(len(detections), -1).tolist()}

    def draw(self, pen: Pen, annotation: Mapping[str, Any], category: Mapping[str, Any], look: Look) -> None:
        """A person in a thin box with its score; one whose keypoints aren't known, as an object."""
        if "keypoints" not in annotation or not category.get("keypoints"):
            super().draw(pen, annotation, category, look)
            return
        # Thinner for small people, measured on paper.
        size = min(max(0.35 + 0.55 * pen.inches(annotation["bbox"][3], 1), 0.4), 1.2)
        self.draw_points(pen, self.points(annotation), category, size=size)
        pen.box(annotation["bbox"], look.colour or pen.neutral, 1.4 if look.colour else 0.5, score=look.score)

    def draw_truth(self, pen: Pen, annotation: Mapping[str, Any], category: Mapping[str, Any]) -> None:
        """A person as plain lines; one without labelled keypoints as an object."""
        if not category.get("keypoints") or not self.has_target(annotation):
            super().draw_truth(pen, annotation, category)
            return
        points = self.points(annotation)
        for a, b in category.get("skeleton", ()):
            if points[a - 1, 2] > 0 and points[b - 1, 2] > 0:
                pen.line(points[[a - 1, b - 1], :2], pen.truth, 0.7)

    def points(self, annotation: Mapping[str, Any]) -> Any:
        """Pixel indices made continuous; an unlabelled one stays at 0, 0."""
        return continuous(annotation["keypoints"])

    def draw_points(self, pen: Pen, points: Any, category: Mapping[str, Any], *, size: float) -> None:
        """Limbs and keypoints of one person; those whose third value is 0 are left out.

        A limb is coloured by the sides of its ends: left, right, or white between them.
        """
        colours = {"left": LEFT, "right": RIGHT, None: pen.neutral}
        sides = [colours[side] for side in flip_pairs(category).sides]
        visible = points[:, 2] > 0
        for a, b in category.get("skeleton", ()):
            if visible[a - 1] and visible[b - 1]:
                ends = {sides[a - 1], sides[b - 1]} - {pen.neutral}
                colour = ends.pop() if len(ends) == 1 else pen.neutral
                pen.line(points[[a - 1, b - 1], :2], colour, 1.5 * size)
        for (x, y, _), side, shown in zip(points, sides, visible, strict=True):
            if shown:
                pen.dot(x, y, side, 2.6 * size)


def _keypoint_disagreement(detections: Detections) -> dict[str, list[Any]]:
    """How far the transforms disagree about each keypoint; NaN for a detection of which that isn't known."""
    import numpy as np

    if detections.disagreement is None:
        return {}
    known = ~np.isnan(detections.disagreement).any(axis=1)
    lists = rounded(detections.disagreement, DISAGREEMENT_DECIMALS)
    return {"keypoint_disagreement": [row if there else np.nan for row, there in zip(lists, known, strict=True)]}


def _check_names(names: Any, what: str) -> None:
    if names is None:
        return
    if not isinstance(names, list) or not all(isinstance(name, str) and is_plain_text(name) for name in names):
        raise UserError(f"{what} has malformed keypoints {excerpt(names)}; a list of their names is needed")
    if len(set(names)) < len(names):
        raise UserError(f"{what} has two keypoints of one name; rename one")


def _check_skeleton(bones: Any, count: int, what: str) -> None:
    if bones is None:
        return
    if not isinstance(bones, list) or not all(
        isinstance(bone, list) and len(bone) == 2 and all(is_integer(end) and 1 <= end <= count for end in bone)
        for bone in bones
    ):
        raise UserError(
            f"{what} has a malformed skeleton {excerpt(bones)}; a list of pairs of its {count} keypoints, counted from 1, is "
            "needed"
        )


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
