"""Columns beside the metrics of a table whose rows go on from each other: the labels that a row learned from, and what it gained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datadistill.evaluate.held_out import MEASURES
from datadistill.report.gains import Gain, gains, signed
from datadistill.report.tables import NOT_RUN, UNDEFINED, Row, Table, mean_and_spread

if TYPE_CHECKING:
    import pandas as pd

LABELS = "labels it learned from"
STEP = "against the row before"


def label_frame(table: Table) -> pd.DataFrame:
    """How many labels an image of the pool has, and their precision and recall on held-out images: means over seeds, as text.

    A dash where a row learned from no labels, or nothing has run.
    """
    import pandas as pd

    return pd.DataFrame([[_cell(row, name) for name in MEASURES] for row in table.rows], columns=list(MEASURES))


def _cell(row: Row, name: str) -> str:
    if not row.labels:
        return NOT_RUN
    mean, spread = mean_and_spread([values[name] for values in row.labels.values()])
    decimals = 2 if name == MEASURES[0] else 1
    if mean is None:
        return UNDEFINED
    return f"{mean:.{decimals}f}" + ("" if spread is None else f" ± {spread:.{decimals}f}")


def step_frame(table: Table) -> pd.DataFrame:
    """What each row gained over the one before in the first metric, the 95 % interval of that over seeds, and whether it helped."""
    import pandas as pd

    metric = table.metrics[0]
    cells = [_step(found) for found in steps(table)]
    return pd.DataFrame(cells, columns=[f"gain in {metric}", "95 % interval", "helped"])


def steps(table: Table) -> list[Gain | None]:
    """The gain of each row over its first baseline in the first metric; None for a row without one, or where either hasn't run."""
    rows = {row.key: row for row in table.rows}
    found = [gains(row, rows[row.baselines[0]], table.metrics[:1]) if row.baselines else [] for row in table.rows]
    return [each[0] if each else None for each in found]


def _step(gain: Gain | None) -> list[str]:
    if gain is None:
        return [NOT_RUN] * 3
    if gain.interval is None:
        return [signed(gain.mean), NOT_RUN, "one seed"]
    low, high = gain.mean - gain.interval, gain.mean + gain.interval
    return [
        signed(gain.mean),
        f"{signed(low)} to {signed(high)}",
        "yes" if low > 0 else "no" if high < 0 else "not clear",
    ]


def number_columns(table: Table) -> dict[str, list[Any]]:
    """The same as numbers, by flat column names: means over seeds and half the interval's width."""
    columns: dict[str, list[Any]] = {}
    if table.labels_on:
        for name in MEASURES:
            means = [mean_and_spread([values[name] for values in row.labels.values()])[0] for row in table.rows]
            columns[f"{LABELS}: {name}"] = means
    if table.steps:
        found = steps(table)
        columns[f"{STEP}: {table.metrics[0]}"] = [gain and gain.mean for gain in found]
        columns[f"{STEP}: half of the 95 % interval"] = [gain and gain.interval for gain in found]
    return columns


def round_legend(table: Table) -> list[str]:
    """What the words in these columns mean."""
    lines = []
    if table.labels_on:
        lines.append(
            f"Labels: how many an image of the pool has; precision and recall in per cent, of what their teacher labels on "
            f"{table.labels_on} by the same thresholds."
        )
    if table.steps:
        lines.append(
            "Helped: yes or no where the 95 % interval of the gain, over seeds, leaves out zero; else it is not clear. One seed tells "
            "nothing."
        )
    return lines
