"""`-- data` compares all splits of a run at once, and says where a list of ids to leave out goes."""

from __future__ import annotations

from pathlib import Path

import pytest
from planning import CONFIG_FOLDER, plan, rules

from datadistill.workflow.config import load_config
from datadistill.workflow.experiments import Experiments, build_experiments
from datadistill.workflow.needs import compared_splits, data_files, judging_splits, splits_to_edit


@pytest.fixture(scope="module")
def paper() -> Experiments:
    return build_experiments(load_config(CONFIG_FOLDER / "paper.yaml"))


def test_the_paper_s_splits_are_compared_in_pairs(paper: Experiments) -> None:
    pairs = {(first.name, second.name) for first, second in compared_splits(paper)}
    assert {("co-115", "val2017"), ("un-120", "val2017"), ("co-115", "un-120"), ("co-35", "co-80")} <= pairs
    assert {split.name for split in judging_splits(paper)} == {"val2017", "val2017-objects"}


def test_ids_are_left_out_where_the_config_takes_them(paper: Experiments) -> None:
    edited = {paper.split(name, "test").file: name for name in ("co-80", "un-120", "s1m-180")}
    found = {edited[file]: names for file, names in splits_to_edit(paper).items() if file in edited}
    # A split derived from another has none of its own; frames of videos have no ids to list.
    assert found == {"co-80": ["co-80-truth"], "un-120": ["un-120"], "s1m-180": []}


def test_the_data_target_asks_for_one_comparison_of_all(paper: Experiments, tmp_path: Path) -> None:
    assert data_files(paper).count(paper.paths.duplicates()) == 1
    jobs = rules(plan(tmp_path, CONFIG_FOLDER / "paper.yaml", "--", "data"))
    assert jobs["find_duplicates"] == 1
    assert jobs["train"] == jobs["predict"] == 0
