"""A detectron2 network as TorchScript, by detectron2's own tracing, compared with itself before anybody gets it.

A trace holds what one image made the network do; what depends on an image's size must not be frozen in it. detectron2's modules
are written for that, other backbones may not be. So a trace is run on images of other sizes, and refused where it differs.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.export import TracingAdapter
from torch import nn

from datadistill.errors import UserError
from datadistill.transforms import TestScale

TOLERANCE = 1e-4
"""Pixels and scores: what a trace may differ by from the network it is of."""

_ASPECTS = ((3, 4), (1, 1), (5, 3))
"""Height and width of the images that are compared, in proportion; the first is traced."""


def detections(model: nn.Module, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """What a scripted network gives for an image (3, H, W), BGR, uint8 or float, resized to the test scale.

    In its pixels: boxes (N, 4), scores (N,), classes (N,), and keypoints (N, K, 3) with x, y and score where the network has
    them.
    """
    found = model.inference([{"image": image}], do_postprocess=False)[0]
    columns = (found.pred_boxes.tensor, found.scores, found.pred_classes)
    return (*columns, found.pred_keypoints) if model.roi_heads.keypoint_on else columns


def script(model: nn.Module, cfg: CfgNode) -> torch.jit.ScriptModule:
    """Trace a network in evaluation mode, as detectron2 builds it, on the CPU. Raises `UserError` where the trace differs."""
    images = list(_images(TestScale(cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST)))
    # On a picture of noise a trained network finds nothing: every box counts here, whatever its score.
    with _every_score(model):
        _compare(model, _trace(model, images[0]), images)
    return _trace(model, images[0])


def _trace(model: nn.Module, image: torch.Tensor) -> torch.jit.ScriptModule:
    adapter = TracingAdapter(model, (image,), detections).eval()
    with warnings.catch_warnings(), torch.no_grad():
        # Of values that are constant in a trace, most of which may be, and of TorchScript's age: what matters is compared.
        warnings.simplefilter("ignore")
        return torch.jit.trace(adapter, (image,), check_trace=False)


def _compare(model: nn.Module, traced: torch.jit.ScriptModule, images: Sequence[torch.Tensor]) -> None:
    for image in images:
        size = f"{image.shape[2]}x{image.shape[1]}"
        try:
            with torch.no_grad():
                expected, found = detections(model, image), traced(image)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1][:200]
            raise UserError(f"torchscript: the traced network fails on an image of {size} pixels ({reason})") from None
        for one, other in zip(expected, found, strict=True):
            if one.shape != other.shape or not torch.allclose(one.float(), other.float(), rtol=0, atol=TOLERANCE):
                raise UserError(
                    f"torchscript: the traced network gives other detections on an image of {size} pixels than the network "
                    "itself: its backbone depends on the size it was traced with; export for detectron2 instead"
                )


def _images(scale: TestScale) -> Iterator[torch.Tensor]:
    """Pictures of noise as large as photos of these proportions at the test scale, (3, H, W) uint8."""
    generator = torch.Generator().manual_seed(0)
    for height, width in _ASPECTS:
        size = scale.size(1000 * height, 1000 * width)
        coarse = torch.rand((1, 3, 12, 16), generator=generator)
        pixels = nn.functional.interpolate(coarse, size, mode="bilinear", align_corners=False)
        yield (255 * pixels[0]).to(torch.uint8)


@contextmanager
def _every_score(model: nn.Module) -> Iterator[None]:
    predictor: Any = model.roi_heads.box_predictor
    before = predictor.test_score_thresh
    predictor.test_score_thresh = -1.0
    try:
        yield
    finally:
        predictor.test_score_thresh = before
