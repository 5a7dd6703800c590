"""A table's figures as data frames: one long frame, and what is shown and written as pivots of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from datadistill.report.gains import signed
from datadistill.report.tables import DIFFERENCE, NOT_RUN, PAPER, UNDEFINED, Table, mean_and_spread

if TYPE_CHECKING:
    import pandas as pd


def long_frame(table: Table) -> pd.DataFrame:
    """Every figure of a table, one a line: `row` (its number, from 0), `seed`, `source`, `metric`, `value`.

    Sources: our heading (a line for each seed), `PAPER` and, where the table compares, `DIFFERENCE` (of our mean to the
    paper's figure), both of seed 0. Values are per cent; NaN: our evaluation is undefined. A row that has not run, or
    that the paper lacks, has no lines.
    """
    import pandas as pd

    lines: list[tuple[int, int, str, str, float | None]] = []
    for number, row in enumerate(table.rows):
        paper = row.paper or {}
        for metric in table.metrics:
            ours = [(seed, values[metric]) for seed, values in row.seeds.items()]
            lines += [(number, seed, table.ours, metric, value) for seed, value in ours]
            if metric in paper:
                lines.append((number, 0, PAPER, metric, paper[metric]))
                mean, _ = mean_and_spread([value for _, value in ours])
                if table.compare and mean is not None:
                    lines.append((number, 0, DIFFERENCE, metric, mean - paper[metric]))
    frame = pd.DataFrame(lines, columns=["row", "seed", "source", "metric", "value"])
    return frame.astype({"value": float})


def table_frame(table: Table) -> pd.DataFrame:
    """The table as text, as it is shown: a column index of (group, column), one row a row.

    Groups: "" (display cells), our heading, the paper's if a row has one, and the differences' where the table compares. Cells: one
    decimal, with several seeds mean ± sample standard deviation; a dash where nothing has run.
    """
    import pandas as pd

    groups = [table.ours, *([PAPER, *([DIFFERENCE] if table.compare else [])] if table.has_paper else [])]
    shown = {
        table.ours: _our_cell,
        PAPER: lambda values: f"{_only(values):.1f}",
        DIFFERENCE: lambda values: signed(_only(values)),
    }
    long = long_frame(table)
    parts = [_cells(table)]
    for group in groups:
        part = _pivot(table, long[long["source"] == group], shown[group]).fillna(NOT_RUN)
        if group == table.ours and table.several_seeds:
            part["seeds"] = [str(len(row.seeds)) if row.seeds else NOT_RUN for row in table.rows]
        parts.append(part)
    return pd.concat(parts, axis=1, keys=["", *groups])


def number_frame(table: Table) -> pd.DataFrame:
    """The table as numbers under flat column names, for other programs; the last columns name the data and notes."""
    import pandas as pd

    long = long_frame(table)
    ours, paper, difference = (long[long["source"] == source] for source in (table.ours, PAPER, DIFFERENCE))
    means = _pivot(table, ours, lambda values: _mean_and_spread(values)[0]).add_prefix(f"{table.ours}: ")
    if table.several_seeds:
        spreads = (
            _pivot(table, ours, lambda values: _mean_and_spread(values)[1])
            .add_prefix(f"{table.ours}: ")
            .add_suffix(" std")
        )
        means = pd.concat([means, spreads], axis=1)[
            [name for pair in zip(means, spreads, strict=True) for name in pair]
        ]
    parts = [_cells(table), means, pd.Series([len(row.seeds) for row in table.rows], name="seeds")]
    if table.has_paper:
        parts.append(_pivot(table, paper, _only).add_prefix(f"{PAPER}: "))
    if table.has_paper and table.compare:
        parts.append(_pivot(table, difference, _only).add_prefix(f"{DIFFERENCE}: "))
    notes = {"data of ours": table.data_note, "note": [row.note for row in table.rows]}
    return pd.concat([*parts, pd.DataFrame(notes)], axis=1)


def seed_frame(table: Table) -> pd.DataFrame:
    """Each seed's metrics: display cells, seed, metrics in per cent, data."""
    long = long_frame(table)
    ours = long[long["source"] == table.ours].pivot(index=["row", "seed"], columns="metric", values="value")
    ours = ours.reindex(columns=list(table.metrics)).add_prefix(f"{table.ours}: ").sort_index().reset_index()
    return (
        _cells(table)
        .join(ours.set_index("row"), how="inner")
        .reset_index(drop=True)
        .assign(**{"data of ours": table.data_note})
    )


def _cells(table: Table) -> pd.DataFrame:
    """The display cells, one row a row."""
    import pandas as pd

    return pd.DataFrame([dict(row.cells) for row in table.rows], columns=list(table.columns))


def _pivot(table: Table, long: pd.DataFrame, shown: Callable[[pd.Series], Any]) -> pd.DataFrame:
    """One row a row of the table, one column a metric; what `shown` makes of the values there, NaN where there is none."""
    wide = long.groupby(["row", "metric"])["value"].agg(shown).unstack("metric")
    return wide.reindex(index=range(len(table.rows)), columns=list(table.metrics))


def _only(values: pd.Series) -> float:
    return float(values.iloc[0])


def _mean_and_spread(values: pd.Series) -> tuple[float | None, float | None]:
    return mean_and_spread([None if math.isnan(value) else value for value in values])


def _our_cell(values: pd.Series) -> str:
    mean, spread = _mean_and_spread(values)
    if mean is None:
        return UNDEFINED
    return f"{mean:.1f}" if spread is None else f"{mean:.1f} ± {spread:.1f}"
