"""Tables as files: Markdown, CSV and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datadistill.files import atomic_write, write_json
from datadistill.report.frames import number_frame, seed_frame, table_frame
from datadistill.report.gains import gain_lines
from datadistill.report.markdown import markdown_table
from datadistill.report.tables import DIFFERENCE, MINUS, NOT_RUN, PAPER, UNDEFINED, Table

if TYPE_CHECKING:
    import pandas as pd

METRIC_TEX = {
    "AP50": r"AP$_{50}$",
    "AP75": r"AP$_{75}$",
    "APs": r"AP$_{S}$",
    "APm": r"AP$_{M}$",
    "APl": r"AP$_{L}$",
}


def legend(table: Table) -> list[str]:
    """What the signs in the table mean, as far as they occur in it, and the rows' notes."""
    lines = []
    if table.several_seeds:
        lines.append("Several seeds: mean ± sample standard deviation.")
    if table.has_paper and any(not row.seeds or not set(table.metrics) <= set(row.paper or ()) for row in table.rows):
        lines.append("A dash: not run, or not in the paper.")
    elif any(not row.seeds for row in table.rows):
        lines.append("A dash: not run.")
    if any(value is None for row in table.rows for values in row.seeds.values() for value in values.values()):
        lines.append(f"{UNDEFINED}: the evaluated split has no instance of that size.")
    for row in table.rows:
        if row.seeds and len(row.seeds) < row.asked:
            lines.append(f"{row.label}: {len(row.seeds)} of {row.asked} seeds have run.")
        if row.note:
            lines.append(f"{row.label}: {row.note.rstrip('.')}.")
    if table.has_paper and not table.compare:
        lines.append("The paper's figures are for reference: ours are on other data, so the two are not comparable.")
    return lines


def to_markdown(table: Table) -> str:
    """GitHub Markdown, aligned to be read as plain text: title, data note, the table, legend, gains, what isn't as in
    the paper, each seed."""
    frame = table_frame(table)
    blocks = [
        f"# {table.title}",
        table.caption,
        f"**Ours:** {table.data_note}<br>\n**Paper:** COCO val2017, as printed."
        if table.has_paper
        else f"**Data:** {table.data_note}",
    ]
    blocks.append(markdown_table(*columns_with_gaps(frame)))
    blocks.append("\n".join(f"- {line}" for line in legend(table)))
    lines = gain_lines(table)
    if lines:
        blocks.append(f"## Gains{table.of_ours}\n\n" + "\n".join(f"- {line}" for line in lines))
    if table.deviations:
        headings = ["what", "paper, or its authors' framework", "ours", "the other way"]
        cells = [[d.what, d.paper, d.ours, f"`{d.setting}`" if d.setting else NOT_RUN] for d in table.deviations]
        blocks.append("## Not as in the paper\n\n" + markdown_table(headings, cells, [False] * 4))
        blocks.append('Reasons: docs/method.md, "Witnesses that disagree".')
    if table.several_seeds:
        seeds = seed_frame(table).drop(columns="data of ours")
        headings = [str(column).removeprefix(f"{table.ours}: ") for column in seeds.columns]
        cells = [[_seed_cell(cell) for cell in record] for record in seeds.itertuples(index=False)]
        aligned = [heading not in table.columns for heading in headings]
        blocks.append(f"## Each seed{table.of_ours}\n\n" + markdown_table(headings, cells, aligned))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _seed_cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return UNDEFINED
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def columns_with_gaps(frame: pd.DataFrame) -> tuple[list[str], list[list[str]], list[bool]]:
    """Headings, cells and right-alignment, with an empty column between groups."""
    # Beside no others, ours need not be told apart.
    ours = "ours" if PAPER in frame.columns.get_level_values(0) else ""
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
        prefix = short.get(group, ours)
        headings.append(f"{prefix} {column}".strip())
        positions.append(position)
        right.append(group != "")
        previous = group
    cells = [
        ["" if position is None else str(record[position]) for position in positions]
        for record in frame.itertuples(index=False)
    ]
    return headings, cells, right


def to_latex(table: Table) -> str:
    """A LaTeX `table` with booktabs rules and groups of columns; needs the packages booktabs and amssymb."""
    deviations = [f"Not as in the paper: {d.what}. Paper: {d.paper}. Ours: {d.ours}." for d in table.deviations]
    data = _sentence(table.data_note)
    noted = f"Ours: {tex(data)} Paper: COCO val2017, as printed." if table.has_paper else f"Data: {tex(data)}"
    details = "\\\\\n".join(tex(line) for line in [*legend(table), *gain_lines(table), *deviations])
    return "\n".join(
        [
            f"% {'Ours' if table.has_paper else 'Data'}: {table.data_note}",
            r"\begin{table}[t]",
            r"\centering",
            _tabular(table_frame(table)),
            rf"\par\smallskip\begin{{minipage}}{{\linewidth}}\footnotesize {details}\end{{minipage}}",
            rf"\caption{{\textbf{{{tex(_sentence(table.title))}}} {tex(_sentence(table.caption))} {noted}}}",
            rf"\label{{tab:{table.name}}}",
            r"\end{table}",
            "",
        ]
    )


def _tabular(frame: pd.DataFrame) -> str:
    """The `tabular` of a table's frame, with a rule below the heading of each group."""
    groups = list(frame.columns.get_level_values(0))
    sizes = {group: groups.count(group) for group in groups}
    # Styler spans only what is wider than a column, and draws no rules of groups.
    heads = {
        group: tex(group) if size > 1 else rf"\multicolumn{{1}}{{c}}{{{tex(group)}}}" for group, size in sizes.items()
    }
    ends = [groups.index(group) + size for group, size in sizes.items() if group]
    rules = [
        rf"\cmidrule(lr){{{end - size + 1}-{end}}}"
        for end, size in zip(ends, (size for group, size in sizes.items() if group), strict=True)
    ]
    styler = frame.style.hide(axis="index").format(tex)
    styler.format_index(heads.get, axis="columns", level=0)
    styler.format_index(lambda name: METRIC_TEX.get(name, tex(name)), axis="columns", level=1)
    specification = "".join("r" if group else "l" for group in groups)
    text = styler.to_latex(column_format=specification, hrules=True, multicol_align="c").rstrip("\n")
    return text.replace("\\\\\n", "\\\\\n" + " ".join(rules) + "\n", 1)


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
