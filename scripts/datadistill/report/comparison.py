"""Detections of several models on the same pictures: the paper's Figure 4."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datadistill.annotations import by_image
from datadistill.detections import Detections
from datadistill.report.drawing import draw_annotations
from datadistill.report.picture_rows import Panel, PanelRow, join_sentences, read_picture, save_rows
from datadistill.tasks.task import Task, boxes_xywh, rows


def comparison_figure(
    split: Mapping[str, Any],
    models: Sequence[tuple[str, Sequence[Mapping[str, Any]]]],
    ids: Sequence[int],
    stem: str | Path,
    *,
    task: Task,
    note: str,
    score_threshold: float | None,
) -> list[Path]:
    """Figure 4: a row for each model (label, its detections as COCO annotations), the same images in each.

    Detections below `score_threshold` are not drawn; `None` draws as many of each model as the split has instances (more,
    where scores are equal). `detections_as_annotations` makes the annotations.
    """
    images = {image["id"]: image for image in split["images"]}
    categories = {category["id"]: category for category in split["categories"]}
    pictures = {number: read_picture(images[number]["file_name"]) for number in ids}
    rows = []
    for label, detections in models:
        lowest = _matching_score(split, detections) if score_threshold is None else score_threshold
        shown = by_image(a for a in detections if a["score"] >= lowest)
        panels = tuple(
            Panel(
                pictures[number],
                lambda axes, entries=shown[number]: draw_annotations(axes, entries, categories, task),
            )
            for number in ids
        )
        rows.append(PanelRow(label, panels))
    which = "Each model's detections, as many as there are instances in the split"
    if score_threshold is not None:
        which = f"Detections with a score of at least {score_threshold:g}"
    return save_rows(rows, stem, join_sentences(note, task.picture_note, which))


def _matching_score(split: Mapping[str, Any], detections: Sequence[Mapping[str, Any]]) -> float:
    """The score from which there are as many detections as instances; 0 where all detections are too few."""
    instances = sum(not annotation.get("iscrowd", 0) for annotation in split["annotations"])
    scores = sorted((detection["score"] for detection in detections), reverse=True)
    return scores[instances - 1] if 0 < instances <= len(scores) else 0.0


def choose_comparison_images(split: Mapping[str, Any], task: Task, seed: int, count: int) -> list[int]:
    """Ids of `count` images with annotated instances, drawn by `seed`: not picked by how the models do on them."""
    with_instances = {a["image_id"] for a in split["annotations"] if not a.get("iscrowd", 0) and task.has_target(a)}
    return random.Random(seed).sample(sorted(with_instances), min(count, len(with_instances)))


def detections_as_annotations(detections: Detections, task: Task) -> list[dict[str, Any]]:
    """COCO annotations of `detections`, for drawing: box, score, and what the task shows beside them."""
    return rows(
        {
            "id": list(range(1, len(detections) + 1)),
            "image_id": detections.ids.tolist(),
            "category_id": detections.categories.tolist(),
            "bbox": boxes_xywh(detections).tolist(),
            "score": detections.scores.tolist(),
            **task.shown_fields(detections),
        }
    )
