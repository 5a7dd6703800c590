"""COCO metrics of predictions on an annotated split (section 5), by pycocotools itself."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from datadistill.errors import UserError
from datadistill.tasks.metrics import COCO_SIGMAS
from datadistill.tasks.task import Task

if TYPE_CHECKING:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval


def score(
    split: Mapping[str, Any], results: Sequence[Mapping[str, Any]], task: Task, *, name: str = "the split"
) -> dict[str, Any]:
    """Score COCO results on a split.

    `split` is a COCO dictionary with annotations; `results` are COCO results (`image_id`, `category_id`, `score`, and
    `bbox` as x, y, width, height or `keypoints` as x, y, score triples, pixel indices as in COCO's annotation files), as
    `Task.results` makes them. Every image of the split counts, with or without results.

    Returns `metrics` (AP, AP50, ... in per cent; None where no instance of that size exists), `per_category` (one entry
    a category: id, name, AP or None, instances), and the numbers of `images`, `instances` (without crowds) and
    `detections`. Detections beyond the 20 (keypoints) or 100 (boxes) best of an image and category are ignored, as COCO
    does.

    Keypoint results take their areas from the extent of their keypoints, as on COCO's server, even if they carry a box:
    areas taken from boxes would move APm and APl.

    Keypoints are compared with the sigmas of their category (`Task.sigmas`).

    Raises `UserError` for results of images or categories that the split has not, and for a split without an instance to
    score; `name` names the split in these messages.
    """
    categories = task.scored_categories(sorted(split["categories"], key=lambda category: category["id"]), name)
    truth = _prepared_truth(split, categories, task, name)
    _check_results(results, truth, task.iou_type, name)

    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = _evaluator(truth, _prepared_results(results, task.iou_type), task)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()

    counted = [a for a in truth["annotations"] if not a["iscrowd"] and task.has_target(a)]
    return {
        "iou_type": task.iou_type,
        "metrics": {key: _per_cent(evaluator.stats[i]) for key, i in task.stats.items()},
        "per_category": [
            {
                "id": category["id"],
                "name": category["name"],
                "AP": _category_ap(evaluator, index),
                "instances": sum(a["category_id"] == category["id"] for a in counted),
            }
            for index, category in enumerate(categories)
        ],
        "images": len(truth["images"]),
        "instances": len(counted),
        "detections": len(results),
    }


def _prepared_truth(
    split: Mapping[str, Any], categories: Iterable[Mapping[str, Any]], task: Task, name: str
) -> dict[str, Any]:
    """A copy for pycocotools to write into: scored categories only, ids from 1 (it takes id 0 for "unmatched")."""
    known = {category["id"] for category in categories}
    annotations = []
    for annotation in split["annotations"]:
        if annotation["category_id"] not in known:
            continue
        missing = {"area", "bbox", *task.own_fields} - annotation.keys()
        if missing:
            raise UserError(
                f"{name}: annotation {annotation.get('id')} lacks {', '.join(sorted(missing))}, "
                "which COCO's metrics need"
            )
        copy = {key: annotation[key] for key in ("image_id", "category_id", "bbox", "area", *task.own_fields)}
        copy |= {"id": len(annotations) + 1, "iscrowd": int(annotation.get("iscrowd", 0))}
        copy["num_keypoints"] = task.parts(annotation)
        annotations.append(copy)
    if all(a["iscrowd"] or not task.has_target(a) for a in annotations):
        raise UserError(f"{name}: no annotated instance to score against; evaluate on a split with annotations")
    images = [{"id": image["id"]} for image in split["images"]]
    return {"images": images, "annotations": annotations, "categories": [dict(c) for c in categories]}


def _check_results(results: Sequence[Mapping[str, Any]], truth: Mapping[str, Any], iou_type: str, name: str) -> None:
    images = {image["id"] for image in truth["images"]}
    foreign = sorted({result["image_id"] for result in results} - images)
    if foreign:
        raise UserError(
            f"predictions name {len(foreign)} image(s) that {name} has not, the first with id {foreign[0]}; "
            "were they made for another split?"
        )
    unknown = sorted({result["category_id"] for result in results} - {c["id"] for c in truth["categories"]})
    if unknown:
        raise UserError(
            f"predictions name category {unknown[0]}, which {name} has not; were they made by a model of another task?"
        )
    if any(iou_type not in result for result in results):
        raise UserError(
            f"predictions without {iou_type!r} can't be scored as {iou_type}; were they made for another task?"
        )


def _prepared_results(results: Sequence[Mapping[str, Any]], iou_type: str) -> list[dict[str, Any]]:
    return [{key: result[key] for key in ("image_id", "category_id", "score", iou_type)} for result in results]


def _evaluator(truth: dict[str, Any], results: list[dict[str, Any]], task: Task) -> COCOeval:
    import numpy as np
    from pycocotools.cocoeval import COCOeval

    ground_truth = _indexed(truth)
    # loadRes can't take an empty list.
    detections = ground_truth.loadRes(results) if results else _indexed(truth | {"annotations": []})
    sigmas = {category["id"]: task.sigmas(category, "the split") for category in truth["categories"]}

    class OwnSigmas(COCOeval):
        """COCO's metrics with the sigmas of each category."""

        def computeOks(self, imgId: int, catId: int) -> Any:
            # pycocotools has COCO's own, as tenths: their last bits are part of its metrics.
            as_coco = sigmas[catId] in (None, COCO_SIGMAS)
            self.params.kpt_oks_sigmas = coco_sigmas if as_coco else np.array(sigmas[catId])
            return super().computeOks(imgId, catId)

    evaluator = OwnSigmas(ground_truth, detections, task.iou_type)
    coco_sigmas = getattr(evaluator.params, "kpt_oks_sigmas", None)
    return evaluator


def _indexed(dataset: dict[str, Any]) -> COCO:
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = dataset
    coco.createIndex()
    return coco


def _category_ap(evaluator: COCOeval, index: int) -> float | None:
    # precision: IoU thresholds x recall steps x categories x areas ("all" first) x detection limits (largest last)
    precision = evaluator.eval["precision"][:, :, index, 0, -1]
    defined = precision[precision > -1]
    return _per_cent(defined.mean()) if defined.size else None


def _per_cent(value: float) -> float | None:
    return None if value < 0 else 100.0 * float(value)
