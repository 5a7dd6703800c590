"""The review formats by name: a label set out into a folder, corrected labels in.

`export_labels` writes a folder that says in its README.txt how to open it; `import_labels` reads what came back, whichever of
the formats it is in. What counts as reviewed: submitted tasks of Label Studio; every image that a file of CVAT or COCO lists, and
every label file of YOLO, or of these the ones that are named.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datadistill.errors import UserError
from datadistill.exchange import cvat, label_studio, yolo
from datadistill.exchange.review import (
    Coco,
    Known,
    as_coco,
    category_ids,
    category_of,
    flat_names,
    least_certain_first,
    require_box,
    require_size,
)
from datadistill.files import atomic_write, read_json, read_text, write_json
from datadistill.tasks.keypoint_schema import flip_pairs

FORMATS = ("label-studio", "cvat", "yolo", "coco")

_HOW = {
    "label-studio": "Label Studio: create a project with the labelling interface of interface.xml, serve the images as local "
    "files (LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true, LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT), import tasks.json; after the "
    "review export as JSON.",
    "cvat": "CVAT: create a task with the labels of annotations.xml and the images of images/, upload annotations.xml as `CVAT 1.1`; "
    "group a skeleton that you draw with its box, each instance in a group of its own; after the review export as "
    "`CVAT for images 1.1`.",
    "yolo": "YOLO: images/ and labels/ side by side, classes in data.yaml; correct the files in labels/ (empty: no objects), and "
    "delete those that you don't review.",
    "coco": "COCO: labels.json beside data/, as FiftyOne reads it: fiftyone.Dataset.from_dir(dataset_dir=..., "
    "dataset_type=fiftyone.types.COCODetectionDataset).",
}


def export_labels(
    labels: Coco, kind: str, folder: Path, *, count: int | None = None, prefix: str = "/data/local-files/?d="
) -> list[Mapping[str, Any]]:
    """Write a label set for review: its images with the least certain labels first, and `order.txt`, which lists them so.

    - `labels`: COCO JSON of a label set, its file names relative to the working directory.
    - `kind`: one of `FORMATS`; `count`: this many images; `prefix`: for Label Studio, before each image's path.

    Images are hard links where the file system allows it, else copies. Returns the images written. Raises `UserError` for an
    unknown format, two categories of one name, a missing image, or a folder that isn't empty.
    """
    if kind not in FORMATS:
        raise UserError(f"format: {kind!r} is none of {', '.join(FORMATS)}")
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder}: not empty; name a new folder, or empty it")
    category_ids(labels["categories"])
    images = least_certain_first(labels, count)
    missing = [image["file_name"] for image in images if not Path(image["file_name"]).is_file()]
    if missing:
        raise UserError(
            f"{missing[0]}: no such image ({len(missing)} are missing); run this where the labels were made"
        )
    # Of all images, as the import will know them, also where only some go out.
    names = flat_names(labels["images"], by_stem=kind == "yolo")
    write = {"label-studio": _label_studio, "cvat": _cvat, "yolo": _yolo, "coco": _coco}[kind]
    write(labels, images, names, folder, prefix)
    _text(folder / "order.txt", "".join(f"{names[image['id']]}\n" for image in images))
    _text(folder / "README.txt", f"{len(images)} images, the least certain first (order.txt).\n{_HOW[kind]}\n")
    return images


def _label_studio(
    labels: Coco, images: Sequence[Mapping[str, Any]], names: Mapping[int, str], folder: Path, prefix: str
) -> None:
    write_json(folder / "tasks.json", label_studio.to_tasks(labels, images, prefix))
    _text(folder / "interface.xml", label_studio.labelling_interface(labels["categories"]))


def _cvat(
    labels: Coco, images: Sequence[Mapping[str, Any]], names: Mapping[int, str], folder: Path, prefix: str
) -> None:
    _link(images, names, folder / "images")
    _text(folder / "annotations.xml", cvat.to_xml(labels, images, names))


def _yolo(
    labels: Coco, images: Sequence[Mapping[str, Any]], names: Mapping[int, str], folder: Path, prefix: str
) -> None:
    categories = labels["categories"]
    posed = next((category for category in categories if category.get("keypoints")), None)
    permutation = None if posed is None else flip_pairs(posed).permutation
    text = yolo.data_file(categories, permutation)
    _link(images, names, folder / "images")
    for identity, lines in yolo.to_lines(labels, images).items():
        _text(folder / "labels" / f"{Path(names[identity]).stem}.txt", lines)
    _text(folder / "data.yaml", text)


def _coco(
    labels: Coco, images: Sequence[Mapping[str, Any]], names: Mapping[int, str], folder: Path, prefix: str
) -> None:
    _link(images, names, folder / "data")
    chosen = {image["id"] for image in images}
    write_json(
        folder / "labels.json",
        {
            "info": dict(labels.get("info", {})),
            "licenses": [],
            "categories": list(labels["categories"]),
            "images": [{**image, "file_name": names[image["id"]]} for image in images],
            "annotations": [dict(a) for a in labels["annotations"] if a["image_id"] in chosen],
        },
    )


def _link(images: Sequence[Mapping[str, Any]], names: Mapping[int, str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for image in images:
        source, place = Path(image["file_name"]).resolve(), folder / names[image["id"]]
        # Hard links cost no space, and tools that refuse links to elsewhere take them.
        try:
            _link_or_copy(source, place)
        except FileExistsError:
            raise UserError(
                f"{place}: already there, as its file system takes two names for one; export to another disk"
            ) from None


def _link_or_copy(source: Path, place: Path) -> None:
    """A hard link, or a copy where there can't be one (another device, not permitted, too many links). Nothing is overwritten:
    `place` may be a link to somebody's photo."""
    try:
        os.link(source, place)
    except FileExistsError:
        raise
    except OSError:
        with source.open("rb") as original, place.open("xb") as copy:
            shutil.copyfileobj(original, copy)


