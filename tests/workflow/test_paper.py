"""config/paper.yaml is the paper: its rows, its models, its schedules. Nothing is trained here, and no data are needed."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from planning import REPOSITORY, plan, rules, snakemake

from datadistill.report.published import load_published
from datadistill.workflow.config import load_config
from datadistill.workflow.experiments import Experiments, build_experiments
from datadistill.workflow.figures import figure
from datadistill.workflow.listing import listing
from datadistill.workflow.needs import needs_of, needs_of_run, only
from datadistill.workflow.registry import Evaluation, LabelSet, Model, Split

PAPER = REPOSITORY / "config" / "paper.yaml"
GOLDEN = Path(__file__).parent / "golden" / "paper.txt"
TABLES = ("table1a", "table1b", "table1c", "table2", "table3", "table4a", "table4b")


@pytest.fixture(scope="module")
def paper() -> Experiments:
    return build_experiments(load_config(PAPER))


def named(experiments: Experiments, key: str, name: str) -> dict:
    return next(entry for entry in experiments.config[key] if entry["name"] == name)


def test_the_list_of_models_label_sets_and_targets(paper: Experiments) -> None:
    expected, actual = GOLDEN.read_text(encoding="utf-8"), listing(paper)
    changes = "\n".join(difflib.unified_diff(expected.splitlines(), actual.splitlines(), lineterm="", n=0))
    remedy = "read the changes against the paper; if right: python scripts/plan.py --config config/paper.yaml --list"
    assert actual == expected, f"{changes}\n{remedy} > {GOLDEN.relative_to(REPOSITORY)}"


def test_seven_tables_of_43_rows_need_27_models_and_the_figures_some_more(paper: Experiments) -> None:
    assert sum(len(named(paper, "tables", name)["rows"]) for name in TABLES) == 43
    in_tables = {model for name in TABLES for model in only(Model, needs_of(paper, name))}
    assert len(in_tables) == 27
    further = {name: set(only(Model, needs_of(paper, name))) - in_tables for name in ("figure5", "figure6", "in-text")}
    assert {name: len(models) for name, models in further.items()} == {"figure5": 5, "figure6": 8, "in-text": 2}
    every = needs_of_run(paper)
    assert set(only(Model, every)) == in_tables.union(*further.values())
    assert len(only(LabelSet, every)) == 18
    # The optional table has two models and a label set more.
    options = set(only(Model, needs_of(paper, "options"))) - set(only(Model, every))
    assert set(paper.models.values()) - set(only(Model, every)) == options
    assert (len(paper.models), len(paper.label_sets)) == (44, 19)


@pytest.mark.parametrize("name", TABLES)
def test_rows_are_those_the_paper_prints_in_its_order(paper: Experiments, name: str) -> None:
    printed = load_published(REPOSITORY / "config" / "published.yaml").tables[name]
    table = named(paper, "tables", name)
    assert tuple(table["columns"]) == printed.columns
    assert [row["published"] for row in table["rows"]] == [f"{name}.{key}" for key in printed.rows]
    for row, expected in zip(table["rows"], printed.rows.values(), strict=True):
        assert dict(zip(table["columns"], row["cells"], strict=True)) == expected.cells


def test_the_score_beside_each_row_is_the_paper_s() -> None:
    published = load_published(REPOSITORY / "config" / "published.yaml")
    beside = re.findall(r"published: ([\w.]+\.\d+)\b.*\}  # ([\d.]+)$", PAPER.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(beside) == 47
    for row, score in beside:
        assert float(score) == published.row(row).metrics["AP"], row


def test_schedules(paper: Experiments) -> None:
    for model in paper.models.values():
        training = model.spec.training
        assert (training.batch_size, training.learning_rate) == (16, 0.02)
        assert training.decay_at == (0.7, 0.9)
        assert training.train_scales == ((640, 672, 704, 736, 768, 800) if model.spec.task == "keypoints" else (800,))
        assert (model.spec.test_scale.short_side, model.spec.test_scale.max_size) == (800, 1333)
        # Only the backbone is chosen: widths, anchors and heads are detectron2's.
        assert {key for key, value in vars(model.spec.network).items() if value is not None} == {"backbone"}


def test_figure_5_has_minibatches_of_1_to_rho_and_longer_schedules(paper: Experiments) -> None:
    models = [paper.model(name, 1, "test") for name in named(paper, "figures", "figure5")["models"]]
    assert [model.spec.fraction for model in models] == [0.2, 0.4, 0.6, 0.8, 1.0]
    for model in models:
        rho = model.spec.fraction
        assert model.spec.training.iterations == pytest.approx(130_000 * (1 + rho))
        assert model.spec.training.labelled_ratio == pytest.approx(1 / (1 + rho), abs=1e-6)
    # Fractions are parts of one label set: they cost no inference.
    assert len({model.label_set for model in models}) == 1


def test_figure_6_scores_each_teacher_with_the_transforms_of_its_labels(paper: Experiments) -> None:
    _, _, spec = figure(paper, "figure6").arguments
    points = {point["label"]: point["teacher"][0]["path"].rsplit("/", 1)[1] for point in json.loads(spec)["points"]}
    modes = {label: file.split(".")[0] for label, file in points.items()}
    assert Counter(modes.values()) == {"augmented": 6, "plain": 1, "flips": 1, "three-scales": 1}
    assert modes["supervised-R-50, flips"] == "flips"
    assert len(set(points.values())) == 9


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory without COCO, videos, weights or results."""
    return tmp_path_factory.mktemp("empty")


