"""Pictures with labels drawn on them: the paper's Figures 2, 3, 4 and 7.

Keypoints in COCO dictionaries are pixel indices, those of detections are continuous (index + 0.5); both are drawn
where they belong, on axes whose coordinates are continuous. A person's left is orange and its right is blue, so that
an inverted person (the paper's Figure 3) can be seen. File names of splits are relative to the working directory.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from datadistill.errors import UserError
from datadistill.evaluate.label_quality import match_labels, mistakes
from datadistill.report.charts import INK, note_height, save_figure, style
from datadistill.tasks.keypoints import continuous, pixel_indices

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEFT, RIGHT, MIDDLE, WRONG, TRUTH = "#F5A623", "#3FA9F5", "#FFFFFF", "#FF4FA3", "#6BFFB8"
SIDES = "Orange: a person's left; blue: right"
# Bright enough for boxes on photos.
BOX_COLOURS = ("#3FA9F5", "#F5A623", "#2ECC9B", "#E58BC0", "#F0E442", "#FF7F50", "#B8A1FF", "#9BE564")
CROWDED = 8
_SCORE_SIZE = 5
WIDTH = 9.6
GAP = 0.06


@dataclass(frozen=True)
class Panel:
    """One picture: (H, W, 3) uint8, what to draw on its axes, and a title in small print."""

    image: np.ndarray
    draw: Callable[[Axes], None]
    title: str = ""


@dataclass(frozen=True)
class PanelRow:
    """Pictures side by side, all of one height, under a heading."""

    heading: str
    panels: tuple[Panel, ...]


def read_picture(file_name: str | Path) -> np.ndarray:
    """(H, W, 3) uint8, RGB, turned as its EXIF orientation says (as detectron2 reads it)."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file_name) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except OSError as error:
        raise UserError(f"{file_name}: can't be read as an image ({error}); it is needed for a figure") from None


# Figure 2


