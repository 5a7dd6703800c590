"""The config, stated once: every key with its type, default, limits and meaning.

Here stand the keys that only the workflow reads; those of splits are in `data.specs`, those of networks, schedules and
labelling in `specs`, where jobs read them, too. `schema` checks a config against these classes and fills in the defaults,
`make docs` writes config/README.md from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from datadistill.data.specs import SplitSpec
from datadistill.keys import NAME, key
from datadistill.specs import LabellingOptions, NetworkSpec, TrainingOptions
from datadistill.tasks.task import TASKS
from datadistill.transforms import FLIPS, TestScale
from datadistill.workflow.compute_statement import ComputeOptions

ADDRESS = "^https?://[^ ]+$(?!\n)"
DIGEST = "^[0-9a-f]{8,64}$(?!\n)"
_NAME = "Its name in this config."
_TASK = "keypoints (sections 4 and 5) or objects (section 6)."


@dataclass(frozen=True, kw_only=True)
class WeightsEntry:
    """Initial weights of a backbone."""

    one_of: ClassVar[tuple[str, ...]] = ("path", "url")
    name: str = key("The backbone, as `network` names it.")
    path: str | None = key(
        "File of weights (detectron2's .pkl, or .pth, .pt or .safetensors of torchvision or timm), or `package:NAME/FILE` for "
        "one that an installed Python package carries.",
        optional=True,
        min_length=1,
    )
    url: str | None = key(
        "Instead of `path`: address to fetch it from, once for all runs.", optional=True, pattern=ADDRESS
    )
    release: str | None = key(
        "A name of your own for other weights of the same backbone. Backbone and release alone tell models apart: where the "
        "file lies, what it is called and whether it is checked do not, and other weights under the name of earlier ones are "
        "refused.",
        optional=True,
        pattern=NAME,
    )
    sha256: str | None = key(
        "Digest of the file, or its first digits; checked before use. Without it, the digest found is recorded beside the "
        "file.",
        optional=True,
        pattern=DIGEST,
    )


@dataclass(frozen=True, kw_only=True)
class CapEntry:
    """Another cap at one scale."""

    short_side: int = key("The shorter side, pixels.", minimum=16)
    max_size: int = key("Its cap of the longer side, pixels.", minimum=16)


@dataclass(frozen=True, kw_only=True)
class TransformSetEntry:
    """A named set of transforms."""

    name: str = key(_NAME, pattern=NAME)
    short_sides: tuple[int, ...] = key("Lengths of the shorter image side, pixels.", minimum=16, min_items=1)
    max_size: int = key("Cap of the longer side, pixels.", minimum=16)
    max_size_at: tuple[CapEntry, ...] = key("Other caps at single scales.", default=())
    flips: str = key("Each scale plain, mirrored, or both.", default="both", choices=tuple(FLIPS))


@dataclass(frozen=True, kw_only=True)
class ModelDefaults:
    """What models share."""

    network: NetworkSpec = key(
        "The architecture: Faster or Keypoint R-CNN with FPN. Widths left out are detectron2's.",
        optional=True,
        inherits=True,
    )
    training: TrainingOptions = key("Schedule and sampling.", optional=True, inherits=True)
    test_scale: TestScale = key("Scale of the plain pass.", optional=True, inherits=True)
    initial: Literal["imagenet", "teacher", "random"] = key(
        "Initial weights. The paper retrains from ImageNet weights; teacher fine-tunes the label set's teacher.",
        default="imagenet",
    )
    proposals: Literal["joint", "teacher"] = key(
        "Region proposals: of an RPN trained with the rest, or of the label set's teacher, whose backbone and RPN are taken over "
        "and frozen, as the paper's keypoint models had it (section 6.1); then the teacher must have the same network.",
        default="joint",
    )


@dataclass(frozen=True, kw_only=True)
class ModelEntry(ModelDefaults):
    """A model to train."""

    name: str = key(_NAME, pattern=NAME)
    task: str = key(_TASK, choices=TASKS)
    labelled: str = key("Split of manually labelled images.")
    label_set: str | None = key(
        "Label set of generated labels to learn from, too; without it the model is supervised only.", optional=True
    )
    fraction: float = key("Part of the images to use, nested: 0.2 contains 0.1.", default=1.0, above=0, maximum=1)


@dataclass(frozen=True, kw_only=True)
class LabelSetEntry(LabellingOptions):
    """A label set; the keys of `labelling` override it."""

    name: str = key(_NAME, pattern=NAME)
    teacher: str = key("Model that generates the labels.")
    unlabelled: str = key("Split to label.")
    compare_with: str | None = key(
        "Label set of the same split to show its quality beside; changes no result.", optional=True, identity=False
    )


@dataclass(frozen=True, kw_only=True)
class RoundsEntry:
    """Rounds of distillation."""

    name: str = key(
        "Its name: round 2 of `cells` is the model `cells-round-2`, which learns from the label set `cells-round-2`; the table is "
        "`rounds-cells`.",
        pattern=NAME,
    )
    task: str = key(_TASK, choices=TASKS)
    labelled: str = key("Split of manually labelled images: every round's.")
    unlabelled: str = key("Split that each round's labels are of.")
    rounds: int = key("How many students follow the first model.", minimum=1, maximum=20)
    held_out: str | None = key(
        "Annotated split that nothing learns from, on which labels are judged: what the teacher of each round would label there, by "
        "the round's thresholds. Without it, the task's evaluation split.",
        optional=True,
    )
    teacher: ModelDefaults | None = key(
        "What the first model has otherwise than `defaults`.", optional=True, inherits=True
    )
    student: ModelDefaults | None = key(
        "What every student has otherwise than `defaults`.", optional=True, inherits=True
    )
    labels: LabellingOptions | None = key(
        "What the label sets have otherwise than [labelling](#labelling).", optional=True, inherits=True
    )


@dataclass(frozen=True, kw_only=True)
class RowEntry:
    """A row of a table."""

    one_of: ClassVar[tuple[str, ...]] = ("model", "best_of")
    cells: tuple[str | int | float, ...] = key("Display text, one entry a column.")
    model: str | None = key("Model of the row.", optional=True)
    best_of: tuple[str, ...] | None = key(
        "Instead of `model`: the one of these models with the best mean AP on the evaluation split. That choice favours the "
        "row, so use it for baselines only.",
        optional=True,
        min_items=1,
    )
    mode: str = key(
        "Evaluation: plain, augmented (with the labelling transforms, Table 3), or with a transform set by name.",
        default="plain",
    )
    split: str | None = key("Evaluation split, if not the task's.", optional=True)
    baseline: int | None = key(
        "Row that this row's gain is given against, instead of the table's baseline.", default=None, minimum=1
    )
    published: str | None = key(
        "The paper's row to show beside ours: table.row, e.g. table1a.2, or a figure of its text: in_text.key.number.",
        default=None,
    )
    note: str = key("A remark shown with the row.", default="")


@dataclass(frozen=True, kw_only=True)
class TableEntry:
    """A table."""

    name: str = key(_NAME, pattern=NAME)
    title: str = key("Heading.")
    task: str = key(_TASK, choices=TASKS)
    columns: tuple[str, ...] = key("Names of the display columns that stand before the metrics.")
    rows: tuple[RowEntry, ...] = key("Rows. Display text never enters a model's identity.", min_items=1)
    caption: str = key("Text under the heading.", default="")
    optional: bool = key("Made by its name only, not by `all`, unless `build` names it.", default=False)
    baseline: int | tuple[int, ...] | None = key(
        "Row, or list of rows, that gains are given against, counted from 1.", default=None, minimum=1
    )
    steps: bool = key(
        "Whether each row goes on from the one before: its gain is given against that one, in columns of its own that say whether it "
        "helped.",
        default=False,
    )
    labels_on: str | None = key(
        "Annotated split on which to judge the labels that each row's model learned from; adds how many an image of the pool has, and "
        "their precision and recall there.",
        default=None,
    )


@dataclass(frozen=True, kw_only=True)
class FigureEntry:
    """A figure."""

    name: str = key(_NAME, pattern=NAME)
    kind: Literal[
        "ensemble",
        "gallery",
        "thresholds",
        "label_quality",
        "lengths",
        "losses",
        "comparison",
        "fractions",
        "teachers",
    ] = key("What it shows.")
    caption: str = key("Text under the figure.", default="")
    label_set: str | None = key("For ensemble, gallery, thresholds and label_quality: the label set.", optional=True)
    models: tuple[str, ...] | None = key(
        "For lengths, losses, comparison, fractions and teachers: the models, in order.", optional=True
    )
    references: tuple[str, ...] = key(
        "Models drawn as reference lines: for lengths any number, for fractions and teachers one.", default=()
    )
    images: int = key(
        "For a gallery: images drawn at random (by category: one each), between the most confident and the mistakes.",
        default=12,
        minimum=1,
    )
    score_threshold: float | None = key(
        "For comparison: detections below it are not drawn; null draws as many of each model as the split has instances.",
        default=0.7,
        minimum=0,
        maximum=1,
    )


@dataclass(frozen=True, kw_only=True)
class Config:
    """One YAML file: a run."""

    run: str = key(
        "Name of this config's world. Everything is made under `results/{run}/`, so runs of different names never share a "
        "folder.",
        pattern=NAME,
        identity=False,
    )
    data_note: str | None = key(
        "One line that says what data the results are from. It stands in every table, figure and report. null names the splits.",
        default=None,
        min_length=1,
        identity=False,
    )
    proxy: bool | None = key(
        "What the data are beside the paper's: true, they stand in for them (rendered scenes, small samples), are labelled so and "
        "never compared with the paper's figures by difference; false, they are the paper's; null, your own, of which neither is "
        "said.",
        default=None,
        identity=False,
    )
    preset: Literal["small", "r50"] | None = key(
        "Networks, schedules, scales and initial weights to start from, for both tasks: small (EfficientNet-lite0 and a narrow "
        "pyramid, for a CPU or a small GPU) or r50 (the paper's). [presets.yaml](presets.yaml) spells them out; what the config "
        "says itself wins, key by key. Left out, it is small for a config without `defaults` whose models have no networks and schedules.",
        optional=True,
        identity=False,
    )
    seeds: tuple[int, ...] = key(
        "Seeds of initial weights and draws. Every model is trained once for each; tables then give mean, sample standard "
        "deviation and each value.",
        default=(1,),
        minimum=0,
        min_items=1,
        unique=True,
    )
    fraction_seed: int = key("Seed of the nested fractions of unlabelled splits (Figure 5).", default=0, minimum=0)
    num_keypoints: int | None = key(
        "Keypoints that each annotated instance must have; annotation files with another number are refused. null takes what "
        "each file has.",
        default=None,
        identity=False,
    )
    build: tuple[str, ...] | None = key(
        "Names of the tables and figures that `all` builds; null builds all. A row that has not been run is a dash.",
        default=None,
        identity=False,
    )
    data_root: str = key(
        "Folder of COCO's 2014 and 2017 releases as published (annotations, train2017, val2017, unlabeled2017), for splits of "
        "kind coco_release.",
        default="data/coco",
        min_length=1,
        path=True,
        identity=False,
    )
    fetch: bool = key(
        "Whether what `data_root` lacks is downloaded: only the archives that the asked-for splits need, about 20 GB each for "
        "train2017 and unlabeled2017.",
        default=False,
        identity=False,
    )
    splits: tuple[SplitSpec, ...] = key(
        "Named lists of images, as COCO JSON. `kind` says where they come from: rendered, coco_release (the paper's splits), "
        "coco and voc (your own), folder, videos, or derived from other splits: unlabelled (annotations stripped, they become the "
        "hidden truth), union, fraction.",
        min_items=1,
    )
    weights: tuple[WeightsEntry, ...] = key(
        "ImageNet weights by backbone, for models whose `initial` is imagenet. Those of presets are known without.",
        default=(),
    )
    transform_sets: tuple[TransformSetEntry, ...] = key(
        'Named sets of transforms for multi-transform inference (section 4). "plain" is always there, it is the model\'s test '
        "scale alone.",
        default=(),
    )
    defaults: Mapping[str, ModelDefaults] = key(
        "What models of a task share unless they say otherwise: `network`, `training`, `test_scale`, `initial`, `proposals`.",
        default=None,
        keys=TASKS,
        inherits=True,
    )
    models: tuple[ModelEntry, ...] = key(
        "Models to train. Teacher and student are roles; both are entries here. At least one, or `rounds`.",
        default=(),
        inherits=True,
    )
    label_sets: tuple[LabelSetEntry, ...] = key(
        "Labels that a teacher generates for an unlabelled split. Any key of `labelling` can be set here for one label set.",
        default=(),
        inherits=True,
    )
    rounds: tuple[RoundsEntry, ...] = key(
        "Rounds of distillation, each written out as models, label sets and a table before anything else is made of the config. Round 0 "
        "is a model of the labelled split; round k is one of the labelled split and of the labels that round k - 1's model gave the "
        "unlabelled one. Nothing else is carried over (docs/rounds.md).",
        default=(),
        inherits=True,
    )
    labelling: LabellingOptions = key(
        "How labels are generated (sections 4 and 6.1), for all label sets and for augmented evaluation.",
        default=LabellingOptions(),
    )
    evaluate_on: Mapping[str, str] = key("Split that each task's models are evaluated on.", default=None, keys=TASKS)
    tables: tuple[TableEntry, ...] | None = key(
        "Tables to make. null is one for each task of `evaluate_on`, with all its models; an empty list: none.",
        default=None,
    )
    figures: tuple[FigureEntry, ...] | None = key(
        "Figures to make. null is a gallery of each label set; an empty list: none.", default=None
    )
    compute: ComputeOptions = key(
        "How fast, not what: device, processes, threads, memory and time of each stage. No part of a model's identity; a GPU, "
        "several processes or other threads change results within the noise of a seed.",
        default=ComputeOptions(),
        identity=False,
    )