def test_a_dry_run_needs_no_data(paper: Experiments, empty: Path) -> None:
    jobs = rules(plan(empty, PAPER, "--", "report_pages"))
    needs = needs_of_run(paper)
    assert jobs["train"] == len(only(Model, needs)) == 42
    assert jobs["annotate"] == len(only(LabelSet, needs))
    assert jobs["score"] == len(only(Evaluation, needs))
    assert jobs["split"] + jobs["sample_frames"] == len(only(Split, needs))
    assert jobs["table"] == 8
    assert "fetch" not in jobs
    assert not (empty / "results").exists()


def test_one_gpu_is_a_second_configfile(empty: Path) -> None:
    one_gpu = str(REPOSITORY / "config" / "machines" / "one-gpu.yaml")
    done = snakemake(empty, "--dry-run", "--configfile", str(PAPER), one_gpu, "--", "table4a")
    assert done.returncode == 0, done.stderr
    resources = re.findall(r"^rule train:\n(?:    .*\n)*?    resources: (.*)$", done.stdout, re.M)
    assert len(resources) == 3
    assert all("gpu=1," in line and "processes=1," in line for line in resources)
    # The same models as with eight.
    models = set(re.findall(r"models/[^/]+/model\.pth", done.stdout))
    assert models == set(
        re.findall(r"models/[^/]+/model\.pth", snakemake(empty, "--dry-run", "--", "table4a", config=PAPER).stdout)
    )


def test_a_table_alone_needs_no_more_than_its_own(paper: Experiments, empty: Path) -> None:
    """Table 1a without Sports-1M's videos, and with COCO to be fetched: not one archive too many."""
    jobs = rules(plan(empty, PAPER, "--config", "fetch=True", "--", "table1a"))
    assert jobs["train"] == len(only(Model, needs_of(paper, "table1a"))) == 3
    assert jobs["table"] == 1
    assert "sample_frames" not in jobs
    # train2017, val2017 and the annotations of 2014 and 2017; not unlabeled2017.
    assert jobs["fetch"] == 4


@pytest.mark.parametrize(
    "name", ["table1a", "table1b", "table3", "table4a", "table4b", "figure5", "figure6", "figure7"]
)
def test_only_tables_1c_and_2_need_videos(paper: Experiments, name: str) -> None:
    kinds = {split.kind for split in only(Split, needs_of(paper, name))}
    assert "videos" not in kinds
    assert "videos" in {split.kind for split in only(Split, needs_of(paper, "table2"))}


# --- what an edit reruns


