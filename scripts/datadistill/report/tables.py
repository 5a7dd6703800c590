"""What a table of results says: ours in one group of columns, the paper's in another, read from evaluations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datadistill.errors import UserError
from datadistill.files import REMAKE, read_made
from datadistill.report.published import Deviation, Published
from datadistill.values import is_finite

NOT_RUN = "\u2013"  # an en dash
MINUS = "\u2212"
UNDEFINED = "n/a"
PAPER = "paper, COCO val2017"
DIFFERENCE = "difference"
_ALLOWED = {"name", "title", "caption", "columns", "metrics", "data", "data_note", "compare", "rows"}
_ALLOWED_ROW = {"key", "cells", "published", "evaluations", "best_of", "note", "baseline"}


@dataclass(frozen=True)
class Row:
    """A row: cells, our metrics by seed (empty: not run), the paper's metrics, and keys of rows it is measured against.

    `seeds` maps a seed to its metrics in per cent (None: undefined); `asked` counts the evaluations it should have.
    """

    key: str
    cells: Mapping[str, str]
    seeds: Mapping[int, Mapping[str, float | None]]
    asked: int
    paper: Mapping[str, float] | None
    baselines: tuple[str, ...]
    note: str | None

    @property
    def label(self) -> str:
        """The row in words: its cells that are not empty."""
        return (
            " + ".join(f"{column}: {cell}" if cell == "✓" else cell for column, cell in self.cells.items() if cell)
            or self.key
        )


@dataclass(frozen=True)
class Table:
    """Everything that a rendered table says. `data` names the data of ours in a few words (or not at all), `data_note` in a
    sentence.

    `compare` adds columns of differences to the paper's figures: only for runs on the data that the paper used. There
    `deviations` are what is otherwise not like the paper in the tables that its rows are from.
    """

    name: str
    title: str
    caption: str
    columns: tuple[str, ...]
    metrics: tuple[str, ...]
    data: str
    data_note: str
    compare: bool
    rows: tuple[Row, ...]
    deviations: tuple[Deviation, ...] = ()

    @property
    def ours(self) -> str:
        """Heading of our columns."""
        return f"ours on {self.data}" if self.data else "ours"

    @property
    def of_ours(self) -> str:
        """What headings of figures that are all ours end in: `, ours on proxy data`."""
        return f", {self.ours}" if self.data else ""

    @property
    def has_paper(self) -> bool:
        """Whether any row stands beside one of the paper."""
        return any(row.paper is not None for row in self.rows)

    @property
    def several_seeds(self) -> bool:
        """Whether any row has more than one seed, so that cells are means."""
        return any(len(row.seeds) > 1 for row in self.rows)


def load_table(definition: Mapping[str, Any], published: Published) -> Table:
    """A table from its definition, reading the evaluations that exist.

    The definition has `name`, `title`, `caption`, `columns` (display columns), `metrics`, `data_note` (a line that says
    what data ours are from), optionally `data` (the same in a few words, for headings; "" says nothing) and `compare`, and `rows`: each
    `cells` (text by column), `evaluations` (`seed` and `path` of evaluation files; an absent file is a row not run),
    and optionally `published` (`TABLE.ROW` of the paper), `key`, `baseline` (the key, or a list of keys, of rows it is
    measured against) and `note`. Instead of `evaluations`, `best_of` lists candidates, each a `label` with
    `evaluations`: the row shows the one whose mean of the first metric is highest, and says which.

    Raises `UserError` for unknown keys, a baseline that isn't a row, a repeated seed, and evaluations without a metric.
    """
    name = definition.get("name", "table")
    _reject_unknown(definition, _ALLOWED, f"table {name}")
    columns, metrics = tuple(definition["columns"]), tuple(definition["metrics"])
    rows = [
        _load_row(row, str(number), columns, metrics, published, f"table {name}, row {number}")
        for number, row in enumerate(definition["rows"], start=1)
    ]
    keys = [row.key for row in rows]
    if len(set(keys)) < len(keys):
        raise UserError(f"table {name}: two rows have the same key; give each row its own")
    for row in rows:
        for baseline in row.baselines:
            if baseline not in keys:
                raise UserError(
                    f"table {name}: row {row.key!r} has baseline {baseline!r}, but the rows are {', '.join(keys)}"
                )
    compare = bool(definition.get("compare", False))
    references = [row["published"] for row in definition["rows"] if row.get("published")]
    return Table(
        name=name,
        title=definition["title"],
        caption=definition["caption"],
        columns=columns,
        metrics=metrics,
        data=definition.get("data", definition["data_note"]),
        data_note=definition["data_note"],
        compare=compare,
        rows=tuple(rows),
        deviations=published.touching(references) if compare else (),
    )


def _load_row(
    row: Mapping[str, Any],
    number: str,
    columns: Sequence[str],
    metrics: Sequence[str],
    published: Published,
    where: str,
) -> Row:
    _reject_unknown(row, _ALLOWED_ROW, where)
    if ("evaluations" in row) == ("best_of" in row):
        raise UserError(f"{where}: needs either evaluations or best_of")
    notes = [row["note"]] if row.get("note") else []
    if "best_of" in row:
        evaluations, choice = _best(row["best_of"], metrics, where)
        notes.append(choice)
    else:
        evaluations = row["evaluations"]
    reference, baseline = row.get("published"), row.get("baseline") or []
    return Row(
        key=str(row.get("key", number)),
        cells={column: str(row["cells"].get(column, "")) for column in columns},
        seeds=_read_seeds(evaluations, metrics, where),
        asked=len(evaluations),
        paper=published.row(reference).metrics if reference else None,
        baselines=(baseline,) if isinstance(baseline, str) else tuple(baseline),
        note="; ".join(notes) or None,
    )


def _best(
    candidates: Sequence[Mapping[str, Any]], metrics: Sequence[str], where: str
) -> tuple[Sequence[Mapping[str, Any]], str]:
    """Evaluations of the best candidate (fewer seeds never win; the first of equals), and a note on the choice."""
    if not candidates:
        raise UserError(f"{where}: best_of is empty")

    def rank(candidate: Mapping[str, Any]) -> tuple[int, float]:
        seeds = _read_seeds(candidate["evaluations"], metrics, where)
        mean, _ = mean_and_spread([values[metrics[0]] for values in seeds.values()])
        return len(seeds), -math.inf if mean is None else mean

    best = max(candidates, key=rank)
    labels = ", ".join(candidate["label"] for candidate in candidates)
    if not rank(best)[0]:
        return best["evaluations"], f"the best of {labels}"
    return best[
        "evaluations"
    ], f"{best['label']}, the best in {metrics[0]} of {labels}, chosen on the split it is scored on"


def _reject_unknown(mapping: Mapping[str, Any], allowed: set[str], where: str) -> None:
    unknown = sorted(mapping.keys() - allowed)
    if unknown:
        raise UserError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(sorted(allowed))}")


def read_metrics(path: str | Path) -> dict[str, float | None]:
    """The metrics of an evaluation by name; a file that is none is a `UserError` that names it."""
    metrics = read_made(path, "an evaluation").get("metrics")
    if not isinstance(metrics, dict) or not all(value is None or is_finite(value) for value in metrics.values()):
        raise UserError(f"{path}: not an evaluation as the workflow writes it (no metrics); {REMAKE}")
    return metrics


def _read_seeds(
    evaluations: Sequence[Mapping[str, Any]], metrics: Sequence[str], where: str
) -> dict[int, dict[str, float | None]]:
    seeds: dict[int, dict[str, float | None]] = {}
    for evaluation in evaluations:
        seed, path = int(evaluation["seed"]), Path(evaluation["path"])
        if seed in seeds:
            raise UserError(f"{where}: two evaluations have seed {seed}")
        if not path.exists():
            continue
        values = read_metrics(path)
        missing = [metric for metric in metrics if metric not in values]
        if missing:
            raise UserError(f"{path}: no metric {missing[0]!r}; it has {', '.join(values)}; is it of another task?")
        seeds[seed] = {metric: values[metric] for metric in metrics}
    return seeds


def mean_and_spread(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation (n - 1); no spread for one value; both None if any value is undefined."""
    if not values or any(value is None for value in values):
        return None, None
    numbers = [float(value) for value in values if value is not None]
    mean = math.fsum(numbers) / len(numbers)
    if len(numbers) < 2:
        return mean, None
    return mean, math.sqrt(math.fsum((number - mean) ** 2 for number in numbers) / (len(numbers) - 1))
