"""The benchmarks run, and their figures are of the work they claim: on tiny networks, here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from datadistill.detections import Detections

ROOT = Path(__file__).resolve().parents[1]


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_speed_of_a_network(tmp_path: Path) -> None:
    output = tmp_path / "speed.json"
    few = ("--iterations", "2", "--images", "3", "--batch", "1", "--workers", "1", "--device", "cpu")
    done = run("network_speed.py", "--config", str(ROOT / "config/smallest.yaml"), *few, "--output", str(output))
    assert done.returncode == 0, done.stderr
    figures = json.loads(output.read_text())
    train, label = figures["train"], figures["label"]
    assert train["iterations"] == 2
    assert train["images_per_second"] == pytest.approx(1 / train["seconds_per_iteration"]["mean"])
    assert label["transforms"] == 4
    # The gate is set where as many boxes survive as COCO has people.
    assert label["boxes_refined"] >= 6
    passes = [label["predict_images_per_second"], label["refine_images_per_second"]]
    assert label["images_per_second"] == pytest.approx(1 / sum(1 / rate for rate in passes))
    assert figures["machine"]


def test_an_unknown_backbone_is_one_sentence() -> None:
    done = run("network_speed.py", "--backbone", "R-18", "--config", str(ROOT / "config/smallest.yaml"))
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].endswith("has none for keypoints; use R-50")


def test_dry_runs_are_counted(tmp_path: Path) -> None:
    output = tmp_path / "dry.json"
    done = run("dry_runs.py", "--config", str(ROOT / "config/smallest.yaml"), "--repeats", "1", "--output", str(output))
    assert done.returncode == 0, done.stderr
    [(name, figures)] = json.loads(output.read_text()).items()
    assert name == "smallest.yaml"
    assert figures["jobs"] > 10


PHOTOS = ROOT.parent / "shared" / "data" / "coco-mini"


@pytest.mark.skipif(not PHOTOS.exists(), reason=f"{PHOTOS}: the photographs are not here")
def test_ratios_beside_detectron2(tmp_path: Path) -> None:
    output = tmp_path / "ratios.json"
    few = ("--rounds", "1", "--images", "1", "--batch", "1", "--side", "64", "--evaluate", "2", "--threads", "1")
    options = ("--config", str(ROOT / "config/smallest.yaml"), "--device", "cpu", *few, "--output", str(output))
    done = run("speed_ratios.py", *options)
    assert done.returncode == 0, done.stderr
    figures = json.loads(output.read_text())
    step, labels = figures["training_step"], figures["labels"]
    assert step["ratio"] == pytest.approx(step["seconds_before"] / step["seconds_after"])
    assert (labels["images"], labels["transforms"]) == (1, 4)
    photos = json.loads((PHOTOS / "annotations" / "person_keypoints_val.json").read_text())
    people = [a["image_id"] for a in photos["annotations"] if not a["iscrowd"]]
    first = next(image["id"] for image in photos["images"] if image["id"] in people)
    assert labels["boxes"] == people.count(first)
    seconds = labels["seconds_per_image"]
    ways = {"whole model", "given boxes"}
    ways |= {f"{way} {precision}" for way in ("ours", "network alone") for precision in ("float32", "bfloat16")}
    assert set(seconds) == ways
    assert all(value > 0 for value in seconds.values())
    assert labels["ratios"]["whole model / ours float32"] == pytest.approx(
        seconds["whole model"] / seconds["ours float32"]
    )
    price = figures["price_of_bfloat16"]
    assert price["images"] == 2
    assert {"AP_float32", "AP_bfloat16", "share_of_boxes_changed", "share_of_keypoints_moved"} < set(price)


@pytest.mark.skipif(not PHOTOS.exists(), reason=f"{PHOTOS}: the photographs are not here")
def test_bfloat16_costs_nothing_where_it_is_not_asked_for(tmp_path: Path) -> None:
    few = ("--rounds", "1", "--images", "1", "--threads", "1", "--device", "cpu", "--precisions", "float32")
    options = ("--config", str(ROOT / "config/smallest.yaml"), *few, "--parts", "labels", "price_of_bfloat16")
    done = run("speed_ratios.py", *options, "--output", str(tmp_path / "ratios.json"))
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "ratios.json").read_text())
    assert "price_of_bfloat16" not in figures
    assert not [way for way in figures["labels"]["seconds_per_image"] if "bfloat16" in way]


def test_changes_between_two_precisions_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from changed_detections import changes

    def detections(rows: list[tuple[int, list[float], float, float]]) -> Detections:
        """(image, box, score, x of the second of two keypoints) of each."""
        images, boxes, scores, x = zip(*rows, strict=True)
        keypoints = np.array([[(1, 1, 1), (value, 5, 1)] for value in x], np.float32)
        arrays = np.array(boxes, np.float32), np.array(scores, np.float32), np.ones(len(rows), np.int64)
        return Detections(np.array([7, 8, 9]), np.array(images), *arrays, keypoints)

    square, far = [0.0, 0.0, 100.0, 50.0], [200.0, 0.0, 300.0, 50.0]
    single = detections(
        [(0, square, 0.9, 5), (0, far, 0.8, 210), (1, square, 0.6, 5), (2, square, 0.9, 5), (2, far, 0.5, 9)]
    )
    # Image 0: one keypoint moved by 1.5 % of the longer side, one by 1 %; image 1: the box has lost a fifth; image 2: nothing found.
    reduced = detections([(0, far, 0.3, 211), (0, square, 0.9, 6.5), (1, [0.0, 0.0, 80.0, 50.0], 0.6, 5)])
    assert changes(single, reduced) == {
        "boxes": 4,
        "share_of_boxes_changed": 2 / 4,
        "keypoints": 4,
        "share_of_keypoints_moved": 1 / 4,
    }
    assert changes(single, single)["share_of_boxes_changed"] == 0


def test_a_label_set_that_is_none_of_the_configs_is_one_sentence() -> None:
    done = run("gated_labelling.py", "--config", str(ROOT / "config/demo.yaml"), "--label-set", "pol")
    assert done.returncode == 2
    assert "--label-set pol: " in done.stderr
    assert done.stderr.strip().endswith("demo.yaml has pool")


def test_photographs_that_are_absent_are_one_sentence(tmp_path: Path) -> None:
    done = run("speed_ratios.py", "--photos", str(tmp_path))
    assert done.returncode == 2
    assert "--photos names a folder" in done.stderr.strip().splitlines()[-1]
