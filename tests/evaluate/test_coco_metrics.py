"""COCO metrics on cases small enough to work out by hand."""

from __future__ import annotations

import copy

import pytest
from coco_samples import box, coco, image, person

from datadistill.errors import UserError
from datadistill.evaluate.coco_metrics import score
from datadistill.tasks.metrics import COCO_SIGMAS
from datadistill.tasks.task import get_task

TASKS = {"keypoints": get_task("keypoints"), "bbox": get_task("objects")}
CAT, DOG = {"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}


def as_result(annotation: dict, iou_type: str, confidence: float = 0.9) -> dict:
    return {
        "image_id": annotation["image_id"],
        "category_id": annotation["category_id"],
        "score": confidence,
        iou_type: annotation[iou_type],
    }


def scored(split: dict, annotations: list[dict], iou_type: str, **more) -> dict:
    return score(split, [as_result(a, iou_type, a.get("score", 0.9)) for a in annotations], TASKS[iou_type], **more)


def test_sigmas_are_cocos():
    from pycocotools.cocoeval import Params

    assert Params("keypoints").kpt_oks_sigmas == pytest.approx(COCO_SIGMAS)


def test_metrics_are_those_of_the_papers_tables():
    from datadistill.tasks.task import TASKS, get_task

    # The columns of Tables 1-3 and 4.
    assert {name: " ".join(get_task(name).metrics) for name in TASKS} == {
        "keypoints": "AP AP50 AP75 APm APl",
        "objects": "AP AP50 AP75 APs APm APl",
    }


def test_truth_as_keypoint_predictions_is_perfect_even_for_annotation_id_zero():
    people = [person(1, (10, 10, 60, 60)), person(2, (10, 10, 120, 200)), person(2, (300, 50, 50, 90), visible=5)]
    split = coco([image(1), image(2), image(3)], people)
    assert split["annotations"][0]["id"] == 0
    result = scored(split, people, "keypoints")
    assert result["metrics"] == pytest.approx({"AP": 100.0, "AP50": 100.0, "AP75": 100.0, "APm": 100.0, "APl": 100.0})
    assert (result["images"], result["instances"], result["detections"]) == (3, 3, 3)


def test_half_found_at_full_precision():
    """Two cats, one found: precision 1 up to recall 0.5, so 51 of the 101 recall steps (0, 0.01, ... 0.5) score 1."""
    cats = [box(1, (10, 10, 100, 100), 3), box(1, (200, 10, 100, 100), 3)]
    result = scored(coco([image(1)], cats, [CAT]), cats[:1], "bbox")
    assert result["metrics"]["AP"] == pytest.approx(100 * 51 / 101)


def test_a_false_positive_above_the_hit_halves_precision():
    cats = [box(1, (10, 10, 100, 100), 3)]
    wrong = box(1, (400, 300, 100, 100), 3, score=0.95)
    assert scored(coco([image(1)], cats, [CAT]), [wrong, *cats], "bbox")["metrics"]["AP"] == pytest.approx(50.0)


def test_iou_thresholds():
    """A box of 100 x 100 predicted as 100 x 72 has IoU 0.72: it counts at five of the ten thresholds."""
    split = coco([image(1)], [box(1, (10, 10, 100, 100), 3)], [CAT])
    metrics = scored(split, [box(1, (10, 10, 100, 72), 3)], "bbox")["metrics"]
    assert (metrics["AP"], metrics["AP50"], metrics["AP75"]) == pytest.approx((50.0, 100.0, 0.0))


def test_areas_and_undefined_metrics():
    """Small is below 32 squared, large above 96 squared; the metric of a size that no instance has is None."""
    small, large = box(1, (10, 10, 20, 20), 3), box(1, (100, 100, 200, 200), 3)
    metrics = scored(coco([image(1)], [small, large], [CAT]), [small], "bbox")["metrics"]
    assert (metrics["APs"], metrics["APm"], metrics["APl"]) == (pytest.approx(100.0), None, 0.0)


def test_crowds_neither_count_nor_punish():
    cats = [box(1, (10, 10, 100, 100), 3), box(1, (200, 10, 200, 200), 3, iscrowd=1)]
    within_crowd = [box(1, (210, 20, 50, 50), 3, score=0.99), box(1, (280, 30, 60, 60), 3, score=0.98)]
    result = scored(coco([image(1)], cats, [CAT]), [*within_crowd, cats[0]], "bbox")
    assert result["metrics"]["AP"] == pytest.approx(100.0)
    assert (result["instances"], result["detections"]) == (1, 3)


def test_people_without_keypoints_are_ignored_for_keypoints():
    people = [person(1, (10, 10, 60, 60)), person(1, (300, 10, 60, 60), visible=0)]
    result = scored(coco([image(1)], people), people[:1], "keypoints")
    assert result["metrics"]["AP"] == pytest.approx(100.0)
    assert result["instances"] == 1


def test_per_category():
    truth = [box(1, (10, 10, 100, 100), 3), box(1, (200, 10, 100, 100), 7), box(1, (400, 10, 100, 100), 7)]
    bird = {"id": 9, "name": "bird"}
    result = scored(coco([image(1)], truth, [DOG, bird, CAT]), truth[1:], "bbox")
    assert result["per_category"] == [
        {"id": 3, "name": "cat", "AP": 0.0, "instances": 1},
        {"id": 7, "name": "dog", "AP": pytest.approx(100.0), "instances": 2},
        {"id": 9, "name": "bird", "AP": None, "instances": 0},
    ]
    assert result["metrics"]["AP"] == pytest.approx(50.0)


def test_keypoint_results_take_areas_from_keypoints_not_boxes():
    """An unmatched person counts against APm if its area is medium: by its keypoints, whatever its box says."""
    truth = person(1, (10, 10, 60, 60))
    ghost = person(1, (300, 200, 60, 60), score=0.99)
    split = coco([image(1)], [truth])
    results = [as_result(truth, "keypoints"), as_result(ghost, "keypoints", 0.99)]
    with_boxes = [result | {"bbox": [0, 0, 500, 400]} for result in results]
    assert score(split, with_boxes, TASKS["keypoints"]) == score(split, results, TASKS["keypoints"])
    assert score(split, results, TASKS["keypoints"])["metrics"]["APm"] == pytest.approx(50.0)


def test_no_results_score_zero_and_nothing_is_printed(capsys):
    split = coco([image(1)], [box(1, (10, 10, 100, 100), 3)], [CAT])
    before = copy.deepcopy(split)
    assert score(split, [], TASKS["bbox"])["metrics"]["AP"] == 0.0
    scored(split, [box(1, (10, 10, 100, 100), 3)], "bbox")
    assert split == before
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 8}, r"predictions name 1 image\(s\) that val has not, the first with id 8"),
        ({"category_id": 5}, "predictions name category 5, which val has not"),
    ],
)
def test_foreign_results_are_refused(change, message):
    split = coco([image(1)], [box(1, (10, 10, 100, 100), 3)], [CAT])
    with pytest.raises(UserError, match=message):
        score(split, [as_result(split["annotations"][0], "bbox") | change], TASKS["bbox"], name="val")


