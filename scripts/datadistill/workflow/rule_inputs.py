"""What each rule reads, looked up in the experiments: input and parameter functions of Snakemake's rules.

All take the wildcards of a job. They live here, not in rules/*.smk, so that tests can call them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datadistill.data.make import SCENES
from datadistill.data.specs import RenderedSplit, VideosSplit
from datadistill.files import canonical_json
from datadistill.keys import plain
from datadistill.workflow.experiments import Experiments
from datadistill.workflow.needs import Needs
from datadistill.workflow.outputs import ensemble_sources
from datadistill.workflow.outside import file_state
from datadistill.workflow.paths import Paths

NOTHING = "(?!)"
"""A regular expression that nothing matches."""


@dataclass(frozen=True)
class RuleInputs:
    """Input functions over the experiments of one config."""

    experiments: Experiments

    @property
    def paths(self) -> Paths:
        return self.experiments.paths

    # --- splits -----------------------------------------------------------------------------------------------

    def split_sources(self, wildcards: Any) -> dict[str, str]:
        """The files that a split is made from: rendered scenes or clips, downloads, or other splits.

        What a user has elsewhere is no input: a plan of a run must not need the data, and where they lie is no reason
        to run. The scripts check it, and say what is missing; `split_files` tells when it changed.
        """
        split = self.experiments.splits[wildcards.split]
        match split.spec:
            case RenderedSplit():
                return {SCENES: self.paths.scene_annotations(split.id)}
            case VideosSplit(rendered=True):
                return {"clips": self.paths.clips(split.id)}
        downloads = {f"download_{number}": self.paths.fetched(name) for number, name in enumerate(split.downloads)}
        return downloads | {f"of_{number}": self.paths.split(source) for number, source in enumerate(split.sources)}

    def split_files(self, wildcards: Any) -> list[str]:
        """Size and time of the user's annotation files and lists: another one makes the split again, a moved one doesn't."""
        return [file_state(path) for path in self.experiments.splits[wildcards.split].spec.files()]

    def split_spec(self, wildcards: Any) -> str:
        """What fixes a split, as JSON quoted for the shell; where its files lie is in `paths.split_source`."""
        spec = self.experiments.splits[wildcards.split].spec
        return shlex.quote(canonical_json({"name": spec.name, **spec.identity()}))

    def clips_spec(self, wildcards: Any) -> str:
        """The clips that a split's frames are sampled from."""
        return shlex.quote(canonical_json(plain(self.experiments.splits[wildcards.split].spec.clips)))

    def split_pattern(self, *, videos: bool) -> str:
        """A regular expression of the ids of splits that are sampled from videos, or of all others."""
        ids = [split.id for split in self.experiments.splits.values() if (split.kind == "videos") == videos]
        return "|".join(map(re.escape, ids)) or NOTHING

    def split_inputs(self, wildcards: Any) -> str:
        """`name=path` for the scenes or for each split that a split is made from, quoted for the shell."""
        split = self.experiments.splits[wildcards.split]
        files = {source: self.paths.split(source) for source in split.sources}
        if isinstance(split.spec, RenderedSplit):
            files[SCENES] = self.paths.scene_annotations(split.id)
        return " ".join(shlex.quote(f"{name}={path}") for name, path in files.items())

    def checked_splits(self, wildcards: Any) -> list[str]:
        """The splits that the check of a model's splits reads."""
        pairs = self.experiments.disjoint_splits(wildcards.model)
        ids = [*(split for pair in pairs for split in pair), *self.experiments.labelled_and_held_out(wildcards.model)]
        return [self.paths.split(split) for split in dict.fromkeys(ids)]

    def same_categories(self, wildcards: Any) -> str:
        """The splits that must have the same categories, quoted for the shell."""
        ids = self.experiments.labelled_and_held_out(wildcards.model)
        return " ".join(shlex.quote(self.paths.split(split)) for split in ids)

    def disjoint_pairs(self, wildcards: Any) -> str:
        """`path:path` for each pair of splits that must not share an image, quoted for the shell."""
        pairs = self.experiments.disjoint_splits(wildcards.model)
        return " ".join(shlex.quote(f"{self.paths.split(a)}:{self.paths.split(b)}") for a, b in pairs)

    def data_files(self, needs: Needs) -> list[str]:
        """Splits, leak reports and initial weights of all that a run needs: everything before training."""
        models = [self.experiments.models[model] for model in needs.models]
        backbones = dict.fromkeys(m.spec.network.backbone for m in models if m.spec.initial == "imagenet")
        return [
            *map(self.paths.split, needs.splits),
            *(self.paths.leaks(model.id) for model in models),
            *(self.paths.weights(self.experiments.weights_file(backbone)) for backbone in backbones),
        ]

    # --- training ---------------------------------------------------------------------------------------------

    def training(self, wildcards: Any) -> dict[str, str]:
        """Labelled split; label set and initial weights where the model has them."""
        model = self.experiments.models[wildcards.model]
        inputs = {"labelled": self.paths.split(model.labelled)}
        if model.label_set:
            inputs["label_set"] = self.paths.labels(model.label_set)
        if model.spec.initial == "teacher" and model.teacher:
            inputs["initial_weights"] = self.paths.model(model.teacher)
        elif model.spec.initial == "imagenet":
            inputs["initial_weights"] = self.paths.weights(self.experiments.weights_file(model.spec.network.backbone))
        return inputs

    @staticmethod
    def optional_training(_: Any, input: Mapping[str, str]) -> str:
        """The flags of scripts/train.py for the inputs that only some models have."""
        flags = {"label_set": "--label-set", "initial_weights": "--initial-weights"}
        return " ".join(f"{flag} {shlex.quote(input[key])}" for key, flag in flags.items() if key in input.keys())  # noqa: SIM118

    # --- labelling and evaluation -----------------------------------------------------------------------------

    def prediction_shards(self, predictions: str) -> list[str]:
        shards = self.experiments.predictions[predictions].shards
        return [self.paths.predictions(predictions, shard, shards) for shard in range(shards)]

    def refinement_shards(self, refinement: str) -> list[str]:
        shards = self.experiments.predictions[self.experiments.refinements[refinement].predictions].shards
        return [self.paths.refinement(refinement, shard, shards) for shard in range(shards)]

    def gate_predictions(self, wildcards: Any) -> list[str]:
        return self.prediction_shards(self.experiments.gates[wildcards.gate].predictions)

    def gate_split(self, wildcards: Any) -> str:
        return self.paths.split(self.experiments.predictions[self.experiments.gates[wildcards.gate].predictions].split)

    def refinement(self, wildcards: Any) -> dict[str, str]:
        """Model, split, the same shard of the predictions, and the gate where there is one."""
        refinement = self.experiments.refinements[wildcards.refinement]
        predictions = self.experiments.predictions[refinement.predictions]
        inputs = {
            "model": self.paths.model(predictions.model),
            "split": self.paths.split(predictions.split),
            "predictions": self.paths.predictions(predictions.id, wildcards.shard, wildcards.shards),
        }
        return inputs | ({"gate": self.paths.gate(refinement.gate)} if refinement.gate else {})

    def label_set_predictions(self, wildcards: Any) -> list[str]:
        return self.prediction_shards(self.experiments.label_sets[wildcards.label_set].predictions)

    def label_set_refinement(self, wildcards: Any) -> list[str]:
        refinement = self.experiments.label_sets[wildcards.label_set].refinement
        return self.refinement_shards(refinement) if refinement else []

    def label_set_detections(self, wildcards: Any) -> list[str]:
        """What the labels are made of: the refinement where the task has one, else the predictions."""
        return self.label_set_refinement(wildcards) or self.label_set_predictions(wildcards)

    def label_set_task(self, wildcards: Any) -> str:
        return self.experiments.models[self.experiments.label_sets[wildcards.label_set].teacher].spec.task

    # --- reports ----------------------------------------------------------------------------------------------

    def label_set_title(self, wildcards: Any) -> str:
        label_set = self.experiments.label_sets[wildcards.label_set]
        teacher = self.experiments.models[label_set.teacher]
        split = self.experiments.splits[label_set.split].name
        return f"{split}, labelled by {teacher.name} (seed {label_set.seed})"

    def label_quality(self, wildcards: Any) -> dict[str, str]:
        """Labels, hidden truth and, where the config compares it with another, that label set."""
        label_set = self.experiments.label_sets[wildcards.label_set]
        inputs = {"labels": self.paths.labels(label_set.id), "truth": self.paths.split(str(label_set.truth))}
        other = self.experiments.compared_label_set(label_set)
        return inputs | ({"alternative": self.paths.labels(other.id)} if other else {})

    def label_quality_names(self, wildcards: Any) -> str:
        label_set = self.experiments.label_sets[wildcards.label_set]
        other = self.experiments.compared_label_set(label_set)
        names = f"--name {shlex.quote(label_set.name)}"
        if other is None:
            return names
        path = shlex.quote(self.paths.labels(other.id))
        return f"{names} --alternative {path} --alternative-name {shlex.quote(other.name)}"

    def ensemble(self, wildcards: Any) -> dict[str, str]:
        """What a figure of kind ensemble is computed from."""
        label_set, _ = ensemble_sources(self.experiments, wildcards.figure)
        inputs = {
            "model": self.paths.model(label_set.teacher),
            "split": self.paths.split(label_set.split),
            "labels": self.paths.labels(label_set.id),
        }
        return inputs | ({"truth": self.paths.split(label_set.truth)} if label_set.truth else {})

    def ensemble_spec(self, wildcards: Any) -> str:
        _, refinement = ensemble_sources(self.experiments, wildcards.figure)
        return shlex.quote(canonical_json(self.experiments.refinements[refinement].spec.canonical()))

    def evaluated_shards(self, wildcards: Any) -> list[str]:
        evaluation = self.experiments.evaluations[wildcards.evaluation]
        if evaluation.refinement:
            return self.refinement_shards(evaluation.refinement)
        return self.prediction_shards(evaluation.predictions)


def shard_pattern(paths: Sequence[str]) -> str:
    """All shards of one result, in order, as a pattern that bash expands: `{0..7}-of-8.npz`.

    Linux takes no more than 128 KiB in one argument, and a rule's command is one argument of bash: 1,600 names in full are too
    many. What bash itself starts may have 2 MB.
    """
    if not paths:
        return ""
    folder, last = paths[-1].rsplit("/", 1)
    number, rest = last.split("-", 1)
    return f"{folder}/{{0..{number}}}-{rest}"


def spec_of(table: Mapping[str, Any], key: str) -> Callable[[Any], str]:
    """A `params` function: the canonical spec of the entry that the wildcard `key` names, quoted for the shell."""
    return lambda wildcards: shlex.quote(canonical_json(table[wildcards[key]].spec.canonical()))
