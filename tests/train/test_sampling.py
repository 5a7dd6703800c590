"""Draws: the ratio of section 4 holds at any batch size, and a slot's image depends on the seed alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from datadistill.train.sampling import GENERATED, LABELLED, Deal, Draw, MixedSampler, augmentation_generator, model_seed


def sampler(total: int, *, ratio: float = 0.6, seed: int = 1, labelled: int = 40, generated: int = 100) -> MixedSampler:
    return MixedSampler(labelled, generated, ratio, total, seed)


def draws(mixed: MixedSampler) -> list[Draw]:
    return [mixed.draw(slot) for slot in range(mixed.total)]


@pytest.mark.parametrize("batch", [1, 2, 3, 16])
@pytest.mark.parametrize("seed", [0, 1, 12345])
@pytest.mark.parametrize("ratio", [0.6, 0.1])
def test_each_slot_of_a_batch_is_drawn_at_the_ratio(batch: int, seed: int, ratio: float) -> None:
    iterations = 2000
    mixed = sampler(iterations * batch, ratio=ratio, seed=seed)
    drawn = np.array([mixed.draw(slot).source == LABELLED for slot in range(mixed.total)]).reshape(iterations, batch)
    # Four standard deviations of a binomial count: int(0.6 * batch) would be far outside at batches 1, 2 and 3.
    spread = math.sqrt(ratio * (1 - ratio))
    assert abs(drawn.mean() - ratio) < 4 * spread / math.sqrt(iterations * batch)
    assert np.all(np.abs(drawn.mean(axis=0) - ratio) < 4 * spread / math.sqrt(iterations))
    if batch > 1:
        # Drawn independently: the count of a batch is binomial, not fixed.
        variance = drawn.sum(axis=1).var()
        assert variance == pytest.approx(batch * spread**2, rel=0.2)


def test_neighbouring_slots_are_independent() -> None:
    drawn = np.array([draw.source for draw in draws(sampler(20_000))], dtype=float)
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 4 / math.sqrt(len(drawn))


@pytest.mark.parametrize(("ratio", "source"), [(1.0, LABELLED), (0.0, GENERATED)])
def test_a_ratio_at_its_end_draws_from_one_source(ratio: float, source: int) -> None:
    assert {draw.source for draw in draws(sampler(500, ratio=ratio))} == {source}


def test_without_generated_images_all_are_labelled() -> None:
    assert {draw.source for draw in draws(MixedSampler(5, 0, 1.0, 100, 1))} == {LABELLED}


def test_a_longer_run_begins_with_the_draws_of_a_shorter_one() -> None:
    long, short = sampler(3000), sampler(700)
    assert draws(long)[:700] == draws(short)


def test_draws_are_a_function_of_the_slot() -> None:
    mixed, again = sampler(600), sampler(600)
    forward = draws(mixed)
    slots = np.random.default_rng(0).permutation(600)
    assert [again.draw(int(slot)) for slot in slots] == [forward[slot] for slot in slots]
    assert draws(sampler(600, seed=2)) != forward


def test_every_epoch_of_a_source_covers_it_without_replacement() -> None:
    mixed = sampler(2000, labelled=7, generated=11)
    for source, size in ((LABELLED, 7), (GENERATED, 11)):
        order = [draw.index for draw in draws(mixed) if draw.source == source]
        epochs = [tuple(order[start : start + size]) for start in range(0, len(order) - size, size)]
        assert len(epochs) > 50
        assert all(sorted(epoch) == list(range(size)) for epoch in epochs)
        assert len(set(epochs)) > 0.9 * len(epochs), "epochs are shuffled anew"


def test_sources_are_shuffled_differently() -> None:
    mixed = sampler(4000, labelled=50, generated=50, ratio=0.5)
    first = {
        source: [draw.index for draw in draws(mixed) if draw.source == source][:50] for source in (LABELLED, GENERATED)
    }
    assert first[LABELLED] != first[GENERATED]


def test_processes_that_cannot_share_a_batch_are_refused() -> None:
    with pytest.raises(ValueError, match="batch of 3 can't be shared equally by 2"):
        Deal(sampler(30), (np.ones(40), np.ones(100)), 3, 0, 2)


@pytest.mark.parametrize(
    ("labelled", "generated", "ratio", "message"),
    [
        (5, 5, 1.5, r"0\.\.1"),
        (5, 5, -0.1, r"0\.\.1"),
        (5, 5, float("nan"), r"0\.\.1"),
        (0, 5, 0.6, "no labelled image"),
        (5, 0, 0.6, "no generated image"),
    ],
)
def test_what_cannot_be_drawn_is_refused(labelled: int, generated: int, ratio: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MixedSampler(labelled, generated, ratio, 10, 1)


def test_augmentations_and_model_states_are_functions_of_their_place() -> None:
    first = [augmentation_generator(1, slot).random() for slot in range(100)]
    assert first == [augmentation_generator(1, slot).random() for slot in range(100)]
    assert len(set(first)) == 100
    assert augmentation_generator(2, 0).random() != first[0]
    states = {
        model_seed(seed, iteration, rank) for seed in range(3) for iteration in (0, 1, 2, 2**32) for rank in range(3)
    }
    assert len(states) == 36
    # torch takes seeds of at most 63 bits, at least where they are also given to numpy-like generators.
    assert all(0 <= state < 2**63 for state in states)
    assert model_seed(1, 2, 0) == model_seed(1, 2, 0)
