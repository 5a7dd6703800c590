"""What pages and figures are made from, as objects of a run beside those of `registry`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from datadistill.workflow.registry import LabelSet, Refinement, Result


@dataclass(frozen=True, eq=False)
class Quality(Result):
    """How good a label set is against the hidden truth, beside another label set of the same split where there is one."""

    label_set: LabelSet
    alternative: LabelSet | None

    @cached_property
    def files(self) -> tuple[str, ...]:
        return self.label_set.made("quality.json"), self.label_set.made("quality.md")

    @property
    def rests_on(self) -> tuple[Result, ...]:
        shown = (self.label_set, self.alternative, self.label_set.truth)
        return tuple(result for result in shown if result is not None)


@dataclass(frozen=True, eq=False)
class ThresholdsPage(Result):
    """The page about a label set's thresholds."""

    label_set: LabelSet

    @cached_property
    def files(self) -> tuple[str, ...]:
        return (self.label_set.made("thresholds.md"),)

    @property
    def rests_on(self) -> tuple[Result, ...]:
        return (self.label_set,)


@dataclass(frozen=True, eq=False)
class Explanation(Result):
    """What a figure of kind ensemble shows of a label set: one person, every transform, and the ensemble."""

    label_set: LabelSet
    refinement: Refinement

    @cached_property
    def files(self) -> tuple[str, ...]:
        return (self.paths.figure_data(self.id),)

    @property
    def rests_on(self) -> tuple[Result, ...]:
        truth = [self.label_set.truth] if self.label_set.truth else []
        return (self.label_set, self.label_set.teacher, self.label_set.split, *truth)
