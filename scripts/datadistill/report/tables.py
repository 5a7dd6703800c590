"""Tables of results: ours in one group of columns, the paper's in another, as Markdown, CSV and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datadistill.errors import UserError
from datadistill.files import atomic_write, read_json, write_json
from datadistill.report.published import Published

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table as RichTable

NOT_RUN = "\u2013"  # an en dash
MINUS = "\u2212"
UNDEFINED = "n/a"
PAPER = "paper, COCO val2017"
DIFFERENCE = "difference"
METRIC_TEX = {
    "AP50": r"AP$_{50}$",
    "AP75": r"AP$_{75}$",
    "APs": r"AP$_{S}$",
    "APm": r"AP$_{M}$",
    "APl": r"AP$_{L}$",
}
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
    """Everything that a rendered table says. `data` names the data of ours in a few words, `data_note` in a sentence.

    `compare` adds columns of differences to the paper's figures: only for runs on the data that the paper used.
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

    @property
    def ours(self) -> str:
        """Heading of our columns."""
        return f"ours on {self.data}"

    @property
    def several_seeds(self) -> bool:
        """Whether any row has more than one seed, so that cells are means."""
        return any(len(row.seeds) > 1 for row in self.rows)


@dataclass(frozen=True)
class Gain:
    """What a row has over its baseline in one metric, in points; several seeds are compared seed by seed.

    `spread` is the sample standard deviation of the differences and `interval` half the width of the 95 % t-interval of
    their mean (both None for one seed); `wins` counts the seeds with a positive difference.
    """

    metric: str
    mean: float
    spread: float | None
    interval: float | None
    wins: int
    seeds: int


