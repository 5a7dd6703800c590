"""Choices beside the paper's: an optional table, and proposals that a student takes over."""

from __future__ import annotations

from typing import Any

import pytest

from datadistill.errors import UserError
from datadistill.workflow.config import complete_config
from datadistill.workflow.experiments import Experiments, build_experiments
from datadistill.workflow.needs import needs_of, needs_of_run, only
from datadistill.workflow.outputs import chosen_names, label_pages
from datadistill.workflow.registry import LabelSet, Model, Predictions, Result

Config = dict[str, Any]


def built(config: Config) -> Experiments:
    return build_experiments(complete_config(config))


def student(config: Config, **changes: Any) -> Config:
    """The entry of the distilled model, changed."""
    entry = next(model for model in config["models"] if model["name"] == "distilled")
    return {**entry, "name": "other", **changes}


def with_option(config: Config, optional: bool) -> Config:
    """An optional table whose second row has labels of its own."""
    labels = next(entry for entry in config["label_sets"] if entry["name"] == student(config)["label_set"])
    config["label_sets"].append({**labels, "name": "all-people", "count_instances": "all"})
    config["models"].append(student(config, label_set="all-people"))
    rows = [{"cells": ["as usual"], "model": "distilled"}, {"cells": ["all"], "model": "other"}]
    table = {"name": "options", "title": "Options", "task": "keypoints", "columns": ["people"], "rows": rows}
    config["tables"].append({**table, "optional": optional})
    return config


def pages_of(experiments: Experiments, name: str) -> list[Result]:
    """What `all` makes of a label set's pages."""
    label_set = experiments.label_set(name, experiments.config["seeds"][0], "test")
    return [page for page in label_pages(experiments) if page.label_set == label_set]


def test_all_leaves_an_optional_table_out(smallest: Config) -> None:
    experiments = built(with_option(smallest, True))
    assert "options" not in chosen_names(experiments)
    made = {model.name for model in only(Model, needs_of_run(experiments))}
    assert "other" not in made
    assert not pages_of(experiments, "all-people")
    assert pages_of(experiments, student(smallest)["label_set"])
    # By its name it is made, labels and all.
    table = needs_of(experiments, "options")
    assert {model.name for model in only(Model, table)} == {"teacher", "distilled", "other"}
    assert len(only(LabelSet, table)) == 2


def test_build_or_the_flag_takes_it_in(smallest: Config) -> None:
    config = with_option(smallest, True)
    config["build"] = ["options"]
    assert chosen_names(built(config)) == ["options"]


def test_a_table_that_is_not_optional_is_made(smallest: Config) -> None:
    experiments = built(with_option(smallest, False))
    assert "options" in chosen_names(experiments)
    assert pages_of(experiments, "all-people")


def test_labels_of_all_people_share_the_inference(smallest: Config) -> None:
    experiments = built(with_option(smallest, True))
    table = needs_of(experiments, "options")
    val = experiments.split("val", "test")
    labelled = [predictions for predictions in only(Predictions, table) if predictions.split != val]
    # Two label sets, one inference.
    assert (len(only(LabelSet, table)), len(labelled)) == (2, 1)


def test_proposals_are_part_of_a_model_s_name_and_need_the_teacher(smallest: Config) -> None:
    smallest["models"].append(student(smallest, proposals="teacher"))
    smallest["tables"][0]["rows"].append({"cells": ["", ""], "model": "other"})
    experiments = built(smallest)
    usual, other = (experiments.model(name, 1, "test") for name in ("distilled", "other"))
    assert usual.spec.proposals == "joint"
    assert other.spec.proposals == "teacher"
    assert usual.id != other.id
    # With labels and splits there already, the teacher is needed for its proposals.
    there = {path for label_set in experiments.label_sets.values() for path in label_set.files} | set(usual.files)
    needed = only(Model, needs_of(experiments, "table1a", there.__contains__))
    assert other.teacher in needed
    # Without, it has none of it: the labels are there.
    there |= set(other.files)
    assert only(Model, needs_of(experiments, "table1a", there.__contains__)) != needed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_set": None, "proposals": "teacher"}, "proposals: teacher needs a label_set"),
        ({"proposals": "teacher", "network": {"fpn_channels": 24}}, "needs a teacher with the same network"),
    ],
)
def test_proposals_that_cannot_be_taken_over_are_refused(smallest: Config, changes: Config, message: str) -> None:
    entry = {key: value for key, value in student(smallest, **changes).items() if value is not None}
    smallest["models"].append(entry)
    with pytest.raises(UserError, match=rf"models: other: .*{message}"):
        built(smallest)
