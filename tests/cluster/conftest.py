"""Tests on a real Slurm: only for `make test-cluster`, which installs it. `make test` doesn't collect them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_calls import (
    CONFIG,
    MINUTES,
    Call,
    Chain,
    Sample,
    Starter,
    jobs,
    on_slurm,
    slurm,
    start_slurm,
    stop_slurm,
    wait_for,
)

from datadistill.workflow.config import load_config
from datadistill.workflow.experiments import Experiments, build_experiments

collect_ignore_glob = [] if os.environ.get("DATADISTILL_TEST_CLUSTER") else ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def cluster() -> Iterator[None]:
    """The cluster, until the last test is done."""
    start_slurm()
    yield
    stop_slurm()


@pytest.fixture(scope="session")
def experiments() -> Experiments:
    return build_experiments(load_config(CONFIG))


@pytest.fixture(scope="session")
def call(cluster: None) -> Iterator[Starter]:
    """Starts a call of Snakemake; one that a failed test left behind is killed at the end."""
    started: list[Call] = []

    def start(command: list[str], log: Path) -> Call:
        with log.open("wb") as stream:
            process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, cwd=log.parent)
        started.append(Call(process, log))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


@pytest.fixture(autouse=True)
def _no_jobs_of_another_test(cluster: None) -> None:
    """Before each test: jobs that a failed one left behind would hold its processors and GPUs."""
    slurm("scancel", "--user", "root")
    wait_for("the queue was empty", lambda: not slurm("squeue", "--noheader"))


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory, call: Starter) -> Chain:
    directory = tmp_path_factory.mktemp("chain")
    running = call(on_slurm(directory), directory / "snakemake.log")
    samples, end = [], time.monotonic() + 60 * MINUTES
    while running.process.poll() is None and time.monotonic() < end:
        seen = jobs()
        # The GPUs may still be busy with the last predictions when the first shards to refine come.
        busy = sum(state in ("R", "CG") for rule, _, state in seen if rule in ("predict", "refine", "train"))
        samples.append(Sample(busy, sum(rule == "refine" for rule, *_ in seen)))
        time.sleep(1)
    return Chain(directory, running.finish(minutes=1), samples)
