"""Reading how good labels are on held-out images, as `scripts/judge_labels.py` writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datadistill.errors import UserError
from datadistill.evaluate.held_out import MEASURES
from datadistill.files import REMAKE, read_made
from datadistill.values import is_finite


def read_measures(files: Sequence[Mapping[str, Any]]) -> dict[int, dict[str, float | None]]:
    """By seed, the `MEASURES` of files (each `seed` and `path`); an absent file is a seed that hasn't run."""
    found: dict[int, dict[str, float | None]] = {}
    for file in files:
        path = Path(file["path"])
        if not path.exists():
            continue
        measures = read_made(path, "the quality of held-out labels").get("measures")
        if not isinstance(measures, dict) or not all(
            name in measures and (measures[name] is None or is_finite(measures[name])) for name in MEASURES
        ):
            raise UserError(f"{path}: not the quality of labels as the workflow writes it (no measures); {REMAKE}")
        found[int(file["seed"])] = {name: measures[name] for name in MEASURES}
    return found
