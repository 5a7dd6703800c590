from __future__ import annotations

import numpy as np
import pytest
import torch
from detectron2.structures import heatmaps_to_keypoints

from datadistill.errors import UserError
from datadistill.label.ensemble import heatmaps
from datadistill.label.ensemble.heatmaps import HeatmapAverage, decode, transform_weights
from datadistill.transforms import Transform

ODD_BOXES = [
    [0.0, 0.0, 56.0, 56.0],  # the map itself
    [3.25, -4.5, 3.25, 10.0],  # no width
    [3.0, 4.0, 3.3, 4.2],  # less than a pixel
    [10.0, 10.0, 11.0, 500.0],  # one column
    [-20.5, -3.25, 90.75, 41.5],  # beyond the image
    [5.0, 6.0, 105.0, 46.0],  # whole numbers
    [5.5, 6.5, 105.5, 46.5],  # the same size elsewhere
    [7.1, 9.9, 107.05, 49.85],  # rounded up to the same size
    [100.3, 20.7, 311.9, 402.2],
    [0.0, 0.0, 333.0, 0.001],
]


def random_boxes(count: int) -> torch.Tensor:
    corners = torch.rand(count, 2) * 200 - 20
    return torch.cat([corners, corners + torch.rand(count, 2) ** 3 * 250], dim=1)


@pytest.mark.parametrize("spread", [0.01, 3.0, 60.0])
def test_decoding_equals_detectron2s(spread: float) -> None:
    torch.manual_seed(0)
    boxes = torch.cat([torch.tensor(ODD_BOXES), random_boxes(30)])
    maps = torch.randn(len(boxes), 3, 56, 56) * spread
    expected = heatmaps_to_keypoints(maps, boxes)[:, :, [0, 1, 3]]
    found = decode(maps, boxes)
    assert torch.equal(found[..., :2], expected[..., :2])
    torch.testing.assert_close(found[..., 2], expected[..., 2], rtol=1e-5, atol=0)


def test_decoding_in_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    boxes = torch.tensor([[0.0, 0.0, 20.0, 30.0]]).repeat(7, 1) + torch.arange(7.0)[:, None]
    maps = torch.randn(7, 2, 56, 56)
    whole = decode(maps, boxes)
    monkeypatch.setattr(heatmaps, "DECODE_VALUES", 2 * 2 * 20 * 30)
    assert torch.equal(decode(maps, boxes), whole)


def test_no_boxes_have_no_keypoints() -> None:
    assert decode(torch.zeros(0, 17, 56, 56), torch.zeros(0, 4)).shape == (0, 17, 3)


def mean_probability(maps: list[np.ndarray], weights: list[float]) -> np.ndarray:
    """log of the weighted mean of spatial softmaxes, in double precision."""
    total = 0.0
    for logits, weight in zip(maps, weights, strict=True):
        powers = np.exp(logits - logits.max(axis=(-2, -1), keepdims=True))
        total = total + weight * powers / powers.sum(axis=(-2, -1), keepdims=True)
    return np.log(total / sum(weights))


def test_probabilities_are_averaged_and_their_log_is_kept() -> None:
    torch.manual_seed(2)
    maps = [torch.randn(4, 3, 8, 8) * s for s in (1.0, 5.0, 2.0)]
    weights = [1.0, 3.0, 2.0]
    average = HeatmapAverage(4)
    for logits, weight in zip(maps, weights, strict=True):
        average.add(logits, slice(0, 4), torch.full((4,), weight))
    expected = mean_probability([m.double().numpy() for m in maps], weights)
    np.testing.assert_allclose(average.result().numpy(), expected, rtol=1e-5, atol=1e-5)


def test_a_weight_is_as_good_as_repeating() -> None:
    torch.manual_seed(3)
    first, second = torch.randn(2, 5, 3, 8, 8)
    for space in heatmaps.AVERAGES:
        weighted, repeated = HeatmapAverage(5, space), HeatmapAverage(5, space)
        weighted.add(first, slice(0, 5), torch.full((5,), 3.0))
        weighted.add(second, slice(0, 5), torch.ones(5))
        for maps in (first, first, first, second):
            repeated.add(maps, slice(0, 5), torch.ones(5))
        torch.testing.assert_close(weighted.result(), repeated.result())


def test_heatmaps_without_overlap_stay_finite() -> None:
    # Each is certain of another pixel: every probability but one underflows.
    average = HeatmapAverage(1)
    for pixel in (0, 63):
        logits = torch.full((1, 1, 64), -500.0)
        logits[..., pixel] = 500.0
        average.add(logits.view(1, 1, 8, 8), slice(0, 1), torch.ones(1))
    result = average.result().flatten()
    assert torch.isfinite(result).all()
    torch.testing.assert_close(result[[0, 63]].exp(), torch.tensor([0.5, 0.5]))


