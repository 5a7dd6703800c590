"""What a task is: the one interface behind which keypoints and objects differ, and the registry of tasks.

Importing it is light (Snakemake does, while it parses). A third task is one module with a subclass of `Task` and an
instance of it, `TASK`: here, with its name in `BUILT_IN`, or anywhere that Python finds it, named in the environment
variable `DATADISTILL_TASKS` (modules, separated by commas; the last part of a module's name is the task's).
"""

from __future__ import annotations

import importlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from datadistill.errors import UserError

if TYPE_CHECKING:
    from detectron2.config import CfgNode

    from datadistill.detections import Detections
    from datadistill.evaluate.label_quality import Match
    from datadistill.label.thresholds import Thresholds
    from datadistill.report.drawing import Pen
    from datadistill.tasks.similarity import Similarity
    from datadistill.transforms import Transform

BUILT_IN = ("keypoints", "objects")
TASKS_VARIABLE = "DATADISTILL_TASKS"


def task_modules() -> dict[str, str]:
    """The module of every task by the task's name: those of this package, then those of the environment variable."""
    listed = [module.strip() for module in os.environ.get(TASKS_VARIABLE, "").split(",") if module.strip()]
    modules = {name: f"datadistill.tasks.{name}" for name in BUILT_IN}
    for module in listed:
        name = module.rpartition(".")[2]
        if name in modules:
            raise UserError(f"{TASKS_VARIABLE}: there is a task {name!r} already; rename the module {module}")
        modules[name] = module
    return modules


TASKS = tuple(task_modules())
"""The names of all tasks, as they were when this was imported: what a config may say."""

COORDINATE_DECIMALS = 3
SCORE_DECIMALS = 6
DISAGREEMENT_DECIMALS = 4


@dataclass(frozen=True)
class Look:
    """How an annotation is drawn: its `score` as text, its category's `shade`, a `colour` that overrides every other one of
    boxes, and whether name and score are written (`named`)."""

    score: str
    shade: str
    colour: str | None
    named: bool


