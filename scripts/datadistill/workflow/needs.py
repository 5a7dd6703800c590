"""What a table or figure rests on: the results that Snakemake would make for it, and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from datadistill.files import digest
from datadistill.keys import plain
from datadistill.tasks.task import get_task
from datadistill.workflow.experiments import Experiments
from datadistill.workflow.outputs import chosen_names, label_pages, shown_results
from datadistill.workflow.paths import Paths
from datadistill.workflow.registry import Model, Result, Split, Weights
from datadistill.workflow.report_registry import HeldOutLabels

R = TypeVar("R", bound=Result)
Exists = Callable[[str], bool]


def nothing_exists(_: str) -> bool:
    """For the needs of a clean tree."""
    return False


def needs(results: Iterable[Result], exists: Exists = nothing_exists) -> tuple[Result, ...]:
    """Results and all that they rest on, each once and after what it rests on itself.

    A result whose files all exist needs nothing and isn't listed: Snakemake makes no file that is there.
    """
    found: dict[Result, None] = {}
    seen: set[Result] = set()

    def visit(result: Result) -> None:
        if result in seen:
            return
        seen.add(result)
        if all(map(exists, result.files)):
            return
        for other in result.rests_on:
            visit(other)
        found[result] = None

    for result in results:
        visit(result)
    return tuple(found)


def only(kind: type[R], results: Iterable[Result]) -> list[R]:
    """Those of some results that are of a kind."""
    return [result for result in results if isinstance(result, kind)]


def needs_of(experiments: Experiments, name: str, exists: Exists = nothing_exists) -> tuple[Result, ...]:
    """What one table or figure rests on."""
    return needs(shown_results(experiments, name), exists)


def needs_of_run(experiments: Experiments, exists: Exists = nothing_exists) -> tuple[Result, ...]:
    """What `all` rests on; what tables and figures share is there once."""
    shown = [result for name in chosen_names(experiments) for result in shown_results(experiments, name)]
    pages = label_pages(experiments) if experiments.config["build"] is None else []
    return needs([*shown, *pages], exists)


def data_files(experiments: Experiments) -> list[str]:
    """All of a run that must be right before a GPU is asked for: splits, the report of what they share, pictures of mirrored
    keypoints, initial weights that fit their networks."""
    every = needs_of_run(experiments)
    splits, weights = only(Split, every), only(Weights, every)
    models = only(Model, every)
    checks = [
        experiments.paths.weights_check(each.id, network) for each in weights for network in networks_from(each, models)
    ]
    return [
        *(split.file for split in splits),
        experiments.paths.duplicates(),
        *(each.file for each in weights),
        *checks,
        *preview_files(experiments),
    ]


def networks_from(weights: Result, models: Iterable[Model]) -> dict[str, dict[str, Any]]:
    """What some initial weights must fit: each network that starts from them, with its task, as JSON values by their digest."""
    entries = [starting_network(model) for model in models if model.initial == weights]
    return {digest(entry): entry for entry in entries}


def starting_network(model: Model) -> dict[str, Any]:
    """A model's network, with its task, as JSON values."""
    return {"task": model.task, "network": plain(model.spec.network)}


def mirrored_splits(experiments: Experiments) -> dict[str, str]:
    """The splits, by id, that a run's models learn keypoints from, each with its task: what is drawn beside a mirror image."""
    models = only(Model, needs_of_run(experiments))
    return {model.labelled.id: model.task for model in models if get_task(model.task).refines}


def preview_files(experiments: Experiments) -> list[str]:
    """The pictures of these splits."""
    return [experiments.paths.preview(split) for split in mirrored_splits(experiments)]


def weights_check(paths: Paths, model: Model) -> list[str]:
    """The check that a model's network can start from its initial weights: one file or none."""
    if not isinstance(model.initial, Weights):
        return []
    return [paths.weights_check(model.initial.id, digest(starting_network(model)))]


def compared_splits(experiments: Experiments) -> tuple[tuple[Split, Split], ...]:
    """All pairs of a run's splits that must share no image."""
    return tuple(dict.fromkeys(pair for result in _checked(experiments) for pair in result.disjoint))


def judging_splits(experiments: Experiments) -> tuple[Split, ...]:
    """The splits of a run that models, or labels, are evaluated on."""
    every = needs_of_run(experiments)
    judges = [split for model in only(Model, every) for split in model.held_out]
    return tuple(dict.fromkeys([*judges, *(labels.split for labels in only(HeldOutLabels, every))]))


def same_categories(experiments: Experiments) -> list[list[str]]:
    """Files of annotated splits that must have the same categories, in groups."""
    groups = dict.fromkeys(tuple(s.file for s in result.same_categories) for result in _checked(experiments))
    return [list(group) for group in groups]


def _checked(experiments: Experiments) -> list[Model | HeldOutLabels]:
    """The results of a run before which splits are compared."""
    every = needs_of_run(experiments)
    return [*only(Model, every), *only(HeldOutLabels, every)]


def splits_to_edit(experiments: Experiments) -> dict[str, list[str]]:
    """By file of each compared split: the splits of the config, by name, whose `drop_ids` leave an image out of it."""
    compared = dict.fromkeys(split for pair in compared_splits(experiments) for split in pair)
    return {split.file: [source.name for source in _with_drop_ids(split)] for split in compared}


def _with_drop_ids(split: Split) -> list[Split]:
    if hasattr(split.spec, "drop_ids"):
        return [split]
    return [found for source in split.sources for found in _with_drop_ids(source)]
