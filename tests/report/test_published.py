"""Every figure in config/published.yaml stands in the paper, and every figure of the paper's tables stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from datadistill.errors import UserError
from datadistill.report.published import Published, load_published

ROOT = Path(__file__).parents[2]
PAPER = ROOT.parent / "shared" / "paper" / "data_distillation.txt"
# A phrase of the caption that follows each table in the text; both tables (a) are "Small-scale data".
CAPTIONS = {
    "table1a": r"\(a\).*fully-supervised learning performed on co-35 and co-115 respectively",
    "table1b": r"\(b\).*similar-distribution data.*un-120",
    "table1c": r"\(c\).*dissimilar-distribution data.*s1m-180",
    "table2": r"Table 2\. Ablation on \*\*numbers of training iterations",
    "table3": r"Table 3\. Ablation on \*\*test-time augmentation",
    "table4a": r"\(a\).*fully-supervised learning performed on co-35 and co-115\. ",
    "table4b": r"\(b\) Large-scale data\. Data distillation",
}
TIMES = "\u00d7"
METRIC_NAMES = {"AP": "AP", "AP_{50}": "AP50", "AP_{75}": "AP75", "AP_S": "APs", "AP_M": "APm", "AP_L": "APl"}


@pytest.fixture(scope="module")
def published() -> Published:
    return load_published(ROOT / "config" / "published.yaml")


@pytest.fixture(scope="module")
def paper() -> str:
    if not PAPER.exists():
        pytest.skip("the paper's text is not at ../shared/paper/data_distillation.txt")
    return PAPER.read_text(encoding="utf-8")


def parse_tables(text: str) -> dict[str, tuple[list[str], list[tuple[tuple[str, str], list[float]]]]]:
    """Tables of the paper's text by name: metric names, and rows of (two display cells, figures)."""
    tables = {}
    for block, caption in re.findall(r"((?:^[^\n]*\t[^\n]*\n)+)\n([^\n]+)", text, flags=re.MULTILINE):
        names = [name for name, pattern in CAPTIONS.items() if re.search(pattern, caption)]
        assert len(names) == 1, f"caption {caption!r} matches {names}"
        header, *lines = [line.split("\t") for line in block.rstrip("\n").split("\n")]
        rows, group = [], ""
        for cells in lines:
            group = cells[0] or group
            rows.append(((plain(group), plain(cells[1])), [float(cell) for cell in cells[2:]]))
        tables[names[0]] = ([METRIC_NAMES[cell.strip("$")] for cell in header[2:]], rows)
    return tables


def plain(cell: str) -> str:
    """A display cell without typesetting: the text drops hyphens inside mathematics, so all hyphens and spaces go."""
    cell = re.sub(r"\{?\\times\}?", TIMES, cell).replace("\\checkmark", "✓").replace("√", "✓")
    return re.sub(r"[-\s$]", "", cell)


def section_of(text: str, number: str) -> str:
    """The text of a section without its typesetting; subsections belong to their section."""
    parts = re.split(r"^#+ \**(\d(?:\.\d)?)\.?\** *.*$", text, flags=re.MULTILINE)
    body = "".join(
        parts[i + 1] for i in range(1, len(parts), 2) if parts[i] == number or parts[i].startswith(number + ".")
    )
    return re.sub(r"\s+", " ", re.sub(r"<sub>|</sub>|[*$]", "", body))


def test_all_seven_tables_have_the_papers_43_rows(published):
    assert {name: len(table.rows) for name, table in published.tables.items()} == {
        "table1a": 3, "table1b": 8, "table1c": 8, "table2": 7, "table3": 8, "table4a": 3, "table4b": 6,
    }  # fmt: skip


@pytest.mark.parametrize("name", CAPTIONS)
def test_table_equals_the_papers(published, paper, name):
    metrics, rows = parse_tables(paper)[name]
    ours = published.tables[name]
    assert list(ours.metrics) == metrics
    assert [
        (tuple(plain(cell) for cell in row.cells.values()), list(row.metrics.values())) for row in ours.rows.values()
    ] == rows


