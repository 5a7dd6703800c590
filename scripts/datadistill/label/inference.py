"""The network at work: detections of a split (`predict`), and keypoints of given boxes from all transforms (`refine`).

Short cuts, all exact (the same labels; only the order of floating-point sums differs):

- The instance threshold depends on the plain pass alone, so `refine` runs only on images with a surviving box, and its
  keypoint head only on surviving boxes; no RPN, no box head.
- An image is decoded once and resized once a scale; a flip is the same tensor mirrored, in the same batch.
- Scales that the cap turns into the same size run once, with their weight (`transforms.resolve`).
- Images whose views are of equal size share batches; none is padded beyond what it would be alone.
- `predict` leaves the keypoint head out where no keypoints are asked for.

Images are read, oriented and resized by detectron2's own functions, in a few threads ahead of the network.
Boxes cross from the original image to the plain pass's input frame and back in single precision: a box whose width is
within about 1e-4 of a whole number may be decoded with one column more or less than detectron2 would use.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data.detection_utils import read_image
from detectron2.data.transforms import ResizeTransform
from detectron2.structures import Boxes, ImageList, Instances

from datadistill.detections import Detections
from datadistill.errors import UserError
from datadistill.label.ensemble.boxes import merge
from datadistill.label.ensemble.heatmaps import HeatmapAverage, decode, transform_weights, unflip
from datadistill.label.transforms import View, output_size, resolve, sizes
from datadistill.progress import progress
from datadistill.specs import PredictionsSpec, RefinementSpec, Transform
from datadistill.tasks.flips import flip_permutation

BATCH_PIXELS = {"cpu": 1 << 19, "cuda": 1 << 23}
"""Input pixels of a batch (a single input may exceed it): what keeps the device busy without filling its memory."""
BATCH_IMAGES = 16
BATCH_BYTES = 1 << 28
"""A batch is read with all its sizes; this bounds their bytes, and with them the memory of a shard."""
ROIS_AT_ONCE = {"cpu": 64, "cuda": 1024}


@dataclass(frozen=True)
class _Image:
    """One image to process: its place in the result, and what the split says of it."""

    index: int
    id: int
    file_name: str
    height: int
    width: int


@dataclass(frozen=True)
class _Batch:
    """Images of which all views have the same sizes (the originals may differ)."""

    images: tuple[_Image, ...]
    views: tuple[View, ...]


def predict(
    model: torch.nn.Module,
    cfg: CfgNode,
    categories: Sequence[Mapping[str, Any]],
    split: Mapping[str, Any],
    image_ids: Sequence[int],
    spec: PredictionsSpec,
    *,
    workers: int = 2,
) -> Detections:
    """Detections of a shard of a split.

    One transform without flip and voting: detectron2's own result, keypoints included where `spec.keypoints`. Otherwise
    the raw boxes of every proposal and category under all transforms, mapped back to the image, above the score
    floor, are merged (`ensemble.boxes.merge`).

    - `model`, `cfg`, `categories`: as `modeling.load_model` returns them; it computes on the model's device.
    - `split`: COCO JSON; `image_ids`: the images to process, in the order of the result.
    - `workers`: threads that decode and resize.

    Raises `UserError` for an image that can't be decoded or isn't of its stated size.
    """
    if spec.keypoints and not cfg.MODEL.KEYPOINT_ON:
        raise UserError("predictions with keypoints were asked for, but the model has no keypoint head")
    merging = len(spec.transforms) > 1 or spec.transforms[0].flip or spec.voting is not None
    if spec.keypoints and merging:
        raise UserError("keypoints need predictions of a single, unmirrored transform; refine adds those of the others")
    images = _images(split, image_ids)
    ids = np.array([c["id"] for c in categories], np.int64)
    detect = _merged if merging else _plain
    found: list[Detections | None] = [None] * len(images)
    with torch.inference_mode(), _settings(model, spec):
        results = _run(cfg, images, spec.transforms, workers, partial(detect, model, spec))
        for image, (boxes, scores, classes, keypoints) in progress(results, total=len(images), label="predict"):
            order = np.argsort(-scores, kind="stable")
            found[image.index] = Detections(
                np.array([image.id], np.int64),
                np.zeros(len(scores), np.int64),
                boxes[order].astype(np.float32),
                scores[order].astype(np.float32),
                ids[classes[order]],
                None if keypoints is None else keypoints[order].astype(np.float32),
            )
    count = len(categories[0]["keypoints"]) if spec.keypoints else None
    return _assemble(image_ids, [d for d in found if d is not None], count)


def refine(
    model: torch.nn.Module,
    cfg: CfgNode,
    categories: Sequence[Mapping[str, Any]],
    split: Mapping[str, Any],
    detections: Detections,
    spec: RefinementSpec,
    threshold: float | None = None,
    *,
    reuse: Sequence[Detections] = (),
    workers: int = 2,
) -> Detections:
    """The detections with a score of at least `threshold` (`None`: all), with keypoints from averaged heatmaps.

    Their boxes, scores and images are those of `detections`, taken in the plain pass (section 4); the boxes are the
    RoIs of every transform. Decoded in the plain pass's input frame (`cfg.INPUT.MIN_SIZE_TEST`), as detectron2 does,
    then scaled to the image.

    - `reuse`: earlier refinements of the same predictions by the same transforms and averaging; boxes found there are
      copied, and only the missing ones run.
    - Other arguments as in `predict`.
    """
    if not cfg.MODEL.KEYPOINT_ON:
        raise UserError("refine needs a model with a keypoint head; this one has none")
    plain = Transform(cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST)
    _check_size_dependence(spec, plain.short_side)
    names = categories[0]["keypoints"]
    kept = detections.with_keypoints(None)
    if threshold is not None:
        kept = kept.select(kept.scores >= np.float32(threshold))
    keypoints, missing = _reused(kept, reuse, len(names))
    rows = np.flatnonzero(missing)
    by_image = np.split(rows, np.flatnonzero(np.diff(kept.image_index[rows])) + 1) if len(rows) else []
    members = {int(kept.image_index[group[0]]): group for group in by_image}
    every = _images(split, kept.image_ids.tolist())
    images = [every[index] for index in sorted(members)]
    work = _Refinement(model, cfg, spec, plain, flip_permutation(names))

    def compute(batch: _Batch, arrays: list[list[np.ndarray]]) -> Iterator[np.ndarray]:
        return work(batch, arrays, [kept.boxes[members[image.index]] for image in batch.images])

    with torch.inference_mode():
        for image, points in progress(
            _run(cfg, images, spec.transforms, workers, compute), total=len(images), label="refine"
        ):
            if not np.isfinite(points).all():
                raise UserError(f"{image.file_name}: the model's heatmaps are not finite; its training has diverged")
            keypoints[members[image.index]] = points
    return kept.with_keypoints(keypoints)


# Reading ahead


def _images(split: Mapping[str, Any], image_ids: Sequence[int]) -> list[_Image]:
    records = {record["id"]: record for record in split["images"]}
    unknown = [i for i in image_ids if i not in records]
    if unknown:
        raise UserError(f"{len(unknown)} image(s) ({unknown[0]}, ...) are not in the split; run predict on it again")
    return [
        _Image(index, i, records[i]["file_name"], records[i]["height"], records[i]["width"])
        for index, i in enumerate(image_ids)
    ]


def _batches(images: Sequence[_Image], transforms: Sequence[Transform]) -> list[_Batch]:
    """Batches of images with equal views, in order of first appearance, within `BATCH_IMAGES` and `BATCH_BYTES`."""
    groups: dict[tuple[View, ...], list[_Image]] = {}
    for image in images:
        groups.setdefault(resolve(image.height, image.width, transforms), []).append(image)
    batches = []
    for views, members in groups.items():
        size = 3 * sum(height * width for height, width in sizes(views))
        step = min(BATCH_IMAGES, max(1, BATCH_BYTES // size))
        batches += [_Batch(tuple(members[i : i + step]), views) for i in range(0, len(members), step)]
    return batches


def _read(image: _Image, shapes: Sequence[tuple[int, int]], image_format: str) -> list[np.ndarray]:
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


def _run(
    cfg: CfgNode,
    images: Sequence[_Image],
    transforms: Sequence[Transform],
    workers: int,
    compute: Any,
) -> Iterator[tuple[_Image, Any]]:
    """Call `compute(batch, arrays)` on every batch and yield (image, result).

    While one batch is computed the next is being read; no more than two are held, so memory doesn't grow with the
    shard.
    """
    batches = iter(_batches(images, transforms))
    with ThreadPoolExecutor(max(1, workers)) as pool:
        waiting: deque[tuple[_Batch, list[Future[list[np.ndarray]]]]] = deque()

        def submit() -> None:
            for batch in itertools.islice(batches, 1):
                shapes = list(sizes(batch.views))
                waiting.append((batch, [pool.submit(_read, image, shapes, cfg.INPUT.FORMAT) for image in batch.images]))

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


def _inputs(
    model: torch.nn.Module, batch: _Batch, arrays: Sequence[Sequence[np.ndarray]]
) -> Iterator[tuple[tuple[View, ...], range, torch.Tensor]]:
    """For each size, and each group of images that fits the device: views, places in the batch, and pixels.

    The pixels are (images, channels, height, width) uint8 on the device, unmirrored.
    """
    budget = BATCH_PIXELS[model.device.type]
    for scale, ((height, width), views) in enumerate(sizes(batch.views).items()):
        step = max(1, budget // (height * width * len(views)))
        for start in range(0, len(arrays), step):
            rows = range(start, min(start + step, len(arrays)))
            stacked = torch.from_numpy(np.stack([arrays[row][scale] for row in rows]))
            yield views, rows, stacked.to(model.device, non_blocking=True).permute(0, 3, 1, 2)


def _preprocess(model: torch.nn.Module, views: Sequence[View], pixels: torch.Tensor) -> ImageList:
    """Inputs of the network by detectron2's own function: those of the first view, then of the next."""
    inputs = [pixels.flip(3) if view.flip else pixels for view in views]
    return model.preprocess_image([{"image": image} for images in inputs for image in images])


