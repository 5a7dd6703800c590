"""Tables: what they show of ours and of the paper's, in all formats."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest

from datadistill.errors import UserError
from datadistill.report.frames import long_frame, number_frame, seed_frame, table_frame
from datadistill.report.gains import gain_lines, signed
from datadistill.report.published import load_published
from datadistill.report.table_files import tex, to_latex, to_markdown, write_table
from datadistill.report.tables import load_table, mean_and_spread
from datadistill.report.terminal import show_table

PUBLISHED = load_published(Path(__file__).parents[2] / "config" / "published.yaml")
NOTE = "rendered people, a proxy for COCO (60 labelled images)"
DASH, MINUS = "\u2013", "\u2212"


@pytest.fixture
def evaluations(tmp_path):
    """Write an evaluation file for each seed; returns what a row's `evaluations` holds."""

    def write(name: str, *seeds: dict[str, float | None] | None) -> list[dict]:
        entries = []
        for seed, metrics in enumerate(seeds, start=1):
            path = tmp_path / f"{name}-{seed}.json"
            if metrics is not None:
                path.write_text(json.dumps({"metrics": metrics}))
            entries.append({"seed": seed, "path": str(path)})
        return entries

    return write


def definition(rows: list[dict], **more) -> dict:
    return {
        "name": "table1a",
        "title": "Table 1a",
        "caption": "Few labels.",
        "columns": ["labeled", "unlabeled"],
        "metrics": ["AP", "AP50"],
        "data": "rendered data (proxy)",
        "data_note": NOTE,
        "rows": rows,
    } | more


def one_seed(evaluations) -> dict:
    return definition(
        [
            {
                "key": "small",
                "cells": {"labeled": "60"},
                "published": "table1a.1",
                "evaluations": evaluations("a", {"AP": 30.0, "AP50": 50.04}),
            },
            {
                "cells": {"labeled": "60", "unlabeled": "600"},
                "published": "table1a.2",
                "baseline": "small",
                "evaluations": evaluations("b", {"AP": 28.5, "AP50": None}),
            },
            {"cells": {"labeled": "660"}, "evaluations": evaluations("c", None), "note": "with hidden labels"},
        ]
    )


def test_markdown_of_one_seed(evaluations):
    assert (
        to_markdown(load_table(one_seed(evaluations), PUBLISHED))
        == f"""# Table 1a

Few labels.

**Ours:** {NOTE}<br>
**Paper:** COCO val2017, as printed.

| labeled | unlabeled |   | ours AP | ours AP50 |   | paper AP | paper AP50 |
| ------- | --------- | - | ------: | --------: | - | -------: | ---------: |
| 60      |           |   |    30.0 |      50.0 |   |     54.9 |       80.5 |
| 60      | 600       |   |    28.5 |       n/a |   |     60.2 |       83.8 |
| 660     |           |   |       {DASH} |         {DASH} |   |        {DASH} |          {DASH} |

- A dash: not run, or not in the paper.
- n/a: the evaluated split has no instance of that size.
- 660: with hidden labels.
- The paper's figures are for reference: ours are on other data, so the two are not comparable.

## Gains, ours on rendered data (proxy)

- 60 + 600 against 60: AP {MINUS}1.5 (one seed, spread unknown; paper: AP +5.3). No gain in AP here.
"""
    )


def test_latex_of_one_seed(evaluations):
    text = to_latex(load_table(one_seed(evaluations), PUBLISHED))
    assert r"\begin{tabular}{llrrrr}" in text
    assert (
        r"\multicolumn{2}{c}{} & \multicolumn{2}{c}{ours on rendered data (proxy)} & "
        r"\multicolumn{2}{c}{paper, COCO val2017} \\" + "\n"
        r"\cmidrule(lr){3-4} \cmidrule(lr){5-6}" + "\n"
        r"labeled & unlabeled & AP & AP$_{50}$ & AP & AP$_{50}$ \\" + "\n"
        r"\midrule" + "\n"
        r"60 &  & 30.0 & 50.0 & 54.9 & 80.5 \\" + "\n"
        r"60 & 600 & 28.5 & n/a & 60.2 & 83.8 \\" + "\n"
        r"660 &  & -- & -- & -- & -- \\" + "\n"
        r"\bottomrule"
    ) in text
    assert r"AP $-$1.5 (one seed, spread unknown; paper: AP +5.3). No gain in AP here." in text
    assert text.count("{") == text.count("}")


