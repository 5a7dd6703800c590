"""What training reads, rendered once, and one thread for every test."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import torch
from training_world import EACH, World, edited, rendered

from datadistill.specs import ModelSpec
from datadistill.train.loop import TrainingFiles, train


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


@pytest.fixture(scope="session")
def teacher(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelSpec, TrainingFiles]:
    """A model of labelled images alone, and its files."""
    spec = edited(label_set=None, training={"iterations": 10, "labelled_ratio": 1.0})
    files = world.files(tmp_path_factory.mktemp("teacher"), label_set=False)
    train(spec, files, EACH)
    return spec, files


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
