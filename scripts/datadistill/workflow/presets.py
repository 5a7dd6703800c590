"""Presets: networks, schedules, scales and weights that nobody should have to copy, as defaults below a config's own values.

They are stated in config/presets.yaml, in the keys of a config. Light: PyYAML only.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

PRESETS = Path(__file__).resolve().parents[3] / "config" / "presets.yaml"


@cache
def presets() -> Mapping[str, Mapping[str, Any]]:
    """Every preset by its name. Not to be changed: it is read once."""
    return yaml.safe_load(PRESETS.read_text(encoding="utf-8"))


def preset_weights() -> list[Mapping[str, Any]]:
    """The initial weights that presets know, for backbones that a config names and gives none for."""
    return [entry for preset in presets().values() for entry in preset.get("weights", [])]


def with_preset(config: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a checked config, with what its preset says where it says nothing itself: key by key in mappings, and by
    name in lists of named entries."""
    name = config.get("preset")
    return dict(config) if name is None else _below(config, presets()[name])


def _below(own: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """`own`, completed from `other`."""
    made = dict(own)
    for key, value in other.items():
        if key not in own:
            made[key] = copy.deepcopy(value)
        elif isinstance(value, Mapping) and isinstance(own[key], Mapping):
            made[key] = _below(own[key], value)
        elif _named(value) and isinstance(own[key], list):
            names = {entry.get("name") for entry in own[key]}
            made[key] = [*own[key], *copy.deepcopy([entry for entry in value if entry["name"] not in names])]
    return made


def _named(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, Mapping) and "name" in entry for entry in value)