def ensemble_figure(
    image: np.ndarray,
    box: Sequence[float],
    transforms: Sequence[tuple[str, np.ndarray]],
    ensemble: np.ndarray,
    stem: str | Path,
    *,
    note: str,
    category: Mapping[str, Any],
    truth: np.ndarray | None = None,
) -> list[Path]:
    """Figure 2: one person as seen by each transform, and their ensemble, all in the image's own frame.

    `image` (H, W, 3) uint8; `box` left, top, right, bottom; `transforms` (label, (K, 3) keypoints) in the order to
    show; `ensemble` and `truth` (K, 3). All coordinates continuous; a keypoint whose third value is 0 is not drawn.
    `category` is COCO's, with `keypoints` (names) and `skeleton`. A ring marks a keypoint more than a tenth of the
    box's size (square root of its area) away from the ensemble's.
    """
    ensemble = np.asarray(ensemble, float)
    limits = _crop(box, image.shape[1], image.shape[0])
    reach = 0.1 * np.sqrt((box[2] - box[0]) * (box[3] - box[1]))
    large = [("ensemble", ensemble), *([("hidden truth", np.asarray(truth, float))] if truth is not None else [])]
    lines = 1 if len(transforms) <= 3 else 2 if len(transforms) <= 10 else 3
    columns = -(-len(transforms) // lines)
    aspect = (limits[1] - limits[0]) / (limits[3] - limits[2])
    # Small pictures in `lines` lines are as high, with their gaps, as the large ones.
    title, margin = 0.2, 0.08
    per_height = columns * aspect / lines + len(large) * aspect
    height = (WIDTH - GAP * (columns + len(large)) - 2 * margin) / per_height
    height = float(np.clip(height, 1.2, 4.5))
    small = (height - (lines - 1) * (title + GAP)) / lines
    total_width = columns * (small * aspect + GAP) + len(large) * (height * aspect + GAP) + 2 * margin
    far = f"Rings: more than {reach:.{0 if reach >= 10 else 1}f} px (a tenth of the box's size) from the ensemble"
    note = _join(note, SIDES, far)
    with style():
        figure = _fixed_figure(total_width, height + title + 0.04 + note_height(note, total_width))
        top = figure.get_size_inches()[1] - title - 0.04
        for i, (label, keypoints) in enumerate(transforms):
            line, column = divmod(i, columns)
            x, y = margin + column * (small * aspect + GAP), top - line * (small + title + GAP) - small
            axes = _picture_axes(figure, x, y, small * aspect, small, image, label, limits)
            draw_person(axes, keypoints, category, size=0.55 * small + 0.2)
            _ring_far_keypoints(axes, np.asarray(keypoints, float), ensemble, reach)
        x = margin + columns * (small * aspect + GAP)
        for label, keypoints in large:
            axes = _picture_axes(figure, x, top - height, height * aspect, height, image, label, limits, bold=True)
            draw_person(axes, keypoints, category, size=0.3 * height + 0.4)
            x += height * aspect + GAP
        return save_figure(figure, stem, note)


def ensemble_from_json(values: Mapping[str, Any], stem: str | Path, *, note: str) -> list[Path]:
    """`ensemble_figure` of plain JSON values.

    `image` (file name), `box` (left, top, right, bottom), `transforms` (list of `label`, `keypoints`), `ensemble`,
    `truth` (or null) and `category` (COCO's). Keypoints are K triples; all coordinates continuous, in the original
    image.
    """
    missing = {"image", "box", "transforms", "ensemble", "category"} - values.keys()
    if missing:
        raise UserError(f"{stem}: the input of the figure lacks {', '.join(sorted(missing))}")
    truth = values.get("truth")
    return ensemble_figure(
        read_picture(values["image"]),
        values["box"],
        [(entry["label"], np.asarray(entry["keypoints"], float)) for entry in values["transforms"]],
        np.asarray(values["ensemble"], float),
        stem,
        note=note,
        category=values["category"],
        truth=None if truth is None else np.asarray(truth, float),
    )


def _crop(box: Sequence[float], width: int, height: int) -> tuple[float, float, float, float]:
    """Left, right, top, bottom of the box with a margin, not narrower than half its height, within the image (moved there, where
    the box is at its edge)."""
    left, top, right, bottom = map(float, box)
    pad = 0.15 * max(right - left, bottom - top)
    wide = max(right - left, 0.55 * (bottom - top)) + 2 * pad
    return (
        *_within((left + right) / 2, wide, width),
        *_within((top + bottom) / 2, bottom - top + 2 * pad, height),
    )


def _within(centre: float, length: float, limit: float) -> tuple[float, float]:
    """The stretch of a length around a centre, moved into 0 to `limit`, and no longer than that."""
    start = min(max(0.0, centre - length / 2), max(0.0, limit - length))
    return start, min(float(limit), start + length)


def _ring_far_keypoints(axes: Axes, keypoints: np.ndarray, ensemble: np.ndarray, reach: float) -> None:
    both = (keypoints[:, 2] > 0) & (ensemble[:, 2] > 0)
    far = both & (np.hypot(*(keypoints[:, :2] - ensemble[:, :2]).T) > reach)
    axes.plot(
        *keypoints[far, :2].T, "o", markersize=8, markerfacecolor="none", markeredgecolor=WRONG, markeredgewidth=1.3
    )


# Figures 3 and 7


def gallery_figure(
    labels: Mapping[str, Any],
    stem: str | Path,
    *,
    seed: int,
    note: str,
    truth: Mapping[str, Any] | None = None,
    columns: int = 5,
    lines: int = 2,
) -> list[Path]:
    """Figure 3: images with generated keypoints and their box scores.

    Rows: the most confident images, then `lines` rows drawn at random by `seed` from the rest, and where the hidden
    `truth` is known the images with the most confident mistakes. `labels` is a label set's COCO dictionary. In the
    row of mistakes wrong people have a pink box, and the truth is drawn in thin green.
    """
    chosen = choose_images(labels, seed, columns, columns * lines)
    rows = [PanelRow("most confident", tuple(_label_panels(labels, chosen["best"])))]
    for i in range(0, len(chosen["random"]), columns):
        heading = "random" if i == 0 else ""
        rows.append(PanelRow(heading, tuple(_label_panels(labels, chosen["random"][i : i + columns]))))
    if truth is not None:
        rows += _mistake_row(labels, truth, "keypoints", columns)
    rows = [row for row in rows if row.panels]
    return _save_rows(rows, stem, _join(note, SIDES, "Numbers: box scores"))


def category_gallery_figure(
    labels: Mapping[str, Any],
    stem: str | Path,
    *,
    seed: int,
    note: str,
    truth: Mapping[str, Any] | None = None,
    columns: int = 5,
    lines: int = 3,
) -> list[Path]:
    """Figure 7: images with generated boxes, one image a category (drawn by `seed`), the rarest categories among them.

    As many categories as there is room for: spread evenly from the most to the least frequent one. Every box of an
    image is drawn; the title names the category that the image stands for and how many labels it has in all.
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
        panels += _label_panels(labels, [images[category]], title)
    heading = "one image a category, the most frequent first"
    rows = [PanelRow(heading if i == 0 else "", tuple(panels[i : i + columns])) for i in range(0, len(panels), columns)]
    if truth is not None:
        rows += _mistake_row(labels, truth, "bbox", columns)
    return _save_rows(rows, stem, note)


def choose_images(labels: Mapping[str, Any], seed: int, best: int, randomly: int) -> dict[str, list[int]]:
    """Image ids of a gallery, the same for the same seed: `best` by mean box score, and `random` ones of the rest.

    Only images with labels; for keypoints, with a visible keypoint.
    """
    scores = defaultdict(list)
    for annotation in labels["annotations"]:
        if annotation.get("num_keypoints", 1):
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


def _label_panels(labels: Mapping[str, Any], ids: Sequence[int], title: str = "") -> list[Panel]:
    images = {image["id"]: image for image in labels["images"]}
    annotations = _by_image(labels["annotations"])
    categories = {category["id"]: category for category in labels["categories"]}
    return [
        Panel(
            read_picture(images[number]["file_name"]),
            lambda axes, entries=annotations[number]: draw_annotations(axes, entries, categories),
            title,
        )
        for number in ids
    ]


def _mistake_row(labels: Mapping[str, Any], truth: Mapping[str, Any], kind: str, columns: int) -> list[PanelRow]:
    ids = list(mistakes(labels, truth, kind))[:columns]
    wrong = {
        match.label["id"] for match in match_labels(labels, truth, kind) if match.truth is None and not match.ignored
    }
    images = {image["id"]: image for image in labels["images"]}
    made, true = _by_image(labels["annotations"]), _by_image(truth["annotations"])
    categories = {category["id"]: category for category in labels["categories"]}

    def draw(axes: Axes, number: int) -> None:
        draw_truth(axes, true[number], categories)
        right = [annotation for annotation in made[number] if annotation["id"] not in wrong]
        draw_annotations(axes, right, categories)
        draw_annotations(axes, [a for a in made[number] if a["id"] in wrong], categories, colour=WRONG)

    panels = tuple(
        Panel(read_picture(images[number]["file_name"]), lambda axes, number=number: draw(axes, number))
        for number in ids
    )
    if not panels:
        return []
    return [PanelRow("most confident mistakes (pink: no true instance matches; thin green: the hidden truth)", panels)]


# Figure 4


def comparison_figure(
    split: Mapping[str, Any],
    models: Sequence[tuple[str, Sequence[Mapping[str, Any]]]],
    ids: Sequence[int],
    stem: str | Path,
    *,
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
        shown = _by_image(a for a in detections if a["score"] >= lowest)
        panels = tuple(
            Panel(
                pictures[number],
                lambda axes, entries=shown[number]: draw_annotations(axes, entries, categories),
            )
            for number in ids
        )
        rows.append(PanelRow(label, panels))
    sides = SIDES if any("keypoints" in a for _, drawn in models for a in drawn) else ""
    which = "Each model's detections, as many as there are instances in the split"
    if score_threshold is not None:
        which = f"Detections with a score of at least {score_threshold:g}"
    return _save_rows(rows, stem, _join(note, sides, which))


def _matching_score(split: Mapping[str, Any], detections: Sequence[Mapping[str, Any]]) -> float:
    """The score from which there are as many detections as instances; 0 where all detections are too few."""
    instances = sum(not annotation.get("iscrowd", 0) for annotation in split["annotations"])
    scores = sorted((detection["score"] for detection in detections), reverse=True)
    return scores[instances - 1] if 0 < instances <= len(scores) else 0.0


def choose_comparison_images(split: Mapping[str, Any], seed: int, count: int) -> list[int]:
    """Ids of `count` images with annotated instances, drawn by `seed`: not picked by how the models do on them."""
    with_instances = {
        a["image_id"] for a in split["annotations"] if not a.get("iscrowd", 0) and a.get("num_keypoints", 1)
    }
    return random.Random(seed).sample(sorted(with_instances), min(count, len(with_instances)))


def detections_as_annotations(detections: Any) -> list[dict[str, Any]]:
    """COCO annotations (box, score, and keypoints as pixel indices, all visible) of a `Detections`, for drawing."""
    converted = []
    ids = detections.image_ids[detections.image_index]
    for i, (left, top, right, bottom) in enumerate(detections.boxes.tolist()):
        annotation = {
            "id": i + 1,
            "image_id": int(ids[i]),
            "category_id": int(detections.categories[i]),
            "bbox": [left, top, right - left, bottom - top],
            "score": float(detections.scores[i]),
        }
        if detections.keypoints is not None:
            points = pixel_indices(detections.keypoints[i, :, :2])
            annotation["keypoints"] = np.insert(points, 2, 2.0, axis=1).ravel().tolist()
        converted.append(annotation)
    return converted


# Drawing


def draw_annotations(
    axes: Axes,
    annotations: Iterable[Mapping[str, Any]],
    categories: Mapping[int, Mapping[str, Any]],
    *,
    colour: str | None = None,
) -> None:
    """Boxes with scores, and people; `colour` overrides the boxes'. Objects are named, and coloured by category."""
    order = {number: i for i, number in enumerate(sorted(categories))}
    annotations = list(annotations)
    for annotation in annotations:
        category = categories[annotation["category_id"]]
        score = f"{annotation['score']:.2f}" if "score" in annotation else ""
        if "keypoints" in annotation and category.get("keypoints"):
            size = _person_size(axes, annotation["bbox"])
            draw_person(axes, continuous(annotation["keypoints"]), category, size=size)
            _box(axes, annotation["bbox"], colour or MIDDLE, 1.4 if colour else 0.5, score)
        else:
            shade = colour or BOX_COLOURS[order[annotation["category_id"]] % len(BOX_COLOURS)]
            # In a crowd only boxes with room for text get it.
            named = len(annotations) <= CROWDED or _inches(axes, annotation["bbox"][2], 0) > 0.3
            _box(axes, annotation["bbox"], shade, 1.2, f"{category['name']} {score}" if named else "")


def draw_truth(
    axes: Axes, annotations: Iterable[Mapping[str, Any]], categories: Mapping[int, Mapping[str, Any]]
) -> None:
    """The hidden truth in thin green: people as plain lines, objects as dashed boxes; crowds are left out."""
    for annotation in annotations:
        if annotation.get("iscrowd", 0) or annotation["category_id"] not in categories:
            continue
        category = categories[annotation["category_id"]]
        if category.get("keypoints") and any(annotation.get("keypoints", ())[2::3]):
            points = continuous(annotation["keypoints"])
            for a, b in category.get("skeleton", ()):
                if points[a - 1, 2] > 0 and points[b - 1, 2] > 0:
                    _line(axes, points[[a - 1, b - 1], :2], TRUTH, 0.7)
        else:
            _box(axes, annotation["bbox"], TRUTH, 0.7, "", dashed=True)


def draw_person(axes: Axes, keypoints: np.ndarray, category: Mapping[str, Any], *, size: float = 1.0) -> None:
    """Limbs and keypoints of one person, (K, 3) in continuous coordinates; those whose third value is 0 are left out.

    A limb is coloured by the sides of its ends: left, right, or white between them.
    """
    keypoints = np.asarray(keypoints, float)
    names = category["keypoints"]
    sides = [LEFT if "left" in name else RIGHT if "right" in name else MIDDLE for name in names]
    visible = keypoints[:, 2] > 0
    for a, b in category.get("skeleton", ()):
        if visible[a - 1] and visible[b - 1]:
            ends = {sides[a - 1], sides[b - 1]} - {MIDDLE}
            colour = ends.pop() if len(ends) == 1 else MIDDLE
            _line(axes, keypoints[[a - 1, b - 1], :2], colour, 1.5 * size)
    for (x, y, _), side, shown in zip(keypoints, sides, visible, strict=True):
        if shown:
            axes.plot(
                x, y, "o", markersize=2.6 * size, color=side, markeredgecolor="black", markeredgewidth=0.4, zorder=4
            )


def _person_size(axes: Axes, box: Sequence[float]) -> float:
    """Line width for a person: thinner for small people, measured on paper."""
    return float(np.clip(0.35 + 0.55 * _inches(axes, box[3], 1), 0.4, 1.2))


def _inches(axes: Axes, length: float, direction: int) -> float:
    """What `length` pixels of the picture measure on paper, across (0) or down (1)."""
    limits, place = (axes.get_xlim(), axes.get_ylim())[direction], axes.get_position()
    on_paper = (place.width, place.height)[direction] * axes.figure.get_size_inches()[direction]
    return length / abs(limits[1] - limits[0]) * on_paper


def _line(axes: Axes, points: np.ndarray, colour: str, width: float) -> None:
    from matplotlib.patheffects import Normal, Stroke

    outline = [Stroke(linewidth=width + 0.9, foreground="black", alpha=0.55), Normal()]
    axes.plot(*points.T, color=colour, linewidth=width, solid_capstyle="round", path_effects=outline, zorder=3)


def _box(axes: Axes, box: Sequence[float], colour: str, width: float, text: str, *, dashed: bool = False) -> None:
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import Normal, Stroke

    left, top, box_width, box_height = box
    outline = [Stroke(linewidth=width + 0.8, foreground="black", alpha=0.5), Normal()]
    axes.add_patch(
        Rectangle(
            (left, top),
            box_width,
            box_height,
            fill=False,
            edgecolor=colour,
            linewidth=width,
            linestyle=(0, (3, 2)) if dashed else "-",
            path_effects=outline,
            zorder=2,
        )
    )
    if text:
        # Inside the picture also for boxes at its upper edge.
        inside = top < 0.06 * max(axes.get_ylim())
        # At its right edge too: a character is about 0.6 of the font size wide.
        length = 0.6 * _SCORE_SIZE / 72 * len(text) / _inches(axes, 1, 0)
        axes.text(
            min(max(left, 0) + 1, max(axes.get_xlim()) - length),
            max(top, 0) + (1 if inside else -1),
            text,
            fontsize=_SCORE_SIZE,
            color=colour,
            ha="left",
            va="top" if inside else "bottom",
            clip_on=True,
            path_effects=[Stroke(linewidth=1.5, foreground="black", alpha=0.8), Normal()],
            zorder=5,
        )


def _by_image(annotations: Iterable[Mapping[str, Any]]) -> dict[int, list[Mapping[str, Any]]]:
    groups = defaultdict(list)
    for annotation in annotations:
        groups[annotation["image_id"]].append(annotation)
    return groups


def _names(labels: Mapping[str, Any]) -> dict[int, str]:
    return {category["id"]: category["name"] for category in labels["categories"]}


def _join(*parts: str) -> str:
    return ". ".join(part.rstrip(".") for part in parts if part) + "."


# Layout


def _fixed_figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def _picture_axes(
    figure: Figure,
    x: float,
    y: float,
    width: float,
    height: float,
    image: np.ndarray,
    title: str,
    limits: Sequence[float] | None = None,
    *,
    bold: bool = False,
) -> Axes:
    """Axes at a place in inches that show an image in continuous coordinates (the first pixel covers 0 to 1)."""
    full_width, full_height = figure.get_size_inches()
    axes = figure.add_axes((x / full_width, y / full_height, width / full_width, height / full_height))
    axes.imshow(image, extent=(0, image.shape[1], image.shape[0], 0), aspect="auto", interpolation="antialiased")
    left, right, top, bottom = limits or (0, image.shape[1], 0, image.shape[0])
    axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    weight = "bold" if bold else "normal"
    # No wider than the picture: a character is about 0.6 of the font size wide.
    size = min(8.0 if bold else 6.5, 72 * width / (0.6 * max(1, len(title))))
    axes.set_title(title, fontsize=size, fontweight=weight, color=INK, pad=2.5)
    return axes


def _save_rows(rows: Sequence[PanelRow], stem: str | Path, note: str, highest: float = 2.3) -> list[Path]:
    """Rows of pictures, each row as high as its pictures side by side allow, `highest` inches at most."""
    if not rows:
        raise UserError(f"{stem}: there is no image to show; the label set is empty")
    heights = []
    for row in rows:
        aspects = sum(panel.image.shape[1] / panel.image.shape[0] for panel in row.panels)
        heights.append(min(highest, (WIDTH - GAP * (len(row.panels) - 1)) / aspects))
    margin = 0.1
    above = [0.24 * bool(row.heading) + 0.17 * any(panel.title for panel in row.panels) for row in rows]
    total = sum(heights) + sum(above) + GAP * len(rows) + note_height(note, WIDTH + 2 * margin)
    with style():
        figure = _fixed_figure(WIDTH + 2 * margin, total)
        y = total
        for row, height, over in zip(rows, heights, above, strict=True):
            if row.heading:
                figure.text(
                    margin / (WIDTH + 2 * margin),
                    (y - 0.04) / total,
                    row.heading,
                    fontsize=8,
                    fontweight="bold",
                    va="top",
                )
            y -= over + height
            x = margin
            for panel in row.panels:
                width = height * panel.image.shape[1] / panel.image.shape[0]
                panel.draw(_picture_axes(figure, x, y, width, height, panel.image, panel.title))
                x += width + GAP
            y -= GAP
        return save_figure(figure, stem, note)
