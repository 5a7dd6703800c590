"""Initial weights: from the files others publish into the bottom-up network of a detectron2 model.

Formats, told apart by their content:

- detectron2's and Detectron's pickles (`.pkl`: R-50 and R-101 of MSRA, FAIR's X-101-64x4d), read by an unpickler that
  can only make numpy arrays;
- state dicts of torchvision and timm (`.pth`, read as tensors only, or `.safetensors`), and of the port of the original
  ResNeXt release (Torch7), which numbers its layers: ResNeXt-101-32x4d.

No code in a file is executed. What differs between the worlds is put right while loading:

========================  =============================  ================================================
                          torchvision, timm              detectron2 (after MSRA's Caffe models)
========================  =============================  ================================================
channels                  RGB                            BGR: the first convolution's channels are turned
pixels                    (x / 255 - mean) / std         x - mean, or whatever `PIXEL_STD` says: the
                                                         quotient of both is folded into that convolution
names                     conv1, bn1, layer1.0.conv1,    stem.conv1, stem.conv1.norm, res2.0.conv1,
                          layer1.0.downsample.{0,1}      res2.0.shortcut, res2.0.shortcut.norm
stride of a stage         in the 3x3 convolution         in the 1x1 if `STRIDE_IN_1X1`, which must then be false
========================  =============================  ================================================

The mean can't be folded, because padding comes after it: `cfg.MODEL.PIXEL_MEAN` must be that of the weights. Folding is
exact at the border, too: both pad with zeros after normalising.
"""

from __future__ import annotations

import importlib
import pickle
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import torch

from datadistill.errors import UserError
from datadistill.model.weight_files import find_weights
from datadistill.specs import NetworkSpec

if TYPE_CHECKING:
    from detectron2.config import CfgNode

Tensors = dict[str, torch.Tensor]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
DETECTRON2, CAFFE2, TORCH = "detectron2", "caffe2", "torch"
_CLASSIFIERS = ("fc.", "fc_", "fc1000", "last_linear.", "stem.fc.", "linear.", "pred_", "linear_", "head", "classifier")


@dataclass(frozen=True)
class LoadReport:
    """What was loaded into the bottom-up network: names of its tensors, and of the file's that found no use.

    `by_default` holds running statistics that the file doesn't have because they were folded into the affine
    parameters.
    """

    layout: str
    loaded: tuple[str, ...]
    by_default: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{len(self.loaded)} tensors loaded ({self.layout} names)"
        return f"{text}, not used: {', '.join(self.unused)}" if self.unused else text


def load_initial_weights(model: torch.nn.Module, cfg: CfgNode, path: str | Path, backbone: str) -> LoadReport:
    """Load ImageNet weights into `model.backbone.bottom_up`, every tensor of it, and say what was loaded.

    `path` may be "package:NAME/FILE", a file within an installed Python package. `backbone` is the config's name of the
    backbone, for messages. Raises `UserError` when the file is missing, damaged or holds more than arrays; when a
    tensor of the network is missing in it or has another shape; or when the config contradicts what the weights were
    trained with (norm, stride placement, pixel mean).
    """
    file = find_weights(path)
    tensors, layout = read_weights(file)
    bottom_up = model.backbone.bottom_up
    target = {
        name: tensor for name, tensor in bottom_up.state_dict().items() if not name.endswith("num_batches_tracked")
    }
    if cfg.MODEL.BACKBONE.NAME == "build_timm_fpn_backbone":
        source = _for_timm(tensors, target, cfg, file)
        norm = cfg.MODEL.TIMM.NORM
    else:
        source = _for_resnet(tensors, layout, cfg, file)
        norm = cfg.MODEL.RESNETS.NORM
    absent = [name for name in target if name not in source]
    # Detectron's batch norms were fused into scale and bias; what the frozen norm starts from then is the identity.
    affine_only = layout == CAFFE2 and all(name.endswith(("running_mean", "running_var")) for name in absent)
    if absent and affine_only and norm != "FrozenBN":
        raise UserError(
            f"{file}: its batch norms are fused into scale and bias, which fits norm FrozenBN only, not {norm}"
        )
    if absent and not affine_only:
        raise UserError(
            f"{file}: {len(absent)} of {len(target)} tensors of backbone {backbone} aren't in it, {absent[0]} for one; "
            "are these the weights of another network?"
        )
    for name, tensor in target.items():
        if name in source and source[name].shape != tensor.shape:
            raise UserError(
                f"{file}: {name} has shape {tuple(source[name].shape)}, backbone {backbone} needs "
                f"{tuple(tensor.shape)}; "
                "are these the weights of another network?"
            )
    with torch.no_grad():
        for name, tensor in target.items():
            if name in source:
                tensor.copy_(source[name])
    loaded = tuple(name for name in target if name in source)
    unused = tuple(
        name
        for name in source
        if name not in target and not name.startswith(_CLASSIFIERS) and not name.endswith("num_batches_tracked")
    )
    return LoadReport(layout, loaded, tuple(absent), unused)


