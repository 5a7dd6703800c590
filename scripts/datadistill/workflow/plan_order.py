"""In which order tables and figures come cheapest, given what they share, and what a first sum of GPU-hours buys."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

R = TypeVar("R", bound=Hashable)


@dataclass(frozen=True)
class Step(Generic[R]):
    """A target in the order in which they are made: the results that it adds to those before it, in the order in which they are
    made, with the GPU-hours of each; `hours` of all of them, and `total` with those before."""

    name: str
    added: tuple[tuple[R, float], ...]
    hours: float
    total: float


def in_order(targets: Mapping[str, Sequence[R]], hours: Callable[[R], float]) -> list[Step[R]]:
    """Targets so that each next one adds least: cheap ones first, and those that share what is there already.

    `targets` names the results that each rests on, in the order in which they are made. Of equal ones the first comes first.
    """
    waiting = dict(targets)
    made: set[R] = set()
    steps: list[Step[R]] = []
    total = 0.0
    while waiting:
        added = {
            name: [(result, hours(result)) for result in results if result not in made]
            for name, results in waiting.items()
        }
        name = min(added, key=lambda target: sum(cost for _, cost in added[target]))
        cost = sum(cost for _, cost in added[name])
        total += cost
        steps.append(Step(name, tuple(added[name]), cost, total))
        made.update(waiting.pop(name))
    return steps


@dataclass(frozen=True)
class Bought(Generic[R]):
    """What a sum of GPU-hours pays: whole targets, single results, and what it ends in (with the part of it that is paid)."""

    targets: tuple[str, ...]
    results: tuple[R, ...]
    begun: tuple[R, float] | None


def bought(steps: Sequence[Step[R]], budget: float) -> Bought[R]:
    """What the first `budget` GPU-hours pay when targets are made in this order."""
    targets: list[str] = []
    results: list[R] = []
    left = budget
    for step in steps:
        for result, cost in step.added:
            if cost > left:
                return Bought(tuple(targets), tuple(results), (result, left / cost))
            left -= cost
            results.append(result)
        targets.append(step.name)
    return Bought(tuple(targets), tuple(results), None)
