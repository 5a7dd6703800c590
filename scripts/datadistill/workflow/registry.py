"""The objects of a run: splits, weights, models, predictions, gates, refinements, label sets, evaluations.

They hold each other: a label set has a teacher, a model a label set. Each knows its `digest`, the `files` that its rules
make, and what it `rests_on` (which `needs` walks along).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from datadistill.data.derived_specs import ExclusionSplit
from datadistill.data.specs import RenderedSplit, VideosSplit
from datadistill.data.split_spec import SplitSpec
from datadistill.files import canonical_json
from datadistill.specs import EvaluationSpec, GateSpec, LabelSetSpec, ModelSpec, PredictionsSpec, RefinementSpec, Spec
from datadistill.workflow.paths import Paths


@dataclass(frozen=True, eq=False)
class Result(ABC):
    """What one or two rules make. Results of one kind and `id` are the same, under whatever name of the config."""

    id: str
    paths: Paths = field(repr=False)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.id == other.id  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((type(self), self.id))

    @property
    @abstractmethod
    def files(self) -> tuple[str, ...]:
        """The paths that its rules make, the one that others read first."""

    @property
    def file(self) -> str:
        """The path that others read."""
        return self.files[0]

    @property
    def rests_on(self) -> tuple[Result, ...]:
        """The results that its rules read."""
        return ()


@dataclass(frozen=True, eq=False)
class Specified(Result):
    """A result that is fixed by a spec, whose digest ends its id."""

    spec: Spec

    @cached_property
    def digest(self) -> str:
        """Eight characters that differ where the results may differ."""
        return self.spec.digest


@dataclass(frozen=True, eq=False)
class Split(Result):
    """A named list of images. `id` names its file; `sources` are the splits it is made from.

    `spec` is its entry of the config, with the ids of its sources in place of their names; `downloads` what must be
    fetched first, by name; `excluded` those whose images it leaves out.
    """

    name: str
    digest: str
    spec: SplitSpec
    sources: tuple[Split, ...]
    downloads: tuple[str, ...] = ()
    excluded: tuple[Split, ...] = ()

    @property
    def kind(self) -> str:
        return self.spec.kind

    @property
    def shards(self) -> int:
        return self.spec.shards

    @cached_property
    def files(self) -> tuple[str, ...]:
        return self.paths.split(self.id), self.paths.split_ledger(self.id)

    @property
    def rests_on(self) -> tuple[Split, ...]:
        return (*self.sources, *self.excluded)

    @property
    def scenes(self) -> tuple[str, ...]:
        """What the renderer says of its scenes, for a split of those: one file or none."""
        return (self.paths.scene_annotations(self.id),) if isinstance(self.spec, RenderedSplit) else ()

    @property
    def clips(self) -> tuple[str, ...]:
        """The folder of rendered clips that its frames are sampled from: one or none."""
        return (self.paths.clips(self.id),) if isinstance(self.spec, VideosSplit) and self.spec.rendered else ()

    @property
    def rule_spec(self) -> str:
        """What fixes it, as JSON; where its files lie is in a note (`Paths.split_source`)."""
        return canonical_json({"name": self.spec.name, **self.spec.identity()})

    @property
    def leaves(self) -> tuple[Split, ...]:
        """The splits of images that it is made of: itself, or its sources' leaves."""
        return tuple(dict.fromkeys(leaf for source in self.sources for leaf in source.leaves)) or (self,)

    @property
    def whole(self) -> Split:
        """The split before the images of others were left out of it."""
        return self.sources[0] if isinstance(self.spec, ExclusionSplit) else self

    @property
    def truth(self) -> Split | None:
        """The split that has its hidden annotations, and perhaps more images."""
        return self.whole.sources[0] if self.whole.kind == "unlabelled" else None


@dataclass(frozen=True, eq=False)
class Weights(Result):
    """Initial weights of a backbone, shared by all runs. `source` is the config's entry: where they come from.

    Backbone and release name them, wherever they come from and however they are checked.
    """

    source: Mapping[str, Any] = field(repr=False)

    @cached_property
    def files(self) -> tuple[str, ...]:
        return (self.paths.weights(self.id),)


