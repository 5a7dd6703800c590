"""Figure 2's data: the transforms of one person and their ensemble."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tiny

from datadistill.errors import UserError
from datadistill.report.explain import (
    candidate_people,
    explain_ensemble,
    most_rescued,
    most_telling,
)
from datadistill.report.right_keypoints import right_shares
from datadistill.specs import RefinementSpec
from datadistill.transforms import Transform

TRANSFORMS = (tiny.PLAIN, Transform(96, 160, True), Transform(64, 128))


def labels_of(split: dict[str, Any]) -> dict[str, Any]:
    people = [
        {
            "id": n,
            "image_id": image["id"],
            "category_id": 1,
            "bbox": [8.0, 10.0, 40.0, 60.0],
            "area": 2400.0,
            "score": 0.5 + n / 100,
        }
        for n, image in enumerate(split["images"])
    ]
    return {"info": {"task": "keypoints"}, "images": split["images"], "annotations": people}


def spec() -> RefinementSpec:
    return RefinementSpec("00000000", "11111111", TRANSFORMS, "probabilities", False)


def test_each_transform_and_the_ensemble_are_shown(people: Any, split: dict[str, Any]) -> None:
    shown = explain_ensemble(*people, split, labels_of(split), spec())
    assert [t["label"] for t in shown["transforms"]] == ["96", "96 flipped", "64"]
    assert shown["image"] in {image["file_name"] for image in split["images"]}
    assert shown["box"] == [8.0, 10.0, 48.0, 70.0]
    assert shown["category"]["keypoints"] == tiny.NAMES
    assert np.array(shown["ensemble"]).shape == (5, 3)
    apart = [t["points"] for t in shown["transforms"]]
    assert any(np.abs(np.array(points) - np.array(shown["ensemble"])).max() > 0.5 for points in apart)


def test_truth_is_the_person_of_the_same_place_in_continuous_coordinates(people: Any, split: dict[str, Any]) -> None:
    labels = labels_of(split)
    points = [20, 30, 2, 25, 30, 1, 0, 0, 0, 22, 50, 2, 26, 50, 2]
    near = [
        {**a, "bbox": [9.0, 10.0, 40.0, 60.0], "keypoints": points, "num_keypoints": 4} for a in labels["annotations"]
    ]
    far = [
        {**a, "bbox": [60.0, 10.0, 20.0, 20.0], "keypoints": [1, 1, 2] * 5, "num_keypoints": 5}
        for a in labels["annotations"]
    ]
    shown = explain_ensemble(*people, split, labels, spec(), truth={"annotations": far + near})
    assert shown["truth"][0] == [20.5, 30.5, 2.0]
    assert shown["truth"][2] == [0.0, 0.0, 0.0], "a keypoint that isn't labelled has no place"
    assert explain_ensemble(*people, split, labels, spec(), truth={"annotations": far})["truth"] is None


def test_people_too_small_to_be_looked_at_are_no_candidates() -> None:
    people = [
        {"id": n, "area": area, "score": score} for n, (area, score) in enumerate([(24, 1.0), (900, 0.4), (2000, 0.3)])
    ]
    assert [a["id"] for a in candidate_people(people, 40)] == [2, 1]
    assert [a["id"] for a in candidate_people(people, 1)] == [2]


def test_no_labels_is_a_clear_error(people: Any, split: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="lower its thresholds"):
        explain_ensemble(*people, split, {**labels_of(split), "annotations": []}, spec())


def test_a_person_of_a_few_disputed_keypoints_is_chosen() -> None:
    calm = np.zeros((2, 10, 2))
    one_disputed, all_disputed = calm.copy(), calm.copy()
    one_disputed[1, 8:] = 30.0
    all_disputed[1] = 60.0
    points = np.stack([calm, one_disputed, all_disputed], axis=1)
    assert most_telling(points, np.tile([0.0, 0.0, 30.0, 40.0], (3, 1))) == 1


def test_keypoints_are_right_within_a_tenth_of_the_boxs_size_where_the_truth_labels_them() -> None:
    truth = np.array([[10.0, 10, 2], [20, 10, 1], [0, 0, 0]])
    near, far = np.array([[12.9, 10], [20, 10], [90, 90]]), np.array([[13.1, 10], [20, 10], [0, 0]])
    boxes = np.array([[0.0, 0.0, 20.0, 45.0], [0.0, 0.0, 20.0, 45.0]])
    shares = right_shares(np.stack([np.stack([near, near]), np.stack([far, far])]), [truth, None], boxes)
    assert shares[:, 0].tolist() == [1.0, 0.5]
    assert np.isnan(shares[:, 1]).all()


def test_the_person_whom_the_ensemble_gets_right_and_single_transforms_do_not_is_chosen() -> None:
    ensemble = np.array([1.0, 0.95, 0.5, np.nan])
    transforms = np.array([[0.9, 0.6, 0.0, np.nan], [1.0, 0.8, 0.1, np.nan]])
    assert most_rescued(ensemble, transforms) == 1, "the third gains more, but stays wrong"
    assert most_rescued(ensemble[2:], transforms[:, 2:]) == 0, "as right as any"
    assert most_rescued(ensemble[3:], transforms[:, 3:]) is None
