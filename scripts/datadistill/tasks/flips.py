"""Facts about keypoint names that training and inference share."""

from __future__ import annotations

from collections.abc import Sequence


def flip_permutation(names: Sequence[str]) -> list[int]:
    """For each keypoint of a mirrored person, the index of the original keypoint: left and right change places.

    `left_*` and `right_*` are partners; any other name, and a side without its partner, stays where it is.
    """
    index = {name: i for i, name in enumerate(names)}
    partner = {
        name: name.replace("left_", "right_", 1) if name.startswith("left_") else name.replace("right_", "left_", 1)
        for name in names
        if name.startswith(("left_", "right_"))
    }
    return [index.get(partner.get(name, name), index[name]) for name in names]
