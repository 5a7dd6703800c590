"""Labelled images as others left them, whatever their format: COCO, YOLO, Pascal VOC, exports of Label Studio and CVAT.

`read_dataset` tells the format from what lies there, finds the images, and gives COCO JSON. The readers are those that bring
reviewed labels back (`exchange`) and that splits use (`data`); here is what must be known before: images and categories.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from datadistill.data.images import IMAGE_SUFFIXES, inspect_images, list_images, require_folder
from datadistill.data.sources import path_id
from datadistill.data.voc import coco_categories, read_names, read_voc
from datadistill.errors import UserError
from datadistill.exchange import cvat, label_studio
from datadistill.files import read_json, read_text
from datadistill.start import exports, yolo_folders

Coco = Mapping[str, Any]
Categories = Sequence[Mapping[str, Any]]

FORMATS = (
    "COCO JSON, YOLO's data.yaml, a folder of Pascal VOC's XML files, an export of Label Studio (JSON) or of CVAT (XML)"
)
_YAML = ("data.yaml", "data.yml", "dataset.yaml")
# Where images lie beside an annotation file, or beside the folder that it is in.
_BESIDE = ("images", "JPEGImages", "data", ".")


@dataclass(frozen=True)
class Dataset:
    """Labelled images, and the folder that their file names are relative to.

    - `form`: the format that they were in; `source`: the file or folder.
    - `coco`: COCO JSON. Image ids of a COCO file are its own, others are made of the file names, as for plain folders.
    - `as_it_is`: a split can name `source` itself, as it is COCO JSON already.
    - `held_out`: what the format itself names for validation, if it does (YOLO).
    - `notes`: sentences on what was left out.
    """

    form: str
    source: Path
    images: Path
    coco: dict[str, Any]
    as_it_is: bool = False
    held_out: Path | None = None
    notes: tuple[str, ...] = ()


def read_dataset(source: Path, images: Path | None = None, categories: Categories | None = None) -> Dataset:
    """Read `source`, a file or folder in one of the formats.

    - `images`: the folder of the images; without it one is looked for beside the annotations.
    - `categories`: those that there may be, with their ids (of the labelled images, for those of validation); None takes those found.

    Raises `UserError` for what is none of the formats, for images that aren't there, and as each format's reader does.
    """
    if images is not None:
        require_folder(images)
    form, place = find_format(source)
    try:
        return _READERS[form](place, images, categories)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())[:100]
        detail = f"no {reason}" if isinstance(error, KeyError) else reason or type(error).__name__
        raise UserError(f"{place}: not as {form} has it ({detail}); export it again") from None


def find_format(source: Path) -> tuple[str, Path]:
    """The format of a file or folder, and the file or folder that says the labels."""
    if not source.exists():
        raise UserError(f"{source}: no such file or folder; name {FORMATS}")
    if source.is_dir():
        return _format_of_folder(source)
    suffix = source.suffix.lower()
    if suffix == ".json":
        return ("Label Studio" if isinstance(read_json(source), list) else "COCO"), source
    if suffix == ".xml":
        if exports.xml_root(source).tag == "annotation":
            raise UserError(f"{source}: the Pascal VOC annotation of one image; name its folder")
        return "CVAT", source
    if suffix in (".yaml", ".yml"):
        return "YOLO", source
    if suffix == ".txt":
        return "Pascal VOC", source
    raise UserError(f"{source}: no annotations of a known format; name {FORMATS}")


def _format_of_folder(folder: Path) -> tuple[str, Path]:
    for name in (*_YAML, "labels.json", "annotations.xml"):
        if (folder / name).is_file():
            return find_format(folder / name)
    for place in (folder / "Annotations", folder / "annotations", folder):
        found = sorted(place.glob("*.xml")) if place.is_dir() else []
        if len(found) == 1 and exports.xml_root(found[0]).tag != "annotation":
            return "CVAT", found[0]
        if found:
            return "Pascal VOC", place
    listed = [path for place in (folder, folder / "annotations") for path in sorted(place.glob("*.json"))]
    if len(listed) == 1:
        return find_format(listed[0])
    if listed:
        names = ", ".join(path.relative_to(folder).as_posix() for path in listed[:4])
        raise UserError(
            f"{folder}: {len(listed)} JSON files ({names}{', ...' if len(listed) > 4 else ''}); name one of them"
        )
    if any((folder / "labels").glob("**/*.txt")):
        raise UserError(f"{folder}: labels of YOLO without a data.yaml, which names the classes; write one there")
    held = len(list_images(folder))
    what = f"{held} images and no annotations" if held else "no annotations of a known format"
    raise UserError(f"{folder}: it holds {what}; name {FORMATS}")


# --- the formats


def _coco(place: Path, images: Path | None, categories: Categories | None) -> Dataset:
    values = read_json(place)
    if not isinstance(values, Mapping) or not isinstance(values.get("images"), list):
        raise UserError(f"{place}: neither COCO JSON (with `images`) nor an export of Label Studio (a list)")
    names = [image.get("file_name") for image in values["images"] if isinstance(image, Mapping)]
    folder = images or folder_beside(place, [name for name in names if isinstance(name, str)])
    return Dataset("COCO", place, folder, dict(values), as_it_is=True)


def _voc(place: Path, images: Path | None, categories: Categories | None) -> Dataset:
    if place.is_dir():
        annotations, list_file = place, None
    else:
        # A list lies beside the folders, or as in VOC's own release in ImageSets/Main.
        around = [place.parent, *place.parents[1:3]]
        annotations = next((folder / "Annotations" for folder in around if (folder / "Annotations").is_dir()), place)
        list_file = place
        if annotations == place:
            raise UserError(
                f"{place}: a list of names needs a folder `Annotations` of Pascal VOC's XML files beside it"
            )
    names = read_names(annotations, list_file)
    stems = {name: [f"{name}{ending}" for ending in IMAGE_SUFFIXES] for name in names[:5]}
    folder = images or folder_beside(annotations / "x", [file for files in stems.values() for file in files], some=True)
    known = [category["name"] for category in categories] if categories else exports.voc_categories(annotations, names)
    read = read_voc(annotations, folder, names, known, drop_empty_boxes=True)
    records = [{"id": path_id(image["file_name"]), **image} for image in read.images]
    found = [
        {**entry, "image_id": record["id"]}
        for record, objects in zip(records, read.objects, strict=True)
        for entry in objects
    ]
    notes = tuple(f"{Path(row['file_name']).name}: {row['reason']}; it is left out." for row in read.left_out)
    coco = {"images": records, "annotations": _numbered(found), "categories": coco_categories(known)}
    return Dataset("Pascal VOC", place, folder, coco, notes=notes)


def _yolo(place: Path, images: Path | None, categories: Categories | None) -> Dataset:
    described = yolo_folders.describe(place)
    folder = images or described.images
    listed, known = list_images(folder), described.categories
    labels = yolo_folders.labels_of(folder, {PurePosixPath(name).stem for name in listed}, place)
    records = _inspected(folder, _of_stems(listed, [path.name for path in labels]))
    there = {PurePosixPath(record["file_name"]).stem for record in records}
    if alone := [path for path in labels if path.stem not in there]:
        raise UserError(
            f"{alone[0]}: there is no image of that name in {folder} ({len(alone)} such label files); remove it, or name the "
            "folder of the images with IMAGES="
        )
    coco = yolo_folders.read(labels, records, known)
    unlabelled = len(listed) - len(records)
    notes = (f"{unlabelled} images without a label file are left out (an empty file says: no objects).",)
    return Dataset("YOLO", place, folder, coco, held_out=described.held_out, notes=notes if unlabelled else ())


def _label_studio(place: Path, images: Path | None, categories: Categories | None) -> Dataset:
    tasks, where = read_json(place), str(place)
    names = exports.task_names(tasks, where)
    folder = images or folder_beside(
        place, [file for name in names for file in exports.possible_names(name)], some=True
    )
    listed = list_images(folder)
    tasks = exports.with_local_names(tasks, listed, where, folder)
    records = _inspected(folder, _of_stems(listed, exports.task_names(tasks, where)))
    known = categories or exports.label_studio_categories(tasks, place)
    coco = label_studio.from_tasks(tasks, records, known, where)
    skipped = len(tasks) - len(coco["images"])
    notes = (f"{skipped} tasks without a submitted annotation are left out.",) if skipped else ()
    return Dataset("Label Studio", place, folder, coco, notes=notes)


def _cvat(place: Path, images: Path | None, categories: Categories | None) -> Dataset:
    names = exports.cvat_names(place)
    folder = images or folder_beside(place, names)
    records = _inspected(folder, _of_stems(list_images(folder), names))
    known = categories or exports.cvat_categories(place)
    return Dataset("CVAT", place, folder, cvat.from_xml(read_text(place), records, known, str(place)))


_READERS: Mapping[str, Callable[[Path, Path | None, Categories | None], Dataset]] = {
    "COCO": _coco,
    "Pascal VOC": _voc,
    "YOLO": _yolo,
    "Label Studio": _label_studio,
    "CVAT": _cvat,
}


# --- images


def folder_beside(annotations: Path, names: Sequence[str], *, some: bool = False) -> Path:
    """The folder beside an annotation file that has the images of these names: all of the first five, or with `some` any.

    Raises `UserError` when there is none, or no name to look for.
    """
    test = any if some else all
    tried = names if some else names[:5]
    around = annotations.parent
    above = around.resolve().parent if around.is_symlink() else Path(os.path.normpath(around / ".."))
    for folder in (place / name for place in (around, above) for name in _BESIDE):
        if names and folder.is_dir() and test((folder / name).is_file() for name in tried):
            return folder
    shown = names[0] if names else "it names none"
    raise UserError(
        f"{annotations}: its images ({shown}, ...) are in no folder beside it; name their folder with IMAGES="
    )


def _of_stems(listed: Iterable[str], names: Iterable[str]) -> list[str]:
    wanted = {PurePosixPath(name).stem for name in names}
    return [name for name in listed if PurePosixPath(name).stem in wanted]


def _inspected(folder: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    """Records of images, with their sizes after EXIF orientation. A damaged one is a `UserError`."""
    found = inspect_images([(str(folder / name), None) for name in names])
    damaged = [entry for entry in found if entry.problem]
    if damaged:
        refuse_damaged(damaged, len(found), str(folder))
    return [
        {"id": path_id(name), "file_name": name, "width": entry.width, "height": entry.height}
        for name, entry in zip(names, found, strict=True)
    ]


def refuse_damaged(damaged: Sequence[Any], total: int, source: str) -> None:
    """Labelled images that can't be used stop a run: say so before."""
    examples = "; ".join(f"{entry.file_name}: {entry.problem}" for entry in damaged[:3])
    raise UserError(
        f"{source}: {len(damaged)} of {total} labelled images can't be used ({examples}); restore them, or take them out"
    )


def _numbered(annotations: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"id": number, "area": entry["bbox"][2] * entry["bbox"][3], **entry}
        for number, entry in enumerate(annotations, start=1)
    ]
