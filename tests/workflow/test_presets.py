"""A preset is a set of values below a config's own: what it stands for, what wins, and that its name names no result."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from datadistill.errors import UserError
from datadistill.keys import hints
from datadistill.workflow.config import complete_config
from datadistill.workflow.experiments import Experiments, build_experiments
from datadistill.workflow.presets import presets, with_preset
from datadistill.workflow.statement import Config

CONFIG_FOLDER = Path(__file__).resolve().parents[2] / "config"


def own_data(preset: str, task: str, **more: Any) -> dict[str, Any]:
    """A config with the least that a user says."""
    split = {"kind": "coco", "task": task, "images": "photos", "annotations": "train.json"}
    return {
        "run": "own",
        "data_note": "photos",
        "preset": preset,
        "splits": [{"name": "labelled", **split}, {"name": "pool", "kind": "folder", "images": "unlabelled"}],
        "models": [
            {"name": "teacher", "task": task, "labelled": "labelled"},
            {"name": "student", "task": task, "labelled": "labelled", "label_set": "pool"},
        ],
        "label_sets": [{"name": "pool", "teacher": "teacher", "unlabelled": "pool"}],
        "tables": [],
        **more,
    }


def built(config: dict[str, Any]) -> Experiments:
    return build_experiments(complete_config(copy.deepcopy(config)))


def defaults_of(config: str, task: str) -> dict[str, Any]:
    return yaml.safe_load((CONFIG_FOLDER / config).read_text(encoding="utf-8"))["defaults"][task]


def benchmarked_network() -> dict[str, Any]:
    path = CONFIG_FOLDER.parent / "benchmarks/people.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))["models"][0]["network"]


def test_the_config_may_name_every_preset_there_is() -> None:
    choices = [choice for hint in get_args(hints(Config)["preset"]) for choice in get_args(hint)]
    assert choices == list(presets())


@pytest.mark.parametrize("task", ["keypoints", "objects"])
@pytest.mark.parametrize("preset", list(presets()))
def test_a_preset_is_all_that_models_and_labels_need(preset: str, task: str) -> None:
    experiments = built(own_data(preset, task))
    student = experiments.model("student", 1, "test")
    assert student.spec.initial == "imagenet"
    assert list(experiments.weights.values()) == [student.initial]
    assert len(experiments.label_sets) == 1
    assert len(next(iter(experiments.label_sets.values())).predictions.spec.transforms) >= (
        1 if task == "keypoints" else 6
    )


@pytest.mark.parametrize(
    ("preset", "config", "task"),
    [
        ("small", "blood-cells.yaml", "objects"),
        *(("r50", "paper.yaml", "keypoints"), ("r50", "paper.yaml", "objects")),
    ],
)
def test_networks_are_those_of_the_configs_that_presets_were_taken_from(preset: str, config: str, task: str) -> None:
    assert presets()[preset]["defaults"][task]["network"] == defaults_of(config, task)["network"]


def test_the_small_network_of_keypoints_is_the_one_whose_speed_was_measured() -> None:
    network = dict(presets()["small"]["defaults"]["keypoints"]["network"])
    # On a CPU detectron2's 512 regions of each image would take most of the time.
    regions = {name: network.pop(name) for name in ("proposals_train", "proposals_test", "rois_per_image")}
    assert regions.items() <= presets()["small"]["defaults"]["objects"]["network"].items()
    assert network == benchmarked_network()


def test_the_paper_s_preset_has_the_paper_s_schedule_transforms_and_weights() -> None:
    paper = yaml.safe_load((CONFIG_FOLDER / "paper.yaml").read_text(encoding="utf-8"))
    r50 = presets()["r50"]
    assert r50["weights"] == [entry for entry in paper["weights"] if entry["name"] == "R-50"]
    assert r50["transform_sets"] == [entry for entry in paper["transform_sets"] if entry["name"] == "standard"]
    for task in ("keypoints", "objects"):
        assert r50["defaults"][task]["training"] == paper["defaults"][task]["training"]


def test_what_the_config_says_wins_key_by_key() -> None:
    own = {
        "defaults": {"objects": {"training": {"iterations": 7}, "network": {"fpn_channels": 32}}},
        "transform_sets": [{"name": "standard", "short_sides": [64], "max_size": 128}, {"name": "own", "short_sides": [96], "max_size": 128}],
        "labelling": {"score_floor": 0.1},
    }  # fmt: skip
    made = complete_config(own_data("small", "objects", **own))
    small = presets()["small"]["defaults"]["objects"]
    assert made["defaults"]["objects"]["training"] == {**small["training"], "iterations": 7}
    assert made["defaults"]["objects"]["network"] == {**small["network"], "fpn_channels": 32}
    assert [(entry["name"], entry["short_sides"]) for entry in made["transform_sets"]] == [
        ("standard", [64]),
        ("own", [96]),
    ]
    assert (made["labelling"]["transforms"], made["labelling"]["score_floor"]) == ("standard", 0.1)
    assert complete_config(made) == made


def test_the_name_of_a_preset_is_no_part_of_a_result_s_name() -> None:
    config = own_data("small", "keypoints")
    spelled_out = {key: value for key, value in with_preset(config).items() if key != "preset"}
    named, written = built(config), built(spelled_out)
    assert list(named.models) == list(written.models)
    assert list(named.label_sets) == list(written.label_sets)
    assert list(named.weights) == list(written.weights)


def test_a_config_without_a_preset_is_as_it_was(smallest: dict[str, Any]) -> None:
    assert with_preset(smallest) == smallest


def test_presets_are_not_changed_by_who_uses_them() -> None:
    before = copy.deepcopy(dict(presets()))
    made = with_preset(own_data("small", "objects"))
    made["defaults"]["objects"]["training"]["iterations"] = 1
    made["transform_sets"][0]["short_sides"].append(1)
    assert presets() == before


def test_an_unknown_preset_is_told_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"^preset: 'smal' is not one of small, r50; did you mean 'small'\?$"):
        complete_config(own_data("smal", "objects"))
