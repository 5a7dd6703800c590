"""Running Snakemake as a user does, and reading what it plans."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG_FOLDER = REPOSITORY / "config"
# A config names its run; other files there hold facts that scripts look up.
CONFIGS = sorted(path for path in CONFIG_FOLDER.glob("*.yaml") if "\nrun:" in path.read_text(encoding="utf-8"))
JOB = re.compile(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", re.MULTILINE)
FIELD = re.compile(r"^    ([a-z]+): (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Job:
    """One planned job."""

    rule: str
    outputs: tuple[str, ...]
    wildcards: str
    reason: str


def snakemake(
    directory: Path, *arguments: str, config: Path | None = None, program: tuple[str, ...] = ("-m", "snakemake")
) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in a directory of its own, on the repository's Snakefile; `program`: what Python is given instead."""
    line = [
        sys.executable,
        *program,
        "--snakefile",
        str(REPOSITORY / "Snakefile"),
        "--directory",
        str(directory),
    ]
    line += ["--configfile", str(config)] if config else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*line, *arguments], env=environment, cwd=directory, check=False, capture_output=True, text=True
    )


def plan(directory: Path, config: Path | None = None, *arguments: str) -> list[Job]:
    """The jobs of a dry run, `all` left out."""
    done = snakemake(directory, "--dry-run", *arguments, config=config)
    assert done.returncode == 0, done.stderr + done.stdout
    jobs = []
    for rule, body in JOB.findall(done.stdout + done.stderr):
        fields = dict(FIELD.findall(body))
        if rule != "all":
            outputs = tuple(filter(None, fields.get("output", "").split(", ")))
            jobs.append(Job(rule, outputs, fields.get("wildcards", ""), fields.get("reason", "")))
    return jobs


def rules(jobs: list[Job]) -> Counter[str]:
    """How many jobs of each rule."""
    return Counter(job.rule for job in jobs)
