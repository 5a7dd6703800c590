"""What a job asks of the machine it runs on, as Snakemake resources."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def growing(amount: int) -> Callable[[Any, int], int]:
    """A resource of `amount` that grows with each attempt: a job that was killed for want of it gets more, not the same again.

    Attempts are counted where jobs are submitted (`retries` of a profile); a local run has one.
    """

    def of_attempt(wildcards: Any, attempt: int) -> int:
        return amount * attempt

    return of_attempt
