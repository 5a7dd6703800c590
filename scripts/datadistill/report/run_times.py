"""How long a run's jobs took, from the benchmark files that Snakemake writes, as a Markdown page."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datadistill.cpu_time import CpuTime, read_cpu_times
from datadistill.report.markdown import markdown_table

_MISSING = ("", "-", "NA")


@dataclass(frozen=True)
class JobTime:
    """Wall seconds and peak memory (MB; None where it wasn't seen) of one job. `name`: the result it made."""

    rule: str
    name: str
    seconds: float
    megabytes: float | None


def read_job_times(folder: str | Path, logs: str | Path | None = None) -> list[JobTime]:
    """All benchmark files below `folder`/{rule}/, sorted by rule and name; one that is empty or torn is left out.

    Snakemake sees the memory of its own descendants alone; what a job's log below `logs`/{rule}/ says of it counts, too.
    """
    found = []
    for path in sorted(Path(folder).rglob("*.tsv")):
        rule, *rest = path.relative_to(folder).with_suffix("").parts
        with open(path, encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
        told = read_cpu_times(Path(logs, path.relative_to(folder)).with_suffix(".log")) if logs else []
        for row in rows:
            seconds, memory = row.get("s"), row.get("max_rss")
            if seconds not in (None, *_MISSING):
                seen = [] if memory in (None, *_MISSING) else [float(memory or 0)]
                megabytes = max([*seen, *(time.megabytes for time in told)], default=None)
                found.append(JobTime(rule, "/".join(rest), float(seconds), megabytes))
    return found


def read_cpu_times_of(folder: str | Path) -> dict[str, list[CpuTime]]:
    """What the logs below `folder`/{rule}/ say of CPU seconds, by rule; a rule of which none says anything is left out."""
    found: dict[str, list[CpuTime]] = {}
    for path in sorted(Path(folder).rglob("*.log")):
        if times := read_cpu_times(path):
            found.setdefault(path.relative_to(folder).parts[0], []).extend(times)
    return found


def start_share(times: Iterable[CpuTime]) -> float | None:
    """The part of the CPU time that went into starts: imports, and reading what the work needs; None: nothing is known."""
    times = list(times)
    total = sum(time.seconds for time in times)
    return sum(time.start for time in times) / total if total else None


def made_counts(jobs: Iterable[JobTime]) -> str:
    """How many models and label sets the jobs made, in words."""
    of_rule = Counter(job.rule for job in jobs)
    return ", ".join(
        f"{of_rule[rule]} {word}{'s'[: of_rule[rule] != 1]}"
        for rule, word in (("train", "model"), ("annotate", "label set"))
    )


def run_counts(jobs: Iterable[JobTime]) -> str:
    """What a run took so far, in words: models, label sets, and the jobs, each of which started a process.

    Counted from the records of what ran, so work that was found finished counts for nothing. A job that was run again
    counts once; a download, which runs share, doesn't.
    """
    jobs = list(jobs)
    of_rule = Counter(job.rule for job in jobs)
    starts = ", ".join(f"{rule} {count}" for rule, count in of_rule.most_common())
    return f"{made_counts(jobs)}; {len(jobs)} process start{'s'[: len(jobs) != 1]}" + (f" ({starts})" if starts else "")


def run_times_page(
    jobs: Iterable[JobTime], *, note: str, cpu_times: Mapping[str, Sequence[CpuTime]] | None = None
) -> str:
    """What the run made, time of each rule, and of each model's training. A resumed training counts from where it went on.

    `cpu_times` are what the jobs say of themselves, by rule: how much of them was starts is told in one line.
    """
    jobs, cpu_times = list(jobs), cpu_times or {}
    # The longest first: what a reader looks for.
    seconds = Counter[str]()
    for job in jobs:
        seconds[job.rule] += job.seconds
    rules = [rule for rule, _ in seconds.most_common()]
    rows = [_rule_row(rule, [job for job in jobs if job.rule == rule], cpu_times.get(rule, ())) for rule in rules]
    headings = ["rule", "jobs", "time in all", "longest", "peak memory", "starts"]
    right = [False, True, True, True, True, True]
    training = [[job.name, duration(job.seconds), _memory([job])] for job in jobs if job.rule == "train"]
    blocks = ["# Run times", note, f"{run_counts(jobs)}.", _starts_sentence(cpu_times)]
    blocks.append(markdown_table(headings, rows, right))
    if training:
        blocks.append(
            "## Training\n\n" + markdown_table(["model", "time", "peak memory"], training, [False, True, True])
        )
    blocks.append(
        "Wall-clock time of each job; jobs that ran side by side add up. A resumed training counts from where it went on. "
        "Starts: the part of a rule's CPU time before its work began."
    )
    return "\n\n".join(block for block in blocks if block) + "\n"


def _starts_sentence(cpu_times: Mapping[str, Sequence[CpuTime]]) -> str:
    every = [time for times in cpu_times.values() for time in times]
    share = start_share(every)
    if share is None:
        return ""
    return (
        f"CPU time: {duration(sum(time.seconds for time in every))}, {share:.0%} of it starts (the interpreter, imports, "
        f"reading what the work needs), as {len(every):,} processes say of themselves."
    )


def _rule_row(rule: str, jobs: list[JobTime], cpu_times: Sequence[CpuTime]) -> list[str]:
    seconds, share = [job.seconds for job in jobs], start_share(cpu_times)
    starts = "n/a" if share is None else f"{share:.0%}"
    return [rule, str(len(jobs)), duration(sum(seconds)), duration(max(seconds)), _memory(jobs), starts]


def _memory(jobs: list[JobTime]) -> str:
    seen = [job.megabytes for job in jobs if job.megabytes is not None]
    if not seen:
        return "n/a"
    return f"{max(seen) / 1000:.1f} GB" if max(seen) >= 100 else f"{max(seen):.0f} MB"


def duration(seconds: float) -> str:
    """Seconds for people: `42 s`, `12 min`, `3.4 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