def test_in_text_figures_stand_in_their_section(published, paper):
    for key, entry in published.in_text.items():
        assert entry.quote in section_of(paper, entry.section), key
        numbers = [float(number) for number in re.findall(r"(?<![\w.-])\d+\.\d+|(?<=\d-)\d+\.\d+", entry.quote)]
        assert set(entry.values) <= set(numbers), (key, numbers)


def test_in_text_figures_agree_with_the_tables(published):
    def gains(table: str, metric: str = "AP") -> list[float]:
        rows = list(published.tables[table].rows.values())
        return [round(b.metrics[metric] - a.metrics[metric], 1) for a, b in zip(rows[::2], rows[1::2], strict=True)]

    def values(key: str) -> tuple[float, ...]:
        return published.in_text[key].values

    first, second = (published.row(f"table1a.{i}").metrics["AP"] for i in (1, 2))
    assert round(second - first, 1) == values("small_scale_gain")[0]
    assert (min(gains("table1b")), max(gains("table1b"))) == values("similar_distribution_gain")
    assert (min(gains("table1c")), max(gains("table1c"))) == values("dissimilar_distribution_gain")
    ap, ap50 = gains("table4b"), gains("table4b", "AP50")
    assert (min(ap), max(ap), min(ap50), max(ap50)) == values("objects_gain")
    assert max(gains("table4b", "APm")) == values("objects_medium_gain")[0]
    assert published.row("table3.2").metrics["AP"] == values("augmented_student_and_teacher")[0]


def test_a_changed_figure_is_noticed(paper):
    """The parser reads figures, not just rows: swapping two digits in the text changes what it returns."""
    assert parse_tables(paper.replace("60.2\t83.8", "60.2\t88.3")) != parse_tables(paper)


def test_unknown_rows_are_named(published):
    with pytest.raises(UserError, match="its tables are table1a, table1b"):
        published.row("table5.1")
    with pytest.raises(UserError, match=r"table1a has rows table1a\.1 to table1a\.3"):
        published.row("table1a.4")


def test_a_row_of_the_wrong_length_is_refused(tmp_path):
    path = tmp_path / "published.yaml"
    row = "{cells: [x], values: [1.0]}"
    table = f"{{title: T, caption: C, section: '1', columns: [a], metrics: [AP, AP50], rows: [{row}]}}"
    path.write_text(f"tables: {{t: {table}}}\nin_text: []\n")
    with pytest.raises(UserError, match="t, row 1: needs 1 cells and 2 values"):
        load_published(path)


def test_a_figure_of_the_text_can_stand_in_a_row(published):
    assert published.row("in_text.teacher_augmentation.1").metrics == {"AP": 65.1}
    assert published.row("in_text.teacher_augmentation.2").metrics == {"AP": 67.8}
    for reference in ("in_text.teacher_augmentation.3", "in_text.small_scale_gain.1", "in_text.x"):
        with pytest.raises(UserError, match=r"no such figure of one model; it has in_text\.teacher_augmentation\.1"):
            published.row(reference)


def test_deviations_name_tables_and_settings_that_exist(published):
    keys = set(re.findall(r"^ *(\w+):", (ROOT / "config" / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    keys |= set(re.findall(r"`(\w+)`", (ROOT / "config" / "README.md").read_text(encoding="utf-8")))
    for deviation in published.deviations:
        assert set(deviation.tables) <= set(published.tables)
        assert deviation.paper
        assert deviation.ours
        if deviation.setting:
            assert deviation.setting.split(":")[0] in keys, deviation.setting
    touched = {table for deviation in published.deviations for table in deviation.tables}
    assert touched == set(published.tables)


def test_deviations_are_explained_in_the_method_page(published):
    page = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    for deviation in published.deviations:
        assert deviation.what in page, deviation.what


def test_rows_are_touched_by_the_deviations_of_their_tables(published):
    boxes = {deviation.what for deviation in published.touching(["table4b.2", "table4b.3"])}
    assert "overlap from which boxes vote" in boxes
    assert "region proposals" not in boxes
    assert published.touching(["in_text.teacher_augmentation.2"]) == ()
