"""Boxes: detectron2's own for the plain pass, and the union of all transforms, merged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tiny
import torch
from test_refine import apart, detectron2_instances, forbidden, ids, predictions_spec
from torchvision.ops import box_iou

from datadistill.detections import Detections
from datadistill.errors import UserError
from datadistill.label import batches
from datadistill.label.predict import predict
from datadistill.transforms import Transform

BOTH_FLIPS = tuple(Transform(s, 200, flip) for s in (64, 96, 120) for flip in (False, True))


def assert_detectron2s(network: tiny.Network, split: dict[str, Any], found: Detections) -> None:
    """Box for box what detectron2's own network says."""
    categories = np.array([c["id"] for c in network[2]])
    total = 0
    for index, image in enumerate(split["images"]):
        expected = detectron2_instances(network, image)
        mine = found.select(found.image_index == index)
        assert mine.categories.tolist() == categories[expected.pred_classes.numpy()].tolist()
        np.testing.assert_allclose(mine.scores, expected.scores.numpy(), atol=1e-6)
        np.testing.assert_allclose(mine.boxes, expected.pred_boxes.tensor.numpy(), atol=1e-3)
        total += len(expected)
    assert total == len(found) > 100


def test_the_plain_pass_is_detectron2s(things: tiny.Network, split: dict[str, Any]) -> None:
    found = predict(*things, split, ids(split), predictions_spec())
    assert_detectron2s(things, split, found)
    assert len(set(found.categories.tolist())) > 2


def test_merging_a_single_transform_without_voting_is_detectron2s(things: tiny.Network, split: dict[str, Any]) -> None:
    # The same transform twice takes the path of many transforms.
    assert_detectron2s(
        things, split, predict(*things, split, ids(split), predictions_spec(transforms=(tiny.PLAIN,) * 2))
    )


def test_settings_of_the_spec_hold_and_leave_the_model_as_it_was(things: tiny.Network, split: dict[str, Any]) -> None:
    predictor = things[0].roi_heads.box_predictor
    before = (predictor.test_score_thresh, predictor.test_nms_thresh, predictor.test_topk_per_image)
    found = predict(*things, split, ids(split), predictions_spec(score_floor=0.3, max_detections=4))
    assert found.scores.min() > 0.3
    assert np.bincount(found.image_index).max() == 4
    counts = [len(predict(*things, split, ids(split), predictions_spec(nms=nms))) for nms in (0.3, 0.5, 0.9)]
    assert counts[0] < counts[1] < counts[2]
    assert (predictor.test_score_thresh, predictor.test_nms_thresh, predictor.test_topk_per_image) == before


@pytest.mark.parametrize("voting", [None, 0.8])
def test_a_mirrored_image_has_mirrored_boxes(
    things: tiny.Network, split: dict[str, Any], mirrored: dict[str, Any], voting: float | None
) -> None:
    spec = predictions_spec(transforms=BOTH_FLIPS, voting=voting)
    found = predict(*things, split, ids(split), spec)
    turned = predict(*things, mirrored, ids(split), spec)
    widths = np.array([image["width"] for image in split["images"]])[turned.image_index]
    boxes = turned.boxes.copy()
    boxes[:, [0, 2]] = widths[:, None] - turned.boxes[:, [2, 0]]
    assert found.categories.tolist() == turned.categories.tolist()
    np.testing.assert_allclose(found.scores, turned.scores, atol=1e-5)
    np.testing.assert_allclose(found.boxes, boxes, atol=1e-3)
    assert len(found) > 100


def test_voting_moves_boxes_and_nothing_else(things: tiny.Network, split: dict[str, Any]) -> None:
    still = predict(*things, split, ids(split), predictions_spec(transforms=BOTH_FLIPS))
    voted = predict(*things, split, ids(split), predictions_spec(transforms=BOTH_FLIPS, voting=0.8))
    assert np.array_equal(still.scores, voted.scores)
    assert np.array_equal(still.categories, voted.categories)
    assert 0.01 < np.abs(still.boxes - voted.boxes).max() < 20


