"""What a config must say, so that models learn from corrected labels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml


def splits_to_add(path: Path, folder: str, task: str, labelled: str, pool: str) -> str:
    """What to write into the config, so that models learn from the corrected labels and no teacher labels these images again.

    Splits are named after the file, as far as a config takes its name; values are quoted where YAML needs it.
    """
    name = _name(path.stem)
    if name in (labelled, pool):
        name = _name(f"corrected-{name}")
    both = _name(f"{labelled}-and-{name}")
    entries = (
        {"name": name, "kind": "coco", "task": task, "images": folder, "annotations": str(path)},
        {"name": both, "kind": "union", "of": [labelled, name]},
    )
    return (
        "In the config, beside the splits that are there:\n"
        + "".join(f"  - {_flow(entry)}\n" for entry in entries)
        + f"then `{_flow({'labelled': both})[1:-1]}` for the models, and `exclude: {_flow([name])}` for split {pool}."
    )


def _name(text: str) -> str:
    """A name that a config takes (`keys.NAME`): letters, digits, - and _, at most 64."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:64] or "corrected"


def _flow(value: Any) -> str:
    """YAML on one line."""
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6).strip()
