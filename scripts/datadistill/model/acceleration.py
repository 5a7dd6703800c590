"""The same network, computed faster: what detectron2 builds, with some of its modules replaced by equivalents.

Losses, gradients and detections are those of detectron2's modules to rounding, and names and tensors of `state_dict()`
are unchanged, so that model files and checkpoints are interchangeable. Most of it is for CPUs, where it was measured
(docs/results.md); on a GPU frozen norms are folded, heatmaps of reduced precision made single, and the memory format is
channels last where that is asked for.
"""

from __future__ import annotations

import torch
from detectron2.modeling.proposal_generator import RPN
from torch import nn

from datadistill.model.frozen_norms import fold_frozen_norms
from datadistill.model.roi_align import MatrixROIPooler
from datadistill.model.sparse_gradient import SparseGradientConv2d


class Heatmaps(nn.Module):
    """Heatmaps in the default memory format, as detectron2's keypoint loss wants them, and in single precision at least:
    they are enlarged and searched, for which bfloat16 is too coarse."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(R, K, H, W) to the same values, contiguous."""
        return x.to(torch.promote_types(x.dtype, torch.float32)).contiguous()


def accelerate(model: nn.Module, memory_format: str = "auto") -> None:
    """Replace modules of a detectron2 network, whose weights are loaded, by faster equivalents; in place.

    `memory_format`: auto, channels_last or contiguous; auto is channels_last on a CPU, where it was measured, and contiguous on a GPU.

    Before an optimizer is built, though it makes no difference to one: parameters stay the same objects.
    """
    fold_frozen_norms(model)
    heads = model.roi_heads
    if getattr(heads, "keypoint_on", False) and isinstance(heads.keypoint_head, nn.Sequential):
        heads.keypoint_head.append(Heatmaps())
    on_cpu = next(model.parameters()).device.type == "cpu"
    if memory_format == "channels_last" or (memory_format == "auto" and on_cpu):
        model.to(memory_format=torch.channels_last)
    if not on_cpu:
        return
    for name in ("box_pooler", "keypoint_pooler"):
        pooler = getattr(heads, name, None)
        if MatrixROIPooler.can_replace(pooler):
            setattr(heads, name, MatrixROIPooler(pooler))
    for rpn in [module for module in model.modules() if isinstance(module, RPN)]:
        _sparse_gradients(rpn.rpn_head)


def _sparse_gradients(rpn_head: nn.Module) -> None:
    for parent in list(rpn_head.modules()):
        for name, child in parent.named_children():
            if SparseGradientConv2d.can_replace(child):
                setattr(parent, name, SparseGradientConv2d(child))
