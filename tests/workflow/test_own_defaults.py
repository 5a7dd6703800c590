"""A config of splits, models and label sets alone: a preset, a table of all models, a gallery, and words that are true of it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from datadistill.errors import UserError
from datadistill.report.published import load_published
from datadistill.report.table_files import to_latex, to_markdown
from datadistill.report.tables import load_table
from datadistill.workflow.config import complete_config
from datadistill.workflow.experiments import PUBLISHED, Experiments, build_experiments
from datadistill.workflow.figures import figure
from datadistill.workflow.outputs import names_of, outputs, table_spec
from datadistill.workflow.presets import presets

Config = dict[str, Any]

BARE = """
run: fish
splits:
  - {name: labelled, kind: coco, task: keypoints, images: a, annotations: a.json}
  - {name: pool, kind: folder, images: b}
  - {name: val, kind: coco, task: keypoints, images: c, annotations: c.json}
models:
  - {name: teacher, task: keypoints, labelled: labelled}
  - {name: student, task: keypoints, labelled: labelled, label_set: pool}
  - {name: second, task: keypoints, labelled: labelled, label_set: again, training: {iterations: 90}}
label_sets:
  - {name: pool, teacher: teacher, unlabelled: pool}
  - {name: again, teacher: student, unlabelled: pool}
evaluate_on: {keypoints: val}
"""


@pytest.fixture
def bare() -> Config:
    return yaml.safe_load(BARE)


def build(config: Config) -> Experiments:
    return build_experiments(complete_config(config))


def test_a_bare_config_gives_a_table_of_all_models_and_galleries(bare: Config) -> None:
    before = copy.deepcopy(bare)
    experiments = build(bare)
    assert bare == before
    assert names_of(experiments) == ["results", "gallery-pool", "gallery-again"]
    made = outputs(experiments)
    assert {"results/fish/tables/results.md", "results/fish/figures/gallery-pool.png"} <= set(made)
    [table] = experiments.config["tables"]
    assert [(*row["cells"], row["note"]) for row in table["rows"]] == [
        ("teacher", "learned from labelled, 4000 iterations"),
        ("student", "learned from labelled and pool, 4000 iterations"),
        ("second", "learned from labelled and pool, 90 iterations"),
    ]
    # Each student beside its teacher.
    assert [row["baseline"] for row in table_spec(experiments, "results")["rows"]] == [[], ["1"], ["2"]]
    assert figure(experiments, "gallery-pool").shows


def test_one_label_set_has_the_gallery(bare: Config) -> None:
    del bare["models"][2], bare["label_sets"][1]
    assert names_of(build(bare)) == ["results", "gallery"]


def test_without_a_split_to_judge_labels_are_made_all_the_same(bare: Config) -> None:
    del bare["evaluate_on"]
    experiments = build(bare)
    assert names_of(experiments) == ["gallery-pool", "gallery-again"]
    assert any(path.endswith("thresholds.md") for path in outputs(experiments))
    assert experiments.config["data_note"] == "splits labelled and pool"


def test_each_task_has_a_table(bare: Config) -> None:
    bare["splits"] += [
        {"name": "boxes", "kind": "rendered", "scene": "objects", "images": 4, "seed": seed} for seed in (1,)
    ]
    bare["splits"] += [{"name": "box-val", "kind": "rendered", "scene": "objects", "images": 4, "seed": 2}]
    bare["models"].append({"name": "detector", "task": "objects", "labelled": "boxes"})
    bare["evaluate_on"]["objects"] = "box-val"
    tables = build(bare).config["tables"]
    assert [(table["name"], table["task"], len(table["rows"])) for table in tables] == [
        ("results-keypoints", "keypoints", 3),
        ("results-objects", "objects", 1),
    ]


def test_empty_lists_are_none_at_all(bare: Config) -> None:
    assert names_of(build({**bare, "tables": [], "figures": []})) == []
    assert names_of(build({**bare, "tables": None, "figures": None})) == ["results", "gallery-pool", "gallery-again"]


def test_a_preset_is_taken_only_where_nothing_is_said_of_networks(bare: Config) -> None:
    small = presets()["small"]["defaults"]["keypoints"]["network"]["backbone"]
    assert build(bare).model("teacher", 1, "test").spec.network.backbone == small
    # What a config chooses is completed by nothing that wouldn't fit it.
    alone = {**bare, "label_sets": [], "models": bare["models"][:1]}
    for said in (
        {"defaults": {"keypoints": {"initial": "random"}}},
        {"models": [{**bare["models"][0], "network": {"backbone": "R-50"}}]},
    ):
        with pytest.raises(UserError, match="training: the key 'iterations' is missing"):
            build({**alone, **said})
    whole = {**bare["models"][0], "training": {"iterations": 10, "batch_size": 1, "learning_rate": 0.1}}
    assert build({**alone, "models": [whole]}).model("teacher", 1, "test").spec.network.backbone == "R-50"


def test_weights_of_a_preset_s_backbone_need_no_entry(bare: Config) -> None:
    training = {"iterations": 10, "batch_size": 1, "learning_rate": 0.1}
    network = {"backbone": "R-50"}
    bare["defaults"] = {"keypoints": {"training": training, "network": network}}
    assert build(bare).weights["R-50"].source["url"].endswith("/MSRA/R-50.pkl")
    bare["weights"] = [{"name": "R-50", "path": "mine.pkl"}]
    assert build(bare).weights["R-50"].source["path"] == "mine.pkl"
    bare["defaults"]["keypoints"]["network"] = {"backbone": "R-101"}
    with pytest.raises(UserError, match="there is no entry of weights named 'R-101'"):
        build(bare)


def shown(experiments: Experiments) -> tuple[str, str]:
    table = load_table(table_spec(experiments, "results"), load_published(PUBLISHED))
    return to_markdown(table), to_latex(table)


def test_words_of_own_data_claim_neither_coco_nor_to_stand_in_for_it(bare: Config) -> None:
    experiments = build(bare)
    assert experiments.config["data_note"] == "splits labelled and pool, scored on val"
    for text in shown(experiments):
        assert "splits labelled and pool, scored on val" in text
        assert not [claim for claim in ("coco", "paper", "proxy") if claim in text.lower()]
    # Beside no others, our figures go by their names alone.
    assert "| model   |   |  AP | AP50 |" in shown(experiments)[0]


@pytest.mark.parametrize(("proxy", "claims"), [(True, ["proxy data"]), (False, ["COCO"])])
def test_what_a_config_says_of_its_data_stands_in_its_table(bare: Config, proxy: bool, claims: list[str]) -> None:
    markdown, _ = shown(build({**bare, "proxy": proxy, "data_note": "photos of mine"}))
    assert "**Data:** photos of mine" in markdown
    assert all(claim in markdown for claim in claims)
    # No row stands beside one of the paper.
    assert "paper" not in markdown


def test_rows_beside_the_paper_s_show_it_whatever_the_data(bare: Config) -> None:
    rows = [{"cells": ["a"], "model": "teacher", "published": "table1a.1"}]
    table = {"name": "results", "title": "Mine", "task": "keypoints", "columns": ["model"], "rows": rows}
    markdown, _ = shown(build({**bare, "tables": [table]}))
    assert "paper AP" in markdown
    assert "diff." not in markdown
    assert "ours are on other data" in markdown


def test_every_config_of_the_repository_says_what_its_data_are(repository: Path) -> None:
    """Their words stay as they are: nothing of them is a default."""
    for path in (repository / "config").glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        if "\nrun:" in text:
            assert {"data_note", "proxy", "tables", "figures"} <= yaml.safe_load(text).keys(), path.name
