"""What a job's start costs (imports, reading what it needs) beside its work, in CPU seconds of the job itself.

A job tells both in its log, where the workflow asks for it (`VARIABLE`), and the page of run times adds them up:

    CPU time: 3.21 s until the work began (process 1234)
    CPU time: 10.40 s in all, 1.02 s until main began, 812 MB of memory (process 1234)

A script that says nothing of its work's beginning began it with its `main`. Child processes count when they have ended.
"""

from __future__ import annotations

import importlib
import os
import re
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "DATADISTILL_CPU_TIMES"
_BEGUN = re.compile(r"CPU time: ([\d.]+) s until the work began \(process (\d+)\)")
_ENDED = re.compile(r"CPU time: ([\d.]+) s in all, ([\d.]+) s until main began, (\d+) MB of memory \(process (\d+)\)")


@dataclass(frozen=True)
class CpuTime:
    """CPU seconds of a process: in all, and those before its work began; its peak memory, MB."""

    seconds: float
    start: float
    megabytes: float = 0.0


def cpu_seconds() -> float:
    """CPU seconds of this process and of its children that have ended, since it began."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def work_begins(*modules: str) -> None:
    """Tell that what is a job's start is over; call it once, or oftener: the first call counts.

    `modules` are imported before: what is imported on the way would count as work.
    """
    if os.environ.get(VARIABLE):
        for module in modules:
            importlib.import_module(module)
        print(
            f"CPU time: {cpu_seconds():.2f} s until the work began (process {os.getpid()})", file=sys.stderr, flush=True
        )


def work_ended(main_began: float) -> None:
    """Tell what the job took; `main_began` is `cpu_seconds` when its `main` was called."""
    if os.environ.get(VARIABLE):
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        words = f"{cpu_seconds():.2f} s in all, {main_began:.2f} s until main began, {megabytes:.0f} MB of memory"
        print(f"CPU time: {words} (process {os.getpid()})", file=sys.stderr, flush=True)


def read_cpu_times(log: str | Path) -> list[CpuTime]:
    """What the processes of a log took that came to their end; none where the log tells nothing, or isn't there."""
    found, begun = [], dict[str, float]()
    try:
        lines = Path(log).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    for line in lines:
        if match := _BEGUN.fullmatch(line):
            begun.setdefault(match[2], float(match[1]))
        elif match := _ENDED.fullmatch(line):
            found.append(CpuTime(float(match[1]), begun.pop(match[4], float(match[2])), float(match[3])))
    return found
