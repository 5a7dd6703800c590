"""What rules look up and ask for: constraints of wildcards, specs and files as a shell reads them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from datadistill.files import canonical_json
from datadistill.workflow.registry import Result, Specified

NOTHING = "(?!)"
"""A regular expression that nothing matches."""


def ids(results: Iterable[Result]) -> str:
    """A regular expression of the ids of some results, as the constraint of a wildcard."""
    return "|".join(re.escape(result.id) for result in results) or NOTHING


def spec_of(results: Mapping[str, Specified], wildcard: str) -> Callable[[Any], str]:
    """A `params` function: the canonical spec of the result whose id the wildcard holds, as JSON."""
    return lambda wildcards: canonical_json(results[wildcards[wildcard]].spec.canonical())


def shard_pattern(paths: Sequence[str]) -> str:
    """All shards of one result, in order, as a pattern that bash expands: `{0..7}-of-8.npz`. Quoted but for that.

    Linux takes no more than 128 KiB in one argument, and a rule's command is one argument of bash: 1,600 names in full are too
    many. What bash itself starts may have 2 MB.
    """
    if not paths:
        return ""
    folder, last = paths[-1].rsplit("/", 1)
    number, rest = last.split("-", 1)
    return f"{shlex.quote(folder)}/{{0..{number}}}-{shlex.quote(rest)}"