def test_results_of_another_task_are_refused():
    split = coco([image(1)], [person(1, (10, 10, 60, 60))])
    with pytest.raises(UserError, match="without 'keypoints' can't be scored"):
        score(split, [as_result(split["annotations"][0], "bbox")], TASKS["keypoints"], name="val")


def test_a_split_with_nothing_to_score_is_refused():
    with pytest.raises(UserError, match="val: no annotated instance"):
        score(coco([image(1)], [box(1, (0, 0, 9, 9), 3, iscrowd=1)], [CAT]), [], TASKS["bbox"], name="val")
    with pytest.raises(UserError, match="val: no category with keypoints"):
        score(coco([image(1)], [], [CAT]), [], TASKS["keypoints"], name="val")


def test_a_detection_round_trip_through_the_task():
    """Truth as Detections (continuous coordinates) through the task's results: no half-pixel shift on the way."""
    import numpy as np

    from datadistill.detections import Detections

    tiny = person(1, (10, 10, 33, 33))
    keypoints = np.array(tiny["keypoints"], np.float32).reshape(1, 17, 3) + np.float32([0.5, 0.5, 0])
    left, top, width, height = tiny["bbox"]
    boxes = np.float32([[left, top, left + width, top + height]])
    one = np.ones(1)
    detections = Detections(
        np.array([1]), np.zeros(1, np.int64), boxes, one.astype(np.float32), one.astype(np.int64), keypoints
    )
    for name in ("keypoints", "objects"):
        task = get_task(name)
        split = coco([image(1)], [tiny])
        metrics = score(split, task.results(detections), task)["metrics"]
        assert metrics["AP"] == pytest.approx(100.0)