# --- files


def read_weights(path: Path) -> tuple[Tensors, str]:
    """The tensors of a file by name, float32, and the naming they follow: "detectron2", "caffe2" or "torch".

    Raises `UserError` for a file that isn't one of the formats above, or that holds anything but arrays.
    """
    try:
        data = _READERS[_format(path)](path)
    except Exception as error:  # unpicklers raise nearly anything on a damaged file
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(
            f"{path}: not a file of weights that can be read without running code from it ({reason})"
        ) from None
    for key in ("model", "blobs", "state_dict", "model_state_dict"):
        if isinstance(data, Mapping) and isinstance(data.get(key), Mapping):
            data = data[key]
    if not isinstance(data, Mapping):
        raise UserError(f"{path}: a mapping of names to arrays is needed, it holds a {type(data).__name__}")
    tensors = {}
    for name, value in data.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
            value = torch.from_numpy(np.array(value))
        if isinstance(value, torch.Tensor) and not str(name).endswith("_momentum"):
            name = str(name).removeprefix("module.").removeprefix("backbone.bottom_up.")
            tensors[name] = value.float() if value.is_floating_point() else value
    if not tensors:
        raise UserError(f"{path}: it holds no arrays by name")
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise UserError(f"{path}: {name} holds a value that isn't finite; is the file damaged?")
    if any(name.startswith("stem.conv1.") for name in tensors) and any(name.startswith("res2.") for name in tensors):
        return tensors, DETECTRON2
    if "conv1_w" in tensors:
        return tensors, CAFFE2
    return tensors, TORCH


def _format(path: Path) -> str:
    """The format of a file of weights, by how it begins."""
    with open(path, "rb") as stream:
        start = stream.read(16)
    if start.startswith(b"PK") or start[2:].startswith(_LEGACY_TORCH):
        return "torch"
    if start[8:9] == b"{":
        return "safetensors"
    if start.startswith(b"\x80"):
        return "pickle"
    raise ValueError("an empty file" if not start else "neither torch's, safetensors' nor a pickle")


