from __future__ import annotations

import numpy as np
import pytest
import torch

from datadistill.label.ensemble.boxes import merge

Box = tuple[float, float, float, float]


def iou(a: Box, b: Box) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union if union > 0 else 0.0


def slow_merge(
    rows: list[tuple[Box, float, int, int]], suppression: float, voting: float | None, most: int
) -> list[tuple[Box, float, int]]:
    """One box at a time, in plain Python: suppress, vote, then cut."""
    merged = []
    for category in {row[2] for row in rows}:
        # Transforms that resolve to the same view are written out one by one.
        members = [(i, box, score) for i, (box, score, c, n) in enumerate(rows) if c == category for _ in range(n)]
        kept: list[tuple[int, Box, float]] = []
        for i, box, score in sorted(members, key=lambda m: (-m[2], m[0])):
            repeated = any(i == j for j, _, _ in kept)
            if not repeated and not any(iou(box, other) > suppression for _, other, _ in kept):
                kept.append((i, box, score))
        for i, box, score in kept:
            voters = [] if voting is None else [m for m in members if iou(box, m[1]) >= voting]
            total = sum(s for _, _, s in voters)
            mean = tuple(sum(s * b[k] for _, b, s in voters) / total for k in range(4)) if voters else box
            merged.append((-score, i, mean, category))
    merged.sort(key=lambda m: m[:2])
    return [(box, -score, category) for score, _, box, category in (merged if most < 0 else merged[:most])]


def fast_merge(
    rows: list[tuple[Box, float, int, int]], suppression: float, voting: float | None, most: int
) -> list[tuple[Box, float, int]]:
    boxes, scores, categories, weights = (
        torch.tensor([row[0] for row in rows], dtype=torch.float64).reshape(-1, 4),
        torch.tensor([row[1] for row in rows], dtype=torch.float64),
        torch.tensor([row[2] for row in rows], dtype=torch.int64),
        torch.tensor([row[3] for row in rows], dtype=torch.float64),
    )
    views = torch.arange(len(rows))
    limits = {"suppression": suppression, "voting": voting, "most": most}
    columns = merge(boxes, scores, categories, weights, views, transforms=99, **limits)
    return list(zip(*(column.tolist() for column in columns[:3]), strict=True))


def random_rows(rng: np.random.Generator) -> list[tuple[Box, float, int, int]]:
    """Between none and many boxes, some of them equal, without area, of equal score, or outside the image."""
    rows: list[tuple[Box, float, int, int]] = []
    categories = int(rng.integers(1, 5))
    for _ in range(int(rng.choice([0, 1, 2, 6, 14]))):
        kind = rng.integers(0, 6)
        if rows and kind == 0:
            box = rows[rng.integers(len(rows))][0]
        elif rows and kind <= 3:
            box = tuple((np.array(rows[rng.integers(len(rows))][0]) + rng.normal(0, 1.5, 4)).tolist())
        else:
            left, top = rng.uniform(-30, 120, 2)
            width, height = rng.uniform(5, 40, 2) * (rng.random(2) > 0.05)
            box = (left, top, left + width, top + height)
        box = (box[0], box[1], max(box[0], box[2]), max(box[1], box[3]))
        score = float(rng.choice([0.2, 0.5, rng.uniform(0.05, 1.0)]))
        rows.append((box, score, int(rng.integers(categories)), int(rng.integers(1, 4))))
    return rows


@pytest.mark.parametrize("seed", range(5))
def test_merging_equals_a_slow_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(500):
        rows = random_rows(rng)
        suppression = float(rng.choice([0.3, 0.5, 0.9]))
        voting = [None, 0.5, 0.8][rng.integers(3)]
        most = int(rng.choice([-1, 1, 3, 100]))
        expected = slow_merge(rows, suppression, voting, most)
        found = fast_merge(rows, suppression, voting, most)
        assert [row[1:] for row in found] == [row[1:] for row in expected]
        np.testing.assert_allclose(
            np.array([r[0] for r in found]).reshape(-1, 4), np.array([r[0] for r in expected]).reshape(-1, 4), atol=1e-9
        )


