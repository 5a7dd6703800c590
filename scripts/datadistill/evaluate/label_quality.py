"""Quality of generated labels where the truth is known but was hidden from training.

Instances are matched as COCO matches them at a similarity of 0.5, so a label is right or wrong; keypoints are then
judged on matched instances. Beyond the paper, which had no truth for its unlabelled images (method.md, "To
regenerate").
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from datadistill.errors import UserError
from datadistill.evaluate.coco_metrics import keypoint_sigmas

MATCH_AT = 0.5


@dataclass(frozen=True)
class Match:
    """What became of one label: the true instance it matched, or None; `ignored` labels count neither for nor against.

    `similarity` is that to the matched instance (or to the region that makes it ignored), else the best it reached.
    """

    label: Mapping[str, Any]
    truth: Mapping[str, Any] | None
    similarity: float
    ignored: bool


def match_labels(labels: Mapping[str, Any], truth: Mapping[str, Any], kind: str) -> list[Match]:
    """Match labels to true instances of the same image and category, greedily by falling score.

    `labels` and `truth` are COCO dictionaries; `kind` "bbox" compares boxes by IoU, "keypoints" people by object
    keypoint similarity (OKS). Each label takes the most similar instance that is still free, if the similarity reaches
    0.5. A label that takes none but lies in a crowd region (or, for keypoints, at a person without labelled keypoints)
    is ignored. For keypoints, labels without a visible keypoint are left out, and a keypoint that a label lacks has
    similarity 0.

    Raises `UserError` if `labels` has an image that `truth` has not.
    """
    _require_images(labels, truth)
    sigmas = _sigmas(truth) if kind == "keypoints" else {}
    true_groups = _group(truth["annotations"])
    matches = []
    for key, group in sorted(_group(labels["annotations"]).items()):
        group = [label for label in group if kind == "bbox" or _visible(label).any()]
        instances = true_groups.get(key, [])
        similarities = (
            _ious(group, instances) if kind == "bbox" else _similarities(group, instances, sigmas.get(key[1]))
        )
        matches += _match_group(group, instances, similarities, kind)
    return matches


def _match_group(
    labels: Sequence[Mapping[str, Any]], instances: Sequence[Mapping[str, Any]], similarities: np.ndarray, kind: str
) -> list[Match]:
    counts = np.array([_counts(instance, kind) for instance in instances], bool)
    free = counts.copy()
    matches: dict[int, Match] = {}
    for i in sorted(range(len(labels)), key=lambda i: -labels[i].get("score", 0.0)):
        best = _argmax(similarities[i], free)
        region = _argmax(similarities[i], ~counts)
        if best is not None and similarities[i, best] >= MATCH_AT:
            free[best] = False
            matches[i] = Match(labels[i], instances[best], float(similarities[i, best]), ignored=False)
        elif region is not None and similarities[i, region] >= MATCH_AT:
            matches[i] = Match(labels[i], None, float(similarities[i, region]), ignored=True)
        else:
            matches[i] = Match(labels[i], None, float(max(similarities[i], default=0.0)), ignored=False)
    return [matches[i] for i in range(len(labels))]


def _argmax(values: np.ndarray, allowed: np.ndarray) -> int | None:
    return int(np.where(allowed, values, -1.0).argmax()) if allowed.any() else None


def _counts(instance: Mapping[str, Any], kind: str) -> bool:
    """Whether a label can be right by matching this instance: no crowd, and for keypoints some are labelled."""
    return not instance.get("iscrowd", 0) and (kind == "bbox" or bool(_visible(instance).any()))


def _visible(annotation: Mapping[str, Any]) -> np.ndarray:
    return np.asarray((annotation.get("keypoints") or ())[2::3]) > 0


def _ious(labels: Sequence[Mapping[str, Any]], instances: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """(labels, instances) intersection over union; over the label's area alone for crowds."""
    from pycocotools.mask import iou

    if not labels or not instances:
        return np.zeros((len(labels), len(instances)))
    crowds = [int(instance.get("iscrowd", 0)) for instance in instances]
    boxes, others = (np.array([entry["bbox"] for entry in entries], float) for entries in (labels, instances))
    return np.asarray(iou(boxes, others, crowds))