class Task(ABC):
    """What differs between tasks. Everything else in the chain is shared.

    - `base_config`: path in detectron2's model zoo of the config that a model of this task starts from.
    - `iou_type`: how pycocotools scores it; `stats`: its metrics in the order of the paper's columns, and where
      pycocotools puts them in its summary.
    - `own_fields`: the fields of a COCO annotation, beside box and area, that hold what this task predicts.
    - `coco_file`: how the files of COCO's releases that this task reads begin.
    - `refines`: the labels need a second pass over boxes that survive a gate (see `RefiningTask`). A task that doesn't
      refine merges the boxes of all transforms in its one pass.
    - `picture_note`: what a picture with its labels says about their colours; `gallery_by_category`: a gallery shows an
      image a category (else the most confident ones, and some at random).
    - `default_count_instances`: which labelled instances the threshold's target counts, "with_keypoints" or "all".
    """

    name: ClassVar[str]
    base_config: ClassVar[str]
    iou_type: ClassVar[str]
    stats: ClassVar[Mapping[str, int]]
    own_fields: ClassVar[tuple[str, ...]] = ()
    coco_file: ClassVar[str]
    refines: ClassVar[bool] = False
    default_count_instances: ClassVar[str]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of its metrics, in the order of the paper's columns."""
        return tuple(self.stats)

    # What the network is asked for.

    def configure(self, cfg: CfgNode, categories: Sequence[Mapping[str, Any]]) -> None:
        """Set what the heads of this task need in detectron2's config, from the categories of the labelled split."""
        cfg.MODEL.ROI_HEADS.NUM_CLASSES = len(categories)

    def first_pass(
        self, transforms: tuple[Transform, ...], plain: tuple[Transform, ...], *, last: bool
    ) -> tuple[tuple[Transform, ...], bool]:
        """The transforms of the pass over all images, and whether it predicts keypoints.

        `transforms` are those asked for, `plain` the plain pass alone; `last`: no second pass follows. A task that
        refines looks once and leaves all transforms to the second pass; another one merges the boxes of all of them.
        """
        return (plain, last) if self.refines else (transforms, False)

    # Annotations of others.

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

    def learns_from(self, other: str) -> bool:
        """Can it learn from a split that was annotated for the task named `other`?"""
        return other == self.name

    def parts(self, annotation: Mapping[str, Any]) -> int:
        """How many labelled parts (keypoints) an annotated instance has: what a threshold of parts is matched to."""
        return 0

    # Labels and results.

    @abstractmethod
    def label_fields(self, detections: Detections, thresholds: Thresholds) -> dict[str, list[Any]]:
        """Columns that this task adds to COCO annotations made of `detections` (one entry a detection)."""

    @abstractmethod
    def result_fields(self, detections: Detections) -> dict[str, list[Any]]:
        """Columns that this task adds to COCO results made of `detections` (one entry a detection)."""

    # Metrics and the quality of labels.

    def scored_categories(self, categories: Sequence[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
        """Those of a split's categories that are scored; a `UserError` where `name` has none, or one that can't be."""
        if not categories:
            raise UserError(f"{name}: no category, so there is nothing to score; check the annotation file")
        return list(categories)

    def sigmas(self, category: Mapping[str, Any], where: str) -> tuple[float, ...] | None:
        """The fall-off of each keypoint of a category in the object keypoint similarity; None without keypoints."""
        return None

    def similarity(self) -> Similarity:
        """What decides whether a label is right."""
        from datadistill.tasks.similarity import BoxOverlap

        return BoxOverlap()

    def part_quality(self, matches: Sequence[Match], truth: Mapping[str, Any]) -> dict[str, Any]:
        """What is to be said of parts of instances, for `matches` of boxes: entries for the report of label quality."""
        return {}

    # Pictures.

    picture_note: ClassVar[str] = ""
    gallery_by_category: ClassVar[bool] = True

    def shown_fields(self, detections: Detections) -> dict[str, list[Any]]:
        """Columns of COCO annotations of `detections` that `draw` needs, beside box, category and score."""
        return {}

    def draw(self, pen: Pen, annotation: Mapping[str, Any], category: Mapping[str, Any], look: Look) -> None:
        """Draw an annotation: here its box, with its category's name and its score."""
        colour = look.colour or look.shade
        pen.box(annotation["bbox"], colour, 1.2, name=category["name"], score=look.score, written=look.named)

    def draw_truth(self, pen: Pen, annotation: Mapping[str, Any], category: Mapping[str, Any]) -> None:
        """Draw an instance of the hidden truth: thin, in the pen's colour for it."""
        pen.box(annotation["bbox"], pen.truth, 0.7, dashed=True)

    # Shared by all tasks.

    def keep_for_training(self, annotations: Iterable[Mapping[str, Any]]) -> bool:
        """Does training use an image with these COCO annotations? Labelled and generated images alike."""
        return any(not a.get("iscrowd", 0) and self.has_target(a) for a in annotations)

    def annotations(self, detections: Detections, thresholds: Thresholds, *, source: str) -> list[dict[str, Any]]:
        """COCO annotations of the detections that pass `thresholds`, in order, with ids from 1.

        `bbox` is continuous (x, y, width, height), `area` the box's area (for keypoints too, where COCO's truth has the
        area of the person's mask, which is smaller), `score` the box score, `source` the digest of the label set.
        Coordinates are rounded to 0.001 px, scores to 1e-6. `disagreement` of the transforms, where there were several and it was
        computed: from 0 to 1, of the box, or the mean over its visible keypoints (all, where none is).
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
        visible = thresholds.visible(kept) if kept.keypoints is not None and thresholds.keypoints is not None else None
        if (disagreement := kept.mean_disagreement(visible)) is not None:
            columns["disagreement"] = rounded(disagreement, DISAGREEMENT_DECIMALS)
        # Of a file from before it was computed, nothing is known: NaN.
        return [{key: value for key, value in row.items() if value == value} for row in rows(columns)]

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


class RefiningTask(Task):
    """A task whose labels hold points from the averaged heatmaps of a second pass, over boxes that survive a gate."""

    refines = True

    @abstractmethod
    def points(self, annotation: Mapping[str, Any]) -> Any:
        """(K, 3) positions in continuous coordinates, and visibilities, of an annotation."""

    @abstractmethod
    def draw_points(self, pen: Pen, points: Any, category: Mapping[str, Any], *, size: float) -> None:
        """Draw (K, 3) points in continuous coordinates, but those whose third value is 0."""


def boxes_xywh(detections: Detections) -> Any:
    """Boxes as COCO writes them, (N, 4) float64: left, top, width and height in continuous coordinates."""
    boxes = detections.boxes.astype("float64")
    boxes[:, 2:] -= boxes[:, :2]
    return boxes


def rounded(values: Any, decimals: int) -> Any:
    """A numpy array as (nested) lists of numbers that print short: rounded in double precision."""
    return values.astype("float64").round(decimals).tolist()


def ratio(part: float, whole: float) -> float | None:
    """`part` / `whole`, undefined (None) where there is no whole."""
    return part / whole if whole else None


def rows(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Columns of equal length as one dict a row."""
    names = tuple(columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def get_task(name: str) -> Task:
    """The task of that name; an unknown one is a `UserError` that lists those there are."""
    modules = task_modules()
    if name not in modules:
        raise UserError(f"task: unknown task {name!r}; known: {', '.join(modules)}")
    try:
        task = importlib.import_module(modules[name]).TASK
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"{TASKS_VARIABLE}: {modules[name]} can't be used as a task ({error}); it must be on PYTHONPATH and define TASK"
        ) from error
    if task.name != name:
        raise UserError(
            f"{TASKS_VARIABLE}: {modules[name]} defines the task {task.name!r}; name the module like its task"
        )
    return task


def get_refining_task(name: str) -> RefiningTask:
    """The task of that name, which must be one that refines."""
    task = get_task(name)
    if not isinstance(task, RefiningTask):
        raise UserError(f"task: {name} has no points from several transforms to show; leave the figure out")
    return task