@dataclass(frozen=True, eq=False)
class Model(Specified):
    """A model of one seed. `initial` is what training starts from: weights, the teacher, or None.

    `held_out` are the splits that judge it: the one of its task, or those of its rows where the task has none.
    """

    spec: ModelSpec
    name: str
    seed: int
    labelled: Split
    label_set: LabelSet | None
    initial: Weights | Model | None
    held_out: dict[Split, None] = field(repr=False)

    @cached_property
    def files(self) -> tuple[str, ...]:
        return self.paths.model(self.id), self.metrics, self.drawn

    @property
    def metrics(self) -> str:
        return self.paths.metrics(self.id)

    @property
    def drawn(self) -> str:
        return self.paths.drawn(self.id)

    @property
    def rests_on(self) -> tuple[Result, ...]:
        learned = (self.labelled, self.label_set, self.initial, self.proposals)
        return (*(result for result in learned if result is not None), *self.checked)

    @property
    def task(self) -> str:
        return self.spec.task

    @property
    def proposals(self) -> Model | None:
        """The model whose proposals it takes over."""
        return self.teacher if self.spec.proposals == "teacher" else None

    @property
    def teacher(self) -> Model | None:
        return self.label_set.teacher if self.label_set else None

    @property
    def iterations_in_all(self) -> int:
        """Its iterations and, where it goes on from its teacher's weights (fine-tuning), those of its teacher."""
        before = self.teacher.iterations_in_all if self.teacher and self.spec.initial == "teacher" else 0
        return self.spec.training.iterations + before

    @cached_property
    def learned_from(self) -> tuple[Split, ...]:
        """The splits that it learns from, directly or through its teachers."""
        taught = (self.label_set.split, *self.label_set.teacher.learned_from) if self.label_set else ()
        return tuple(dict.fromkeys((self.labelled, *taught)))

    @property
    def disjoint(self) -> tuple[tuple[Split, Split], ...]:
        """Pairs of splits that must not share an image: what it learns from against what judges it, and labelled images
        against unlabelled ones.

        Splits that only some rows are evaluated on are compared with what was drawn, when they are scored: a row more
        must not train its model again.
        """
        pairs = [(a, b) for a in self.learned_from for b in self.held_out]
        if self.label_set:
            pairs.append((self.labelled, self.label_set.split))
        return tuple(dict.fromkeys(pairs))

    @property
    def same_categories(self) -> tuple[Split, ...]:
        """The annotated splits that must have the same categories: those that it and its teachers learn from, and those
        that judge it."""
        learned, model = [self.labelled], self.teacher
        while model:
            learned.append(model.labelled)
            model = model.teacher
        return tuple(dict.fromkeys((*learned, *self.held_out)))

    @property
    def checked(self) -> tuple[Split, ...]:
        """The splits that are compared before it is trained."""
        pairs = (split for pair in self.disjoint for split in pair)
        return tuple(dict.fromkeys((*pairs, *self.same_categories)))


@dataclass(frozen=True, eq=False)
class Predictions(Specified):
    """Detections of a model on a split, in `shards` files."""

    spec: PredictionsSpec
    model: Model
    split: Split

    @cached_property
    def files(self) -> tuple[str, ...]:
        shards = self.split.shards
        return tuple(self.paths.predictions(self.id, shard, shards) for shard in range(shards))

    @property
    def rests_on(self) -> tuple[Result, ...]:
        return self.model, self.split


@dataclass(frozen=True, eq=False)
class Gate(Specified):
    """Which boxes of predictions are worth refining."""

    spec: GateSpec
    predictions: Predictions

    @cached_property
    def files(self) -> tuple[str, ...]:
        return (self.paths.gate(self.id),)

    @property
    def rests_on(self) -> tuple[Result, ...]:
        return self.predictions, self.predictions.split, self.labelled

    @property
    def labelled(self) -> Split:
        return self.predictions.model.labelled


@dataclass(frozen=True, eq=False)
class Refinement(Specified):
    """Keypoints of the boxes that pass a gate, or of all (`gate` None), in as many files as the predictions."""

    spec: RefinementSpec
    predictions: Predictions
    gate: Gate | None

    @cached_property
    def files(self) -> tuple[str, ...]:
        shards = self.predictions.split.shards
        return tuple(self.paths.refinement(self.id, shard, shards) for shard in range(shards))

    @property
    def rests_on(self) -> tuple[Result, ...]:
        return (*self.predictions.rests_on, self.predictions, *([self.gate] if self.gate else []))


@dataclass(frozen=True, eq=False)
class LabelSet(Specified):
    """Labels of one seed's teacher. `truth` is the split that holds the hidden truth, or None."""

    spec: LabelSetSpec
    name: str
    predictions: Predictions
    refinement: Refinement | None

    @cached_property
    def files(self) -> tuple[str, ...]:
        return tuple(map(self.made, ("annotations.json", "thresholds.json", "provenance.json")))

    def made(self, file: str) -> str:
        """The path of a file in its folder."""
        return self.paths.labels(self.id, file)

    @property
    def rests_on(self) -> tuple[Result, ...]:
        refinement = [self.refinement] if self.refinement else []
        return (self.predictions, *refinement, self.split, self.labelled)

    @property
    def teacher(self) -> Model:
        return self.predictions.model

    @property
    def seed(self) -> int:
        return self.teacher.seed

    @property
    def labelled(self) -> Split:
        return self.teacher.labelled

    @property
    def split(self) -> Split:
        return self.predictions.split

    @property
    def task(self) -> str:
        return self.teacher.task

    @property
    def detections(self) -> Predictions | Refinement:
        """What the labels are made of: the refinement where the task has one, else the predictions."""
        return self.refinement or self.predictions

    @property
    def truth(self) -> Split | None:
        return self.split.truth

    @property
    def title(self) -> str:
        """What pages call it."""
        return f"{self.split.name}, labelled by {self.teacher.name} (seed {self.seed})"


@dataclass(frozen=True, eq=False)
class Evaluation(Specified):
    """COCO metrics of a model on a split; `mode` is "plain", "augmented" or the name of a transform set."""

    spec: EvaluationSpec
    mode: str
    predictions: Predictions
    refinement: Refinement | None

    @cached_property
    def files(self) -> tuple[str, ...]:
        return (self.paths.evaluation(self.id),)

    @property
    def rests_on(self) -> tuple[Result, ...]:
        return self.detections, self.split, self.model

    @property
    def model(self) -> Model:
        return self.predictions.model

    @property
    def split(self) -> Split:
        return self.predictions.split

    @property
    def detections(self) -> Predictions | Refinement:
        """What is scored."""
        return self.refinement or self.predictions
