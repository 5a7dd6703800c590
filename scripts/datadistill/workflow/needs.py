"""What a table or figure rests on: the splits, models and label sets that Snakemake would make for it, and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from datadistill.workflow.experiments import Experiments
from datadistill.workflow.outputs import ensemble_sources, figure_parts, label_pages, table_inputs


@dataclass
class Needs:
    """Ids of everything that some results rest on, each after what it rests on itself."""

    splits: dict[str, None] = field(default_factory=dict)
    models: dict[str, None] = field(default_factory=dict)
    predictions: dict[str, None] = field(default_factory=dict)
    refinements: dict[str, None] = field(default_factory=dict)
    label_sets: dict[str, None] = field(default_factory=dict)
    evaluations: dict[str, None] = field(default_factory=dict)


Exists = Callable[[str], bool]


def nothing_exists(_: str) -> bool:
    """For the needs of a clean tree."""
    return False


def names_of(experiments: Experiments) -> list[str]:
    """Tables and figures of a run, in the config's order: the targets that `snakemake NAME` makes."""
    return [entry["name"] for key in ("tables", "figures") for entry in experiments.config[key]]


def chosen_names(experiments: Experiments) -> list[str]:
    """Those of them that `all` makes."""
    build = experiments.config["build"]
    return [name for name in names_of(experiments) if build is None or name in build]


def needs_of(experiments: Experiments, name: str, exists: Exists = nothing_exists) -> Needs:
    """What one table or figure rests on; what `exists` needs nothing, and isn't listed."""
    return needs_of_files(experiments, _inputs(experiments, name), exists)


def needs_of_run(experiments: Experiments, exists: Exists = nothing_exists) -> Needs:
    """What `all` rests on; what tables and figures share is there once."""
    files = [path for name in chosen_names(experiments) for path in _inputs(experiments, name)]
    pages = label_pages(experiments) if experiments.config["build"] is None else []
    return needs_of_files(experiments, [*files, *pages], exists)


def needs_of_files(experiments: Experiments, files: Iterable[str], exists: Exists = nothing_exists) -> Needs:
    """What the given files of a run rest on. Files that tables and figures don't read rest on nothing."""
    walk = _Walk(experiments, exists)
    makers = walk.makers()
    for path in files:
        if path in makers and not exists(path):
            makers[path]()
    return walk.needs


def _inputs(experiments: Experiments, name: str) -> list[str]:
    if any(table["name"] == name for table in experiments.config["tables"]):
        return table_inputs(experiments, name)
    return figure_parts(experiments, name)[0]


class _Walk:
    """Goes from files to what they rest on, and stops at what exists."""

    def __init__(self, experiments: Experiments, exists: Exists) -> None:
        self.experiments = experiments
        self.paths = experiments.paths
        self.exists = exists
        self.needs = Needs()

    def makers(self) -> dict[str, Callable[[], None]]:
        """For every file that a table or figure may read: what adds its maker and all that this one rests on."""
        all_, paths = self.experiments, self.paths
        makers: dict[str, Callable[[], None]] = {}
        for evaluation in all_.evaluations.values():
            makers[paths.evaluation(evaluation.id)] = lambda i=evaluation.id: self.evaluation(i)
        for predictions in all_.predictions.values():
            for path in self.shards(predictions.id):
                makers[path] = lambda i=predictions.id: self.predictions(i)
        for label_set in all_.label_sets.values():
            for file in ("annotations.json", "thresholds.json", "thresholds.md"):
                makers[paths.labels(label_set.id, file)] = lambda i=label_set.id: self.label_set(i)
            for file in ("quality.json", "quality.md"):
                makers[paths.labels(label_set.id, file)] = lambda i=label_set.id: self.quality(i)
        for model in all_.models.values():
            makers[paths.metrics(model.id)] = lambda i=model.id: self.model(i)
        for split in all_.splits.values():
            makers[paths.split(split.id)] = lambda i=split.id: self.split(i)
        for figure in all_.config["figures"]:
            if figure["kind"] == "ensemble":
                shown, _ = ensemble_sources(all_, figure["name"])
                makers[paths.figure_data(figure["name"])] = lambda i=shown.id: self.label_set(i)
        return makers

    def shards(self, predictions: str) -> list[str]:
        shards = self.experiments.predictions[predictions].shards
        return [self.paths.predictions(predictions, shard, shards) for shard in range(shards)]

    def evaluation(self, evaluation_id: str) -> None:
        if evaluation_id in self.needs.evaluations or self.exists(self.paths.evaluation(evaluation_id)):
            return
        evaluation = self.experiments.evaluations[evaluation_id]
        if evaluation.refinement:
            self.refinement(evaluation.refinement)
        else:
            self.predictions(evaluation.predictions)
        self.split(evaluation.split)
        self.needs.evaluations[evaluation_id] = None

    def predictions(self, predictions_id: str) -> None:
        if predictions_id in self.needs.predictions or all(map(self.exists, self.shards(predictions_id))):
            return
        predictions = self.experiments.predictions[predictions_id]
        self.model(predictions.model)
        self.split(predictions.split)
        self.needs.predictions[predictions_id] = None

    def refinement(self, refinement_id: str) -> None:
        refinement = self.experiments.refinements[refinement_id]
        shards = self.experiments.predictions[refinement.predictions].shards
        files = [self.paths.refinement(refinement_id, shard, shards) for shard in range(shards)]
        if refinement_id in self.needs.refinements or all(map(self.exists, files)):
            return
        self.predictions(refinement.predictions)
        self.needs.refinements[refinement_id] = None

    def label_set(self, label_set_id: str) -> None:
        if label_set_id in self.needs.label_sets or self.exists(self.paths.labels(label_set_id)):
            return
        label_set = self.experiments.label_sets[label_set_id]
        if label_set.refinement:
            self.refinement(label_set.refinement)
        else:
            self.predictions(label_set.predictions)
        self.split(label_set.split)
        self.split(label_set.labelled)
        self.needs.label_sets[label_set_id] = None

    def quality(self, label_set_id: str) -> None:
        label_set = self.experiments.label_sets[label_set_id]
        other = self.experiments.compared_label_set(label_set)
        for shown in (label_set, *([other] if other else [])):
            self.label_set(shown.id)
        if label_set.truth:
            self.split(label_set.truth)

    def model(self, model_id: str) -> None:
        if model_id in self.needs.models or self.exists(self.paths.model(model_id)):
            return
        model = self.experiments.models[model_id]
        self.split(model.labelled)
        if model.label_set:
            self.label_set(model.label_set)
        if model.teacher and model.spec.initial == "teacher":
            self.model(model.teacher)
        for pair in self.experiments.disjoint_splits(model_id):
            for split in pair:
                self.split(split)
        for split in self.experiments.labelled_and_held_out(model_id):
            self.split(split)
        self.needs.models[model_id] = None

    def split(self, split_id: str) -> None:
        if split_id in self.needs.splits or self.exists(self.paths.split(split_id)):
            return
        for source in self.experiments.splits[split_id].sources:
            self.split(source)
        self.needs.splits[split_id] = None
