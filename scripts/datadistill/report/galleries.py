"""Galleries of generated labels: the most confident images (the paper's Figure 3), an image a category (Figure 7)."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from datadistill.annotations import by_image
from datadistill.evaluate.label_quality import match_labels, mistakes
from datadistill.report.drawing import WRONG, Unwritten, draw_annotations, draw_truth
from datadistill.report.picture_rows import Panel, PanelRow, join_sentences, read_picture, save_rows
from datadistill.tasks.task import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def gallery_figure(
    labels: Mapping[str, Any],
    stem: str | Path,
    *,
    task: Task,
    seed: int,
    note: str,
    truth: Mapping[str, Any] | None = None,
    columns: int = 5,
    lines: int = 2,
) -> list[Path]:
    """Figure 3: images with generated labels and their box scores.

    Rows: the most confident images, then `lines` rows drawn at random by `seed` from the rest, and where the hidden
    `truth` is known the images with the most confident mistakes. `labels` is a label set's COCO dictionary. In the
    row of mistakes wrong labels have a pink box, and the truth is drawn in thin green.
    """
    chosen = choose_images(labels, task, seed, columns, columns * lines)
    rows = [PanelRow("most confident", tuple(_label_panels(labels, task, chosen["best"])))]
    for i in range(0, len(chosen["random"]), columns):
        heading = "random" if i == 0 else ""
        rows.append(PanelRow(heading, tuple(_label_panels(labels, task, chosen["random"][i : i + columns]))))
    if truth is not None:
        rows += _mistake_row(labels, truth, task, columns)
    rows = [row for row in rows if row.panels]
    return save_rows(rows, stem, join_sentences(note, task.picture_note, "Numbers: box scores"))


def category_gallery_figure(
    labels: Mapping[str, Any],
    stem: str | Path,
    *,
    task: Task,
    seed: int,
    note: str,
    truth: Mapping[str, Any] | None = None,
    columns: int = 5,
    lines: int = 3,
) -> list[Path]:
    """Figure 7: images with generated boxes, one image a category (drawn by `seed`), the rarest categories among them.

    As many categories as there is room for: spread evenly from the most to the least frequent one. Every box of an
    image is drawn; the title names the category that the image stands for and how many labels it has in all. Names that
    found no room at their boxes stand below the picture.
    """
    counts: dict[int, int] = defaultdict(int)
    for annotation in labels["annotations"]:
        counts[annotation["category_id"]] += 1
    frequent = sorted(counts, key=lambda category: (-counts[category], category))
    room = columns * lines
    if len(frequent) > room:
        frequent = [frequent[round(i * (len(frequent) - 1) / max(1, room - 1))] for i in range(room)]
    images = choose_category_images(labels, frequent, seed)
    names = _names(labels)
    panels = []
    for category in frequent:
        title = f"{names[category]} ({counts[category]:,} label{'s' if counts[category] > 1 else ''})"
        panels += _label_panels(labels, task, [images[category]], title)
    heading = "one image a category, the most frequent first"
    rows = [PanelRow(heading if i == 0 else "", tuple(panels[i : i + columns])) for i in range(0, len(panels), columns)]
    if truth is not None:
        rows += _mistake_row(labels, truth, task, columns)
    return save_rows(rows, stem, note)


def choose_images(labels: Mapping[str, Any], task: Task, seed: int, best: int, randomly: int) -> dict[str, list[int]]:
    """Image ids of a gallery, the same for the same seed: `best` by mean box score, and `random` ones of the rest.

    Only images with a label that holds what the task is about (for keypoints, a visible one).
    """
    scores = defaultdict(list)
    for annotation in labels["annotations"]:
        if task.has_target(annotation):
            scores[annotation["image_id"]].append(annotation.get("score", 0.0))
    ranked = sorted(scores, key=lambda image: (-float(np.mean(scores[image])), image))
    rest = sorted(ranked[best:])
    return {"best": ranked[:best], "random": random.Random(seed).sample(rest, min(randomly, len(rest)))}


def choose_category_images(labels: Mapping[str, Any], categories: Iterable[int], seed: int) -> dict[int, int]:
    """An image id for each category, drawn by `seed`: the rarest choose first, an image twice only if unavoidable."""
    images: dict[int, set[int]] = defaultdict(set)
    for annotation in labels["annotations"]:
        images[annotation["category_id"]].add(annotation["image_id"])
    generator, taken, chosen = random.Random(seed), set(), {}
    for category in sorted(categories, key=lambda category: (len(images[category]), category)):
        free = sorted(images[category] - taken) or sorted(images[category])
        chosen[category] = generator.choice(free)
        taken.add(chosen[category])
    return chosen


def _label_panels(labels: Mapping[str, Any], task: Task, ids: Sequence[int], title: str = "") -> list[Panel]:
    images = {image["id"]: image for image in labels["images"]}
    annotations = by_image(labels["annotations"])
    categories = {category["id"]: category for category in labels["categories"]}
    return [
        Panel(
            read_picture(images[number]["file_name"]),
            lambda axes, entries=annotations[number]: draw_annotations(axes, entries, categories, task),
            title,
        )
        for number in ids
    ]


def _mistake_row(labels: Mapping[str, Any], truth: Mapping[str, Any], task: Task, columns: int) -> list[PanelRow]:
    matches = match_labels(labels, truth, task.similarity())
    ids = list(mistakes(matches))[:columns]
    wrong = {match.label["id"] for match in matches if match.truth is None and not match.ignored}
    images = {image["id"]: image for image in labels["images"]}
    made, true = by_image(labels["annotations"]), by_image(truth["annotations"])
    categories = {category["id"]: category for category in labels["categories"]}

    def draw(axes: Axes, number: int) -> list[Unwritten]:
        draw_truth(axes, true[number], categories, task)
        # What is wrong is what the row shows: it chooses the places of its texts first.
        mistaken = [annotation for annotation in made[number] if annotation["id"] in wrong]
        right = [annotation for annotation in made[number] if annotation["id"] not in wrong]
        unwritten = draw_annotations(axes, mistaken, categories, task, colour=WRONG)
        return unwritten + draw_annotations(axes, right, categories, task)

    panels = tuple(
        Panel(read_picture(images[number]["file_name"]), lambda axes, number=number: draw(axes, number))
        for number in ids
    )
    if not panels:
        return []
    return [PanelRow("most confident mistakes (pink: no true instance matches; thin green: the hidden truth)", panels)]


def _names(labels: Mapping[str, Any]) -> dict[int, str]:
    return {category["id"]: category["name"] for category in labels["categories"]}
