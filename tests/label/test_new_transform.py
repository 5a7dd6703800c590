"""A transform that the library doesn't have: a quarter turn is one subclass, and predict and refine follow it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from test_refine import ids, predictions_spec, refinement_spec

from datadistill.detections import Detections
from datadistill.label.predict import predict
from datadistill.label.refine import refine
from datadistill.transforms import Transform


@dataclass(frozen=True)
class QuarterTurn(Transform):
    """The resized image turned by 90 degrees, against the clock: what was right is at the top."""

    @property
    def orientation(self) -> str:
        return "turned"

    def seen(self, height: int, width: int) -> tuple[int, int]:
        return width, height

    def pixels(self, images: torch.Tensor) -> torch.Tensor:
        return images.rot90(1, (-2, -1))

    def boxes(self, boxes: torch.Tensor, height: int, width: int) -> torch.Tensor:
        return torch.stack([boxes[:, 1], width - boxes[:, 2], boxes[:, 3], width - boxes[:, 0]], dim=1)

    def boxes_back(self, boxes: torch.Tensor, height: int, width: int) -> torch.Tensor:
        return torch.stack([width - boxes[:, 3], boxes[:, 0], width - boxes[:, 1], boxes[:, 2]], dim=1)

    def maps_back(self, maps: torch.Tensor, permutation: Sequence[int]) -> torch.Tensor:
        return maps.rot90(-1, (-2, -1))


# Pictures of 96 x 128 and 128 x 96 need no resizing, which isn't the same before and after a turn.
TURN = QuarterTurn(96, 160)


@pytest.fixture(scope="module")
def upright(tmp_path_factory: pytest.TempPathFactory, pictures: list[np.ndarray]) -> dict[str, Any]:
    return tiny.write_split(tmp_path_factory.mktemp("upright"), pictures[:3], tiny.PERSON)


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory, pictures: list[np.ndarray]) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("turned")
    return tiny.write_split(folder, [np.rot90(p).copy() for p in pictures[:3]], tiny.PERSON)


def widths(split: dict[str, Any], found: Detections) -> np.ndarray:
    return np.array([image["width"] for image in split["images"]], np.float32)[found.image_index]


def turn(boxes: np.ndarray, width: np.ndarray) -> np.ndarray:
    return np.stack([boxes[:, 1], width - boxes[:, 2], boxes[:, 3], width - boxes[:, 0]], axis=1)


def test_boxes_come_back_from_a_quarter_turn(
    things: tiny.Network, upright: dict[str, Any], turned: dict[str, Any]
) -> None:
    found = predict(*things, upright, ids(upright), predictions_spec(transforms=(TURN,)))
    expected = predict(*things, turned, ids(turned), predictions_spec())
    assert len(found) == len(expected) > 30
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    np.testing.assert_allclose(turn(found.boxes, widths(upright, found)), expected.boxes, atol=1e-3)


def test_a_turn_beside_plain_and_mirrored_views_of_its_size(things: tiny.Network, upright: dict[str, Any]) -> None:
    several = (tiny.PLAIN, Transform(96, 160, True), TURN)
    apart = [predict(*things, upright, ids(upright), predictions_spec(transforms=(t,), nms=1.0)) for t in several]
    together = predict(*things, upright, ids(upright), predictions_spec(transforms=several, nms=1.0, max_detections=-1))
    # The best box of an image is the best of one transform: no view is padded to the shape of another.
    for index in range(len(upright["images"])):
        best = max(float(found.scores[found.image_index == index].max()) for found in apart)
        assert float(together.scores[together.image_index == index].max()) == pytest.approx(best, abs=1e-6)


def test_keypoints_come_back_from_a_quarter_turn(
    people: tiny.Network, upright: dict[str, Any], turned: dict[str, Any]
) -> None:
    boxes = predict(*people, upright, ids(upright), predictions_spec(max_detections=12))
    given = Detections(
        boxes.image_ids, boxes.image_index, turn(boxes.boxes, widths(upright, boxes)), boxes.scores, boxes.categories
    )
    found = refine(*people, upright, boxes, refinement_spec((TURN,))).keypoints
    expected = refine(*people, turned, given, refinement_spec((tiny.PLAIN,))).keypoints
    np.testing.assert_allclose(found[..., 1], expected[..., 0], atol=1e-3)
    np.testing.assert_allclose(widths(upright, boxes)[:, None] - found[..., 0], expected[..., 1], atol=1e-3)
    np.testing.assert_allclose(found[..., 2], expected[..., 2], rtol=1e-3)
