"""Label files: what detectron2's loader and pycocotools make of them."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from detectron2.data.datasets import load_coco_json
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from test_thresholds import spec

from datadistill.detections import Detections
from datadistill.errors import UserError
from datadistill.label.labels import annotate, provenance
from datadistill.label.thresholds import Thresholds, choose
from datadistill.specs import STAGE_VERSIONS, PredictionsSpec, RefinementSpec
from datadistill.tasks.task import TASKS, get_task
from datadistill.transforms import Transform

K = 17
CATEGORIES = {
    "keypoints": [{"id": 1, "name": "person", "keypoints": [f"k{i}" for i in range(K)], "skeleton": []}],
    "objects": [{"id": i, "name": f"thing{i}"} for i in (3, 8, 90)],
}


def truth(task: str, images: int = 12) -> dict[str, Any]:
    """Annotated images; people with whole-number keypoints, some occluded (1) and some unlabelled (0, at 0, 0)."""
    rng = np.random.default_rng(5)
    annotations = []
    for image in range(1, images + 1):
        for _ in range(int(rng.integers(1, 4))):
            x, y, w, h = np.round([*rng.uniform(0, 100, 2), *rng.uniform(40, 150, 2)], 2).tolist()
            annotation = {
                "id": len(annotations) + 1,
                "image_id": image,
                "category_id": int(rng.choice([c["id"] for c in CATEGORIES[task]])),
                "bbox": [x, y, w, h],
                "area": w * h,
                "iscrowd": 0,
            }
            if task == "keypoints":
                points = np.stack([rng.integers(x, x + w, K), rng.integers(y, y + h, K), rng.integers(0, 3, K)], 1)
                points[0, 2] = 2
                points[points[:, 2] == 0] = 0
                annotation["keypoints"] = points.ravel().tolist()
                annotation["num_keypoints"] = int((points[:, 2] > 0).sum())
            annotations.append(annotation)
    return {
        "info": {},
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 300, "height": 300} for i in range(1, images + 1)],
        "annotations": annotations,
        "categories": CATEGORIES[task],
    }


def as_detections(data: dict[str, Any]) -> Detections:
    """What a perfect detector would say: scores of 1, keypoints that aren't labelled with a score of 0."""
    ids = [image["id"] for image in data["images"]]
    annotations = sorted(data["annotations"], key=lambda a: a["image_id"])
    boxes = np.array([a["bbox"] for a in annotations])
    boxes[:, 2:] += boxes[:, :2]
    keypoints = None
    if "keypoints" in annotations[0]:
        keypoints = np.array([a["keypoints"] for a in annotations], np.float32).reshape(-1, K, 3)
        keypoints[..., :2] += 0.5
        keypoints[..., 2] = keypoints[..., 2] > 0
    return Detections(
        np.array(ids),
        np.array([ids.index(a["image_id"]) for a in annotations]),
        boxes.astype(np.float32),
        np.ones(len(annotations), np.float32),
        np.array([a["category_id"] for a in annotations]),
        keypoints,
    )


def fixed_thresholds(task: str, data: dict[str, Any], detections: Detections) -> tuple[Any, Thresholds]:
    chosen = spec(count_instances="all", instance_threshold=0.5, keypoint_threshold=0.5)
    return chosen, choose(chosen, data, detections, detections if task == "keypoints" else None, task=get_task(task))


def label_set(task: str, data: dict[str, Any]) -> dict[str, Any]:
    detections = as_detections(data)
    chosen, thresholds = fixed_thresholds(task, data, detections)
    unlabelled = {**data, "annotations": [], "categories": []}
    return annotate(get_task(task), chosen, unlabelled, CATEGORIES[task], detections, thresholds, teacher="abc")


def load(path: Path, data: dict[str, Any], name: str) -> list[dict[str, Any]]:
    path.write_text(json.dumps(data))
    with contextlib.redirect_stdout(io.StringIO()):
        return load_coco_json(str(path), "", f"{name}-{path}")


