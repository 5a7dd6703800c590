"""Which keypoints of a person are right, for figures: within a part of the box's size of the true ones. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# A keypoint is right within this part of the box's size (square root of its area) of the true one.
RIGHT_WITHIN = 0.1


def right_shares(points: np.ndarray, truth: Sequence[np.ndarray | None], boxes: np.ndarray) -> np.ndarray:
    """(predictions, people): the share of the keypoints labelled in the truth that are within `RIGHT_WITHIN` of it.

    `points` is (predictions, people, K, 2), `truth` (K, 3) of each person, or None: the shares are then not a number.
    """
    shares = np.full(points.shape[:2], np.nan)
    reach = RIGHT_WITHIN * np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1))
    for person, true in enumerate(truth):
        if true is not None:
            labelled = true[:, 2] > 0
            away = np.linalg.norm(points[:, person, labelled] - true[labelled, :2], axis=-1)
            shares[:, person] = (away <= reach[person]).mean(1)
    return shares
