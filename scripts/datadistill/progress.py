"""Progress for people: a bar on a terminal, otherwise a line in the log now and then.

Every line of a log that tells progress has one form, so that a program can read it (training's has the loss and more
between rate and time left):

    WHAT DONE/TOTAL ... RATE ... TIME left        predict 1200/5000 images 38.20image/s 01:39 left

RATE is `Nthing/s`, or `Ns/thing` where it is less than one a second (a space may follow N); TIME is `M:SS` or `H:MM:SS`. Where the total isn't
known, neither it nor the time left is said. `read_progress` reads it.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from datadistill.cpu_time import work_begins

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 10.0
_LINE = re.compile(
    r"(?:(?P<what>\S.*?) )?(?P<done>\d+)(?:/(?P<total>\d+))? .*?"
    r"(?P<rate>(?:\d[\d.]*|\?) ?(?:[A-Za-z]+/s|s/[A-Za-z]+))(?: .*?(?P<left>\d+(?::\d\d)+|\?) left)?"
)
_LOSS = re.compile(r" loss (\S+)")


@dataclass(frozen=True)
class Progress:
    """What a line of a log says. `rate` and `left` (the time) are as they stand there, `left` and `loss` are empty and `total`
    is None where it says nothing."""

    what: str
    done: int
    total: int | None
    rate: str
    left: str
    loss: str


def read_progress(line: str) -> Progress | None:
    """The progress that a line of a log tells; None: it tells none."""
    found = _LINE.fullmatch(line.strip())
    if found is None:
        return None
    total = found["total"]
    loss = _LOSS.search(line)
    return Progress(
        what=found["what"] or "",
        done=int(found["done"]),
        total=None if total is None else int(total),
        rate=found["rate"],
        left=found["left"] or "",
        loss=loss[1] if loss else "",
    )


def progress(iterable: Iterable[T], *, total: int | None = None, unit: str = "image", label: str = "") -> Iterator[T]:
    """Yield the items of `iterable` and report on standard error how far it has got.

    `total` defaults to `len(iterable)` where it has one. On a terminal the report is a tqdm bar; elsewhere (log files
    of Snakemake, of a cluster) a line about every `SECONDS_BETWEEN_LINES` and one at the end; none where there was
    nothing to do.
    """
    from tqdm import tqdm

    work_begins()
    options = {"total": total, "unit": unit, "desc": label or None}
    if sys.stderr.isatty():
        yield from tqdm(iterable, **options)
        return

    class Lines(tqdm):
        said = 0

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            if self.n != self.said:
                print(*str(self).split(), file=sys.stderr, flush=True)
                self.said = self.n

    units = unit + ("es" if unit.endswith("x") else "s")
    known = total is not None or hasattr(iterable, "__len__")
    form = f"/{{total_fmt}} {units} {{rate_fmt}} {{remaining}} left" if known else f" {units} {{rate_fmt}}"
    # `display` prints; what tqdm itself would write are the ends of its line.
    yield from Lines(
        iterable,
        bar_format="{desc} {n_fmt}" + form,
        file=io.StringIO(),
        mininterval=SECONDS_BETWEEN_LINES,
        miniters=1,
        **options,
    )
