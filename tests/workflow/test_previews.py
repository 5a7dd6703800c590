"""Before training: keypoints beside their mirror images, for what models learn keypoints from, and a sentence at the start."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from planning import CONFIG_FOLDER, plan, rules, snakemake

from datadistill.workflow.config import complete_config, load_config
from datadistill.workflow.experiments import build_experiments
from datadistill.workflow.keypoint_notes import keypoint_notes
from datadistill.workflow.needs import data_files, mirrored_splits, preview_files

Config = dict[str, Any]
NAMES = ["snout", "LFin", "RFin", "tail"]


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ("smallest", {"labelled"}),
        ("paper", {"co-35", "co-115"}),
        ("coco-mini", {"labelled"}),
        ("blood-cells", set()),
    ],
)
def test_only_splits_that_keypoints_are_learned_from_are_drawn(config: str, names: set[str]) -> None:
    experiments = build_experiments(load_config(CONFIG_FOLDER / f"{config}.yaml"))
    assert {experiments.splits[split].name for split in mirrored_splits(experiments)} == names
    assert set(preview_files(experiments)) <= set(data_files(experiments))


def test_pictures_come_before_training(tmp_path: Path) -> None:
    jobs = rules(plan(tmp_path, CONFIG_FOLDER / "smallest.yaml"))
    assert jobs["preview"] == 1
    assert jobs["train"] > 0
    jobs = rules(plan(tmp_path, CONFIG_FOLDER / "smallest.yaml", "--", "data"))
    assert (jobs["preview"], jobs["train"]) == (1, 0)


def fish(folder: Path, seed: int, names: list[str]) -> dict[str, Any]:
    """The places of four photos with a fish each."""
    (folder / "photos").mkdir(parents=True)
    rng = np.random.default_rng(seed)
    images, annotations = [], []
    for number in range(1, 5):
        Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)).save(folder / "photos" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 64, "height": 48})
        points = [value for _ in names for value in (*map(int, rng.integers(10, 40, 2)), 2)]
        annotation = {"id": number, "image_id": number, "category_id": 1, "bbox": [8, 6, 40, 36], "keypoints": points}
        annotations.append({**annotation, "num_keypoints": None})
    categories = [{"id": 1, "name": "fish", "keypoints": names}]
    (folder / "a.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return {"images": str(folder / "photos"), "annotations": str(folder / "a.json")}


def config_of(folder: Path, smallest: Config, names: list[str], **said: Any) -> Path:
    """The smallest config on photos of fish in the place of rendered people."""
    config = copy.deepcopy(smallest)
    for number, entry in enumerate(config["splits"]):
        if entry["kind"] == "rendered":
            places = fish(folder / entry["name"], number, names)
            config["splits"][number] = {"name": entry["name"], "kind": "coco", "task": "keypoints", **places, **said}
    path = folder / "fish.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def test_pairs_are_said_at_the_start_in_the_log_and_in_a_picture(smallest: Config, tmp_path: Path) -> None:
    config = config_of(tmp_path, smallest, NAMES, sigmas=0.05)
    done = snakemake(tmp_path, "--cores", "1", "--", "data", config=config)
    assert done.returncode == 0, done.stderr
    said = (
        "Keypoints of 'fish': mirrored in pairs: LFin and RFin; not paired: snout, tail; sigmas of OKS: 0.05 for all."
    )
    assert f"Split 'labelled': {said}" in done.stderr.splitlines()
    experiments = build_experiments(complete_config(yaml.safe_load(config.read_text())))
    assert keypoint_notes(experiments) == [f"Split 'labelled': {said}"]
    split = experiments.split_ids["labelled"]
    assert said in (tmp_path / experiments.paths.log("split", split)).read_text().splitlines()
    assert (tmp_path / experiments.paths.preview(split)).stat().st_size > 10_000


def test_a_side_without_a_partner_is_refused_before_training(smallest: Config, tmp_path: Path) -> None:
    config = config_of(tmp_path, smallest, ["snout", "LFin", "tail"])
    experiments = build_experiments(complete_config(yaml.safe_load(config.read_text())))
    assert keypoint_notes(experiments) == [], "refusing is the split's"
    done = snakemake(tmp_path, "--cores", "1", config=config)
    assert done.returncode != 0
    assert not list((tmp_path / "results").rglob("train/*.log"))
    log = (tmp_path / experiments.paths.log("split", experiments.split_ids["labelled"])).read_text()
    [sentence] = [line for line in log.splitlines() if "says a side" in line]
    assert "a.json: category 'fish': 'LFin' says a side, but no keypoint is its partner" in sentence
    assert "flip_pairs" in sentence
