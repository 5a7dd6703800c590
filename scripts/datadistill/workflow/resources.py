"""What a job asks of the machine it runs on, as Snakemake resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def growing(amount: int) -> Callable[[Any, int], int]:
    """A resource of `amount` that grows with each attempt: a job that was killed for want of it gets more, not the same again.

    Attempts are counted where jobs are submitted (`retries` of a profile); a local run has one.
    """

    def of_attempt(wildcards: Any, attempt: int) -> int:
        return amount * attempt

    return of_attempt


def stage_resources(compute: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The resources of a rule by its stage (data, train, label, report), from the config's `compute`.

    Settings that can't change a result are resources, too: as `params` they would rerun what they change.
    """
    stages = {
        stage: {"mem_mb": growing(asked["mem_mb"]), "runtime": growing(asked["runtime"])}
        for stage, asked in compute.items()
        if isinstance(asked, Mapping)
    }
    train, label = compute["train"], compute["label"]
    shared = {"device": compute["device"], "memory_format": compute["memory_format"]}
    stages["label"] |= {"gpu": label["gpu"], **shared}
    stages["train"] |= {
        "gpu": train["gpu"],
        **shared,
        # Doesn't grow: training goes on from its checkpoint, so another attempt needs no longer one.
        "runtime": train["runtime"],
        "processes": train["processes"],
        "workers": train["workers"],
        "checkpoint_every": compute["checkpoint_every"],
    }
    return stages
