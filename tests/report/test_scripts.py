"""The command lines of measuring and showing, as the rules call them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from coco_samples import box, coco, image, person
from PIL import Image

from datadistill.detections import Detections
from datadistill.files import digest

ROOT = Path(__file__).parents[2]
NOTE = "rendered data (proxy)"


def run(script: str, *arguments: object, where: Path) -> subprocess.CompletedProcess:
    environment = os.environ | {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "scripts" / script), *map(str, arguments)]
    return subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def world(tmp_path):
    """Two images with a person each, the truth, a label set, and two shards of perfect predictions."""
    images = []
    for number in (1, 2):
        Image.new("RGB", (80, 60), (90, 120, 40 * number)).save(tmp_path / f"{number}.jpg")
        images.append(image(number, 80, 60, f"{number}.jpg"))
    people = [person(1, (10, 10, 30, 40)), person(2, (20, 10, 30, 40))]
    (tmp_path / "truth.json").write_text(json.dumps(coco(images, people)))
    labels = [entry | {"score": 0.9} for entry in people]
    (tmp_path / "labels.json").write_text(json.dumps(coco(images, labels)))
    (tmp_path / "few.json").write_text(json.dumps(coco(images, labels[:1])))
    lineage = [{"stage": "predictions", "model": "abc"}]
    for i, entry in enumerate(people):
        keypoints = np.array(entry["keypoints"], np.float32).reshape(1, 17, 3) + np.float32([0.5, 0.5, 0])
        left, top, width, height = entry["bbox"]
        Detections(
            np.array([i + 1]),
            np.array([0]),
            np.float32([[left, top, left + width, top + height]]),
            np.float32([0.9]),
            np.array([1]),
            keypoints,
        ).save(tmp_path / f"{i}.npz", lineage)
    spec = {"stage": "evaluation", "predictions": digest(lineage[-1]), "refinement": None, "split": "x"}
    (tmp_path / "spec").write_text(json.dumps(spec))
    return tmp_path


def score(world: Path, *shards: str, spec: str | None = None, drawn: str | None = None) -> subprocess.CompletedProcess:
    spec = spec or (world / "spec").read_text()
    return run(
        "score.py", "--spec", spec, "--task", "keypoints", "--split", "truth.json",
        "--predictions", *shards, *(("--drawn", drawn) if drawn else ()), "--output", "out/evaluation.json", where=world,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("dataset", "number", "content"), [("coco", 2, "recompressed"), ("other", 77, "bytes of 2"), ("other", 2, "new")]
)
def test_a_model_that_was_shown_an_image_of_the_split_is_not_scored(world, dataset, number, content):
    truth = json.loads((world / "truth.json").read_text())
    for entry in truth["images"]:
        entry |= {"dataset": "coco", "content": f"bytes of {entry['id']}"}
    (world / "truth.json").write_text(json.dumps(truth))
    row = {"source": "labelled", "image_id": number, "dataset": dataset, "content": content, "count": 3}
    (world / "drawn.json").write_text(json.dumps({"total": 3, "images": [row]}))
    done = score(world, "0.npz", "1.npz", drawn="drawn.json")
    if content == "new":
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == 2
    assert f"what training drew and truth.json share 1 image: labelled image {number}" in done.stderr
    assert not (world / "out").exists()


def test_from_predictions_to_a_table(world):
    done = score(world, "0.npz", "1.npz")
    assert done.returncode == 0, done.stderr
    assert "AP 100.0" in done.stdout
    evaluation = json.loads((world / "out/evaluation.json").read_text())
    assert evaluation["metrics"]["AP"] == pytest.approx(100.0)
    assert evaluation["spec"] == json.loads((world / "spec").read_text())
    definition = {
        "name": "table1a", "title": "Table 1a", "caption": "", "columns": ["labeled"],
        "metrics": ["AP", "APl"], "data_note": NOTE,
        "rows": [
            {
                "cells": {"labeled": "60"},
                "published": "table1a.1",
                "evaluations": [{"seed": 1, "path": "out/evaluation.json"}],
            }
        ],
    }  # fmt: skip
    published = ROOT / "config" / "published.yaml"
    made = run(
        "make_table.py", "--spec", json.dumps(definition), "--published", published,
        "--output-dir", "tables", "--show", where=world,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert "54.9" in made.stdout
    assert "|   100.0 |      n/a |" in (world / "tables/table1a.md").read_text()
    again = run("make_table.py", "--spec", "tables/table1a.json", "--published", published, "--show", where=world)
    assert again.stdout == made.stdout


def test_predictions_must_be_of_this_split_and_spec(world):
    missing = score(world, "0.npz")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "1 image(s) missing (2)" in missing.stderr
    foreign = score(world, "0.npz", "1.npz", spec=json.dumps({"predictions": "00000000", "refinement": None}))
    assert foreign.returncode == 2
    assert foreign.stderr.startswith("error: ")
    assert foreign.stderr.count("\n") == 1
    assert not (world / "out").exists()


def test_label_quality_and_its_figure(world):
    done = run(
        "label_quality.py", "--task", "keypoints", "--labels", "labels.json", "--name", "all",
        "--alternative", "few.json", "--alternative-name", "few", "--truth", "truth.json", "--note", NOTE,
        "--output", "quality.json", "--pages", "quality.md", where=world,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    reports = json.loads((world / "quality.json").read_text())
    assert {name: report["poses"]["overall"]["recall"] for name, report in reports.items()} == {"all": 1.0, "few": 0.5}
    assert NOTE in (world / "quality.md").read_text()
    drawn = run("make_figure.py", "label-quality", "--quality", "quality.json", "--output-stem", "f/q", where=world)
    assert drawn.returncode == 0, drawn.stderr
    assert {path.name for path in (world / "f").iterdir()} == {"q.pdf", "q.png"}


def test_figures_of_pictures(world):
    gallery = run(
        "make_figure.py", "gallery", "--task", "keypoints", "--labels", "labels.json", "--truth", "truth.json",
        "--output-stem", "f/gallery", "--note", NOTE, where=world,
    )  # fmt: skip
    assert gallery.returncode == 0, gallery.stderr
    comparison = run(
        "make_figure.py", "comparison", "--task", "keypoints", "--split", "truth.json", "--first", "0.npz", "1.npz", "--second", "0.npz",
        "1.npz", "--first-label", "a", "--second-label", "b", "--output-stem", "f/comparison", where=world,
    )  # fmt: skip
    assert comparison.returncode == 0, comparison.stderr
    assert len(list((world / "f").iterdir())) == 4


def test_losses(world):
    (world / "metrics.jsonl").write_text('{"iteration": 1, "lr": 0.1, "total_loss": 2.0}\n' * 3)
    done = run(
        "make_figure.py", "losses", "--metrics", "metrics.jsonl", "--labels", "a", "--output-stem", "f/l", where=world
    )
    assert done.returncode == 0, done.stderr
    assert (world / "f/l.png").stat().st_size > 5000


def test_bad_input_is_one_sentence(world):
    done = run("make_figure.py", "thresholds", "--thresholds", "none.json", "--output-stem", "f/t", where=world)
    assert done.returncode == 2
    assert done.stderr.startswith("error: none.json: no such file")
    (world / "other.json").write_text(json.dumps(coco([image(9)], [box(9, (0, 0, 5, 5), score=0.5)])))
    done = run(
        "label_quality.py", "--task", "objects", "--labels", "other.json", "--truth", "truth.json",
        "--output", "q.json", where=world,
    )  # fmt: skip
    assert done.returncode == 2
    assert "error: labels have 1 image(s) that the truth has not, the first with id 9" in done.stderr
