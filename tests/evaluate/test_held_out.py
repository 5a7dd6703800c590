"""Labels on held-out images: the detections that a label set's thresholds keep, against annotations."""

from __future__ import annotations

import numpy as np
import pytest
from coco_samples import box, coco, image

from datadistill.detections import Detections
from datadistill.errors import UserError
from datadistill.evaluate.held_out import judge
from datadistill.label.thresholds import Threshold, Thresholds
from datadistill.tasks.task import get_task

SPLIT = coco(
    [image(1, 40, 30), image(2, 40, 30)], [box(1, [2, 2, 10, 10]), box(2, [2, 2, 10, 10]), box(2, [20, 5, 8, 8])]
)


def thresholds(value: float) -> Thresholds:
    one = Threshold(value, None, 0.0, 0, 0, "fixed")
    table = {category["id"]: one for category in SPLIT["categories"]}
    return Thresholds(True, table, one, table, None, {"unlabelled": {"instances_per_image": 3.5}})


def detections(*images: int) -> Detections:
    """Two right boxes and a wrong one on the first two images."""
    return Detections(
        np.array(images, np.int64),
        np.array([0, 0, 1], np.int64),
        np.array([[2, 2, 12, 12], [25, 15, 35, 25], [2, 2, 12, 12]], np.float32),
        np.array([0.9, 0.6, 0.4], np.float32),
        np.array([SPLIT["categories"][0]["id"]] * 3, np.int64),
    )


@pytest.mark.parametrize(
    ("threshold", "precision", "recall"),
    [(0.3, 200 / 3, 200 / 3), (0.5, 50.0, 100 / 3), (0.8, 100.0, 100 / 3), (0.95, None, 0.0)],
)
def test_precision_and_recall_are_those_at_the_threshold(
    threshold: float, precision: float | None, recall: float
) -> None:
    made = judge(get_task("objects"), SPLIT, detections(1, 2), thresholds(threshold))
    # How many labels an image of the pool has is the label set's own.
    assert made["measures"] == {"an image": 3.5, "precision": pytest.approx(precision), "recall": pytest.approx(recall)}
    assert made["report"]["boxes"]["overall"]["truth"] == 3


def test_detections_of_other_images_are_refused() -> None:
    with pytest.raises(UserError, match=r"detections of the held-out split: 1 image\(s\) missing \(2\)"):
        judge(get_task("objects"), SPLIT, detections(1, 3), thresholds(0.5))
