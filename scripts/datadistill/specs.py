"""The specs that fix every result, and the names and digests that follow from them.

A spec holds only what affects its result, the digests of what it depends on, and the version of its stage's code. Its
digest ends the name of the folder that holds the result, so a changed default makes a new folder.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from datadistill.errors import UserError
from datadistill.files import digest
from datadistill.keys import key, read
from datadistill.transforms import TestScale, Transform

S = TypeVar("S", bound="Spec")

LEAST_MARGIN = 1.5
"""Times the target's boxes that every gate lets pass at least, so that thresholds can be lowered without inference."""

STAGE_VERSIONS: dict[str, int] = {
    # Raised by hand when a stage's results would change; never for a comment or a log line, nor for a field more that no later stage
    # computes with (a label's `disagreement`): files without it are read as files that don't say.
    "split": 2,
    "model": 2,
    "predictions": 1,
    "gate": 2,
    "refinement": 1,
    "label_set": 2,
    "evaluation": 1,
}


class Spec:
    """Base of all specs: canonical form and digest."""

    stage: str = ""
    # Fields added since results exist: at their defaults they are no part of the identity, so that none is renamed.
    added: tuple[str, ...] = ()

    def canonical(self) -> dict[str, Any]:
        """The spec as plain JSON values, with the version of its stage's code."""
        fields = dataclasses.asdict(self)  # type: ignore[call-overload]
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            if field.name in self.added and fields[field.name] == field.default:
                del fields[field.name]
        return {"stage": self.stage, "version": STAGE_VERSIONS[self.stage], **fields}

    @property
    def digest(self) -> str:
        """Eight characters that differ where the results may differ."""
        return digest(self.canonical())


@dataclass(frozen=True)
class NetworkSpec:
    """The architecture: a backbone by name, with the widths of everything on top of it.

    `None` leaves detectron2's value of the base config.
    """

    backbone: str = key("R-18, R-34, R-50, R-101, X-101-32x4d, X-101-64x4d, or timm:NAME.", default="R-50")
    norm: Literal["FrozenBN", "BN", "SyncBN", "GN"] | None = key(
        "Normalisation. Random weights need another than FrozenBN.", optional=True
    )
    stem_channels: int | None = key("Width of the stem.", optional=True, minimum=1)
    res2_channels: int | None = key("Output width of the first residual stage.", optional=True, minimum=1)
    width_per_group: int | None = key("Width of a group of the bottleneck's 3x3 convolution.", optional=True, minimum=1)
    fpn_channels: int | None = key("Width of the feature pyramid.", optional=True, minimum=1)
    box_head_channels: int | None = key("Width of the box head's two layers.", optional=True, minimum=1)
    keypoint_head_channels: tuple[int, ...] | None = key(
        "Widths of the keypoint head's convolutions.", optional=True, minimum=1, min_items=1
    )
    anchor_sizes: tuple[int, int, int, int, int] | None = key(
        "Anchor size of each pyramid level, pixels of the resized image.", optional=True, minimum=1
    )
    proposals_train: int | None = key("Proposals kept for each training image.", optional=True, minimum=1)
    proposals_test: int | None = key("Proposals kept for each test image.", optional=True, minimum=1)
    rois_per_image: int | None = key("Regions of each image that train the heads.", optional=True, minimum=1)


