"""What the tests on a real Slurm call: Slurm's commands, Snakemake on it, and waiting for what it does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
CONFIG = HERE / "small.yaml"
# Set by run.sh, without which no test here is collected.
CLUSTER = os.environ.get("DATADISTILL_TEST_CLUSTER", "")
# What this cluster lacks (accounting), and shorter waits than a shared file system and a shared controller need.
SITE = ["--slurm-status-command", "squeue", "--slurm-no-account"]
HASTE = ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10"]
# For a whole chain, which takes some four minutes on two free cores.
MINUTES = 20


def slurm(*command: str) -> str:
    """What a command of Slurm prints. Clients hang for minutes when the controller is dead."""
    return subprocess.run(["timeout", "30", *command], check=True, capture_output=True, text=True).stdout


def start_slurm(gpus: int = 2) -> None:
    subprocess.run([str(HERE / "start_slurm.sh"), CLUSTER, str(gpus)], check=True)


def stop_slurm() -> None:
    subprocess.run([str(HERE / "stop_slurm.sh"), CLUSTER], check=True)


def line(
    directory: Path, *arguments: str, snakefile: Path = REPOSITORY / "Snakefile", config: Path | None = CONFIG
) -> list[str]:
    place = ["--snakefile", str(snakefile), "--directory", str(directory)]
    chosen = ["--configfile", str(config)] if config else []
    return [sys.executable, "-m", "snakemake", *place, *chosen, *arguments]


def on_slurm(directory: Path, *targets: str, **options: Any) -> list[str]:
    profile = ["--workflow-profile", str(REPOSITORY / "profiles" / "slurm")]
    return line(directory, *profile, *SITE, *HASTE, "--", *targets, **options)


@dataclass(frozen=True)
class Call:
    """A call of Snakemake that goes on beside the test."""

    process: subprocess.Popen[bytes]
    log: Path

    def finish(self, minutes: float = MINUTES) -> str:
        """Wait for its end; returns what it printed."""
        try:
            code = self.process.wait(timeout=60 * minutes)
        except subprocess.TimeoutExpired:
            pytest.fail(f"Snakemake goes on after {minutes} minutes{self.state()}")
        assert code == 0, f"Snakemake failed{self.state()}"
        return self.log.read_text()

    def wait_for(self, what: str, condition: Callable[[], Any], seconds: float = 300) -> Any:
        """The first true value of a condition, asked several times a second while Snakemake runs."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := condition():
                return value
            if self.process.poll() is not None:
                pytest.fail(f"Snakemake ended before {what}{self.state()}")
            time.sleep(0.2)
        return pytest.fail(f"{seconds} s passed before {what}{self.state()}")

    def state(self) -> str:
        """What there is to say when it went wrong."""
        queue = subprocess.run(["timeout", "10", "squeue", "--array"], capture_output=True, text=True, check=False)
        return f"\n--- squeue\n{queue.stdout}{queue.stderr}\n--- {self.log}\n{self.log.read_text()[-6000:]}"


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 60) -> None:
    """Wait for something that Slurm does by itself."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{seconds} s passed before {what}"
        time.sleep(0.5)


Starter = Callable[[list[str], Path], Call]


def controller_answers() -> bool:
    """Whether the controller is there and its node is, too."""
    done = subprocess.run(["timeout", "5", "sinfo", "-h", "-o", "%T"], capture_output=True, text=True, check=False)
    return done.stdout.strip() in ("idle", "mixed", "allocated")


def jobs() -> list[tuple[str, str, str]]:
    """Rule, number and state of all jobs that wait or run, one for each task of an array."""
    rows = [row.split("|") for row in slurm("squeue", "--array", "--noheader", "--format=%i|%t|%k").splitlines()]
    found = [(re.match(r"rule_(\w+?)(_wildcards_|$)", comment), number, state) for number, state, comment in rows]
    return [(rule[1], number, state) for rule, number, state in found if rule]


@dataclass(frozen=True)
class Sample:
    """What `squeue` showed at one moment: GPU jobs that run, shards of the refinement that wait or run."""

    running: int
    unfinished: int


@dataclass(frozen=True)
class Chain:
    """A directory in which the small chain ran on the cluster."""

    directory: Path
    log: str
    samples: list[Sample]
