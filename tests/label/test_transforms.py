from __future__ import annotations

import pytest
from detectron2.data.transforms import ResizeShortestEdge
from hypothesis import given, settings
from hypothesis import strategies as st

from datadistill.label.transforms import View, output_size, resolve, sizes
from datadistill.specs import Transform

PAPER = [Transform(s, 1333 if s == 800 else 2000, flip) for s in range(400, 1201, 100) for flip in (False, True)]
side = st.integers(1, 4000)


@settings(max_examples=500, deadline=None)
@given(height=side, width=side, short_side=st.integers(1, 1400), max_size=st.integers(1, 2400))
def test_sizes_are_detectron2s(height: int, width: int, short_side: int, max_size: int) -> None:
    expected = ResizeShortestEdge.get_output_shape(height, width, short_side, max_size)
    assert output_size(height, width, short_side, max_size) == expected


def test_an_ordinary_photo_has_eighteen_views_of_nine_sizes() -> None:
    views = resolve(480, 640, PAPER)
    assert len(views) == 18
    assert len(sizes(views)) == 9
    assert all(len(pair) == 2 for pair in sizes(views).values())


def test_scales_made_equal_by_the_cap_are_one_view_with_their_weight() -> None:
    # 400 x 2000: from short side 400 on, the cap of 2000 holds; 800 with its cap of 1333 is a size of its own.
    views = resolve(400, 2000, PAPER)
    assert {(v.height, v.width, v.flip): v.weight for v in views} == {
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
    assert all(t.flip == v.flip for v in views for t in v.transforms)


@pytest.mark.parametrize("repeats", [1, 3])
def test_a_transform_listed_twice_counts_twice(repeats: int) -> None:
    assert resolve(10, 20, [Transform(5, 100)] * repeats) == (View(5, 10, False, (Transform(5, 100),) * repeats),)
