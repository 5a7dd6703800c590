"""A keypoint schema of one's own under flips: what is learned from mirrored photos, flipped where the others are not, is
the same model; and it sees a mirrored photo as the mirror image of what it sees in the photo.

Each test has a control: with a wrong pair the same comparison fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from training_world import EACH, TRAINING, edited, weights

from datadistill.data.sources import from_coco
from datadistill.data.specs import CocoSplit
from datadistill.detections import Detections
from datadistill.label.refine import refine
from datadistill.model.network import build_config, load_model
from datadistill.specs import ModelSpec, RefinementSpec
from datadistill.tasks.keypoint_schema import flip_pairs
from datadistill.tasks.task import get_task
from datadistill.train import batches
from datadistill.train.batches import TrainingImages, load_source
from datadistill.train.loop import TrainingFiles, train
from datadistill.train.sampling import MixedSampler
from datadistill.transforms import Transform

# Pairs that no names tell beside one that they do; a partner that isn't the neighbour.
NAMES = ["Snout", "LFin", "gill one", "RFin", "gill two"]
PAIRS = (("LFin", "RFin"), ("gill two", "gill one"))
MIRROR = [0, 3, 4, 1, 2]
WRONG: tuple[tuple[tuple[str, str], ...], ...] = ((), (("LFin", "RFin"),), (("LFin", "gill one"), ("RFin", "gill two")))
IMAGES, HEIGHT, WIDTH = 6, 96, 128
# As large as the images: mirrored pixels are the same pixels, to the last bit.
SPEC: ModelSpec = edited(
    label_set=None,
    training={"train_scales": (HEIGHT,), "max_size": WIDTH, "labelled_ratio": 1.0, "iterations": TRAINING.iterations},
)


def write(folder: Path, *, mirrored: bool) -> None:
    """Photos of noise, each with two fish whose keypoints lie anywhere; or their mirror images, annotated anew."""
    rng = np.random.default_rng(4)
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number in range(1, IMAGES + 1):
        pixels = rng.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(pixels[:, ::-1] if mirrored else pixels).save(folder / "images" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": WIDTH, "height": HEIGHT})
        for _ in range(2):
            left, top, width, height = (int(value) for value in rng.integers((4, 4, 24, 24), (60, 40, 60, 50)))
            points = np.stack([left + rng.integers(0, width, 5), top + rng.integers(0, height, 5), [2, 1, 2, 2, 2]], 1)
            points[rng.integers(0, 5)] = 0
            if mirrored:
                left = WIDTH - left - width
                points[:, 0] = np.where(points[:, 2] > 0, WIDTH - 1 - points[:, 0], 0)
                points = points[MIRROR]
            annotation = {"id": len(annotations) + 1, "image_id": number, "category_id": 7}
            annotation |= {"bbox": [left, top, width, height], "keypoints": points.ravel().tolist()}
            annotations.append(annotation)
    category = {"id": 7, "name": "fish", "keypoints": NAMES}
    (folder / "a.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": [category]}))


def split_of(folder: Path, pairs: Any) -> Path:
    """The split that the workflow makes of them, with the pairs of its entry in the config."""
    spec = CocoSplit(
        name="fish",
        task="keypoints",
        images=str(folder / "images"),
        annotations=str(folder / "a.json"),
        flip_pairs=pairs,
    )
    made = from_coco(spec, images=spec.images).split
    assert made["categories"][0]["flip_pairs"] == [list(pair) for pair in pairs]
    path = folder / f"split{len(list(folder.glob('split*')))}.json"
    path.write_text(json.dumps(made))
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of photos and of their mirror images."""
    folder = tmp_path_factory.mktemp("fish")
    write(folder / "plain", mirrored=False)
    write(folder / "mirrored", mirrored=True)
    return folder / "plain", folder / "mirrored"


@pytest.fixture(autouse=True, scope="module")
def _one_kind_of_convolution() -> Iterator[None]:
    with torch.backends.mkldnn.flags(enabled=False):
        yield


class Flipped:
    """Random numbers of which those that decide about a flip decide otherwise."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def choice(self, values: Any) -> Any:
        return self._rng.choice(values)

    def random(self) -> float:
        return 1.0 - self._rng.random()


@pytest.fixture
def flips_otherwise(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call it, and training flips what it would not have, and leaves what it would have flipped."""
    original = batches.augmentation_generator

    def switch(on: bool) -> None:
        made = (lambda seed, slot: Flipped(original(seed, slot))) if on else original
        monkeypatch.setattr(batches, "augmentation_generator", made)

    return switch


def samples(split: Path) -> list[dict[str, Any]]:
    categories = json.loads(split.read_text())["categories"]
    source = load_source(split, "labelled", get_task("keypoints"))
    sampler = MixedSampler(len(source), 0, 1.0, 4 * IMAGES, 1)
    images = TrainingImages(build_config(SPEC, categories), sampler, [source], flip_pairs(categories[0]).permutation)
    return [images[slot] for slot in range(4 * IMAGES)]


