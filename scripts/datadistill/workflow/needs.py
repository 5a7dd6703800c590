"""What a table or figure rests on: the results that Snakemake would make for it, and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from datadistill.workflow.experiments import Experiments
from datadistill.workflow.outputs import chosen_names, label_pages, shown_results
from datadistill.workflow.registry import Model, Result, Split, Weights

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
    """All of a run that must be right before a GPU is asked for: splits, leak reports and initial weights."""
    every = needs_of_run(experiments)
    leaks = [experiments.paths.leaks(model.id) for model in only(Model, every)]
    return [*(split.file for split in only(Split, every)), *leaks, *(weights.file for weights in only(Weights, every))]
