"""Names and digests: what changes a result changes its name, and nothing else does."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
from built import KINDS, Config, build, changed, ids, model, named, specs

from datadistill.errors import UserError
from datadistill.specs import (
    EvaluationSpec,
    GateSpec,
    LabelSetSpec,
    ModelSpec,
    PredictionsSpec,
    RefinementSpec,
    model_spec,
    parse_spec,
)
from datadistill.workflow.experiments import Experiments
from datadistill.workflow.outputs import outputs, table_evaluations


@pytest.fixture
def base(smallest: Config) -> Experiments:
    return build(smallest)


def test_names_end_in_the_digest_of_their_spec(base: Experiments) -> None:
    for kind in KINDS:
        for name, entry in getattr(base, kind).items():
            assert re.search(r"\.[0-9a-f]{8}$", name), name
            assert entry.id == name
            assert name.endswith(f".{entry.digest}")


def test_equal_specs_are_one_model(smallest: Config, base: Experiments) -> None:
    smallest["models"].append({**named(smallest, "models", "teacher"), "name": "the-same"})
    smallest["tables"][0]["rows"].append({"cells": ["again", ""], "model": "the-same"})
    after = build(smallest)
    assert model(after, "the-same").id == model(after, "teacher").id
    assert ids(after, "models") == ids(base, "models")
    assert ids(after, "evaluations") == ids(base, "evaluations")
    assert table_evaluations(after, "table1a") == table_evaluations(base, "table1a")


def test_what_is_given_and_what_is_a_default_are_equal_specs(smallest: Config, base: Experiments) -> None:
    named(smallest, "models", "distilled")["training"] = {"labelled_ratio": 0.6, "iterations": 4, "batch_scale": 1}
    assert ids(build(smallest), "models") == ids(base, "models")


def test_a_supervised_model_does_not_depend_on_how_labels_are_mixed(smallest: Config, base: Experiments) -> None:
    smallest["defaults"]["keypoints"]["training"].update(labelled_ratio=0.3, generated_background=False)
    after = build(smallest)
    assert model(after, "teacher").id == model(base, "teacher").id
    assert model(after, "distilled").id != model(base, "distilled").id


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
    label = {"threads": 2, "gpu": 1, "mem_mb": 9000, "runtime": 9}
    train = {**label, "workers": 3, "processes": 2}
    smallest["compute"] = {"device": "cuda", "checkpoint_every": 7, "train": train, "label": label}
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
    assert {base.predictions[name].model for name in lost} == {model(base, "distilled")}


@pytest.mark.parametrize(
    "threshold",
    [{"keypoint_threshold": 0.5}, {"instance_ratio": 0.8}, {"instance_ratio": 1.5}, {"keypoint_ratio": 1.2}],
    ids=str,
)
def test_a_threshold_changes_labels_and_students_but_no_inference(
    smallest: Config, base: Experiments, threshold: Config
) -> None:
    smallest["labelling"].update(threshold)
    after = build(smallest)
    label_set, before = (next(iter(e.label_sets.values())) for e in (after, base))
    assert label_set != before
    assert (label_set.predictions, label_set.refinement) == (before.predictions, before.refinement)
    assert ids(after, "gates") == ids(base, "gates")
    assert ids(after, "refinements") == ids(base, "refinements")
    assert model(after, "teacher") == model(base, "teacher")
    assert model(after, "distilled") != model(base, "distilled")


@pytest.mark.parametrize("asked", [{"instance_threshold": 0.1}, {"instance_ratio": 2.5}], ids=str)
def test_a_gate_covers_what_a_label_set_asks_for(smallest: Config, base: Experiments, asked: Config) -> None:
    smallest["labelling"].update(asked)
    after = build(smallest)
    assert ids(after, "predictions") & ids(base, "predictions")
    assert not ids(after, "gates") & ids(base, "gates")
    [gate] = after.gates.values()
    assert (gate.spec.covers, gate.spec.threshold) == (asked.get("instance_ratio"), asked.get("instance_threshold"))


def test_a_gate_that_label_sets_share_is_as_wide_as_the_widest(smallest: Config, base: Experiments) -> None:
    smallest["label_sets"] += [
        {
            "name": f"pool-{number}",
            "teacher": "teacher",
            "unlabelled": "pool",
            "gate_margin": margin,
            "keypoint_ratio": 0.9,
        }
        for number, margin in enumerate((3, 2))
    ]
    after = build(smallest)
    assert ids(after, "gates") == ids(base, "gates")
    assert list(after.gate_margins.values()) == [3]


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
        assert student.teacher.spec.seed == seed
    assert len(table_evaluations(after, "table1a")) == 6
    assert set(outputs(base)) <= set(outputs(after))


def test_a_student_teaches_the_next_round(smallest: Config) -> None:
    smallest["label_sets"].append({"name": "second", "teacher": "distilled", "unlabelled": "pool"})
    smallest["models"].append({**named(smallest, "models", "distilled"), "name": "round2", "label_set": "second"})
    before = build(smallest)
    student = model(before, "round2")
    assert student.teacher == model(before, "distilled")
    named(smallest, "models", "teacher")["training"] = {"iterations": 5}
    assert model(build(smallest), "round2").id != student.id


def test_fine_tuning_depends_on_the_teachers_weights(smallest: Config) -> None:
    named(smallest, "models", "distilled")["initial"] = "teacher"
    experiments = build(smallest)
    student = model(experiments, "distilled")
    assert student.spec.weights == model(experiments, "teacher").digest
    assert student.initial == student.teacher


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