# Boxes

_Found = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]
"""Boxes, scores, contiguous classes and keypoints of one image, in the original image."""


@contextlib.contextmanager
def _settings(model: torch.nn.Module, spec: PredictionsSpec) -> Iterator[None]:
    """The model's heads with the spec's settings; restored afterwards."""
    heads, predictor = model.roi_heads, model.roi_heads.box_predictor
    changes = [
        (predictor, "test_score_thresh", spec.score_floor),
        (predictor, "test_nms_thresh", spec.nms),
        (predictor, "test_topk_per_image", spec.max_detections),
        (heads, "keypoint_on", heads.keypoint_on and spec.keypoints),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in changes]
    try:
        for owner, name, value in changes:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def _plain(
    model: torch.nn.Module, spec: PredictionsSpec, batch: _Batch, arrays: Sequence[Sequence[np.ndarray]]
) -> Iterator[_Found]:
    """detectron2's own inference."""
    for _, rows, pixels in _inputs(model, batch, arrays):
        outputs = model.inference(
            [
                {"image": image, "height": batch.images[row].height, "width": batch.images[row].width}
                for row, image in zip(rows, pixels, strict=True)
            ]
        )
        for output in outputs:
            found = output["instances"].to("cpu")
            yield (
                found.pred_boxes.tensor.numpy(),
                found.scores.numpy(),
                found.pred_classes.numpy(),
                found.pred_keypoints.numpy() if spec.keypoints else None,
            )


