"""Names, digests and sharing: what changes a result changes its name, and nothing else does."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
import subprocess
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from datadistill.errors import UserError
from datadistill.specs import (
    EvaluationSpec,
    GateSpec,
    LabelSetSpec,
    ModelSpec,
    PredictionsSpec,
    RefinementSpec,
    Spec,
    model_spec,
    parse_spec,
)
from datadistill.workflow.config import complete_config
from datadistill.workflow.experiments import Experiments, build_experiments
from datadistill.workflow.outputs import outputs, table_inputs
from datadistill.workflow.rule_inputs import RuleInputs, shard_pattern

Config = dict[str, Any]
KINDS = ("splits", "models", "predictions", "gates", "refinements", "label_sets", "evaluations")


def build(config: Config) -> Experiments:
    return build_experiments(complete_config(copy.deepcopy(config)))


def named(config: Config, key: str, name: str) -> Config:
    return next(entry for entry in config[key] if entry["name"] == name)


def ids(experiments: Experiments, kind: str) -> set[str]:
    return set(getattr(experiments, kind))


def changed(before: Experiments, after: Experiments) -> set[str]:
    """Kinds of results of which one or more got another name."""
    return {kind for kind in KINDS if ids(before, kind) != ids(after, kind)}


def model(experiments: Experiments, name: str, seed: int = 1) -> Any:
    return experiments.model(name, seed, "test")


def specs(experiments: Experiments) -> Iterable[Spec]:
    for kind in KINDS[1:]:
        for entry in getattr(experiments, kind).values():
            yield entry.spec


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


def test_names_end_in_the_digest_of_their_spec(base: Experiments) -> None:
    for kind in KINDS:
        for name, entry in getattr(base, kind).items():
            assert re.search(r"\.[0-9a-f]{8}$", name), name
            assert entry.id == name
            if kind != "splits":
                assert name.endswith(f".{entry.spec.digest}")


def test_equal_specs_are_one_model(smallest: Config, base: Experiments) -> None:
    smallest["models"].append({**named(smallest, "models", "teacher"), "name": "the-same"})
    smallest["tables"][0]["rows"].append({"cells": ["again", ""], "model": "the-same"})
    after = build(smallest)
    assert model(after, "the-same").id == model(after, "teacher").id
    assert ids(after, "models") == ids(base, "models")
    assert ids(after, "evaluations") == ids(base, "evaluations")
    assert table_inputs(after, "table1a") == table_inputs(base, "table1a")


def test_what_is_given_and_what_is_a_default_are_equal_specs(smallest: Config, base: Experiments) -> None:
    named(smallest, "models", "distilled")["training"] = {"labelled_ratio": 0.6, "iterations": 4, "batch_scale": 1}
    assert ids(build(smallest), "models") == ids(base, "models")


def test_a_supervised_model_does_not_depend_on_how_labels_are_mixed(smallest: Config, base: Experiments) -> None:
    smallest["defaults"]["keypoints"]["training"].update(labelled_ratio=0.3, generated_background=False)
    after = build(smallest)
    assert model(after, "teacher").id == model(base, "teacher").id
    assert model(after, "distilled").id != model(base, "distilled").id


def test_batch_scale_is_linear_scaling(smallest: Config) -> None:
    named(smallest, "models", "teacher")["training"] = {"batch_scale": 3}
    training = model(build(smallest), "teacher").spec.training
    assert (training.batch_size, training.learning_rate) == (6, pytest.approx(0.03))
    # A scale that the batch must be rounded for keeps the ratio of the two.
    named(smallest, "models", "teacher")["training"] = {"batch_scale": 0.1}
    training = model(build(smallest), "teacher").spec.training
    assert (training.batch_size, training.learning_rate) == (1, pytest.approx(0.005))


def test_display_text_changes_no_name(smallest: Config, base: Experiments) -> None:
    smallest["data_note"] = "other words"
    smallest["proxy"] = False
    for number, table in enumerate(smallest["tables"]):
        table.update(name=f"renamed{number}", title="Another title", caption="Another caption", baseline=None)
        table["columns"] = [f"{column}, renamed" for column in table["columns"]]
        for row in table["rows"]:
            row.update(cells=["x" for _ in row["cells"]], note="a remark", published=None)
    smallest["tables"].reverse()
    assert changed(base, build(smallest)) == set()


def test_the_order_of_entries_changes_no_name(smallest: Config, base: Experiments) -> None:
    for key in ("splits", "models", "label_sets", "transform_sets", "tables"):
        smallest[key].reverse()
    assert changed(base, build(smallest)) == set()


def test_how_jobs_run_changes_no_name(smallest: Config, base: Experiments) -> None:
    stage = {"threads": 2, "workers": 3, "gpu": 1, "mem_mb": 9000, "runtime": 9, "processes": 2}
    smallest["compute"] = {"device": "cuda", "checkpoint_every": 7, "train": stage, "label": stage}
    assert changed(base, build(smallest)) == set()


def test_iterations_of_the_teacher_change_what_depends_on_it(smallest: Config, base: Experiments) -> None:
    named(smallest, "models", "teacher")["training"] = {"iterations": 5}
    after = build(smallest)
    assert changed(base, after) == set(KINDS) - {"splits"}
    for kind in set(KINDS) - {"splits"}:
        assert not ids(base, kind) & ids(after, kind), kind


def test_iterations_of_the_student_change_the_student_alone(smallest: Config, base: Experiments) -> None:
    named(smallest, "models", "distilled")["training"] = {"iterations": 5}
    after = build(smallest)
    assert changed(base, after) == {"models", "predictions", "evaluations"}
    assert model(after, "teacher").id == model(base, "teacher").id
    assert ids(base, "models") - ids(after, "models") == {model(base, "distilled").id}
    lost = ids(base, "predictions") - ids(after, "predictions")
    assert {base.predictions[name].model for name in lost} == {model(base, "distilled").id}


@pytest.mark.parametrize(
    "threshold",
    [{"instance_threshold": 0.9}, {"keypoint_threshold": 0.5}, {"instance_ratio": 0.8}, {"keypoint_ratio": 1.2}],
    ids=lambda threshold: next(iter(threshold)),
)
def test_a_threshold_changes_labels_and_students_but_no_inference(
    smallest: Config, base: Experiments, threshold: Config
) -> None:
    smallest["labelling"].update(threshold)
    after = build(smallest)
    label_set, before = (next(iter(e.label_sets.values())) for e in (after, base))
    assert label_set.id != before.id
    assert (label_set.predictions, label_set.refinement) == (before.predictions, before.refinement)
    assert ids(after, "gates") == ids(base, "gates")
    assert ids(after, "refinements") == ids(base, "refinements")
    assert model(after, "teacher").id == model(base, "teacher").id
    assert model(after, "distilled").id != model(base, "distilled").id


def test_a_wider_gate_keeps_the_predictions(smallest: Config, base: Experiments) -> None:
    smallest["labelling"]["gate_margin"] = 2.0
    after = build(smallest)
    label_set, before = (next(iter(e.label_sets.values())) for e in (after, base))
    assert label_set.predictions == before.predictions
    assert label_set.refinement != before.refinement


def test_transforms_change_the_refinement_but_not_the_plain_pass(smallest: Config, base: Experiments) -> None:
    named(smallest, "transform_sets", "standard")["short_sides"] = [64, 96, 128]
    after = build(smallest)
    label_set, before = (next(iter(e.label_sets.values())) for e in (after, base))
    assert label_set.predictions == before.predictions
    assert label_set.refinement != before.refinement
    assert model(after, "teacher").id == model(base, "teacher").id


def test_data_change_what_is_made_of_them(smallest: Config, base: Experiments) -> None:
    named(smallest, "splits", "val")["images"] = 7
    after = build(smallest)
    assert ids(after, "models") == ids(base, "models")
    assert ids(after, "label_sets") == ids(base, "label_sets")
    assert not ids(after, "evaluations") & ids(base, "evaluations")
    named(smallest, "splits", "pool-truth")["seed"] = 9
    again = build(smallest)
    # The pool is made of pool-truth, the student of the pool; the teacher of neither.
    assert model(again, "teacher").id == model(base, "teacher").id
    assert model(again, "distilled").id != model(base, "distilled").id
    assert not ids(again, "label_sets") & ids(base, "label_sets")


def test_fractions_share_their_label_set(smallest: Config) -> None:
    for part in (0.2, 0.5):
        smallest["models"].append(
            {**named(smallest, "models", "distilled"), "name": f"part-{part}".replace(".", ""), "fraction": part}
        )
    experiments = build(smallest)
    students = [model(experiments, name) for name in ("distilled", "part-02", "part-05")]
    assert len({student.id for student in students}) == 3
    assert len({student.label_set for student in students}) == 1
    assert len(experiments.label_sets) == 1


def test_the_seed_of_fractions_changes_only_fractions(smallest: Config) -> None:
    smallest["models"].append({**named(smallest, "models", "distilled"), "name": "part", "fraction": 0.5})
    before = build(smallest)
    after = build({**smallest, "fraction_seed": 3})
    assert model(after, "distilled").id == model(before, "distilled").id
    assert model(after, "part").id != model(before, "part").id


def test_seeds_expand(smallest: Config, base: Experiments) -> None:
    smallest["seeds"] = [1, 2, 5]
    after = build(smallest)
    assert len(after.models) == 3 * len(base.models)
    assert len(after.evaluations) == 3 * len(base.evaluations)
    # One more seed is more work, never other work.
    for kind in KINDS:
        assert ids(base, kind) <= ids(after, kind)
    for seed in (1, 2, 5):
        student = model(after, "distilled", seed)
        assert student.spec.seed == seed
        assert after.models[student.teacher].spec.seed == seed
    assert len(table_inputs(after, "table1a")) == 6
    assert set(outputs(base)) <= set(outputs(after))


def test_a_student_teaches_the_next_round(smallest: Config) -> None:
    smallest["label_sets"].append({"name": "second", "teacher": "distilled", "unlabelled": "pool"})
    smallest["models"].append({**named(smallest, "models", "distilled"), "name": "round2", "label_set": "second"})
    before = build(smallest)
    student = model(before, "round2")
    assert student.teacher == model(before, "distilled").id
    named(smallest, "models", "teacher")["training"] = {"iterations": 5}
    assert model(build(smallest), "round2").id != student.id


def test_fine_tuning_depends_on_the_teachers_weights(smallest: Config) -> None:
    named(smallest, "models", "distilled")["initial"] = "teacher"
    experiments = build(smallest)
    student = model(experiments, "distilled")
    assert student.spec.weights == model(experiments, "teacher").spec.digest


def test_a_model_is_checked_against_what_judges_it(smallest: Config) -> None:
    smallest["splits"].append({"name": "val2", "kind": "rendered", "scene": "people", "images": 3, "seed": 8})
    smallest["tables"][0]["rows"].append({"cells": ["a", "b"], "model": "distilled", "split": "val2"})
    experiments = build(smallest)
    student = model(experiments, "distilled")
    pairs = {tuple(id_.split(".")[0] for id_ in pair) for pair in experiments.disjoint_splits(student.id)}
    assert pairs == {*(("labelled", "val"), ("pool", "val"), ("labelled", "pool"))}
    # One row on another split adds no check before training, or it would train its model again.
    smallest["evaluate_on"] = {}
    for row in [row for table in smallest["tables"] for row in table["rows"]]:
        row["split"] = "val2"
    smallest["figures"] = []
    experiments = build(smallest)
    pairs = experiments.disjoint_splits(model(experiments, "distilled").id)
    assert {b.split(".")[0] for _, b in pairs} == {"val2", "pool"}


def test_specs_survive_json(base: Experiments) -> None:
    classes = {
        cls.stage: cls for cls in (ModelSpec, PredictionsSpec, GateSpec, RefinementSpec, LabelSetSpec, EvaluationSpec)
    }
    seen = set()
    for spec in specs(base):
        read = parse_spec(classes[spec.stage], json.loads(json.dumps(spec.canonical())))
        assert read == spec
        assert read.digest == spec.digest
        assert hash(read) == hash(spec)
        seen.add(spec.stage)
    assert seen == set(classes)


def test_every_field_of_a_model_is_in_its_digest(base: Experiments) -> None:
    spec = model(base, "distilled").spec
    digests = {spec.digest}
    for part in (spec, spec.training, spec.network, spec.test_scale):
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            if dataclasses.is_dataclass(value):
                continue
            other = (
                "other" if isinstance(value, str) or value is None else (7,) if isinstance(value, tuple) else value + 1
            )
            edited = dataclasses.replace(part, **{field.name: other})
            names = {"TrainingSpec": "training", "NetworkSpec": "network", "TestScale": "test_scale"}
            name = names.get(type(part).__name__)
            digests.add((dataclasses.replace(spec, **{name: edited}) if name else edited).digest)
    assert len(digests) == 1 + sum(
        not dataclasses.is_dataclass(getattr(part, field.name))
        for part in (spec, spec.training, spec.network, spec.test_scale)
        for field in dataclasses.fields(part)
    )


def test_a_spec_of_other_code_is_refused(base: Experiments) -> None:
    canonical = model(base, "teacher").spec.canonical()
    with pytest.raises(UserError, match="version 999"):
        model_spec({**canonical, "version": 999})
    with pytest.raises(UserError, match="stage gate"):
        model_spec({**canonical, "stage": "gate"})


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
    paths, inputs = experiments.paths, RuleInputs(experiments)
    made = set(outputs(experiments))
    for split in experiments.splits:
        made |= {paths.split(split), paths.split_ledger(split), paths.split_images(split), paths.log("split", split)}
    for name in experiments.models:
        made |= {paths.model(name), paths.metrics(name), paths.drawn(name), paths.leaks(name), paths.checkpoint(name)}
        made |= {paths.log("train", name), paths.benchmark("train", name)}
    for name in experiments.predictions:
        made |= set(inputs.prediction_shards(name))
    for name in experiments.refinements:
        made |= set(inputs.refinement_shards(name))
    made |= {paths.gate(name) for name in experiments.gates}
    made |= {paths.labels(name) for name in experiments.label_sets}
    made |= {paths.evaluation(name) for name in experiments.evaluations}
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
    with pytest.raises(UserError, match="split 'pool' has no annotations"):
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
        (lambda c: c.update(num_keypoints=5), "num_keypoints: 5: .* defined for 17 keypoints only"),
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
    chain = [split.rsplit(".", 1)[0] for split in experiments.labelled_and_held_out(student.id)]
    assert chain == ["other", "labelled", "val"]


@pytest.mark.parametrize(
    ("path", "suffix"), [("/data/dir.v1/weights", ""), ("/data/weights", ""), ("a.b/w.pkl", ".pkl")]
)
def test_weights_are_named_by_the_suffix_of_their_file_alone(smallest: Config, path: str, suffix: str) -> None:
    smallest["weights"] = [{"name": "R-50", "path": path}]
    smallest["defaults"]["keypoints"]["initial"] = "imagenet"
    name = build(smallest).weights_file("R-50")
    assert re.fullmatch(rf"R-50\.[0-9a-f]{{8}}{re.escape(suffix)}", name)


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
