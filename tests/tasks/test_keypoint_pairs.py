"""Pairs of keypoints from names in all common styles, and what is refused rather than guessed."""

from __future__ import annotations

import pytest

from datadistill.errors import UserError
from datadistill.tasks.keypoint_pairs import find_pairs

STYLES = [
    ("left_hip", "right_hip"),
    ("left hip", "right hip"),
    ("left-hip", "right-hip"),
    ("left.hip", "right.hip"),
    ("Left_hip", "Right_hip"),
    ("LEFT_HIP", "RIGHT_HIP"),
    ("leftHip", "rightHip"),
    ("LeftHip", "RightHip"),
    ("hip_left", "hip_right"),
    ("hip (left)", "hip (right)"),
    ("HipLeft", "HipRight"),
    ("l_hip", "r_hip"),
    ("L-Hip", "R-Hip"),
    ("LHip", "RHip"),
    ("hip_l", "hip_r"),
    ("hip.L", "hip.R"),
    ("hipL", "hipR"),
    ("lefthip", "righthip"),
    ("hipleft", "hipright"),
    ("lhip", "rhip"),
    ("LHIP", "RHIP"),
    ("hip_lt", "hip_rt"),
    ("lft hip", "rgt hip"),
    ("left_hip_1", "right_hip_1"),
    ("wheel_fl", "wheel_fr"),
    ("Left hip", "right_hip"),
]


@pytest.mark.parametrize(("left", "right"), STYLES, ids=[left for left, _ in STYLES])
def test_a_style_is_understood(left: str, right: str) -> None:
    found = find_pairs(["nose", left, "lip", right, "rear"])
    assert found.pairs == ((1, 3),)
    assert found.permutation == [0, 3, 2, 1, 4]
    assert found.describe() == f"mirrored in pairs: {left} and {right}; not paired: nose, lip, rear"


def test_four_wheels_by_either_order_of_words() -> None:
    assert find_pairs(["FL", "FR", "RL", "RR"]).pairs == ((0, 1), (2, 3))
    assert find_pairs(["LF", "RF", "LR", "RR"]).pairs == ((0, 1), (2, 3))


def test_names_without_sides_stay() -> None:
    assert find_pairs(["head", "tail", "lip", "rear", "lung", "ring finger", "cleft"]).pairs == ()


@pytest.mark.parametrize(
    ("names", "given", "message"),
    [
        (["left_eye", "nose"], None, "'left_eye' says a side"),
        (["RElbow", "nose"], None, "'RElbow' says a side"),
        (["righthip", "nose"], None, "'righthip' says a side"),
        (["left_eye", "right_eye", "right-eye"], None, "may be 'right_eye' or 'right-eye'"),
        (["eye", "eye"], None, "is there twice"),
        (["a", "b"], [["a", "c"]], "no keypoint 'c'"),
        (["a", "b"], [["a", "a"]], "not a pair"),
        (["a", "b", "c"], [["a", "b"], ["b", "c"]], "'b' is in two pairs"),
        (["a", "b", "c"], [["a", "b", "c"]], "not a pair"),
    ],
)
def test_what_is_not_certain_is_refused(names: list[str], given: list[list[str]] | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        find_pairs(names, given, "category 'fish'")


def test_given_pairs_are_all_there_are() -> None:
    assert find_pairs(["left_eye", "nose"], []).permutation == [0, 1]
    assert find_pairs(["fin a", "fin b", "left_eye"], [["fin b", "fin a"]]).permutation == [1, 0, 2]
