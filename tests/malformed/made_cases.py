"""Files that the workflow made itself, edited or cut short afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bench import SCRIPTS, Case

from datadistill.detections import Detections
from datadistill.files import canonical_json, write_json
from datadistill.specs import EvaluationSpec, GateSpec, LabelSetSpec, PredictionsSpec
from datadistill.transforms import Transform

PREDICTIONS = PredictionsSpec("m", "p", (Transform(96, 160),), 0.05, 0.5, 20, None, False)
GATE = GateSpec(PREDICTIONS.digest, "labelled", "all", 1.5, None, False)
LABELS = LabelSetSpec(PREDICTIONS.digest, None, "labelled", "all", 1.0, 1.0, None, None, True)
EVALUATION = EvaluationSpec(PREDICTIONS.digest, None, "labelled")
CATEGORIES = [{"id": 1, "name": "ball"}, {"id": 2, "name": "cup"}]


def split(first: int, annotated: bool) -> dict[str, Any]:
    images = [
        {"id": i, "file_name": f"{i}.jpg", "width": 64, "height": 48, "dataset": f"d{first}", "content": f"c{i}"}
        for i in range(first, first + 4)
    ]
    annotations = [
        {"id": i, "image_id": image["id"], "category_id": 1 + i % 2, "bbox": [4, 4, 20, 20], "area": 400, "iscrowd": 0}
        for i, image in enumerate(images if annotated else [], 1)
    ]
    return {"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": CATEGORIES}


def detections(first: int) -> Detections:
    count = 8
    boxes = np.tile(np.array([[4, 4, 24, 24]], np.float32), (count, 1))
    return Detections(
        np.arange(first, first + 4),
        np.arange(count) // 2,
        boxes,
        np.linspace(0.9, 0.2, count, dtype=np.float32),
        1 + np.arange(count) % 2,
    )


def write_all(folder: Path) -> None:
    """The sound files: splits, detections of both, thresholds, an evaluation, a record of draws."""
    write_json(folder / "pool.json", split(100, annotated=False))
    write_json(folder / "labelled.json", split(10, annotated=True))
    write_json(folder / "truth.json", split(100, annotated=True))
    for name, first in (("pool", 100), ("labelled", 10)):
        detections(first).save(folder / f"{name}.npz", [PREDICTIONS.canonical()], {"torch": "2"})
    row = {"source": "labelled", "image_id": 1, "dataset": "d", "content": "other", "count": 1}
    write_json(folder / "drawn.json", {"total": 1, "labelled_share": 1.0, "images": [row]})
    one = {"threshold": 0.5, "target": 1.0, "achieved": 1.0, "kept": 4, "available": 4, "outcome": "matched"}
    thresholds = {"1": one, "2": one}
    report = {"names": {"1": "ball", "2": "cup"}}
    values = {"per_category": True, "categories": thresholds, "overall": one, "overall_by_category": thresholds}
    write_json(folder / "thresholds.json", {"task": "objects", **values, "keypoints": None, "report": report})
    labels = split(100, annotated=True)
    for annotation in labels["annotations"]:
        annotation |= {"score": 0.9, "source": "x"}
    write_json(folder / "annotations.json", labels)
    write_json(folder / "evaluation.json", {"metrics": {"AP": 10.0, "AP50": 20.0}})


def gate(folder: Path) -> list[str]:
    return [
        *("--spec", canonical_json(GATE.canonical()), "--task", "objects", "--margin", "1.5"),
        *("--split", str(folder / "pool.json"), "--labelled", str(folder / "labelled.json")),
        *("--predictions", str(folder / "pool.npz"), "--output", str(folder / "out" / "gate.json")),
    ]


def choose_thresholds(folder: Path) -> list[str]:
    return [
        *("--spec", canonical_json(LABELS.canonical()), "--task", "objects"),
        *("--split", str(folder / "pool.json"), "--labelled", str(folder / "labelled.json")),
        *("--predictions", str(folder / "pool.npz"), "--output", str(folder / "out" / "thresholds.json")),
    ]


def annotate(folder: Path) -> list[str]:
    return [
        *("--spec", canonical_json(LABELS.canonical()), "--task", "objects"),
        *("--split", str(folder / "pool.json"), "--labelled", str(folder / "labelled.json")),
        *("--thresholds", str(folder / "thresholds.json"), "--detections", str(folder / "pool.npz")),
        *(
            "--output",
            str(folder / "out" / "annotations.json"),
            "--provenance",
            str(folder / "out" / "provenance.json"),
        ),
    ]


def score(folder: Path) -> list[str]:
    return [
        *("--spec", canonical_json(EVALUATION.canonical()), "--task", "objects"),
        *("--split", str(folder / "labelled.json"), "--drawn", str(folder / "drawn.json")),
        *("--predictions", str(folder / "labelled.npz"), "--output", str(folder / "out" / "scores.json")),
    ]


def label_quality(folder: Path) -> list[str]:
    return [
        *("--task", "objects", "--labels", str(folder / "annotations.json"), "--truth", str(folder / "truth.json")),
        *("--output", str(folder / "out" / "quality.json")),
    ]


def make_table(folder: Path) -> list[str]:
    row = {"cells": {"a": "x"}, "evaluations": [{"seed": 1, "path": str(folder / "evaluation.json")}]}
    definition = {
        "name": "t",
        "title": "T",
        "caption": "",
        "columns": ["a"],
        "metrics": ["AP", "AP50"],
        "data_note": "made up",
        "rows": [row],
    }
    return [
        *("--spec", json.dumps(definition), "--published", str(SCRIPTS.parent / "config" / "published.yaml")),
        *("--output-dir", str(folder / "out")),
    ]


def check_leaks(folder: Path) -> list[str]:
    paths = [str(folder / name) for name in ("labelled.json", "pool.json")]
    return ["--first", paths[0], "--second", paths[1], "--output", str(folder / "out" / "leaks.json")]


CALLS: dict[str, Callable[[Path], list[str]]] = {
    call.__name__: call for call in (gate, choose_thresholds, annotate, score, label_quality, make_table, check_leaks)
}


def sound(folder: Path) -> Iterator[tuple[str, Sequence[str]]]:
    """The calls whose inputs the cases damage."""
    write_all(folder)
    for script, arguments in CALLS.items():
        yield script, arguments(folder)


def damaged(script: str, file: str, change: Callable[[Path], Any]) -> Callable[[Path], Sequence[str]]:
    def build(folder: Path) -> Sequence[str]:
        write_all(folder)
        change(folder / file)
        return CALLS[script](folder)

    return build


def edited(change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Change a JSON file; Python writes NaN as no JSON, which is a damage, too."""

    def write(path: Path) -> None:
        value = json.loads(path.read_text())
        path.write_text(json.dumps(change(value)))

    return write


