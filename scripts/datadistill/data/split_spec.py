"""What every kind of split has in common. The kinds themselves: `specs`, and `derived_specs` for splits of splits.

Light: Snakemake imports it while it parses.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from datadistill import keys
from datadistill.keys import NAME, key


@dataclass(frozen=True, kw_only=True)
class SplitSpec:
    """A split of any kind."""

    kind: ClassVar[str]
    name: str = key("Its name in this config.", pattern=NAME, identity=False)
    shards: int = key(
        "Jobs that share inference on this split. The split stays the same; what was labelled in other shards is labelled again.",
        default=1,
        minimum=1,
        maximum=10_000,
        identity=False,
    )
    exclude: tuple[str, ...] = key(
        "Splits whose images this one leaves out, told by content, or by data set and id: for a pool, those with corrected "
        "labels. Its ledger lists them.",
        default=(),
        unique=True,
    )

    @property
    def sources(self) -> tuple[str, ...]:
        """The splits that it is made from."""
        return ()

    @property
    def annotated_for(self) -> str | None:
        """The task that its annotations serve; None without annotations of its own."""
        return None

    def identity(self) -> dict[str, Any]:
        """What changes its images or annotations, as plain JSON values.

        Without `exclude`: what that leaves is a split of its own, made from this one (`ExclusionSplit`), so that another list
        samples, renders and checks no image again.
        """
        identity = {"kind": self.kind, **keys.identity(self)}
        del identity["exclude"]
        return identity

    def rest(self) -> dict[str, Any]:
        """What changes neither: where files lie, how they are checked."""
        fields = dataclasses.fields(self)
        known = {f.name for f in fields if f.metadata.get("identity", True) and not f.metadata.get("path")}
        return {f.name: keys.plain(getattr(self, f.name)) for f in fields if f.name not in known | {"name", "shards"}}

    def files(self) -> tuple[str, ...]:
        """The user's files whose content is part of the split: annotations and lists, but not images and videos."""
        return ()

    def folder(self) -> str | None:
        """Where the user keeps the images; None where a rule makes them, or other splits have them."""
        return None