def load_table(definition: Mapping[str, Any], published: Published) -> Table:
    """A table from its definition, reading the evaluations that exist.

    The definition has `name`, `title`, `caption`, `columns` (display columns), `metrics`, `data_note` (a line that says
    what data ours are from), optionally `data` (the same in a few words, for headings) and `compare`, and `rows`: each
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
    return Table(
        name=name,
        title=definition["title"],
        caption=definition["caption"],
        columns=columns,
        metrics=metrics,
        data=definition.get("data") or definition["data_note"],
        data_note=definition["data_note"],
        compare=bool(definition.get("compare", False)),
        rows=tuple(rows),
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
        values = read_json(path)["metrics"]
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


def gains(row: Row, baseline: Row, metrics: Sequence[str]) -> list[Gain]:
    """What `row` has over `baseline`, by metric.

    Seeds that only one of them has are left out, and so are undefined metrics.
    """
    common = sorted(row.seeds.keys() & baseline.seeds.keys())
    result = []
    for metric in metrics:
        pairs = [(row.seeds[seed][metric], baseline.seeds[seed][metric]) for seed in common]
        differences = [ours - theirs for ours, theirs in pairs if ours is not None and theirs is not None]
        mean, spread = mean_and_spread(differences)
        if mean is None or len(differences) < len(common):
            continue
        wins = sum(difference > 0 for difference in differences)
        result.append(Gain(metric, mean, spread, _half_interval(spread, len(differences)), wins, len(differences)))
    return result


def _half_interval(spread: float | None, count: int) -> float | None:
    if spread is None:
        return None
    from scipy.stats import t

    return float(t.ppf(0.975, count - 1)) * spread / math.sqrt(count)


def gain_lines(table: Table) -> list[str]:
    """One line for each row and baseline: the gain by metric with its sign, and plainly when there is none."""
    rows = {row.key: row for row in table.rows}
    return [_gain_line(row, rows[key], table.metrics) for row in table.rows for key in row.baselines]


def _gain_line(row: Row, baseline: Row, metrics: Sequence[str]) -> str:
    title = f"{row.label} against {baseline.label}"
    found = gains(row, baseline, metrics)
    if not found:
        return f"{title}: not run."
    first = found[0]
    if first.interval is None:
        parts = [f"{gain.metric} {signed(gain.mean)}" for gain in found]
        basis = "one seed, spread unknown"
    else:
        parts = [f"{gain.metric} {signed(gain.mean)} ± {gain.spread:.1f}" for gain in found]
        low, high = signed(first.mean - first.interval), signed(first.mean + first.interval)
        basis = (
            f"{first.seeds} seeds compared one by one, {first.metric} higher in {first.wins} of them, "
            f"95 % interval of its mean {low} to {high}"
        )
    if row.paper and baseline.paper and first.metric in row.paper and first.metric in baseline.paper:
        basis += f"; paper: {first.metric} {signed(row.paper[first.metric] - baseline.paper[first.metric])}"
    return f"{title}: {', '.join(parts)} ({basis}). {_verdict(first)}".rstrip()


def _verdict(gain: Gain) -> str:
    if gain.mean <= 0:
        return f"No gain in {gain.metric} here."
    if gain.interval is None:
        return ""  # one seed claims nothing
    if gain.interval >= gain.mean:
        return f"A gain in {gain.metric} on average, not beyond the spread of the seeds."
    return f"A gain in {gain.metric}."


def signed(value: float) -> str:
    """One decimal with its sign (a minus sign, not a hyphen); no sign for a zero."""
    text = f"{abs(value):.1f}"
    return text if float(text) == 0 else ("+" if value > 0 else MINUS) + text


def table_frame(table: Table) -> pd.DataFrame:
    """The table as text, as it is shown: a column index of (group, column), one row a row.

    Groups: "" (display cells), our heading, the paper's, and the differences' where the table compares. Cells: one
    decimal, with several seeds mean ± sample standard deviation; a dash where nothing has run.
    """
    import pandas as pd

    records = []
    for row in table.rows:
        record: dict[tuple[str, str], str] = {("", column): cell for column, cell in row.cells.items()}
        for metric in table.metrics:
            record[table.ours, metric] = _our_cell(row, metric)
        if table.several_seeds:
            record[table.ours, "seeds"] = str(len(row.seeds)) if row.seeds else NOT_RUN
        for metric in table.metrics:
            printed = (row.paper or {}).get(metric)
            record[PAPER, metric] = NOT_RUN if printed is None else f"{printed:.1f}"
        if table.compare:
            for metric in table.metrics:
                difference = _difference(row, metric)
                record[DIFFERENCE, metric] = NOT_RUN if difference is None else signed(difference)
        records.append(record)
    return pd.DataFrame(records, columns=pd.MultiIndex.from_tuples(list(records[0])) if records else None)


def _our_cell(row: Row, metric: str) -> str:
    if not row.seeds:
        return NOT_RUN
    mean, spread = mean_and_spread([values[metric] for values in row.seeds.values()])
    if mean is None:
        return UNDEFINED
    return f"{mean:.1f}" if spread is None else f"{mean:.1f} ± {spread:.1f}"


def _difference(row: Row, metric: str) -> float | None:
    mean, _ = mean_and_spread([values[metric] for values in row.seeds.values()])
    printed = (row.paper or {}).get(metric)
    return None if mean is None or printed is None else mean - printed


def number_frame(table: Table) -> pd.DataFrame:
    """The table as numbers under flat column names, for other programs; the last columns name the data and notes."""
    import pandas as pd

    records = []
    for row in table.rows:
        record: dict[str, Any] = dict(row.cells)
        for metric in table.metrics:
            mean, spread = mean_and_spread([values[metric] for values in row.seeds.values()])
            record[f"{table.ours}: {metric}"] = mean
            if table.several_seeds:
                record[f"{table.ours}: {metric} std"] = spread
        record["seeds"] = len(row.seeds)
        for metric in table.metrics:
            record[f"{PAPER}: {metric}"] = (row.paper or {}).get(metric)
        if table.compare:
            for metric in table.metrics:
                record[f"{DIFFERENCE}: {metric}"] = _difference(row, metric)
        records.append(record | {"data of ours": table.data_note, "note": row.note})
    return pd.DataFrame(records)


def seed_frame(table: Table) -> pd.DataFrame:
    """Each seed's metrics: display cells, seed, metrics in per cent, data."""
    import pandas as pd

    headings = [*table.columns, "seed", *(f"{table.ours}: {metric}" for metric in table.metrics), "data of ours"]
    records = [
        [*row.cells.values(), seed, *(values[metric] for metric in table.metrics), table.data_note]
        for row in table.rows
        for seed, values in sorted(row.seeds.items())
    ]
    return pd.DataFrame(records, columns=headings)