def test_a_hand_worked_example() -> None:
    rows: list[tuple[Box, float, int, int]] = [
        ((0, 0, 10, 10), 0.8, 1, 1),
        ((0, 0, 10, 9), 0.4, 1, 1),  # IoU 0.9 with the first: suppressed, votes
        ((0, 0, 10, 6), 0.6, 1, 1),  # IoU 0.6: suppressed, has no vote
        ((5, 0, 15, 10), 0.5, 1, 1),  # IoU 1/3: kept, votes for itself alone
        ((0, 0, 10, 10), 0.7, 2, 1),  # another category: kept
    ]
    assert fast_merge(rows, 0.5, 0.8, 100) == [
        (pytest.approx([0, 0, 10, (0.8 * 10 + 0.4 * 9) / 1.2]), 0.8, 1),
        (pytest.approx([0, 0, 10, 10]), 0.7, 2),
        (pytest.approx([5, 0, 15, 10]), 0.5, 1),
    ]


def test_a_box_of_three_equal_transforms_votes_three_times() -> None:
    rows: list[tuple[Box, float, int, int]] = [((0, 0, 10, 10), 0.5, 1, 1), ((0, 0, 10, 9), 0.4, 1, 3)]
    assert fast_merge(rows, 0.5, 0.8, 100)[0][0][3] == pytest.approx((0.5 * 10 + 3 * 0.4 * 9) / 1.7)


def test_the_limits_are_exclusive_for_suppression_and_inclusive_for_voting() -> None:
    # IoU of exactly one half.
    rows: list[tuple[Box, float, int, int]] = [((0, 0, 4, 4), 0.6, 1, 1), ((0, 0, 4, 2), 0.3, 1, 1)]
    assert len(fast_merge(rows, 0.5, None, 100)) == 2
    assert fast_merge(rows, 0.49, 0.5, 100)[0][0] == pytest.approx([0, 0, 4, (0.6 * 4 + 0.3 * 2) / 0.9])


def disagreements(rows: list[tuple[Box, float, int, int, int]], voting: float | None, transforms: int) -> list[float]:
    """That of each box that is kept, by falling score; rows are box, score, category, weight and view."""
    columns = [torch.tensor([row[k] for row in rows], dtype=torch.float64) for k in range(4)]
    views = torch.tensor([row[4] for row in rows])
    limits = {"suppression": 0.5, "voting": voting, "most": 100}
    boxes, scores, categories, weights = columns
    return merge(boxes, scores, categories.long(), weights, views, transforms=transforms, **limits)[3].tolist()


def test_disagreement_is_the_share_of_transforms_without_a_box_that_votes() -> None:
    rows: list[tuple[Box, float, int, int, int]] = [
        ((0, 0, 10, 10), 0.8, 1, 1, 0),
        ((0, 0, 10, 9), 0.4, 1, 1, 1),  # IoU 0.9: votes
        ((0, 0, 10, 8.5), 0.3, 1, 1, 1),  # votes, too, but its view has voted
        ((0, 0, 10, 6), 0.6, 1, 1, 2),  # IoU 0.6: no vote
        ((0, 0, 10, 10), 0.7, 2, 1, 2),  # another category: no vote for the first, and alone in its own
        ((0, 0, 10, 9.5), 0.2, 1, 2, 3),  # two transforms in one view
    ]
    # Six transforms: one of them found nothing.
    assert disagreements(rows, 0.8, 6) == [pytest.approx(1 - 4 / 6), pytest.approx(1 - 1 / 6)]
    assert disagreements(rows, None, 6) == [pytest.approx(1 - 5 / 6), pytest.approx(1 - 1 / 6)]
    assert disagreements(rows[:1], 0.8, 1) == [0.0]


@pytest.mark.parametrize("seed", range(3))
def test_disagreement_equals_a_slow_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(200):
        rows = [(*row, int(rng.integers(0, 4))) for row in random_rows(rng)]
        of_view = rng.integers(1, 4, 4).tolist()
        rows = [(box, score, category, of_view[view], view) for box, score, category, _, view in rows]
        voting = [None, 0.5, 0.8][rng.integers(3)]
        found = disagreements(rows, voting, sum(of_view)) if rows else []
        limit = 0.5 if voting is None else voting
        kept = slow_merge([(*row[:3], 1) for row in rows], 0.5, None, 100)
        expected = []
        for box, _, category in kept:
            views = {view for other, _, c, _, view in rows if c == category and iou(box, other) >= limit}
            expected.append(1 - sum(of_view[view] for view in views) / sum(of_view))
        assert found == pytest.approx(expected, abs=1e-9)
