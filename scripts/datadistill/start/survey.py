"""What lies there: labelled images, those of validation and the pool, looked at before anything is written or trained."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from datadistill.data.coco import check_coco
from datadistill.data.images import Inspection, inspect_images, list_images, unread_note
from datadistill.errors import UserError
from datadistill.files import read_json
from datadistill.start.dataset import Dataset, folder_beside, read_dataset, refuse_damaged
from datadistill.start.rules import held_out
from datadistill.tasks import keypoint_schema

LOOKED_AT = 5_000
"""Images of a pool that are decoded here, spread evenly; a run looks at all of them."""
MEAGRE = 20
"""Fewer labelled images than this are worth a word."""


@dataclass(frozen=True)
class Labels:
    """Labelled images whose annotations were checked for a task; `hashes` are those of their files, by `file_name`."""

    dataset: Dataset
    coco: dict[str, Any]
    hashes: Mapping[str, str]

    @property
    def contents(self) -> set[str]:
        """The hash of each image's file."""
        return {self.hashes[image["file_name"]] for image in self.coco["images"]}

    @property
    def files(self) -> set[str]:
        """The path of each image, links resolved."""
        return {os.path.realpath(self.dataset.images / image["file_name"]) for image in self.coco["images"]}

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of each image."""
        return [(image["width"], image["height"]) for image in self.coco["images"]]


@dataclass(frozen=True)
class Pool:
    """Unlabelled images: a folder of them, or a COCO file `source` that lists them."""

    source: Path
    images: Path
    listed: bool
    count: int
    looked_at: int
    damaged: tuple[Inspection, ...]
    sizes: tuple[tuple[int, int], ...]
    contents: frozenset[str]
    files: frozenset[str]

    def shared(self, labels: Labels) -> int:
        """How many of its images are those of `labels`: the same files, or the same bytes."""
        return len(self.files & labels.files) or len(self.contents & labels.contents)


def look_at_labels(dataset: Dataset, task: str) -> Labels:
    """Check annotations and images. Raises `UserError` for whatever would stop a run."""
    coco = check_coco(dataset.coco, str(dataset.source), task=task)
    files = [
        (os.path.join(dataset.images, image["file_name"]), (image["width"], image["height"]))
        for image in coco["images"]
    ]
    found = inspect_images(files, label="checking labelled images")
    if damaged := [entry for entry in found if entry.problem]:
        refuse_damaged(damaged, len(found), str(dataset.source))
    names = [image["file_name"] for image in coco["images"]]
    return Labels(dataset, coco, dict(zip(names, (entry.content for entry in found), strict=True)))


def split_off(labels: Labels, task: str, seed: int = 0) -> tuple[Labels, Labels]:
    """The labelled images less a part, and that part for validation (`rules.held_out`); copies of an image stay together."""
    first: dict[str, str] = {}
    for image in labels.coco["images"]:
        first.setdefault(labels.hashes[image["file_name"]], image["file_name"])
    if len(first) < 2:
        raise UserError(
            f"{labels.dataset.source}: one labelled image is too few to hold some out; label more, or give VAL="
        )
    chosen = held_out(list(first.values()), seed)
    parts = []
    for held in (False, True):
        images = [
            image for image in labels.coco["images"] if (first[labels.hashes[image["file_name"]]] in chosen) == held
        ]
        ids = {image["id"] for image in images}
        annotations = [a for a in labels.coco["annotations"] if a["image_id"] in ids]
        if not any(not a.get("iscrowd") for a in annotations):
            raise UserError(
                f"{labels.dataset.source}: too few labels to hold some out for validation; label more, or give VAL="
            )
        parts.append(replace(labels, coco={**labels.coco, "images": images, "annotations": annotations}))
    # What was left out of the whole is said once.
    return parts[0], replace(parts[1], dataset=replace(labels.dataset, notes=()))


def look_at_pool(source: Path, images: Path | None) -> Pool:
    """The images of a pool: of a folder, or those that a COCO file lists. Raises `UserError` when there are none."""
    if source.is_dir():
        folder, names = source, list_images(source)
        if not names:
            raise UserError(
                f"{source}: no JPEG or PNG image in this folder or below (for videos see kind videos in config/README.md)"
            )
    elif source.is_file() and source.suffix == ".json":
        values = read_json(source)
        listed = values.get("images") if isinstance(values, Mapping) else None
        if not isinstance(listed, list) or not listed or not all(isinstance(i, Mapping) for i in listed):
            raise UserError(f"{source}: not COCO JSON with `images`; name a folder of images, or such a file")
        names = sorted(str(image.get("file_name")) for image in listed)
        folder = images if images is not None else folder_beside(source, names)
    else:
        raise UserError(f"{source}: no folder of images, and no COCO JSON that lists them; name one as POOL=")
    paths = [os.path.join(folder, name) for name in names]
    step = -(-len(paths) // LOOKED_AT)
    found = inspect_images([(path, None) for path in paths[::step]], label="checking the pool")
    return Pool(
        source,
        folder,
        source != folder,
        len(paths),
        len(found),
        tuple(entry for entry in found if entry.problem),
        tuple((entry.width, entry.height) for entry in found if not entry.problem),
        frozenset(entry.content for entry in found if not entry.problem),
        frozenset(map(os.path.realpath, paths)),
    )


def read_validation(source: Path, images: Path | None, labelled: Labels, task: str) -> Labels:
    """The images of validation, with the categories of the labelled ones. Raises `UserError` when others are there, or an image
    is in both."""
    categories = labelled.coco["categories"]
    val = look_at_labels(read_dataset(source, images, categories), task)
    if [(c["id"], c["name"], c.get("keypoints")) for c in val.coco["categories"]] != [
        (c["id"], c["name"], c.get("keypoints")) for c in categories
    ]:
        raise UserError(
            f"{source}: its categories are not those of {labelled.dataset.source}; both need the same, with the same ids"
        )
    if shared := len(val.contents & labelled.contents):
        raise UserError(
            f"{source}: {shared} of its images are labelled images, too; a model can't be judged by what it learned from"
        )
    return val


# --- in words


def describe(name: str, labels: Labels) -> list[str]:
    """What labelled images hold: number, sizes, instances by category, keypoints with their pairs, and what is odd."""
    coco = labels.coco
    instances = [annotation for annotation in coco["annotations"] if not annotation.get("iscrowd")]
    counts = Counter(annotation["category_id"] for annotation in instances)
    listed = sorted(coco["categories"], key=lambda category: -counts[category["id"]])
    shown = ", ".join(f"{category['name']} {counts[category['id']]:,}" for category in listed[:12])
    if len(listed) > 12:
        shown += f" and {len(listed) - 12} more"
    images = len(coco["images"])
    said = [
        f"{name}: {images:,} images ({labels.dataset.form}), {in_words(labels.sizes)}; {len(instances):,} instances, "
        f"{len(instances) / images:.1f} an image: {shown}."
    ]
    crowds = len(coco["annotations"]) - len(instances)
    if crowds:
        said.append(f"  {crowds:,} more are crowds, or marked difficult: neither learned from nor counted.")
    empty = images - len({annotation["image_id"] for annotation in coco["annotations"]})
    if empty:
        said.append(f"  {empty:,} images have no label: they say that nothing is there.")
    copies = images - len(labels.contents)
    if copies:
        said.append(f"  {copies:,} images are copies of others, byte by byte.")
    absent = [category["name"] for category in listed if not counts[category["id"]]]
    if absent:
        said.append(f"  No instance of {', '.join(absent[:12])}.")
    said += [f"  {note}" for note in labels.dataset.notes]
    return said


def describe_keypoints(labels: Labels) -> list[str]:
    """The keypoints of each category: which change places in a mirrored image, and their sigmas."""
    return [keypoint_schema.describe(category) for category in labels.coco["categories"] if category.get("keypoints")]


def describe_pool(pool: Pool, shared: Mapping[str, int]) -> list[str]:
    """What a pool holds, and what a run will leave out of it."""
    said = [f"Pool: {pool.count:,} images, {in_words(pool.sizes) if pool.sizes else 'none of which can be used'}."]
    if pool.looked_at < pool.count:
        said.append(f"  {pool.looked_at:,} of them were looked at, spread evenly; a run looks at all.")
    if not pool.listed and (others := unread_note(pool.images)):
        said.append(f"  {others[0].upper()}{others[1:]}.")
    for name, count in shared.items():
        said.append(f"  {count:,} of them are those of {name!r}: the pool leaves them out.")
    if pool.damaged:
        examples = "; ".join(f"{entry.file_name}: {entry.problem}" for entry in pool.damaged[:3])
        said.append(f"  {len(pool.damaged)} can't be used and will be left out, into a ledger ({examples}).")
    return said


def in_words(sizes: Sequence[tuple[int, int]]) -> str:
    """Sizes (width, height) in pixels: the one of all, or the range and the median of the shorter sides."""
    if len(set(sizes)) == 1:
        return f"{sizes[0][0]} x {sizes[0][1]} pixels"
    by_area = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    (w, h), (width, height) = by_area[0], by_area[-1]
    return f"{w} x {h} to {width} x {height} pixels, the shorter side {median(map(min, sizes)):g} in the median"
