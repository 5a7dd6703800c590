"""The specs that fix every result, and the names and digests that follow from them.

A spec holds only what affects its result, the digests of what it depends on, and the version of its stage's code. Its
digest ends the name of the folder that holds the result, so a changed default makes a new folder.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from datadistill.errors import UserError
from datadistill.files import digest
from datadistill.transforms import TestScale, Transform

S = TypeVar("S", bound="Spec")

STAGE_VERSIONS: dict[str, int] = {
    # Raised by hand when a stage's results would change; never for a comment or a log line.
    "split": 1,
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

    def canonical(self) -> dict[str, Any]:
        """The spec as plain JSON values, with the version of its stage's code."""
        return {"stage": self.stage, "version": STAGE_VERSIONS[self.stage], **dataclasses.asdict(self)}  # type: ignore[call-overload]

    @property
    def digest(self) -> str:
        """Eight characters that differ where the results may differ."""
        return digest(self.canonical())


@dataclass(frozen=True)
class NetworkSpec:
    """The architecture: a backbone by name, with the widths of everything on top of it.

    `backbone`: R-50, R-101, X-101-32x4d, ... or `timm:NAME`. `None` leaves detectron2's value of the base config.
    """

    backbone: str = "R-50"
    norm: str | None = None
    stem_channels: int | None = None
    res2_channels: int | None = None
    width_per_group: int | None = None
    fpn_channels: int | None = None
    box_head_channels: int | None = None
    keypoint_head_channels: tuple[int, ...] | None = None
    anchor_sizes: tuple[int, ...] | None = None
    proposals_train: int | None = None
    proposals_test: int | None = None
    rois_per_image: int | None = None


@dataclass(frozen=True)
class TrainingSpec:
    """Schedule and sampling. Iterations and batch are global (over all processes); sizes are in pixels."""

    iterations: int
    batch_size: int
    learning_rate: float
    decay_at: tuple[float, ...] = (0.7, 0.9)
    warmup_iterations: int = 500
    weight_decay: float = 1e-4
    clip_gradients: float | None = None
    train_scales: tuple[int, ...] = (640, 672, 704, 736, 768, 800)
    max_size: int = 1333
    labelled_ratio: float = 0.6
    generated_background: bool = True
    amp: bool = False


@dataclass(frozen=True)
class ModelSpec(Spec):
    """A trained network. Teacher and student are roles: both are this.

    `labelled` and `label_set` are digests (`label_set` None: labelled images only); `fraction` of the label set's images is
    used; `initial` is "imagenet", "random" or "teacher"; `weights` the teacher's digest, or which release of the backbone's
    ImageNet weights (None: the only one), wherever the file lies.
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
    stage = "predictions"


LEAST_MARGIN = 1.5
"""Times the target's boxes that every gate lets pass at least, so that thresholds can be lowered without inference."""


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
    stage = "refinement"

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


def _build(cls: type, values: Mapping[str, Any]) -> Any:
    """A dataclass from plain JSON values, nested dataclasses and tuples included."""
    hints = get_type_hints(cls)
    known = {f.name: f for f in dataclasses.fields(cls)}
    return cls(**{name: _convert(hints[name], value) for name, value in values.items() if name in known})


def _convert(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    if dataclasses.is_dataclass(hint):
        return _build(hint, value)  # type: ignore[arg-type]
    arguments = get_args(hint)
    if get_origin(hint) is tuple:
        return tuple(_convert(arguments[0], item) for item in value)
    optional = [a for a in arguments if a is not type(None)]
    return _convert(optional[0], value) if len(optional) == 1 and len(arguments) > 1 else value


def parse_spec(cls: type[S], values: Mapping[str, Any]) -> S:
    """The spec whose `canonical()` is `values`; a version other than this code's is refused."""
    if values.get("stage") != cls.stage or values.get("version") != STAGE_VERSIONS[cls.stage]:
        raise UserError(
            f"spec of stage {values.get('stage')} version {values.get('version')} can't be read as {cls.stage}"
        )
    return _build(cls, values)


def model_spec(values: Mapping[str, Any]) -> ModelSpec:
    """A `ModelSpec` from its canonical form."""
    return parse_spec(ModelSpec, values)