def test_every_format_names_the_data_of_ours(evaluations, tmp_path, capsys):
    content = one_seed(evaluations)
    table = load_table(content, PUBLISHED)
    paths = write_table(table, content, tmp_path / "out" / "table1a")
    assert [path.name for path in paths] == [
        "table1a.md", "table1a.csv", "table1a.tex", "table1a.seeds.csv", "table1a.json",
    ]  # fmt: skip
    for path in paths:
        assert NOTE in path.read_text(encoding="utf-8"), path
    show_table(table)
    assert NOTE in capsys.readouterr().out


def test_csv_is_flat_and_keeps_numbers(evaluations, tmp_path):
    content = one_seed(evaluations)
    write_table(load_table(content, PUBLISHED), content, tmp_path / "t")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text(encoding="utf-8"))))
    assert [row["ours on rendered data (proxy): AP50"] for row in rows] == ["50.040", "", ""]
    assert [row["paper, COCO val2017: AP"] for row in rows] == ["54.900", "60.200", ""]
    assert {row["data of ours"] for row in rows} == {NOTE}
    assert json.loads((tmp_path / "t.json").read_text()) == content


def three_seeds(evaluations, **more) -> dict:
    return definition(
        [
            {
                "key": "base",
                "cells": {"labeled": "60"},
                "published": "table1a.1",
                "evaluations": evaluations("a", *({"AP": ap, "AP50": 50.0} for ap in (30.0, 31.0, 32.0))),
            },
            {
                "cells": {"labeled": "60", "unlabeled": "600"},
                "published": "table1a.2",
                "baseline": "base",
                "evaluations": evaluations("b", *({"AP": ap, "AP50": 49.0} for ap in (32.0, 32.0, 35.0))),
            },
        ],
        **more,
    )


def test_several_seeds_show_mean_spread_and_each(evaluations):
    table = load_table(three_seeds(evaluations), PUBLISHED)
    frame = table_frame(table)
    # 32, 32, 35: mean 33, squared deviations 1, 1, 4, sample variance 6 / 2.
    assert frame[table.ours, "AP"].tolist() == ["31.0 ± 1.0", "33.0 ± 1.7"]
    assert frame[table.ours, "seeds"].tolist() == ["3", "3"]
    seeds = seed_frame(table)
    assert seeds["seed"].tolist() == [1, 2, 3, 1, 2, 3]
    assert seeds[f"{table.ours}: AP"].tolist() == [30.0, 31.0, 32.0, 32.0, 32.0, 35.0]
    markdown = to_markdown(table)
    assert "## Each seed, ours on rendered data (proxy)" in markdown
    assert "| 60      | 600       |    3 | 35.0 | 49.0 |" in markdown
    assert "Several seeds: mean ± sample standard deviation." in markdown


def test_the_long_frame_has_every_figure_once(evaluations):
    table = load_table(three_seeds(evaluations, compare=True), PUBLISHED)
    frame = long_frame(table)
    assert not frame.duplicated(["row", "seed", "source", "metric"]).any()
    # Two rows by two metrics: three seeds of ours, the paper's figure, and the difference.
    assert frame["source"].value_counts().to_dict() == {table.ours: 12, "paper, COCO val2017": 4, "difference": 4}
    chosen = frame[(frame["row"] == 1) & (frame["metric"] == "AP")].set_index(["source", "seed"])["value"]
    assert chosen[table.ours, 3] == 35.0
    assert chosen["paper, COCO val2017", 0] == 60.2
    assert chosen["difference", 0] == pytest.approx(33 - 60.2)
    not_run = long_frame(load_table(one_seed(evaluations), PUBLISHED))
    assert 2 not in set(not_run["row"]), "a row that has neither run nor stands in the paper"
    undefined = not_run[(not_run["row"] == 1) & (not_run["metric"] == "AP50") & (not_run["source"] == table.ours)]
    assert undefined["value"].isna().tolist() == [True]


