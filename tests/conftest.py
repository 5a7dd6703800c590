"""What all tests share: the repository's place, and its smallest config."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

# Two test processes on two cores: more threads each would only get in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A test process lives long: a GPU that it claimed would be missing to all others.
os.environ.setdefault("DATADISTILL_GPU_CLAIMS", "off")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return REPOSITORY


@pytest.fixture
def smallest() -> dict[str, Any]:
    """A fresh copy of config/smallest.yaml, as a user wrote it: no defaults filled in."""
    return yaml.safe_load((REPOSITORY / "config" / "smallest.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def file_size_limit() -> Iterator[Callable[[int], None]]:
    """A function that lets this process write no file beyond so many bytes: what a full disk does to it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
