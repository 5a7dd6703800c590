from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datadistill.detections import Detections
from datadistill.errors import UserError
from datadistill.label import thresholds
from datadistill.label.threshold_files import read_gate
from datadistill.label.thresholds import (
    Thresholds,
    count_labelled,
    curve,
    fixed,
    match,
    summary,
)
from datadistill.specs import GateSpec, LabelSetSpec, RefinementSpec
from datadistill.tasks.task import get_task

PEOPLE_TASK = get_task("keypoints")
choose, gate = partial(thresholds.choose, task=PEOPLE_TASK), partial(thresholds.gate, task=PEOPLE_TASK)

# Few distinct values, so that ties are the rule.
tied = st.lists(st.sampled_from([0.06, 0.1, 0.25, 0.5, 0.5000001, 0.9, 0.99]), max_size=40)


def array(scores: list[float]) -> np.ndarray:
    return np.array(scores, np.float32)


@given(scores=tied, target=st.floats(0, 30), images=st.integers(1, 7))
def test_the_largest_reachable_count_not_above_the_target(scores: list[float], target: float, images: int) -> None:
    values = array(scores)
    chosen = match(values, target, images)
    reachable = {0} | {int((values >= score).sum()) for score in values}
    assert chosen.kept == max(count for count in reachable if count <= target * images + 1e-6)
    assert chosen.kept == int(chosen.passes(values).sum())
    assert chosen.achieved == chosen.kept / images
    assert chosen.available == len(scores)


@given(scores=tied, target=st.floats(0, 30), images=st.integers(1, 7))
def test_the_shortfall_is_smaller_than_the_group_left_out(scores: list[float], target: float, images: int) -> None:
    values = array(scores)
    chosen = match(values, target, images)
    left = values[~chosen.passes(values)]
    if len(left):
        group = int((values == left.max()).sum())
        assert target * images - chosen.kept < group + 1e-6
    else:
        assert chosen.outcome in ("all kept", "matched", "none kept")


@given(scores=tied, lower=st.floats(0, 10), more=st.floats(0, 10))
def test_a_higher_target_never_keeps_less(scores: list[float], lower: float, more: float) -> None:
    assert match(array(scores), lower, 3).kept <= match(array(scores), lower + more, 3).kept


@given(scores=tied, target=st.floats(0, 10), images=st.integers(1, 5))
def test_a_threshold_survives_a_file(scores: list[float], target: float, images: int) -> None:
    chosen = match(array(scores), target, images)
    again = thresholds.Threshold(**json.loads(json.dumps(chosen.__dict__)))
    assert np.array_equal(again.passes(array(scores)), chosen.passes(array(scores)))


def test_outcomes_are_told_apart() -> None:
    scores = array([0.9, 0.9, 0.5, 0.3])
    assert match(scores, 3, 1).outcome == "matched"
    assert match(scores, 4, 1).outcome == "matched"
    assert match(scores, 5, 1) == thresholds.Threshold(pytest.approx(0.3), 5, 4.0, 4, 4, "all kept")
    assert match(scores, 1, 1) == thresholds.Threshold(None, 1, 0.0, 0, 4, "none kept")
    assert match(array([]), 1, 1) == thresholds.Threshold(None, 1, 0.0, 0, 0, "none kept")


def test_a_target_that_is_a_ratio_loses_nothing_to_rounding() -> None:
    # As many unlabelled images as labelled ones must give the same count, though 1 / 49 * 49 is below 1 here.
    scores = np.linspace(0.99, 0.1, 300, dtype=np.float32)
    for images in range(1, 300):
        for instances in (1, 3, 7, 100, 250):
            assert match(scores, instances / images, images).kept == instances
            assert match(scores, instances / (2 * images), images).kept == instances // 2


def coco(images: int, people: list[tuple[int, int, int]], categories: tuple[int, ...] = (1,)) -> dict[str, Any]:
    """A labelled split; people are (category, visible keypoints of 4, crowd)."""
    return {
        "images": [{"id": i} for i in range(1, images + 1)],
        "categories": [{"id": c, "name": f"c{c}"} for c in categories],
        "annotations": [
            {
                "id": i,
                "image_id": 1,
                "category_id": category,
                "iscrowd": crowd,
                "keypoints": [1, 1, 1] * visible + [0, 0, 0] * (4 - visible),
            }
            for i, (category, visible, crowd) in enumerate(people, 1)
        ],
    }


