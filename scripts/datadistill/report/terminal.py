"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from datadistill.report.frames import table_frame
from datadistill.report.gains import gain_lines
from datadistill.report.table_files import columns_with_gaps, legend
from datadistill.report.tables import Table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable


def show_table(table: Table, console: Console | None = None) -> None:
    """Print a table on the terminal, with its data note, gains and legend.

    Where the terminal is too narrow for all columns, their groups go below each other.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.measure import Measurement

    frame = table_frame(table)
    whole = _rich_table(*columns_with_gaps(frame))
    width = Measurement.get(Console(width=1000), Console(width=1000).options, whole).maximum
    # A log or a pipe has no width to fit.
    console = console or (Console() if Console().is_terminal else Console(width=max(width, 120)))
    console.print(f"[bold]{escape(table.title)}[/bold]", highlight=False)
    console.print(escape(f"{'Ours' if table.has_paper else 'Data'}: {table.data_note}"), highlight=False)
    if width <= console.width:
        console.print(whole)
    else:
        for group in dict.fromkeys(group for group, _ in frame.columns if group):
            part = frame[[column for column in frame.columns if column[0] in ("", group)]]
            headings, cells, right = columns_with_gaps(part)
            headings = [
                heading.split(" ")[-1] if is_right else heading
                for heading, is_right in zip(headings, right, strict=True)
            ]
            console.print(_rich_table(headings, cells, right, group))
    for line in [*gain_lines(table), *legend(table)]:
        console.print(f"  {escape(line)}", highlight=False)
    if table.deviations:
        listed = ", ".join(deviation.what for deviation in table.deviations)
        console.print(f"  Not as in the paper (the table's file says how): {escape(listed)}.", highlight=False)
    console.print()


def _rich_table(
    headings: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool], title: str | None = None
) -> RichTable:
    from rich import box
    from rich.markup import escape
    from rich.table import Table as RichTable

    shown = RichTable(title=title and escape(title), box=box.SIMPLE_HEAD, title_justify="left", padding=(0, 1, 0, 0))
    for heading, is_right in zip(headings, right, strict=True):
        # Figures never wrap; display cells may.
        heading = heading.replace(" ", "\n", 1) if is_right else heading.strip()
        shown.add_column(escape(heading), justify="right" if is_right else "left", no_wrap=is_right, overflow="fold")
    for row in cells:
        shown.add_row(*map(escape, row))
    return shown
