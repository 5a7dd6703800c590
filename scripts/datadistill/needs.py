"""What a table or figure rests on: the splits, models and label sets that Snakemake would make for it, and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from datadistill.experiments import Experiments
from datadistill.report_plan import ensemble_sources, figure_parts, label_pages, table_inputs


@dataclass
class Needs:
    """Ids of everything that some results rest on, in the order of their making."""

    splits: dict[str, None] = field(default_factory=dict)
    models: dict[str, None] = field(default_factory=dict)
    predictions: dict[str, None] = field(default_factory=dict)
    refinements: dict[str, None] = field(default_factory=dict)
    label_sets: dict[str, None] = field(default_factory=dict)
    evaluations: dict[str, None] = field(default_factory=dict)


Add = Callable[[Experiments, Needs, str], None]

def names_of(experiments: Experiments) -> list[str]:
    """Tables and figures of a run, in the config's order: the targets that `snakemake NAME` makes."""
    return [entry["name"] for key in ("tables", "figures") for entry in experiments.config[key]]


def chosen_names(experiments: Experiments) -> list[str]:
    """Those of them that `all` makes."""
    build = experiments.config["build"]
    return [name for name in names_of(experiments) if build is None or name in build]


def needs_of(experiments: Experiments, name: str) -> Needs:
    """What one table or figure rests on."""
    return needs_of_files(experiments, _inputs(experiments, name))


def needs_of_run(experiments: Experiments) -> Needs:
    """What `all` rests on; what tables and figures share is there once."""
    files = [path for name in chosen_names(experiments) for path in _inputs(experiments, name)]
    return needs_of_files(experiments, files + (label_pages(experiments) if experiments.config["build"] is None else []))


def needs_of_files(experiments: Experiments, files: Iterable[str]) -> Needs:
    """What the given files of a run rest on. Files that nothing is known of rest on nothing."""
    needs, makers = Needs(), _makers(experiments)
    for path in files:
        if path in makers:
            add, identity = makers[path]
            add(experiments, needs, identity)
    return needs


def _inputs(experiments: Experiments, name: str) -> list[str]:
    if any(table["name"] == name for table in experiments.config["tables"]):
        return table_inputs(experiments, name)
    return figure_parts(experiments, name)[0]


def _makers(experiments: Experiments) -> dict[str, tuple[Add, str]]:
    """For every file that a table or figure may read: the function that adds what it rests on, and its argument."""
    paths = experiments.paths
    makers: dict[str, tuple[Add, str]] = {}
    for evaluation in experiments.evaluations.values():
        makers[paths.evaluation(evaluation.id)] = (_add_evaluation, evaluation.id)
    for predictions in experiments.predictions.values():
        for shard in range(predictions.shards):
            makers[paths.predictions(predictions.id, shard, predictions.shards)] = (_add_predictions, predictions.id)
    for label_set in experiments.label_sets.values():
        for file in ("annotations.json", "thresholds.json", "thresholds.md"):
            makers[paths.labels(label_set.id, file)] = (_add_label_set, label_set.id)
        for file in ("quality.json", "quality.md"):
            makers[paths.labels(label_set.id, file)] = (_add_quality, label_set.id)
    for model in experiments.models.values():
        makers[paths.metrics(model.id)] = (_add_model, model.id)
    for split in experiments.splits.values():
        makers[paths.split(split.id)] = (_add_split, split.id)
    for figure in experiments.config["figures"]:
        if figure["kind"] == "ensemble":
            label_set, _ = ensemble_sources(experiments, figure["name"])
            makers[paths.figure_data(figure["name"])] = (_add_label_set, label_set.id)
    return makers


def _add_evaluation(experiments: Experiments, needs: Needs, evaluation_id: str) -> None:
    evaluation = experiments.evaluations[evaluation_id]
    _add_predictions(experiments, needs, evaluation.predictions)
    if evaluation.refinement:
        needs.refinements[evaluation.refinement] = None
    needs.evaluations[evaluation_id] = None


def _add_predictions(experiments: Experiments, needs: Needs, predictions_id: str) -> None:
    predictions = experiments.predictions[predictions_id]
    _add_model(experiments, needs, predictions.model)
    _add_split(experiments, needs, predictions.split)
    needs.predictions[predictions_id] = None


def _add_model(experiments: Experiments, needs: Needs, model_id: str) -> None:
    if model_id in needs.models:
        return
    model = experiments.models[model_id]
    _add_split(experiments, needs, model.labelled)
    if model.label_set:
        _add_label_set(experiments, needs, model.label_set)
    for split in (split for pair in experiments.disjoint_splits(model_id) for split in pair):
        _add_split(experiments, needs, split)
    needs.models[model_id] = None


def _add_label_set(experiments: Experiments, needs: Needs, label_set_id: str) -> None:
    label_set = experiments.label_sets[label_set_id]
    _add_predictions(experiments, needs, label_set.predictions)
    _add_split(experiments, needs, label_set.labelled)
    if label_set.refinement:
        needs.refinements[label_set.refinement] = None
    needs.label_sets[label_set_id] = None


def _add_quality(experiments: Experiments, needs: Needs, label_set_id: str) -> None:
    label_set = experiments.label_sets[label_set_id]
    other = experiments.compared_label_set(label_set)
    for shown in [label_set, *([other] if other else [])]:
        _add_label_set(experiments, needs, shown.id)
    if label_set.truth:
        _add_split(experiments, needs, label_set.truth)


def _add_split(experiments: Experiments, needs: Needs, split_id: str) -> None:
    for source in experiments.splits[split_id].sources:
        _add_split(experiments, needs, source)
    needs.splits[split_id] = None
