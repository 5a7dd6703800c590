"""Cheap first: the order of targets by what they add, and what a sum of GPU-hours pays."""

from __future__ import annotations

import pytest

from datadistill.workflow.plan_order import bought, in_order

HOURS = {"split": 0.0, "teacher": 50.0, "labels": 20.0, "student": 140.0, "big": 300.0, "long": 145.0}
TARGETS = {
    "big table": ["split", "big", "teacher"],
    "lengths": ["split", "teacher", "labels", "student", "long"],
    "small table": ["split", "teacher", "labels", "student"],
    "picture": ["split", "teacher", "labels"],
}


def test_what_adds_least_comes_next() -> None:
    steps = in_order(TARGETS, HOURS.__getitem__)
    # Alone the big table costs 350 and the lengths 355; with what is shared, 300 and 145.
    assert [(step.name, step.hours, step.total) for step in steps] == [
        ("picture", 70.0, 70.0),
        ("small table", 140.0, 210.0),
        ("lengths", 145.0, 355.0),
        ("big table", 300.0, 655.0),
    ]
    assert [result for result, _ in steps[0].added] == ["split", "teacher", "labels"]
    assert steps[-1].total == sum(HOURS.values())


@pytest.mark.parametrize(
    ("budget", "targets", "results", "begun"),
    [
        (60, (), ("split", "teacher"), ("labels", 0.5)),
        (70, ("picture",), ("split", "teacher", "labels"), ("student", 0.0)),
        (105, ("picture",), ("split", "teacher", "labels"), ("student", 0.25)),
        (1000, tuple(name for name in ("picture", "small table", "lengths", "big table")), None, None),
    ],
)
def test_what_a_sum_pays(budget: float, targets: tuple, results: tuple | None, begun: tuple | None) -> None:
    got = bought(in_order(TARGETS, HOURS.__getitem__), budget)
    assert got.targets == targets
    assert results is None or got.results == results
    assert got.begun == begun
