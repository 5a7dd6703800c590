"""YOLO: a text file an image, out and in; boxes, and boxes with keypoints (`pose`).

A line is `class x y width height` with the box's centre, in fractions of the image; keypoints follow as `x y visibility`.
Ten decimals keep a coordinate to a millionth of a pixel.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from datadistill.annotations import by_image
from datadistill.errors import UserError
from datadistill.exchange.review import Coco, Known, as_coco, require_box
from datadistill.files import read_json

DECIMALS = 10


def to_lines(labels: Coco, images: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """The text of each image's label file, by image id; empty where there is no label."""
    index = {category["id"]: place for place, category in enumerate(labels["categories"])}
    groups = by_image(labels["annotations"])
    return {image["id"]: "".join(_line(a, image, index) for a in groups.get(image["id"], [])) for image in images}


def _line(annotation: Mapping[str, Any], image: Mapping[str, Any], index: Mapping[int, int]) -> str:
    width, height = image["width"], image["height"]
    x, y, w, h = annotation["bbox"]
    values = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
    words = [str(index[annotation["category_id"]]), *(f"{value:.{DECIMALS}f}" for value in values)]
    points = annotation.get("keypoints") or []
    for px, py, visible in zip(points[::3], points[1::3], points[2::3], strict=True):
        words += [f"{px / width:.{DECIMALS}f}", f"{py / height:.{DECIMALS}f}", str(int(visible))]
    return " ".join(words) + "\n"


def data_file(categories: Sequence[Mapping[str, Any]], permutation: Sequence[int] | None) -> str:
    """The YAML that names images and classes. `permutation`: of keypoints in a mirrored image, where there are any."""
    description: dict[str, Any] = {
        "path": ".",
        "train": "images",
        "val": "images",
        "names": {place: category["name"] for place, category in enumerate(categories)},
    }
    keypoints = {len(category.get("keypoints") or []) for category in categories}
    if permutation is not None:
        if len(keypoints) > 1:
            raise UserError(
                "yolo: categories with different numbers of keypoints can't be written; use cvat or label-studio"
            )
        description |= {"kpt_shape": [keypoints.pop(), 3], "flip_idx": list(permutation)}
    return yaml.safe_dump(description, sort_keys=False)


def from_folder(
    folder: Path, images: Sequence[Mapping[str, Any]], categories: Sequence[Mapping[str, Any]], where: str
) -> dict[str, Any]:
    """COCO JSON of every image that has a label file below `folder`; an empty file is an image without objects.

    Classes are the numbers of the names in `data.yaml`, `classes.txt` or `notes.json` beside the labels; without such a file,
    of `categories` in their order.
    """
    names = class_names(folder)
    if names is not None:
        by_name = {category["name"]: category for category in categories}
        unknown = [name for name in names if name not in by_name]
        if unknown:
            raise UserError(f"{where}: there is no category {unknown[0]!r}; known: {', '.join(by_name)}")
        if len(set(names)) < len(names):
            raise UserError(f"{where}: two classes have one name ({', '.join(names)}); name each once")
        categories = [by_name[name] for name in names]
    known = Known(images)
    reviewed, annotations = [], []
    for path in label_files(folder, known):
        image = known.image(path.stem, str(path))
        reviewed.append(image)
        annotations += read_labels(path, image, categories)
    if not reviewed:
        raise UserError(f"{where}: no label file (*.txt) in this folder or below")
    return as_coco(reviewed, annotations, categories, where)


_LISTS = {"classes", "train", "val", "test", "order", "notes"}
"""Stems of texts that list classes or images."""


def label_files(folder: Path, stems: Container[str]) -> list[Path]:
    """The label files below a folder: texts that aren't lists of classes or of images.

    `stems`: those of the images. A text that is called like a list is one unless an image has its stem; `classes.txt` always is.
    """

    def is_list(path: Path) -> bool:
        listed = path.stem in _LISTS or path.name.startswith("README")
        return listed and (path.stem == "classes" or path.stem not in stems)

    return sorted(path for path in folder.rglob("*.txt") if not is_list(path))


def class_names(folder: Path) -> list[str] | None:
    """Names of the classes, in order, from `data.yaml`, `classes.txt` or `notes.json` in a folder or its parent; None if
    none is there."""
    for place in (folder, folder.parent):
        for file in ("data.yaml", "data.yml", "dataset.yaml"):
            if (place / file).is_file():
                return _names_of_yaml(place / file)
        if (place / "classes.txt").is_file():
            return [
                line.strip()
                for line in (place / "classes.txt").read_text(encoding="utf-8").splitlines()
                if line.strip()
            ]
        if (place / "notes.json").is_file():
            notes = read_json(place / "notes.json")
            try:
                return [entry["name"] for entry in sorted(notes.get("categories", []), key=lambda entry: entry["id"])]
            except (LookupError, TypeError, AttributeError):
                raise UserError(f"{place / 'notes.json'}: its categories aren't a list of ids and names") from None
    return None


def _names_of_yaml(path: Path) -> list[str]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        values = None
    if not isinstance(values, Mapping):
        raise UserError(f"{path}: not a YAML mapping with `names`")
    return names_of(values, path)


def names_of(values: Mapping[str, Any], path: Path) -> list[str]:
    """The classes that the content of a data.yaml names, in order; `path` stands for it in a `UserError`."""
    names = values.get("names")
    if isinstance(names, Mapping) and sorted(names) == list(range(len(names))):
        return [str(names[place]) for place in range(len(names))]
    if isinstance(names, list):
        return [str(name) for name in names]
    raise UserError(f"{path}: `names` must list the classes, or number them from 0")


def read_labels(path: Path, image: Mapping[str, Any], categories: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The instances of one label file. Raises `UserError` with the line for whatever isn't a box (with keypoints)."""
    width, height = image["width"], image["height"]
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        try:
            label, *values = line.split()
            place, numbers = int(label), [float(value) for value in values]
        except ValueError:
            raise UserError(f"{where}: {line.strip()[:60]!r} is not a class and numbers") from None
        if not 0 <= place < len(categories):
            raise UserError(f"{where}: there is no class {place}; the classes are 0 to {len(categories) - 1}")
        names = categories[place].get("keypoints") or []
        if len(numbers) not in {4, 4 + 3 * len(names)} or (not names and len(numbers) != 4):
            raise UserError(f"{where}: {len(numbers)} numbers; a box has 4, and 3 for each of {len(names)} keypoints")
        if not all(-0.5 <= value <= 1.5 for value in numbers[:4]):
            raise UserError(f"{where}: the box isn't in fractions of the image")
        points = numbers[4:] or [0.0] * (3 * len(names))
        columns = list(zip(points[::3], points[1::3], points[2::3], strict=True))
        if not all(seen in (0, 1, 2) for *_, seen in columns):
            raise UserError(f"{where}: the visibility of a keypoint isn't 0, 1 or 2; correct it")
        if not all(-0.5 <= value <= 1.5 for px, py, seen in columns if seen for value in (px, py)):
            raise UserError(
                f"{where}: a keypoint isn't in fractions of the image; divide x by its width and y by its height"
            )
        x, y, w, h = numbers[:4]
        box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
        instance: dict[str, Any] = {
            "image_id": image["id"],
            "category_id": categories[place]["id"],
            "bbox": require_box(box, image, where),
        }
        if names:
            instance["keypoints"] = [v for px, py, seen in columns for v in (px * width, py * height, int(seen))]
            instance["num_keypoints"] = sum(1 for seen in points[2::3] if seen)
        found.append(instance)
    return found
