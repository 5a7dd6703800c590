"""What fixes a split that is made of other splits. Light: Snakemake imports it while it parses."""

from __future__ import annotations

from dataclasses import dataclass

from datadistill.data.split_spec import SplitSpec
from datadistill.keys import key


@dataclass(frozen=True, kw_only=True)
class UnlabelledSplit(SplitSpec):
    """A split without its annotations."""

    kind = "unlabelled"
    of: str = key("An annotated split. Its annotations are hidden; label quality is measured against them.")

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.of,)


@dataclass(frozen=True, kw_only=True)
class UnionSplit(SplitSpec):
    """Several splits as one."""

    kind = "union"
    of: tuple[str, ...] = key("The splits to unite; a shared image is an error.", min_items=2, unique=True)

    @property
    def sources(self) -> tuple[str, ...]:
        return self.of


@dataclass(frozen=True, kw_only=True)
class FractionSplit(SplitSpec):
    """A seeded part of a split."""

    kind = "fraction"
    of: str = key("The split to take a part of.")
    fraction: float = key("Part of the images to use, nested: 0.2 contains 0.1.", above=0, maximum=1)
    seed: int = key("Seed of the choice; fractions of one seed are nested.", default=0, minimum=0)

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.of,)


@dataclass(frozen=True, kw_only=True)
class ExclusionSplit(SplitSpec):
    """What is left of a split of any kind without the images of those that its `exclude` names. No config says it."""

    kind = "exclusion"
    of: str = key("The whole split.")
    without: tuple[str, ...] = key("The splits whose images are left out.")

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.of,)