def keypoint_similarity(label: Mapping[str, Any], instance: Mapping[str, Any], sigmas: np.ndarray) -> float:
    """Object keypoint similarity of a label to a true person, as COCO defines it, over the keypoints labelled in the
    truth.

    A keypoint that the label lacks (v = 0) has similarity 0. For a person without labelled keypoints it is the mean,
    over the label's keypoints, of their similarity to the person's box widened by its own size on each side, as COCO
    does.
    """
    theirs, ours = _points(label), _points(instance)
    found, known = theirs[:, 2] > 0, ours[:, 2] > 0
    if known.any():
        offsets = theirs[:, :2] - ours[:, :2]
        considered = known
    else:
        left, top, width, height = instance["bbox"]
        low, high = np.array([left - width, top - height]), np.array([left + 2 * width, top + 2 * height])
        offsets = np.maximum(0, low - theirs[:, :2]) + np.maximum(0, theirs[:, :2] - high)
        considered = found
    similarity = np.where(found, _falloff((offsets**2).sum(axis=1), instance["area"], sigmas), 0.0)
    return float(similarity[considered].mean()) if considered.any() else 0.0


def _falloff(squared_distances: np.ndarray, area: float, sigmas: np.ndarray) -> np.ndarray:
    return np.exp(-squared_distances / (2 * (area + np.spacing(1)) * (2 * sigmas) ** 2))


def _points(annotation: Mapping[str, Any]) -> np.ndarray:
    return np.asarray(annotation["keypoints"], float).reshape(-1, 3)


def _similarities(
    labels: Sequence[Mapping[str, Any]], instances: Sequence[Mapping[str, Any]], sigmas: np.ndarray | None
) -> np.ndarray:
    values = [[0.0 if sigmas is None else keypoint_similarity(a, b, sigmas) for b in instances] for a in labels]
    return np.array(values).reshape(len(labels), len(instances))


def label_quality(labels: Mapping[str, Any], truth: Mapping[str, Any], iou_type: str) -> dict[str, Any]:
    """Precision and recall of generated instances, and for keypoints also how well they lie.

    `labels` and `truth` are COCO dictionaries of the same unlabelled split (the truth may have more images: only images
    of `labels` count); `iou_type` is the task's, "bbox" or "keypoints". Returns JSON values:

    - `images`, and `boxes`: instances matched by IoU >= 0.5: `overall` and `by_category`, each with `truth` and
      `labels` (how many, without ignored ones), `matched`, `precision`, `recall`, `f1` (None where undefined), and
      `mean`: the unweighted mean of these three over categories that have true instances.
    - for keypoints, `people`: the same matched by OKS >= 0.5; and `keypoints`, on people matched by their boxes, so
      that keypoints don't choose their own judge. A generated keypoint is correct where its own similarity to the true
      one is >= 0.5. `accuracy` = correct / compared (those whose true keypoint is labelled); `precision` = correct /
      generated (also those on wrong boxes and those that the truth has not); `recall` = correct / true; `mean_error`:
      distance over the square root of the true box's area, averaged over those compared; `by_type` has accuracy,
      mean_error and compared.
    """
    _require_images(labels, truth)
    images = {image["id"] for image in labels["images"]}
    instances = [annotation for annotation in truth["annotations"] if annotation["image_id"] in images]
    truth = {**truth, "annotations": instances}
    by_box = match_labels(labels, truth, "bbox")
    report = {"images": len(images), "boxes": _instance_report(by_box, truth, "bbox")}
    if iou_type == "keypoints":
        report["people"] = _instance_report(match_labels(labels, truth, "keypoints"), truth, "keypoints")
        report["keypoints"] = _keypoint_report(by_box, truth)
    return report


def _instance_report(matches: Sequence[Match], truth: Mapping[str, Any], kind: str) -> dict[str, Any]:
    counted = [annotation for annotation in truth["annotations"] if _counts(annotation, kind)]
    judged = [match for match in matches if not match.ignored]
    by_category = []
    for category in sorted(truth["categories"], key=lambda category: category["id"]):
        number = category["id"]
        ours = [match for match in judged if match.label["category_id"] == number]
        figures = _figures(ours, sum(annotation["category_id"] == number for annotation in counted))
        by_category.append({"id": number, "name": category["name"], **figures})
    present = [entry for entry in by_category if entry["truth"]]
    return {
        "overall": _figures(judged, len(counted)),
        "mean": {key: _mean(entry[key] for entry in present) for key in ("precision", "recall", "f1")},
        "ignored": len(matches) - len(judged),
        "by_category": by_category,
    }


