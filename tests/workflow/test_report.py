"""The HTML report: its pages, and one made of a small run whose outputs are stand-ins."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from planning import CONFIG_FOLDER, plan, rules, snakemake

from datadistill.report.run_times import (
    JobTime,
    duration,
    read_cpu_times_of,
    read_job_times,
    run_counts,
    run_times_page,
    start_share,
)
from datadistill.report.web_page import web_page
from datadistill.workflow.config import load_config
from datadistill.workflow.experiments import build_experiments
from datadistill.workflow.needs import preview_files
from datadistill.workflow.outputs import figure_section, outputs, report_files, report_pages
from datadistill.workflow.report_contents import report_contents, report_inputs

SMALLEST = CONFIG_FOLDER / "smallest.yaml"
SECTIONS = (
    "1. Tables",
    "2. Figures",
    "3. Galleries",
    "4. Loss curves",
    "5. Thresholds",
    "6. Label quality",
    "7. Run times",
)
HEADER = "s\th:m:s\tmax_rss\tmean_load\n"


def test_a_report_of_a_small_run_has_every_section(tmp_path: Path) -> None:
    jobs = rules(plan(tmp_path, SMALLEST, "--", "report_pages"))
    # A page of HTML for each page of Markdown: two tables, thresholds, label quality, run times.
    assert (jobs["page"], jobs["run_times"], jobs["run_report"]) == (5, 1, 1)
    summary = snakemake(tmp_path, "--summary", "--", "report_pages", config=SMALLEST)
    files = [line.split("\t")[0] for line in summary.stdout.splitlines() if line.startswith("results/")]
    for path in (tmp_path / file for file in files):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch() if path.suffix else path.mkdir()
        os.utime(path, (1e9, 1e9))
    touch = ["--touch", "--cores", "1", "--forcerun", "table", "figure", "page", "--", "report_pages"]
    done = snakemake(tmp_path, *touch, config=SMALLEST)
    assert done.returncode == 0, done.stderr
    done = snakemake(tmp_path, "--report", "report.html", "--", "report_pages", config=SMALLEST)
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert [section for section in SECTIONS if f'"{section}"' not in report] == []
    # The templates of workflow and captions are filled in.
    assert "Results are sorted by section" in report
    assert "stand in for the paper" in report
    assert report.count("a handful of iterations") > 5
    # One column of names in each section: figures and pages stand in it together.
    assert set(re.findall(r'"labels": \{"(\w+)"', report)) == {"result"}


def test_every_page_and_figure_has_a_section_and_a_title() -> None:
    experiments = build_experiments(load_config(CONFIG_FOLDER / "paper.yaml"))
    sections = {figure_section(experiments, figure["name"]) for figure in experiments.config["figures"]}
    pages = [Path(path) for path in report_files(experiments) if path.endswith(".html")]
    assert len(pages) == 8 + 18 + 2 + 1
    known = report_pages(experiments)
    for page in pages:
        shown = known[str(page.relative_to(experiments.paths.base).with_suffix(""))]
        sections.add(shown.section)
        assert shown.title
    assert sections == set(SECTIONS)


def test_the_report_opens_on_a_table_of_each_task_and_shows_all_that_the_run_makes() -> None:
    experiments = build_experiments(load_config(CONFIG_FOLDER / "smoke.yaml"))
    contents = report_contents(experiments)
    assert [item["page"] for item in contents["headline"]] == [
        "results/smoke/tables/table1a.md",
        "results/smoke/tables/table4a.md",
    ]
    assert contents["sections"][0]["title"] == "Pictures"
    made = [path for path in outputs(experiments) if Path(path).suffix in (".md", ".png")]
    assert sorted(report_inputs(contents)) == sorted(
        [*made, *preview_files(experiments), experiments.paths.run_times()]
    )
    models, label_sets = contents["made"]
    assert {row[1] for row in models["rows"]} == {row[1] for row in label_sets["rows"]} == {"keypoints", "objects"}
    assert all(len(table["columns"]) == len(row) for table in (models, label_sets) for row in table["rows"])


def test_a_run_that_builds_some_results_reports_those() -> None:
    config = load_config(CONFIG_FOLDER / "smoke.yaml")
    contents = report_contents(build_experiments({**config, "build": ["table4a"]}))
    assert report_inputs(contents) == ["results/smoke/tables/table4a.md", "results/smoke/run-times.md"]
    assert {row[1] for row in contents["made"][0]["rows"]} == {"objects"}


def test_a_web_page_shows_tables_and_no_foreign_markup() -> None:
    page = web_page(
        "# A <title>\n\n**Ours:** 1<br>\n**Paper:** 2\n\n| a | b |\n| - | -: |\n| <script>x</script> | 2 |\n"
    )
    assert "<title>A &lt;title&gt;</title>" in page
    assert "</strong> 1<br>" in page
    assert '<td style="text-align:right">2</td>' in page
    assert "<script>" not in page
    # Nothing is loaded from outside.
    assert "http" not in page


def test_run_times_add_up(tmp_path: Path) -> None:
    for name, text in {
        "train/one": f"{HEADER}7200.0\t2:00:00\t2500.0\t99\n",
        "train/two": f"{HEADER}3600.0\t1:00:00\t1500.0\t99\n",
        "gate/small": f"{HEADER}2.0\t0:00:02\t58.4\t99\n",
        "predict/p/0-of-2": f"{HEADER}30.0\t0:00:30\t-\t-\n",
        "predict/p/1-of-2": f"{HEADER}NA\tNA\tNA\tNA\n",
        "refine/empty": "",
    }.items():
        path = tmp_path / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    jobs = read_job_times(tmp_path)
    assert [(job.rule, job.name, job.seconds) for job in jobs] == [
        ("gate", "small", 2.0),
        ("predict", "p/0-of-2", 30.0),
        ("train", "one", 7200.0),
        ("train", "two", 3600.0),
    ]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in run_times_page(jobs, note="x").splitlines()
        if "|" in line
    ]
    assert ["train", "2", "3.0 h", "2.0 h", "2.5 GB", "n/a"] in rows
    assert ["predict", "1", "30 s", "30 s", "n/a", "n/a"] in rows
    assert ["gate", "1", "2 s", "2 s", "58 MB", "n/a"] in rows
    assert ["two", "60 min", "1.5 GB"] in rows


def test_memory_of_a_process_that_is_no_descendant_is_what_its_log_says(tmp_path: Path) -> None:
    for name, text in {
        "benchmarks/predict/p/0-of-2.tsv": "s\th:m:s\tmax_rss\n30.0\t0:00:30\t15.9\n",
        "logs/predict/p/0-of-2.log": "CPU time: 5.00 s in all, 0.10 s until main began, 812 MB of memory (process 8)\n",
        "benchmarks/gate/small.tsv": "s\th:m:s\tmax_rss\n2.0\t0:00:02\t58.5\n",
        "logs/gate/small.log": "12 boxes\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    jobs = read_job_times(tmp_path / "benchmarks", tmp_path / "logs")
    assert [(job.rule, job.megabytes) for job in jobs] == [("gate", 58.5), ("predict", 812.0)]


def test_a_run_counts_its_models_label_sets_and_process_starts() -> None:
    rules = ["split", "train", "train", "predict", "predict", "predict", "annotate"]
    jobs = [JobTime(rule, str(i), 1.0, None) for i, rule in enumerate(rules)]
    assert run_counts(jobs) == "2 models, 1 label set; 7 process starts (predict 3, train 2, split 1, annotate 1)"
    assert run_counts(jobs) in run_times_page(jobs, note="x")


def test_the_share_of_starts_is_told_in_one_line(tmp_path: Path) -> None:
    """Of 40 s of training 4 s, of 10 s of prediction in two shards 6 s, before the work began."""
    for name, text in {
        "train/one": "CPU time: 4.00 s until the work began (process 7)\niteration 1\nCPU time: 40.00 s in all, 1.00 s until main "
        "began, 700 MB of memory (process 7)\n",
        "predict/p/0-of-2": "CPU time: 5.00 s in all, 3.00 s until main began, 700 MB of memory (process 8)\n",
        "predict/p/1-of-2": "CPU time: 5.00 s in all, 3.00 s until main began, 700 MB of memory (process 9)\n",
        "split/old": "56 images\n",
    }.items():
        path = tmp_path / f"{name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    times = read_cpu_times_of(tmp_path)
    assert start_share(times["predict"]) == 0.6
    jobs = [JobTime(rule, "a", 50.0, None) for rule in ("train", "predict", "split")]
    page = run_times_page(jobs, note="x", cpu_times=times)
    assert [line for line in page.splitlines() if line.startswith("CPU time")] == [
        "CPU time: 50 s, 20% of it starts (the interpreter, imports, reading what the work needs), as 3 processes say of "
        "themselves."
    ]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.count("|") == 7]
    assert {row[0]: row[-1] for row in cells if row[0] in times or row[0] == "split"} == {
        "train": "10%",
        "predict": "60%",
        "split": "n/a",
    }
    assert "CPU time:" not in run_times_page(jobs, note="x")


def test_run_times_begin_with_the_rule_that_took_longest() -> None:
    jobs = [JobTime("split", "a", 5.0, None), JobTime("train", "b", 4.0, None), JobTime("train", "c", 4.0, None)]
    page = run_times_page(jobs, note="x")
    assert page.index("| train") < page.index("| split")


def test_every_job_of_a_run_is_counted(tmp_path: Path) -> None:
    """What no benchmark file tells of would be missing among the process starts."""
    done = snakemake(tmp_path, "--dry-run", "--", "report_pages", config=CONFIG_FOLDER / "smoke.yaml")
    blocks = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", done.stdout + done.stderr, re.MULTILINE)
    missing = {rule for rule, body in blocks if "    output: " in body and "    benchmark: " not in body}
    assert len(blocks) > 300
    assert missing == set()


def test_a_run_without_records_has_a_page(tmp_path: Path) -> None:
    assert "# Run times" in run_times_page(read_job_times(tmp_path / "absent"), note="x")


@pytest.mark.parametrize(("seconds", "text"), [(42, "42 s"), (720, "12 min"), (12_240, "3.4 h")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
