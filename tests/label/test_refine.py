"""Keypoints of given boxes, against detectron2's own network and against a slow path through every transform."""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from detectron2.data.detection_utils import read_image
from detectron2.data.transforms import ResizeTransform
from detectron2.structures import Boxes, Instances, heatmaps_to_keypoints
from PIL import Image

from datadistill.detections import Detections
from datadistill.errors import UserError
from datadistill.label import batches
from datadistill.label.ensemble import heatmaps
from datadistill.label.predict import predict
from datadistill.label.refine import refine
from datadistill.specs import PredictionsSpec, RefinementSpec
from datadistill.transforms import Transform, resolve

PERMUTATION = [0, 2, 1, 4, 3]
SEVERAL = tuple(Transform(s, 200, flip) for s in (64, 96, 120) for flip in (False, True))


def predictions_spec(**changes: Any) -> PredictionsSpec:
    values = {"score_floor": 0.05, "nms": 0.5, "max_detections": 100, "voting": None, "keypoints": False, **changes}
    return PredictionsSpec("model", "split", values.pop("transforms", (tiny.PLAIN,)), **values)


def refinement_spec(transforms: tuple[Transform, ...] = SEVERAL, **changes: Any) -> RefinementSpec:
    return RefinementSpec("", None, transforms, **{"average": "probabilities", "size_dependent": False, **changes})


def ids(split: dict[str, Any]) -> list[int]:
    return [image["id"] for image in split["images"]]


@pytest.fixture(scope="module")
def boxes(people: tiny.Network, split: dict[str, Any]) -> Detections:
    """Boxes of the plain pass, some ten for each image."""
    return predict(*people, split, ids(split), predictions_spec(max_detections=12))


@pytest.fixture(scope="module")
def refined(people: tiny.Network, split: dict[str, Any], boxes: Detections) -> Detections:
    """All boxes by several transforms."""
    return refine(*people, split, boxes, refinement_spec())


def same(a: Detections, b: Detections) -> bool:
    return all(np.array_equal(getattr(a, c), getattr(b, c)) for c in Detections.__dataclass_fields__)


def assert_identical(a: Detections, b: Detections) -> None:
    """The very same boxes and positions; scores but for the last bits, which depend on how many RoIs share a batch."""
    assert same(a.with_keypoints(None), b.with_keypoints(None))
    assert np.array_equal(a.keypoints[..., :2], b.keypoints[..., :2])
    np.testing.assert_allclose(a.keypoints[..., 2], b.keypoints[..., 2], rtol=1e-5)
    np.testing.assert_allclose(a.disagreement, b.disagreement, atol=1e-5)


def detectron2_instances(network: tiny.Network, image: dict[str, Any]) -> Instances:
    """The network's own output for one image, as detectron2's DefaultPredictor calls it."""
    model = network[0]
    pixels = read_image(image["file_name"], "BGR")
    size = tiny.TEST_SCALE.size(*pixels.shape[:2])
    resized = ResizeTransform(*pixels.shape[:2], *size).apply_image(pixels).astype("float32").transpose(2, 0, 1)
    with torch.no_grad():
        return model([{"image": torch.as_tensor(resized.copy()), "height": image["height"], "width": image["width"]}])[
            0
        ]["instances"]


def test_predicted_keypoints_are_detectron2s(people: tiny.Network, split: dict[str, Any]) -> None:
    found = predict(*people, split, ids(split), predictions_spec(keypoints=True))
    assert len(found) > 100
    for index, image in enumerate(split["images"]):
        expected = detectron2_instances(people, image)
        mine = found.select(found.image_index == index)
        np.testing.assert_allclose(mine.boxes, expected.pred_boxes.tensor.numpy(), atol=1e-4)
        np.testing.assert_allclose(mine.scores, expected.scores.numpy(), atol=1e-6)
        np.testing.assert_allclose(mine.keypoints[..., :2], expected.pred_keypoints[..., :2].numpy(), atol=1e-3)
        np.testing.assert_allclose(mine.keypoints[..., 2], expected.pred_keypoints[..., 2].numpy(), rtol=1e-3)