def test_gains_are_paired_by_seed(evaluations):
    """Differences 2, 1, 3: mean 2, deviation 1, half interval 4.303 / sqrt(3) = 2.48, so not beyond the spread."""
    (line,) = gain_lines(load_table(three_seeds(evaluations), PUBLISHED))
    assert line == (
        f"60 + 600 against 60: AP +2.0 ± 1.0, AP50 {MINUS}1.0 ± 0.0 (3 seeds compared one by one, "
        f"AP higher in 3 of them, 95 % interval of its mean {MINUS}0.5 to +4.5; paper: AP +5.3). "
        "A gain in AP on average, not beyond the spread of the seeds."
    )


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((32.0, 33.0, 34.1), "A gain in AP."),
        ((30.0, 31.0, 32.0), "No gain in AP here."),
        ((29.0, 30.0, 31.0), "No gain in AP here."),
    ],
)
def test_verdicts(evaluations, values, verdict):
    content = three_seeds(evaluations)
    content["rows"][1]["evaluations"] = evaluations("v", *({"AP": ap, "AP50": 49.0} for ap in values))
    (line,) = gain_lines(load_table(content, PUBLISHED))
    assert line.endswith(verdict)


def test_one_seed_claims_nothing(evaluations):
    content = one_seed(evaluations)
    content["rows"][1]["evaluations"] = evaluations("better", {"AP": 40.0, "AP50": 60.0})
    (line,) = gain_lines(load_table(content, PUBLISHED))
    assert line == "60 + 600 against 60: AP +10.0, AP50 +10.0 (one seed, spread unknown; paper: AP +5.3)."


def test_differences_only_where_the_data_are_the_papers(evaluations):
    table = load_table(three_seeds(evaluations), PUBLISHED)
    assert "difference" not in {group for group, _ in table_frame(table).columns}
    assert "not comparable" in to_markdown(table)
    compared = load_table(three_seeds(evaluations, compare=True), PUBLISHED)
    assert table_frame(compared)["difference", "AP"].tolist() == [f"{MINUS}23.9", f"{MINUS}27.2"]
    assert number_frame(compared)["difference: AP"].tolist() == pytest.approx([31 - 54.9, 33 - 60.2])
    assert "not comparable" not in to_markdown(compared)


def test_a_row_lacking_a_seed_says_so(evaluations):
    content = three_seeds(evaluations)
    Path(content["rows"][1]["evaluations"][2]["path"]).unlink()
    table = load_table(content, PUBLISHED)
    assert table_frame(table)[table.ours, "seeds"].tolist() == ["3", "2"]
    assert "- 60 + 600: 2 of 3 seeds have run." in to_markdown(table)
    assert "2 seeds compared one by one, AP higher in 2 of them" in gain_lines(table)[0]


def test_the_best_of_several_lengths(evaluations):
    lengths = [
        {
            "label": "300 iterations",
            "evaluations": evaluations("s", {"AP": 20.0, "AP50": 1.0}, {"AP": 21.0, "AP50": 1.0}),
        },
        {
            "label": "600 iterations",
            "evaluations": evaluations("m", {"AP": 30.0, "AP50": 2.0}, {"AP": 28.0, "AP50": 2.0}),
        },
        {"label": "900 iterations", "evaluations": evaluations("l", {"AP": 99.0, "AP50": 3.0}, None)},
    ]
    table = load_table(definition([{"cells": {"labeled": "60"}, "best_of": lengths}]), PUBLISHED)
    assert table.rows[0].seeds == {1: {"AP": 30.0, "AP50": 2.0}, 2: {"AP": 28.0, "AP50": 2.0}}
    assert table.rows[0].note == (
        "600 iterations, the best in AP of 300 iterations, 600 iterations, 900 iterations, "
        "chosen on the split it is scored on"
    )


def test_narrow_terminals_get_one_group_below_the_other(evaluations):
    from rich.console import Console

    table = load_table(three_seeds(evaluations), PUBLISHED)
    wide, narrow = (Console(width=width, file=io.StringIO()) for width in (140, 60))
    show_table(table, wide)
    show_table(table, narrow)
    assert "paper, COCO val2017" not in wide.file.getvalue()
    text = narrow.file.getvalue()
    assert "ours on rendered data (proxy)" in text
    assert "paper, COCO val2017" in text
    assert max(map(len, text.splitlines())) <= 60
    for figure in ("31.0 ± 1.0", "33.0 ± 1.7", "54.9", "83.8"):
        assert figure in text


def test_mean_and_spread():
    assert mean_and_spread([]) == (None, None)
    assert mean_and_spread([4.0]) == (4.0, None)
    assert mean_and_spread([4.0, None]) == (None, None)
    assert mean_and_spread([1.0, 3.0]) == (2.0, pytest.approx(math.sqrt(2)))


def test_signs():
    assert [signed(value) for value in (1.25, -0.96, 0.04, -0.04)] == ["+1.2", f"{MINUS}1.0", "0.0", "0.0"]


