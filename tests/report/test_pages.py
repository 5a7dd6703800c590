"""Markdown pages: thresholds and label quality."""

from __future__ import annotations

from coco_samples import box, coco, image, person

from datadistill.evaluate.label_quality import compare_quality
from datadistill.report.pages import quality_page, thresholds_page
from datadistill.tasks.task import get_task

DASH = "\u2013"
NOTE = "rendered data (proxy)"
PEOPLE, OBJECTS = get_task("keypoints"), get_task("objects")


def threshold(target, value, achieved, kept, available, outcome="matched") -> dict:
    return {
        "target": target, "threshold": value, "achieved": achieved,
        "kept": kept, "available": available, "outcome": outcome,
    }  # fmt: skip


def thresholds() -> dict:
    return {
        "per_category": False,
        "categories": {"1": threshold(1.5, 0.5, 1.49, 894, 1800)},
        "overall": threshold(1.5, 0.5, 1.49, 894, 1800),
        "overall_by_category": {"1": threshold(1.5, 0.5, 1.49, 894, 1800)},
        "keypoints": threshold(11.0, 0.25, 10.9, 9745, 15198),
        "report": {
            "count_instances": "with_keypoints",
            "labelled": {"images": 60, "instances_per_image": {"with_keypoints": 1.5, "all": 1.75}},
            "unlabelled": {
                "images": 600,
                "detections": 1800,
                "kept": 894,
                "instances_per_image": 1.49,
                "without_visible_keypoints": 7,
            },
            "names": {"1": "person"},
        },
    }


def test_thresholds_of_keypoints():
    assert (
        thresholds_page(thresholds(), title="pool", note=NOTE)
        == f"""# Thresholds: pool

{NOTE}

| what                   |  target | threshold | achieved |  kept |     of | outcome |
| ---------------------- | ------: | --------: | -------: | ----: | -----: | ------- |
| instances per image    |  1.5000 |    0.5000 |   1.4900 |   894 |  1,800 | matched |
| keypoints per instance | 11.0000 |    0.2500 |  10.9000 | 9,745 | 15,198 | matched |

- Labelled split: 60 images. Unlabelled split: 600 images, 1,800 detections, 894 kept (1.4900 an image).
- **Counted**: instances with keypoints (not crowds), 1.5000 per labelled image.
- Not counted: all instances (not crowds), 1.7500 per labelled image.
- 7 kept instances have no keypoint above the threshold: a box only.
"""
    )


def test_thresholds_of_categories_most_frequent_first():
    values = thresholds() | {
        "per_category": True,
        "keypoints": None,
        "categories": {
            "3": threshold(0.0, None, 0.0, 0, 5, "no labelled instances"),
            "1": threshold(0.2, 0.4, 0.19, 114, 300),
            "2": threshold(1.3, 0.6, 1.3, 780, 1000),
        },
        "overall_by_category": {
            "3": threshold(0.0, 0.5, 0.01, 5, 5),
            "1": threshold(0.2, 0.5, 0.08, 48, 300),
            "2": threshold(1.3, 0.5, 1.4, 840, 1000),
        },
    }
    values["report"]["names"] = {"1": "kite", "2": "person", "3": "harp"}
    page = thresholds_page(values, title="pool", note=NOTE)
    assert "instances per image, one global threshold (not in force)" in page
    table = page.split("## Categories\n\n")[1].split("\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]
    assert cells == [
        ["person", "1.3000", "0.6000", "1.3000", "matched", "1.4000"],
        ["kite", "0.2000", "0.4000", "0.1900", "matched", "0.0800"],
        ["harp", "0.0000", DASH, "0.0000", "no labelled instances", "0.0100"],
    ]


def test_quality_of_keypoints():
    images = [image(1)]
    truth = coco(images, [person(1, (0, 0, 100, 100)), person(1, (200, 0, 100, 100))])
    labels = coco(images, [person(1, (0, 0, 100, 100), visible=10, score=0.9), person(1, (400, 0, 50, 50), score=0.8)])
    page = quality_page(compare_quality({"pool": labels}, truth, PEOPLE), task=PEOPLE, title="pool", note=NOTE)
    assert NOTE in page
    assert "| pool   | boxes |     0.500 |  0.500 | 0.500 |     1 |      2 |    2 |       0 |" in page
    assert "| pool   | poses |     0.500 |  0.500 | 0.500 |     1 |      2 |    2 |       0 |" in page
    # 10 of 27 generated keypoints are right, of 34 true ones.
    assert "| pool   |    1.000 |      0.000 |     0.370 |  0.294 |      10 |       10 |        27 |" in page
    assert f"| right_ankle    |        {DASH} |          {DASH} |" in page
    assert "## By category" not in page


def test_quality_of_categories_side_by_side():
    cat, dog = {"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}
    images = [image(1)]
    true = [box(1, (0, 0, 10, 10), 3), box(1, (50, 0, 10, 10), 7), box(1, (90, 0, 10, 10), 7)]
    truth = coco(images, true, [cat, dog])
    sets = {"per category": coco(images, true, [cat, dog]), "global": coco(images, true[1:], [cat, dog])}
    page = quality_page(compare_quality(sets, truth, OBJECTS), task=OBJECTS, title="pool", note=NOTE)
    table = page.split("## By category\n\n")[1].strip().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert cells[0] == [
        "category", "true",
        "per category: labels", "per category: precision", "per category: recall",
        "global: labels", "global: precision", "global: recall",
    ]  # fmt: skip
    assert cells[2:] == [
        ["dog", "2", "2", "1.000", "1.000", "2", "1.000", "1.000"],
        ["cat", "1", "1", "1.000", "1.000", "0", DASH, "0.000"],
    ]
    assert "| global       | mean of categories |     1.000 |  0.500 | 0.500 |" in page
    assert "recall and F1 over the 2 with true instances, precision over the 1 of them where all of these have" in page
