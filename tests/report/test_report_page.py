"""The report of a run as one page: what it opens on, whether it stands alone, and whether a browser cuts anything off."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datadistill.errors import UserError
from datadistill.report.report_page import report_page

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "make_report.py"
NOTE = "rendered <scenes> (a proxy)"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The contents of a report, with a table, a name and a figure that are too wide for any screen."""
    monkeypatch.chdir(tmp_path)
    base = Path("results/run")
    for folder in ("tables", "figures", "labels/a", "benchmarks/train", "benchmarks/annotate"):
        (base / folder).mkdir(parents=True)
    cells = " | ".join(f"a column {i}" for i in range(30))
    wide = f"| {cells} |\n|{' - |' * 30}\n| {cells} |\n"
    (base / "tables/table1a.md").write_text(f"# Table 1a. Headline\n\n{wide}\n## Gains\n\n- AP +1.6\n")
    (base / "tables/table2.md").write_text("# Table 2. Another\n\n| a |\n| - |\n| 7 |\n")
    (base / "labels/a/quality.md").write_text(f"# Label quality: {'a_long_name_' * 40}\n\n{wide}")
    (base / "run-times.md").write_text("# Run times\n\n6 models\n")
    Image.new("RGB", (4000, 400), "red").save(base / "figures/figure7.png")
    for rule in ("train/one", "annotate/set"):
        (base / f"benchmarks/{rule}.tsv").write_text("s\tmax_rss\n90.0\t10.0\n")
    page = {"title": "Label quality: pool", "page": str(base / "labels/a/quality.md")}
    figure = {"title": "figure7", "figure": str(base / "figures/figure7.png"), "caption": "Labels <b>."}
    return {
        "run": "run",
        "note": NOTE,
        "proxy": True,
        "seeds": [1, 2],
        "made": [
            {"title": "Models", "columns": ["model", "labelled"], "rows": [["teacher" * 30, "photos"]]},
            {"title": "Label sets", "columns": ["label set"], "rows": []},
        ],
        "headline": [{"title": "Table 1a", "page": str(base / "tables/table1a.md")}],
        "sections": [
            {"title": "Pictures", "items": [figure]},
            {"title": "Tables", "items": [{"title": "Table 2", "page": str(base / "tables/table2.md")}]},
            {"title": "Label quality", "items": [page]},
        ],
        "benchmarks": str(base / "benchmarks"),
        "run_times": str(base / "run-times.md"),
    }


def made(world: dict[str, Any]) -> str:
    config = Path("my.yaml")
    config.write_text("run: run  # <mine>\n")
    return report_page(world, folder="results/run", date="2026-01-02 03:04", configs=[config])


def test_it_opens_on_what_was_run_then_results_then_pictures(world: dict[str, Any]) -> None:
    page = made(world)
    order = [
        "1 model, 1 label set; 2 seeds (1, 2); 3 min of jobs",
        "What was run",
        "Table 1a. Headline",
        "AP +1.6",
        "data:image/png;base64,",
        "Table 2. Another",
        "<summary>Label quality: pool</summary>",
        "6 models",
        "workflow-report.html",
        "run: run  # &lt;mine&gt;",
    ]
    places = [page.index(text) for text in order]
    assert places == sorted(places)
    assert "nothing here is comparable" in page
    assert "Label sets" not in page, "a table without rows"
    anchors = re.findall(r'<a href="#([\w-]+)">', page)
    assert anchors == ["results", "pictures", "tables", "label-quality", "run-times", "how"]
    assert all(f'id="{anchor}"' in page for anchor in anchors)


def test_it_stands_alone_and_shows_no_foreign_markup(world: dict[str, Any]) -> None:
    page = made(world)
    assert "http" not in page
    assert "<script" not in page
    assert "rendered &lt;scenes&gt;" in page
    assert "Labels &lt;b&gt;." in page
    assert set(re.findall(r'href="([^#"]+)"', page)) == {"figures/figure7.pdf", "workflow-report.html"}


def test_the_page_of_labels_is_linked_where_it_was_made(world: dict[str, Any]) -> None:
    Path("results/run/labels/a/labels.html").write_text("x")
    assert 'href="labels/a/labels.html"' in made(world)


def test_a_figure_that_is_no_picture_is_named(world: dict[str, Any]) -> None:
    Path("results/run/figures/figure7.png").write_text("x")
    with pytest.raises(UserError, match=r"figure7\.png: not a PNG"):
        made(world)


def test_the_script_writes_it(world: dict[str, Any]) -> None:
    line = [sys.executable, str(SCRIPT), "--contents", json.dumps(world), "--output", "results/run/report.html"]
    subprocess.run(line, check=True)
    assert "Table 1a. Headline" in Path("results/run/report.html").read_text(encoding="utf-8")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH (Debian: apt-get install chromium)")
def test_nothing_is_cut_off_in_a_browser(world: dict[str, Any], tmp_path: Path) -> None:
    """At 1,400 and at 800 pixels: the page is as wide as its window, and what is wider scrolls in a box of its own."""
    script = """
    document.querySelectorAll("details").forEach(one => { one.open = true; });
    const outside = [...document.querySelectorAll("body *")].filter(one =>
      !one.closest(".scroll, pre") && one.getBoundingClientRect().right > document.documentElement.clientWidth + 1);
    const boxes = [...document.querySelectorAll(".scroll")].filter(one => one.scrollWidth > one.clientWidth);
    const scrolls = boxes.every(one => getComputedStyle(one).overflowX === "auto");
    document.body.dataset.seen = JSON.stringify([document.documentElement.scrollWidth <= innerWidth,
      outside.map(one => one.tagName), boxes.length, scrolls, document.querySelector("img").getBoundingClientRect().width > 600]);
    """
    page = tmp_path / "page.html"
    page.write_text(made(world).replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    for width in (1400, 800):
        more = [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", "--virtual-time-budget=5000"]
        shown = subprocess.run(
            [*command, *more, "--dump-dom", page.as_uri()], capture_output=True, text=True, check=True
        ).stdout
        found = re.search(r'data-seen="([^"]*)"', shown)
        assert found, "the page's script ended early"
        assert json.loads(found.group(1).replace("&quot;", '"')) == [True, [], 3, True, True], width