@pytest.mark.parametrize("average", heatmaps.AVERAGES)
def test_refining_by_the_plain_pass_gives_detectron2s_keypoints(
    people: tiny.Network, split: dict[str, Any], average: str
) -> None:
    expected = predict(*people, split, ids(split), predictions_spec(keypoints=True))
    found = refine(*people, split, expected, refinement_spec((tiny.PLAIN,), average=average))
    assert same(found.with_keypoints(None), expected.with_keypoints(None))
    np.testing.assert_allclose(found.keypoints[..., :2], expected.keypoints[..., :2], atol=1e-3)
    np.testing.assert_allclose(found.keypoints[..., 2], expected.keypoints[..., 2], rtol=1e-3)


def slow_heatmaps(
    network: tiny.Network, image: dict[str, Any], boxes: np.ndarray, transforms: tuple[Transform, ...]
) -> Iterator[torch.Tensor]:
    """Probabilities (n, K, S, S) of each transform by itself through detectron2's `inference` with given boxes, in double precision."""
    model = network[0]
    pixels = read_image(image["file_name"], "BGR")
    height, width = pixels.shape[:2]
    for transform in transforms:
        h, w = transform.resized(height, width)
        resized = ResizeTransform(height, width, h, w).apply_image(pixels)
        rois = boxes.astype(np.float64) * [w / width, h / height, w / width, h / height]
        if transform.flip:
            resized = resized[:, ::-1]
            rois = np.stack([w - rois[:, 2], rois[:, 1], w - rois[:, 0], rois[:, 3]], axis=1)
        given = Instances((h, w), pred_boxes=Boxes(torch.tensor(rois, dtype=torch.float32)))
        given.pred_classes = torch.zeros(len(rois), dtype=torch.long)
        tensor = torch.as_tensor(resized.transpose(2, 0, 1).copy())
        with torch.no_grad():
            (out,) = model.inference([{"image": tensor}], [given], do_postprocess=False)
        maps = out.pred_keypoint_heatmaps.double()
        if transform.flip:
            maps = maps.flip(3)[:, PERMUTATION]
        yield maps.flatten(2).softmax(2).view_as(maps)


def slow_keypoints(
    network: tiny.Network, image: dict[str, Any], boxes: np.ndarray, transforms: tuple[Transform, ...]
) -> np.ndarray:
    """Keypoints of the mean of `slow_heatmaps`."""
    total = sum(slow_heatmaps(network, image, boxes, transforms))
    height, width = image["height"], image["width"]
    h, w = tiny.TEST_SCALE.size(height, width)
    rois = torch.tensor(boxes * [w / width, h / height, w / width, h / height], dtype=torch.float32)
    points = heatmaps_to_keypoints((total / len(transforms)).log().float(), rois)[:, :, [0, 1, 3]].numpy()
    return points * [width / w, height / h, 1]


def test_the_ensemble_equals_every_transform_run_by_itself(
    people: tiny.Network, split: dict[str, Any], refined: Detections
) -> None:
    plain = refine(*people, split, refined, refinement_spec((tiny.PLAIN,)))
    assert np.abs(refined.keypoints - plain.keypoints).max() > 1, "the transforms agree: they prove nothing"
    for index, image in enumerate(split["images"]):
        mine = refined.select(refined.image_index == index)
        expected = slow_keypoints(people, image, mine.boxes, SEVERAL)
        np.testing.assert_allclose(mine.keypoints[..., :2], expected[..., :2], atol=1e-3)
        np.testing.assert_allclose(mine.keypoints[..., 2], expected[..., 2], rtol=1e-3)


def test_disagreement_is_that_of_every_transform_run_by_itself(
    people: tiny.Network, split: dict[str, Any], refined: Detections
) -> None:
    for index, image in enumerate(split["images"][:3]):
        mine = refined.select(refined.image_index == index)
        maps = torch.stack(list(slow_heatmaps(people, image, mine.boxes, SEVERAL))).flatten(3)
        expected = 1 - maps.mean(0).amax(2) / maps.amax(3).mean(0)
        np.testing.assert_allclose(mine.disagreement, expected.numpy(), atol=1e-4)
    assert 0 <= refined.disagreement.min() < 0.2 < refined.disagreement.max() <= 1
    assert refine(*people, split, refined, refinement_spec((tiny.PLAIN,))).disagreement is None


