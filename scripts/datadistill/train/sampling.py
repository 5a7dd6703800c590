"""Which image fills which slot of which minibatch: a pure function of the seed.

Every image of a minibatch is drawn independently: labelled with probability `labelled_ratio`, generated otherwise
(section 4, "Retraining": an expected ratio of 6:4). Within a source, images come in shuffled epochs, as detectron2's
training sampler has them. Nothing depends on workers, processes or on where a run was interrupted, so a resumed run
draws what an undisturbed one would have drawn.

What is drawn and who computes it are two things: `Deal` shares a minibatch among processes by the shape of its images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

LABELLED, GENERATED = 0, 1
# Streams of random numbers that must not share state: first entry of each seed sequence.
_SOURCE_STREAM, _EPOCH_STREAM, _AUGMENT_STREAM, _MODEL_STREAM = 11, 12, 13, 14


@dataclass(frozen=True)
class Draw:
    """One slot of one minibatch: the source (`LABELLED` or `GENERATED`) and the index of the image within it."""

    source: int
    index: int


@dataclass(frozen=True)
class MixedSampler:
    """The draws of a whole training run.

    `labelled` and `generated` count the images of each source (`generated` may be 0 when `labelled_ratio` is 1);
    `total` is iterations x batch. Slot n of the run is slot n % batch of iteration n // batch. A longer run of the same
    seed begins with the draws of a shorter one.
    """

    labelled: int
    generated: int
    labelled_ratio: float
    total: int
    seed: int
    _source: np.ndarray = field(init=False, repr=False, compare=False)
    _rank: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0.0 <= self.labelled_ratio <= 1.0:
            raise ValueError(f"labelled_ratio must be in 0..1, got {self.labelled_ratio}")
        if self.labelled_ratio > 0 and self.labelled < 1:
            raise ValueError("no labelled image to draw")
        if self.labelled_ratio < 1 and self.generated < 1:
            raise ValueError("no generated image to draw")
        uniform = np.random.default_rng([_SOURCE_STREAM, self.seed]).random(self.total)
        source = (uniform >= self.labelled_ratio).astype(np.uint8)
        generated_so_far = np.cumsum(source, dtype=np.int64)
        # The n-th slot is the rank-th draw of its source: a running count, the only state a draw needs.
        position = np.arange(self.total, dtype=np.int64)
        rank = np.where(source == GENERATED, generated_so_far - 1, position - generated_so_far)
        object.__setattr__(self, "_source", source)
        object.__setattr__(self, "_rank", rank)

    def draw(self, slot: int) -> Draw:
        """The image of a slot, 0 <= slot < total."""
        source, rank = int(self._source[slot]), int(self._rank[slot])
        size = self.labelled if source == LABELLED else self.generated
        return Draw(source, int(_epoch(size, self.seed, source, rank // size)[rank % size]))


@dataclass(frozen=True)
class Deal:
    """Which slots of each minibatch one of several processes fills.

    A batch is padded to its tallest and to its widest image, and all processes wait for the slowest. So the slots of an
    iteration are dealt in the order of their images' shapes: wide images together, tall ones together. What is drawn
    stays the same, whatever the number of processes.

    `ratios` holds height / width of every image, by source as the sampler numbers them; `batch` is the minibatch of all
    processes. Raises `ValueError` when it can't be shared equally.
    """

    sampler: MixedSampler
    ratios: Sequence[np.ndarray]
    batch: int
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if self.batch % self.world:
            raise ValueError(f"a batch of {self.batch} can't be shared equally by {self.world} processes")

    def slots(self, iteration: int) -> list[int]:
        """This process's slots of an iteration, in the order of the batch."""
        slots = range(iteration * self.batch, (iteration + 1) * self.batch)
        if self.world == 1:
            return list(slots)
        by_shape = sorted(slots, key=lambda slot: (self._ratio(slot), slot))
        part = self.batch // self.world
        # The shapes go round: what a process keeps for itself (statistics of plain batch norm) must not be of wide images alone.
        turn = (self.rank + iteration) % self.world
        return sorted(by_shape[turn * part : (turn + 1) * part])

    def first_place(self, iteration: int) -> int:
        """The place in the batch, from 0, of the first of them: it tells the processes apart, whatever their ranks."""
        return self.slots(iteration)[0] - iteration * self.batch

    def _ratio(self, slot: int) -> float:
        draw = self.sampler.draw(slot)
        return float(self.ratios[draw.source][draw.index])


@lru_cache(maxsize=4)
def _epoch(size: int, seed: int, source: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([_EPOCH_STREAM, seed, source, epoch]).permutation(size)


def augmentation_generator(seed: int, slot: int) -> np.random.Generator:
    """Random numbers for the augmentation of one slot: scale and flip."""
    return np.random.default_rng([_AUGMENT_STREAM, seed, slot])


def model_seed(seed: int, iteration: int, place: int) -> int:
    """The state of torch's generators at the start of an iteration (sub-sampling of anchors and proposals).

    `place` is that of the process's first image in the batch, so that the state belongs to images and not to ranks.
    """
    return int(np.random.SeedSequence([_MODEL_STREAM, seed, iteration, place]).generate_state(1, np.uint64)[0] >> 1)
