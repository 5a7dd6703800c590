"""The splits of the paper from COCO's real 2014 and 2017 releases (section 5.1).

co-80 is train2014, co-35 is val2014 without val2017, co-115 is both (train2017), un-120 is unlabeled2017. Image ids are
the same in both releases; every labelled image lies in train2017/ or val2017/ under its 2017 name. Light.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from datadistill.data.coco import read_ids
from datadistill.errors import UserError
from datadistill.tasks.task import get_task

if TYPE_CHECKING:
    from datadistill.data.splits import Made

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
_INSTANCES = "annotations/instances_{release}.json"

PARTS: dict[str, Part] = {
    # 2014 gives the ids, 2017 images and annotations: one folder of images serves all of them.
    "co-80": Part("train2017", _TRAIN, keep=("train2014",), downloads=(*_TRAIN_DOWNLOADS, "coco-annotations2014")),
    "co-35": Part("train2017", _TRAIN, drop=("train2014",), downloads=(*_TRAIN_DOWNLOADS, "coco-annotations2014")),
    "co-115": Part("train2017", _TRAIN, downloads=_TRAIN_DOWNLOADS),
    "un-120": Part(
        "unlabeled2017",
        _UNLABELED,
        downloads=("coco-unlabeled2017", "coco-image-info-unlabeled2017", "coco-annotations2017"),
    ),
    "val2017": Part("val2017", _VAL, downloads=("coco-val2017", "coco-annotations2017")),
}


def coco_partition(
    train2014: Iterable[int],
    val2014: Iterable[int],
    val2017: Iterable[int],
    *,
    train2017: Iterable[int] | None = None,
    unlabeled2017: Iterable[int] | None = None,
    counts: Mapping[str, int] = OFFICIAL_COUNTS,
) -> dict[str, list[int]]:
    """Ids of co-80, co-35, co-115, val2017 (and un-120), each sorted, from the ids of COCO's releases.

    `train2017` and `unlabeled2017` may be left out; given, they must agree. `counts` are the numbers of images that the
    splits must have. Raises `UserError` when a count is off, val2017 isn't within val2014, train2017 isn't co-80 +
    co-35, or two splits that must be disjoint share an image.
    """
    train, val, held_out = set(train2014), set(val2014), set(val2017)
    if held_out - val:
        raise UserError(
            f"{len(held_out - val)} images of val2017 aren't in val2014, {min(held_out - val)} for one; check the "
            "annotation files"
        )
    parts = {"co-80": train, "co-35": val - held_out, "co-115": train | (val - held_out), "val2017": held_out}
    if unlabeled2017 is not None:
        parts["un-120"] = set(unlabeled2017)
    check_partition(parts, counts=counts)
    if train2017 is not None and set(train2017) != parts["co-115"]:
        odd = set(train2017) ^ parts["co-115"]
        raise UserError(
            f"train2017 and train2014 + val2014 - val2017 differ in {len(odd)} images, {min(odd)} for one; check the "
            "annotation files"
        )
    return {name: sorted(ids) for name, ids in parts.items()}


def check_partition(parts: Mapping[str, Iterable[int]], *, counts: Mapping[str, int] = OFFICIAL_COUNTS) -> None:
    """Check sizes and disjointness of whichever of COCO's splits are given, as ids; `UserError` for what is off."""
    ids = {name: set(part) for name, part in parts.items()}
    for name, part in ids.items():
        if name in counts and len(part) != counts[name]:
            raise UserError(
                f"{name} has {len(part):,} images, {counts[name]:,} are expected; is the annotation file the official "
                "one, and complete?"
            )
    for a, b in (
        ("co-80", "co-35"),
        *((name, other) for name in ids for other in ("val2017", "un-120") if name != other),
    ):
        shared = ids.get(a, set()) & ids.get(b, set())
        if shared:
            raise UserError(f"{a} and {b} share {len(shared)} images, {min(shared)} for one; they must be disjoint")
    if {"co-115", "co-80", "co-35"} <= set(ids) and ids["co-115"] != ids["co-80"] | ids["co-35"]:
        odd = ids["co-115"] ^ (ids["co-80"] | ids["co-35"])
        raise UserError(
            f"co-115 isn't the union of co-80 and co-35: they differ in {len(odd)} images, {min(odd)} for one"
        )


def missing_files(part: str, task: str, data_root: str | Path) -> list[str]:
    """What a part needs below the data root and isn't there: annotation files, and its folder of images."""
    place, root = PARTS[part], Path(data_root)
    releases = [*place.keep, *place.drop, *([] if part == "val2017" else ["val2017"])]
    files = [
        place.annotations.format(kind=get_task(task).coco_file),
        *(_INSTANCES.format(release=release) for release in releases),
    ]
    folder = [] if (root / place.images).is_dir() else [f"{place.images}/"]
    return [*(file for file in dict.fromkeys(files) if not (root / file).is_file()), *folder]


def part_of_coco(
    *,
    part: str,
    data_root: str,
    task: str,
    num_keypoints: int | None = None,
    keep_segmentation: bool = False,
    max_damaged_fraction: float | None = None,
    drop_ids: Sequence[str] = (),
    workers: int = 1,
) -> Made:
    """One of the paper's splits from a folder that holds COCO as downloaded.

    Below `data_root` lie `annotations/` of 2014 (ids of train2014: instances_train2014.json) and 2017, and the image
    folders train2017/, val2017/ or unlabeled2017/, as far as the part needs them. Its size must be the official one
    and none of its ids may be in val2017; otherwise, or when a file is missing, `UserError`. After that the images that
    the files `drop_ids` name are left out, into the ledger.
    """
    from datadistill.data.splits import MAX_DAMAGED_FRACTION, Made, from_coco, subset

    if part not in PARTS:
        raise UserError(f"COCO has no part {part!r}; known: {', '.join(PARTS)}")
    place, root = PARTS[part], Path(data_root)
    missing = missing_files(part, task, root)
    if missing:
        raise UserError(
            f"{data_root}: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing, which {part} needs; put "
            "COCO's 2014 and 2017 releases there, name another data_root, or set fetch: true to download them"
        )

    def ids_of(release: str) -> str:
        return str(root / _INSTANCES.format(release=release))

    annotations = str(root / place.annotations.format(kind=get_task(task).coco_file))
    annotated = part != "un-120"
    made = from_coco(
        images_dir=str(root / place.images),
        annotations=annotations,
        dataset="coco",
        task=task,
        num_keypoints=num_keypoints,
        annotated=annotated,
        keep_ids=[ids_of(release) for release in place.keep],
        drop_ids=[ids_of(release) for release in place.drop],
        expect_images=OFFICIAL_COUNTS[part],
        keep_segmentation=keep_segmentation,
        max_damaged_fraction=MAX_DAMAGED_FRACTION if max_damaged_fraction is None else max_damaged_fraction,
        workers=workers,
    )
    if part != "val2017":
        held_out = read_ids(root / _INSTANCES.format(release="val2017"))
        check_partition({part: [image["id"] for image in made.split["images"]], "val2017": held_out}, counts={})
    unwanted = {image_id for path in drop_ids for image_id in read_ids(path)}
    if not unwanted:
        return made
    dropped = [image for image in made.split["images"] if image["id"] in unwanted]
    kept = subset(made.split, (image["id"] for image in made.split["images"] if image["id"] not in unwanted))
    return Made(kept, [*made.ledger, *({"file_name": image["file_name"], "reason": "drop_ids"} for image in dropped)])
