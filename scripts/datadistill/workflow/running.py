"""The jobs of a run while it runs: what each is about, how far it is, and in what words it failed.

Progress is read from the jobs' logs, wherever they run. Light: the standard library.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from datadistill.progress import Progress, read_progress

# Of a log, its end: more than a line of progress and the warnings after it.
_TAIL = 8192
_DIGEST, _SEED = re.compile(r"\.[0-9a-f]{8}$"), re.compile(r"_s(\d+)$")
# A launcher of several processes may say whose line it is.
_ERROR = re.compile(r"^(?:\[[^\]]*\]:? ?)?(error: .+)$")


@dataclass(frozen=True)
class Job:
    """A job that runs: Snakemake's number of it, what it is about, its logs and how long they were when it began (training goes
    on writing where it stopped), and when that was (monotonic seconds)."""

    number: int
    rule: str
    what: str
    logs: tuple[str, ...] = ()
    lengths: Mapping[str, int] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    @property
    def title(self) -> str:
        return f"{self.rule} {self.what}".strip()

    def seconds(self) -> float:
        """How long it has been running, or waiting in a queue."""
        return time.monotonic() - self.began


@dataclass(frozen=True)
class Failure:
    """A job that failed: its sentence ("error: ..."), and its logs that are there."""

    job: Job
    sentence: str
    logs: tuple[str, ...]


def new_job(number: int, rule: str, wildcards: Mapping[str, str], logs: Iterable[str]) -> Job:
    """A job that begins now."""
    logs = tuple(logs)
    lengths = {log: os.path.getsize(log) for log in logs if os.path.isfile(log)}
    return Job(number, rule, job_name(wildcards), logs, lengths)


def job_name(wildcards: Mapping[str, str]) -> str:
    """What a job is about, for people: its wildcards without digests, the seed and the shard in words.

    `keypoints_R-50_co-35_s1.3f9a2c1d` is "keypoints_R-50_co-35 seed 1"; shard 0 of 8 adds ", 1 of 8".
    """
    shard, shards = wildcards.get("shard"), wildcards.get("shards")
    parts = [
        _SEED.sub(r" seed \1", _DIGEST.sub("", part))
        for name, value in wildcards.items()
        if name not in ("shard", "shards")
        for part in str(value).split("/")
    ]
    name = " ".join(parts)
    return name if shard is None or shards is None else f"{name}, {int(shard) + 1} of {shards}"


def end_of(text: str, room: int) -> str:
    """`text`, or as much of its end as there is room for: names of results differ there."""
    return text if len(text) <= room else "\N{HORIZONTAL ELLIPSIS}" + text[len(text) - max(room - 1, 0) :]


def job_progress(job: Job) -> Progress | None:
    """How far a job is, by the last line in its logs that says so; None: none has said it yet."""
    for log in job.logs:
        for line in reversed(_last_lines(log, job.lengths.get(log, 0))):
            if (found := read_progress(line)) is not None:
                return found
    return None


def job_failure(job: Job, logs: Iterable[str] = ()) -> Failure:
    """Why a job failed: the last sentence of its logs that begins with `error:`, else their last line.

    `logs`: further ones, for example a scheduler's.
    """
    present = tuple(log for log in dict.fromkeys((*job.logs, *logs)) if os.path.isfile(log))
    last = ""
    for log in present:
        lines = [line.strip() for line in _last_lines(log, job.lengths.get(log, 0)) if line.strip()]
        for line in reversed(lines):
            if found := _ERROR.match(line):
                return Failure(job, found[1], present)
        last = last or (lines[-1] if lines else "")
    if last:
        return Failure(job, f"error: it ended with: {last}", present)
    return Failure(job, "error: it ended without a word; the machine may have stopped it (memory, time)", present)


def _last_lines(path: str, begin: int) -> list[str]:
    """The last lines of a file, none of them from before byte `begin`; none if it can't be read."""
    try:
        with open(path, "rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            # Shorter than it was: the job began it anew.
            begin = begin if begin <= size else 0
            start = max(begin, size - _TAIL)
            stream.seek(start)
            text = stream.read().decode(errors="replace")
    except OSError:
        return []
    # A bar of somebody's draws over its own line. What begins in the middle of a line is none.
    lines = re.split(r"[\r\n]+", text)
    return lines[1:] if start > begin else lines


def closing_lines(failures: Sequence[Failure], log: str | None) -> list[str]:
    """What to say last of a run that failed: one failure's sentence is the last line; of several, how to go on.

    Jobs that failed with the same sentence are told together.
    """
    on = "What is finished stays: put this right, and the same command goes on from there."
    whole = f"Snakemake's own words: {log}" if log else ""
    groups: dict[str, list[Failure]] = {}
    for failure in failures:
        groups.setdefault(failure.sentence, []).append(failure)
    lines = ["", whole] if whole else [""]
    if len(groups) == 1:
        lines.append(on)
    for sentence, group in groups.items():
        others = f", and {len(group) - 1} more" if len(group) > 1 else ""
        lines += ["", f"Failed: {group[0].job.title}{others}", *(f"  log: {path}" for path in group[0].logs), sentence]
    if len(groups) > 1:
        lines += ["", f"{len(failures)} jobs failed. {on}"]
    return lines


def clock(seconds: float) -> str:
    """M:SS or H:MM:SS."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def describe(job: Job, progress: Progress | None) -> str:
    """How far a job is, in one short text: done and total, loss, rate, time left; else how long it has been at it."""
    if progress is None:
        return clock(job.seconds())
    parts = [f"{progress.done}/{progress.total}" if progress.total is not None else f"{progress.done}"]
    parts += [f"loss {progress.loss}"] if progress.loss else []
    parts.append(progress.rate)
    parts += [f"{progress.left} left"] if progress.left else []
    return "  ".join(parts)
