"""Detections of a split (section 4, section 6.1): the plain pass, or the boxes of all transforms merged.

The keypoint head is left out where no keypoints are asked for. How images are read and batched: `label.batches`.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.structures import ImageList, Instances

from datadistill.detections import Detections
from datadistill.errors import UserError
from datadistill.label.batches import (
    Batch,
    SplitImage,
    network_inputs,
    preprocess,
    reduced_precision,
    run_batches,
    split_images,
)
from datadistill.label.ensemble.boxes import merge
from datadistill.progress import progress
from datadistill.specs import PredictionsSpec
from datadistill.transforms import View


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

    One transform that only resizes, without voting: detectron2's own result, keypoints included where `spec.keypoints`. Otherwise
    the raw boxes of every proposal and category under all transforms, mapped back to the image, above the score
    floor, are merged (`ensemble.boxes.merge`).

    - `model`, `cfg`, `categories`: as `network.load_model` returns them; it computes on the model's device.
    - `split`: COCO JSON; `image_ids`: the images to process, in the order of the result.
    - `workers`: threads that decode and resize.

    Raises `UserError` for an image that can't be decoded or isn't of its stated size.
    """
    if spec.keypoints and not cfg.MODEL.KEYPOINT_ON:
        raise UserError("predictions with keypoints were asked for, but the model has no keypoint head")
    merging = len(spec.transforms) > 1 or not spec.transforms[0].only_resizes or spec.voting is not None
    if spec.keypoints and merging:
        raise UserError("keypoints need predictions of a single, unmirrored transform; refine adds those of the others")
    images = split_images(split, image_ids)
    ids = np.array([c["id"] for c in categories], np.int64)
    detect = _merged if merging else _plain
    found: list[Detections | None] = [None] * len(images)
    with torch.inference_mode(), reduced_precision(model, spec.precision), _settings(model, spec):
        results = run_batches(cfg, images, spec.transforms, workers, partial(detect, model, spec))
        for image, (boxes, scores, classes, keypoints, parts) in progress(results, total=len(images), label="predict"):
            order = np.argsort(-scores, kind="stable")
            found[image.index] = Detections(
                np.array([image.id], np.int64),
                np.zeros(len(scores), np.int64),
                boxes[order].astype(np.float32),
                scores[order].astype(np.float32),
                ids[classes[order]],
                None if keypoints is None else keypoints[order].astype(np.float32),
                None if parts is None else parts[order].astype(np.float32),
            )
    count = len(categories[0]["keypoints"]) if spec.keypoints else None
    return _assemble(image_ids, [d for d in found if d is not None], count)


_Found = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]
"""Boxes, scores, contiguous classes, keypoints and disagreement of one image, in the original image."""


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
    model: torch.nn.Module, spec: PredictionsSpec, batch: Batch, arrays: Sequence[Sequence[np.ndarray]]
) -> Iterator[_Found]:
    """detectron2's own inference."""
    for _, rows, pixels in network_inputs(model, batch, arrays):
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
                None,
            )


def _merged(
    model: torch.nn.Module, spec: PredictionsSpec, batch: Batch, arrays: Sequence[Sequence[np.ndarray]]
) -> Iterator[_Found]:
    """All transforms: raw boxes above the floor in the original image, merged on the CPU (some thousand boxes each)."""
    raw: list[list[tuple[torch.Tensor, ...]]] = [[] for _ in batch.images]
    number = {view: place for place, view in enumerate(batch.views)}
    for views, rows, pixels in network_inputs(model, batch, arrays):
        inputs = preprocess(model, views, pixels)
        boxes, scores = _raw_boxes(model, inputs)
        for (view, row), view_boxes, view_scores in zip(itertools.product(views, rows), boxes, scores, strict=True):
            found = _above_floor(view, batch.images[row], view_boxes, view_scores, spec.score_floor)
            raw[row].append((*found, torch.full_like(found[2], number[view])))
    for columns in raw:
        union = [torch.cat(column) for column in zip(*columns, strict=True)]
        *merged, disagreement = merge(
            *union,
            transforms=len(spec.transforms),
            suppression=spec.nms,
            voting=spec.voting,
            most=spec.max_detections,
        )
        # One transform agrees with itself.
        parts = disagreement.numpy()[:, None] if len(spec.transforms) > 1 else None
        yield *(column.numpy() for column in merged), None, parts


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
    view: View, image: SplitImage, boxes: torch.Tensor, scores: torch.Tensor, floor: float
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
    chosen = view.boxes_back(chosen, image.height, image.width)
    solid = (chosen[:, 2:] > chosen[:, :2]).all(dim=1)
    weights = chosen.new_full((len(chosen),), view.weight)
    return chosen[solid], values[solid], labels[solid], weights[solid]


def _assemble(image_ids: Sequence[int], found: Sequence[Detections], keypoints: int | None) -> Detections:
    """One `Detections` of those of single images."""
    empty = None if keypoints is None else np.zeros((0, keypoints, 3), np.float32)
    parts = [d.disagreement for d in found if d.disagreement is not None]
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
        np.concatenate(parts) if parts else None,
    )