def test_tex_escapes_all_specials():
    assert tex(r"a_b & 5% {x} #1 ✓ ~^\ $") == (
        r"a\_b \& 5\% \{x\} \#1 $\checkmark$ \textasciitilde{}\textasciicircum{}\textbackslash{} \$"
    )


def break_row(content: dict, **change) -> dict:
    return content | {"rows": [content["rows"][0] | change, *content["rows"][1:]]}


def test_bad_definitions_are_refused(evaluations, tmp_path):
    content = one_seed(evaluations)
    doubled = content["rows"][0]["evaluations"] * 2
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"metrics": {"AP": 1.0, "APs": 2.0}}))
    for broken, message in [
        (content | {"titel": "x"}, "table table1a: unknown key 'titel'"),
        (break_row(content, celsl={}), "row 1: unknown key 'celsl'"),
        (break_row(content, baseline="huge"), "has baseline 'huge', but the rows are small, 2, 3"),
        (break_row(content, key="2"), "two rows have the same key"),
        (break_row(content, published="table1a.9"), r"table1a has rows table1a\.1 to table1a\.3"),
        (break_row(content, evaluations=doubled), "row 1: two evaluations have seed 1"),
        (break_row(content, best_of=[]), "row 1: needs either evaluations or best_of"),
        (break_row(content, evaluations=[{"seed": 1, "path": str(other)}]), "no metric 'AP50'; it has AP, APs"),
    ]:
        with pytest.raises(UserError, match=message):
            load_table(broken, PUBLISHED)


def test_a_table_on_the_paper_s_data_lists_what_is_not_as_in_the_paper(evaluations, capsys):
    table = load_table(three_seeds(evaluations, compare=True), PUBLISHED)
    assert [d.what for d in table.deviations] == [d.what for d in PUBLISHED.deviations if "table1a" in d.tables]
    markdown = to_markdown(table)
    section = markdown.split("## Not as in the paper")[1].split("## Each seed")[0]
    assert section.count("\n| ") == 2 + len(table.deviations)
    assert "`proposals: teacher`" in section
    assert "overlap from which boxes vote" not in section
    assert "Not as in the paper: region proposals. Paper: an RPN" in to_latex(table)
    show_table(table)
    assert "Not as in the paper (the table's file says how): region proposals, " in capsys.readouterr().out
    # Stand-in data are nowhere like the paper's.
    proxy = load_table(three_seeds(evaluations), PUBLISHED)
    assert proxy.deviations == ()
    assert "Not as in the paper" not in to_markdown(proxy)


def test_a_figure_of_the_text_stands_beside_ours_with_its_difference(evaluations):
    rows = [
        {
            "cells": {"labeled": "plain"},
            "published": "in_text.teacher_augmentation.1",
            "evaluations": evaluations("p", {"AP": 64.9, "AP50": 86.0}),
        },
        {
            "cells": {"labeled": "augmented"},
            "published": "in_text.teacher_augmentation.2",
            "baseline": "1",
            "evaluations": evaluations("q", {"AP": 67.3, "AP50": 88.0}),
        },
    ]
    table = load_table(definition(rows, compare=True), PUBLISHED)
    frame = table_frame(table)
    assert frame["paper, COCO val2017", "AP"].tolist() == ["65.1", "67.8"]
    assert frame["difference", "AP"].tolist() == [f"{MINUS}0.2", f"{MINUS}0.5"]
    assert frame["paper, COCO val2017", "AP50"].tolist() == [DASH, DASH]
    assert "AP +2.4" in gain_lines(table)[0]
    assert "paper: AP +2.7" in gain_lines(table)[0]
    assert "not in the paper" in to_markdown(table)


def test_without_a_row_of_the_paper_there_is_none_of_its_columns(evaluations, tmp_path, capsys):
    rows = [{**row, "published": None} for row in one_seed(evaluations)["rows"]]
    content = definition(rows, compare=True)
    table = load_table(content, PUBLISHED)
    assert {group for group, _ in table_frame(table).columns} == {"", "ours on rendered data (proxy)"}
    write_table(table, content, tmp_path / "t")
    texts = [(tmp_path / f"t.{kind}").read_text(encoding="utf-8") for kind in ("md", "csv", "tex", "seeds.csv")]
    show_table(table)
    for text in [*texts, capsys.readouterr().out]:
        assert NOTE in text
        assert not [word for word in ("paper", "val2017", "diff") if word in text]
    assert "| labeled | unlabeled |   |   AP | AP50 |" in texts[0]
    assert "- A dash: not run.\n" in texts[0]
