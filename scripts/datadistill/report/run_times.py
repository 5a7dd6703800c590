"""How long a run's jobs took, from the benchmark files that Snakemake writes, as a Markdown page."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from datadistill.report.markdown import markdown_table

_MISSING = ("", "-", "NA")


@dataclass(frozen=True)
class JobTime:
    """Wall seconds and peak memory (MB; None where it wasn't seen) of one job. `name`: the result it made."""

    rule: str
    name: str
    seconds: float
    megabytes: float | None


def read_job_times(folder: str | Path) -> list[JobTime]:
    """All benchmark files below `folder`/{rule}/, sorted by rule and name; one that is empty or torn is left out."""
    found = []
    for path in sorted(Path(folder).rglob("*.tsv")):
        rule, *rest = path.relative_to(folder).with_suffix("").parts
        with open(path, encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
        for row in rows:
            seconds, memory = row.get("s"), row.get("max_rss")
            if seconds not in (None, *_MISSING):
                found.append(
                    JobTime(
                        rule, "/".join(rest), float(seconds), None if memory in (None, *_MISSING) else float(memory)
                    )
                )
    return found


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


def run_times_page(jobs: Iterable[JobTime], *, note: str) -> str:
    """What the run made, time of each rule, and of each model's training. A resumed training counts from where it went
    on."""
    jobs = list(jobs)
    # The longest first: what a reader looks for.
    seconds = Counter[str]()
    for job in jobs:
        seconds[job.rule] += job.seconds
    rules = [rule for rule, _ in seconds.most_common()]
    rows = [_rule_row(rule, [job for job in jobs if job.rule == rule]) for rule in rules]
    headings = ["rule", "jobs", "time in all", "longest", "peak memory"]
    right = [False, True, True, True, True]
    training = [[job.name, duration(job.seconds), _memory([job])] for job in jobs if job.rule == "train"]
    blocks = ["# Run times", note, f"{run_counts(jobs)}.", markdown_table(headings, rows, right)]
    if training:
        blocks.append(
            "## Training\n\n" + markdown_table(["model", "time", "peak memory"], training, [False, True, True])
        )
    blocks.append(
        "Wall-clock time of each job; jobs that ran side by side add up. A resumed training counts from where it went on."
    )
    return "\n\n".join(blocks) + "\n"


def _rule_row(rule: str, jobs: list[JobTime]) -> list[str]:
    seconds = [job.seconds for job in jobs]
    return [rule, str(len(jobs)), duration(sum(seconds)), duration(max(seconds)), _memory(jobs)]


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