def column(**columns: Any) -> Callable[[Path], None]:
    """Replace columns of a file of detections, by functions of what they were."""

    def write(path: Path) -> None:
        with np.load(path) as arrays:
            values = {name: arrays[name] for name in arrays.files}
        values |= {name: change(values[name]) for name, change in columns.items()}
        np.savez(path, **values)

    return write


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


ANY: dict[str, Callable[[Path], Any]] = {
    "cut short": cut,
    "empty": lambda path: path.write_bytes(b""),
    "missing": lambda path: path.unlink(),
    "a folder": lambda path: [path.unlink(), path.mkdir()],
    "text": lambda path: path.write_text("hello"),
}
JSON: dict[str, Callable[[Path], Any]] = {
    "a list": lambda path: path.write_text("[]"),
    "another object": lambda path: path.write_text('{"a": 1}'),
}


def holed(key: str, value: Any) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        array = array.copy()
        array.flat[0] = value
        return array

    return change


def put(key: str, value: Any) -> Callable[[Any], Any]:
    return lambda content: {**content, key: value}


def first(table: str, key: str, value: Any) -> Callable[[Any], Any]:
    """Change a key of the first entry of a list."""

    def change(content: Any) -> Any:
        content[table][0][key] = value
        return content

    return change


SHARDS: dict[str, Callable[[Path], Any]] = {
    "NaN in a score": column(scores=holed("scores", np.nan)),
    "NaN in a box": column(boxes=holed("boxes", np.nan)),
    "an infinite box": column(boxes=holed("boxes", np.inf)),
    "detections of no image": column(image_index=holed("index", 99)),
    "a negative index": column(image_index=holed("index", -1)),
    "scores of another length": column(scores=lambda scores: scores[:3]),
    "scores as text": column(scores=lambda scores: scores.astype(str)),
    "ids as floats": column(image_ids=lambda ids: ids.astype(float)),
    "no lineage": column(about=lambda about: np.array("{}")),
    "a lineage that is text": column(about=lambda about: np.array("hello")),
    "an array of objects": column(scores=lambda scores: np.array([{}] * 8, object)),
}
SPLITS: dict[str, Callable[[Path], Any]] = {
    "no images": edited(put("images", 5)),
    "images that are none": edited(put("images", [[]])),
    "an id that is text": edited(first("images", "id", "x")),
    "a width of 0": edited(first("images", "width", 0)),
    "no file_name": edited(first("images", "file_name", None)),
}
ANNOTATED: dict[str, Callable[[Path], Any]] = {
    "a negative width": edited(first("annotations", "bbox", [4, 4, -20, 20])),
    "a box of text": edited(first("annotations", "bbox", "wide")),
    "a box of three": edited(first("annotations", "bbox", [1, 2, 3])),
    "a NaN": edited(first("annotations", "bbox", [4, 4, float("nan"), 20])),
    "an unknown category": edited(first("annotations", "category_id", 77)),
    "an unknown image": edited(first("annotations", "image_id", 77)),
}


