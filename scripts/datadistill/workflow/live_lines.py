"""What a terminal shows of a run: a live line for each running job, or plain lines where there is no terminal.

It is a logger plugin of Snakemake (`LogHandler`), which scripts/run.py registers. Snakemake's own log in `.snakemake/log/` has
every word of its own, as ever. At the end of a run that failed the failing sentences come last.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from datadistill.workflow.running import (
    Failure,
    Job,
    clock,
    closing_lines,
    describe,
    end_of,
    job_failure,
    job_progress,
    new_job,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

REFRESH_SECONDS = 1.0
PLAIN_SECONDS = 30.0
# On a terminal a finished job leaves a line if it took as long as this.
WORTH_A_LINE = 10.0
# So many logs are read in a second.
JOBS_A_SECOND = 20
# In a plain line, so many running jobs are told.
TOLD = 4
BAR, BAR_FROM_COLUMNS = 16, 110
# A job that failed says more of it in its log than Snakemake does.
_OF_JOBS = ("RuleException", "CalledProcessError", "SpawnedJobError")
_AT_THE_END = "At least one job did not complete successfully."
_STOPPING = ("Terminating processes on user request", "Will exit after finishing currently running jobs")
_TOLD_ANYWAY = ("Nothing to be done", *_STOPPING)


class Display(Protocol):
    """Where a run is shown. Called by one thread at a time."""

    every: float

    def began(self, job: Job) -> None: ...
    def ended(self, job: Job, done: int, total: int) -> None: ...
    def failed(self, failure: Failure) -> None: ...
    def going_on(self, jobs: Mapping[int, Job], done: int, total: int) -> None: ...
    def say(self, text: str) -> None: ...
    def close(self) -> None: ...


class PlainLines:
    """For logs and pipes: a line when a job begins and ends, and one now and then that says how far the running ones are."""

    every = PLAIN_SECONDS

    def __init__(self, write: Callable[[str], None]) -> None:
        self.say = write

    def began(self, job: Job) -> None:
        self.say(f"begin  {job.title}")

    def ended(self, job: Job, done: int, total: int) -> None:
        self.say(f"end    {job.title}  {clock(job.seconds())}  ({done} of {total} jobs done)")

    def failed(self, failure: Failure) -> None:
        self.say(f"failed {failure.job.title}  {clock(failure.job.seconds())}  {failure.sentence}")

    def going_on(self, jobs: Mapping[int, Job], done: int, total: int) -> None:
        if not jobs:
            return
        told = [f"{job.title}  {describe(job, job_progress(job))}" for job in list(jobs.values())[:TOLD]]
        more = [f"and {len(jobs) - TOLD} more"] if len(jobs) > TOLD else []
        self.say(f"{done} of {total} jobs done; running: {'; '.join([*told, *more])}")

    def close(self) -> None:
        """Nothing is left on the screen."""


class LiveLines:
    """For terminals: rich's bars, one a running job and one for the run."""

    every = REFRESH_SECONDS

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Bars | None = None
        self._lines: dict[int, TaskID] = {}
        self._whole: TaskID | None = None

    def began(self, job: Job) -> None:
        if self._bars is None:
            self._bars = _bars(self._console)
            self._whole = self._bars.add_task("", rule="run", what="", state="")
            self._bars.start()
        self._lines[job.number] = self._bars.add_task("", total=None, rule=job.rule, what=job.what, state="")

    def ended(self, job: Job, done: int, total: int) -> None:
        self._drop(job)
        if job.seconds() >= WORTH_A_LINE:
            self.say(f"{job.title}  {clock(job.seconds())}")

    def failed(self, failure: Failure) -> None:
        self._drop(failure.job)
        self.say(f"failed {failure.job.title}  {failure.sentence}")

    def going_on(self, jobs: Mapping[int, Job], done: int, total: int) -> None:
        if self._bars is None or self._whole is None:
            return
        state = f"{done} of {total} jobs done" if total else ""
        self._bars.update(self._whole, completed=done, total=total or None, state=state)
        known = {number: job_progress(job) for number, job in jobs.items() if number in self._lines}
        states = {number: describe(jobs[number], progress) for number, progress in known.items()}
        # Columns are a space apart.
        bar = BAR + 1 if self._console.width >= BAR_FROM_COLUMNS else 0
        taken = bar + 2 + max([len(job.rule) for job in jobs.values()], default=0)
        room = self._console.width - taken - max([len(text) for text in [state, *states.values()]])
        for number, progress in known.items():
            self._bars.update(
                self._lines[number],
                completed=progress.done if progress else 0,
                total=progress.total if progress else None,
                what=end_of(jobs[number].what, room),
                state=states[number],
            )

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def _drop(self, job: Job) -> None:
        if self._bars is not None and job.number in self._lines:
            self._bars.remove_task(self._lines.pop(job.number))


def _bars(console: Console) -> Bars:
    """Columns: rule, what, a bar where there is room, and how far it is, which is never cut."""
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
    from rich.table import Column

    columns: list[ProgressColumn] = [
        TextColumn("{task.fields[rule]}", markup=False, style="bold", table_column=Column(no_wrap=True)),
        TextColumn(
            "{task.fields[what]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)
        ),
    ]
    if console.width >= BAR_FROM_COLUMNS:
        columns.append(BarColumn(bar_width=BAR))
    columns.append(TextColumn("{task.fields[state]}", markup=False, table_column=Column(no_wrap=True)))
    return Progress(*columns, console=console, transient=True, expand=True, refresh_per_second=2)


