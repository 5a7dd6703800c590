"""The benchmarks run, and their figures are of the work they claim: on tiny networks, here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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
    assert labels["images"] == 1
    seconds = labels["seconds_per_image"]
    assert labels["ratios"]["whole model / ours float32"] == pytest.approx(
        seconds["whole model"] / seconds["ours float32"]
    )
    assert figures["price_of_bfloat16"]["images"] == 2


def test_photographs_that_are_absent_are_one_sentence(tmp_path: Path) -> None:
    done = run("speed_ratios.py", "--photos", str(tmp_path))
    assert done.returncode == 2
    assert "--photos names a folder" in done.stderr.strip().splitlines()[-1]
