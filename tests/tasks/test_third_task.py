"""A task that the library doesn't have goes through the whole chain as one module, `points.py` beside this test."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from points import TASK as POINTS
from tiny_network import TINY

from datadistill.errors import UserError
from datadistill.evaluate.label_quality import label_quality
from datadistill.files import canonical_json, read_json
from datadistill.specs import (
    EvaluationSpec,
    LabelSetSpec,
    ModelSpec,
    PredictionsSpec,
    TrainingSpec,
)
from datadistill.tasks.task import BUILT_IN, TASKS_VARIABLE, get_task, task_modules
from datadistill.transforms import TestScale, Transform

SCRIPTS = Path(__file__).parents[2] / "scripts"
SCALE = TestScale(96, 128)
MODEL = ModelSpec(
    task="points",
    network=TINY,
    training=TrainingSpec(
        iterations=3,
        batch_size=2,
        learning_rate=0.01,
        warmup_iterations=1,
        clip_gradients=1.0,
        train_scales=(96,),
        max_size=128,
    ),
    labelled="labelled",
    label_set=None,
    fraction=1.0,
    fraction_seed=0,
    initial="random",
    weights=None,
    seed=1,
    test_scale=SCALE,
)


class Chain:
    """The scripts of the rules, called as the rules call them, one after the other."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.patch = patch
        patch.chdir(folder)
        patch.setenv(TASKS_VARIABLE, "points")
        patch.setattr("torch.set_num_threads", lambda _: None)

    def run(self, script: str, *arguments: Any) -> None:
        self.patch.setattr(sys, "argv", [script, *map(str, arguments)])
        importlib.import_module(script).main()

    def split(self, name: str, seed: int, count: int) -> None:
        """A rendered split, made by the script that makes every split."""
        from rendered.scene import SceneSpec, render_images

        rendered = render_images(SceneSpec("objects", "home", 128, 96, seed), count, Path(name), seed * 1000, workers=1)
        Path(f"{name}-scene.json").write_text(json.dumps(rendered))
        spec = {"kind": "coco", "name": name, "images": name, "annotations": f"{name}-scene.json", "task": "points"}
        self.run(
            "make_split", "--spec", json.dumps(spec), "--images", name, "--output", f"{name}.json",
            "--ledger", f"{name}-out.json",
        )  # fmt: skip

    def train(self, name: str, spec: ModelSpec, *label_set: str) -> None:
        files = {key: f"{name}.{key}" for key in ("model", "metrics", "drawn", "checkpoint")}
        self.run(
            "train", "--spec", canonical_json(spec.canonical()), "--labelled", "labelled.json", *label_set,
            *(part for key, path in files.items() for part in (f"--{key}", path)),
        )  # fmt: skip

    def predict(self, spec: PredictionsSpec, model: str, split: str, output: str) -> None:
        self.run(
            "predict", "--spec", canonical_json(spec.canonical()), "--model", f"{model}.model", "--split", split,
            "--output", output,
        )  # fmt: skip


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """From rendered scenes to a table: a teacher, its labels, a student, its score."""
    with pytest.MonkeyPatch.context() as patch:
        made = Chain(tmp_path_factory.mktemp("points"), patch)
        for name, seed, count in (("labelled", 1, 6), ("pool", 2, 3), ("val", 3, 2)):
            made.split(name, seed, count)
        made.train("teacher", MODEL)
        several = tuple(Transform(side, 200, flip) for side in (64, 96) for flip in (False, True))
        transforms, keypoints = POINTS.first_pass(several, (SCALE.transform(),), last=False)
        predictions = PredictionsSpec(MODEL.digest, "pool", transforms, 0.0, 0.5, 50, None, keypoints)
        made.predict(predictions, "teacher", "pool.json", "pool.npz")

        labels = LabelSetSpec(
            predictions.digest, None, "labelled", POINTS.default_count_instances, 1.0, 1.0, None, None, True
        )
        common = (
            "--spec", canonical_json(labels.canonical()), "--task", "points", "--split", "pool.json",
            "--labelled", "labelled.json",
        )  # fmt: skip
        made.run("choose_thresholds", *common, "--predictions", "pool.npz", "--output", "thresholds.json")
        made.run(
            "annotate", *common, "--detections", "pool.npz", "--thresholds", "thresholds.json", "--output", "labels.json",
            "--provenance", "provenance.json",
        )  # fmt: skip

        student = dataclasses.replace(MODEL, label_set=labels.digest)
        made.train("student", student, "--label-set", "labels.json")
        judged = dataclasses.replace(predictions, model=student.digest, split="val")
        made.predict(judged, "student", "val.json", "val.npz")
        evaluation = EvaluationSpec(judged.digest, None, "val")
        made.run(
            "score", "--spec", canonical_json(evaluation.canonical()), "--task", "points", "--split", "val.json",
            "--predictions", "val.npz", "--drawn", "student.drawn", "--output", "evaluation.json",
        )  # fmt: skip
        yield made


def test_splits_have_points_made_from_boxes(chain: Chain) -> None:
    split = read_json("labelled.json")
    assert {tuple(category["keypoints"]) for category in split["categories"]} == {("centre",)}
    annotation = split["annotations"][0]
    left, top, width, height = annotation["bbox"]
    assert annotation["keypoints"] == [left + width / 2, top + height / 2, 2]


def test_labels_are_as_frequent_as_the_labelled_ones_and_have_their_points(chain: Chain) -> None:
    labels, thresholds = read_json("labels.json"), read_json("thresholds.json")
    assert labels["info"]["task"] == thresholds["task"] == read_json("provenance.json")["task"] == "points"
    assert thresholds["keypoints"] is None, "there is no second pass, whose scores one would choose from"
    assert len(labels["annotations"]) == sum(t["kept"] for t in thresholds["categories"].values()) > 0
    assert all(len(a["keypoints"]) == 3 and a["keypoints"][2] == 2 for a in labels["annotations"])
    counts = thresholds["report"]["labelled"]
    assert counts["keypoints_per_instance"] == 1


