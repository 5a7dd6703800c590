"""Splits: named lists of images as COCO JSON, from wherever the images come.

A split is a dictionary with `info`, `licenses`, `images`, `annotations` and `categories`, images sorted by id. Every
image has `id`, `file_name` (relative to the working directory, or absolute), `width` and `height` in pixels as
detectron2 reads it (after its EXIF orientation), `dataset` (ids are unique within one) and `content` (hash of the
file's bytes). Keypoints are COCO's pixel indices. Functions that read images return a `Made`: the split and the ledger
of images left out.

Light: no torch. Section 5.1 of the paper names the splits.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datadistill.data.coco import check_coco, number_annotations, read_coco, read_ids
from datadistill.data.images import Inspection, inspect_images, list_images
from datadistill.errors import UserError
from datadistill.files import read_json
from datadistill.tasks.task import get_task

Split = dict[str, Any]
Ledger = list[dict[str, str]]

# Above this fraction of damaged images a folder is more likely misplaced than damaged.
MAX_DAMAGED_FRACTION = 0.01


@dataclass(frozen=True)
class Made:
    """A split, and what was left out of it: rows of `file_name` and `reason`."""

    split: Split
    ledger: Ledger = field(default_factory=list)


# --- from a source on disk


def from_coco(
    *,
    images_dir: str,
    annotations: str,
    dataset: str,
    task: str,
    num_keypoints: int | None = None,
    annotated: bool = True,
    image_names: str | None = None,
    keep_ids: Sequence[str] = (),
    drop_ids: Sequence[str] = (),
    expect_images: int | None = None,
    keep_segmentation: bool = False,
    max_damaged_fraction: float = MAX_DAMAGED_FRACTION,
    workers: int = 1,
) -> Made:
    """A split from a COCO JSON file and a folder of images.

    `annotated` false reads images only (an image_info file will do) and yields an unlabelled split. `image_names` is a
    format of the id such as "{id:012d}.jpg", for releases that renamed the files; None takes the file's `file_name`s.
    `keep_ids` and `drop_ids` name files of ids (see `coco.read_ids`): an image is kept if it is in all of the former
    and none of the latter. `expect_images` is the number of images that must then be there. See `coco.read_coco` for
    what is checked and normalised. Raises `UserError`; a missing, damaged or mis-sized image is one in an annotated
    split, and is left out of an unlabelled one, up to `max_damaged_fraction` of its images.
    """
    data = read_coco(
        annotations, task=task, num_keypoints=num_keypoints, annotated=annotated, keep_segmentation=keep_segmentation
    )
    images = data["images"]
    for path in keep_ids:
        wanted = set(read_ids(path))
        absent = wanted - {image["id"] for image in data["images"]}
        if absent:
            raise UserError(f"{path}: {len(absent)} of its ids aren't in {annotations}, {min(absent)} for one")
        images = [image for image in images if image["id"] in wanted]
    for path in drop_ids:
        unwanted = set(read_ids(path))
        images = [image for image in images if image["id"] not in unwanted]
    if expect_images is not None and len(images) != expect_images:
        raise UserError(
            f"{annotations}: {len(images)} images, {expect_images} are expected; is it the right release, and complete?"
        )
    if image_names is not None:
        images = [{**image, "file_name": _format_name(image_names, image["id"])} for image in images]
    return _inspected(
        {**data, "images": images},
        images_dir,
        dataset=dataset,
        annotated=annotated,
        max_damaged_fraction=max_damaged_fraction,
        workers=workers,
        source=annotations,
    )


def from_folder(
    *,
    images_dir: str,
    dataset: str,
    task: str,
    max_damaged_fraction: float = MAX_DAMAGED_FRACTION,
    workers: int = 1,
) -> Made:
    """An unlabelled split of every JPEG and PNG below a folder.

    An image's id is a hash of its path below the folder (48 bits), so that adding a file, or losing one, moves no other
    id, and ids hardly ever meet those of another dataset. Sizes are read from the files, after their EXIF orientation.
    The split has no categories: `annotate` takes them from the teacher. Raises `UserError` when the folder is missing
    or holds no images, or too many are damaged.
    """
    get_task(task)
    names = list_images(images_dir)
    if not names:
        raise UserError(f"{images_dir}: no JPEG or PNG image in this folder or below; check the path in the config")
    images = [{"id": path_id(name), "file_name": name} for name in names]
    repeated = [value for value, times in Counter(image["id"] for image in images).items() if times > 1]
    if repeated:
        same = [image["file_name"] for image in images if image["id"] == repeated[0]]
        raise UserError(f"{images_dir}: the paths {same[0]} and {same[1]} hash to the same id; rename one of them")
    data = {"images": sorted(images, key=lambda image: image["id"]), "annotations": [], "categories": []}
    return _inspected(
        data,
        images_dir,
        dataset=dataset,
        annotated=False,
        max_damaged_fraction=max_damaged_fraction,
        workers=workers,
        source=images_dir,
    )


def from_rendered(
    *,
    images_dir: str,
    annotations: str,
    dataset: str,
    task: str,
    num_keypoints: int | None = None,
    workers: int = 1,
) -> Made:
    """A split from what the renderer wrote: checked like any other, and complete, or it is a `UserError`."""
    return from_coco(
        images_dir=images_dir,
        annotations=annotations,
        dataset=dataset,
        task=task,
        num_keypoints=num_keypoints,
        workers=workers,
    )


def from_records(
    images: Sequence[Mapping[str, Any]], *, images_dir: str, dataset: str, source: str, workers: int = 1
) -> Made:
    """An unlabelled split of images that the workflow itself just wrote (`id`, `file_name` and any further fields).

    Raises `UserError` when an id is repeated or any image is damaged.
    """
    repeated = [value for value, times in Counter(image["id"] for image in images).items() if times > 1]
    if repeated:
        raise UserError(f"{source}: image id {repeated[0]} is repeated")
    data = {
        "images": sorted((dict(image) for image in images), key=lambda image: image["id"]),
        "annotations": [],
        "categories": [],
    }
    return _inspected(
        data, images_dir, dataset=dataset, annotated=False, max_damaged_fraction=0.0, workers=workers, source=source
    )


def _inspected(
    data: Split,
    images_dir: str,
    *,
    dataset: str,
    annotated: bool,
    max_damaged_fraction: float,
    workers: int,
    source: str,
) -> Made:
    """Join file names with their folder, inspect every file, and leave damaged ones out or refuse them."""
    _check_fraction(max_damaged_fraction, "max_damaged_fraction")
    if not data["images"]:
        raise UserError(f"{source}: no image is left; check keep_ids and drop_ids")
    paths = [os.path.join(images_dir, image["file_name"]) for image in data["images"]]
    sizes = [(image["width"], image["height"]) if "width" in image else None for image in data["images"]]
    inspections = inspect_images(
        list(zip(paths, sizes, strict=True)), workers=workers, label=f"checking images of {dataset}"
    )
    damaged = [found for found in inspections if found.problem]
    if damaged:
        _refuse_damage(
            damaged, len(inspections), source, images_dir, 0.0 if annotated else max_damaged_fraction, annotated
        )
    images = [
        {
            **image,
            "file_name": found.file_name,
            "width": found.width,
            "height": found.height,
            "dataset": dataset,
            "content": found.content,
        }
        for image, found in zip(data["images"], inspections, strict=True)
        if not found.problem
    ]
    kept = {image["id"] for image in images}
    split = {
        "info": {**data.get("info", {}), "dataset": dataset, "source": source},
        "licenses": data.get("licenses", []),
        "images": images,
        "annotations": [a for a in data["annotations"] if a["image_id"] in kept] if annotated else [],
        "categories": data["categories"],
    }
    return Made(split, [{"file_name": found.file_name, "reason": str(found.problem)} for found in damaged])


def _refuse_damage(
    damaged: Sequence[Inspection], total: int, source: str, images_dir: str, allowed: float, annotated: bool
) -> None:
    if len(damaged) <= allowed * total:
        return
    examples = "; ".join(f"{found.file_name} {_verb(found.problem)}" for found in damaged[:3])
    count = f"{len(damaged)} of {total} images of {source} can't be used"
    if all(found.problem == "missing" for found in damaged) and len(damaged) == total:
        raise UserError(
            f"none of the {total} images of {source} is in {images_dir} ({examples}); check images_dir in the config"
        )
    if annotated:
        raise UserError(f"{count}: {examples}; restore them, or list their ids in drop_ids")
    raise UserError(
        f"{count}, more than the {allowed:.2%} that max_damaged_fraction allows: {examples}; restore them or raise "
        "the limit"
    )


def _verb(problem: str | None) -> str:
    text = str(problem)
    return text if text.startswith(("is ", "does ")) else f"is {text.replace('empty file', 'empty')}"


def _format_name(template: str, image_id: int) -> str:
    try:
        return template.format(id=image_id)
    except (KeyError, IndexError, ValueError, AttributeError):
        raise UserError(f"image_names: {template!r} isn't a format of the id, such as '{{id:012d}}.jpg'") from None


def path_id(name: str) -> int:
    """A positive 48-bit id for a file, from its relative path: exact in JSON readers that know only doubles."""
    return 1 + int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest(), "big")


# --- from other splits


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
    named = list(zip(names, splits, strict=True))
    annotated = [(name, split["categories"]) for name, split in named if split["annotations"] and split["categories"]]
    for name, categories in annotated[1:]:
        if category_table(categories) != category_table(annotated[0][1]):
            raise UserError(f"{annotated[0][0]} and {name} define different categories; a union needs them equal")
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


def fraction_ids(ids: Iterable[int], rho: float, seed: int) -> list[int]:
    """The ids of a seeded fraction, sorted: round(rho x n) of them, halves up.

    Nested: ids are ranked by a hash of (seed, id) and the first are taken, so that 20 % contains 10 %, whatever else is
    in the list.
    """
    _check_fraction(rho, "rho")
    listed = sorted(set(ids))
    ranked = sorted(listed, key=lambda i: (hashlib.blake2b(f"{seed}:{i}".encode(), digest_size=16).digest(), i))
    return sorted(ranked[: math.floor(rho * len(listed) + 0.5)])


def fraction(split: Split, rho: float, seed: int) -> Split:
    """The split restricted to `fraction_ids`; 0 <= rho <= 1."""
    return subset(split, fraction_ids((image["id"] for image in split["images"]), rho, seed))


def read_split(path: str) -> Split:
    """Read a split file and check that it is one: the fields that `from_*` write are there.

    Raises `UserError` that names the file.
    """
    data = read_json(path)
    for key in ("images", "annotations", "categories"):
        if not isinstance(data, dict) or not isinstance(data.get(key), list):
            raise UserError(f"{path}: not a split: it has no list {key!r}")
    for image in data["images"]:
        missing = {"id", "file_name", "width", "height", "dataset", "content"} - set(image)
        if missing:
            raise UserError(f"{path}: not a split: image {image.get('id')} has no {', '.join(sorted(missing))}")
    return data


# --- the specs of splits


def make_split(spec: Mapping[str, Any], inputs: Mapping[str, str], *, workers: int = 1) -> Made:
    """Make the split that a spec describes.

    `spec["kind"]` is one of `KINDS`; the other keys are the arguments of its function. `inputs` maps the names by which
    `union`, `unlabelled`, `subset` and `fraction` call other splits to their files; "stage" and "version" are ignored.
    Raises `UserError` for an unknown kind or key, with the nearest known one.
    """
    values = {key: value for key, value in spec.items() if key not in ("kind", "stage", "version")}
    kind = spec.get("kind")
    if kind not in KINDS:
        raise UserError(f"split kind {kind!r} is unknown{_nearest(str(kind), KINDS)}; known: {', '.join(KINDS)}")
    required, optional, make = KINDS[kind]
    for key in values:
        if key not in required + optional:
            raise UserError(f"a split of kind {kind!r} has no key {key!r}{_nearest(key, required + optional)}")
    for key in required:
        if key not in values:
            raise UserError(f"a split of kind {kind!r} needs the key {key!r}")
    return make(values, inputs, workers)


def _nearest(word: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _input(inputs: Mapping[str, str], name: str) -> Split:
    if name not in inputs:
        raise UserError(f"the split {name!r} is needed as an input; given: {', '.join(inputs) or 'none'}")
    return read_split(inputs[name])


def _check_fraction(value: float, name: str) -> None:
    if not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
        raise UserError(f"{name} must be in 0..1, it is {value!r}")


Maker = Callable[[dict[str, Any], Mapping[str, str], int], Made]


def _subset_made(values: dict[str, Any], inputs: Mapping[str, str], workers: int) -> Made:
    ids = values["ids"]
    return Made(subset(_input(inputs, values["split"]), read_ids(ids) if isinstance(ids, str) else ids))


def _union_made(values: dict[str, Any], inputs: Mapping[str, str], workers: int) -> Made:
    return Made(union([_input(inputs, name) for name in values["splits"]], values["splits"]))


def _coco_part_made(values: dict[str, Any], inputs: Mapping[str, str], workers: int) -> Made:
    from datadistill.data.coco_releases import part_of_coco

    return part_of_coco(**values, workers=workers)


# kind: (required keys, optional keys, function of (values, inputs, workers))
KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...], Maker]] = {
    "coco": (
        ("images_dir", "annotations", "dataset", "task"),
        (
            "num_keypoints",
            "annotated",
            "image_names",
            "keep_ids",
            "drop_ids",
            "expect_images",
            "keep_segmentation",
            "max_damaged_fraction",
        ),
        lambda values, inputs, workers: from_coco(**values, workers=workers),
    ),
    "coco_part": (
        ("part", "data_root", "task"),
        ("num_keypoints", "keep_segmentation", "max_damaged_fraction", "drop_ids"),
        _coco_part_made,
    ),
    "folder": (
        ("images_dir", "dataset", "task"),
        ("max_damaged_fraction",),
        lambda values, inputs, workers: from_folder(**values, workers=workers),
    ),
    "rendered": (
        ("images_dir", "annotations", "dataset", "task"),
        ("num_keypoints",),
        lambda values, inputs, workers: from_rendered(**values, workers=workers),
    ),
    "unlabelled": (("split",), (), lambda values, inputs, workers: Made(unlabelled(_input(inputs, values["split"])))),
    "union": (("splits",), (), _union_made),
    "subset": (("split", "ids"), (), _subset_made),
    "fraction": (
        ("split", "rho", "seed"),
        (),
        lambda values, inputs, workers: Made(fraction(_input(inputs, values["split"]), values["rho"], values["seed"])),
    ),
}

__all__ = [
    "KINDS",
    "Ledger",
    "Made",
    "Split",
    "check_coco",
    "fraction",
    "fraction_ids",
    "from_coco",
    "from_folder",
    "from_records",
    "from_rendered",
    "make_split",
    "path_id",
    "read_split",
    "subset",
    "union",
    "unlabelled",
]