@pytest.mark.parametrize("task", TASKS)
def test_truth_goes_through_a_label_file_and_detectron2s_loader_unchanged(task: str, tmp_path: Path) -> None:
    data = truth(task)
    expected = load(tmp_path / "truth.json", data, "truth")
    found = load(tmp_path / "labels.json", label_set(task, data), "labels")
    assert [r["image_id"] for r in found] == [r["image_id"] for r in expected]
    for mine, theirs in zip(found, expected, strict=True):
        assert [a["category_id"] for a in mine["annotations"]] == [a["category_id"] for a in theirs["annotations"]]
        for label, true in zip(mine["annotations"], theirs["annotations"], strict=True):
            np.testing.assert_allclose(label["bbox"], true["bbox"], atol=2e-3)
            assert label["bbox_mode"] == true["bbox_mode"]
            assert label["iscrowd"] == 0
            if task == "keypoints":
                points, wanted = np.reshape(label["keypoints"], (-1, 3)), np.reshape(true["keypoints"], (-1, 3))
                visible = wanted[:, 2] > 0
                assert ((points[:, 2] > 0) == visible).all(), "a visibility changed"
                np.testing.assert_allclose(points[visible, :2], wanted[visible, :2], atol=1e-3)
                # What isn't visible is where the loader puts truth that isn't labelled.
                np.testing.assert_array_equal(points[~visible], wanted[~visible])


@pytest.mark.parametrize("task", TASKS)
def test_truth_scored_as_predictions_is_perfect(task: str) -> None:
    data = truth(task)
    results = get_task(task).results(as_detections(data))
    assert ("bbox" in results[0]) == (task == "objects"), "a bbox in keypoint results changes their areas"
    with contextlib.redirect_stdout(io.StringIO()):
        true = COCO()
        true.dataset = json.loads(json.dumps(data))
        true.createIndex()
        evaluation = COCOeval(true, true.loadRes(json.loads(json.dumps(results))), get_task(task).iou_type)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == 1.0
    if task == "keypoints":
        # An OKS of 1 needs every keypoint to the last bit, where a shift of half a pixel would still have an AP of 1.
        assert all(np.diag(evaluation.ious[i, 1]) == pytest.approx(1, abs=1e-9) for i in range(1, 13))


@pytest.mark.parametrize("task", TASKS)
def test_a_label_file_is_sound_coco(task: str, tmp_path: Path) -> None:
    data = truth(task)
    labels = label_set(task, data)
    json.dumps(labels, allow_nan=False)
    assert labels["images"] == data["images"]
    assert labels["categories"] == CATEGORIES[task]
    assert labels["info"]["generated"]
    assert labels["info"]["teacher"] == "abc"
    assert [a["id"] for a in labels["annotations"]] == list(range(1, len(data["annotations"]) + 1))
    for annotation in labels["annotations"]:
        _, _, width, height = annotation["bbox"]
        assert annotation["area"] == pytest.approx(width * height, abs=1e-3)
        assert annotation["score"] == 1
        assert annotation["source"] == labels["info"]["label_set"]
    load(tmp_path / "labels.json", labels, "sound")


def test_a_person_without_a_visible_keypoint_keeps_the_box() -> None:
    data = truth("keypoints", 3)
    detections = as_detections(data)
    keypoints = detections.keypoints.copy()
    keypoints[0, :, 2] = 0.1
    detections = detections.with_keypoints(keypoints)
    chosen, thresholds = fixed_thresholds("keypoints", data, detections)
    labels = annotate(get_task("keypoints"), chosen, data, CATEGORIES["keypoints"], detections, thresholds)
    first = labels["annotations"][0]
    assert first["keypoints"] == [0] * 3 * K
    assert first["num_keypoints"] == 0
    assert first["keypoint_scores"] == [0.1] * K
    assert first["bbox"] == pytest.approx(data["annotations"][0]["bbox"], abs=2e-3)
    assert not get_task("keypoints").keep_for_training([first])
    assert thresholds.report["unlabelled"]["without_visible_keypoints"] == 1


def test_boxes_below_the_threshold_are_no_labels_and_their_images_stay() -> None:
    data = truth("objects", 6)
    detections = as_detections(data)
    scores = np.where(detections.image_index == 2, 0.4, 0.9).astype(np.float32)
    detections = Detections(
        detections.image_ids, detections.image_index, detections.boxes, scores, detections.categories
    )
    chosen, thresholds = fixed_thresholds("objects", data, detections)
    labels = annotate(get_task("objects"), chosen, data, CATEGORIES["objects"], detections, thresholds)
    assert {a["image_id"] for a in labels["annotations"]} == {1, 2, 4, 5, 6}
    assert len(labels["images"]) == 6
    low = Detections(
        detections.image_ids, detections.image_index, detections.boxes, scores * 0.1, detections.categories
    )
    with pytest.raises(UserError, match="would be empty"):
        annotate(get_task("objects"), chosen, data, CATEGORIES["objects"], low, thresholds)