def _read_torch(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _read_safetensors(path: Path) -> Any:
    from safetensors.torch import load_file

    return load_file(str(path))


def _read_pickle(path: Path) -> Any:
    with open(path, "rb") as stream:
        return ArrayUnpickler(stream).load()


_READERS: dict[str, Callable[[Path], Any]] = {
    "torch": _read_torch,
    "safetensors": _read_safetensors,
    "pickle": _read_pickle,
}
# What torch.save wrote before it wrote zip files: a pickled number.
_LEGACY_TORCH = bytes.fromhex("8a0a6cfc9c46f9206aa85019")


def check_weights(path: str | Path, networks: Sequence[tuple[str, NetworkSpec]] = ()) -> None:
    """Refuse, before anything is trained, what can't be loaded into the backbones of these networks (task, network).

    Raises `UserError` as `load_initial_weights` does.
    """
    from datadistill.model.network import import_detectron2, network_config

    import_detectron2()
    from detectron2.modeling import build_backbone

    read_weights(find_weights(path))
    for task, network in networks:
        cfg = network_config(task, network)
        cfg.MODEL.DEVICE = "cpu"
        holder = SimpleNamespace(backbone=build_backbone(cfg))
        load_initial_weights(holder, cfg, path, network.backbone)  # type: ignore[arg-type]


def _latin1(text: str, encoding: str) -> bytes:
    # How Python 3 writes bytes into pickles of protocol 2.
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"text in encoding {encoding!r}")
    return text.encode(encoding)


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler that makes numpy arrays and plain values, and refuses any other class or function."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream, encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        """The few names that pickled arrays need; anything else raises `pickle.UnpicklingError`."""
        from collections import OrderedDict

        multiarray = importlib.import_module(
            "numpy._core.multiarray" if hasattr(np, "_core") else "numpy.core.multiarray"
        )
        allowed: dict[tuple[str, str], Callable[..., Any] | type] = {
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("collections", "OrderedDict"): OrderedDict,
            ("_codecs", "encode"): _latin1,
        }
        for home in ("numpy.core.multiarray", "numpy._core.multiarray"):
            allowed[home, "_reconstruct"] = multiarray._reconstruct
            allowed[home, "scalar"] = multiarray.scalar
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return allowed[module, name]


# --- into detectron2's ResNets


def _for_resnet(tensors: Tensors, layout: str, cfg: CfgNode, file: Path) -> Tensors:
    """Tensors under the names, and in the conventions, of detectron2's ResNet."""
    resnets = cfg.MODEL.RESNETS
    group_norm = any(re.search(r"_gn_", name) for name in tensors)
    if group_norm != (resnets.NORM == "GN"):
        has = "group" if group_norm else "batch"
        raise UserError(f"{file}: these weights were trained with {has} norm, the config's norm is {resnets.NORM}")
    if layout == CAFFE2:
        from detectron2.checkpoint.c2_model_loading import convert_basic_c2_names

        return dict(zip(convert_basic_c2_names(list(tensors)), tensors.values(), strict=True))
    if layout == DETECTRON2:
        return dict(tensors)
    if _PORTED_FIRST in tensors:
        tensors = {ported_to_torch(name): tensor for name, tensor in tensors.items()}
    if "layer1.0.conv1.weight" not in tensors or "conv1.weight" not in tensors:
        raise UserError(
            f"{file}: its names ({', '.join(list(tensors)[:3])}, ...) aren't those of a torchvision or timm ResNet; "
            "use it with a backbone timm:NAME"
        )
    if resnets.DEPTH >= 50 and resnets.STRIDE_IN_1X1:
        raise UserError(
            f"{file}: torchvision and timm ResNets stride in their 3x3 convolutions, this backbone in its 1x1; "
            f"use MSRA's weights, or the backbone timm:resnet{resnets.DEPTH}"
        )
    converted = {torch_to_detectron2(name): tensor for name, tensor in tensors.items()}
    first = "stem.conv1.weight"
    converted[first] = _from_rgb(converted[first], cfg, IMAGENET_MEAN, IMAGENET_STD, file)
    return converted


# The first convolution of the first block.
_PORTED_FIRST = "features.4.0.0.0.0.0.weight"
_PORTED_PARTS = {
    # Two branches that are added: the block, whose first two convolutions lie one deeper, and the shortcut.
    "0.0.0": "conv1",
    "0.0.1": "bn1",
    "0.0.3": "conv2",
    "0.0.4": "bn2",
    "0.1": "conv3",
    "0.2": "bn3",
    "1.0": "downsample.0",
    "1.1": "downsample.1",
}


def ported_to_torch(name: str) -> str:
    """torchvision's name of a tensor of the original ResNeXt release as ported from Torch7, where layers have numbers; names
    of other tensors come back unchanged.

    >>> ported_to_torch("features.6.22.0.0.0.4.running_mean")
    'layer3.22.bn2.running_mean'
    >>> ported_to_torch("features.5.0.0.1.0.weight")
    'layer2.0.downsample.0.weight'
    """
    name = re.sub(r"^features\.0\.", "conv1.", name)
    name = re.sub(r"^features\.1\.", "bn1.", name)
    block = re.fullmatch(r"features\.([4-7])\.(\d+)\.0\.([\d.]+)\.(\w+)", name)
    if block is None or block[3] not in _PORTED_PARTS:
        return name
    return f"layer{int(block[1]) - 3}.{block[2]}.{_PORTED_PARTS[block[3]]}.{block[4]}"


def torch_to_detectron2(name: str) -> str:
    """The name in detectron2's ResNet of a tensor of torchvision's or timm's; names of other tensors come back
    unchanged.

    >>> torch_to_detectron2("layer3.5.bn2.running_mean")
    'res4.5.conv2.norm.running_mean'
    """
    name = re.sub(r"^(conv1|bn1)\.", r"stem.\1.", name)
    name = re.sub(r"^layer([1-4])\.", lambda match: f"res{int(match[1]) + 1}.", name)
    name = re.sub(r"\bdownsample\.0\.", "shortcut.", name)
    name = re.sub(r"\bdownsample\.1\.", "shortcut.norm.", name)
    return re.sub(r"\bbn([1-3])\.", r"conv\1.norm.", name)