def _figures(matches: Sequence[Match], truth: int) -> dict[str, Any]:
    matched = sum(match.truth is not None for match in matches)
    return {
        "truth": truth,
        "labels": len(matches),
        "matched": matched,
        "precision": _ratio(matched, len(matches)),
        "recall": _ratio(matched, truth),
        "f1": _ratio(2 * matched, truth + len(matches)),
    }


def _keypoint_report(matches: Sequence[Match], truth: Mapping[str, Any]) -> dict[str, Any]:
    sigmas = _sigmas(truth)
    category = next(category for category in truth["categories"] if category["id"] in sigmas)
    names = category["keypoints"]
    generated, compared, correct = (np.zeros(len(names), int) for _ in range(3))
    errors = np.zeros(len(names))
    unlabelled = 0
    for match in matches:
        if match.ignored or match.label["category_id"] not in sigmas:
            continue
        visible = _visible(match.label)
        generated += visible
        if match.truth is None:
            continue
        label, instance = _points(match.label), _points(match.truth)
        both = visible & (instance[:, 2] > 0)
        unlabelled += int((visible & ~both).sum())
        squared = ((label[:, :2] - instance[:, :2]) ** 2).sum(axis=1)
        near = _falloff(squared, match.truth["area"], sigmas[match.label["category_id"]]) >= MATCH_AT
        compared += both
        correct += both & near
        width, height = match.truth["bbox"][2:]
        errors += np.where(both, np.sqrt(squared / max(width * height, np.spacing(1))), 0.0)
    people = [annotation for annotation in truth["annotations"] if _counts(annotation, "keypoints")]
    total = sum(int(_visible(annotation).sum()) for annotation in people)
    return {
        "generated": int(generated.sum()),
        "compared": int(compared.sum()),
        "correct": int(correct.sum()),
        "not_in_truth": unlabelled,
        "truth": total,
        "accuracy": _ratio(int(correct.sum()), int(compared.sum())),
        "precision": _ratio(int(correct.sum()), int(generated.sum())),
        "recall": _ratio(int(correct.sum()), total),
        "mean_error": _ratio(float(errors.sum()), int(compared.sum())),
        "by_type": [
            {
                "name": name,
                "compared": int(compared[i]),
                "accuracy": _ratio(int(correct[i]), int(compared[i])),
                "mean_error": _ratio(float(errors[i]), int(compared[i])),
            }
            for i, name in enumerate(names)
        ],
    }


def compare_quality(
    sets: Mapping[str, Mapping[str, Any]], truth: Mapping[str, Any], iou_type: str
) -> dict[str, dict[str, Any]]:
    """`label_quality` of several label sets of one split, by their names, for example per-category and global
    thresholds."""
    return {name: label_quality(labels, truth, iou_type) for name, labels in sets.items()}


def mistakes(labels: Mapping[str, Any], truth: Mapping[str, Any], iou_type: str) -> dict[int, float]:
    """Images with a wrong label, worst first: image id -> the score of its most confident wrong label.

    Wrong is a label that matches no true instance (by the task's own similarity). Images without one are left out.
    """
    worst: dict[int, float] = {}
    for match in match_labels(labels, truth, iou_type):
        if match.truth is None and not match.ignored:
            number, score = match.label["image_id"], float(match.label.get("score", 0.0))
            worst[number] = max(score, worst.get(number, -math.inf))
    return dict(sorted(worst.items(), key=lambda item: (-item[1], item[0])))


def _require_images(labels: Mapping[str, Any], truth: Mapping[str, Any]) -> None:
    unknown = sorted({image["id"] for image in labels["images"]} - {image["id"] for image in truth["images"]})
    if unknown:
        raise UserError(
            f"labels have {len(unknown)} image(s) that the truth has not, the first with id {unknown[0]}; "
            "give the truth of the split that was labelled"
        )


def _sigmas(truth: Mapping[str, Any]) -> dict[int, np.ndarray]:
    return {
        category["id"]: np.array(keypoint_sigmas(len(category["keypoints"]), f"category {category['name']!r}"))
        for category in truth["categories"]
        if category.get("keypoints")
    }


def _group(annotations: Iterable[Mapping[str, Any]]) -> dict[tuple[int, int], list[Mapping[str, Any]]]:
    groups = defaultdict(list)
    for annotation in annotations:
        groups[annotation["image_id"], annotation["category_id"]].append(annotation)
    return groups


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _mean(values: Iterable[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return math.fsum(defined) / len(defined) if defined else None
