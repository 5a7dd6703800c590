"""Which image fills which slot of which minibatch: a pure function of the seed.

Every image of a minibatch is drawn independently: labelled with probability `labelled_ratio`, generated otherwise
(section 4, "Retraining": an expected ratio of 6:4). Within a source, images come in shuffled epochs, as detectron2's
training sampler has them. Nothing depends on workers, processes or on where a run was interrupted, so a resumed run
draws what an undisturbed one would have drawn.
"""

from __future__ import annotations

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

    def slots(self, iteration: int, batch: int, rank: int = 0, world: int = 1) -> range:
        """The slots that process `rank` of `world` fills in an iteration: equal, disjoint parts of the batch."""
        if batch % world:
            raise ValueError(f"a batch of {batch} can't be shared equally by {world} processes")
        part = batch // world
        start = iteration * batch + rank * part
        return range(start, start + part)


@lru_cache(maxsize=4)
def _epoch(size: int, seed: int, source: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([_EPOCH_STREAM, seed, source, epoch]).permutation(size)


def augmentation_generator(seed: int, slot: int) -> np.random.Generator:
    """Random numbers for the augmentation of one slot: scale and flip."""
    return np.random.default_rng([_AUGMENT_STREAM, seed, slot])


def model_seed(seed: int, iteration: int, rank: int) -> int:
    """The state of torch's generators at the start of an iteration (sub-sampling of anchors and proposals)."""
    return int(np.random.SeedSequence([_MODEL_STREAM, seed, iteration, rank]).generate_state(1, np.uint64)[0] >> 1)
