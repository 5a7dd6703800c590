"""Reading ahead: images in batches of equal views, decoded and resized in a few threads while the network works.

Short cuts, all exact (the same labels; only the order of floating-point sums differs):

- An image is decoded once and resized once a scale; views of one size share it (a flip is the same tensor mirrored).
- Scales that the cap turns into the same size run once, with their weight (`transforms.resolve`).
- Images whose views are of equal size share batches; none is padded beyond what it would be alone.

Images are read, oriented and resized by detectron2's own functions.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data.detection_utils import read_image
from detectron2.data.transforms import ResizeTransform
from detectron2.modeling.proposal_generator import RPN
from detectron2.structures import ImageList

from datadistill.errors import UserError
from datadistill.transforms import Transform, View, alike, resolve, sizes

BATCH_PIXELS = {"cpu": 1 << 19, "cuda": 1 << 23}
"""Input pixels of a batch (a single input may exceed it): what keeps the device busy without filling its memory."""
BATCH_IMAGES = 16
BATCH_BYTES = 1 << 28
"""A batch is read with all its sizes; this bounds their bytes, and with them the memory of a shard."""


@dataclass(frozen=True)
class SplitImage:
    """One image to process: its place in the result, and what the split says of it."""

    index: int
    id: int
    file_name: str
    height: int
    width: int


@dataclass(frozen=True)
class Batch:
    """Images of which all views have the same sizes (the originals may differ)."""

    images: tuple[SplitImage, ...]
    views: tuple[View, ...]


def split_images(split: Mapping[str, Any], image_ids: Sequence[int]) -> list[SplitImage]:
    """The images of those ids, in that order; a `UserError` names one that the split lacks."""
    records = {record["id"]: record for record in split["images"]}
    unknown = [i for i in image_ids if i not in records]
    if unknown:
        raise UserError(f"{len(unknown)} image(s) ({unknown[0]}, ...) are not in the split; run predict on it again")
    return [
        SplitImage(index, i, records[i]["file_name"], records[i]["height"], records[i]["width"])
        for index, i in enumerate(image_ids)
    ]


def make_batches(images: Sequence[SplitImage], transforms: Sequence[Transform]) -> list[Batch]:
    """Batches of images with equal views, in order of first appearance, within `BATCH_IMAGES` and `BATCH_BYTES`."""
    groups: dict[tuple[View, ...], list[SplitImage]] = {}
    for image in images:
        groups.setdefault(resolve(image.height, image.width, transforms), []).append(image)
    batches = []
    for views, members in groups.items():
        size = 3 * sum(height * width for height, width in sizes(views))
        step = min(BATCH_IMAGES, max(1, BATCH_BYTES // size))
        batches += [Batch(tuple(members[i : i + step]), views) for i in range(0, len(members), step)]
    return batches


def read(image: SplitImage, shapes: Sequence[tuple[int, int]], image_format: str) -> list[np.ndarray]:
    """The image at each of `shapes`, as (height, width, channels) uint8."""
    try:
        pixels = np.ascontiguousarray(read_image(image.file_name, format=image_format))
    except Exception as error:
        raise UserError(
            f"{image.file_name}: image {image.id} can't be decoded ({type(error).__name__}); "
            "it has changed since the split was made: restore it, or make the split again"
        ) from error
    if pixels.shape[:2] != (image.height, image.width):
        raise UserError(
            f"{image.file_name}: image {image.id} is {pixels.shape[1]}x{pixels.shape[0]}, but the split says "
            f"{image.width}x{image.height}; make the split again"
        )
    return [ResizeTransform(*pixels.shape[:2], *shape).apply_image(pixels) for shape in shapes]


def run_batches(
    cfg: CfgNode,
    images: Sequence[SplitImage],
    transforms: Sequence[Transform],
    workers: int,
    compute: Callable[[Batch, list[list[np.ndarray]]], Iterable[Any]],
) -> Iterator[tuple[SplitImage, Any]]:
    """Call `compute(batch, arrays)` on every batch and yield (image, result).

    While one batch is computed the next is being read; no more than two are held, so memory doesn't grow with the
    shard.
    """
    batches = iter(make_batches(images, transforms))
    with ThreadPoolExecutor(max(1, workers)) as pool:
        waiting: deque[tuple[Batch, list[Future[list[np.ndarray]]]]] = deque()

        def submit() -> None:
            for batch in itertools.islice(batches, 1):
                shapes = list(sizes(batch.views))
                waiting.append((batch, [pool.submit(read, image, shapes, cfg.INPUT.FORMAT) for image in batch.images]))

        submit()
        submit()
        try:
            while waiting:
                batch, futures = waiting.popleft()
                arrays = [future.result() for future in futures]
                yield from zip(batch.images, compute(batch, arrays), strict=True)
                submit()
        finally:
            for _, futures in waiting:
                for future in futures:
                    future.cancel()


def network_inputs(
    model: torch.nn.Module, batch: Batch, arrays: Sequence[Sequence[np.ndarray]]
) -> Iterator[tuple[tuple[View, ...], range, torch.Tensor]]:
    """For each size, and each group of images that fits the device: views, places in the batch, and pixels.

    The pixels are those of the resized images, (images, channels, height, width) uint8 on the device; `preprocess` turns
    them into what the network sees.
    """
    budget = BATCH_PIXELS[model.device.type]
    for scale, ((height, width), of_size) in enumerate(sizes(batch.views).items()):
        for views in alike(of_size):
            step = max(1, budget // (height * width * len(views)))
            for start in range(0, len(arrays), step):
                rows = range(start, min(start + step, len(arrays)))
                stacked = torch.from_numpy(np.stack([arrays[row][scale] for row in rows]))
                yield views, rows, stacked.to(model.device, non_blocking=True).permute(0, 3, 1, 2)


@contextlib.contextmanager
def reduced_precision(model: torch.nn.Module, precision: str) -> Iterator[None]:
    """A context in which a network's convolutions and products of matrices are computed in "float32" or "bfloat16".

    What its heads give for proposals, boxes and heatmaps comes out in single precision, and is decoded in it.
    """
    if precision == "float32":
        yield
        return
    heads = [module.rpn_head for module in model.modules() if isinstance(module, RPN)] + [model.roi_heads.box_predictor]
    hooks = [head.register_forward_hook(lambda _, __, results: _single(results)) for head in heads]
    try:
        with torch.autocast(model.device.type, dtype=torch.bfloat16):
            yield
    finally:
        for hook in hooks:
            hook.remove()


def _single(results: Any) -> Any:
    """Tensors in single precision, in the same tuples and lists."""
    return results.float() if isinstance(results, torch.Tensor) else type(results)(_single(part) for part in results)


def preprocess(model: torch.nn.Module, views: Sequence[View], pixels: torch.Tensor) -> ImageList:
    """Inputs of the network by detectron2's own function: those of the first view, then of the next."""
    return model.preprocess_image([{"image": image} for view in views for image in view.pixels(pixels)])