def legend(table: Table) -> list[str]:
    """What the signs in the table mean, as far as they occur in it, and the rows' notes."""
    lines = []
    if table.several_seeds:
        lines.append("Several seeds: mean ± sample standard deviation.")
    if any(not row.seeds or row.paper is None for row in table.rows):
        lines.append("A dash: not run, or not in the paper.")
    if any(row.seeds and _our_cell(row, metric) == UNDEFINED for row in table.rows for metric in table.metrics):
        lines.append(f"{UNDEFINED}: the evaluated split has no instance of that size.")
    for row in table.rows:
        if row.seeds and len(row.seeds) < row.asked:
            lines.append(f"{row.label}: {len(row.seeds)} of {row.asked} seeds have run.")
        if row.note:
            lines.append(f"{row.label}: {row.note.rstrip('.')}.")
    if not table.compare:
        lines.append("The paper's figures are for reference: ours are on other data, so the two are not comparable.")
    return lines


# Markdown


def to_markdown(table: Table) -> str:
    """GitHub Markdown, aligned to be read as plain text: title, data note, the table, legend, gains, each seed."""
    frame = table_frame(table)
    blocks = [
        f"# {table.title}",
        table.caption,
        f"**Ours:** {table.data_note}<br>\n**Paper:** COCO val2017, as printed.",
    ]
    blocks.append(markdown_table(*_with_gaps(frame)))
    blocks.append("\n".join(f"- {line}" for line in legend(table)))
    lines = gain_lines(table)
    if lines:
        blocks.append(f"## Gains, {table.ours}\n\n" + "\n".join(f"- {line}" for line in lines))
    if table.several_seeds:
        seeds = seed_frame(table).drop(columns="data of ours")
        headings = [str(column).removeprefix(f"{table.ours}: ") for column in seeds.columns]
        cells = [[_seed_cell(cell) for cell in record] for record in seeds.itertuples(index=False)]
        aligned = [heading not in table.columns for heading in headings]
        blocks.append(f"## Each seed, {table.ours}\n\n" + markdown_table(headings, cells, aligned))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _seed_cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return UNDEFINED
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _with_gaps(frame: pd.DataFrame) -> tuple[list[str], list[list[str]], list[bool]]:
    """Headings, cells and right-alignment, with an empty column between groups."""
    short = {"": "", PAPER: "paper", DIFFERENCE: "diff."}
    headings: list[str] = []
    positions: list[int | None] = []
    right: list[bool] = []
    previous = ""
    for position, (group, column) in enumerate(frame.columns):
        if group != previous:
            headings.append(" ")
            positions.append(None)
            right.append(False)
        prefix = short.get(group, "ours")
        headings.append(f"{prefix} {column}".strip())
        positions.append(position)
        right.append(group != "")
        previous = group
    cells = [
        ["" if position is None else str(record[position]) for position in positions]
        for record in frame.itertuples(index=False)
    ]
    return headings, cells, right


def markdown_table(headings: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """GitHub Markdown, padded so that it reads well as plain text; `right` says which columns are right-aligned."""
    escaped = [[cell.replace("|", r"\|") for cell in row] for row in [headings, *cells]]
    widths = [
        max([3 if heading.strip() else 1, *(len(row[i]) for row in escaped)]) for i, heading in enumerate(headings)
    ]

    def line(row: Sequence[str]) -> str:
        padded = [cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True)]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * (w - 1) + ":" if r else "-" * w for w, r in zip(widths, right, strict=True)]
    return "\n".join([line(escaped[0]), "| " + " | ".join(rule) + " |", *(line(row) for row in escaped[1:])])


# LaTeX


