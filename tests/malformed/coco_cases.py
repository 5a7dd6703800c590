"""Malformed COCO files: mutations of a sound one, and files that are none."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import Case
from PIL import Image

Coco = dict[str, Any]
SOUND: Coco = {
    "info": {"year": 2026},
    "licenses": [{"id": 1, "name": "none"}],
    "images": [
        {"id": 10, "file_name": "a.jpg", "width": 48, "height": 32, "license": 1},
        {"id": 20, "file_name": "b.jpg", "width": 48, "height": 32},
    ],
    "categories": [{"id": 1, "name": "person", "keypoints": ["nose", "left", "right"], "skeleton": [[1, 2], [1, 3]]}],
    "annotations": [
        {
            "id": number,
            "image_id": 10 * number,
            "category_id": 1,
            "bbox": [4.0, 4.0, 20.0, 20.0],
            "area": 300.0,
            "iscrowd": 0,
            "keypoints": [6, 7, 2, 8, 9, 1, 0, 0, 0],
            "num_keypoints": 2,
        }
        for number in (1, 2)
    ],
}
NAN, HUGE, VAST = float("nan"), float("inf"), 10**400


def write_images(folder: Path) -> Path:
    """The two images of `SOUND`."""
    images = folder / "images"
    images.mkdir()
    for number, name in enumerate(("a.jpg", "b.jpg")):
        Image.new("RGB", (48, 32), (number * 90, 40, 10)).save(images / name)
    return images


def split_arguments(folder: Path, kind: str = "coco", **values: Any) -> list[str]:
    """The arguments of make_split.py."""
    spec = {"name": "mine", "kind": kind, **values}
    (folder / "source.json").write_text("{}")
    return [
        *("--spec", json.dumps(spec), "--source", str(folder / "source.json")),
        *("--images", str(folder / "images"), "--output", str(folder / "out" / "split.json")),
        *("--ledger", str(folder / "out" / "ledger.json")),
    ]


def coco_arguments(folder: Path, task: str = "keypoints", **values: Any) -> list[str]:
    return split_arguments(
        folder,
        **{
            "task": task,
            "images": str(folder / "images"),
            "annotations": str(folder / "a.json"),
            "num_keypoints": 3 if task == "keypoints" else None,
            **values,
        },
    )


def of_text(text: str | bytes) -> Callable[[Path], Sequence[str]]:
    def build(folder: Path) -> Sequence[str]:
        write_images(folder)
        (folder / "a.json").write_bytes(text if isinstance(text, bytes) else text.encode())
        return coco_arguments(folder)

    return build


def of_change(change: Callable[[Coco], Any], task: str = "keypoints", **values: Any) -> Callable[[Path], Sequence[str]]:
    def build(folder: Path) -> Sequence[str]:
        data = copy.deepcopy(SOUND)
        change(data)
        write_images(folder)
        (folder / "a.json").write_text(json.dumps(data))
        return coco_arguments(folder, task, **values)

    return build


def put(path: str, value: Any) -> Callable[[Coco], None]:
    """Set what lies at `images.0.id`."""

    def change(data: Coco) -> None:
        *way, last = path.split(".")
        node: Any = data
        for step in way:
            node = node[int(step)] if step.isdigit() else node[step]
        node[int(last) if last.isdigit() else last] = value

    return change


def drop(path: str) -> Callable[[Coco], None]:
    def change(data: Coco) -> None:
        *way, last = path.split(".")
        node: Any = data
        for step in way:
            node = node[int(step)] if step.isdigit() else node[step]
        del node[last]

    return change


NO_NUMBERS: dict[str, Any] = {
    "text": "7",
    "list": [7],
    "mapping": {"a": 7},
    "true": True,
    "NaN": NAN,
    "infinity": HUGE,
    "400 digits": VAST,
}
TEXTS: dict[str, str | bytes] = {
    "empty": "",
    "cut short": json.dumps(SOUND)[:-40],
    "text": "hello",
    "a number": "17",
    "a list": "[]",
    "null": "null",
    "empty object": "{}",
    "100,000 brackets": "[" * 100_000,
    "100,000 braces": '{"a":' * 100_000,
    "10,000 digits": json.dumps(SOUND).replace('"year": 2026', '"year": ' + "9" * 10_000),
    "1e999": json.dumps(SOUND).replace("2026", "1e999"),
    "NaN": json.dumps(SOUND).replace("2026", "NaN"),
    "minus infinity": json.dumps(SOUND).replace("2026", "-Infinity"),
    "UTF-16": json.dumps(SOUND).encode("utf-16"),
    "Latin-1": json.dumps(SOUND, ensure_ascii=False).replace("none", "für").encode("latin-1"),
    "a JPEG": b"\xff\xd8\xff\xe0" + bytes(200),
    "NUL": b"\0" * 100,
    "two objects": "{}{}",
    "comments": "// COCO\n{}",
}


def _cases() -> list[Case]:
    cases: list[tuple[str, Callable[[Path], Sequence[str]], tuple[str, ...]]] = [
        (f"file: {name}", of_text(text), ("a.json",)) for name, text in TEXTS.items()
    ]
    for field in ("images.0.id", "images.0.width", "images.1.height", "categories.0.id"):
        cases += [(f"{field}: {name}", of_change(put(field, bad)), ("a.json",)) for name, bad in NO_NUMBERS.items()]
    for field in ("id", "image_id", "category_id", "area", "bbox.0", "bbox.3", "keypoints.1", "keypoints.2"):
        cases += [
            (f"{field}: {name}", of_change(put(f"annotations.0.{field}", bad)), ("a.json",))
            for name, bad in NO_NUMBERS.items()
        ]
    for field in ("images", "annotations", "categories"):
        cases += [
            (f"{field}: {name}", of_change(put(field, bad)), ("a.json", field))
            for name, bad in {"null": None, "text": "x", "numbers": [1], "mapping": {}, "lists": [[]]}.items()
        ]
        cases.append((f"{field}: absent", of_change(drop(field)), ("a.json", field)))
    names = {
        "empty": "",
        "number": 5,
        "NUL": "a\0.jpg",
        "half": "\ud800.jpg",
        "line break": "a\n.jpg",
        "list": ["a.jpg"],
    }
    names |= {
        "absolute": "/etc/passwd",
        "upwards": "../a.jpg",
        "hidden upwards": "b/../../a.jpg",
        "not UTF-8": "\udcff.jpg",
    }
    cases += [
        (f"file_name: {name}", of_change(put("images.0.file_name", bad)), ("a.json", "file_name"))
        for name, bad in names.items()
    ]
    crowds = {"text": "no", "two": 2, "list": [], "float": 0.5, "mapping": {}}
    cases += [
        (f"iscrowd: {name}", of_change(put("annotations.1.iscrowd", bad)), ("a.json", "annotation 2", "iscrowd"))
        for name, bad in crowds.items()
    ]
    boxes: dict[str, Any] = {
        "900 px in 48": [0, 0, 900, 20],
        "left of it": [-30, 0, 20, 20],
        "below it": [0, 31, 10, 10],
        "negative": [10, 10, -5, 5],
        "three": [1, 2, 3],
        "five": [1, 2, 3, 4, 5],
        "none": None,
        "text": "1 2 3 4",
        "vast": [0, 0, 1e300, 1],
    }
    cases += [
        (f"bbox: {name}", of_change(put("annotations.1.bbox", bad)), ("a.json", "annotation 2", "bbox"))
        for name, bad in boxes.items()
    ]
    posed: dict[str, Any] = {
        "a number": 17,
        "numbers": [1, 2, 3],
        "text": "nose",
        "twins": ["nose", "nose", "left"],
        "a line break": ["nose\n", "left", "right"],
        "two": ["nose", "left"],
        "none": [],
        "mapping": {"nose": 1},
    }
    cases += [
        (f"keypoints of a category: {name}", of_change(put("categories.0.keypoints", bad)), ("a.json", "keypoints"))
        for name, bad in posed.items()
    ]
    bones: dict[str, Any] = {
        "a number": 3,
        "triples": [[1, 2, 3]],
        "beyond": [[1, 4]],
        "from 0": [[0, 1]],
        "names": [["nose", 1]],
    }
    cases += [
        (f"skeleton: {name}", of_change(put("categories.0.skeleton", bad)), ("a.json", "skeleton"))
        for name, bad in bones.items()
    ]
    points: dict[str, Any] = {
        "short": [1, 2, 2],
        "text": "x",
        "visibility 5": [6, 7, 5, 8, 9, 1, 0, 0, 0],
        "mapping": {},
    }
    cases += [
        (f"keypoints: {name}", of_change(put("annotations.0.keypoints", bad)), ("a.json", "annotation 1", "keypoints"))
        for name, bad in points.items()
    ]

    def crowds_alone(data: Coco) -> None:
        for annotation in data["annotations"]:
            annotation["iscrowd"] = 1

    def invisible(data: Coco) -> None:
        for annotation in data["annotations"]:
            annotation["keypoints"] = [0] * 9

    cases += [
        ("crowds alone", of_change(crowds_alone), ("a.json", "none of its 2 annotations")),
        ("crowds alone, objects", of_change(crowds_alone, "objects"), ("a.json", "none of its 2 annotations")),
        ("no visible keypoint", of_change(invisible), ("a.json", "none of its 2 annotations")),
        ("no annotation", of_change(put("annotations", [])), ("a.json", "none of its 0 annotations")),
        ("negative area", of_change(put("annotations.0.area", -1)), ("a.json", "annotation 1", "area")),
        ("id of 2^63", of_change(put("images.0.id", 2**63)), ("a.json", "id")),
        ("annotation id of 2^63", of_change(put("annotations.0.id", 2**63)), ("a.json", "annotation id")),
        ("an id twice", of_change(put("images.1.id", 10)), ("a.json", "image id 10 is repeated")),
        ("a name twice", of_change(put("images.1.file_name", "a.jpg")), ("a.json", "a.jpg", "repeated")),
        ("an annotation id twice", of_change(put("annotations.1.id", 1)), ("a.json", "annotation id 1")),
        ("an image that isn't listed", of_change(put("annotations.0.image_id", 99)), ("a.json", "99")),
        ("a category that isn't defined", of_change(put("annotations.0.category_id", 7)), ("a.json", "7")),
        ("a category's name", of_change(put("categories.0.name", 5)), ("a.json", "category")),
        ("a category's line break", of_change(put("categories.0.name", "a\nb")), ("a.json", "category")),
        ("no size", of_change(drop("images.0.width")), ("a.json", "image 10")),
        ("size 0", of_change(put("images.0.height", 0)), ("a.json", "image 10")),
        ("another size than the file's", of_change(put("images.0.width", 40)), ("a.jpg", "48x32")),
        ("licences that are none", of_change(put("licenses", 5)), ("a.json", "licenses")),
        ("infinite licence", of_change(put("licenses", [{"id": HUGE}])), ("a.json",)),
        ("infinite field of an image", of_change(put("images.0.gain", HUGE)), ("a.json",)),
        ("another task", of_change(drop("categories.0.keypoints")), ("a.json", "keypoints")),
        ("num_keypoints of the config", of_change(lambda data: None, num_keypoints=17), ("a.json", "num_keypoints")),
    ]
    return [Case(name, "make_split", build, words) for name, build, words in cases]


CASES = _cases()
