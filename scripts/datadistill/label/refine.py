"""Keypoints of given boxes from the heatmaps of all transforms (section 4): the second pass.

The instance threshold depends on the plain pass alone, so `refine` runs only on images with a surviving box, and its
keypoint head only on surviving boxes; no RPN, no box head. Exact: the same labels. How images are read and batched:
`label.batches`.

Boxes cross from the original image to the plain pass's input frame and back in single precision: a box whose width is
within about 1e-4 of a whole number may be decoded with one column more or less than detectron2 would use.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.structures import Boxes, ImageList

from datadistill.detections import Detections
from datadistill.errors import UserError
from datadistill.label.batches import Batch, network_inputs, preprocess, reduced_precision, run_batches, split_images
from datadistill.label.ensemble.heatmaps import HeatmapAverage, decode, transform_weights
from datadistill.progress import progress
from datadistill.specs import RefinementSpec
from datadistill.tasks.keypoint_schema import flip_pairs
from datadistill.transforms import TestScale, View, scaled

ROIS_AT_ONCE = {"cpu": 64, "cuda": 1024}


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
    plain = TestScale(cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST)
    _check_size_dependence(spec, plain.short_side)
    kept = detections.with_keypoints(None)
    if threshold is not None:
        kept = kept.select(kept.scores >= np.float32(threshold))
    keypoints, parts, missing = _reused(kept, reuse, len(categories[0]["keypoints"]))
    rows = np.flatnonzero(missing)
    by_image = np.split(rows, np.flatnonzero(np.diff(kept.image_index[rows])) + 1) if len(rows) else []
    members = {int(kept.image_index[group[0]]): group for group in by_image}
    every = split_images(split, kept.image_ids.tolist())
    images = [every[index] for index in sorted(members)]
    work = _Refinement(model, cfg, spec, plain, flip_pairs(categories[0]).permutation)

    def compute(batch: Batch, arrays: list[list[np.ndarray]]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return work(batch, arrays, [kept.boxes[members[image.index]] for image in batch.images])

    with torch.inference_mode():
        for image, (points, disagreement) in progress(
            run_batches(cfg, images, spec.transforms, workers, compute), total=len(images), label="refine"
        ):
            if not np.isfinite(points).all():
                raise UserError(f"{image.file_name}: the model's heatmaps are not finite; its training has diverged")
            keypoints[members[image.index]] = points
            parts[members[image.index]] = disagreement
    # One transform agrees with itself.
    return dataclasses.replace(kept, keypoints=keypoints, disagreement=parts if len(spec.transforms) > 1 else None)


def _check_size_dependence(spec: RefinementSpec, plain_short_side: int) -> None:
    if not spec.size_dependent:
        return
    short_sides = [t.short_side for t in spec.transforms]
    if min(short_sides) > plain_short_side or max(short_sides) < plain_short_side:
        raise UserError(
            "size_dependent: leaves small or large boxes without any transform; "
            f"add one whose short side is {plain_short_side}, or on the other side of it"
        )


def _reused(kept: Detections, reuse: Sequence[Detections], count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keypoints (N, K, 3) and disagreement (N, K) copied from earlier refinements of the same boxes; a mask (N,) of boxes not
    found there."""
    keypoints = np.zeros((len(kept), count, 3), np.float32)
    disagreement = np.full((len(kept), count), np.nan, np.float32)
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
        if earlier.disagreement is not None:
            disagreement[same] = earlier.disagreement[first[place[same]]]
        missing &= ~same
    return keypoints, disagreement, missing


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
    plain: TestScale
    permutation: Sequence[int]

    def __call__(
        self, batch: Batch, arrays: Sequence[Sequence[np.ndarray]], boxes: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each image the keypoints (n, K, 3) of its boxes (n, 4) in the original image, and the disagreement (n, K) about them."""
        device = self.model.device
        rois = [torch.from_numpy(b).to(device).double() for b in boxes]
        bounds = [0, *itertools.accumulate(len(b) for b in boxes)]
        areas = torch.cat([(b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) for b in rois])
        weights = {
            view: transform_weights(areas, view.transforms, self.plain.short_side, self.spec.size_dependent)
            for view in batch.views
        }
        # The average of one transform is itself. Decoded as it is, as in detectron2, even flat maps come out the same.
        several = len(self.spec.transforms) > 1
        average = HeatmapAverage(bounds[-1], self.spec.average if several else "logits", compare=several)
        for views, rows, pixels in network_inputs(self.model, batch, arrays):
            span = slice(bounds[rows.start], bounds[rows.stop])
            self._add(average, batch, views, rows, pixels, rois, {view: weights[view][span] for view in views}, span)
        maps = average.result()
        disagreement = average.disagreement().cpu().numpy() if several else np.zeros(maps.shape[:2], np.float32)
        frames = [self.plain.size(image.height, image.width) for image in batch.images]
        in_frame = [
            scaled(b, width / image.width, height / image.height)
            for b, image, (height, width) in zip(rois, batch.images, frames, strict=True)
        ]
        points = decode(maps, torch.cat(in_frame).float()).cpu().numpy()
        split = (np.split(values, bounds[1:-1]) for values in (points, disagreement))
        for image, (height, width), part, doubt in zip(batch.images, frames, *split, strict=True):
            part[..., 0] *= image.width / width
            part[..., 1] *= image.height / height
            yield part, doubt

    def _add(
        self,
        average: HeatmapAverage,
        batch: Batch,
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
                seen = view.boxes(rois[row], image.height, image.width).float()
                boxes.append(Boxes(seen if mask is None else seen[mask]))
        logits = self._heatmaps(preprocess(self.model, views, pixels), boxes)
        start = 0
        for view in views:
            mask = None if used is None else used[view]
            count = sum(counts) if mask is None else int(mask.sum())
            maps = logits[start : start + count]
            start += count
            where = span if mask is None else torch.nonzero(mask).squeeze(1) + span.start
            average.add(
                view.maps_back(maps, self.permutation),
                where,
                weights[view] if mask is None else weights[view][mask],
            )

    def _heatmaps(self, images: ImageList, boxes: Sequence[Boxes]) -> torch.Tensor:
        """Heatmap logits (R, K, S, S) of boxes given for each input, in its frame."""
        heads = self.model.roi_heads
        step = ROIS_AT_ONCE[self.model.device.type]
        with reduced_precision(self.model, self.spec.precision):
            features = self.model.backbone(images.tensor)
            pooled = heads.keypoint_pooler([features[f] for f in heads.keypoint_in_features], list(boxes))
            return torch.cat([heads.keypoint_head.layers(part).float() for part in pooled.split(step)])