def test_rois_are_averaged_each_by_its_own_weights() -> None:
    torch.manual_seed(4)
    first, second = torch.randn(2, 3, 2, 8, 8)
    average = HeatmapAverage(3)
    average.add(first, slice(0, 3), torch.tensor([1.0, 2.0, 1.0]))
    average.add(second[[0, 2]], torch.tensor([0, 2]), torch.tensor([1.0, 3.0]))
    expected = np.concatenate(
        [
            mean_probability([first[:1].double().numpy(), second[:1].double().numpy()], [1, 1]),
            mean_probability([first[1:2].double().numpy()], [2]),
            mean_probability([first[2:].double().numpy(), second[2:].double().numpy()], [1, 3]),
        ]
    )
    np.testing.assert_allclose(average.result().numpy(), expected, rtol=1e-5, atol=1e-5)


def test_logits_can_be_averaged_instead() -> None:
    first, second = torch.randn(2, 2, 3, 8, 8)
    average = HeatmapAverage(2, "logits")
    average.add(first, slice(0, 2), torch.ones(2))
    average.add(second, slice(0, 2), torch.full((2,), 2.0))
    torch.testing.assert_close(average.result(), (first + 2 * second) / 3)


def test_an_unknown_average_is_named() -> None:
    with pytest.raises(UserError, match=r"'median'.*probabilities, logits"):
        HeatmapAverage(1, "median")


def test_a_mirrored_map_decodes_to_mirrored_keypoints_with_sides_swapped() -> None:
    torch.manual_seed(5)
    permutation = [0, 2, 1]
    maps = torch.randn(6, 3, 56, 56) * 3
    # detectron2 centres the single column of a box narrower than a pixel at its left edge, which has no mirror image.
    boxes = random_boxes(6) + torch.tensor([0.0, 0.0, 2.0, 2.0])
    mirrored_boxes = torch.stack([300 - boxes[:, 2], boxes[:, 1], 300 - boxes[:, 0], boxes[:, 3]], dim=1)
    seen = decode(maps, mirrored_boxes)
    expected = torch.stack([300 - seen[..., 0], seen[..., 1], seen[..., 2]], dim=2)[:, permutation]
    torch.testing.assert_close(
        decode(Transform(1, 1, flip=True).maps_back(maps, permutation), boxes), expected, rtol=1e-4, atol=1e-3
    )


def test_size_dependent_weights_follow_detectron1() -> None:
    transforms = [Transform(400, 2000), Transform(600, 2000), Transform(800, 1333), Transform(1200, 2000)]
    areas = torch.tensor([150.0**2 - 1, 150.0**2])
    weights = [transform_weights(areas, [t], 800, True).tolist() for t in transforms]
    # A small box drops what is scaled down, a large one what is scaled up.
    assert weights == [[0, 1], [0, 1], [1, 1], [1, 0]]
    assert transform_weights(areas, transforms, 800, True).tolist() == [2, 3]
    assert transform_weights(areas, transforms, 800, False).tolist() == [4, 4]


@pytest.mark.parametrize("space", heatmaps.AVERAGES)
def test_disagreement_is_what_the_peak_of_the_mean_lacks_of_the_mean_peak(space: str) -> None:
    torch.manual_seed(6)
    maps = [torch.randn(4, 3, 8, 8) * s for s in (1.0, 5.0, 2.0)]
    weights = [1.0, 3.0, 2.0]
    average = HeatmapAverage(4, space, compare=True)
    for logits, weight in zip(maps, weights, strict=True):
        # In two parts, as batches come.
        average.add(logits[:2], slice(0, 2), torch.full((2,), weight))
        average.add(logits[2:], torch.tensor([2, 3]), torch.full((2,), weight))
    mean = np.exp(mean_probability([m.double().numpy() for m in maps], weights)).max(axis=(2, 3))
    peaks = [np.exp(mean_probability([m.double().numpy()], [1.0])).max(axis=(2, 3)) for m in maps]
    expected = 1 - mean / np.average(peaks, axis=0, weights=weights)
    found = average.disagreement().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert 0.1 < found.min() <= found.max() < 1
    # It takes no part in the average.
    plain = HeatmapAverage(4, space)
    for logits, weight in zip(maps, weights, strict=True):
        plain.add(logits, slice(0, 4), torch.full((4,), weight))
    assert torch.equal(plain.result(), average.result())
    with pytest.raises(ValueError, match="nothing was compared"):
        plain.disagreement()


def test_transforms_that_agree_have_no_disagreement_and_certain_opposites_much() -> None:
    torch.manual_seed(7)
    same, average = torch.randn(2, 3, 8, 8) * 4, HeatmapAverage(2, compare=True)
    for weight in (1.0, 2.0):
        average.add(same, slice(0, 2), torch.full((2,), weight))
    assert average.disagreement().abs().max() < 1e-6
    apart = HeatmapAverage(1, compare=True)
    for place in range(4):
        logits = torch.zeros(1, 1, 8, 8)
        logits[0, 0, place, place] = 50.0
        apart.add(logits, slice(0, 1), torch.ones(1))
    assert apart.disagreement().item() == pytest.approx(0.75, abs=1e-5)