def test_a_label_says_how_far_the_transforms_disagree_where_that_is_known() -> None:
    data = truth("keypoints", 3)
    detections = as_detections(data)
    chosen, thresholds = fixed_thresholds("keypoints", data, detections)
    plain = annotate(get_task("keypoints"), chosen, data, CATEGORIES["keypoints"], detections, thresholds)
    parts = np.random.default_rng(0).random((len(detections), K)).astype(np.float32)
    parts[1] = np.nan
    told = dataclasses.replace(detections, disagreement=parts)
    labels = annotate(get_task("keypoints"), chosen, data, CATEGORIES["keypoints"], told, thresholds)
    visible = thresholds.visible(detections)
    assert visible[0].any()
    assert not visible[0].all()
    first, second = labels["annotations"][:2]
    assert first["disagreement"] == pytest.approx(parts[0][visible[0]].mean(), abs=1e-4)
    assert first["keypoint_disagreement"] == pytest.approx(parts[0].tolist(), abs=1e-4)
    # A shard from before it was computed doesn't say.
    assert not {"disagreement", "keypoint_disagreement"} & set(second)
    added = {"disagreement", "keypoint_disagreement"}
    assert [{k: v for k, v in a.items() if k not in added} for a in labels["annotations"]] == plain["annotations"]
    json.dumps(labels, allow_nan=False)


def test_labels_of_another_split_are_refused() -> None:
    data = truth("objects", 6)
    detections = as_detections(data)
    chosen, thresholds = fixed_thresholds("objects", data, detections)
    with pytest.raises(UserError, match=r"1 image\(s\) missing \(6\)"):
        annotate(
            get_task("objects"), chosen, data, CATEGORIES["objects"], detections.of_images([1, 2, 3, 4, 5]), thresholds
        )


def test_images_kept_for_training() -> None:
    keypoints, objects = get_task("keypoints"), get_task("objects")
    seen, hidden = {"keypoints": [1, 1, 0, 5, 5, 1], "iscrowd": 0}, {"keypoints": [0, 0, 0, 0, 0, 0], "iscrowd": 0}
    crowd = {**seen, "iscrowd": 1}
    assert keypoints.keep_for_training([hidden, seen])
    assert not keypoints.keep_for_training([hidden, crowd])
    assert not keypoints.keep_for_training([{"iscrowd": 0}])
    assert objects.keep_for_training([hidden])
    assert not objects.keep_for_training([crowd])
    assert not objects.keep_for_training([])


def test_provenance_names_teacher_transforms_thresholds_and_versions() -> None:
    data = truth("keypoints", 3)
    detections = as_detections(data)
    chosen, thresholds = fixed_thresholds("keypoints", data, detections)
    transforms = (Transform(64, 200), Transform(64, 200, True))
    predictions = PredictionsSpec("teacher1", "s", transforms[:1], 0.05, 0.5, 100, None, False)
    refinement = RefinementSpec(predictions.digest, None, transforms, "probabilities", False)
    origin = provenance(
        get_task("keypoints"), chosen, [predictions.canonical(), refinement.canonical()], thresholds, {"torch": ["2"]}
    )
    assert origin["teacher"] == "teacher1"
    assert origin["transforms"] == [
        {"short_side": 64, "max_size": 200, "flip": False},
        {"short_side": 64, "max_size": 200, "flip": True},
    ]
    assert origin["thresholds"]["keypoints"]["threshold"] == 0.5
    assert origin["digest"] == chosen.digest
    assert origin["libraries"]["inference"] == {"torch": ["2"]}
    assert {"python", "numpy", "pycocotools"} <= set(origin["libraries"]["annotate"])
    assert origin["code"]["stage_versions"] == STAGE_VERSIONS
    json.dumps(origin, allow_nan=False)


def test_an_unknown_task_is_named() -> None:
    with pytest.raises(UserError, match="'masks'; known: keypoints, objects"):
        get_task("masks")


def test_tasks_are_light_to_import() -> None:
    code = (
        "import sys; from datadistill.tasks.task import TASKS, get_task; [get_task(t) for t in TASKS];"
        "import datadistill.transforms;"
        "print([m for m in ('numpy', 'torch', 'detectron2', 'cv2') if m in sys.modules])"
    )
    path = str(Path(__file__).parents[2] / "scripts")
    done = subprocess.run([sys.executable, "-c", code], cwd=path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
