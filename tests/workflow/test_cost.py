"""The plan before the bill: what counts once, what is there already, and where every rate is from."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from datadistill.errors import UserError
from datadistill.transforms import Transform
from datadistill.workflow.config import complete_config, load_config
from datadistill.workflow.cost import HOW, Rates, count_images, make_plan, relative_cost, show_plan
from datadistill.workflow.experiments import Experiments, build_experiments
from datadistill.workflow.listing import listing
from datadistill.workflow.needs import needs_of, needs_of_run, nothing_exists, only
from datadistill.workflow.registry import Evaluation, LabelSet, Model, Predictions, Refinement, Split

CONFIG_FOLDER = Path(__file__).resolve().parents[2] / "config"
RATES, DOWNLOADS = CONFIG_FOLDER / "rates.yaml", CONFIG_FOLDER / "downloads.yaml"
Config = dict[str, Any]


@pytest.fixture(scope="module")
def paper() -> Experiments:
    return build_experiments(load_config(CONFIG_FOLDER / "paper.yaml"))


def rates_in(value: Any) -> list[Config]:
    if not isinstance(value, dict):
        return []
    return [value] if "value" in value else [rate for child in value.values() for rate in rates_in(child)]


def test_every_rate_says_how_it_is_known_and_from_where() -> None:
    rates = rates_in(yaml.safe_load(RATES.read_text(encoding="utf-8")))
    assert len(rates) > 20
    for rate in rates:
        assert set(rate) == {"value", "how", "source"}
        assert rate["how"] in HOW
        assert rate["source"]


@pytest.mark.parametrize(
    "entry", ["0.3", "{value: 0.3}", "{value: 0.3, how: guessed, source: me}", "{value: -1, how: measured, source: me}"]
)
def test_a_rate_without_a_source_is_refused(tmp_path: Path, entry: str) -> None:
    path = tmp_path / "rates.yaml"
    path.write_text(f"disk:\n  labels: {entry}\n")
    with pytest.raises(UserError, match=r"rates\.yaml: disk: labels: "):
        Rates(path).rate("disk", "labels")
    with pytest.raises(UserError, match=r"rates\.yaml: disk: split is missing"):
        Rates(path).rate("disk", "split")


def test_the_paper_s_transforms_cost_twenty_plain_passes(paper: Experiments) -> None:
    (transforms,) = {r.spec.transforms for r in paper.refinements.values() if len(r.spec.transforms) == 18}
    # 2 x (16 + 25 + ... + 144) / 64; of a 640 x 480 image no cap bites.
    assert relative_cost(transforms, 800) == pytest.approx(19.875, rel=1e-3)
    assert relative_cost([Transform(800, 1333)], 800) == 1
    assert relative_cost([Transform(800, 640)], 800) == pytest.approx(480 * 640 / (800 * 1067))


def test_what_tables_share_counts_once_in_all(paper: Experiments) -> None:
    plan = make_plan(paper, Rates(RATES), DOWNLOADS, nothing_exists)
    hours = {line.name: line.whole.gpu_hours for line in plan.lines}
    assert plan.run.whole.models == 42
    assert plan.run.whole.label_sets == 18
    assert max(hours.values()) < plan.run.whole.gpu_hours < sum(hours.values()) / 1.5
    # Table 1a: 620k iterations of R-50 at 0.315 s on 8 GPUs, and labels for co-80.
    assert hours["table1a"] == pytest.approx(620_000 * 0.315 * 8 / 3600, rel=0.05)
    assert hours["table1a"] > 620_000 * 0.315 * 8 / 3600
    assert all(line.whole == line.left for line in plan.lines)


def test_needs_are_what_snakemake_would_make(smallest: Config) -> None:
    """Compared with dry runs of the whole paper in tests/workflow; here, the shape of a small run."""
    experiments = build_experiments(complete_config(smallest))
    table = needs_of(experiments, "table1a")
    assert [model.name for model in only(Model, table)] == ["teacher", "distilled"]
    assert [split.name for split in only(Split, table)] == ["labelled", "val", "pool-truth", "pool"]
    # The teacher alone, but with every box refined.
    augmented = needs_of(experiments, "augmentation")
    assert len(only(Model, augmented)) == 1
    assert len(only(Predictions, augmented)) == len(only(Evaluation, augmented)) == 2
    assert len(only(Refinement, augmented)) == 1
    assert set(only(Model, needs_of_run(experiments))) == set(experiments.models.values())
    # Each after what it rests on.
    seen = set()
    for result in needs_of_run(experiments):
        assert seen.issuperset(result.rests_on), result.id
        seen.add(result)


def test_build_chooses_what_a_run_needs(smallest: Config) -> None:
    smallest["build"] = ["augmentation"]
    experiments = build_experiments(complete_config(smallest))
    assert len(only(Model, needs_of_run(experiments))) == 1
    plan = make_plan(experiments, Rates(RATES), DOWNLOADS, nothing_exists)
    assert [line.name for line in plan.lines] == ["augmentation"]


def test_what_exists_needs_nothing(smallest: Config) -> None:
    experiments = build_experiments(complete_config(smallest))
    teacher, student = (experiments.model(name, 1, "test") for name in ("teacher", "distilled"))
    there = set(teacher.files)
    left = needs_of(experiments, "table1a", there.__contains__)
    assert only(Model, left) == [student]
    assert only(LabelSet, left)
    # With the student, its labels are needed no more, nor the teacher.
    there = {*student.files, *teacher.files}
    left = needs_of(experiments, "table1a", there.__contains__)
    assert not only(Model, left)
    assert not only(LabelSet, left)
    assert len(only(Evaluation, left)) == 2
    plan = make_plan(experiments, Rates(RATES), DOWNLOADS, there.__contains__)
    (line,) = (line for line in plan.lines if line.name == "table1a")
    assert line.whole.models == 2
    assert line.left.models == 0
    assert 0 < line.left.gpu_hours < line.whole.gpu_hours
    every = {evaluation.file for evaluation in experiments.evaluations.values()}
    left = needs_of(experiments, "table1a", every.__contains__)
    assert left == ()


def test_seeds_multiply(smallest: Config) -> None:
    one = make_plan(build_experiments(complete_config(smallest)), Rates(RATES), DOWNLOADS, nothing_exists)
    three_seeds = build_experiments(complete_config({**smallest, "seeds": [1, 2, 3]}))
    three = make_plan(three_seeds, Rates(RATES), DOWNLOADS, nothing_exists)
    assert three.run.whole.models == 3 * one.run.whole.models
    assert three.run.whole.gpu_hours == pytest.approx(3 * one.run.whole.gpu_hours)


def test_images_are_counted_from_the_config_or_the_data(smallest: Config, tmp_path: Path) -> None:
    (tmp_path / "drop.txt").write_text("3\n")
    coco = {"kind": "coco", "images": str(tmp_path), "annotations": str(tmp_path / "a.json"), "task": "objects"}
    smallest["splits"] += [
        {"name": "part", "kind": "fraction", "of": "pool-truth", "fraction": 0.5},
        {"name": "frames", "kind": "videos", "videos": "nowhere", "count": 7},
        {"name": "un-120", "kind": "coco_release", "part": "un-120", "task": "keypoints"},
        {"name": "mine", **coco, "drop_ids": [str(tmp_path / "drop.txt")]},
        {"name": "photos", "kind": "folder", "images": str(tmp_path / "photos")},
        {"name": "cells", "kind": "voc", "images": "x", "annotations": str(tmp_path / "xml"), "categories": ["cell"]},
        {"name": "listed", "kind": "voc", "images": "x", "list": str(tmp_path / "list.txt"), "categories": ["cell"]},
    ]
    experiments = build_experiments(complete_config(smallest))

    def count(name: str) -> int | None:
        return count_images(experiments.split(name, "test"))

    assert [count(name) for name in ("labelled", "pool", "all-labelled", "part", "frames", "un-120")] == [
        12,
        12,
        24,
        6,
        7,
        123_403,
    ]
    assert count("mine") is None
    assert [count(name) for name in ("photos", "cells", "listed")] == [None, None, None]
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").touch()
    assert count("photos") == 1
    images = ", ".join(f'{{"id": {i}, "file_name": "{i}.jpg", "width": 9, "height": 9}}' for i in (1, 2, 3))
    (tmp_path / "a.json").write_text(f'{{"images": [{images}]}}')
    assert count("mine") == 2
    (tmp_path / "xml").mkdir()
    (tmp_path / "xml" / "a.xml").touch()
    assert count("cells") == 1
    (tmp_path / "list.txt").write_text("a\nb\nc\n")
    assert count("listed") == 3


def test_the_text_says_what_is_not_known(smallest: Config) -> None:
    config = copy.deepcopy(smallest)
    config["splits"][2] = {"name": "pool", "kind": "folder", "images": "nowhere"}
    config["figures"] = [figure for figure in config["figures"] if figure["kind"] != "label_quality"]
    config["defaults"]["keypoints"]["network"]["backbone"] = "timm:resnet18"
    experiments = build_experiments(complete_config(config))
    rates = Rates(RATES)
    text = show_plan(experiments, make_plan(experiments, rates, DOWNLOADS, nothing_exists), rates)
    assert "No rates are known for timm:resnet18: those of R-50 are used" in text
    assert "only the data tell how many images they have: splits pool" in text
    assert "upper bound" in text


def test_the_text_says_where_exclude_makes_a_count_an_upper_bound(smallest: Config) -> None:
    rates = Rates(RATES)

    def text(config: Config) -> str:
        experiments = build_experiments(complete_config(config))
        return show_plan(experiments, make_plan(experiments, rates, DOWNLOADS, nothing_exists), rates)

    assert "exclude" not in text(copy.deepcopy(smallest))
    [pool] = [split for split in smallest["splits"] if split["name"] == "pool"]
    pool["exclude"] = ["val"]
    assert "Counted with the images that `exclude` leaves out, so an upper bound: splits pool." in text(smallest)


def test_the_script_prints_a_plan_and_the_list(repository: Path) -> None:
    script = [sys.executable, str(repository / "scripts" / "plan.py"), "--config", str(CONFIG_FOLDER / "paper.yaml")]
    printed = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    assert "| all, shared once" in printed
    assert "coco-train2017 19.4 GB" in printed
    assert "NVIDIA V100" in printed
    listed = subprocess.run([*script, "--list"], capture_output=True, text=True, check=True).stdout
    assert listed == listing(build_experiments(load_config(CONFIG_FOLDER / "paper.yaml")))


def test_the_head_of_the_paper_s_config_states_the_planned_cost(paper: Experiments) -> None:
    plan = make_plan(paper, Rates(RATES), DOWNLOADS, nothing_exists)
    head = (CONFIG_FOLDER / "paper.yaml").read_text(encoding="utf-8").split("\nrun: ")[0]
    assert f"about {round(plan.run.whole.gpu_hours, -2):,.0f} GPU-hours" in head
    assert f"{plan.run.whole.disk / 1e9:.0f} GB of results" in head