def _from_rgb(
    weight: torch.Tensor, cfg: CfgNode, mean: Sequence[float], std: Sequence[float], file: Path
) -> torch.Tensor:
    """A first convolution (C, 3, h, w) that was trained on RGB pixels (x / 255 - mean) / std, for those of the
    config."""
    if cfg.INPUT.FORMAT != "BGR":
        raise UserError(f"INPUT.FORMAT is {cfg.INPUT.FORMAT!r}; initial weights are loaded for BGR")
    expected = [255.0 * value for value in reversed(mean)]
    if not np.allclose(cfg.MODEL.PIXEL_MEAN, expected, atol=1e-3):
        raise UserError(
            f"{file}: trained with pixel mean {expected} (BGR), the config's PIXEL_MEAN is {list(cfg.MODEL.PIXEL_MEAN)}"
        )
    scale = torch.tensor(
        [have / (255.0 * trained) for have, trained in zip(cfg.MODEL.PIXEL_STD, reversed(std), strict=True)]
    )
    return weight.flip(1) * scale.view(1, 3, 1, 1)


# --- into timm's networks


def _for_timm(tensors: Tensors, target: Mapping[str, torch.Tensor], cfg: CfgNode, file: Path) -> Tensors:
    """Tensors under the names of `TimmBackbone`'s state, by name, or by order where the file names them otherwise."""
    from datadistill.model.timm_backbone import timm_pixels

    flat = {_flat(name): tensor for name, tensor in tensors.items()}
    wanted = {name: _flat(name.removeprefix("net.")) for name in target}
    if not set(wanted.values()) & set(flat):
        flat = {_flat(name): tensor for name, tensor in _by_order(tensors, cfg.MODEL.TIMM.NAME, file).items()}
    found = {name: flat[key] for name, key in wanted.items() if key in flat}
    first = next((name for name, tensor in target.items() if tensor.ndim == 4 and tensor.shape[1] == 3), None)
    if first is None:
        raise UserError(f"timm:{cfg.MODEL.TIMM.NAME} has no convolution over 3 channels; its weights can't be loaded")
    if first in found and found[first].shape[1] == 3:
        found[first] = _from_rgb(found[first], cfg, *timm_pixels(cfg.MODEL.TIMM.NAME), file)
    used = set(wanted.values())
    return found | {key: tensor for key, tensor in flat.items() if key not in used}


def _flat(name: str) -> str:
    # timm flattens `stages.0` to `stages_0` where it extracts features.
    return name.replace(".", "_")


def _by_order(tensors: Tensors, name: str, file: Path) -> Tensors:
    """Tensors under timm's names, matched by their order: kinds (weight, bias, ...) and shapes must agree throughout.

    Ports of a network often keep the order of its layers and rename them, as PyPI's efficientnet-lite0 does.
    """
    import timm

    with torch.device("meta"):
        network = timm.create_model(name, pretrained=False)
    classifier = tuple(f"{prefix}." for prefix in _as_tuple(network.pretrained_cfg.get("classifier")))
    ours = [
        (key, tensor)
        for key, tensor in network.state_dict().items()
        if not key.endswith("num_batches_tracked") and not (classifier and key.startswith(classifier))
    ]
    theirs = [(key, tensor) for key, tensor in tensors.items() if not key.endswith("num_batches_tracked")]
    # Beyond the last layer the file may have a classifier, a weight and a bias.
    if not len(ours) <= len(theirs) <= len(ours) + 2:
        raise UserError(
            f"{file}: {len(theirs)} tensors under names unknown to timm, timm:{name} has {len(ours)}; "
            "are these the weights of another network?"
        )
    for (key, tensor), (other, value) in zip(ours, theirs, strict=False):
        if tensor.shape != value.shape or key.rpartition(".")[2] != other.rpartition(".")[2]:
            raise UserError(
                f"{file}: under names unknown to timm, and not in the order of timm:{name} either: {other} "
                f"{tuple(value.shape)} stands where {key} {tuple(tensor.shape)} should; are these the weights of "
                "another network?"
            )
    return {key: value for (key, _), (_, value) in zip(ours, theirs, strict=False)}


def _as_tuple(value: Any) -> tuple[str, ...]:
    return () if not value else (value,) if isinstance(value, str) else tuple(value)
