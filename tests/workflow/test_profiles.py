"""The profiles: every setting has its reason in their README, and none can hang a run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

PROFILES = Path(__file__).resolve().parents[2] / "profiles"
NAMES = sorted(path.parent.name for path in PROFILES.glob("*/config.yaml"))


def settings(name: str) -> dict[str, Any]:
    return yaml.safe_load((PROFILES / name / "config.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("profile", ["default", "slurm"])
def test_neither_a_reworded_command_nor_another_environment_retrains(profile: str) -> None:
    assert sorted(settings(profile)["rerun-triggers"]) == ["input", "mtime", "params"]


def named(name: str) -> set[str]:
    """`key` of every setting, and `key: entry` of those that are lists of resources."""
    found = set()
    for key, value in settings(name).items():
        found |= {f"{key}: {entry.split('=')[0]}" for entry in value} if isinstance(value, list) else {key}
    return found


def explained(name: str) -> set[str]:
    """The settings in the first column of a profile's table in the README."""
    text = (PROFILES / "README.md").read_text(encoding="utf-8")
    section = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
    found = set()
    for cell in re.findall(r"^\| (`.+?`) \|", section, re.M):
        names = re.findall(r"`([^`]+)`", cell)
        # `default-resources: mem_mb`, `runtime`: the key holds for the rest of the cell.
        key = names[0].split(": ")[0] if ": " in names[0] else None
        found |= {name if ": " in name or key is None else f"{key}: {name}" for name in names}
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_has_its_reason(name: str) -> None:
    assert named(name) == explained(name)


def test_array_jobs_never_meet_a_limit_on_jobs() -> None:
    slurm = settings("slurm")
    # The plugin waits for every ready shard, and Snakemake hands over only as many as the limit allows.
    assert slurm["slurm-array-jobs"]
    assert slurm["jobs"] == "unlimited"
