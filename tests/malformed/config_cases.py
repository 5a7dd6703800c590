"""Malformed configs: values that no key means, and files that are no YAML."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from bench import SCRIPTS, Case

SMALLEST: dict[str, Any] = yaml.safe_load((SCRIPTS.parent / "config" / "smallest.yaml").read_text(encoding="utf-8"))
TEXT = (SCRIPTS.parent / "config" / "smallest.yaml").read_text(encoding="utf-8")


def of_text(text: str | bytes) -> Callable[[Path], Sequence[str]]:
    def build(folder: Path) -> Sequence[str]:
        (folder / "my.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return ["--config", str(folder / "my.yaml")]

    return build


def of_change(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], Sequence[str]]:
    def build(folder: Path) -> Sequence[str]:
        config = copy.deepcopy(SMALLEST)
        change(config)
        return of_text(yaml.safe_dump(config, allow_unicode=True))(folder)

    return build


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(config: dict[str, Any]) -> None:
        *way, last = path.split(".")
        node: Any = config
        for step in way:
            node = node[int(step)] if step.isdigit() else node.setdefault(step, {})
        node[int(last) if last.isdigit() else last] = value

    return change


NUMBERS = (
    *("seeds.0", "fraction_seed", "num_keypoints", "splits.0.images", "splits.2.shards", "transform_sets.0.max_size"),
    *("defaults.keypoints.training.iterations", "defaults.keypoints.training.batch_size"),
    *("defaults.keypoints.training.learning_rate", "defaults.keypoints.training.weight_decay"),
    *("defaults.keypoints.network.fpn_channels", "defaults.keypoints.test_scale.short_side"),
    *("labelling.score_floor", "labelling.instance_ratio", "labelling.keypoint_threshold", "compute.train.mem_mb"),
)
ODD = {"NaN": float("nan"), "infinity": float("inf"), "minus infinity": -float("inf"), "10^30": 10**30, "1e300": 1e300}
WHOLE = (
    *("seeds.0", "splits.0.images", "splits.2.shards", "defaults.keypoints.training.iterations"),
    *("defaults.keypoints.training.batch_size", "compute.train.threads", "transform_sets.0.short_sides.0"),
)
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
)
TEXTS: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "empty": ("", ("mapping of keys", ".yaml")),
    "text": ("hello", ("mapping of keys", ".yaml")),
    "a list": ("[1, 2]", ("mapping of keys", ".yaml")),
    "a number": ("17", ("mapping of keys", ".yaml")),
    "UTF-16": (TEXT.encode("utf-16"), ("my.yaml", "UTF-8")),
    "Latin-1": (TEXT.replace("nothing", "für").encode("latin-1"), ("my.yaml", "UTF-8")),
    "NUL": ("run: a\0b\n", ("my.yaml",)),
    "a tab": ("run:\n\tname: x\n", ("my.yaml", "line 2, column 1")),
    "an open bracket": ("run: [a\n", ("my.yaml", "line")),
    "a colon too many": ("run: a: b\n", ("my.yaml", "line 1, column 7")),
    "an unknown anchor": ("run: *nowhere\n", ("my.yaml", "nowhere", "line 1, column 6")),
    "a Python object": ("run: !!python/object/apply:os.system [ls]\n", ("my.yaml", "line 1")),
    "two documents": ("run: a\n---\nrun: b\n", ("my.yaml",)),
    "a key twice": (TEXT + "run: again\n", ("my.yaml", "'run' is given twice", "line")),
    "a nested key twice": (
        TEXT.replace("iterations: 4", "iterations: 4\n      iterations: 5"),
        ("my.yaml", "'iterations'"),
    ),
    "a circle": (TEXT + "labelling_: &a [*a]\n", ("labelling_", "itself")),
    "a circle of mappings": ("run: &a\n  b: *a\n", ("run", "itself")),
    "anchors within anchors": (TEXT + BOMB, ("values",)),
    "deep brackets": ("run: " + "[" * 50_000, ("my.yaml",)),
    "a date": (TEXT.replace('data_note: "', "data_note: 2026-01-01 #"), ("data_note", "date")),
    "a key that is a number": (TEXT + "17: a\n", ("17",)),
    "a key that is a list": (TEXT + "? [a]\n: b\n", ("my.yaml", "line")),
}
NAMES = {
    "line break": "a\n",
    "inner line break": "a\nb",
    "blank": "a b",
    "empty": "",
    "slash": "a/b",
    "upwards": "..",
    "shell": "$(touch x)",
    "a braced word": "{x}",
    "long": "a" * 300,
    "umlaut": "ä",
    "dash": "-a",
    "NUL": "a\0",
    "number": 5,
}


def _cases() -> list[Case]:
    cases = [(f"config: {name}", of_text(text), words) for name, (text, words) in TEXTS.items()]
    cases += [
        (
            f"config: {path}: {name}",
            of_change(put(path, bad)),
            (path.split(".")[-1] if not path[-1].isdigit() else path[:4],),
        )
        for path in NUMBERS
        for name, bad in ODD.items()
    ]
    cases += [
        (f"config: {path}: 4.0", of_change(put(path, 4.0)), ("4.0 is not a whole number", "write 4")) for path in WHOLE
    ]
    for path in (
        "run",
        "splits.0.name",
        "models.0.name",
        "label_sets.0.name",
        "transform_sets.0.name",
        "tables.0.name",
    ):
        cases += [
            (f"config: {path}: {name}", of_change(put(path, bad)), (path.split(".")[0],)) for name, bad in NAMES.items()
        ]
    limits: dict[str, Any] = {
        "splits.0.images": 10**7,
        "splits.2.shards": 100_000,
        "defaults.keypoints.training.iterations": 10**9,
        "splits.0.size": [10**6, 10**6],
    }
    cases += [
        (f"config: {path}: {value}", of_change(put(path, value)), (path.split(".")[-1],))
        for path, value in limits.items()
    ]
    union = {"name": "twice", "kind": "union", "of": ["labelled", "labelled"]}
    weight = {"name": "R-50", "url": "file:///etc/passwd"}
    cases += [
        ("config: a union with itself", of_change(lambda c: c["splits"].append(union)), ("twice", "name each once")),
        ("config: file:// weights", of_change(put("weights", [weight])), ("weights", "file:///etc/passwd", "`path`")),
        (
            "config: a digest",
            of_change(put("weights", [{**weight, "url": "https://x/y", "sha256": "xyz"}])),
            ("sha256", "hexadecimal"),
        ),
        (
            "config: 1e-4",
            of_change(put("defaults.keypoints.training.learning_rate", "1e-4")),
            ("learning_rate", "0.0001"),
        ),
        ("config: an unknown key", of_change(put("seed", 1)), ("'seed'", "seeds")),
        ("config: an unknown split", of_change(put("models.0.labelled", "labeled")), ("labeled", "labelled")),
        ("config: a figure's label set", of_change(put("figures.0.label_set", "pol")), ("figures", "pol")),
        ("config: a label set's teacher", of_change(put("label_sets.0.teacher", "techer")), ("label_sets", "techer")),
    ]
    return [
        *(Case(name, "plan", build, words) for name, build, words in cases),
        Case("config: missing", "plan", lambda folder: ["--config", str(folder / "my.yaml")], ("my.yaml", "no such")),
        Case(
            "config: a folder",
            "plan",
            lambda f: [(f / "my.yaml").mkdir(), ["--config", str(f / "my.yaml")]][1],
            ("my.yaml",),
        ),
    ]


CASES = _cases()
