"""A convolution whose backward pass costs what the positions with a gradient cost.

The loss of a region proposal network is taken at a few hundred sampled anchors of an image, so at nearly all positions
the gradient of its 3 x 3 convolution is exactly zero. Leaving those out changes no more than the order of sums.
"""

from __future__ import annotations

from typing import Any

import torch
from detectron2.layers import Conv2d
from torch import nn
from torch.nn import functional

_WORTH_IT = 0.2
"""Share of positions with a gradient above which all are computed: gathering their inputs costs something, too."""


class SparseGradientConv2d(nn.Module):
    """detectron2's `Conv2d` of stride 1 that keeps the size, without norm; parameters under the same names."""

    def __init__(self, conv: Conv2d) -> None:
        super().__init__()
        self.weight = conv.weight
        self.register_parameter("bias", conv.bias)
        self.activation = conv.activation

    @staticmethod
    def can_replace(module: nn.Module) -> bool:
        """Whether a module is a convolution that this one computes."""
        return (
            type(module) is Conv2d
            and module.norm is None
            and module.padding_mode == "zeros"
            and all(side % 2 for side in module.kernel_size)
            and tuple(module.padding) == tuple(side // 2 for side in module.kernel_size)
            and (module.stride, module.dilation, module.groups) == ((1, 1), (1, 1), 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, C', H, W)."""
        # Autocast chooses types inside detectron2's functions, which a function of our own would hide from it.
        dense = x.device.type != "cpu" or not torch.is_grad_enabled() or torch.is_autocast_enabled("cpu")
        convolve = _dense if dense else _SparseGradient.apply
        x = convolve(x, self.weight, self.bias)
        return x if self.activation is None else self.activation(x)


def _padding(weight: torch.Tensor) -> tuple[int, int]:
    return weight.shape[2] // 2, weight.shape[3] // 2


def _dense(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return functional.conv2d(x, weight, bias, padding=_padding(weight))


class _SparseGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        return _dense(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        needed = [*ctx.needs_input_grad[:2], ctx.has_bias and ctx.needs_input_grad[2]]
        image, row, column = torch.nonzero(gradient.ne(0).any(dim=1), as_tuple=True)
        if len(image) > _WORTH_IT * gradient[:, 0].numel():
            return torch.ops.aten.convolution_backward(
                gradient, x, weight, [len(weight)] if ctx.has_bias else None,
                [1, 1], _padding(weight), [1, 1], False, [0, 0], 1, needed,
            )  # fmt: skip
        (out_channels, channels, high, wide), (down, right) = weight.shape, _padding(weight)
        chosen = gradient.permute(0, 2, 3, 1)[image, row, column]
        padded = functional.pad(x, (right, right, down, down)).permute(0, 2, 3, 1).contiguous()
        # The first cell of each position's window in the padded input, and the steps from there to all of its cells.
        first = (image * padded.shape[1] + row) * padded.shape[2] + column
        steps = torch.arange(high)[:, None] * padded.shape[2] + torch.arange(wide)
        cells = (first[:, None] + steps.flatten()).flatten()
        results: list[torch.Tensor | None] = [None, None, None]
        if needed[0]:
            flat = weight.permute(0, 2, 3, 1).reshape(out_channels, -1)
            spread = torch.zeros_like(padded).view(-1, channels)
            spread.index_add_(0, cells, (chosen @ flat).view(-1, channels))
            spread = spread.view_as(padded)[:, down : down + x.shape[2], right : right + x.shape[3]]
            results[0] = spread.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        if needed[1]:
            windows = padded.view(-1, channels)[cells].view(len(chosen), high * wide * channels)
            results[1] = (chosen.t() @ windows).view(out_channels, high, wide, channels).permute(0, 3, 1, 2)
        if needed[2]:
            results[2] = chosen.sum(dim=0)
        return tuple(results)
