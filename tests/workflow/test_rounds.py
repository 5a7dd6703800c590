"""Rounds of distillation: what an entry of `rounds` is written out as, what each round learns from, and a small run of two."""

from __future__ import annotations

import copy
import csv
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from built import build, ids, model
from planning import REPOSITORY, Job, plan, rules, snakemake

from datadistill.errors import UserError
from datadistill.workflow.config import complete_config
from datadistill.workflow.cost import Rates, make_plan
from datadistill.workflow.needs import nothing_exists

ROUNDS = Path(__file__).with_name("rounds.yaml")
Config = dict[str, Any]


@pytest.fixture
def config() -> Config:
    return yaml.safe_load(ROUNDS.read_text(encoding="utf-8"))


def by_hand(config: Config) -> Config:
    """The same, as somebody would write it out."""
    entry = {"task": "objects", "labelled": "labelled"}
    names = [f"things-round-{number}" for number in range(3)]
    students = [{"name": n, **entry, "label_set": n, "initial": "teacher"} for n in names[1:]]
    sets = [{"name": n, "teacher": t, "unlabelled": "pool"} for t, n in itertools.pairwise(names)]
    rest = {key: value for key, value in config.items() if key != "rounds"}
    return {**rest, "models": [{"name": names[0], **entry}, *students], "label_sets": sets}


def test_rounds_are_what_one_would_write_out(config: Config) -> None:
    ours, theirs = build(config), build(by_hand(config))
    for kind in ("splits", "models", "label_sets"):
        assert ids(ours, kind) == ids(theirs, kind)
    assert len(ours.models) == 3
    assert len(ours.label_sets) == 2
    assert complete_config(complete_config(config)) == complete_config(config)
    [table] = complete_config(config)["tables"]
    assert table["name"] == "rounds-things"
    assert [row["cells"] for row in table["rows"]] == [
        ["0: labelled"],
        ["1: labelled + pool labelled by round 0"],
        ["2: labelled + pool labelled by round 1"],
    ]
    assert "goes on from the weights of the round before" in table["caption"]


def test_each_round_learns_from_the_labels_of_the_one_before_and_nothing_accumulates(config: Config) -> None:
    config["seeds"] = [1, 2]
    experiments = build(config)
    for seed in (1, 2):
        chain = [model(experiments, f"things-round-{number}", seed) for number in range(3)]
        assert chain[0].label_set is None
        for before, student in itertools.pairwise(chain):
            assert student.teacher == before
            assert student.labelled == chain[0].labelled
            assert student.label_set.split.name == "pool"
            assert student.initial == before
            assert student.seed == seed
    config["rounds"][0]["student"] = {"training": {"iterations": 6}}
    experiments = build(config)
    chain = [model(experiments, f"things-round-{number}") for number in range(3)]
    assert [each.spec.training.iterations for each in chain] == [4, 6, 6]
    assert {each.spec.initial for each in chain} == {"random"}
    config["rounds"][0]["labels"] = {"instance_ratio": 0.5}
    assert {each.spec.instance_ratio for each in build(config).label_sets.values()} == {0.5}


def test_more_rounds_keep_those_that_are_there(config: Config) -> None:
    two = build(config)
    config["rounds"][0]["rounds"] = 3
    three = build(config)
    assert ids(two, "models") < ids(three, "models")
    assert ids(two, "label_sets") < ids(three, "label_sets")
    assert len(three.models) == 4


def test_labels_are_judged_on_images_that_nothing_learned_from(config: Config) -> None:
    experiments = build(config)
    judged = list(experiments.held_out_labels.values())
    assert [j.label_set.name for j in judged] == ["things-round-1", "things-round-2"]
    for each in judged:
        assert each.split.name == "held-out"
        assert each.detections.model == each.label_set.teacher
        # By the inference of the label set, and by its thresholds.
        assert each.detections.spec.transforms == each.label_set.predictions.spec.transforms
        assert each.label_set in each.rests_on
        # Compared by a job of its own: another held-out split must have no training's check made again.
        assert next((a.name, b.name) for a, b in each.disjoint) == ("labelled", "held-out")
        assert each.split not in each.label_set.teacher.checked
    del config["rounds"][0]["held_out"]
    assert {each.split.name for each in build(config).held_out_labels.values()} == {"val"}
    config["rounds"][0]["held_out"] = "held-out"
    del config["evaluate_on"]
    experiments = build(config)
    assert {evaluation.split.name for evaluation in experiments.evaluations.values()} == {"held-out"}


def test_keypoints_are_refined_on_held_out_images_as_on_the_pool(smallest: Config) -> None:
    entry = {"name": "people", "task": "keypoints", "labelled": "labelled", "unlabelled": "pool", "rounds": 1}
    experiments = build({**smallest, "rounds": [entry]})
    [judged] = experiments.held_out_labels.values()
    refined = judged.label_set.refinement
    assert judged.detections.spec.transforms == refined.spec.transforms
    assert judged.detections.gate is None
    # It is what augmented evaluation of the same model asks for, too.
    row = {"model": "people-round-0", "mode": "augmented"}
    assert experiments.row_evaluations(row, "test")[0].detections == judged.detections


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"rounds": 0}, "rounds: things: rounds: 0 is less than the minimum of 1"),
        ({"labelled": "labeled"}, "models: things-round-0: labelled: there is no split named 'labeled'; did you mean"),
        ({"held_out": "pool"}, "tables: rounds-things: labels_on: split 'pool' has no annotations"),
        ({"held_out": "hold"}, "tables: rounds-things: labels_on: there is no split named 'hold'; did you mean"),
        ({"name": "a" * 60}, "rounds: a*: the name is too long"),
        ({"student": {"iterations": 3}}, "rounds: things: student: unknown key 'iterations'"),
        ({"labels": {"transform": "plain"}}, "rounds: things: labels: unknown key 'transform'; did you mean"),
    ],
)
def test_what_can_t_be_is_refused_in_one_sentence(config: Config, edit: Config, message: str) -> None:
    config["rounds"][0].update(edit)
    with pytest.raises(UserError, match=message):
        build(config)


