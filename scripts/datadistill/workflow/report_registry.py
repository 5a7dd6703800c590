"""What pages and figures are made from, as objects of a run beside those of `registry`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from datadistill.workflow.registry import LabelSet, Predictions, Refinement, Result, Split


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


@dataclass(frozen=True, eq=False)
class HeldOutLabels(Result):
    """How good the labels are that a label set's teacher gives an annotated split, by the label set's inference and thresholds."""

    label_set: LabelSet
    split: Split
    detections: Predictions | Refinement

    @cached_property
    def files(self) -> tuple[str, ...]:
        return (self.paths.held_out_labels(self.id),)

    @property
    def rests_on(self) -> tuple[Result, ...]:
        return self.label_set, self.label_set.teacher, self.detections, self.split, *self.label_set.teacher.learned_from

    @property
    def disjoint(self) -> tuple[tuple[Split, Split], ...]:
        """Pairs of splits that must not share an image: what the teacher learned from, directly or through its own, and the held-out one.

        They are compared by a job of their own: as part of what is checked before a training (`Model.disjoint`), another held-out split
        would have every training's check made again.
        """
        return tuple((learned, self.split) for learned in self.label_set.teacher.learned_from)

    @property
    def same_categories(self) -> tuple[Split, ...]:
        """The annotated splits that must have the same categories."""
        return self.label_set.labelled, self.split
