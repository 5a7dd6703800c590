"""The columns of a table whose rows go on from each other: labels, gains with their interval, and whether a step helped."""

from __future__ import annotations

import csv
import io
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import ttest_1samp

from datadistill.errors import UserError
from datadistill.report.frames import number_frame, seed_frame, table_frame
from datadistill.report.published import load_published
from datadistill.report.round_columns import LABELS, STEP
from datadistill.report.table_files import to_latex, to_markdown
from datadistill.report.tables import Table, load_table

PUBLISHED = load_published(Path(__file__).parents[2] / "config" / "published.yaml")
DASH = "\u2013"
# AP of three seeds in four rounds: better in each, worse in each, and this way and that.
AP = [[10.0, 11.0, 12.0], [12.0, 13.1, 14.2], [11.0, 12.0, 13.2], [12.5, 11.0, 13.3]]
LABELS_OF = [None, (2.5, 80.0, 70.0), (2.4, 85.0, None), (2.6, None, 71.0)]


def rounds(tmp_path: Path, seeds: int = 3, **more: Any) -> dict[str, Any]:
    def write(name: str, value: Any) -> str:
        (tmp_path / name).write_text(json.dumps(value))
        return str(tmp_path / name)

    rows = []
    for number, values in enumerate(AP):
        evaluations, labels = [], []
        for seed, value in enumerate(values[:seeds], start=1):
            path = write(f"ap-{number}-{seed}.json", {"metrics": {"AP": value, "AP50": 2 * value}})
            evaluations.append({"seed": seed, "path": path})
            if LABELS_OF[number] is not None:
                measures = dict(zip(("an image", "precision", "recall"), LABELS_OF[number], strict=True))
                path = write(f"labels-{number}-{seed}.json", {"measures": measures})
                labels.append({"seed": seed, "path": path})
        before = [str(number)] if number else []
        rows.append({"cells": {"round": number}, "evaluations": evaluations, "labels": labels, "baseline": before})
    texts = {"name": "rounds-cells", "title": "Rounds", "caption": "", "data_note": "cells", "data": "cells"}
    return {
        **texts,
        "columns": ["round"],
        "metrics": ["AP", "AP50"],
        "rows": rows,
        "steps": True,
        "labels_on": "val",
        **more,
    }


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return load_table(rounds(tmp_path), PUBLISHED)


def test_a_step_helped_where_the_interval_over_seeds_leaves_out_zero(table: Table) -> None:
    shown = table_frame(table)[STEP]
    assert shown["helped"].tolist() == [DASH, "yes", "no", "not clear"]
    assert shown["gain in AP"].tolist() == [DASH, "+2.1", "\u22121.0", "+0.2"]
    numbers = number_frame(table)
    for row, (before, after) in enumerate(itertools.pairwise(AP), start=1):
        differences = [b - a for a, b in zip(before, after, strict=True)]
        low, high = ttest_1samp(differences, 0.0).confidence_interval(0.95)
        half = numbers[f"{STEP}: half of the 95 % interval"][row]
        assert numbers[f"{STEP}: AP"][row] == pytest.approx(sum(differences) / 3)
        assert half == pytest.approx((high - low) / 2)
    assert shown["95 % interval"].tolist()[:2] == [DASH, "+1.9 to +2.3"]


def test_labels_stand_beside_the_row_that_learned_from_them(table: Table) -> None:
    shown = table_frame(table)[LABELS]
    assert shown["an image"].tolist() == [DASH, "2.50 ± 0.00", "2.40 ± 0.00", "2.60 ± 0.00"]
    assert shown["precision"].tolist() == [DASH, "80.0 ± 0.0", "85.0 ± 0.0", "n/a"]
    assert shown["recall"].tolist() == [DASH, "70.0 ± 0.0", "n/a", "71.0 ± 0.0"]
    seeds = seed_frame(table)
    assert seeds[f"{LABELS}: precision"].tolist()[3:6] == [80.0] * 3
    assert len(seeds) == 12


def test_one_seed_tells_nothing(tmp_path: Path) -> None:
    table = load_table(rounds(tmp_path, seeds=1), PUBLISHED)
    shown = table_frame(table)[STEP]
    assert shown["helped"].tolist() == [DASH, "one seed", "one seed", "one seed"]
    assert shown["gain in AP"].tolist() == [DASH, "+2.0", "\u22121.0", "+1.5"]
    assert table_frame(table)[LABELS]["an image"].tolist() == [DASH, "2.50", "2.40", "2.60"]


def test_what_has_not_run_is_a_dash(tmp_path: Path) -> None:
    definition = rounds(tmp_path)
    for path in [*tmp_path.glob("ap-2-*"), *tmp_path.glob("labels-2-*")]:
        path.unlink()
    frame = table_frame(load_table(definition, PUBLISHED))
    assert frame[STEP]["helped"].tolist() == [DASH, "yes", DASH, DASH]
    assert frame[LABELS]["precision"].tolist()[2] == DASH


def test_every_format_has_the_columns(table: Table) -> None:
    page = to_markdown(table)
    [heading] = [line for line in page.splitlines() if line.startswith("|") and "gain in AP" in line]
    assert [cell.strip() for cell in heading.split("|")[-8:-1]] == [
        *("labels an image", "labels precision", "labels recall"),
        *("", "gain in AP", "95 % interval", "helped"),
    ]
    assert "of what their teacher labels on val by the same thresholds" in page
    assert r"gain in AP & 95 \% interval & helped" in to_latex(table)
    rows = list(csv.reader(io.StringIO(number_frame(table).to_csv(index=False))))
    assert f"{LABELS}: recall" in rows[0]


def test_other_tables_have_none_of_it(tmp_path: Path) -> None:
    plain = {key: value for key, value in rounds(tmp_path).items() if key not in ("steps", "labels_on")}
    table = load_table(plain, PUBLISHED)
    assert not {LABELS, STEP} & set(table_frame(table).columns.get_level_values(0))
    assert not [name for name in number_frame(table).columns if name.startswith((LABELS, STEP))]


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    definition = rounds(tmp_path)
    (tmp_path / "labels-1-2.json").write_text(json.dumps({"measures": {"precision": 3}}))
    with pytest.raises(UserError, match=r"labels-1-2\.json: not the quality of labels"):
        load_table(definition, PUBLISHED)
