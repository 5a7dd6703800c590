"""A job inside a fork of the process that waits for jobs (warm_start.py), from its first step to its last.

A fork ends without freeing what was imported: that would copy nearly all of it first, two CPU seconds a job.
"""

from __future__ import annotations

import atexit
import os
import runpy
import signal
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn


@dataclass(frozen=True)
class Job:
    """What a job handed over: its request, its standard streams."""

    work: dict[str, Any]
    streams: list[int]


class QuickExit:
    """The last of all exit handlers: with a status, it ends the process at once if all that was written was taken."""

    def __init__(self) -> None:
        self.status: int | None = None

    @classmethod
    def last(cls) -> QuickExit:
        """Handlers run in reverse order: those of libraries, and of the job, before the one that was the first."""
        return atexit.register(cls())

    def __call__(self) -> None:
        if self.status is None:
            return
        for stream in filter(None, (sys.stdout, sys.stderr)):
            # Where this fails, Python ends as it always does, and with the status it has for that.
            stream.flush()
        os._exit(self.status)


def run(job: Job, quick_exit: QuickExit, signals: Iterable[int]) -> NoReturn:
    """Be the job: run its script as if Python had been started with it; `signals`, kept back since the fork, are let in."""
    for number, stream in enumerate(job.streams):
        os.dup2(stream, number)
    for stream in job.streams:
        os.close(stream)
    os.environ.clear()
    os.environ.update(job.work["environment"])
    os.chdir(job.work["folder"])
    sys.argv = job.work["argv"]
    for number in job.work["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
        sys.exit(0)
    except SystemExit as end:
        # Anything else than a number is a message, which Python prints itself.
        quick_exit.status = end.code if isinstance(end.code, int) else None
        raise
