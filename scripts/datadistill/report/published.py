"""The paper's printed figures, which every table shows beside ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datadistill.errors import UserError


@dataclass(frozen=True)
class PublishedRow:
    """One row of a table of the paper: its display cells by column, and its metrics in per cent."""

    cells: Mapping[str, str]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class PublishedTable:
    """A table of the paper. Row keys are "1", "2", ... in the paper's order."""

    title: str
    caption: str
    section: str
    columns: tuple[str, ...]
    metrics: tuple[str, ...]
    rows: Mapping[str, PublishedRow]


@dataclass(frozen=True)
class InText:
    """Figures that the running text prints: the words they stand in, and the section. `metric` is what they are of, where
    each is a model's."""

    what: str
    section: str
    values: tuple[float, ...]
    quote: str
    metric: str | None = None


@dataclass(frozen=True)
class Deviation:
    """Something that isn't as in the paper: what the paper (or its authors' framework) has, what we do, the setting that
    does it the other way, and the paper's tables that it touches."""

    what: str
    paper: str
    ours: str
    tables: tuple[str, ...]
    setting: str | None = None


@dataclass(frozen=True)
class Published:
    """All figures of the paper, by table and row key (`table1a.2` is the second row of Table 1a), and by key in the text."""

    tables: Mapping[str, PublishedTable]
    in_text: Mapping[str, InText]
    deviations: tuple[Deviation, ...] = ()

    def touching(self, references: Iterable[str]) -> tuple[Deviation, ...]:
        """The deviations that touch any of the paper's tables that rows (`TABLE.ROW`) are from."""
        tables = {reference.partition(".")[0] for reference in references}
        return tuple(deviation for deviation in self.deviations if tables & set(deviation.tables))

    def row(self, reference: str) -> PublishedRow:
        """The row named by `TABLE.ROW`, or by `in_text.KEY.NUMBER` a figure of the running text; a `UserError` says which
        tables, rows or figures there are."""
        table, _, key = reference.partition(".")
        if table == "in_text":
            return self._figure(reference, *key.rpartition(".")[::2])
        if table not in self.tables:
            raise UserError(
                f"published row {reference!r}: the paper has no {table!r}; its tables are {', '.join(self.tables)}"
            )
        rows = self.tables[table].rows
        if key not in rows:
            raise UserError(f"published row {reference!r}: {table} has rows {table}.1 to {table}.{len(rows)}")
        return rows[key]

    def _figure(self, reference: str, key: str, number: str) -> PublishedRow:
        known = {name: entry for name, entry in self.in_text.items() if entry.metric}
        if key not in known or number not in map(str, range(1, len(known[key].values) + 1)):
            listed = ", ".join(f"in_text.{name}.1 to .{len(entry.values)}" for name, entry in known.items())
            raise UserError(f"published row {reference!r}: the text has no such figure of one model; it has {listed}")
        return PublishedRow({}, {str(known[key].metric): known[key].values[int(number) - 1]})


def load_published(path: str | Path) -> Published:
    """Read `config/published.yaml`; a malformed table or row is a `UserError` that names it."""
    import yaml

    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; it holds the paper's figures and is part of the repository") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({error})") from None
    return Published(
        tables={key: _table(table, f"{path}: {key}") for key, table in content["tables"].items()},
        in_text={
            entry["key"]: InText(
                entry["what"], entry["section"], tuple(entry["values"]), entry["quote"], entry.get("metric")
            )
            for entry in content["in_text"]
        },
        deviations=tuple(
            Deviation(**{**entry, "tables": tuple(entry["tables"])}) for entry in content.get("deviations", [])
        ),
    )


def _table(table: Mapping[str, Any], where: str) -> PublishedTable:
    columns, metrics = tuple(table["columns"]), tuple(table["metrics"])
    rows = {}
    for number, row in enumerate(table["rows"], start=1):
        if len(row["cells"]) != len(columns) or len(row["values"]) != len(metrics):
            raise UserError(f"{where}, row {number}: needs {len(columns)} cells and {len(metrics)} values")
        rows[str(number)] = PublishedRow(
            cells=dict(zip(columns, row["cells"], strict=True)), metrics=dict(zip(metrics, row["values"], strict=True))
        )
    return PublishedTable(table["title"], table["caption"], table["section"], columns, metrics, rows)
