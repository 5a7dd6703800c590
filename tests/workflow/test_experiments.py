"""The registry: each result once, holding what it rests on; what doesn't fit together is refused before anything runs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from built import KINDS, Config, build, ids, model, named

from datadistill.errors import UserError
from datadistill.specs import PredictionsSpec, parse_spec
from datadistill.workflow.experiments import Experiments
from datadistill.workflow.figures import figure
from datadistill.workflow.outputs import outputs
from datadistill.workflow.rule_inputs import shard_pattern


@pytest.fixture
def base(smallest: Config) -> Experiments:
    return build(smallest)


def test_the_registry_holds_each_result_once(base: Experiments) -> None:
    counts = {kind: len(ids(base, kind)) for kind in KINDS}
    # Predictions: the teacher on the pool, on val with keypoints and (to be refined) without; the student on val.
    assert counts == {
        "splits": 5,
        "models": 2,
        "predictions": 4,
        "gates": 1,
        "refinements": 2,
        "label_sets": 1,
        "evaluations": 3,
    }


def test_a_fine_tuned_student_is_as_long_as_its_teacher_and_itself(smallest: Config) -> None:
    named(smallest, "models", "teacher")["training"] = {"iterations": 5}
    student = named(smallest, "models", "distilled")
    student["training"] = {"iterations": 3}
    assert model(build(smallest), "distilled").iterations_in_all == 3
    student["initial"] = "teacher"
    lengths = {"name": "lengths", "kind": "lengths", "models": ["teacher"], "references": ["distilled"]}
    smallest["figures"] = [lengths]
    [_, _, spec] = figure(build(smallest), "lengths").arguments
    drawn = json.loads(spec)
    assert [point["x"] for point in drawn["points"]] == [5]
    assert [point["x"] for point in drawn["references"]] == [8]


def test_batch_scale_is_linear_scaling(smallest: Config) -> None:
    named(smallest, "models", "teacher")["training"] = {"batch_scale": 3}
    training = model(build(smallest), "teacher").spec.training
    assert (training.batch_size, training.learning_rate) == (6, pytest.approx(0.03))
    # A scale that the batch must be rounded for keeps the ratio of the two.
    named(smallest, "models", "teacher")["training"] = {"batch_scale": 0.1}
    training = model(build(smallest), "teacher").spec.training
    assert (training.batch_size, training.learning_rate) == (1, pytest.approx(0.005))


def test_a_model_is_checked_against_what_judges_it(smallest: Config) -> None:
    smallest["splits"].append({"name": "val2", "kind": "rendered", "scene": "people", "images": 3, "seed": 8})
    smallest["tables"][0]["rows"].append({"cells": ["a", "b"], "model": "distilled", "split": "val2"})
    experiments = build(smallest)
    student = model(experiments, "distilled")
    pairs = {(a.name, b.name) for a, b in student.disjoint}
    assert pairs == {*(("labelled", "val"), ("pool", "val"), ("labelled", "pool"))}
    # One row on another split adds no check before training, or it would train its model again.
    smallest["evaluate_on"] = {}
    for row in [row for table in smallest["tables"] for row in table["rows"]]:
        row["split"] = "val2"
    smallest["figures"] = []
    experiments = build(smallest)
    assert {b.name for _, b in model(experiments, "distilled").disjoint} == {"val2", "pool"}


@pytest.mark.parametrize("shards", [1, 2, 12])
def test_shards_are_a_pattern_that_bash_expands_in_their_order(base: Experiments, shards: int) -> None:
    names = [base.paths.predictions("teacher_on_pool.3f9a2c1d", shard, shards) for shard in range(shards)]
    expanded = subprocess.run(
        ["bash", "-c", f"echo {shard_pattern(names)}"], capture_output=True, text=True, check=True
    )
    assert expanded.stdout.split() == names
    assert shard_pattern([]) == ""


def all_paths(experiments: Experiments) -> set[str]:
    """Every path that a run makes a file at, logs, benchmarks and checkpoints included."""
    paths = experiments.paths
    made = set(outputs(experiments))
    for kind in KINDS:
        made |= {path for result in getattr(experiments, kind).values() for path in result.files}
    for split in experiments.splits:
        made |= {paths.split_images(split), paths.log("split", split)}
    for name in experiments.models:
        made |= {paths.leaks(name), paths.checkpoint(name), paths.log("train", name), paths.benchmark("train", name)}
    return made


def test_runs_of_different_names_share_no_path(smallest: Config) -> None:
    one, other = build(smallest), build({**smallest, "run": "other"})
    assert len(all_paths(one)) == len(all_paths(other)) > 40
    assert not all_paths(one) & all_paths(other)
    assert {path.split("/")[:2] == ["results", "other"] for path in all_paths(other)} == {True}
    # What a run is called is no part of what it makes.
    assert {path.removeprefix("results/smallest/") for path in all_paths(one)} == {
        path.removeprefix("results/other/") for path in all_paths(other)
    }


def test_labelled_split_must_be_annotated_for_the_task(smallest: dict[str, Any]) -> None:
    smallest["models"][0]["labelled"] = "pool"
    with pytest.raises(UserError, match="split 'pool' has no annotations; name"):
        build(smallest)


@pytest.mark.parametrize(
    "entry", [{"kind": "union", "of": ["labelled", "pool"]}, {"kind": "fraction", "of": "pool", "fraction": 0.5}]
)
def test_a_split_with_a_pool_in_it_is_not_annotated(smallest: Config, entry: Config) -> None:
    smallest["splits"].append({"name": "mixed", **entry})
    smallest["models"][0]["labelled"] = "mixed"
    with pytest.raises(UserError, match="split 'mixed' has no annotations for the images of 'pool'"):
        build(smallest)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda c: c.update(evaluate_on={"keypoints": "pool"}),
            "evaluate_on: keypoints: split 'pool' has no annotations",
        ),
        (
            lambda c: c.update(evaluate_on={"keypoints": "things"}),
            "evaluate_on: keypoints: split 'things' is annotated for objects",
        ),
        (lambda c: c["tables"][0]["rows"][0].update(split="pool"), "table1a: .*split: split 'pool' has no annotations"),
    ],
)
def test_a_split_that_cannot_be_scored_is_refused_before_training(
    smallest: Config, edit: Callable[[Config], None], message: str
) -> None:
    smallest["splits"].append({"name": "things", "kind": "rendered", "scene": "objects", "images": 3})
    edit(smallest)
    with pytest.raises(UserError, match=message):
        build(smallest)


@pytest.mark.parametrize("name", ["plain", "augmented"])
def test_names_of_modes_are_no_names_of_transform_sets(smallest: Config, name: str) -> None:
    smallest["transform_sets"].append({"name": name, "short_sides": [64], "max_size": 128})
    with pytest.raises(UserError, match=f"transform_sets: the name '{name}' is taken"):
        build(smallest)


def test_categories_are_compared_along_the_chain_of_teachers(smallest: Config) -> None:
    smallest["splits"].append({"name": "other", "kind": "rendered", "scene": "people", "images": 3, "seed": 9})
    named(smallest, "models", "distilled")["labelled"] = "other"
    experiments = build(smallest)
    student = model(experiments, "distilled")
    assert [split.name for split in student.same_categories] == ["other", "labelled", "val"]


def test_results_hold_each_other(base: Experiments) -> None:
    student, teacher = (model(base, name) for name in ("distilled", "teacher"))
    assert student.teacher is student.label_set.teacher is teacher
    assert student.label_set.predictions.split is student.label_set.split is base.split("pool", "test")
    assert student.label_set.truth is base.split("pool-truth", "test")
    assert student.label_set.refinement.gate.labelled is teacher.labelled
    assert (teacher.teacher, teacher.label_set, teacher.initial) == (None, None, None)
    for kind in KINDS:
        for result in getattr(base, kind).values():
            assert result.file in result.files
            assert len(set(result.files)) == len(result.files)


def test_weights_are_named_by_backbone_and_release_alone(smallest: Config) -> None:
    smallest["defaults"]["keypoints"]["initial"] = "imagenet"
    for path in ("/data/w.pkl", "w.$(touch x)", "weights.pth (1)"):
        smallest["weights"] = [{"name": "R-50", "path": path}]
        assert model(build(smallest), "teacher").initial.file == "results/weights/R-50.weights"
    smallest["weights"][0]["release"] = "v2"
    assert model(build(smallest), "teacher").initial.file == "results/weights/R-50@v2.weights"


def test_labelled_split_of_another_task_is_refused(smallest: dict[str, Any]) -> None:
    smallest["splits"].append({"name": "things", "kind": "rendered", "scene": "objects", "images": 3})
    smallest["models"][0]["labelled"] = "things"
    with pytest.raises(UserError, match="annotated for objects, not for keypoints"):
        build(smallest)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"backbone": "timm:resnet81"}, "timm has no model 'resnet81'; nearest: 'resnet"),
        ({"backbone": "timm:resnet18", "norm": "GN"}, "a timm backbone takes FrozenBN, BN or SyncBN, not GN"),
    ],
)
def test_timm_backbones_are_checked_before_anything_runs(
    smallest: dict[str, Any], network: dict[str, str], message: str
) -> None:
    smallest["models"][0]["network"] = network
    with pytest.raises(UserError, match=message):
        build(smallest)


def test_single_precision_is_no_part_of_a_name_and_bfloat16_is(smallest: Config) -> None:
    before = build(smallest)
    smallest["labelling"]["precision"] = "float32"
    assert ids(build(smallest), "label_sets") == ids(before, "label_sets")
    spec = next(iter(before.predictions.values())).spec
    assert "precision" not in spec.canonical()
    assert parse_spec(PredictionsSpec, spec.canonical()) == spec
    smallest["labelling"]["precision"] = "bfloat16"
    reduced = build(smallest)
    for kind in ("predictions", "refinements", "label_sets", "evaluations"):
        assert set(ids(reduced, kind)).isdisjoint(ids(before, kind))
    spec = next(iter(reduced.predictions.values())).spec
    assert parse_spec(PredictionsSpec, spec.canonical()).precision == "bfloat16"
