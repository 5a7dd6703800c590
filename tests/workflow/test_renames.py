"""What an edit of a config renames: the smallest's and the paper's. What it reruns is in test_edits.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from built import KINDS, Config, build, changed, ids
from planning import REPOSITORY

from datadistill.workflow.experiments import Experiments

CHAIN = set(KINDS) - {"splits"}
INFERENCE = {"refinements", "evaluations"}
STUDENT = {"models", "predictions", "evaluations"}
LABELS = {"label_sets"} | STUDENT
GATED = {"gates", "refinements"} | LABELS


def option(**values: Any) -> Callable[[Config], None]:
    """An edit of `labelling`."""
    return lambda config: config.setdefault("labelling", {}).update(values)


def training(**values: Any) -> Callable[[Config], None]:
    """An edit of the schedule that models of keypoints share."""
    return lambda config: config["defaults"]["keypoints"]["training"].update(values)


def weights(**values: Any) -> Callable[[Config], None]:
    """Another entry for the weights of ResNet-50."""

    def edit(config: Config) -> None:
        config["weights"] = [entry for entry in config.get("weights", []) if entry["name"] != "R-50"]
        config["weights"].append({"name": "R-50", **values})

    return edit


def words(config: Config) -> None:
    config["data_note"] = "other words"
    table = config["tables"][0]
    table.update(title="x", caption="y")
    table["rows"][0].update(cells=["x"] * len(table["columns"]), note="a remark")
    config["figures"][0]["caption"] = "z"


def shards(config: Config) -> None:
    for entry in config["splits"]:
        if entry["kind"] in ("unlabelled", "videos", "coco_release"):
            entry["shards"] = 7


def machine(config: Config) -> None:
    label = {"threads": 3, "gpu": 2, "mem_mb": 9000, "runtime": 9}
    train = {**label, "workers": 2, "processes": 2}
    config["compute"] = {"device": "cuda", "checkpoint_every": 7, "train": train, "label": label}


def transform(config: Config) -> None:
    config["transform_sets"][0]["max_size_at"] = [
        {"short_side": config["transform_sets"][0]["short_sides"][0], "max_size": 99}
    ]


# What is renamed in the smallest config and in the paper's.
EDITS: dict[str, tuple[Callable[[Config], None], set[str]]] = {
    "words": (words, set()),
    "shards": (shards, set()),
    "machine": (machine, set()),
    "folder of COCO": (lambda config: config.update(data_root="elsewhere/coco"), set()),
    "gate margin": (option(gate_margin=2), set()),
    "weights: digest": (weights(path="a.pkl", sha256="0" * 64), set()),
    "weights: path": (weights(path="moved/$(touch x)/b.pth (1)"), set()),
    "weights: address": (weights(url="https://example.org/c.pkl"), set()),
    "one more seed": (lambda config: config.update(seeds=[1, 2]), CHAIN),
    "another seed": (lambda config: config.update(seeds=[2]), CHAIN),
    "iterations": (training(iterations=77), CHAIN),
    "ratio of labelled images": (training(labelled_ratio=0.3), STUDENT),
    "transforms": (transform, INFERENCE | LABELS),
    "averaging": (option(average="logits"), INFERENCE | LABELS),
    "keypoint threshold": (option(keypoint_threshold=0.5), LABELS),
    "instances": (option(instance_ratio=1.4), LABELS),
    "more instances than every gate covers": (option(instance_ratio=1.6), GATED),
    "instance threshold": (option(instance_threshold=0.3), GATED),
    "score floor": (option(score_floor=0.2), CHAIN),
}


def keypoints_alone(config: Config) -> Config:
    """A config without what its task of objects makes."""
    config["models"] = [entry for entry in config["models"] if entry["task"] == "keypoints"]
    models = {entry["name"] for entry in config["models"]}
    config["label_sets"] = [entry for entry in config["label_sets"] if entry["teacher"] in models]
    label_sets = {entry["name"] for entry in config["label_sets"]}
    config["tables"] = [table for table in config["tables"] if table["task"] == "keypoints"]
    config["figures"] = [
        figure for figure in config["figures"] if figure.get("label_set", next(iter(label_sets))) in label_sets
    ]
    return config


def fresh(name: str) -> Config:
    """A config of the repository, its models of keypoints starting from weights in a file or at an address."""
    config = yaml.safe_load((REPOSITORY / "config" / f"{name}.yaml").read_text(encoding="utf-8"))
    config["defaults"]["keypoints"].pop("initial", None)
    if name == "smallest":
        weights(path="a.pkl")(config)
    return keypoints_alone(config)


@pytest.fixture(scope="module")
def unedited() -> dict[str, Experiments]:
    return {name: build(fresh(name)) for name in ("smallest", "paper")}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("name", ["smallest", "paper"])
def test_an_edit_renames_what_it_changes_and_nothing_else(
    unedited: dict[str, Experiments], name: str, edit: str
) -> None:
    edited = fresh(name)
    EDITS[edit][0](edited)
    assert edited != fresh(name)
    expected = EDITS[edit][1]
    # Students of the paper are scored with their augmentation, too.
    expected = expected | {"refinements"} if name == "paper" and "models" in expected else expected
    assert changed(unedited[name], build(edited)) == expected


def test_another_release_of_weights_changes_what_starts_from_them(unedited: dict[str, Experiments]) -> None:
    before, config = unedited["paper"], fresh("paper")
    weights(path="other.pkl", release="v2")(config)
    after = build(config)
    kept = ids(before, "models") & ids(after, "models")
    assert 0 < len(kept) < len(before.models)
    # A student of another backbone may have a teacher of this one.
    assert all("_R-50_" not in name for name in kept)
    assert {"R-50"} == set(before.weights) - set(after.weights)
    assert {"R-50@v2"} == set(after.weights) - set(before.weights)