def test_what_earlier_refinements_did_not_say_stays_unknown(
    people: tiny.Network, split: dict[str, Any], boxes: Detections, refined: Detections
) -> None:
    earlier = dataclasses.replace(refined.of_images(ids(split)[:2]), disagreement=None)
    found = refine(*people, split, boxes, refinement_spec(), reuse=[earlier])
    old = np.isin(found.ids, ids(split)[:2])
    assert np.isnan(found.disagreement[old]).all()
    np.testing.assert_allclose(found.disagreement[~old], refined.disagreement[~old], atol=1e-5)
    np.testing.assert_array_equal(found.keypoints[..., :2], refined.keypoints[..., :2])


def test_a_mirrored_image_with_mirrored_boxes_has_mirrored_keypoints(
    people: tiny.Network, split: dict[str, Any], mirrored: dict[str, Any], boxes: Detections, refined: Detections
) -> None:
    widths = np.array([image["width"] for image in split["images"]], np.float32)[boxes.image_index]
    turned = boxes.boxes.copy()
    turned[:, [0, 2]] = widths[:, None] - boxes.boxes[:, [2, 0]]
    given = Detections(boxes.image_ids, boxes.image_index, turned, boxes.scores, boxes.categories)
    found = refine(*people, mirrored, given, refinement_spec()).keypoints[:, PERMUTATION]
    np.testing.assert_allclose(widths[:, None] - found[..., 0], refined.keypoints[..., 0], atol=1e-3)
    np.testing.assert_allclose(found[..., 1], refined.keypoints[..., 1], atol=1e-3)
    np.testing.assert_allclose(found[..., 2], refined.keypoints[..., 2], rtol=1e-3)


def gate_of(boxes: Detections) -> float:
    """A score that some images have no box above."""
    best = [boxes.scores[boxes.image_index == i].max() for i in range(len(boxes.image_ids))]
    return float(np.sort(best)[-3])


def test_gated_keypoints_are_the_ungated_ones(
    people: tiny.Network, split: dict[str, Any], boxes: Detections, refined: Detections
) -> None:
    threshold = gate_of(boxes)
    gated = refine(*people, split, boxes, refinement_spec(), threshold)
    assert 0 < len(gated) < len(boxes)
    assert_identical(gated, refined.select(refined.scores >= np.float32(threshold)))
    assert gated.image_ids.tolist() == ids(split)


def test_a_gate_that_nothing_passes_leaves_images_without_boxes(
    people: tiny.Network, split: dict[str, Any], boxes: Detections
) -> None:
    found = refine(*people, split, boxes, refinement_spec(), 1.5)
    assert len(found) == 0
    assert found.keypoints.shape == (0, 5, 3)
    assert found.image_ids.tolist() == ids(split)


class Counted:
    """A function that counts what it is called with."""

    def __init__(self, function: Any, count: Any) -> None:
        self.function, self.count, self.seen = function, count, []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.seen.append(self.count(*args))
        return self.function(*args, **kwargs)


def work(split: dict[str, Any], boxes: Detections) -> int:
    """RoIs that the keypoint head must see: every box in every distinct view of its image."""
    views = [len(resolve(image["height"], image["width"], SEVERAL)) for image in split["images"]]
    return int(np.array(views)[boxes.image_index].sum())


def forbidden(*_: Any, **__: Any) -> Any:
    raise AssertionError("must not run")