def test_counting_leaves_out_crowds_and_divides_by_all_images() -> None:
    counts = count_labelled(coco(5, [(1, 4, 0), (1, 2, 0), (1, 0, 0), (1, 3, 1)]), PEOPLE_TASK)
    assert counts.images == 5
    assert counts.instances == {1: 3}
    assert counts.with_keypoints == {1: 2}
    assert counts.instances_per_image("with_keypoints") == 2 / 5
    assert counts.instances_per_image("all") == 3 / 5
    assert counts.keypoints_per_instance("with_keypoints") == 6 / 2
    assert counts.keypoints_per_instance("all") == 6 / 3
    with pytest.raises(UserError, match="count_instances: 'some'"):
        counts.counted("some")


def detections(
    scores: list[float], images: int, categories: list[int] | None = None, points: list[list[float]] | None = None
) -> Detections:
    """Detections on the first of `images` images, with given keypoint scores."""
    n = len(scores)
    order = np.argsort(-np.array(scores), kind="stable")
    keypoints = None
    if points is not None:
        keypoints = np.zeros((n, len(points[0]) if points else 4, 3), np.float32)
        keypoints[..., 2] = points
        keypoints = keypoints[order]
    return Detections(
        np.arange(1, images + 1),
        np.zeros(n, np.int64),
        np.zeros((n, 4), np.float32),
        array(scores)[order],
        np.array(categories or [1] * n, np.int64)[order],
        keypoints,
    )


def spec(**changes: Any) -> LabelSetSpec:
    values = {
        "predictions": "p",
        "refinement": None,
        "labelled": "l",
        "count_instances": "with_keypoints",
        "instance_ratio": 1.0,
        "keypoint_ratio": 1.0,
        "instance_threshold": None,
        "keypoint_threshold": None,
        "per_category": False,
        **changes,
    }
    return LabelSetSpec(**values)


PEOPLE = coco(4, [(1, 4, 0), (1, 2, 0), (1, 0, 0)])  # 0.5 an image with keypoints, 3 keypoints each; 0.75 in all
KEYPOINTS = [[0.9, 0.8, 0.7, 0.6], [0.5, 0.45, 0.4, 0.01], [0.02, 0.03, 0.04, 0.05]]


def test_both_thresholds_of_keypoints() -> None:
    pool = detections([0.9, 0.8, 0.7], 4)
    chosen = thresholds.choose_thresholds(
        PEOPLE_TASK, spec(), PEOPLE, pool, detections([0.9, 0.8, 0.7], 4, None, KEYPOINTS)
    )
    assert chosen.categories[1].kept == 2
    assert chosen.categories[1].threshold == pytest.approx(0.8)
    # Two instances, three keypoints each: the six highest of their eight.
    assert chosen.keypoints.kept == 6
    assert chosen.keypoints.threshold == pytest.approx(0.45)
    assert (chosen.keypoints.target, chosen.keypoints.achieved) == (3, 3)
    assert chosen.visible(detections([0.9, 0.8, 0.7], 4, None, KEYPOINTS)).sum(axis=1).tolist() == [4, 2, 0]
    assert chosen.report["unlabelled"]["without_visible_keypoints"] == 0


def test_counting_all_instances_asks_for_more_boxes_with_fewer_keypoints() -> None:
    refined = detections([0.9, 0.8, 0.7], 4, None, KEYPOINTS)
    chosen = choose(spec(count_instances="all"), PEOPLE, refined, refined)
    assert chosen.categories[1].kept == 3
    assert chosen.keypoints.target == 2
    assert chosen.keypoints.kept == 6
    assert chosen.report["unlabelled"]["without_visible_keypoints"] == 1
    assert chosen.report["labelled"]["instances_per_image"] == {"with_keypoints": 0.5, "all": 0.75}


def test_ratios_scale_the_targets_and_fixed_thresholds_replace_them() -> None:
    refined = detections([0.9, 0.8, 0.7], 4, None, KEYPOINTS)
    chosen = choose(spec(instance_ratio=1.5, keypoint_ratio=0.5), PEOPLE, refined, refined)
    assert chosen.categories[1].kept == 3
    assert chosen.keypoints.kept == 4  # half of 3, for 3 instances, is 4.5
    chosen = choose(spec(instance_threshold=0.85, keypoint_threshold=0.75), PEOPLE, refined, refined)
    assert (chosen.categories[1].kept, chosen.categories[1].outcome) == (1, "fixed")
    assert (chosen.keypoints.kept, chosen.keypoints.threshold) == (2, 0.75)


