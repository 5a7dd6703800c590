"""What COCO's releases of 2014 and 2017 hold, and which of it the paper's splits are (section 5.1): facts alone.

co-80 is train2014, co-35 is val2014 without val2017, co-115 is both (train2017), un-120 is unlabeled2017. Image ids are
the same in both releases; every labelled image lies in train2017/ or val2017/ under its 2017 name. Light.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from datadistill.errors import UserError
from datadistill.tasks.task import get_task

HELD_OUT = "val2017"

# Images of each split in COCO's releases, as the paper counts them (in thousands) and COCO's download page does.
OFFICIAL_COUNTS: dict[str, int] = {
    "co-80": 82_783,
    "co-35": 35_504,
    "co-115": 118_287,
    "un-120": 123_403,
    "val2017": 5_000,
}


@dataclass(frozen=True)
class Part:
    """Where a split's images and annotations lie below the data root, and which release files its ids come from.

    `annotations` leaves out the kind of annotations that a task reads (`Task.coco_file`); `downloads` are the
    entries of config/downloads.yaml that bring all of it.
    """

    images: str
    annotations: str
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    downloads: tuple[str, ...] = ()


_TRAIN = "annotations/{kind}_train2017.json"
_VAL = "annotations/{kind}_val2017.json"
_TRAIN_DOWNLOADS = ("coco-train2017", "coco-annotations2017")
_UNLABELED = "annotations/image_info_unlabeled2017.json"

PARTS: dict[str, Part] = {
    # In the order in which a config may name them. 2014 gives the ids, 2017 images and annotations: one folder of images
    # serves all of them.
    "co-35": Part("train2017", _TRAIN, drop=("train2014",), downloads=(*_TRAIN_DOWNLOADS, "coco-annotations2014")),
    "co-80": Part("train2017", _TRAIN, keep=("train2014",), downloads=(*_TRAIN_DOWNLOADS, "coco-annotations2014")),
    "co-115": Part("train2017", _TRAIN, downloads=_TRAIN_DOWNLOADS),
    "un-120": Part(
        "unlabeled2017",
        _UNLABELED,
        downloads=("coco-unlabeled2017", "coco-image-info-unlabeled2017", "coco-annotations2017"),
    ),
    "val2017": Part("val2017", _VAL, downloads=("coco-val2017", "coco-annotations2017")),
}


def instances_file(release: str) -> str:
    """The annotation file, below the data root, that lists the images of a release such as train2014."""
    return f"annotations/instances_{release}.json"


def annotation_file(part: str, task: str) -> str:
    """The annotation file, below the data root, that a task reads for a part."""
    return PARTS[part].annotations.format(kind=get_task(task).coco_file)


def missing_files(part: str, task: str, data_root: str | Path) -> list[str]:
    """What a part needs below the data root and isn't there: annotation files, and its folder of images."""
    place, root = PARTS[part], Path(data_root)
    releases = [*place.keep, *place.drop, *([] if part == HELD_OUT else [HELD_OUT])]
    files = [annotation_file(part, task), *map(instances_file, releases)]
    folder = [] if (root / place.images).is_dir() else [f"{place.images}/"]
    return [*(file for file in dict.fromkeys(files) if not (root / file).is_file()), *folder]


def part_ids(part: str, ids: Iterable[int], ids_of: Callable[[str], set[int]]) -> set[int]:
    """Which of the images that a part's annotation file lists, by id, are its own; `ids_of` gives those of a release.

    Raises `UserError` when the file lacks images of a release that belongs to the part.
    """
    chosen, place = set(ids), PARTS[part]
    for release in place.keep:
        kept = ids_of(release)
        if kept - chosen:
            absent = kept - chosen
            raise UserError(
                f"{part}: {len(absent)} images of {release} aren't in its annotation file, {min(absent)} for one; check both"
            )
        chosen = kept
    return chosen.difference(*(ids_of(release) for release in place.drop))


def check_part(part: str, ids: Iterable[int], held_out: Iterable[int]) -> None:
    """Refuse a part of another size than the official one, or one that shares an image with val2017, both as ids."""
    chosen = set(ids)
    if len(chosen) != OFFICIAL_COUNTS[part]:
        raise UserError(
            f"{part} has {len(chosen):,} images, {OFFICIAL_COUNTS[part]:,} are expected; is the annotation file the "
            "official one, and complete?"
        )
    shared = set() if part == HELD_OUT else chosen & set(held_out)
    if shared:
        raise UserError(
            f"{part} and {HELD_OUT} share {len(shared)} images, {min(shared)} for one; they must be disjoint"
        )