def test_only_surviving_boxes_are_worked_on(
    people: tiny.Network, split: dict[str, Any], boxes: Detections, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = people[0]
    threshold = gate_of(boxes)
    surviving = boxes.select(boxes.scores >= np.float32(threshold))
    names = {image["id"]: image["file_name"] for image in split["images"]}
    reader = Counted(batches.read_image, lambda name: name)
    heads = Counted(model.roi_heads.keypoint_head.layers, len)
    monkeypatch.setattr(batches, "read_image", reader)
    monkeypatch.setattr(model.roi_heads.keypoint_head, "layers", heads)
    monkeypatch.setattr(model.proposal_generator, "forward", forbidden)
    monkeypatch.setattr(model.roi_heads.box_head, "forward", forbidden)
    refine(*people, split, boxes, refinement_spec(), threshold)
    assert sorted(reader.seen) == sorted({names[i] for i in surviving.ids.tolist()}), "each survivor decoded once"
    assert len(reader.seen) < len(names)
    assert sum(heads.seen) == work(split, surviving)


def apart(height: int, width: int, transforms: Any) -> Any:
    return tuple(view for t in transforms for view in resolve(height, width, [t]))


def test_scales_made_equal_by_the_cap_run_once_as_if_run_apart(
    people: tiny.Network, split: dict[str, Any], boxes: Detections, monkeypatch: pytest.MonkeyPatch
) -> None:
    transforms = tuple(Transform(s, 150, flip) for s in (64, 96, 112, 120) for flip in (False, True))
    model = people[0]
    backbone = Counted(model.backbone.forward, len)
    monkeypatch.setattr(model.backbone, "forward", backbone)
    together = refine(*people, split, boxes, refinement_spec(transforms))
    runs, backbone.seen = sum(backbone.seen), []
    monkeypatch.setattr(batches, "resolve", apart)
    separate = refine(*people, split, boxes, refinement_spec(transforms))
    assert sum(backbone.seen) == len(split["images"]) * len(transforms) > runs
    np.testing.assert_allclose(together.keypoints[..., :2], separate.keypoints[..., :2], atol=1e-3)
    np.testing.assert_allclose(together.keypoints[..., 2], separate.keypoints[..., 2], rtol=1e-3)
    unweighted = refine(*people, split, boxes, refinement_spec(tuple(dict.fromkeys(transforms[:2]))))
    assert np.abs(together.keypoints - unweighted.keypoints).max() > 1


def test_size_dependent_averaging_drops_scales_by_the_size_of_the_box(
    people: tiny.Network, split: dict[str, Any], boxes: Detections, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides = boxes.boxes[:, 2:] - boxes.boxes[:, :2]
    areas = sides[:, 0] * sides[:, 1]
    line = float(np.median(areas))
    monkeypatch.setattr(heatmaps, "LARGE_AREA", line)
    found = refine(*people, split, boxes, refinement_spec(size_dependent=True))
    small = refine(*people, split, boxes, refinement_spec(tuple(t for t in SEVERAL if t.short_side >= 96)))
    large = refine(*people, split, boxes, refinement_spec(tuple(t for t in SEVERAL if t.short_side <= 96)))
    expected = np.where((areas < line)[:, None, None], small.keypoints, large.keypoints)
    assert np.abs(small.keypoints - large.keypoints).max() > 1
    np.testing.assert_allclose(found.keypoints[..., :2], expected[..., :2], atol=1e-3)
    np.testing.assert_allclose(found.keypoints[..., 2], expected[..., 2], rtol=1e-3)


def test_reduced_precision_moves_few_keypoints(
    people: tiny.Network, split: dict[str, Any], boxes: Detections, refined: Detections
) -> None:
    reduced = refine(*people, split, boxes, refinement_spec(precision="bfloat16"))
    assert same(reduced.with_keypoints(None), refined.with_keypoints(None))
    moved = np.abs(reduced.keypoints[..., :2] - refined.keypoints[..., :2]).max(axis=2)
    assert not np.array_equal(reduced.keypoints, refined.keypoints)
    assert np.median(moved) < 2.0


def test_size_dependent_averaging_needs_a_scale_for_every_box(
    people: tiny.Network, split: dict[str, Any], boxes: Detections
) -> None:
    with pytest.raises(UserError, match=r"size_dependent.*96"):
        refine(*people, split, boxes, refinement_spec((Transform(120, 200),), size_dependent=True))


def test_reused_boxes_are_not_run_again(
    people: tiny.Network,
    split: dict[str, Any],
    boxes: Detections,
    refined: Detections,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threshold = gate_of(boxes)
    earlier = refine(*people, split, boxes, refinement_spec(), threshold)
    parts = [earlier.of_images(ids(split)[:2]), earlier.of_images(ids(split)[2:])]
    heads = Counted(people[0].roi_heads.keypoint_head.layers, len)
    monkeypatch.setattr(people[0].roi_heads.keypoint_head, "layers", heads)
    assert_identical(refine(*people, split, boxes, refinement_spec(), reuse=parts), refined)
    assert sum(heads.seen) == work(split, boxes) - work(split, earlier)
    monkeypatch.setattr(batches, "read_image", forbidden)
    again = refine(*people, split, boxes, refinement_spec(), threshold, reuse=[refined])
    assert same(again, refined.select(refined.scores >= np.float32(threshold)))


def test_results_do_not_depend_on_batches_or_shards(
    people: tiny.Network,
    split: dict[str, Any],
    boxes: Detections,
    refined: Detections,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "BATCH_PIXELS", {"cpu": 1})
    monkeypatch.setattr(batches, "BATCH_IMAGES", 2)
    monkeypatch.setattr("datadistill.label.refine.ROIS_AT_ONCE", {"cpu": 3})
    for shard in (ids(split)[::2], ids(split)[1::2]):
        alone = refine(*people, split, boxes.of_images(shard), refinement_spec(), workers=1)
        expected = refined.of_images(shard)
        np.testing.assert_allclose(alone.keypoints[..., :2], expected.keypoints[..., :2], atol=1e-3)
        np.testing.assert_allclose(alone.keypoints[..., 2], expected.keypoints[..., 2], rtol=1e-3)


def test_images_of_equal_views_share_batches(people: tiny.Network, split: dict[str, Any]) -> None:
    images = batches.split_images(split, ids(split))
    made = batches.make_batches(images, SEVERAL)
    assert Counter(len(batch.images) for batch in made) == {3: 1, 1: 3}
    assert sorted(i.id for b in made for i in b.images) == ids(split)


def test_an_image_that_is_gone_is_named(people: tiny.Network, split: dict[str, Any], boxes: Detections) -> None:
    changed = copy.deepcopy(split)
    changed["images"][2]["file_name"] = "gone.png"
    with pytest.raises(UserError, match=r"gone\.png.*image 12 can't be decoded"):
        refine(*people, changed, boxes, refinement_spec())


def test_a_truncated_image_is_named(
    people: tiny.Network, split: dict[str, Any], boxes: Detections, tmp_path: Path
) -> None:
    changed = copy.deepcopy(split)
    whole = Path(split["images"][1]["file_name"]).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    changed["images"][1]["file_name"] = str(tmp_path / "cut.png")
    with pytest.raises(UserError, match=r"cut\.png.*image 11 can't be decoded"):
        predict(*people, changed, ids(split), predictions_spec())


def test_an_image_of_another_size_is_named(
    people: tiny.Network, split: dict[str, Any], boxes: Detections, tmp_path: Path
) -> None:
    changed = copy.deepcopy(split)
    Image.new("RGB", (64, 64)).save(tmp_path / "other.png")
    changed["images"][0]["file_name"] = str(tmp_path / "other.png")
    with pytest.raises(UserError, match=r"other\.png.*64x64, but the split says 128x96"):
        refine(*people, changed, boxes, refinement_spec())


def test_a_diverged_model_is_an_error(
    people: tiny.Network, split: dict[str, Any], boxes: Detections, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = people[0].roi_heads.keypoint_head.layers
    monkeypatch.setattr(people[0].roi_heads.keypoint_head, "layers", lambda x: layers(x) * float("nan"))
    with pytest.raises(UserError, match="not finite"):
        refine(*people, split, boxes, refinement_spec())


def test_a_model_without_keypoints_is_refused(things: tiny.Network, split: dict[str, Any], boxes: Detections) -> None:
    with pytest.raises(UserError, match="needs a model with a keypoint head"):
        refine(*things, split, boxes, refinement_spec())
    with pytest.raises(UserError, match="no keypoint head"):
        predict(*things, split, ids(split), predictions_spec(keypoints=True))