def _cases() -> list[Case]:
    rows: list[tuple[str, str, dict[str, Callable[[Path], Any]]]] = [
        ("gate", "pool.npz", {**ANY, **SHARDS}),
        ("gate", "pool.json", {**ANY, **JSON, **SPLITS}),
        ("choose_thresholds", "labelled.json", {**ANY, **JSON, **SPLITS, **ANNOTATED}),
        (
            "annotate",
            "thresholds.json",
            {
                **ANY,
                **JSON,
                "no categories": edited(put("categories", 3)),
                "an unknown key": edited(put("overall", {"a": 1})),
                "a threshold of text": edited(
                    lambda content: {**content, "overall": {**content["overall"], "threshold": "high"}}
                ),
                "NaN": edited(
                    lambda content: {**content, "overall": {**content["overall"], "threshold": float("nan")}}
                ),
            },
        ),
        (
            "score",
            "drawn.json",
            {
                **ANY,
                **JSON,
                "no rows": edited(put("images", [])),
                "rows of text": edited(put("images", ["a"])),
                "no content": edited(put("images", [{"source": "labelled", "image_id": 1}])),
            },
        ),
        ("label_quality", "annotations.json", {**ANY, **JSON, **SPLITS, **ANNOTATED}),
        (
            "make_table",
            "evaluation.json",
            {
                **{name: change for name, change in ANY.items() if name != "missing"},
                **JSON,
                "metrics of text": edited(put("metrics", {"AP": "high"})),
                "other metrics": edited(put("metrics", {"AR": 1.0})),
                "NaN": edited(put("metrics", {"AP": float("nan"), "AP50": 1.0})),
            },
        ),
        ("check_leaks", "pool.json", {**ANY, **JSON, **SPLITS}),
    ]
    return [
        Case(f"{script}: {file}: {name}", script, damaged(script, file, change), (file,))
        for script, file, changes in rows
        for name, change in changes.items()
    ]


CASES = [
    *_cases(),
    Case(
        "gate: another image",
        "gate",
        damaged("gate", "pool.npz", column(image_ids=holed("ids", 5))),
        ("pool.json", "100"),
    ),
    Case(
        "check_leaks: a split with itself",
        "check_leaks",
        lambda folder: [write_all(folder), [word.replace("pool", "labelled") for word in check_leaks(folder)]][1],
        ("labelled", "scored on it"),
    ),
]
