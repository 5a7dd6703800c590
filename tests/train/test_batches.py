"""What the network is shown: detectron2's own reading and augmentation, drawn independently of workers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.data import transforms as T
from PIL import Image
from training_world import SPEC, World, edited

from datadistill.errors import UserError
from datadistill.model.network import build_config
from datadistill.specs import ModelSpec
from datadistill.tasks.keypoint_schema import flip_pairs
from datadistill.tasks.task import get_task
from datadistill.train.batches import Source, TrainingImages, build_loader, load_source
from datadistill.train.loop import load_sources
from datadistill.train.sampling import GENERATED, LABELLED, Deal, MixedSampler

NAMES = ["nose", "left_eye", "right_eye", "left_hip", "right_hip"]
PERMUTATION = [0, 2, 1, 4, 3]
HEIGHT, WIDTH = 60, 80
SCALES = (64, 80, 96)
# x, y, v as COCO stores them: pixel indices; the third keypoint isn't labelled.
POINTS = [30, 20, 2, 34, 18, 1, 0, 0, 0, 36, 40, 2, 26, 41, 2]
BOX = [20.0, 10.0, 25.0, 40.0]
KEYPOINTS = get_task("keypoints")
Example = dict[str, Any]


def person(image_id: int, number: int = 1, **changes: Any) -> Example:
    annotation = {
        "id": 10 * image_id + number,
        "image_id": image_id,
        "category_id": 1,
        "bbox": BOX,
        "area": 1000.0,
        "iscrowd": 0,
        "keypoints": POINTS,
        "num_keypoints": 4,
    }
    return annotation | changes


def write_split(folder: Path, annotations: Sequence[Example], images: int) -> Path:
    records = []
    for image_id in range(1, images + 1):
        path = folder / f"{image_id}.png"
        pixels = np.random.default_rng(image_id).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        records.append({"id": image_id, "file_name": str(path), "height": HEIGHT, "width": WIDTH})
    categories = [{"id": 1, "name": "person", "keypoints": NAMES, "skeleton": []}]
    path = folder / "split.json"
    path.write_text(json.dumps({"images": records, "annotations": list(annotations), "categories": categories}))
    return path


def config(spec: ModelSpec = SPEC) -> Any:
    return build_config(spec, [{"id": 1, "name": "person", "keypoints": NAMES}])


def examples(source: Source, count: int = 12) -> tuple[MixedSampler, list[Example]]:
    sampler = MixedSampler(len(source), 0, 1.0, count, 1)
    images = TrainingImages(config(), sampler, [source], PERMUTATION)
    return sampler, [images[slot] for slot in range(count)]


def test_coordinates_are_those_of_detectron2s_transforms(tmp_path: Path) -> None:
    source = load_source(write_split(tmp_path, [person(1)], 1), "labelled", KEYPOINTS)
    pixels = np.asarray(Image.open(tmp_path / "1.png"))[:, :, ::-1]  # cfg.INPUT.FORMAT is BGR
    points = np.array(POINTS, dtype=float).reshape(-1, 3)
    seen = set()
    for example in examples(source)[1]:
        height, width = example["image"].shape[1:]
        assert min(height, width) in SCALES
        got = example["instances"].gt_keypoints.tensor[0].numpy()
        # Flipped or not is told by the nose; left and right must then have changed places.
        scaled = (points[:, 0] + 0.5) * width / WIDTH
        flipped = abs(got[0, 0] - scaled[0]) > 1e-3
        seen.add((min(height, width), flipped))
        expected = np.stack([scaled, (points[:, 1] + 0.5) * height / HEIGHT, points[:, 2]], axis=1)
        if flipped:
            expected[:, 0] = width - expected[:, 0]
            expected = expected[
                [NAMES.index(name) for name in ("nose", "right_eye", "left_eye", "right_hip", "left_hip")]
            ]
        visible = expected[:, 2] > 0
        np.testing.assert_allclose(got[visible, :2], expected[visible, :2], atol=1e-3)
        np.testing.assert_array_equal(got[:, 2], expected[:, 2])
        # detectron2's own augmentation of the same image, with the same scale and flip.
        reference = T.AugInput(pixels.copy())
        steps = [T.ResizeShortestEdge(min(height, width), 128), *([T.RandomFlip(prob=1.0)] if flipped else [])]
        transforms = T.AugmentationList(steps)(reference)
        np.testing.assert_array_equal(example["image"].numpy(), reference.image.transpose(2, 0, 1))
        x, y, w, h = BOX
        box = transforms.apply_box(np.array([[x, y, x + w, y + h]]))[0]
        np.testing.assert_allclose(example["instances"].gt_boxes.tensor[0].numpy(), box, atol=1e-3)
    assert {flip for _, flip in seen} == {True, False}
    assert {scale for scale, _ in seen} == set(SCALES)


def test_visibility_survives_unchanged(tmp_path: Path) -> None:
    source = load_source(write_split(tmp_path, [person(1)], 1), "labelled", KEYPOINTS)
    for example in examples(source)[1]:
        assert sorted(example["instances"].gt_keypoints.tensor[0, :, 2].tolist()) == [0, 1, 2, 2, 2]


def test_crowds_are_dropped(tmp_path: Path) -> None:
    crowd = person(1, 2, iscrowd=1, bbox=[0.0, 0.0, 80.0, 60.0], segmentation={"counts": [4800], "size": [60, 80]})
    source = load_source(write_split(tmp_path, [person(1), crowd], 1), "labelled", KEYPOINTS)
    for example in examples(source)[1]:
        assert len(example["instances"]) == 1


def test_images_without_a_visible_keypoint_are_left_out(tmp_path: Path) -> None:
    hidden = person(2, keypoints=[0] * 15, num_keypoints=0)
    crowd = person(4, iscrowd=1, segmentation={"counts": [4800], "size": [60, 80]})
    path = write_split(tmp_path, [person(1), hidden, crowd, person(5), person(5, 2, keypoints=[0] * 15)], 5)
    for name in ("labelled", "generated"):
        source = load_source(path, name, KEYPOINTS)
        assert [record["image_id"] for record in source.records] == [1, 5]
        assert source.left_out == 3
    # An instance without keypoints still trains the box head, in an image that has others.
    assert {len(example["instances"]) for example in examples(source)[1]} == {1, 2}


def permutation(world: World) -> list[int]:
    return flip_pairs(json.loads(world.labelled.read_text())["categories"][0]).permutation


def test_nothing_to_train_on_is_refused(tmp_path: Path) -> None:
    path = write_split(tmp_path, [person(1, keypoints=[0] * 15)], 2)
    with pytest.raises(UserError, match=r"split\.json: none of its 2 images has an annotation"):
        load_source(path, "labelled", KEYPOINTS)


def test_generated_instances_say_so(world: World, tmp_path: Path) -> None:
    sources = load_sources(SPEC, world.files(tmp_path))
    sampler = MixedSampler(len(sources[0]), len(sources[1]), 0.5, 40, 1)
    images = TrainingImages(config(), sampler, sources, permutation(world))
    seen = set()
    for slot in range(40):
        example = images[slot]
        seen.add(example["source"])
        assert example["source"] == sampler.draw(slot).source
        assert set(example["instances"].gt_generated.tolist()) == {example["source"] == GENERATED}
    assert seen == {LABELLED, GENERATED}


def test_fractions_are_nested(world: World, tmp_path: Path) -> None:
    drawn = []
    for fraction in (0.2, 0.5, 0.8, 1.0):
        generated = load_sources(edited(fraction=fraction, fraction_seed=3), world.files(tmp_path))[1]
        drawn.append({record["image_id"] for record in generated.records})
        assert len(generated) + generated.left_out == round(10 * fraction)
    assert drawn[0] <= drawn[1] <= drawn[2] <= drawn[3]
    other = load_sources(edited(fraction=0.5, fraction_seed=4), world.files(tmp_path))[1]
    assert {record["image_id"] for record in other.records} != drawn[1]


SLOTS = 48


def batches(
    spec: ModelSpec,
    world: World,
    folder: Path,
    *,
    batch: int,
    workers: int,
    start: int = 0,
    share: tuple[int, int] = (0, 1),
) -> list[list[Example]]:
    """The batches of the process `share` (rank, processes)."""
    sources = load_sources(spec, world.files(folder))
    iterations = SLOTS // batch
    sampler = MixedSampler(len(sources[0]), len(sources[1]), spec.training.labelled_ratio, SLOTS, spec.seed)
    images = TrainingImages(config(), sampler, sources, permutation(world))
    deal = Deal(sampler, [source.ratios for source in sources], batch, *share)
    return list(build_loader(images, deal, iterations=range(start, iterations), workers=workers))


def assert_equal(left: Sequence[Example], right: Sequence[Example]) -> None:
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        assert {k: one[k] for k in ("image_id", "source", "height", "width")} == {
            k: other[k] for k in ("image_id", "source", "height", "width")
        }
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["instances"].gt_boxes.tensor, other["instances"].gt_boxes.tensor)
        assert torch.equal(one["instances"].gt_keypoints.tensor, other["instances"].gt_keypoints.tensor)
        assert torch.equal(one["instances"].gt_generated, other["instances"].gt_generated)


@pytest.fixture(scope="module")
def unshared(world: World, tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    """The examples of a run in one process, in order."""
    return [example for [example] in batches(SPEC, world, tmp_path_factory.mktemp("one"), batch=1, workers=0)]


@pytest.mark.parametrize("workers", [0, 1, 2, 8])
@pytest.mark.parametrize("batch", [1, 2, 3, 16])
def test_examples_do_not_depend_on_workers_or_batch(
    world: World, tmp_path: Path, unshared: list[Example], batch: int, workers: int
) -> None:
    loaded = batches(SPEC, world, tmp_path, batch=batch, workers=workers)
    assert {len(examples) for examples in loaded} == {batch}
    flat = [example for examples in loaded for example in examples]
    assert_equal(flat, unshared)
    # The sampler's own draws, whose ratio test_sampling.py measures: nothing is lost or repeated on the way.
    labelled, generated = load_sources(SPEC, world.files(tmp_path))
    sampler = MixedSampler(len(labelled), len(generated), SPEC.training.labelled_ratio, SLOTS, SPEC.seed)
    assert [example["source"] for example in flat] == [sampler.draw(slot).source for slot in range(SLOTS)]


@pytest.mark.parametrize("processes", [2, 8])
def test_processes_together_are_shown_what_one_is_shown(
    world: World, tmp_path: Path, unshared: list[Example], processes: int
) -> None:
    """The same images, scales and flips in the same minibatches; each process has the slots of like shapes."""
    parts = [batches(SPEC, world, tmp_path, batch=16, workers=0, share=(rank, processes)) for rank in range(processes)]
    for iteration in range(SLOTS // 16):
        together = [example for part in parts for example in part[iteration]]
        assert_equal(sorted(together, key=lambda e: e["slot"]), unshared[iteration * 16 : (iteration + 1) * 16])
        assert {len(part[iteration]) for part in parts} == {16 // processes}


def test_a_resumed_run_is_shown_what_is_left(world: World, tmp_path: Path, unshared: list[Example]) -> None:
    loaded = batches(SPEC, world, tmp_path, batch=4, workers=2, start=4)
    assert_equal([example for examples in loaded for example in examples], unshared[16:])


def test_an_image_is_augmented_anew_each_time(unshared: list[Example]) -> None:
    by_image: dict[int, set[tuple[int, ...]]] = {}
    for example in unshared:
        digest = (*example["image"].shape, int(example["image"].long().sum()), int(example["image"][0, 0, 0]))
        by_image.setdefault(example["image_id"], set()).add(digest)
    assert max(len(versions) for versions in by_image.values()) > 1


def test_what_is_drawn_is_what_the_model_was_given(world: World, unshared: list[Example]) -> None:
    ids = {path: {image["id"] for image in json.loads(path.read_text())["images"]} for path in vars(world).values()}
    drawn = {source: {e["image_id"] for e in unshared if e["source"] == source} for source in (LABELLED, GENERATED)}
    assert set() < drawn[LABELLED] <= ids[world.labelled]
    assert set() < drawn[GENERATED] <= ids[world.label_set]


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_was_damaged_since_is_named(tmp_path: Path, workers: int) -> None:
    path = write_split(tmp_path, [person(1), person(2)], 2)
    source = load_source(path, "labelled", KEYPOINTS)
    sampler = MixedSampler(2, 0, 1.0, 8, 1)
    images = TrainingImages(
        build_config(SPEC, json.loads(path.read_text())["categories"], device="cpu"), sampler, [source], None
    )
    for name in ("1.png", "2.png"):
        (tmp_path / name).write_bytes(b"not an image")
    deal = Deal(sampler, [source.ratios], 2)
    with pytest.raises(UserError, match=r"^\S+[12]\.png: image [12] can't be read as the split says[^\n]*$"):
        list(build_loader(images, deal, iterations=range(4), workers=workers))


def test_an_image_of_another_size_than_stated_is_refused(tmp_path: Path) -> None:
    path = write_split(tmp_path, [person(1)], 1)
    Image.fromarray(np.zeros((HEIGHT, WIDTH + 1, 3), np.uint8)).save(tmp_path / "1.png")
    source = load_source(path, "labelled", KEYPOINTS)
    with pytest.raises(Exception, match=r"1\.png"):
        examples(source, 1)