def to_latex(table: Table) -> str:
    """A LaTeX `table` with booktabs rules and groups of columns; needs the packages booktabs and amssymb."""
    frame = table_frame(table)
    groups: list[tuple[str, int]] = []
    for group, _ in frame.columns:
        if groups and groups[-1][0] == group:
            groups[-1] = (group, groups[-1][1] + 1)
        else:
            groups.append((group, 1))
    specification = "".join(("l" if group == "" else "r") * count for group, count in groups)
    heads, rules, start = [], [], 1
    for group, count in groups:
        heads.append(rf"\multicolumn{{{count}}}{{c}}{{{tex(group)}}}")
        if group:
            rules.append(rf"\cmidrule(lr){{{start}-{start + count - 1}}}")
        start += count
    columns = " & ".join(
        METRIC_TEX.get(column, tex(column)) if group else tex(column) for group, column in frame.columns
    )
    body = [" & ".join(tex(str(cell)) for cell in record) + r" \\" for record in frame.itertuples(index=False)]
    details = "\\\\\n".join(tex(line) for line in [*legend(table), *gain_lines(table)])
    return "\n".join(
        [
            f"% Ours: {table.data_note}",
            r"\begin{table}[t]",
            r"\centering",
            rf"\begin{{tabular}}{{{specification}}}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            " ".join(rules),
            columns + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\par\smallskip\begin{{minipage}}{{\linewidth}}\footnotesize {details}\end{{minipage}}",
            rf"\caption{{\textbf{{{tex(_sentence(table.title))}}} {tex(_sentence(table.caption))} "
            rf"Ours: {tex(_sentence(table.data_note))} Paper: COCO val2017, as printed.}}",
            rf"\label{{tab:{table.name}}}",
            r"\end{table}",
            "",
        ]
    )


def _sentence(text: str) -> str:
    return text.rstrip(".") + "." if text else ""


def tex(text: str) -> str:
    """Plain text as LaTeX."""
    specials = {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "✓": r"$\checkmark$",
        "±": r"$\pm$",
        "\u00d7": r"$\times$",
        "\u03c1": r"$\rho$",
        MINUS: r"$-$",
        NOT_RUN: "--",
    }
    return "".join(specials.get(character, character) for character in text)


# Files and the terminal


def write_table(table: Table, definition: Mapping[str, Any], stem: str | Path) -> list[Path]:
    """Write `stem`.md, .csv, .tex, .seeds.csv (each seed) and .json (the definition, to show it again); the paths."""
    stem = Path(stem)
    paths = {kind: stem.with_name(f"{stem.name}.{kind}") for kind in ("md", "csv", "tex", "seeds.csv", "json")}
    texts = {
        "md": to_markdown(table),
        "tex": to_latex(table),
        "csv": number_frame(table).to_csv(index=False, float_format="%.3f"),
        "seeds.csv": seed_frame(table).to_csv(index=False, float_format="%.3f"),
    }
    for kind, text in texts.items():
        with atomic_write(paths[kind]) as stream:
            stream.write(text)
    write_json(paths["json"], definition, indent=1)
    return list(paths.values())


def show_table(table: Table, console: Console | None = None) -> None:
    """Print a table on the terminal, with its data note, gains and legend.

    Where the terminal is too narrow for all columns, their groups go below each other.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.measure import Measurement

    frame = table_frame(table)
    whole = _rich_table(*_with_gaps(frame))
    width = Measurement.get(Console(width=1000), Console(width=1000).options, whole).maximum
    # A log or a pipe has no width to fit.
    console = console or (Console() if Console().is_terminal else Console(width=max(width, 120)))
    console.print(f"[bold]{escape(table.title)}[/bold]", highlight=False)
    console.print(escape(f"Ours: {table.data_note}"), highlight=False)
    if width <= console.width:
        console.print(whole)
    else:
        for group in dict.fromkeys(group for group, _ in frame.columns if group):
            part = frame[[column for column in frame.columns if column[0] in ("", group)]]
            headings, cells, right = _with_gaps(part)
            headings = [
                heading.split(" ")[-1] if is_right else heading
                for heading, is_right in zip(headings, right, strict=True)
            ]
            console.print(_rich_table(headings, cells, right, group))
    for line in [*gain_lines(table), *legend(table)]:
        console.print(f"  {escape(line)}", highlight=False)
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
