"""Keypoints of one's own, scored: from annotation file to AP, with sigmas of one's own, as pycocotools has it."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from datadistill.data.sources import from_coco
from datadistill.data.specs import CocoSplit
from datadistill.detections import Detections
from datadistill.evaluate.coco_metrics import score
from datadistill.evaluate.label_quality import label_quality
from datadistill.tasks.keypoint_schema import DEFAULT_SIGMA
from datadistill.tasks.task import get_task

NAMES = ["snout", "LFin", "RFin", "tail"]
FISH, CARP = (
    {"id": 3 + i, "name": name, "keypoints": NAMES, "skeleton": [[1, 4]]} for i, name in enumerate(("fish", "carp"))
)
OWN = {"snout": 0.03, "LFin": 0.08, "RFin": 0.08, "tail": 0.2}
TASK = get_task("keypoints")
SIDE, IMAGES, EACH = 320, 6, 3


def annotations(category: int, seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    made = []
    for number in range(IMAGES * EACH):
        left, top = rng.uniform(5, 60, 2).round(1)
        width, height = rng.uniform(40, 240, 2).round(1)
        points = np.stack([left + width * rng.random(4), top + height * rng.random(4), rng.integers(0, 3, 4)], axis=1)
        points[0, 2] = 2
        points[points[:, 2] == 0] = 0
        made.append(
            {
                "id": 1000 * category + number,
                "image_id": 1 + number // EACH,
                "category_id": category,
                "bbox": [left, top, width, height],
                "area": round(0.6 * width * height, 2),
                "iscrowd": 0,
                "keypoints": points.round(2).ravel().tolist(),
            }
        )
    return made


def split_of(folder: Path, categories: list[dict[str, Any]], **said: Any) -> dict[str, Any]:
    """A split of noise with fish, as the workflow makes it."""
    (folder / "images").mkdir(exist_ok=True)
    for number in range(1, IMAGES + 1):
        Image.fromarray(np.full((SIDE, SIDE, 3), number, np.uint8)).save(folder / "images" / f"{number}.png")
    images = [{"id": n, "file_name": f"{n}.png", "width": SIDE, "height": SIDE} for n in range(1, IMAGES + 1)]
    listed = [a for category in categories for a in annotations(category["id"], category["id"])]
    (folder / "a.json").write_text(json.dumps({"images": images, "annotations": listed, "categories": categories}))
    places = {"images": str(folder / "images"), "annotations": str(folder / "a.json")}
    return from_coco(CocoSplit(name="fish", task="keypoints", **places, **said), images=places["images"]).split


def detected(split: dict[str, Any], noise: float = 4.0) -> Detections:
    """What a model might find: the truth, its keypoints off by some pixels, in order of image and score."""
    rng = np.random.default_rng(9)
    scores = {a["id"]: float(np.float32(rng.random())) for a in split["annotations"]}
    order = sorted(split["annotations"], key=lambda a: (a["image_id"], -scores[a["id"]]))
    points = np.array([a["keypoints"] for a in order]).reshape(len(order), -1, 3)
    points[..., :2] += 0.5 + rng.normal(0, noise, points[..., :2].shape)
    points[..., 2] = 0.7
    boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in (a["bbox"] for a in order)])
    ids = np.arange(1, IMAGES + 1)
    return Detections(
        ids,
        np.array([a["image_id"] - 1 for a in order], np.int64),
        boxes.astype(np.float32),
        np.array([scores[a["id"]] for a in order], np.float32),
        np.array([a["category_id"] for a in order], np.int64),
        points.astype(np.float32),
    )


def by_pycocotools(split: dict[str, Any], results: list[dict[str, Any]], category: int, sigmas: list[float]) -> Any:
    """COCO's metrics of one category, by the library alone."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = json.loads(json.dumps({key: split[key] for key in ("images", "annotations", "categories")}))
        truth.createIndex()
        evaluator = COCOeval(truth, truth.loadRes([dict(result) for result in results]), "keypoints")
        evaluator.params.kpt_oks_sigmas = np.array(sigmas)
        evaluator.params.catIds = [category]
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator.stats


def test_ap_with_sigmas_of_one_s_own_is_pycocotools(tmp_path: Path) -> None:
    split = split_of(tmp_path, [FISH], sigmas=OWN)
    assert split["categories"][0]["sigmas"] == list(OWN.values())
    results = TASK.results(detected(split))
    expected = by_pycocotools(split, results, 3, list(OWN.values()))
    found = score(split, results, TASK)
    assert list(found["metrics"].values()) == pytest.approx([100 * value for value in expected[:5]])
    assert 20 < found["metrics"]["AP"] < 90
    assert found["instances"] == IMAGES * EACH


def test_a_schema_that_says_nothing_is_scored_by_the_default(tmp_path: Path) -> None:
    split = split_of(tmp_path, [FISH])
    results = TASK.results(detected(split))
    expected = by_pycocotools(split, results, 3, [DEFAULT_SIGMA] * 4)
    assert score(split, results, TASK)["metrics"]["AP"] == pytest.approx(100 * expected[0])
    # Splits of versions that wrote no sigmas are scored alike.
    plain = {key: value for key, value in split["categories"][0].items() if key not in ("flip_pairs", "sigmas")}
    assert score({**split, "categories": [plain]}, results, TASK) == score(split, results, TASK)


def test_each_category_has_its_own_sigmas(tmp_path: Path) -> None:
    strict, lax = [0.03] * 4, [0.2] * 4
    split = split_of(tmp_path, [{**FISH, "sigmas": strict}, {**CARP, "keypoint_oks_sigmas": lax}])
    results = TASK.results(detected(split))
    each = {c["id"]: c["AP"] for c in score(split, results, TASK)["per_category"]}
    assert each[3] == pytest.approx(100 * by_pycocotools(split, results, 3, strict)[0])
    assert each[4] == pytest.approx(100 * by_pycocotools(split, results, 4, lax)[0])
    assert each[4] > each[3] + 20


def test_quality_of_labels_is_judged_by_the_same_sigmas(tmp_path: Path) -> None:
    """A keypoint 5 px off is right where exp(-25 / (2 area (2 sigma)^2)) is at least one half."""
    for sigma in (0.02, 0.03, 0.3):
        split = split_of(tmp_path, [FISH], sigmas=sigma)
        labels, right, compared = [], 0, 0
        for truth in split["annotations"]:
            points = np.array(truth["keypoints"]).reshape(-1, 3)
            points[:, 0] += 5.0 * (points[:, 2] > 0)
            labels.append({**truth, "keypoints": points.ravel().tolist(), "score": 0.5})
            seen = int((points[:, 2] > 0).sum())
            compared += seen
            right += seen * (np.exp(-25 / (2 * truth["area"] * (2 * sigma) ** 2)) >= 0.5)
        report = label_quality({**split, "annotations": labels}, split, TASK)["keypoints"]
        assert (report["compared"], report["correct"]) == (compared, right)
        assert (right == compared) == (sigma == 0.3), "the three differ"
