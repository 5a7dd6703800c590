"""Rendered things: a long tail of categories at every size."""

from collections import Counter

import numpy as np
import pytest

from rendered.canvas import Canvas
from rendered.scene import CATEGORIES, SceneSpec, compose_scene
from rendered.things import CLASSES, DISTRACTORS, Pen


@pytest.fixture(scope="module")
def scenes() -> list[tuple[np.ndarray, list[dict], Canvas]]:
    return [compose_scene(SceneSpec("objects", d, 192, 160, seed=4), i) for d in ("home", "away") for i in range(130)]


def test_categories_have_gaps_in_their_ids():
    ids = [c["id"] for c in CATEGORIES["objects"]]
    assert len(ids) >= 10
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)
    assert ids != list(range(1, len(ids) + 1))
    assert len({c["name"] for c in CATEGORIES["objects"]}) == len(ids)


def test_shares_have_a_long_tail():
    shares = np.sort([c.weight for c in CLASSES]) / sum(c.weight for c in CLASSES)
    assert shares[0] < 0.02
    assert shares[1] < 0.03
    assert 0.25 < shares[-1] < 0.3


def test_instances_follow_the_shares(scenes):
    counts = Counter(a["category_id"] for _, annotations, _ in scenes for a in annotations)
    total = sum(counts.values())
    assert 2.0 < total / len(scenes) < 4.5
    assert counts.most_common(1)[0][0] == max(CLASSES, key=lambda c: c.weight).id
    rarest = min(CLASSES, key=lambda c: c.weight).id
    assert counts[rarest] / total < 0.03
    assert 0.02 < np.mean([not annotations for _, annotations, _ in scenes]) < 0.16
    assert max(len(annotations) for _, annotations, _ in scenes) >= 6


def test_all_coco_sizes_occur(scenes):
    areas = np.array([a["area"] for _, annotations, _ in scenes for a in annotations])
    assert (areas < 32**2).mean() > 0.2
    assert ((areas >= 32**2) & (areas <= 96**2)).mean() > 0.15
    assert 0.003 < (areas > 96**2).mean() < 0.1


def test_boxes_and_areas(scenes):
    for image, annotations, canvas in scenes:
        height, width = image.shape[:2]
        for a, (owner, thing) in zip(annotations, canvas.annotated, strict=True):
            x, y, w, h = a["bbox"]
            assert x >= 0
            assert y >= 0
            assert x + w <= width
            assert y + h <= height
            assert 16 <= a["area"] <= w * h
            assert a["iscrowd"] == 0
            assert a["category_id"] == thing.category
            rows, columns = np.nonzero(canvas.owners == owner)
            f = canvas.factor
            assert columns.min() >= x * f
            assert columns.max() < (x + w) * f
            assert rows.min() >= y * f
            assert rows.max() < (y + h) * f


def test_painters_fill_their_frame():
    """Every painter stays near its unit frame and covers a fair part of it: sizes mean the same for all."""
    for paint in [c.paint for c in CLASSES] + [d[0] for d in DISTRACTORS]:
        canvas = Canvas(100, 100, owner=1)
        paint(Pen(canvas, np.array([50.0, 50.0]), 25.0, 0.0), np.random.default_rng(0), (200, 80, 60))
        x, y, w, h = canvas.box(canvas.owners == 1)
        assert 18 < w < 75
        assert 20 < h < 75
        assert x > 15
        assert y > 10
        assert canvas.area(canvas.owners == 1) > 300
