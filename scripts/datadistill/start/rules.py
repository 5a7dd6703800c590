"""What `make init` decides, each by a stated rule: sizes from the images, schedules from their number, a part to judge by.

Nothing here is a default of anything else: what comes out is written into the config as values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

ASPECT = 1333 / 800
"""The longer side's cap, in shorter sides: the paper's."""

PASSES = 40
"""Times that a teacher sees each labelled image: what config/blood-cells.yaml was run with."""
LEAST_WARMUPS = 4
"""A schedule is at least so many times the length of its warm-up."""
FEW = 500
"""With fewer labelled images a student is fine-tuned from its teacher, for as many iterations again (config/demo.yaml,
config/blood-cells.yaml); with more it is trained anew, as in the paper, for `ANEW` times its teacher's schedule."""
ANEW = 2

SMALLEST, LARGEST = 160, 320
"""Test scales that `small` may have, pixels of the shorter side."""
TRAIN_SCALES = (0.8, 0.9, 1.0, 1.1, 1.2)
LABEL_SCALES = (0.8, 1.0, 1.25)
"""In test scales: those of training images, and those of the transforms that label."""

HELD_OUT = 0.2
"""Part of the labelled images that is held out for validation, where none were given."""

SHARDED = 20_000
"""Images of a pool that one job labels."""


@dataclass(frozen=True)
class Scales:
    """Sizes in pixels, as the keys of a config have them."""

    test_scale: dict[str, int]
    training: dict[str, Any]
    transforms: dict[str, Any]


def scales(sizes: Sequence[tuple[int, int]]) -> Scales:
    """Scales for images of these sizes (width, height): the test scale is the median of their shorter sides, but never more than
    `LARGEST` nor less than `SMALLEST`; the others keep to it as in the paper."""
    middle = median(min(size) for size in sizes)
    side = min(max(_even(middle), SMALLEST), LARGEST)
    train = [_even(side * part) for part in TRAIN_SCALES]
    label = [_even(side * part) for part in LABEL_SCALES]
    return Scales(
        {"short_side": side, "max_size": cap(side)},
        {"train_scales": train, "max_size": cap(train[-1])},
        {"name": "standard", "short_sides": label, "max_size": cap(label[-1])},
    )


def _even(pixels: float) -> int:
    """The nearest multiple of 16."""
    return max(16, 16 * round(pixels / 16))


def cap(short_side: int) -> int:
    """The cap of the longer side, in the paper's proportion."""
    return round(short_side * ASPECT)


def iterations(images: int, training: Mapping[str, Any]) -> int:
    """A teacher's schedule on so many labelled images, in whole hundreds: `PASSES` over them, but never more than the preset's
    schedule, nor less than `LEAST_WARMUPS` warm-ups."""
    wanted = PASSES * images / training["batch_size"]
    least = LEAST_WARMUPS * training.get("warmup_iterations", 500)
    return min(max(100 * -(-round(wanted) // 100), least), training["iterations"])


def student(images: int, teacher: int) -> dict[str, Any]:
    """What a student's entry says beside its data, with so many labelled images and its teacher's schedule."""
    return {"initial": "teacher"} if images < FEW else {"training": {"iterations": ANEW * teacher}}


def held_out(names: Sequence[str], seed: int = 0) -> set[str]:
    """A fifth of the images, at least one, for validation: those whose name, with the seed, hashes lowest. Another image more or
    less moves few others."""
    count = max(1, round(HELD_OUT * len(names)))
    return set(sorted(names, key=lambda name: (hashlib.blake2b(f"{seed} {name}".encode()).digest(), name))[:count])