def test_names_that_are_taken_and_rounds_without_a_judge_are_refused(config: Config) -> None:
    taken = {"name": "things-round-1", "task": "objects", "labelled": "labelled"}
    with pytest.raises(UserError, match="models: the name 'things-round-1' is given twice"):
        build({**config, "models": [taken]})
    entry = {key: value for key, value in config["rounds"][0].items() if key != "held_out"}
    with pytest.raises(
        UserError, match="rounds: things: nothing judges the models: evaluate_on has no split for task obj"
    ):
        build({**config, "rounds": [entry], "evaluate_on": {}})
    with pytest.raises(UserError, match=r"^it has no model to train"):
        complete_config({**config, "rounds": []})


def test_the_plan_counts_every_round(config: Config) -> None:
    rates, downloads = REPOSITORY / "config" / "rates.yaml", REPOSITORY / "config" / "downloads.yaml"

    def whole(config: Config) -> Any:
        return make_plan(build(copy.deepcopy(config)), Rates(rates), downloads, nothing_exists).run.whole

    two = whole(config)
    assert (two.models, two.label_sets, two.images) == (3, 2, 16)
    assert two.iterations == 12
    # Two label sets of 8 images and two looks at 4 held-out ones by 4 transforms; three evaluations of 4 images by one.
    assert two.passes == 2 * (8 + 4) * 4 + 3 * 4
    config["rounds"][0]["rounds"] = 3
    assert (whole(config).models, whole(config).label_sets) == (4, 3)


# --- a run


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder, empty until two rounds ran in it."""
    directory = tmp_path_factory.mktemp("rounds")
    done = snakemake(directory, "--cores", "2", config=ROUNDS)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return directory


def edited(place: Path, tmp_path: Path, old: str, new: str) -> list[Job]:
    """What the finished run would run after an edit."""
    text = ROUNDS.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path = tmp_path / "edited.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return plan(place, path)


@pytest.mark.end_to_end
def test_two_rounds_end_in_a_table_with_a_line_each(place: Path, config: Config) -> None:
    experiments = build(config)
    page = (place / experiments.paths.table("rounds-things", "md")).read_text(encoding="utf-8")
    assert page.count("labelled by round") >= 2
    rows = list(csv.DictReader((place / experiments.paths.table("rounds-things", "csv")).open(encoding="utf-8")))
    assert [row["round"][:2] for row in rows] == ["0:", "1:", "2:"]
    assert rows[0]["labels it learned from: an image"] == rows[0]["against the row before: AP"] == ""
    for number, judged in enumerate(experiments.held_out_labels.values(), start=1):
        thresholds = json.loads((place / judged.label_set.made("thresholds.json")).read_text())
        labels = json.loads((place / judged.label_set.file).read_text())
        an_image = len(labels["annotations"]) / len(labels["images"])
        assert thresholds["report"]["unlabelled"]["instances_per_image"] == pytest.approx(an_image)
        assert float(rows[number]["labels it learned from: an image"]) == pytest.approx(an_image, abs=1e-3)
        report = json.loads((place / judged.file).read_text())["report"]["boxes"]["overall"]
        truth = json.loads((place / judged.split.file).read_text())
        assert report["truth"] == len(truth["annotations"])
        recall = rows[number]["labels it learned from: recall"]
        assert float(recall) == pytest.approx(100 * report["matched"] / report["truth"], abs=1e-3)
        ours = "ours on proxy data: AP"
        gain = float(rows[number][ours]) - float(rows[number - 1][ours])
        assert float(rows[number]["against the row before: AP"]) == pytest.approx(gain, abs=2e-3)
        # One seed has no interval.
        assert rows[number]["against the row before: half of the 95 % interval"] == ""
    assert page.count("one seed |") == 2


@pytest.mark.end_to_end
def test_another_round_runs_one_round_more(place: Path, tmp_path: Path) -> None:
    assert plan(place, ROUNDS) == []
    count = rules(edited(place, tmp_path, "rounds: 2\n", "rounds: 3\n"))
    once = ("train", "check_leaks", "check_held_out", "choose_thresholds", "annotate", "judge_labels", "score", "table")
    assert {rule: count[rule] for rule in once} == dict.fromkeys(once, 1)
    # The pool and the held-out images by round 2, the validation images by round 3.
    assert count["predict"] == 3
    assert not set(count) & {"split", "render"}


@pytest.mark.end_to_end
def test_other_held_out_images_judge_labels_again_and_train_nothing(place: Path, tmp_path: Path) -> None:
    count = rules(edited(place, tmp_path, "held_out: held-out\n", "held_out: val\n"))
    assert (count["judge_labels"], count["check_held_out"], count["predict"], count["table"]) == (2, 2, 2, 1)
    assert not set(count) & {"train", "check_leaks", "annotate", "choose_thresholds", "score", "render"}