def _text(path: Path, text: str) -> None:
    with atomic_write(path) as stream:
        stream.write(text)


def import_labels(path: Path, labels: Coco, only: Path | None = None) -> dict[str, Any]:
    """COCO JSON of the images that were reviewed, with the labels that people left on them.

    - `path`: a JSON export of Label Studio, an XML of CVAT, a YOLO folder, or a COCO file; which one is seen from the content.
    - `labels`: the label set that went out: its images and categories are the ones that may come back.
    - `only`: a text file of image names, one a line (lines of `order.txt`): no others count as reviewed. CVAT and COCO files list
      every image, also those that nobody looked at.

    Raises `UserError` for anything that can't be read whole: nothing is dropped in silence.
    """
    category_ids(labels["categories"])
    try:
        made = _import(path, labels["images"], labels["categories"], str(path))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())[:100]
        detail = f"no {reason}" if isinstance(error, KeyError) else reason or type(error).__name__
        raise UserError(f"{path}: not as its tool exports it ({detail}); export it again") from None
    return made if only is None else _only(made, only, Known(labels["images"]), str(path))


def _only(made: dict[str, Any], only: Path, known: Known, where: str) -> dict[str, Any]:
    """Of imported labels, those of the images that a file names."""
    names = [line.strip() for line in read_text(only).splitlines() if line.strip()]
    if not names:
        raise UserError(f"{only}: names no image; write those that were reviewed into it, one a line")
    chosen = {known.image(name, f"{only}, beside {where}")["id"]: name for name in names}
    images = [image for image in made["images"] if image["id"] in chosen]
    if gone := set(chosen) - {image["id"] for image in images}:
        raise UserError(f"{only}: {chosen[min(gone)]!r} is not among what comes back in {where}; take the line out")
    annotations = [a for a in made["annotations"] if a["image_id"] in chosen]
    return as_coco(images, annotations, made["categories"], where)


def _import(
    path: Path, images: Sequence[Mapping[str, Any]], categories: Sequence[Mapping[str, Any]], where: str
) -> dict[str, Any]:
    if path.is_dir():
        for file, read in (("labels.json", _read_json), ("annotations.xml", _read_xml)):
            if (path / file).is_file():
                return read(path / file, images, categories)
        return yolo.from_folder(path / "labels" if (path / "labels").is_dir() else path, images, categories, where)
    if not path.is_file():
        raise UserError(f"{path}: no such file or folder")
    if path.suffix.lower() == ".xml":
        return _read_xml(path, images, categories)
    return _read_json(path, images, categories)


def _read_xml(
    path: Path, images: Sequence[Mapping[str, Any]], categories: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text; export the task again") from None
    return cvat.from_xml(text, images, categories, str(path))


def _read_json(
    path: Path, images: Sequence[Mapping[str, Any]], categories: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    values = read_json(path)
    if isinstance(values, list):
        return label_studio.from_tasks(values, images, categories, str(path), ours=True)
    if not isinstance(values, Mapping) or not isinstance(values.get("images"), list):
        raise UserError(f"{path}: neither an export of Label Studio (a list) nor COCO JSON (with `images`)")
    return _from_coco(values, images, categories, str(path))


def _from_coco(
    values: Mapping[str, Any], images: Sequence[Mapping[str, Any]], categories: Sequence[Mapping[str, Any]], where: str
) -> dict[str, Any]:
    """Corrected COCO: ids of images and categories may have changed on the way, names may not."""
    known = Known(images, "data")
    ids, theirs = category_ids(categories), category_ids(values.get("categories", []), where)
    moved = {number: category_of(name, ids, where) for name, number in theirs.items()}
    found: dict[Any, Mapping[str, Any]] = {}
    for entry in values["images"]:
        image = known.image(entry["file_name"], where)
        if entry["id"] in found:
            raise UserError(f"{where}: {image['file_name']}: another image has its id {entry['id']}, too; take one out")
        require_size(entry, image, where)
        found[entry["id"]] = image
    annotations = []
    for annotation in values.get("annotations", []):
        if annotation["image_id"] not in found or annotation["category_id"] not in moved:
            raise UserError(f"{where}: annotation {annotation.get('id')} has no image or category in this file")
        image = found[annotation["image_id"]]
        kept = {key: annotation[key] for key in ("keypoints", "num_keypoints", "iscrowd") if key in annotation}
        places = {"image_id": image["id"], "category_id": moved[annotation["category_id"]]}
        annotations.append({**places, "bbox": require_box(annotation["bbox"], image, where), **kept})
    return as_coco(list(found.values()), annotations, categories, where)