def test_the_student_learnt_from_both_kinds_of_images(chain: Chain) -> None:
    assert {row["source"] for row in read_json("student.drawn")["images"]} == {"labelled", "generated"}


def test_its_metrics_and_no_others_come_to_a_table(chain: Chain) -> None:
    evaluation = read_json("evaluation.json")
    assert tuple(evaluation["metrics"]) == POINTS.metrics == ("AP", "AP50")
    assert evaluation["instances"] == len(read_json("val.json")["annotations"])
    table = {
        "name": "points", "title": "Points", "caption": "", "columns": ["labeled"], "metrics": list(POINTS.metrics),
        "data_note": "rendered (proxy)", "rows": [{"cells": {"labeled": "6"}, "evaluations": [{"seed": 1, "path": "evaluation.json"}]}],
    }  # fmt: skip
    chain.run(
        "make_table", "--spec", json.dumps(table), "--published", SCRIPTS.parent / "config" / "published.yaml",
        "--output-dir", "tables",
    )  # fmt: skip
    assert f"{evaluation['metrics']['AP']:.1f}" in Path("tables/points.md").read_text()


def test_its_own_fall_off_decides_its_metrics(chain: Chain) -> None:
    """A point that is off by a fifth of the object's size is wrong for COCO's nose, and right for this task."""
    from datadistill.evaluate.coco_metrics import score

    category = {"id": 1, "name": "ball", "keypoints": ["centre"]}
    truth = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 100, 100], "area": 10_000.0, "iscrowd": 0}
    split = {
        "images": [{"id": 1}],
        "categories": [category],
        "annotations": [{**truth, "keypoints": [60, 60, 2], "num_keypoints": 1}],
    }
    found = {"image_id": 1, "category_id": 1, "score": 0.9, "keypoints": [70, 60, 1]}
    # exp(-(10^2) / (2 x 100^2 x (2 x 0.1)^2)) = 0.88: right at 0.5 to 0.85.
    assert score(split, [found], POINTS)["metrics"]["AP"] == pytest.approx(80.0)
    assert np.exp(-100 / (2 * 10_000 * (2 * 0.026) ** 2)) < 0.5


def test_label_quality_and_pictures_are_its_own(chain: Chain) -> None:
    report = label_quality(read_json("labels.json"), read_json("pool.json"), POINTS)
    assert set(report) == {"images", "boxes", "points"}
    assert report["points"]["overall"]["labels"] == len(read_json("labels.json")["annotations"])
    chain.run(
        "label_quality", "--task", "points", "--labels", "labels.json", "--truth", "pool.json",
        "--output", "quality.json", "--pages", "quality.md",
    )  # fmt: skip
    assert "a similarity of 0.5 (points)" in Path("quality.md").read_text()
    chain.run(
        "make_figure", "gallery", "--task", "points", "--labels", "labels.json", "--truth", "pool.json",
        "--output-stem", "gallery",
    )  # fmt: skip
    assert Path("gallery.pdf").read_bytes().startswith(b"%PDF")


def test_the_modules_of_tasks_are_found_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TASKS_VARIABLE, raising=False)
    assert set(task_modules()) == set(BUILT_IN)
    with pytest.raises(UserError, match=r"unknown task 'points'; known: keypoints, objects$"):
        get_task("points")
    monkeypatch.setenv(TASKS_VARIABLE, "points")
    assert get_task("points") is POINTS
    monkeypatch.setenv(TASKS_VARIABLE, "no.such.module")
    with pytest.raises(UserError, match=r"no\.such\.module can't be used as a task .* PYTHONPATH"):
        get_task("module")
    monkeypatch.setenv(TASKS_VARIABLE, "mine.keypoints")
    with pytest.raises(UserError, match="there is a task 'keypoints' already"):
        get_task("keypoints")


CONFIG = """
run: points
data_note: rendered (proxy)
seeds: [1]
defaults:
  points: {training: {iterations: 3, batch_size: 2, learning_rate: 0.01}, initial: random}
splits:
  - {name: labelled, kind: coco, task: points, images: a, annotations: a.json}
  - {name: pool, kind: folder, images: b}
  - {name: val, kind: coco, task: points, images: c, annotations: c.json}
models:
  - {name: teacher, task: points, labelled: labelled}
  - {name: student, task: points, labelled: labelled, label_set: pool}
label_sets:
  - {name: pool, teacher: teacher, unlabelled: pool, transforms: plain}
evaluate_on: {points: val}
tables:
  - {name: t, title: T, task: points, columns: [labeled], rows: [{model: student, cells: ["1"]}]}
"""
RESOLVE = """
import sys
from datadistill.errors import UserError
from datadistill.workflow.config import load_config
from datadistill.workflow.experiments import build_experiments
try:
    made = build_experiments(load_config(sys.argv[1]))
except UserError as error:
    sys.exit(str(error))
print(len(made.models), len(made.refinements), {p.spec.keypoints for p in made.predictions.values()})
"""


def test_a_config_may_name_it_where_it_is_registered(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    path = os.pathsep.join([str(SCRIPTS), str(Path(__file__).parent)])
    done = {}
    for modules in ("points", ""):
        environment = {**os.environ, "PYTHONPATH": path, TASKS_VARIABLE: modules}
        line = [sys.executable, "-c", RESOLVE, str(tmp_path / "config.yaml")]
        done[modules] = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done["points"].stdout == "2 0 {True}\n", done["points"].stderr
    assert "unknown key 'points'" in done[""].stderr
