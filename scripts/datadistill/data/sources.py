"""Splits of images that lie on disk: of a COCO file, of Pascal VOC annotations, of COCO's releases, of a folder, of what the workflow
wrote.

Every function takes the split's spec and `images`: the folder through which the split names its images, relative to the
working directory. A spec's own `images` says where a user keeps them; the workflow makes `images` a link to it, so that
split files hold one kind of path and a moved folder changes none of them. Damaged images are refused, or left out into
a ledger.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from datadistill.data.coco import check_coco, read_coco, read_ids
from datadistill.data.coco_releases import (
    HELD_OUT,
    PARTS,
    annotation_file,
    check_part,
    instances_file,
    missing_files,
    part_ids,
)
from datadistill.data.images import Inspection, inspect_images, list_images, unread_note
from datadistill.data.specs import CocoRelease, CocoSplit, FolderSplit, RenderedSplit, VocSplit
from datadistill.data.splits import Ledger, Made, Split, check_fraction, subset
from datadistill.data.voc import coco_categories, find_image, read_names, read_voc
from datadistill.errors import UserError
from datadistill.tasks.task import get_task


def from_coco(spec: CocoSplit, *, images: str, workers: int = 1) -> Made:
    """A split from a COCO JSON file and a folder of images.

    `spec.labelled` false reads images only (an image_info file will do) and yields an unlabelled split. Images that the
    files `spec.drop_ids` name (see `coco.read_ids`) are left out before any is inspected, into the ledger; ids that the split
    doesn't have are passed over, as one list may serve several splits. See `coco.read_coco` for what is checked and
    normalised. Raises `UserError`; a missing, damaged or mis-sized image is one in a labelled split, and is left out of an
    unlabelled one, up to `spec.max_damaged_fraction` of its images.
    """
    data = read_coco(
        spec.annotations,
        task=spec.task,
        num_keypoints=spec.num_keypoints,
        annotated=spec.labelled,
        stated=spec.keypoint_schema,
    )
    kept, dropped = _without(data, spec.drop_ids, spec.annotations, spec.task if spec.labelled else None)
    made = _inspected(
        kept,
        images,
        dataset=str(spec.dataset),
        labelled=spec.labelled,
        allowed=spec.max_damaged_fraction,
        workers=workers,
        source=spec.annotations,
        folder=spec.images,
    )
    return Made(made.split, [*made.ledger, *_dropped(os.path.join(images, name) for name in dropped)])


def from_release(spec: CocoRelease, *, images: str, workers: int = 1) -> Made:
    """One of the paper's splits from a folder that holds COCO as downloaded.

    Below `spec.data_root` lie `annotations/` of 2014 (ids of train2014: instances_train2014.json) and 2017, and the image
    folders train2017/, val2017/ or unlabeled2017/, as far as the part needs them. Its size must be the official one
    and none of its ids may be in val2017; otherwise, or when a file is missing, `UserError`. After that the images that
    the files `spec.drop_ids` name are left out, into the ledger.
    """
    part, place, root = spec.part, PARTS[spec.part], Path(spec.data_root)
    missing = missing_files(part, spec.task, root)
    if missing:
        raise UserError(
            f"{root}: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing, which {part} needs; put "
            "COCO's 2014 and 2017 releases there, name another data_root, or set fetch: true to download them (again: delete their records in results/downloads)"
        )
    annotations, labelled = str(root / annotation_file(part, spec.task)), spec.annotated_for is not None
    data = read_coco(annotations, task=spec.task, num_keypoints=spec.num_keypoints, annotated=labelled)
    ids = part_ids(part, (image["id"] for image in data["images"]), lambda name: _ids([root / instances_file(name)]))
    check_part(part, ids, _ids([root / instances_file(HELD_OUT)]) if part != HELD_OUT else ())
    made = _inspected(
        {**data, "images": [image for image in data["images"] if image["id"] in ids]},
        images,
        dataset="coco",
        labelled=labelled,
        allowed=spec.max_damaged_fraction,
        workers=workers,
        source=annotations,
        folder=str(root / place.images),
    )
    kept, dropped = _without(made.split, spec.drop_ids, annotations, spec.annotated_for)
    return Made(kept, [*made.ledger, *_dropped(dropped)])


def from_voc(spec: VocSplit, *, images: str, workers: int = 1) -> Made:
    """A split from Pascal VOC annotations, one XML file an image, and a folder of images.

    An image's id is a hash of its file name, as in `from_folder`. `spec.labelled` false reads images only. See `voc.read_voc` for
    what is checked; boxes without area, where the spec leaves them out, go to the ledger. Raises `UserError` as `from_coco` does.
    """
    if spec.labelled and spec.annotations is None:
        raise UserError(f"splits: {spec.name}: a labelled split of kind voc needs the key 'annotations'")
    if spec.list is None and spec.annotations is None:
        raise UserError(f"splits: {spec.name}: a split of kind voc needs 'list' or 'annotations' to know its images")
    names = read_names(spec.annotations, spec.list)
    if spec.labelled:
        read = read_voc(
            str(spec.annotations), spec.images, names, spec.categories, drop_empty_boxes=spec.drop_empty_boxes
        )
        records, left_out = [{"id": path_id(image["file_name"]), **image} for image in read.images], read.left_out
        annotations = [
            {**found, "image_id": record["id"]}
            for record, objects in zip(records, read.objects, strict=True)
            for found in objects
        ]
    else:
        file_names = [find_image(spec.images, name) for name in names]
        records, annotations, left_out = [{"id": path_id(name), "file_name": name} for name in file_names], [], []
    source = spec.list or str(spec.annotations)
    data = {"images": records, "annotations": annotations, "categories": coco_categories(spec.categories)}
    made = _inspected(
        check_coco(data, source, task=spec.task)
        if spec.labelled
        else {**_unannotated(records), "categories": data["categories"]},
        images,
        dataset=str(spec.dataset),
        labelled=spec.labelled,
        allowed=spec.max_damaged_fraction,
        workers=workers,
        source=source,
        folder=spec.images,
        remedy="restore them, or remove them with their " + ("lines in the list" if spec.list else "annotations"),
    )
    return Made(made.split, [*left_out, *made.ledger])


def from_folder(spec: FolderSplit, *, images: str, workers: int = 1) -> Made:
    """An unlabelled split of every JPEG and PNG below a folder.

    An image's id is a hash of its path below the folder (48 bits), so that adding a file, or losing one, moves no other
    id, and ids hardly ever meet those of another dataset. Sizes are read from the files, after their EXIF orientation.
    The split has no categories: `annotate` takes them from the teacher. Images of other kinds are counted in the log. Raises
    `UserError` when the folder is missing or holds no images, or too many are damaged.
    """
    names, others = list_images(spec.images), unread_note(spec.images)
    if not names:
        why = f" ({others})" if others else ""
        raise UserError(
            f"{spec.images}: no JPEG or PNG image in this folder or below{why}; check the path in the config"
        )
    if others:
        print(f"{spec.images}: {others}", file=sys.stderr)
    records = [{"id": path_id(name), "file_name": name} for name in names]
    if repeated := _repeated(records):
        same = [record["file_name"] for record in records if record["id"] == repeated[0]]
        raise UserError(f"{spec.images}: the paths {same[0]} and {same[1]} hash to the same id; rename one of them")
    return _inspected(
        _unannotated(records),
        images,
        dataset=str(spec.dataset),
        labelled=False,
        allowed=spec.max_damaged_fraction,
        workers=workers,
        source=spec.images,
        folder=spec.images,
    )


def from_scenes(spec: RenderedSplit, *, images: str, scenes: str, workers: int = 1) -> Made:
    """A split of what the renderer wrote, with its annotations in the file `scenes`: checked like any other."""
    return _inspected(
        read_coco(scenes, task=spec.task, num_keypoints=spec.num_keypoints),
        images,
        dataset=spec.dataset,
        labelled=True,
        allowed=0.0,
        workers=workers,
        source=scenes,
        folder=images,
        remedy=f"delete the folder {images}, so that they are rendered again",
    )


def from_records(
    records: Sequence[Mapping[str, Any]], *, images: str, dataset: str, source: str, workers: int = 1
) -> Made:
    """An unlabelled split of images that the workflow itself just wrote (`id`, `file_name` and any further fields).

    Raises `UserError` when an id is repeated or any image is damaged.
    """
    if repeated := _repeated(records):
        raise UserError(f"{source}: image id {repeated[0]} is repeated")
    return _inspected(
        _unannotated(records),
        images,
        dataset=dataset,
        labelled=False,
        allowed=0.0,
        workers=workers,
        source=source,
        folder=images,
    )


def path_id(name: str) -> int:
    """A positive 48-bit id for a file, from its relative path: exact in JSON readers that know only doubles."""
    return 1 + int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest(), "big")


def _ids(files: Iterable[str | Path]) -> set[int]:
    return {image_id for path in files for image_id in read_ids(path)}


def _without(data: Split, drop_ids: Sequence[str], source: str, task: str | None) -> tuple[Split, list[str]]:
    """The split without the images that the files `drop_ids` name, and the file names of these.

    Raises `UserError` where no image is left, or nothing for `task` to learn from (None: the split is unlabelled).
    """
    unwanted = _ids(drop_ids)
    dropped = [image["file_name"] for image in data["images"] if image["id"] in unwanted]
    if not dropped:
        return data, []
    kept = subset(data, (image["id"] for image in data["images"] if image["id"] not in unwanted))
    if not kept["images"]:
        raise UserError(f"{source}: no image is left; check drop_ids")
    if task is not None and not get_task(task).keep_for_training(kept["annotations"]):
        raise UserError(
            f"{source}: no annotation to learn from or to be scored by (task {task}) is left in its {len(kept['images'])} images; "
            "check drop_ids"
        )
    return kept, dropped


def _dropped(names: Iterable[str]) -> Ledger:
    return [{"file_name": name, "reason": "drop_ids"} for name in names]


def _repeated(records: Iterable[Mapping[str, Any]]) -> list[int]:
    return [value for value, times in Counter(record["id"] for record in records).items() if times > 1]


def _unannotated(records: Iterable[Mapping[str, Any]]) -> Split:
    ordered = sorted((dict(record) for record in records), key=lambda record: record["id"])
    return {"images": ordered, "annotations": [], "categories": []}


def _inspected(
    data: Split,
    images: str,
    *,
    dataset: str,
    labelled: bool,
    allowed: float,
    workers: int,
    source: str,
    folder: str,
    remedy: str = "restore them, or list their ids in drop_ids",
) -> Made:
    """Join file names with `images`, inspect every file, and leave damaged ones out or refuse them.

    `allowed` is the fraction of an unlabelled split's images that may be damaged. `source` and `folder` are what a user
    knows the images and their folder by; `remedy` is what to do about damaged images of a labelled split.
    """
    check_fraction(allowed, "max_damaged_fraction")
    for image in data["images"]:
        _refuse_outside(image["file_name"], source)
    paths = [os.path.join(images, image["file_name"]) for image in data["images"]]
    sizes = [(image["width"], image["height"]) if "width" in image else None for image in data["images"]]
    inspections = inspect_images(
        list(zip(paths, sizes, strict=True)), workers=workers, label=f"checking images of {dataset}"
    )
    damaged = [found for found in inspections if found.problem]
    if damaged:
        _refuse_damage(
            damaged, len(inspections), source, folder, 0.0 if labelled else allowed, remedy if labelled else None
        )
    inspected = [
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
    kept = {image["id"] for image in inspected}
    split = {
        "info": {**data.get("info", {}), "dataset": dataset, "source": source},
        "licenses": data.get("licenses", []),
        "images": inspected,
        "annotations": [a for a in data["annotations"] if a["image_id"] in kept] if labelled else [],
        "categories": data["categories"],
    }
    return Made(split, [{"file_name": found.file_name, "reason": str(found.problem)} for found in damaged])


def _refuse_outside(file_name: str, source: str) -> None:
    """Split files hold paths below one folder of images, which may be a link; `..` would leave it, or mean another."""
    path = PurePosixPath(file_name)
    if path.is_absolute() or ".." in path.parts:
        raise UserError(
            f"{source}: file_name {file_name!r} leads out of the folder of images; names must be relative to it, without '..'"
        )


def _refuse_damage(
    damaged: Sequence[Inspection], total: int, source: str, folder: str, allowed: float, remedy: str | None
) -> None:
    if len(damaged) <= allowed * total:
        return
    examples = "; ".join(f"{found.file_name} {_verb(found.problem)}" for found in damaged[:3])
    count = f"{len(damaged)} of {total} images of {source} can't be used"
    if all(found.problem == "missing" for found in damaged) and len(damaged) == total:
        raise UserError(
            f"none of the {total} images of {source} is in {folder} ({examples}); check its path in the config"
        )
    if remedy:
        raise UserError(f"{count}: {examples}; {remedy}")
    raise UserError(
        f"{count}, more than the {allowed:.2%} that max_damaged_fraction allows: {examples}; restore them or raise "
        "the limit"
    )


def _verb(problem: str | None) -> str:
    text = str(problem)
    return text if text.startswith(("is ", "does ", "has ")) else f"is {text.replace('empty file', 'empty')}"
