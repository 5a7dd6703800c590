"""What training reads, rendered once, and one thread for every test."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import torch
from training_world import World, rendered


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Eight labelled images, ten of a pool with labels as a teacher writes them, four of val."""
    folder = tmp_path_factory.mktemp("world")
    label_set = rendered(folder, "pool", 2, 10)
    labels = json.loads(label_set.read_text())
    for annotation in labels["annotations"]:
        annotation.update(score=0.9, source="teacher")
    label_set.write_text(json.dumps(labels))
    return World(rendered(folder, "labelled", 1, 8), label_set, rendered(folder, "val", 3, 4))


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
