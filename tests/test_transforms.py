from __future__ import annotations

import pytest
import torch
from detectron2.data.transforms import ResizeShortestEdge
from hypothesis import given, settings
from hypothesis import strategies as st

from datadistill.errors import UserError
from datadistill.transforms import TestScale, Transform, View, in_words, resolve, sizes, transform_set

PAPER = [Transform(s, 1333 if s == 800 else 2000, flip) for s in range(400, 1201, 100) for flip in (False, True)]
side = st.integers(1, 4000)


@settings(max_examples=500, deadline=None)
@given(height=side, width=side, short_side=st.integers(1, 1400), max_size=st.integers(1, 2400))
def test_sizes_are_detectron2s(height: int, width: int, short_side: int, max_size: int) -> None:
    expected = ResizeShortestEdge.get_output_shape(height, width, short_side, max_size)
    assert TestScale(short_side, max_size).size(height, width) == expected
    assert Transform(short_side, max_size, flip=True).resized(height, width) == expected


def test_an_ordinary_photo_has_eighteen_views_of_nine_sizes() -> None:
    views = resolve(480, 640, PAPER)
    assert len(views) == 18
    assert len(sizes(views)) == 9
    assert all(len(pair) == 2 for pair in sizes(views).values())


def test_scales_made_equal_by_the_cap_are_one_view_with_their_weight() -> None:
    # 400 x 2000: from short side 400 on, the cap of 2000 holds; 800 with its cap of 1333 is a size of its own.
    views = resolve(400, 2000, PAPER)
    assert {(v.height, v.width, v.transforms[0].flip): v.weight for v in views} == {
        (400, 2000, False): 8,
        (400, 2000, True): 8,
        (267, 1333, False): 1,
        (267, 1333, True): 1,
    }


@settings(max_examples=100, deadline=None)
@given(height=side, width=side)
def test_every_transform_is_in_exactly_one_view(height: int, width: int) -> None:
    views = resolve(height, width, PAPER)
    assert sorted((t.short_side, t.flip) for v in views for t in v.transforms) == sorted(
        (t.short_side, t.flip) for t in PAPER
    )
    assert all(t.flip == v.transforms[0].flip for v in views for t in v.transforms)


@pytest.mark.parametrize("repeats", [1, 3])
def test_a_transform_listed_twice_counts_twice(repeats: int) -> None:
    assert resolve(10, 20, [Transform(5, 100)] * repeats) == (View(5, 10, (Transform(5, 100),) * repeats),)


def test_names_in_words() -> None:
    assert [t.name for t in (Transform(800, 1333), Transform(800, 1333, True))] == ["800", "800 flipped"]
    assert in_words(PAPER[:4]) == "4 transforms: 400/2000 500/2000, plain and flipped"


def test_a_set_of_the_config_is_every_scale_in_every_orientation() -> None:
    entry = {"short_sides": [400, 800], "max_size": 2000, "max_size_at": [{"short_side": 800, "max_size": 1333}]}
    typo = {**entry, "name": "standard", "max_size_at": [{"short_side": 80, "max_size": 1333}]}
    with pytest.raises(UserError, match="transform_sets: standard: max_size_at: 80 is none of its short_sides"):
        transform_set(typo)
    both = (Transform(400, 2000), Transform(400, 2000, True), Transform(800, 1333), Transform(800, 1333, True))
    assert transform_set(entry) == both
    assert transform_set({**entry, "flips": "plain"}) == both[::2]
    assert transform_set({**entry, "flips": "flipped"}) == both[1::2]


@pytest.mark.parametrize("flip", [False, True])
def test_boxes_come_back_from_where_the_network_sees_them(flip: bool) -> None:
    (view,) = resolve(50, 100, [Transform(100, 1000, flip)])
    boxes = torch.tensor([[10.0, 5.0, 30.0, 50.0]], dtype=torch.float64)
    seen = view.boxes(boxes, 50, 100)
    assert seen.tolist() == [[140.0, 10.0, 180.0, 100.0] if flip else [20.0, 10.0, 60.0, 100.0]]
    assert view.boxes_back(seen, 50, 100).tolist() == boxes.tolist()
    beyond = torch.tensor([[-5.0, 10.0, 60.0, 130.0]], dtype=torch.float64)
    left, right = (70.0, 100.0) if flip else (0.0, 30.0)
    assert view.boxes_back(beyond, 50, 100).tolist() == [[left, 5.0, right, 50.0]], "cut at the border"


@pytest.mark.parametrize("flip", [False, True])
def test_a_map_comes_back_to_the_pixels_that_it_is_of(flip: bool) -> None:
    transform = Transform(4, 8, flip)
    image = torch.arange(12.0).view(1, 3, 2, 2)
    swapped = [1, 0, 2] if flip else [0, 1, 2]
    assert transform.maps_back(transform.pixels(image), [1, 0, 2]).equal(image[:, swapped])