def equal(left: dict[str, Any], right: dict[str, Any]) -> bool:
    fields = ("gt_boxes", "gt_keypoints")
    one, other = ([getattr(example["instances"], name).tensor for name in fields] for example in (left, right))
    return torch.equal(left["image"], right["image"]) and all(map(torch.equal, one, other))


def test_a_sample_of_a_mirrored_photo_is_the_flipped_sample_of_the_photo(
    photos: tuple[Path, Path], flips_otherwise: Any
) -> None:
    plain, mirrored = photos
    flips_otherwise(False)
    expected = samples(split_of(plain, PAIRS))
    flips_otherwise(True)
    assert all(map(equal, expected, samples(split_of(mirrored, PAIRS))))
    for pairs in WRONG:
        wrong = samples(split_of(mirrored, pairs))
        alike = sum(map(equal, expected, wrong))
        assert IMAGES < alike < 3 * IMAGES, (
            "as it is, a photo is right; flipped, it has keypoints in each other's place"
        )
        assert all(torch.equal(one["image"], other["image"]) for one, other in zip(expected, wrong, strict=True))


def trained(folder: Path, labelled: Path) -> TrainingFiles:
    folder.mkdir(parents=True, exist_ok=True)
    files = TrainingFiles(
        labelled=labelled,
        label_set=None,
        initial_weights=None,
        model=folder / "model.pth",
        metrics=folder / "metrics.jsonl",
        drawn=folder / "drawn.json",
        checkpoint=folder / "checkpoint.pth",
    )
    train(SPEC, files, EACH)
    return files


@pytest.fixture
def model(photos: tuple[Path, Path], flips_otherwise: Any, tmp_path: Path) -> TrainingFiles:
    """What is learned from the photos."""
    flips_otherwise(False)
    return trained(tmp_path / "plain", split_of(photos[0], PAIRS))


def same_weights(one: TrainingFiles, other: TrainingFiles) -> bool:
    left, right = weights(one), weights(other)
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_mirrored_photos_teach_the_same_model(
    photos: tuple[Path, Path], model: TrainingFiles, flips_otherwise: Any, tmp_path: Path
) -> None:
    flips_otherwise(True)
    other = trained(tmp_path / "mirrored", split_of(photos[1], PAIRS))
    assert same_weights(model, other)
    assert model.metrics.read_text() == other.metrics.read_text(), "losses of every iteration"
    assert not same_weights(model, trained(tmp_path / "wrong", split_of(photos[1], WRONG[1])))


def ensemble(model: TrainingFiles, split: dict[str, Any], pairs: Any, boxes: np.ndarray) -> np.ndarray:
    """Keypoints of given boxes in all photos by the average of plain and mirrored views."""
    network, cfg, [category] = load_model(model.model)
    # Six iterations leave heatmaps flat; as sharp ones, every point has a place.
    network.roi_heads.keypoint_head.score_lowres.weight.data *= 100
    category = {**category, "flip_pairs": [list(pair) for pair in pairs]}
    count = len(split["images"])
    given = Detections(
        np.array([image["id"] for image in split["images"]], np.int64),
        np.arange(count).repeat(len(boxes)),
        np.tile(boxes, (count, 1)).astype(np.float32),
        np.ones(count * len(boxes), np.float32),
        np.full(count * len(boxes), category["id"], np.int64),
    )
    transforms = tuple(Transform(side, WIDTH * 2, flip) for side in (HEIGHT, 64) for flip in (False, True))
    spec = RefinementSpec("", None, transforms, average="probabilities", size_dependent=False)
    found = refine(network, cfg, [category], split, given, spec).keypoints
    assert found is not None
    return found


def test_the_ensemble_of_a_mirrored_photo_is_the_mirrored_ensemble(
    photos: tuple[Path, Path], model: TrainingFiles
) -> None:
    plain, mirrored = (json.loads(split_of(folder, PAIRS).read_text()) for folder in photos)
    boxes = np.array([[10.0, 8.0, 60.0, 70.0], [50.0, 20.0, 120.0, 90.0]])
    turned = boxes.copy()
    turned[:, [0, 2]] = WIDTH - boxes[:, [2, 0]]
    expected = ensemble(model, plain, PAIRS, boxes)
    found = ensemble(model, mirrored, PAIRS, turned)[:, MIRROR]
    found[..., 0] = WIDTH - found[..., 0]
    np.testing.assert_allclose(found[..., :2], expected[..., :2], atol=1e-3)
    np.testing.assert_allclose(found[..., 2], expected[..., 2], rtol=1e-3)
    # Maps of fins and gills averaged with each other's: another place for nearly all of them.
    for pairs in WRONG:
        wrong = ensemble(model, mirrored, pairs, turned)[:, MIRROR]
        wrong[..., 0] = WIDTH - wrong[..., 0]
        assert np.abs(wrong[..., :2] - expected[..., :2]).max(axis=2).mean() > 1
