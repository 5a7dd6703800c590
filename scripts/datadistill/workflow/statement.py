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
        "Instead of `path`: address to fetch it from, once for all runs.",
        optional=True,
        pattern=ADDRESS,
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
        "For a gallery: images drawn at random (by category: one each), in rows of five at most; a row of the most confident "
        "ones stands above, and a row of mistakes below where the truth is known. For comparison: images in a row.",
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
class StageOptions:
    """What a job of a stage gets."""

    threads: int = key("Threads of a job.", default=1, minimum=1)
    processes: int = key("Training: data-parallel processes, one a GPU.", default=1, minimum=1)
    workers: int = key("Processes that read images for each training process.", default=0, minimum=0)
    gpu: int = key("GPUs of a job.", default=0, minimum=0)
    mem_mb: int = key("Memory of a job, MB.", default=4000, minimum=1)
    runtime: int = key("Time limit of a job, minutes.", default=240, minimum=1)


_STAGE = "What a job of this stage gets."


@dataclass(frozen=True, kw_only=True)
class ComputeOptions:
    """How fast, not what."""

    device: Literal["auto", "cpu", "cuda"] = key(
        "auto uses a GPU if the machine shows one; cuda without one is an error.", default="auto"
    )
    memory_format: Literal["auto", "channels_last", "contiguous"] = key(
        "How a network's tensors lie in memory: auto is channels_last on a CPU and contiguous on a GPU. On GPUs with tensor cores "
        "channels_last pays together with reduced precision (docs/method.md).",
        default="auto",
    )
    vision_env: Literal["vision-cpu", "vision-cuda"] = key(
        "The conda environment of training and inference under --use-conda; vision-cuda needs a GPU, or CONDA_OVERRIDE_CUDA, "
        "to be solved.",
        default="vision-cpu",
    )
    checkpoint_every: int = key("Iterations between training checkpoints.", default=1000, minimum=1)
    train: StageOptions = key(_STAGE, default=StageOptions())
    label: StageOptions = key(_STAGE, default=StageOptions())
    data: StageOptions = key(_STAGE, default=StageOptions())
    report: StageOptions = key(_STAGE, default=StageOptions())


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
        "coco (your own), folder, videos, or derived from other splits: unlabelled (annotations stripped, they become the "
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
        "Models to train. Teacher and student are roles; both are entries here.", min_items=1, inherits=True
    )
    label_sets: tuple[LabelSetEntry, ...] = key(
        "Labels that a teacher generates for an unlabelled split. Any key of `labelling` can be set here for one label set.",
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