@dataclass(frozen=True)
class TrainingSpec:
    """Schedule and sampling. Iterations and batch are global (over all processes); sizes are in pixels."""

    iterations: int = key("Length of the schedule.", minimum=1, maximum=100_000_000)
    batch_size: int = key("Images of a minibatch over all processes.", minimum=1, maximum=65_536)
    learning_rate: float = key("Learning rate at that batch; the paper's 0.02 is for 16 images.", above=0)
    decay_at: tuple[float, ...] = key(
        "Fractions of the iterations after which the learning rate is divided by 10 (section 4).",
        default=(0.7, 0.9),
        above=0,
        below=1,
    )
    warmup_iterations: int = key("Iterations of linear warm-up.", default=500, minimum=0)
    warmup_factor: float = key(
        "Part of the learning rate that warm-up starts from: detectron2's; Detectron's is 1/3.",
        default=0.001,
        minimum=0,
        maximum=1,
    )
    weight_decay: float = key("Weight decay.", default=1e-4, minimum=0)
    clip_gradients: float | None = key(
        "Largest norm of a parameter's gradient; null doesn't clip.", default=None, above=0
    )
    train_scales: tuple[int, ...] = key(
        "Shorter sides that training images are resized to, pixels; one is drawn for each image.",
        default=(640, 672, 704, 736, 768, 800),
        minimum=16,
        min_items=1,
    )
    max_size: int = key("Cap of the longer side, pixels.", default=1333, minimum=16)
    labelled_ratio: float = key(
        "Probability that an image of a minibatch is a labelled one, for models with a label set (the paper's 6:4).",
        default=0.6,
        minimum=0,
        maximum=1,
    )
    generated_background: bool = key(
        "Whether background regions of images with generated labels train the detector (section 4).", default=True
    )
    crowds: Literal["background", "ignored"] = key(
        "Whether proposals that lie in crowd regions train as background (detectron2's way) or not at all (Detectron's).",
        default="background",
    )
    amp: bool = key("bfloat16 mixed precision.", default=False)


@dataclass(frozen=True)
class TrainingOptions(TrainingSpec):
    """The schedule as a config gives it."""

    batch_scale: float = key("Multiplies batch size and learning rate together (linear scaling).", default=1.0, above=0)

    def spec(self, *, labelled_only: bool) -> TrainingSpec:
        """The schedule with `batch_scale` applied.

        What a model without a label set doesn't use is set to its default, so that it can't change its digest.
        """
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(TrainingSpec)}
        batch = max(1, round(self.batch_size * self.batch_scale))
        values |= {"batch_size": batch, "learning_rate": self.learning_rate * batch / self.batch_size}
        return TrainingSpec(**values | ({"labelled_ratio": 1.0, "generated_background": True} if labelled_only else {}))


@dataclass(frozen=True, kw_only=True)
class LabellingOptions:
    """How labels are generated (sections 4 and 6.1)."""

    transforms: str = key("Name of the transform set.", default="plain")
    score_floor: float = key("Detections below it are dropped.", default=0.05, minimum=0, maximum=1)
    nms: float = key("IoU of non-maximum suppression.", default=0.5, minimum=0, maximum=1)
    max_detections: int = key("Detections kept for each image.", default=100, minimum=1)
    voting: float | None = key(
        "Objects: IoU from which boxes vote for a kept box; null turns voting off.", default=0.8, minimum=0, maximum=1
    )
    average: Literal["probabilities", "logits"] = key(
        "What the keypoint heatmaps of the transforms are averaged as.", default="probabilities"
    )
    size_dependent: bool = key(
        "Detectron's rule: small boxes ignore down-scaled heatmaps, large ones up-scaled.", default=False
    )
    count_instances: Literal["with_keypoints", "all"] | None = key(
        "Which labelled instances set the target; null is the task's: with_keypoints for keypoints, all for objects.",
        default=None,
    )
    gate_margin: float = key(
        "Keypoints: times the target's boxes that get refined keypoints, so that lower thresholds cost no inference. It "
        "changes no label: what a label set itself asks for is always covered, and a wider gate runs only the boxes that "
        "are missing.",
        default=LEAST_MARGIN,
        minimum=LEAST_MARGIN,
    )
    instance_ratio: float = key(
        "Generated instances per unlabelled image, as a multiple of the labelled ones'.", default=1.0, above=0
    )
    keypoint_ratio: float = key(
        "Keypoints per generated instance, as a multiple of the labelled ones'.", default=1.0, above=0
    )
    instance_threshold: float | None = key(
        "A score threshold to use instead of matching counts. Of keypoints, it is the gate, too.",
        default=None,
        minimum=0,
        maximum=1,
    )
    keypoint_threshold: float | None = key(
        "A keypoint score threshold to use instead of matching counts.", default=None
    )
    per_category: bool = key("Objects: a threshold for each category; false uses one for all.", default=True)
    precision: Literal["float32", "bfloat16"] = key(
        "What networks compute in when they label or are evaluated; bfloat16 is fast on some devices, and changes results.",
        default="float32",
    )


