"""Tables of Markdown pages."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import SEPARATING_LINE, DataRow, TableFormat, tabulate


def _rule(widths: Sequence[int], aligns: Sequence[str]) -> str:
    """The line below the headings; `widths` count the spaces beside the text."""
    dashes = ["-" * (w - 3) + ":" if a == "right" else "-" * (w - 2) for w, a in zip(widths, aligns, strict=True)]
    return "| " + " | ".join(dashes) + " |"


# Tabulate's own Markdown formats pad headings more than cells, and draw a rule that touches the bars.
_ROW = DataRow("|", "|", "|")
_PADDED = TableFormat(None, _rule, None, None, _ROW, _ROW, 1, None)


def markdown_table(headings: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """GitHub Markdown, padded so that it reads well as plain text; `right` says which columns are right-aligned."""
    # A rule of Markdown needs three dashes; a blank heading is that of an empty column between groups.
    wide = [
        " " if not heading.strip() else heading.rjust(3) if is_right else heading.ljust(3)
        for heading, is_right in zip(headings, right, strict=True)
    ]
    first, *rows = [[cell.replace("|", r"\|") for cell in row] for row in [wide, *cells]]
    return tabulate(
        [first, SEPARATING_LINE, *rows],
        tablefmt=_PADDED,
        colalign=["right" if is_right else "left" for is_right in right],
        disable_numparse=True,
        preserve_whitespace=True,
    )
