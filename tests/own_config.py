"""A small config of somebody's own data, for tests of the programs that people call; nothing of it is trained."""

from __future__ import annotations

from typing import Any


def own_config(**more: Any) -> dict[str, Any]:
    """A teacher on `labelled` (train.json, photos/); `more` adds to its keys, and its splits to the one that is there."""
    labelled = {"name": "labelled", "kind": "coco", "task": "objects", "images": "photos", "annotations": "train.json"}
    schedule = {"iterations": 10, "batch_size": 2, "learning_rate": 0.01}
    splits = more.pop("splits", [])
    return {
        "run": "own",
        "data_note": "a test",
        "splits": [labelled, *splits],
        "weights": [{"name": "R-50", "path": "weights.pkl"}],
        "models": [{"name": "teacher", "task": "objects", "labelled": "labelled", "training": schedule}],
        "tables": [],
        **more,
    }