def test_scales_made_equal_by_the_cap_vote_as_often_as_if_run_apart(
    things: tiny.Network, split: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    transforms = tuple(Transform(s, 150, flip) for s in (64, 112, 120) for flip in (False, True))
    spec = predictions_spec(transforms=transforms, voting=0.8)
    together = predict(*things, split, ids(split), spec)
    monkeypatch.setattr(batches, "resolve", apart)
    separate = predict(*things, split, ids(split), spec)
    np.testing.assert_allclose(together.boxes, separate.boxes, atol=1e-3)
    np.testing.assert_allclose(together.scores, separate.scores, atol=1e-6)
    # Without the weights it would be another result.
    monkeypatch.setattr(batches, "resolve", lambda h, w, _: apart(h, w, transforms[:4]))
    fewer = predict(*things, split, ids(split), spec)
    assert len(fewer) != len(together) or np.abs(fewer.boxes - together.boxes).max() > 0.01


def test_results_do_not_depend_on_batches(
    things: tiny.Network, split: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [predictions_spec(), predictions_spec(transforms=BOTH_FLIPS, voting=0.8)]
    together = [predict(*things, split, ids(split), spec) for spec in specs]
    monkeypatch.setattr(batches, "BATCH_PIXELS", {"cpu": 1})
    monkeypatch.setattr(batches, "BATCH_BYTES", 1)
    for spec, expected in zip(specs, together, strict=True):
        for shard in (ids(split)[::2], ids(split)[1::2]):
            alone = predict(*things, split, shard, spec)
            np.testing.assert_allclose(alone.boxes, expected.of_images(shard).boxes, atol=1e-3)
            assert alone.categories.tolist() == expected.of_images(shard).categories.tolist()


def test_the_keypoint_head_is_left_out_where_no_keypoints_are_asked_for(
    people: tiny.Network, split: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_keypoints = predict(*people, split, ids(split), predictions_spec(keypoints=True))
    with monkeypatch.context() as patch:
        patch.setattr(people[0].roi_heads.keypoint_head, "layers", forbidden)
        found = predict(*people, split, ids(split), predictions_spec())
    assert found.keypoints is None
    assert np.array_equal(found.boxes, with_keypoints.boxes)
    assert people[0].roi_heads.keypoint_on


def test_keypoints_of_merged_boxes_are_refused(people: tiny.Network, split: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="single, unmirrored transform"):
        predict(*people, split, ids(split), predictions_spec(keypoints=True, transforms=BOTH_FLIPS))


def test_an_image_without_detections_stays_in_the_result(things: tiny.Network, split: dict[str, Any]) -> None:
    for transforms in ((tiny.PLAIN,), BOTH_FLIPS):
        found = predict(*things, split, ids(split), predictions_spec(score_floor=1.0, transforms=transforms))
        assert len(found) == 0
        assert found.image_ids.tolist() == ids(split)


def test_an_empty_shard_is_an_empty_result(people: tiny.Network, split: dict[str, Any]) -> None:
    found = predict(*people, split, [], predictions_spec(keypoints=True))
    assert (len(found), len(found.image_ids), found.keypoints.shape) == (0, 0, (0, 5, 3))


def test_an_unknown_image_is_named(things: tiny.Network, split: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="99"):
        predict(*things, split, [10, 99], predictions_spec())


def test_proposals_without_finite_numbers_are_dropped(
    things: tiny.Network, split: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = things[0].roi_heads.box_predictor
    original = predictor.predict_boxes

    def damaged(*args: Any) -> Any:
        boxes = original(*args)
        for b in boxes:
            b[::2] = torch.nan
        return boxes

    monkeypatch.setattr(predictor, "predict_boxes", damaged)
    found = predict(*things, split, ids(split), predictions_spec(transforms=BOTH_FLIPS, voting=0.8))
    assert len(found) > 0
    assert np.isfinite(found.boxes).all()


@pytest.mark.parametrize("transforms", [(tiny.PLAIN,), BOTH_FLIPS], ids=["plain", "merged"])
def test_reduced_precision_changes_results_a_little(
    people: tiny.Network, split: dict[str, Any], transforms: tuple[Transform, ...]
) -> None:
    single, reduced = (
        predict(*people, split, ids(split), predictions_spec(transforms=transforms, precision=precision))
        for precision in ("float32", "bfloat16")
    )
    assert len(reduced) == pytest.approx(len(single), rel=0.2)
    best = [found.select(found.scores >= 0.9) for found in (single, reduced)]
    assert abs(len(best[0]) - len(best[1])) <= 0.2 * len(best[0])
    assert not np.array_equal(reduced.scores[:20], single.scores[:20])
    np.testing.assert_allclose(reduced.scores[:5], single.scores[:5], atol=0.1)
    # Afterwards the network computes as before.
    again = predict(*people, split, ids(split), predictions_spec(transforms=transforms))
    assert np.array_equal(again.scores, single.scores)


def test_disagreement_counts_the_transforms_that_find_no_such_box(things: tiny.Network, split: dict[str, Any]) -> None:
    spec = predictions_spec(transforms=BOTH_FLIPS, voting=0.5)
    found = predict(*things, split, ids(split), spec)
    assert found.disagreement.shape == (len(found), 1)
    # Each transform by itself, without suppression: all of its boxes above the floor.
    single = [
        predict(*things, split, ids(split), predictions_spec(transforms=(t,), voting=None, nms=1.0, max_detections=-1))
        for t in BOTH_FLIPS
    ]
    # Voting moved the boxes: those before it are the ones that were counted.
    still = predict(*things, split, ids(split), predictions_spec(transforms=BOTH_FLIPS))
    rows = range(0, len(found), 17)
    counted = []
    for row in rows:
        support = 0
        for alone in single:
            same = (alone.ids == still.ids[row]) & (alone.categories == still.categories[row])
            boxes = torch.from_numpy(alone.boxes[same]).double()
            overlap = box_iou(torch.from_numpy(still.boxes[row][None]).double(), boxes)
            support += bool((overlap >= 0.5).any())
        counted.append(1 - support / len(BOTH_FLIPS))
    np.testing.assert_allclose(found.disagreement[rows, 0], counted, atol=1e-6)
    assert len(set(counted)) > 1
    assert predict(*things, split, ids(split), predictions_spec()).disagreement is None
