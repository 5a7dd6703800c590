"""Networks and images shared by the tests of the label chain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tiny
import torch


@pytest.fixture(autouse=True, scope="module")
def _exact_arithmetic() -> Iterator[None]:
    """One thread, and one kind of convolution.

    torch convolves a single tiny input by another kernel than a batch of them, and a random network makes much of the
    last bits: comparisons here are of what is computed, not of how.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.backends.mkldnn.flags(enabled=False):
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def people() -> tiny.Network:
    """A random keypoint network, its config and categories."""
    return tiny.build("keypoints", tiny.PERSON, 1)


@pytest.fixture(scope="session")
def things() -> tiny.Network:
    """A random object network, its config and categories."""
    return tiny.build("objects", tiny.OBJECTS, 2)


@pytest.fixture(scope="session")
def pictures() -> list[np.ndarray]:
    """Images of several sizes and both orientations."""
    rng = np.random.default_rng(0)
    return [tiny.picture(rng, *size) for size in tiny.SIZES]


@pytest.fixture(scope="session")
def split(tmp_path_factory: pytest.TempPathFactory, pictures: list[np.ndarray]) -> dict[str, Any]:
    """The images as an unlabelled split."""
    return tiny.write_split(tmp_path_factory.mktemp("images"), pictures, tiny.PERSON)


@pytest.fixture(scope="session")
def mirrored(tmp_path_factory: pytest.TempPathFactory, pictures: list[np.ndarray]) -> dict[str, Any]:
    """The mirrored images, with the same ids."""
    return tiny.write_split(tmp_path_factory.mktemp("mirrored"), [p[:, ::-1] for p in pictures], tiny.PERSON)
