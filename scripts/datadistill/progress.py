"""Progress for people: a bar on a terminal, otherwise a log line now and then with rate and time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 10.0


def progress(
    iterable: Iterable[T],
    *,
    total: int | None = None,
    unit: str = "image",
    label: str = "",
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[T]:
    """Yield the items of `iterable` and report on standard error how far it has got.

    `total` defaults to `len(iterable)` where it has one. On a terminal the report is a tqdm bar; elsewhere (log files
    of Snakemake, of a cluster) a line about every ten seconds and one at the end.
    """
    if total is None and hasattr(iterable, "__len__"):
        total = len(iterable)
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(iterable, total=total, unit=unit, desc=label or None)
        return
    start = last = clock()
    done = 0
    for item in iterable:
        yield item
        done += 1
        now = clock()
        if now - last >= SECONDS_BETWEEN_LINES and done != total:
            _say(label, unit, done, total, now - start)
            last = now
    _say(label, unit, done, total, clock() - start)


def _say(label: str, unit: str, done: int, total: int | None, seconds: float) -> None:
    rate = done / max(seconds, 1e-9)
    units = unit + ("es" if unit.endswith("x") else "s")
    parts = [f"{done}/{total} {units}" if total is not None else f"{done} {units}"]
    parts.append(f"{rate:.3g} {units}/s" if rate >= 1 or not done else f"{1 / rate:.3g} s/{unit}")
    if total is not None and 0 < done < total:
        parts.append(f"{duration((total - done) / rate)} left")
    else:
        parts.append(f"took {duration(seconds)}")
    print(f"{label}: " * bool(label) + ", ".join(parts), file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds as people write them: `42 s`, `3 min 5 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
