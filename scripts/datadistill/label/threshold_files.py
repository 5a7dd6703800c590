"""Reading the thresholds and gates that earlier stages wrote: what was edited or cut short is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datadistill.errors import UserError
from datadistill.files import REMAKE, digest, read_made, reading
from datadistill.label.thresholds import Thresholds
from datadistill.specs import RefinementSpec
from datadistill.values import excerpt, is_finite


def read_thresholds(path: str | Path) -> Thresholds:
    """The thresholds of a file that `choose_thresholds.py` wrote; anything else is a `UserError` that names it."""
    with reading(path, "thresholds"):
        thresholds = Thresholds.from_json(read_made(path, "thresholds"))
        for each in (thresholds.overall, thresholds.keypoints, *thresholds.categories.values()):
            if each is not None and each.threshold is not None:
                _number(each.threshold)
        return thresholds


def _number(value: Any) -> float:
    if not is_finite(value):
        raise ValueError(f"{excerpt(value)} is no score")
    return value


def read_gate(path: str | Path | None, spec: RefinementSpec) -> float | None:
    """The threshold of the gate that a refinement asks for; `None` where it asks for none."""
    if (path is None) != (spec.gate is None):
        raise UserError(
            f"refinement: a gate was {'' if path else 'not '}given, "
            f"but its spec asks for {'none' if path else spec.gate}"
        )
    if path is None:
        return None
    with reading(path, "a gate"):
        values = read_made(path, "a gate")
        if digest(values["spec"]) != spec.gate:
            raise UserError(f"{path}: made with other settings than this run asks for ({spec.gate}); {REMAKE}")
        return float(_number(values["threshold"]))
