"""How every figure looks and is written: style sheet, colours, notes; a PDF and a PNG of the same bytes each time."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from datadistill.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE_SHEET = Path(__file__).with_name("figures.mplstyle")
# Okabe and Ito's colours.
BLUE, ORANGE, GREEN, RED, SKY, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
INK, GREY, PALE = "#222222", "#767676", "#D9D9D9"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY)
NOTE_SIZE = 6.5
# One more than colours, so that colour and marker together repeat late.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


@contextmanager
def style() -> Iterator[None]:
    """The project's look (`figures.mplstyle`), inside the block only."""
    from matplotlib import style as sheets

    with sheets.context(STYLE_SHEET):
        yield


def new_figure(width: float, height: float) -> Figure:
    """A figure in inches that belongs to no window or global state, and whose axes arrange themselves."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)
    return figure


def note_height(note: str, width: float) -> float:
    """Inches that the note takes at the foot of a figure `width` inches wide."""
    return 0.1 + 0.125 * len(_note_lines(note, width))


def _note_lines(note: str, width: float) -> list[str]:
    # A character of the small print is about 0.05 inches wide.
    return textwrap.wrap(note, max(20, int((width - 0.2) / 0.05)))


def save_figure(figure: Figure, stem: str | Path, note: str = "") -> list[Path]:
    """Write `stem`.pdf and `stem`.png, `note` in small print at the foot, and return the paths.

    The same figure makes the same bytes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    width, height = figure.get_size_inches()
    foot = note_height(note, width) / height
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(rect=(0, foot, 1, 1 - foot))
    text = "\n".join(_note_lines(note, width))
    figure.text(0.1 / width, 0.06 / height, text, fontsize=NOTE_SIZE, color=GREY, va="bottom", in_layout=False)
    FigureCanvasAgg(figure)
    paths = []
    for kind, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
        path = Path(f"{stem}.{kind}")
        with atomic_write(path, "wb") as stream:
            figure.savefig(stream, format=kind, metadata=metadata)
        paths.append(path)
    return paths


def legend_below(axes: Axes, columns: int = 1) -> None:
    """Below the axes, where it hides nothing."""
    from matplotlib.transforms import ScaledTranslation

    if axes.get_legend_handles_labels()[0]:
        below = axes.transAxes + ScaledTranslation(0, -0.46, axes.figure.dpi_scale_trans)
        axes.legend(
            loc="upper left",
            bbox_to_anchor=(0, 0),
            bbox_transform=below,
            ncols=columns,
            fontsize=7.5,
            borderaxespad=0,
        )
