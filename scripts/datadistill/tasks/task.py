"""What a task is: the one interface behind which keypoints and objects differ, and the registry of tasks.

Importing it is light (Snakemake does, while it parses). A third task is one more module here with a subclass of `Task`,
and its name in `TASKS`.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from datadistill.errors import UserError
from datadistill.tasks.metrics import METRICS

if TYPE_CHECKING:
    from datadistill.detections import Detections
    from datadistill.label.thresholds import Thresholds
    from datadistill.specs import LabelSetSpec

TASKS = ("keypoints", "objects")

COORDINATE_DECIMALS = 3
SCORE_DECIMALS = 6


class Task(ABC):
    """What differs between tasks. Everything else in the chain is shared.

    - `base_config`: path in detectron2's model zoo of the config that a model of this task starts from.
    - `iou_type`: how pycocotools scores it.
    - `coco_file`: how the files of COCO's releases that this task reads begin.
    - `refines`: the labels need a second pass over boxes that survive a gate (keypoints from averaged heatmaps).
      A task that doesn't refine merges the boxes of all transforms in its one pass.
    - `default_count_instances`: which labelled instances the threshold's target counts, "with_keypoints" or "all".
    """

    name: ClassVar[str]
    base_config: ClassVar[str]
    iou_type: ClassVar[str]
    coco_file: ClassVar[str]
    refines: ClassVar[bool]
    default_count_instances: ClassVar[str]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of its metrics, in the order of the paper's columns."""
        return METRICS[self.iou_type]

    @abstractmethod
    def has_target(self, annotation: Mapping[str, Any]) -> bool:
        """Does a COCO annotation (not a crowd) hold anything that this task's heads learn from?"""

    @abstractmethod
    def clean_categories(
        self, categories: list[dict[str, Any]], name: str, *, annotated: bool, num_keypoints: int | None
    ) -> list[dict[str, Any]]:
        """The categories of a COCO file (sorted by id) that this task keeps, with the fields that it uses.

        `name` stands for the file in a `UserError`; `annotated` false: the file may define none; `num_keypoints` is the
        config's. The dictionaries are the caller's own, and may be changed.
        """

    @abstractmethod
    def clean_annotation(self, annotation: dict[str, Any], category: Mapping[str, Any], what: str) -> dict[str, Any]:
        """A COCO annotation, whose box is checked already, with the fields that are this task's checked and normalised.

        `category` is one of `clean_categories`; `what` names the annotation in a `UserError`.
        """

    @abstractmethod
    def label_fields(self, detections: Detections, thresholds: Thresholds) -> dict[str, list[Any]]:
        """Columns that this task adds to COCO annotations made of `detections` (one entry a detection)."""

    @abstractmethod
    def result_fields(self, detections: Detections) -> dict[str, list[Any]]:
        """Columns that this task adds to COCO results made of `detections` (one entry a detection)."""

    def keep_for_training(self, annotations: Iterable[Mapping[str, Any]]) -> bool:
        """Does training use an image with these COCO annotations? Labelled and generated images alike."""
        return any(not a.get("iscrowd", 0) and self.has_target(a) for a in annotations)

    def choose_thresholds(
        self,
        spec: LabelSetSpec,
        labelled: Mapping[str, Any],
        predictions: Detections,
        refined: Detections | None = None,
    ) -> Thresholds:
        """Thresholds of a label set. A task that refines needs `refined`, and also gets a keypoint threshold."""
        from datadistill.label.thresholds import choose

        if self.refines != (refined is not None):
            raise UserError(
                f"task {self.name}: thresholds need {'refined' if self.refines else 'no refined'} detections"
            )
        return choose(spec, labelled, predictions, refined)

    def annotations(self, detections: Detections, thresholds: Thresholds, *, source: str) -> list[dict[str, Any]]:
        """COCO annotations of the detections that pass `thresholds`, in order, with ids from 1.

        `bbox` is continuous (x, y, width, height), `area` the box's area (for keypoints too, where COCO's truth has the
        area of the person's mask, which is smaller), `score` the box score, `source` the digest of the label set.
        Coordinates are rounded to 0.001 px, scores to 1e-6.
        """
        kept = detections.select(thresholds.keep(detections))
        boxes = rounded(boxes_xywh(kept), COORDINATE_DECIMALS)
        columns: dict[str, list[Any]] = {
            "id": list(range(1, len(kept) + 1)),
            "image_id": kept.ids.tolist(),
            "category_id": kept.categories.tolist(),
            "bbox": boxes,
            "area": [round(width * height, COORDINATE_DECIMALS) for _, _, width, height in boxes],
            "iscrowd": [0] * len(kept),
            "score": rounded(kept.scores, SCORE_DECIMALS),
            "source": [source] * len(kept),
            **self.label_fields(kept, thresholds),
        }
        return rows(columns)

    def results(self, detections: Detections) -> list[dict[str, Any]]:
        """COCO results of all `detections`, for pycocotools: `score` is the box score, the rest is the task's."""
        return rows(
            {
                "image_id": detections.ids.tolist(),
                "category_id": detections.categories.tolist(),
                "score": detections.scores.tolist(),
                **self.result_fields(detections),
            }
        )


def boxes_xywh(detections: Detections) -> Any:
    """Boxes as COCO writes them, (N, 4) float64: left, top, width and height in continuous coordinates."""
    boxes = detections.boxes.astype("float64")
    boxes[:, 2:] -= boxes[:, :2]
    return boxes


def rounded(values: Any, decimals: int) -> Any:
    """A numpy array as (nested) lists of numbers that print short: rounded in double precision."""
    return values.astype("float64").round(decimals).tolist()


def rows(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Columns of equal length as one dict a row."""
    names = tuple(columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def get_task(name: str) -> Task:
    """The task of that name; an unknown one is a `UserError` that lists those there are."""
    if name not in TASKS:
        raise UserError(f"task: unknown task {name!r}; known: {', '.join(TASKS)}")
    return importlib.import_module(f"datadistill.tasks.{name}").TASK


__all__ = ["TASKS", "Task", "boxes_xywh", "get_task", "rounded", "rows"]