def _merged(
    model: torch.nn.Module, spec: PredictionsSpec, batch: _Batch, arrays: Sequence[Sequence[np.ndarray]]
) -> Iterator[_Found]:
    """All transforms: raw boxes above the floor in the original image, merged on the CPU (some thousand boxes each)."""
    raw: list[list[tuple[torch.Tensor, ...]]] = [[] for _ in batch.images]
    for views, rows, pixels in _inputs(model, batch, arrays):
        inputs = _preprocess(model, views, pixels)
        boxes, scores = _raw_boxes(model, inputs)
        for (view, row), view_boxes, view_scores in zip(itertools.product(views, rows), boxes, scores, strict=True):
            raw[row].append(_above_floor(view, batch.images[row], view_boxes, view_scores, spec.score_floor))
    for columns in raw:
        union = [torch.cat(column) for column in zip(*columns, strict=True)]
        merged = merge(*union, suppression=spec.nms, voting=spec.voting, most=spec.max_detections)
        yield *(column.numpy() for column in merged), None


def _raw_boxes(model: torch.nn.Module, images: ImageList) -> tuple[Sequence[torch.Tensor], Sequence[torch.Tensor]]:
    """For each input: boxes (P, C * 4) or (P, 4) in its frame and scores (P, C + 1) of all proposals."""
    heads = model.roi_heads
    features = model.backbone(images.tensor)
    proposals: list[Instances] = model.proposal_generator(images, features, None)[0]
    pooled = heads.box_pooler([features[f] for f in heads.box_in_features], [p.proposal_boxes for p in proposals])
    predictions = heads.box_predictor(heads.box_head(pooled))
    return heads.box_predictor.predict_boxes(predictions, proposals), heads.box_predictor.predict_probs(
        predictions, proposals
    )