def test_boxes_below_the_gate_are_missed() -> None:
    pool = detections([0.9, 0.8, 0.7], 4)
    refined = detections([0.9], 4, None, KEYPOINTS[:1])
    with pytest.raises(UserError, match=r"keeps 2 boxes, but only 1 .*delete the gate"):
        choose(spec(), PEOPLE, pool, refined)


def test_a_task_asks_for_what_it_needs() -> None:
    pool = detections([0.9], 4)
    with pytest.raises(UserError, match=r"keypoints.*need refined"):
        thresholds.choose_thresholds(PEOPLE_TASK, spec(), PEOPLE, pool)
    with pytest.raises(UserError, match=r"objects.*need no refined"):
        thresholds.choose_thresholds(get_task("objects"), spec(), PEOPLE, pool, pool)


def gate_spec_of(covers: float) -> GateSpec:
    return GateSpec("p", "l", "with_keypoints", covers, None, False)


def test_a_gate_keeps_margin_times_the_target(tmp_path: Path) -> None:
    pool = detections([0.9, 0.8, 0.7, 0.6], 4)
    gate_spec = gate_spec_of(1.5)
    chosen = gate(gate_spec, PEOPLE, pool)
    assert chosen == {
        "threshold": pytest.approx(0.7),
        "target": 0.5,
        "margin": 1.5,
        "achieved": 0.75,
        "kept": 3,
        "available": 4,
        "outcome": "matched",
    }
    path = tmp_path / "gate.json"
    path.write_text(json.dumps({"spec": gate_spec.canonical(), **chosen}))
    refinement = RefinementSpec("p", gate_spec.digest, (), "probabilities", False)
    assert read_gate(path, refinement) == chosen["threshold"]
    with pytest.raises(UserError, match=r"gate\.json: made with other settings"):
        read_gate(path, RefinementSpec("p", "other", (), "probabilities", False))
    with pytest.raises(UserError, match="asks for none"):
        read_gate(path, RefinementSpec("p", None, (), "probabilities", False))
    assert read_gate(None, RefinementSpec("p", None, (), "probabilities", False)) is None


@given(scores=tied.filter(bool), margin=st.floats(1.5, 3), ratio=st.floats(0.1, 1))
def test_no_label_set_within_the_margin_needs_a_box_below_the_gate(
    scores: list[float], margin: float, ratio: float
) -> None:
    pool = detections(scores, 3)
    threshold = gate(gate_spec_of(1.5), PEOPLE, pool, margin)["threshold"]
    kept = pool.select(choose(spec(instance_ratio=margin * ratio), PEOPLE, pool).keep(pool))
    assert (kept.scores >= np.float32(threshold)).all()


def test_a_gate_that_nothing_passes_is_a_number_above_every_score() -> None:
    # Ten boxes of one score, and room for three.
    chosen = gate(gate_spec_of(1.5), PEOPLE, detections([0.9] * 10, 4))
    assert chosen["threshold"] > np.float32(0.9)
    assert chosen["kept"] == 0
    json.dumps(chosen, allow_nan=False)


@given(scores=tied.filter(bool), ratio=st.floats(0.1, 6), fixed=st.none() | st.floats(0, 1), each=st.booleans())
def test_a_gate_covers_what_its_label_set_asks_for_whatever_the_margin(
    scores: list[float], ratio: float, fixed: float | None, each: bool
) -> None:
    # Two categories by turns, of which one has three quarters of the labelled instances.
    labelled = coco(4, [(1, 3, 0), (1, 3, 0), (1, 3, 0), (2, 3, 0)], (1, 2))
    pool = detections(scores, 3, [1 + i % 2 for i in range(len(scores))])
    asked = GateSpec("p", "l", "with_keypoints", None if fixed is not None else max(1.5, ratio), fixed, each)
    passed = (pool.scores >= np.float32(gate(asked, labelled, pool)["threshold"])).sum()
    labels = spec(instance_ratio=ratio, instance_threshold=fixed, per_category=each)
    kept = pool.select(choose(labels, labelled, pool).keep(pool))
    assert (kept.scores >= np.float32(gate(asked, labelled, pool)["threshold"])).all()
    assert len(kept) <= passed
    # A wider margin lets no fewer pass, and changes nothing where the config fixes the threshold.
    wider = gate(asked, labelled, pool, 9)
    assert (wider["kept"] == passed) if fixed is not None else (wider["kept"] >= passed)


