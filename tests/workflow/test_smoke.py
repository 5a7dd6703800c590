"""config/smoke.yaml is config/paper.yaml made small: the same rows, models, label sets and figures, on other data."""

from __future__ import annotations

from typing import Any

import pytest
from planning import CONFIG_FOLDER, CONFIGS, plan, rules

from datadistill.model.network import build_config
from datadistill.specs import ModelSpec
from datadistill.workflow.config import load_config
from datadistill.workflow.experiments import Experiments, build_experiments
from datadistill.workflow.needs import needs_of_run, only
from datadistill.workflow.registry import Evaluation, LabelSet, Model, Refinement

PAPER, SMOKE = CONFIG_FOLDER / "paper.yaml", CONFIG_FOLDER / "smoke.yaml"
PERSON = [{"id": 1, "name": "person", "keypoints": [f"k{i}" for i in range(17)]}]
# A config says it once for all of a paper's schedules.
SHORTER = 10_000


@pytest.fixture(scope="module")
def paper() -> Experiments:
    return build_experiments(load_config(PAPER))


@pytest.fixture(scope="module")
def smoke() -> Experiments:
    return build_experiments(load_config(SMOKE))


def entries(experiments: Experiments, key: str, *left_out: str) -> list[dict[str, Any]]:
    return [{k: v for k, v in entry.items() if k not in left_out} for entry in experiments.config[key]]


def test_tables_are_the_paper_s(paper: Experiments, smoke: Experiments) -> None:
    words = ("caption", "rows")
    assert entries(smoke, "tables", *words) == entries(paper, "tables", *words)
    for ours, theirs in zip(smoke.config["tables"], paper.config["tables"], strict=True):
        # Numbers of iterations are our own, and say whose they stand for.
        cells = [[cell.split(" for ")[-1] for cell in row["cells"]] for row in ours["rows"]]
        assert cells == [row["cells"] for row in theirs["rows"]]
        rows = [[{k: v for k, v in row.items() if k != "cells"} for row in t["rows"]] for t in (ours, theirs)]
        assert rows[0] == rows[1]
    paper_s = [table for table in smoke.config["tables"] if table["name"] != "in-text" and not table["optional"]]
    assert sum(len(table["rows"]) for table in paper_s) == 43


def test_figures_are_the_paper_s(paper: Experiments, smoke: Experiments) -> None:
    # A network of a few iterations has no detection of 0.7 to show.
    assert entries(smoke, "figures", "score_threshold") == entries(paper, "figures", "score_threshold")


def test_models_and_label_sets_are_the_paper_s(paper: Experiments, smoke: Experiments) -> None:
    assert entries(smoke, "models", "network", "training", "initial") == entries(
        paper, "models", "network", "training", "initial"
    )
    assert entries(smoke, "label_sets") == entries(paper, "label_sets")
    for ours, theirs in zip(entries(smoke, "models"), entries(paper, "models"), strict=True):
        a, b = (e.model(ours["name"], 1, "test") for e in (smoke, paper))
        assert a.spec.initial == ("random" if b.spec.initial == "imagenet" else b.spec.initial)
        assert abs(a.spec.training.iterations - b.spec.training.iterations / SHORTER) < 1
        for key in ("labelled_ratio", "generated_background", "decay_at"):
            assert getattr(a.spec.training, key) == getattr(b.spec.training, key), (theirs["name"], key)
        parts = [(m.labelled.name, m.teacher and m.teacher.name) for m in (a, b)]
        assert parts[0] == parts[1]


def test_distinct_models_and_label_sets_are_as_many(paper: Experiments, smoke: Experiments) -> None:
    counts = [
        {kind: len(only(kind, needs_of_run(e))) for kind in (Model, LabelSet, Evaluation, Refinement)}
        for e in (smoke, paper)
    ]
    assert counts[0] == counts[1]
    assert (counts[0][Model], counts[0][LabelSet]) == (42, 18)


def test_the_transforms_are_the_paper_s_in_proportion(paper: Experiments, smoke: Experiments) -> None:
    def relative(experiments: Experiments, name: str) -> set[tuple[float, bool]]:
        spec = experiments.model("supervised-R-50", 1, "test").spec
        transforms = experiments.transforms(name, spec, "test")
        return {(t.short_side / spec.test_scale.short_side, t.flip) for t in transforms}

    assert relative(smoke, "standard") < relative(paper, "standard")
    for name in ("flips", "three-scales"):
        assert relative(smoke, name) == relative(paper, name)


def blocks(spec: ModelSpec, *, widths: bool) -> list[Any]:
    """Type, and where asked for widths, of every layer of the backbone's stages."""
    from detectron2.modeling import build_backbone
    from torch import nn

    backbone = build_backbone(build_config(spec, PERSON)).bottom_up
    made = []
    for name, module in backbone.named_modules():
        if isinstance(module, nn.Conv2d):
            shape = (module.in_channels, module.out_channels) if widths else ()
            made.append((name, module.kernel_size, module.stride, module.groups, *shape))
        elif "Block" in type(module).__name__:
            made.append((name, type(module).__name__))
    return made


@pytest.mark.parametrize("name", ["R-50", "R-101", "X-101-32x4d", "X-101-64x4d"])
def test_backbones_have_the_paper_s_blocks_at_half_their_width(
    paper: Experiments, smoke: Experiments, name: str
) -> None:
    ours, theirs = (e.model(f"supervised-{name}", 1, "test").spec for e in (smoke, paper))
    assert ours.network.backbone == theirs.network.backbone == name
    assert blocks(ours, widths=False) == blocks(theirs, widths=False)
    convolutions = [[layer[4:] for layer in blocks(spec, widths=True) if len(layer) > 2] for spec in (ours, theirs)]
    halves = [tuple(width if width == 3 else width // 2 for width in layer) for layer in convolutions[1]]
    assert convolutions[0] == halves


def test_its_words_are_honest(smoke: Experiments) -> None:
    assert smoke.config["proxy"] is True
    for word in ("rendered", "few iterations", "half their width", "measures nothing"):
        assert word in smoke.config["data_note"]


def test_the_tests_plan_it_whole(tmp_path: Any, smoke: Experiments) -> None:
    assert SMOKE in CONFIGS
    jobs = rules(plan(tmp_path, SMOKE, "--", "report_pages"))
    assert (jobs["train"], jobs["annotate"], jobs["table"], jobs["figure"]) == (42, 18, 8, 10)
    # One process a split: starts are what a run of so few iterations costs.
    assert {split.shards for split in smoke.splits.values()} == {1}
    assert jobs["render_clips"] == jobs["sample_frames"] == 1