class LogHandler(LogHandlerBase):
    """Takes Snakemake's log records, in a thread of Snakemake's, and shows the run."""

    def __post_init__(self) -> None:
        self._running: dict[int, Job] = {}
        self._failures: dict[int, Failure] = {}
        self._errors: list[str] = []
        self._done = self._total = self._ended = 0
        self._stopping = False
        self._log: str | None = None
        self._began = Job(0, "", "")
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._display = _display(stdout=self.common_settings.stdout)
        self._watch = threading.Thread(target=self._go_on, daemon=True)

    writes_to_stream = property(lambda self: True)
    writes_to_file = has_filter = has_formatter = needs_rulegraph = property(lambda self: False)

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record; a dry run's are shown as Snakemake words them."""
        try:
            with self._lock:
                if self.common_settings.dryrun:
                    self._display.say(self.format(record))
                else:
                    self._take(record)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Everything was taken: say how it ended."""
        with self._lock:
            if self._over.is_set():
                return
            self._over.set()
            self._display.close()
            for line in self._last_words():
                self._display.say(line)
        super().close()

    def _take(self, record: logging.LogRecord) -> None:
        event, values = getattr(record, "event", None), record.__dict__
        if event == LogEvent.JOB_INFO:
            self._begin(values)
        elif event == LogEvent.JOB_FINISHED:
            self._failures.pop(values["job_id"], None)
            if job := self._running.pop(values["job_id"], None):
                self._ended += 1
                # Snakemake counts it in its next record.
                self._display.ended(job, self._done + 1, self._total)
        elif event == LogEvent.JOB_ERROR:
            self._fail(values)
        elif event == LogEvent.PROGRESS:
            self._done, self._total = values["done"], values["total"]
        elif event == LogEvent.RUN_INFO:
            self._display.say(_plan(values["stats"]))
            self._total = values["stats"].get("total", 0)
        elif event == LogEvent.ERROR:
            if values.get("exception") not in _OF_JOBS and _AT_THE_END not in record.getMessage():
                self._errors.append(record.getMessage().strip())
        elif event == LogEvent.WORKFLOW_STARTED:
            self._log = _own_log()
        elif event is None:
            self._hear(record)

    def _begin(self, values: Mapping[str, Any]) -> None:
        # A target that runs nothing.
        if not values["shellcmd"]:
            return
        job = new_job(values["jobid"], values["rule_name"], values["wildcards"] or {}, values["log"])
        self._running[job.number] = job
        # It is tried again.
        self._failures.pop(job.number, None)
        self._display.began(job)
        if not self._watch.is_alive():
            self._watch.start()

    def _fail(self, values: Mapping[str, Any]) -> None:
        job = self._running.pop(values["jobid"], None) or new_job(values["jobid"], values["rule_name"], {}, ())
        # What a signal ended has not failed.
        if not self._stopping:
            self._failures[job.number] = job_failure(job, values["log"])
            self._display.failed(self._failures[job.number])

    def _hear(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        self._stopping |= text.startswith(_STOPPING)
        # Of failures the last words tell more than Snakemake.
        known = record.levelno >= logging.ERROR and self._failures
        if (record.levelno >= logging.WARNING or text.startswith(_TOLD_ANYWAY)) and not known:
            self._display.say(text.strip())

    def _go_on(self) -> None:
        # On a cluster hundreds of jobs run, and their logs lie on a shared file system.
        while not self._over.wait(self._display.every * max(1.0, len(self._running) / JOBS_A_SECOND)):
            with self._lock:
                if not self._over.is_set():
                    self._display.going_on(self._running, self._done, self._total)

    def _last_words(self) -> list[str]:
        whole = [f"Snakemake's own words: {self._log}"] if self._log else []
        if self._stopping:
            return [*whole, "Stopped. What is finished stays, and the same command goes on from there."]
        if self._failures:
            # What Snakemake itself refuses has its place before them.
            return [*self._errors, *closing_lines(list(self._failures.values()), self._log)]
        if self._errors:
            return [*whole, *self._errors]
        if self._ended:
            return [f"{self._done} of {self._total} jobs done in {clock(self._began.seconds())}", *whole]
        return []


def _display(*, stdout: bool) -> Display:
    """Live lines where there is a terminal to move on, else plain ones."""
    from rich.console import Console

    console = Console(stderr=not stdout)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveLines(console)
    return PlainLines(lambda text: print(text, file=console.file, flush=True))


def _plan(stats: Mapping[str, int]) -> str:
    """How many jobs there are to do, by their rules, the most frequent first."""
    rules = sorted((-count, rule) for rule, count in stats.items() if rule != "total")
    return f"{stats.get('total', 0)} jobs to do: " + ", ".join(f"{rule} {-count}" for count, rule in rules)


def _own_log() -> str | None:
    """The file that Snakemake writes its own words to."""
    from snakemake.logging import logger

    return next((h.baseFilename for h in logger.handlers if isinstance(h, logging.FileHandler)), None)
