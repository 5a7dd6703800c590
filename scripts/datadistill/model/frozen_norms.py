"""A convolution and the frozen batch norm after it, computed as one convolution.

Frozen statistics make batch norm a multiplication and an addition per channel, and detectron2 and timm run them as such:
with their copies a fifth of a training step on a CPU. Here the scale goes into the convolution's weights and the shift
into its bias. In training they are folded anew at each step, from the parameter that the optimizer holds: gradients,
momentum, weight decay, checkpoints and model files are those of the network as it was built, and results differ by the
rounding of one multiplication.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator

import torch
from detectron2.layers import Conv2d, FrozenBatchNorm2d
from detectron2.modeling import Backbone
from torch import nn
from torch.nn import functional

_PROBE = 64  # pixels: as `timm_backbone.TimmBackbone` tries its networks


class NormedConv2d(nn.Module):
    """A convolution whose weights are scaled, and whose bias is shifted, by the frozen batch norm that follows it.

    Holds the convolution's own parameters under their names. With `own_norm` it holds the norm as well (detectron2's
    `Conv2d` does); else the norm has its own place in the network, as a `FoldedNorm`.
    """

    def __init__(
        self,
        conv: nn.Conv2d,
        norm: nn.Module,
        *,
        activation: Callable[[torch.Tensor], torch.Tensor] | None = None,
        own_norm: bool = False,
    ) -> None:
        super().__init__()
        self.weight = conv.weight
        self.register_parameter("bias", conv.bias)
        if own_norm:
            self.norm = norm
        # In a tuple, so that it is no submodule of this one.
        self._norm = (norm,)
        self.activation = activation
        self._convolve = _functions()[type(conv)]
        self._shape = (conv.stride, conv.padding, conv.dilation, conv.groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, C', H', W'), normalised."""
        weight, bias = self.folded()
        x = self._convolve(x, weight, bias, *self._shape)
        return x if self.activation is None else self.activation(x)

    def folded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights (C', C / groups, h, w) and bias (C',) of the one convolution that stands for both."""
        norm = self._norm[0]
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        shift = norm.bias - norm.running_mean * scale
        if self.bias is not None:
            shift = shift + self.bias * scale
        return self.weight * scale[:, None, None, None], shift


class FoldedNorm(nn.Module):
    """What is left of a frozen batch norm that was folded: its buffers, under their names, and what it carried along."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        for name, buffer in norm.named_buffers(recurse=False):
            self.register_buffer(name, buffer)
        self.eps = norm.eps
        self.drop = getattr(norm, "drop", nn.Identity())
        self.act = getattr(norm, "act", nn.Identity())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Dropout and activation, which timm's norms carry."""
        return self.act(self.drop(x))


def fold_frozen_norms(model: nn.Module) -> int:
    """Fold every frozen batch norm of a detectron2 network that follows a convolution; returns how many.

    Names of modules and tensors stay, so `state_dict()` does. Norms that learn are left alone, and so are frozen ones
    after anything but a plain convolution, or after one whose result goes elsewhere, too.
    """
    count = 0
    for name, conv in [(name, module) for name, module in model.named_modules() if type(module) is Conv2d]:
        if isinstance(conv.norm, FrozenBatchNorm2d) and conv.padding_mode == "zeros":
            _replace(model, name, NormedConv2d(conv, conv.norm, activation=conv.activation, own_norm=True))
            count += 1
    for network in [module for module in model.modules() if _is_innermost(module)]:
        for conv_name, norm_name in list(_pairs(network)):
            norm = FoldedNorm(network.get_submodule(norm_name))
            _replace(network, norm_name, norm)
            _replace(network, conv_name, NormedConv2d(network.get_submodule(conv_name), norm))
            count += 1
    return count


def _is_innermost(module: nn.Module) -> bool:
    """Whether a module is a backbone that holds no other: the network below an FPN."""
    return isinstance(module, Backbone) and not any(
        isinstance(part, Backbone) for part in module.modules() if part is not module
    )


def _functions() -> dict[type, Callable[..., torch.Tensor]]:
    """The kinds of convolution that can be folded, and the function of each."""
    functions: dict[type, Callable[..., torch.Tensor]] = {nn.Conv2d: functional.conv2d, Conv2d: functional.conv2d}
    # A network of timm has imported it; importing it for others takes a second.
    if timm := sys.modules.get("timm.layers.conv2d_same"):
        functions[timm.Conv2dSame] = timm.conv2d_same
    return functions


def _pairs(network: nn.Module) -> Iterator[tuple[str, str]]:
    """Names of convolutions, and of the frozen norms of their own that take their results and nothing else does.

    A small image goes through the network; autograd's graph of it tells what takes a convolution's result.
    """
    norms = {name: module for name, module in network.named_modules() if _is_separate_norm(module)}
    if not norms:
        return
    results: dict[str, list[torch.Tensor]] = {}
    inputs: dict[str, list[torch.Tensor]] = {}
    kinds = _functions()
    hooks = [
        module.register_forward_hook(lambda _, __, result, name=name: results.setdefault(name, []).append(result))
        for name, module in network.named_modules()
        if type(module) in kinds and module.padding_mode == "zeros"
    ]
    hooks += [
        module.register_forward_pre_hook(lambda _, given, name=name: inputs.setdefault(name, []).append(given[0]))
        for name, module in norms.items()
    ]
    training = network.training
    network.eval()
    try:
        with torch.enable_grad():
            weight = next(network.parameters())
            image = torch.zeros(1, 3, _PROBE, _PROBE, dtype=weight.dtype, device=weight.device, requires_grad=True)
            features = network(image)
    finally:
        for hook in hooks:
            hook.remove()
        network.train(training)
    takers = _takers([feature.grad_fn for feature in features.values()])
    # A tensor's identity is what matters here: tensors compare by value.
    made = {id(tensors[0]): name for name, tensors in results.items() if len(tensors) == 1}
    for name, tensors in inputs.items():
        conv = made.get(id(tensors[0])) if len(tensors) == 1 else None
        if conv is not None and takers[tensors[0].grad_fn] == 1:
            yield conv, name


def _takers(ends: list[torch.autograd.graph.Node]) -> Counter[torch.autograd.graph.Node]:
    """How often the result of each function is used in the graph that leads to `ends`."""
    takers: Counter[torch.autograd.graph.Node] = Counter(ends)
    seen, waiting = set(ends), list(ends)
    while waiting:
        for function, _ in waiting.pop().next_functions:
            if function is None:
                continue
            takers[function] += 1
            if function not in seen:
                seen.add(function)
                waiting.append(function)
    return takers


def _is_separate_norm(module: nn.Module) -> bool:
    from torchvision.ops.misc import FrozenBatchNorm2d as TorchvisionFrozenBatchNorm2d

    timm = sys.modules.get("timm.layers.norm_act")
    kinds: tuple[type, ...] = (TorchvisionFrozenBatchNorm2d, *([timm.FrozenBatchNormAct2d] if timm else []))
    return type(module) in kinds


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)
