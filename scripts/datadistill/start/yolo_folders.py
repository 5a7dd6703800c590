"""YOLO as others write it: a data.yaml that names folders of images, classes and keypoints, and a label file an image."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from datadistill.data.voc import coco_categories
from datadistill.errors import UserError
from datadistill.exchange.review import Known, as_coco
from datadistill.exchange.yolo import label_files, names_of, read_labels
from datadistill.files import read_text
from datadistill.values import is_integer


@dataclass(frozen=True)
class Described:
    """What a data.yaml says: the folder of images to learn from, the one of others to judge by, and the classes."""

    images: Path
    held_out: Path | None
    categories: list[dict[str, Any]]


def describe(path: Path) -> Described:
    """Read a data.yaml. Raises `UserError` for one that doesn't name its classes, or folders that aren't there."""
    try:
        values = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(values, Mapping) or "names" not in values:
        raise UserError(f"{path}: not a data.yaml of YOLO, which has `train` and `names`")
    categories = coco_categories(names_of(values, path))
    if "kpt_shape" in values:
        described = _keypoints(values, path)
        categories = [{**category, **described} for category in categories]
    train = _folder(values, "train", path)
    if train is None:
        raise UserError(f"{path}: it names no folder of images as `train`; add the key")
    held_out = _folder(values, "val", path)
    return Described(train, None if held_out == train else held_out, categories)


def _folder(values: Mapping[str, Any], key: str, path: Path) -> Path | None:
    """The folder of a key: relative to `path`, to the YAML itself, or, as some write it, one level off."""
    stated = values.get(key)
    if stated is None or stated == "":
        return None
    if not isinstance(stated, str) or stated.endswith(".txt"):
        raise UserError(f"{path}: {key}: name one folder of images; lists of files or folders can't be read")
    base = path.parent / str(values.get("path") or ".")
    tried = [base / stated, path.parent / stated, path.parent / stated.removeprefix("../")]
    found = next((folder for folder in tried if folder.is_dir()), None)
    if found is None:
        raise UserError(f"{path}: {key}: no such folder {stated!r}; correct it there, or name the images with IMAGES=")
    # `train` may be what holds `images` and `labels`.
    return found / "images" if (found / "images").is_dir() else found


def _keypoints(values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Names and pairs of keypoints: names are rare in YOLO, pairs are `flip_idx`."""
    shape, order, names = values["kpt_shape"], values.get("flip_idx"), values.get("kpt_names")
    if not (isinstance(shape, list) and len(shape) == 2 and all(is_integer(v) and v > 0 for v in shape)):
        raise UserError(f"{path}: kpt_shape must be [number of keypoints, 3]")
    count, numbers = shape
    if numbers != 3:
        raise UserError(f"{path}: kpt_shape: {numbers} numbers a keypoint; x, y and a visibility are needed")
    if isinstance(names, Mapping):
        names = next(iter(names.values()), None)
    if names is not None and (not isinstance(names, list) or len(names) != count):
        raise UserError(f"{path}: kpt_names must list the {count} keypoints")
    if order is None and names is None:
        raise UserError(
            f"{path}: nothing says which keypoints change places in a mirrored image; add flip_idx (or kpt_names) to the file"
        )
    called = [str(name) for name in names] if names else [f"keypoint_{number}" for number in range(count)]
    fields: dict[str, Any] = {}
    fields["keypoints"] = called
    if order is None:
        return fields
    if not isinstance(order, list) or sorted(order) != list(range(count)) or any(order[order[i]] != i for i in order):
        raise UserError(f"{path}: flip_idx must name each of the {count} keypoints once, and pairs each other")
    fields["flip_pairs"] = [[called[a], called[b]] for a, b in enumerate(order) if a < b]
    return fields


def labels_of(images: Path, stems: Container[str], where: Path) -> list[Path]:
    """The label files of a folder of images, which have these stems: where the path says `labels` for `images`, or beside the images."""
    parts = list(images.parts)
    places = [images]
    if "images" in parts:
        at = len(parts) - 1 - parts[::-1].index("images")
        places.insert(0, Path(*parts[:at], "labels", *parts[at + 1 :]))
    places.insert(1, images.parent / "labels")
    for place in places:
        found = label_files(place, stems) if place.is_dir() else []
        if found:
            return found
    raise UserError(f"{where}: no label file (*.txt) in {places[0]}, where those of {images} should be")


def read(
    labels: Sequence[Path], images: Sequence[Mapping[str, Any]], categories: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """COCO JSON of the images that have label files. Raises `UserError` for a label file without its image."""
    known = Known(images)
    found, annotations = [], []
    for path in labels:
        image = known.image(path.stem, str(path))
        found.append(image)
        annotations += read_labels(path, image, categories)
    return as_coco(found, annotations, categories)