def _above_floor(
    view: View, image: _Image, boxes: torch.Tensor, scores: torch.Tensor, floor: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Boxes of one input mapped to the original image, with scores, classes and weights, on the CPU.

    As detectron2: proposals with a value that isn't finite are dropped, boxes are cut at the image's border, scores are
    above `floor`, and boxes without area are dropped.
    """
    scores = scores[:, :-1]
    classes = scores.shape[1]
    finite = torch.isfinite(boxes).all(dim=1) & torch.isfinite(scores).all(dim=1)
    proposals, labels = torch.nonzero((scores > floor) & finite[:, None]).unbind(1)
    chosen = boxes.view(len(boxes), -1, 4)
    chosen = chosen[proposals, labels if chosen.shape[1] == classes else 0]
    chosen, values, labels = chosen.cpu().double(), scores[proposals, labels].cpu(), labels.cpu()
    limits = chosen.new_tensor([view.width, view.height, view.width, view.height])
    chosen = torch.minimum(chosen.clamp(min=0), limits)
    if view.flip:
        chosen = mirror(chosen, view.width)
    chosen = chosen * chosen.new_tensor([image.width / view.width, image.height / view.height] * 2)
    solid = (chosen[:, 2:] > chosen[:, :2]).all(dim=1)
    weights = chosen.new_full((len(chosen),), view.weight)
    return chosen[solid], values[solid], labels[solid], weights[solid]


def mirror(boxes: torch.Tensor, width: float) -> torch.Tensor:
    """Boxes (N, 4) of an image of `width`, in its mirror image (continuous coordinates, so there is no -1)."""
    return torch.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], dim=1)


def _assemble(image_ids: Sequence[int], found: Sequence[Detections], keypoints: int | None) -> Detections:
    """One `Detections` of those of single images."""
    empty = None if keypoints is None else np.zeros((0, keypoints, 3), np.float32)
    columns = {
        "boxes": np.zeros((0, 4), np.float32),
        "scores": np.zeros(0, np.float32),
        "categories": np.zeros(0, np.int64),
    }
    return Detections(
        np.array(image_ids, np.int64),
        np.repeat(np.arange(len(found)), [len(d) for d in found]).astype(np.int64),
        *(np.concatenate([none, *(getattr(d, name) for d in found)]) for name, none in columns.items()),
        None if empty is None else np.concatenate([empty, *(d.keypoints for d in found)]),
    )


# Keypoints


def _check_size_dependence(spec: RefinementSpec, plain_short_side: int) -> None:
    if not spec.size_dependent:
        return
    short_sides = [t.short_side for t in spec.transforms]
    if min(short_sides) > plain_short_side or max(short_sides) < plain_short_side:
        raise UserError(
            "size_dependent: leaves small or large boxes without any transform; "
            f"add one whose short side is {plain_short_side}, or on the other side of it"
        )


def _reused(kept: Detections, reuse: Sequence[Detections], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (N, K, 3) copied from earlier refinements of the same boxes; a mask (N,) of boxes not found there."""
    keypoints = np.zeros((len(kept), count, 3), np.float32)
    missing = np.ones(len(kept), bool)
    wanted = _keys(kept)
    for earlier in reuse:
        if not len(earlier) or not len(kept):
            continue
        if earlier.keypoints is None or earlier.keypoints.shape[1] != count:
            raise UserError("reuse: an earlier refinement holds other keypoints than the model predicts; don't pass it")
        known, first = np.unique(_keys(earlier), return_index=True)
        place = np.searchsorted(known, wanted).clip(max=len(known) - 1)
        same = known[place] == wanted
        keypoints[same] = earlier.keypoints[first[place[same]]]
        missing &= ~same
    return keypoints, missing


def _keys(detections: Detections) -> np.ndarray:
    """(N,) bytes that identify a box: image, category, score and corners, bit for bit."""
    columns = [detections.ids[:, None], detections.categories[:, None]]
    bits = np.concatenate([detections.boxes, detections.scores[:, None]], axis=1).view(np.int32)
    table = np.ascontiguousarray(np.concatenate([*columns, bits.astype(np.int64)], axis=1))
    return table.view(np.dtype((np.void, table.shape[1] * table.itemsize))).ravel()


@dataclass(frozen=True)
class _Refinement:
    """Keypoints of given boxes for one batch of images."""

    model: torch.nn.Module
    cfg: CfgNode
    spec: RefinementSpec
    plain: Transform
    permutation: Sequence[int]

    def __call__(
        self, batch: _Batch, arrays: Sequence[Sequence[np.ndarray]], boxes: Sequence[np.ndarray]
    ) -> Iterator[np.ndarray]:
        """For each image its keypoints (n, K, 3), for its boxes (n, 4) in the original image."""
        device = self.model.device
        rois = [torch.from_numpy(b).to(device).double() for b in boxes]
        bounds = [0, *itertools.accumulate(len(b) for b in boxes)]
        areas = torch.cat([(b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) for b in rois])
        weights = {
            view: transform_weights(areas, view.transforms, self.plain.short_side, self.spec.size_dependent)
            for view in batch.views
        }
        # The average of one transform is itself. Decoded as it is, as in detectron2, even flat maps come out the same.
        average = HeatmapAverage(bounds[-1], self.spec.average if len(self.spec.transforms) > 1 else "logits")
        for views, rows, pixels in _inputs(self.model, batch, arrays):
            span = slice(bounds[rows.start], bounds[rows.stop])
            self._add(average, batch, views, rows, pixels, rois, {view: weights[view][span] for view in views}, span)
        maps = average.result()
        frames = [output_size(i.height, i.width, self.plain.short_side, self.plain.max_size) for i in batch.images]
        in_frame = [
            _scaled(b, width / image.width, height / image.height)
            for b, image, (height, width) in zip(rois, batch.images, frames, strict=True)
        ]
        points = decode(maps, torch.cat(in_frame).float()).cpu().numpy()
        for image, (height, width), part in zip(batch.images, frames, np.split(points, bounds[1:-1]), strict=True):
            part[..., 0] *= image.width / width
            part[..., 1] *= image.height / height
            yield part

    def _add(
        self,
        average: HeatmapAverage,
        batch: _Batch,
        views: tuple[View, ...],
        rows: range,
        pixels: torch.Tensor,
        rois: Sequence[torch.Tensor],
        weights: Mapping[View, torch.Tensor],
        span: slice,
    ) -> None:
        """Run the views of one size on some images and add their heatmaps. `weights` are of the RoIs in `span`."""
        counts = [len(rois[row]) for row in rows]
        # Views of one size count differently only under the size-dependent option; there whole inputs may fall away.
        used = {view: weights[view] > 0 for view in views} if self.spec.size_dependent else None
        if used is not None:
            views = tuple(view for view in views if bool(used[view].any()))
            if not views:
                return
        boxes = []
        for view in views:
            chosen = [None] * len(counts) if used is None else used[view].split(counts)
            for row, mask in zip(rows, chosen, strict=True):
                image = batch.images[row]
                scaled = _scaled(rois[row], view.width / image.width, view.height / image.height)
                scaled = (mirror(scaled, view.width) if view.flip else scaled).float()
                boxes.append(Boxes(scaled if mask is None else scaled[mask]))
        logits = self._heatmaps(_preprocess(self.model, views, pixels), boxes)
        start = 0
        for view in views:
            mask = None if used is None else used[view]
            count = sum(counts) if mask is None else int(mask.sum())
            maps = logits[start : start + count]
            start += count
            where = span if mask is None else torch.nonzero(mask).squeeze(1) + span.start
            average.add(
                unflip(maps, self.permutation) if view.flip else maps,
                where,
                weights[view] if mask is None else weights[view][mask],
            )

    def _heatmaps(self, images: ImageList, boxes: Sequence[Boxes]) -> torch.Tensor:
        """Heatmap logits (R, K, S, S) of boxes given for each input, in its frame."""
        heads = self.model.roi_heads
        features = self.model.backbone(images.tensor)
        pooled = heads.keypoint_pooler([features[f] for f in heads.keypoint_in_features], list(boxes))
        step = ROIS_AT_ONCE[self.model.device.type]
        return torch.cat([heads.keypoint_head.layers(part) for part in pooled.split(step)])


def _scaled(boxes: torch.Tensor, x: float, y: float) -> torch.Tensor:
    return boxes * boxes.new_tensor([x, y, x, y])