@dataclass(frozen=True)
class Finished:
    """A run whose outputs are all there, as empty files."""

    directory: Path

    def rerun(self, edit: tuple[str, str]) -> dict[str, int]:
        """Jobs of each rule after a replacement in the config's text."""
        before = PAPER.read_text(encoding="utf-8")
        assert before.count(edit[0]) == 1
        config = self.directory / "edited.yaml"
        config.write_text(before.replace(*edit), encoding="utf-8")
        return dict(rules(plan(self.directory, config)))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    directory = tmp_path_factory.mktemp("finished")
    summary = snakemake(directory, "--summary", config=PAPER)
    files = [line.split("\t")[0] for line in summary.stdout.splitlines() if line.startswith("results/")]
    for path in (directory / file for file in files):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (1e9, 1e9))
    # Records of tables and figures as Snakemake keeps them; of the rest the names tell enough.
    touched = snakemake(
        directory, "--touch", "--cores", "1", "--forcerun", "table", "figure", "--", "all", config=PAPER
    )
    assert touched.returncode == 0, touched.stderr
    return Finished(directory)


def test_nothing_reruns_without_an_edit(finished: Finished) -> None:
    assert plan(finished.directory, PAPER) == []


def test_another_schedule_of_one_row_trains_one_model(finished: Finished) -> None:
    edit = (
        "label_set: s1m-180-by-R-50, training: {iterations: 180000}",
        "label_set: s1m-180-by-R-50, training: {iterations: 190000}",
    )
    # Two shards of val2017.
    expected = {"check_leaks": 1, "train": 1, "predict": 2, "score": 1, "table": 1}
    assert finished.rerun(edit) == expected


def test_another_threshold_of_one_label_set_runs_no_teacher(finished: Finished) -> None:
    edit = (
        "{name: s1m-180-by-R-101, teacher: supervised-R-101, unlabelled: s1m-180}",
        "{name: s1m-180-by-R-101, teacher: supervised-R-101, unlabelled: s1m-180, instance_ratio: 1.1}",
    )
    labels = {"choose_thresholds": 1, "annotate": 1, "thresholds_page": 1}
    student = {"check_leaks": 1, "train": 1, "predict": 2, "score": 1, "table": 1}
    assert finished.rerun(edit) == {**labels, **student}


def test_words_rerun_their_table_alone(finished: Finished) -> None:
    assert finished.rerun(("Table 4b. Large-scale data, objects", "Table 4b. Objects")) == {"table": 1}


# --- tables of what there is


def test_tables_from_existing_show_a_dash_for_what_was_not_run(paper: Experiments, tmp_path: Path) -> None:
    (evaluation,) = paper.row_evaluations({"model": "supervised-co-35"}, "test")
    path = tmp_path / paper.paths.evaluation(evaluation.id)
    path.parent.mkdir(parents=True)
    metrics = {"AP": 55.5, "AP50": 80.0, "AP75": 59.5, "APm": 50.5, "APl": 62.5}
    path.write_text(json.dumps({"metrics": metrics}))
    done = snakemake(tmp_path, "--cores", "1", "--", "tables_from_existing", config=PAPER)
    assert done.returncode == 0, done.stderr
    rows = (tmp_path / paper.paths.tables_so_far / "table1a.md").read_text(encoding="utf-8").splitlines()
    assert [row.count("–") for row in rows if row.startswith("| co-")] == [0, 10, 10]
    assert any("55.5" in row and "54.9" in row and "+0.6" in row for row in rows)
    assert len(list((tmp_path / paper.paths.tables_so_far).glob("*.md"))) == 9
    # Beside finished tables Snakemake would take a table of dashes for one.
    assert not (tmp_path / paper.paths.table("table1a")).exists()


def test_the_head_names_the_command_and_the_cost() -> None:
    head = PAPER.read_text(encoding="utf-8").split("run: paper")[0]
    assert "snakemake --cores all --resources gpu=8 downloads=1 --configfile config/paper.yaml" in head
    assert "GPU-hours" in head
    assert yaml.safe_load(PAPER.read_text(encoding="utf-8"))["proxy"] is False