@dataclass(frozen=True)
class ModelSpec(Spec):
    """A trained network. Teacher and student are roles: both are this.

    `labelled` and `label_set` are digests (`label_set` None: labelled images only); `fraction` of the label set's images is
    used; `initial` is "imagenet", "random" or "teacher"; `weights` the teacher's digest, or which release of the backbone's
    ImageNet weights (None: the only one), wherever the file lies. `proposals` is
    "joint", or "teacher" for the frozen proposal network of the label set's teacher (which `label_set` already fixes).
    """

    task: str
    network: NetworkSpec
    training: TrainingSpec
    labelled: str
    label_set: str | None
    fraction: float
    fraction_seed: int
    initial: str
    weights: str | None
    seed: int
    test_scale: TestScale
    proposals: str = "joint"
    stage = "model"


@dataclass(frozen=True)
class PredictionsSpec(Spec):
    """Detections of a model on a split: the plain pass (one transform), or all transforms merged (objects)."""

    model: str
    split: str
    transforms: tuple[Transform, ...]
    score_floor: float
    nms: float
    max_detections: int
    voting: float | None
    keypoints: bool
    precision: str = "float32"
    stage = "predictions"
    added = ("precision",)


@dataclass(frozen=True)
class GateSpec(Spec):
    """Which boxes of a label set's predictions are worth refining: `covers` times as many as the target asks for (of
    each category, if `per_category`), or those that score at least `threshold`, where the config fixes it.

    It says what a gate must cover. That it may let more pass (`gate_margin`) changes no label, and is no part of it.
    """

    predictions: str
    labelled: str
    count_instances: str
    covers: float | None
    threshold: float | None
    per_category: bool
    stage = "gate"


@dataclass(frozen=True)
class RefinementSpec(Spec):
    """Keypoints of given boxes from averaged heatmaps of all transforms. `gate` None: every box."""

    predictions: str
    gate: str | None
    transforms: tuple[Transform, ...]
    average: str
    size_dependent: bool
    precision: str = "float32"
    stage = "refinement"
    added = ("precision",)

    @property
    def of_every_box(self) -> RefinementSpec:
        """The same without a gate: what labels depend on, since a gate drops only boxes that can't become labels."""
        return dataclasses.replace(self, gate=None)


@dataclass(frozen=True)
class LabelSetSpec(Spec):
    """Hard labels of an unlabelled split: whose predictions, and the thresholds that keep the reliable ones.

    `refinement` is the digest of the refinement of every box: labels don't depend on the gate.
    """

    predictions: str
    refinement: str | None
    labelled: str
    count_instances: str
    instance_ratio: float
    keypoint_ratio: float
    instance_threshold: float | None
    keypoint_threshold: float | None
    per_category: bool
    stage = "label_set"


@dataclass(frozen=True)
class EvaluationSpec(Spec):
    """COCO metrics of predictions (or of their refinement) on an annotated split."""

    predictions: str
    refinement: str | None
    split: str
    stage = "evaluation"


def parse_spec(cls: type[S], values: Mapping[str, Any]) -> S:
    """The spec whose `canonical()` is `values`; a version other than this code's is refused."""
    if values.get("stage") != cls.stage or values.get("version") != STAGE_VERSIONS[cls.stage]:
        raise UserError(
            f"spec of stage {values.get('stage')} version {values.get('version')} can't be read as {cls.stage}"
        )
    fields = {name: value for name, value in values.items() if name not in ("stage", "version")}
    return read(cls, fields, f"spec of stage {cls.stage}")


def model_spec(values: Mapping[str, Any]) -> ModelSpec:
    """A `ModelSpec` from its canonical form."""
    return parse_spec(ModelSpec, values)
