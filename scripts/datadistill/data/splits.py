"""Splits: named lists of images as COCO JSON, and the algebra that makes splits of splits.

A split is a dictionary with `info`, `licenses`, `images`, `annotations` and `categories`, images sorted by id. Every
image has `id`, `file_name` (relative to the working directory, below the split's folder of images), `width` and `height`
in pixels as detectron2 reads it (after its EXIF orientation), `dataset` (ids are unique within one) and `content` (hash
of the file's bytes). Keypoints are COCO's pixel indices.

Light: no torch. Section 5.1 of the paper names the splits.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datadistill.data.coco import number_annotations
from datadistill.errors import UserError
from datadistill.files import REMAKE, read_made, reading
from datadistill.tasks.keypoint_schema import same_schema
from datadistill.values import excerpt, is_finite, is_integer

Split = dict[str, Any]
Ledger = list[dict[str, str]]


@dataclass(frozen=True)
class Made:
    """A split, and what was left out of it: rows of `file_name` and `reason`."""

    split: Split
    ledger: Ledger = field(default_factory=list)


def unlabelled(split: Split) -> Split:
    """The same images without their annotations: what training of the distilled rows may see of a pool."""
    return {**split, "annotations": []}


def union(splits: Sequence[Split], names: Sequence[str] | None = None) -> Split:
    """All images and annotations of several splits.

    Their categories must be equal; a split without categories or annotations goes with any (a pool of two tasks' images
    has no categories of its own). Annotations keep their ids unless two meet; then all are numbered anew. Raises
    `UserError` when an image id, or the content of an image, is in two of the splits, or no split is given.
    """
    names = list(names) if names is not None else [f"split {i + 1}" for i in range(len(splits))]
    if not splits:
        raise UserError("a union needs at least one split")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"a union has the split {twice} twice; name each of its splits once")
    named = list(zip(names, splits, strict=True))
    annotated = [(name, split["categories"]) for name, split in named if split["annotations"] and split["categories"]]
    for name, categories in annotated[1:]:
        if category_table(categories) != category_table(annotated[0][1]):
            raise UserError(f"{annotated[0][0]} and {name} define different categories; a union needs them equal")
        if not same_schema(categories, annotated[0][1]):
            raise UserError(
                f"{annotated[0][0]} and {name} have different flip_pairs or sigmas of keypoints; a union needs them equal"
            )
    defined = annotated or [(name, split["categories"]) for name, split in named if split["categories"]]
    agreed = all(category_table(categories) == category_table(defined[0][1]) for _, categories in defined)
    for key in ("id", "content"):
        owner: dict[Any, tuple[str, str]] = {}
        for name, split in zip(names, splits, strict=True):
            for value, file_name in [(image[key], image["file_name"]) for image in split["images"]]:
                other = owner.setdefault(value, (name, file_name))
                if other[0] != name:
                    raise UserError(
                        f"{other[0]} and {name} can't be joined: {other[1]} and {file_name} have the same {key} {value}"
                    )
    annotations = [annotation for split in splits for annotation in split["annotations"]]
    if len({annotation["id"] for annotation in annotations}) < len(annotations):
        annotations = [{**annotation, "id": number} for number, annotation in enumerate(annotations, start=1)]
    return {
        "info": {
            "dataset": "+".join(dict.fromkeys(str(s["info"].get("dataset")) for s in splits)),
            "source": "+".join(names),
        },
        "licenses": _merge_licenses(splits, names),
        "images": sorted((image for split in splits for image in split["images"]), key=lambda image: image["id"]),
        "annotations": number_annotations(annotations, "+".join(names)),
        "categories": defined[0][1] if defined and agreed else [],
    }


def category_table(categories: Sequence[Mapping[str, Any]]) -> dict[int, tuple[str, tuple[str, ...]]]:
    """Name and keypoints of each category id: what must be equal for two splits to speak of the same things."""
    return {c["id"]: (c["name"], tuple(c.get("keypoints", ()))) for c in categories}


def _merge_licenses(splits: Sequence[Split], names: Sequence[str]) -> list[Any]:
    merged: dict[Any, Any] = {}
    for name, split in zip(names, splits, strict=True):
        for entry in split.get("licenses", []):
            if merged.setdefault(entry.get("id"), entry) != entry:
                raise UserError(f"{name}: license {entry.get('id')} differs from that of another split of the union")
    return list(merged.values())


def subset(split: Split, ids: Iterable[int]) -> Split:
    """The images of the given ids, and their annotations. An id that the split lacks is a `UserError`."""
    wanted = set(ids)
    absent = wanted - {image["id"] for image in split["images"]}
    if absent:
        raise UserError(f"{len(absent)} image ids of the subset aren't in the split, {min(absent)} for one")
    return {
        **split,
        "images": [image for image in split["images"] if image["id"] in wanted],
        "annotations": [a for a in split["annotations"] if a["image_id"] in wanted],
    }


def fraction_ids(ids: Iterable[int], fraction: float, seed: int) -> list[int]:
    """The ids of a seeded fraction, sorted: round(fraction x n) of them, halves up.

    Nested: ids are ranked by a hash of (seed, id) and the first are taken, so that 20 % contains 10 %, whatever else is
    in the list.
    """
    check_fraction(fraction, "fraction")
    listed = sorted(set(ids))
    ranked = sorted(listed, key=lambda i: (hashlib.blake2b(f"{seed}:{i}".encode(), digest_size=16).digest(), i))
    return sorted(ranked[: math.floor(fraction * len(listed) + 0.5)])


def fraction_of(split: Split, fraction: float, seed: int, name: str = "the split") -> Split:
    """The split restricted to `fraction_ids`. Raises `UserError` when these are none; `name` names the result."""
    ids = fraction_ids((image["id"] for image in split["images"]), fraction, seed)
    if not ids:
        raise UserError(
            f"splits: {name}: fraction: {fraction:g} of {len(split['images'])} images is less than half of one, so none is left; "
            "raise it"
        )
    return subset(split, ids)


def check_fraction(value: float, name: str) -> None:
    """Refuse what is no number from 0 to 1."""
    if not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
        raise UserError(f"{name} must be in 0..1, it is {value!r}")


def read_images(path: str | Path) -> Split:
    """Read a split or a label set that the workflow wrote, and check that it is as it was written.

    Raises `UserError` that names the file.
    """
    data = read_made(path, "a split or a label set")
    for key in ("images", "annotations", "categories"):
        if not isinstance(data.get(key), list) or not all(isinstance(entry, dict) for entry in data[key]):
            raise UserError(f"{path}: not a split: it has no list of objects {key!r}; {REMAKE}")
    with reading(path, "a split or a label set"):
        known = {_whole(category["id"]) for category in data["categories"]}
        ids = {_whole(image["id"]) for image in data["images"]}
        for image in data["images"]:
            if not isinstance(image["file_name"], str) or min(_whole(image["width"]), _whole(image["height"])) < 1:
                raise ValueError(f"image {image['id']} has no file_name or size")
        for annotation in data["annotations"]:
            what = f"annotation {excerpt(annotation.get('id'))}"
            if _whole(annotation["image_id"]) not in ids or _whole(annotation["category_id"]) not in known:
                raise ValueError(f"{what} is of no image or category of the file")
            left, top, width, height = annotation["bbox"]
            numbers = [left, top, width, height, *(annotation.get("keypoints") or ())]
            if not all(map(is_finite, numbers)) or min(width, height) < 0:
                raise ValueError(f"{what} has a box of negative size, or a coordinate that is no number")
    return data


def _whole(value: Any) -> int:
    if not is_integer(value):
        raise ValueError(f"{excerpt(value)} is no whole number")
    return value


def read_split(path: str) -> Split:
    """Read a split file and check that it is one: the fields that every kind of split has are there.

    Raises `UserError` that names the file.
    """
    data = read_images(path)
    for image in data["images"]:
        missing = {"id", "file_name", "width", "height", "dataset", "content"} - set(image)
        if missing:
            raise UserError(f"{path}: not a split: image {image.get('id')} has no {', '.join(sorted(missing))}")
    return data
