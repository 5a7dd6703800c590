"""Quality of generated labels where the truth is known but was hidden from training.

Instances are matched as COCO matches them at a similarity of 0.5, so a label is right or wrong; what else
is to be said of an instance is the task's. Beyond the paper, which had no truth for its unlabelled images (method.md, "To
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
from datadistill.tasks.similarity import MATCH_AT, BoxOverlap, Similarity
from datadistill.tasks.task import Task, ratio


@dataclass(frozen=True)
class Match:
    """What became of one label: the true instance it matched, or None; `ignored` labels count neither for nor against.

    `similarity` is that to the matched instance (or to the region that makes it ignored), else the best it reached.
    """

    label: Mapping[str, Any]
    truth: Mapping[str, Any] | None
    similarity: float
    ignored: bool


def match_labels(labels: Mapping[str, Any], truth: Mapping[str, Any], similarity: Similarity) -> list[Match]:
    """Match labels to true instances of the same image and category, greedily by falling score.

    `labels` and `truth` are COCO dictionaries. Each label takes the most similar instance that is still free, if the
    similarity reaches 0.5. A label that takes none but lies at an instance that doesn't count (a crowd; a person without
    labelled keypoints) is ignored; labels that the similarity can't judge are left out.

    Raises `UserError` if `labels` has an image that `truth` has not.
    """
    _require_images(labels, truth)
    categories = {category["id"]: category for category in truth["categories"]}
    true_groups = _group(truth["annotations"])
    matches = []
    for key, group in sorted(_group(labels["annotations"]).items()):
        group = [label for label in group if similarity.judged(label)]
        instances = true_groups.get(key, [])
        counts = np.array([similarity.counts(instance) for instance in instances], bool)
        matches += _match_group(group, instances, similarity.matrix(group, instances, categories.get(key[1])), counts)
    return matches


def _match_group(
    labels: Sequence[Mapping[str, Any]],
    instances: Sequence[Mapping[str, Any]],
    similarities: np.ndarray,
    counts: np.ndarray,
) -> list[Match]:
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


def label_quality(labels: Mapping[str, Any], truth: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """Precision and recall of generated instances, and how good the parts are that a task judges by themselves.

    `labels` and `truth` are COCO dictionaries of the same unlabelled split (the truth may have more images: only images
    of `labels` count). Returns JSON values:

    - `images`, and `boxes`: instances matched by IoU >= 0.5: `overall` and `by_category`, each with `truth` and
      `labels` (how many, without ignored ones), `matched`, `precision`, `recall`, `f1` (None where undefined), and
      `mean`: the unweighted mean of these three over categories that have true instances and where they are defined
      (precision: where there are labels), `mean_over`: of how many categories.
    - the same by the task's own similarity, if it has one, under that one's name (`poses`, by OKS);
    - what the task adds about parts (`Task.part_quality`), on instances matched by their boxes, so that parts don't
      choose their own judge.
    """
    _require_images(labels, truth)
    images = {image["id"] for image in labels["images"]}
    instances = [annotation for annotation in truth["annotations"] if annotation["image_id"] in images]
    truth = {**truth, "annotations": instances}
    boxes, own = BoxOverlap(), task.similarity()
    by_box = match_labels(labels, truth, boxes)
    report = {"images": len(images), boxes.name: _instance_report(by_box, truth, boxes)}
    if own.name != boxes.name:
        report[own.name] = _instance_report(match_labels(labels, truth, own), truth, own)
    return report | task.part_quality(by_box, truth)


def _instance_report(matches: Sequence[Match], truth: Mapping[str, Any], similarity: Similarity) -> dict[str, Any]:
    counted = [annotation for annotation in truth["annotations"] if similarity.counts(annotation)]
    judged = [match for match in matches if not match.ignored]
    by_category = []
    for category in sorted(truth["categories"], key=lambda category: category["id"]):
        number = category["id"]
        ours = [match for match in judged if match.label["category_id"] == number]
        figures = _figures(ours, sum(annotation["category_id"] == number for annotation in counted))
        by_category.append({"id": number, "name": category["name"], **figures})
    return {
        "overall": _figures(judged, len(counted)),
        **_means([by_category])[0],
        "ignored": len(matches) - len(judged),
        "by_category": by_category,
    }


def _figures(matches: Sequence[Match], truth: int) -> dict[str, Any]:
    matched = sum(match.truth is not None for match in matches)
    return {
        "truth": truth,
        "labels": len(matches),
        "matched": matched,
        "precision": ratio(matched, len(matches)),
        "recall": ratio(matched, truth),
        "f1": ratio(2 * matched, truth + len(matches)),
    }


def compare_quality(
    sets: Mapping[str, Mapping[str, Any]], truth: Mapping[str, Any], task: Task
) -> dict[str, dict[str, Any]]:
    """`label_quality` of several label sets of one split, by their names, for example per-category and global thresholds.

    Means are over the same categories for all of them: a set without labels of a category has no precision there, and
    would look better for having lost what is hard.
    """
    reports = {name: label_quality(labels, truth, task) for name, labels in sets.items()}
    for kind in {kind for report in reports.values() for kind, entry in report.items() if _is_of_instances(entry)}:
        entries = [report[kind] for report in reports.values()]
        for entry, means in zip(entries, _means([entry["by_category"] for entry in entries]), strict=True):
            entry.update(means)
    return reports


def _is_of_instances(entry: Any) -> bool:
    return isinstance(entry, Mapping) and "overall" in entry


def _means(sets: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """For each set's categories (the same, in the same order): `mean` and `mean_over`, of those where all sets have a
    value and which have true instances."""
    keys = ("precision", "recall", "f1")
    shared = {
        key: [i for i, group in enumerate(zip(*sets, strict=True)) if group[0]["truth"] and None not in _of(group, key)]
        for key in keys
    }
    return [
        {
            "mean": {key: _mean(entries[i][key] for i in shared[key]) for key in keys},
            "mean_over": {key: len(shared[key]) for key in keys},
        }
        for entries in sets
    ]


def _of(group: Iterable[Mapping[str, Any]], key: str) -> list[Any]:
    return [entry[key] for entry in group]


def mistakes(matches: Iterable[Match]) -> dict[int, float]:
    """Images with a wrong label, worst first: image id -> the score of its most confident wrong label.

    Wrong is a label that matches no true instance. Images without one are left out.
    """
    worst: dict[int, float] = {}
    for match in matches:
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


def _group(annotations: Iterable[Mapping[str, Any]]) -> dict[tuple[int, int], list[Mapping[str, Any]]]:
    groups = defaultdict(list)
    for annotation in annotations:
        groups[annotation["image_id"], annotation["category_id"]].append(annotation)
    return groups


def _mean(values: Iterable[float]) -> float | None:
    values = list(values)
    return math.fsum(values) / len(values) if values else None
