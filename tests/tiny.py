"""Tiny random networks and images: enough for every code path, in seconds on one core."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tiny_network import TINY

from datadistill.model.network import build_config, import_detectron2
from datadistill.specs import ModelSpec, TrainingSpec
from datadistill.transforms import TestScale

NAMES = ["nose", "left_eye", "right_eye", "left_hip", "right_hip"]
Network = tuple[torch.nn.Module, Any, list[dict[str, Any]]]
PERSON = [{"id": 1, "name": "person", "keypoints": NAMES, "skeleton": []}]
OBJECTS = [{"id": i, "name": f"thing{i}"} for i in (2, 3, 5, 7, 11)]
TEST_SCALE = TestScale(96, 160)
PLAIN = TEST_SCALE.transform()
SIZES = [(96, 128), (128, 96), (96, 128), (100, 150), (80, 200), (96, 128)]


def _model_spec(task: str, backbone: str) -> ModelSpec:
    network = dataclasses.replace(
        TINY,
        backbone=backbone,
        stem_channels=16,
        width_per_group=8,
        keypoint_head_channels=(16, 16),
        anchor_sizes=(8, 16, 32, 64, 128),
        proposals_train=None,
        proposals_test=60,
        rois_per_image=None,
    )
    return ModelSpec(task, network, TrainingSpec(1, 1, 0.1), "", None, 1.0, 0, "random", None, 0, test_scale=TEST_SCALE)


def build(task: str, categories: list[dict[str, Any]], seed: int, backbone: str = TINY.backbone) -> Network:
    """A network of random weights whose detections and heatmaps vary as those of a trained one do."""
    import_detectron2()
    from detectron2.modeling import build_model

    torch.manual_seed(seed)
    cfg = build_config(_model_spec(task, backbone), categories)
    model = build_model(cfg)
    # With the statistics of a fresh network the activations of random weights grow without bound.
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    heads = model.roi_heads
    with torch.no_grad():
        pixels = torch.from_numpy(np.stack([picture(np.random.default_rng(i), 96, 128) for i in range(4)]))
        images = model.preprocess_image([{"image": p} for p in pixels.permute(0, 3, 1, 2)])
        model.backbone(images.tensor)
        model.eval()
        features = model.backbone(images.tensor)
        # Heads scaled so that scores, boxes and heatmaps differ as those of a trained network do.
        rpn = model.proposal_generator.rpn_head
        rpn.anchor_deltas.weight /= 2 * torch.cat([d.flatten() for d in rpn(list(features.values()))[1]]).std()
        boxes = [p.proposal_boxes for p in model.proposal_generator(images, features, None)[0]]
        chosen = [features[f] for f in heads.box_in_features]
        pooled = heads.box_head(heads.box_pooler(chosen, boxes))
        logits, deltas = heads.box_predictor(pooled)
        heads.box_predictor.cls_score.weight *= 3 / logits.std()
        heads.box_predictor.bbox_pred.weight *= 2 / deltas.std()
        if heads.keypoint_on:
            maps = heads.keypoint_head.layers(heads.keypoint_pooler(chosen, boxes))
            heads.keypoint_head.score_lowres.weight *= 3 / maps.std()
    return model, cfg, categories


def picture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Rectangles and noise: (height, width, 3) uint8."""
    pixels = rng.integers(0, 60, (height, width, 3))
    for _ in range(8):
        top, left = rng.integers(0, height - 8), rng.integers(0, width - 8)
        bottom, right = top + rng.integers(8, height), left + rng.integers(8, width)
        pixels[top:bottom, left:right] += rng.integers(0, 60, 3)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def write_split(folder: Path, pictures: list[np.ndarray], categories: list[dict[str, Any]]) -> dict[str, Any]:
    """A split of PNG images with ids 10, 11, ..."""
    images = []
    for i, pixels in enumerate(pictures, 10):
        path = folder / f"{i}.png"
        Image.fromarray(pixels).save(path)
        images.append({"id": i, "file_name": str(path), "height": pixels.shape[0], "width": pixels.shape[1]})
    return {"info": {}, "images": images, "annotations": [], "categories": categories}