THINGS = coco(4, [(1, 0, 0)] * 4 + [(2, 0, 0)] * 2 + [(4, 0, 0)], (1, 2, 3, 4))


def objects_pool() -> Detections:
    scores = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.35, 0.3, 0.99, 0.98]
    return detections(scores, 4, [1, 1, 1, 1, 1, 2, 2, 2, 3, 3])


def test_every_category_gets_its_own_threshold() -> None:
    chosen = choose(spec(count_instances="all", per_category=True), THINGS, objects_pool())
    assert {c: (t.kept, t.available, t.outcome) for c, t in chosen.categories.items()} == {
        1: (4, 5, "matched"),
        2: (2, 3, "matched"),
        3: (0, 2, "no labelled instances"),
        4: (0, 0, "none kept"),
    }
    kept = objects_pool().select(chosen.keep(objects_pool()))
    assert kept.categories.tolist() == [1, 1, 1, 1, 2, 2]
    # One threshold for all starves the category that scores low, and feeds one that isn't there.
    assert {c: t.kept for c, t in chosen.overall_by_category.items()} == {1: 5, 2: 0, 3: 2, 4: 0}
    assert chosen.overall.kept == 7
    assert chosen.report["unlabelled"]["instances_per_image"] == 6 / 4


def test_one_threshold_for_all_categories_is_in_force_where_asked_for() -> None:
    chosen = choose(spec(count_instances="all"), THINGS, objects_pool())
    assert chosen.categories == chosen.overall_by_category
    assert chosen.keep(objects_pool()).sum() == 7
    assert "all categories: scores from" in summary(chosen)[0]


def test_a_fixed_threshold_is_one_for_all_categories() -> None:
    chosen = choose(spec(count_instances="all", per_category=True, instance_threshold=0.65), THINGS, objects_pool())
    assert not chosen.per_category
    assert {c: t.kept for c, t in chosen.categories.items()} == {1: 3, 2: 0, 3: 2, 4: 0}


def test_too_small_a_pool_keeps_all_and_says_so() -> None:
    chosen = choose(spec(count_instances="all"), PEOPLE, detections([0.9, 0.2], 4))
    assert (chosen.overall.kept, chosen.overall.outcome) == (2, "all kept")
    (line,) = summary(chosen)
    assert line.endswith("2 of 2: all kept")


def test_empty_pools_and_splits_are_errors() -> None:
    with pytest.raises(UserError, match=r"detects nothing on the 4 unlabelled"):
        choose(spec(), PEOPLE, detections([], 4))
    with pytest.raises(UserError, match="holds no image"):
        choose(spec(), PEOPLE, detections([], 0))
    with pytest.raises(UserError, match="no labelled instance"):
        choose(spec(), coco(3, []), detections([0.5], 4))
    with pytest.raises(UserError, match=r"count_instances: with_keypoints"):
        choose(spec(), coco(3, [(1, 0, 0)]), detections([0.5], 4))
    with pytest.raises(UserError, match="detects nothing"):
        gate(gate_spec_of(1.5), PEOPLE, detections([], 4))


def test_thresholds_survive_a_file() -> None:
    refined = detections([0.9, 0.8, 0.7], 4, None, KEYPOINTS)
    for chosen in (
        choose(spec(), PEOPLE, refined, refined),
        choose(spec(count_instances="all", per_category=True), THINGS, objects_pool()),
    ):
        assert Thresholds.from_json(json.loads(json.dumps(chosen.to_json(), allow_nan=False))) == chosen


def test_the_curve_rises_to_everything_within_its_points() -> None:
    scores = np.random.default_rng(0).random(10_000).astype(np.float32)
    points = curve(scores, 100)
    assert len(points["threshold"]) <= thresholds.CURVE_POINTS
    assert points["average"][-1] == 100
    assert np.all(np.diff(points["average"]) > 0)
    assert np.all(np.diff(points["threshold"]) < 0)
    for threshold, average in list(zip(*points.values(), strict=True))[::50]:
        assert fixed(scores, threshold, 100).achieved == average
    assert curve(array([]), 3) == {"threshold": [], "average": []}
