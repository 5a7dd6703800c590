"""Any timm network as a detectron2 backbone with FPN.

Importing this module registers `build_timm_fpn_backbone` in detectron2's BACKBONE_REGISTRY. Its config is
`cfg.MODEL.TIMM = {NAME, NORM}` (`add_timm_config`); FPN, its channels and norm, and `BACKBONE.FREEZE_AT` are
configured as for detectron2's own ResNets. Images arrive as detectron2 feeds them, BGR and normalised by `cfg.MODEL.PIXEL_MEAN` and `PIXEL_STD`, which
`configure_pixels` sets to what the network's weights were trained with; `weights.load_initial_weights` turns the first
convolution from RGB to BGR.
"""

from __future__ import annotations

import math

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone import BACKBONE_REGISTRY, FPN, Backbone
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from torch import nn

from datadistill.errors import UserError

BUILDER = "build_timm_fpn_backbone"
STRIDES = (4, 8, 16, 32)
NORMS = ("FrozenBN", "BN", "SyncBN")
_PROBE = 64  # pixels: the smallest square on which all four strides can be told apart


class TimmBackbone(Backbone):
    """The features of strides 4, 8, 16 and 32 of a timm network, as `res2` ... `res5`.

    Takes (N, 3, H, W) with H and W multiples of 32; gives a dictionary of (N, C, H / stride, W / stride). `norm` is
    "FrozenBN" (statistics and affine parameters fixed), "BN" or "SyncBN"; networks without batch norm are left as they
    are. `freeze_at` n freezes all that precedes and yields the last feature of stride 2 ** n or less, as detectron2's
    ResNets freeze the stem at 1 and the stage of stride 4 at 2; batch norm within it is frozen too. Weights are random.

    Raises `UserError` for an unknown name or norm, or a network without features of these strides.
    """

    def __init__(self, name: str, norm: str = "FrozenBN", freeze_at: int = 0) -> None:
        super().__init__()
        if norm not in NORMS:
            raise UserError(f"norm {norm!r} isn't possible with timm:{name}; possible: {', '.join(NORMS)}")
        self.net = _with_norm(_features_of(name), norm)
        info = self.net.feature_info
        last = {stride: i for i, stride in enumerate(info.reduction())}
        if not set(STRIDES) <= set(last):
            raise UserError(f"timm:{name} has features of strides {info.reduction()}; an FPN needs 4, 8, 16 and 32")
        self._index = {f"res{int(math.log2(stride))}": last[stride] for stride in STRIDES}
        self._channels = {out: info.channels()[i] for out, i in self._index.items()}
        self._out_features = list(self._index)
        _freeze(self.net, name, freeze_at)
        _probe(self, name)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """(N, 3, H, W), normalised, to {"res2": (N, C, H / 4, W / 4), ...}."""
        features = self.net(x)
        return {out: _channels_first(features[i], self._channels[out]) for out, i in self._index.items()}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of every feature."""
        return {
            out: ShapeSpec(channels=self._channels[out], stride=stride)
            for out, stride in zip(self._index, STRIDES, strict=True)
        }

    @property
    def size_divisibility(self) -> int:
        """Images must be padded to multiples of this."""
        return STRIDES[-1]


def _features_of(name: str) -> nn.Module:
    import timm

    if not timm.is_model(name):
        raise UserError(f"timm has no model {name!r}")
    try:
        return timm.create_model(name, pretrained=False, features_only=True)
    except (RuntimeError, AttributeError, TypeError, AssertionError) as error:
        raise UserError(f"timm:{name} can't be a backbone: timm gives no features of it ({error})") from None


def _with_norm(net: nn.Module, norm: str) -> nn.Module:
    # timm's own functions, not detectron2's: many of timm's batch norms carry the activation inside, which detectron2's
    # `convert_frozen_batchnorm` would drop without a word.
    from timm.layers import convert_sync_batchnorm, freeze_batch_norm_2d

    if norm == "FrozenBN":
        return freeze_batch_norm_2d(net)
    return convert_sync_batchnorm(net) if norm == "SyncBN" else net


def _freeze(net: nn.Module, name: str, freeze_at: int) -> None:
    from timm.layers import freeze_batch_norm_2d

    reached = [
        module
        for module, stride in zip(net.feature_info.module_name(), net.feature_info.reduction(), strict=True)
        if stride <= 2**freeze_at
    ]
    if freeze_at < 1 or not reached:
        return
    # Features extracted as a list have flattened names: `stages.0` is registered as `stages_0`.
    end = reached[-1].replace(".", "_")
    frozen, found = [], False
    for module_name, _ in net.named_modules():
        flat = module_name.replace(".", "_")
        inside = flat == end or flat.startswith(end + "_")
        if found and not inside:
            break
        found |= inside
        # A module that merely contains the last one (`blocks` of `blocks.1`) also contains what must stay trainable.
        if module_name and not end.startswith(flat + "_"):
            frozen.append(module_name)
    if not found:
        raise UserError(
            f"timm:{name}: its stage {reached[-1]!r} wasn't found, so FREEZE_AT {freeze_at} isn't possible; set it to 0"
        )
    for module_name in frozen:
        module = net.get_submodule(module_name)
        for parameter in module.parameters():
            parameter.requires_grad = False
        replacement = freeze_batch_norm_2d(module)
        if replacement is not module:
            parent, _, child = module_name.rpartition(".")
            setattr(net.get_submodule(parent), child, replacement)


def _channels_first(feature: torch.Tensor, channels: int) -> torch.Tensor:
    if feature.shape[1] != channels and feature.shape[-1] == channels:
        return feature.permute(0, 3, 1, 2).contiguous()  # Swin and its kin
    return feature


def _probe(backbone: TimmBackbone, name: str) -> None:
    """Run a small image, so that a network that only takes one size is refused here and not in training."""
    training = backbone.training
    backbone.eval()
    try:
        with torch.no_grad():
            features = backbone(torch.zeros(1, 3, _PROBE, _PROBE))
        shapes = {out: tuple(feature.shape[1:]) for out, feature in features.items()}
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"timm:{name} can't be a backbone: it takes no image of {_PROBE} pixels ({error})") from None
    finally:
        backbone.train(training)
    for out, spec in backbone.output_shape().items():
        if shapes[out] != (spec.channels, _PROBE // spec.stride, _PROBE // spec.stride):
            raise UserError(
                f"timm:{name} can't be a backbone: its feature of stride {spec.stride} has shape {shapes[out]}"
            )


def add_timm_config(cfg: CfgNode, name: str = "", norm: str = "FrozenBN") -> None:
    """Add the keys of this backbone, which detectron2's config doesn't have and so would refuse in a file."""
    cfg.MODEL.TIMM = CfgNode({"NAME": name, "NORM": norm})


@BACKBONE_REGISTRY.register()
def build_timm_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """`TimmBackbone` under detectron2's FPN, with `p6` from a max pool, as for its ResNets
    (`build_resnet_fpn_backbone`)."""
    if input_shape.channels != 3:
        raise UserError(f"a timm backbone takes 3 channels, the config feeds {input_shape.channels}")
    return FPN(
        bottom_up=TimmBackbone(cfg.MODEL.TIMM.NAME, cfg.MODEL.TIMM.NORM, cfg.MODEL.BACKBONE.FREEZE_AT),
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelMaxPool(),
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )


def timm_pixels(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, RGB in 0..1, that timm documents for a network's weights."""
    import timm

    found = timm.get_pretrained_cfg(name)
    if found is None:
        return (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return tuple(found.mean), tuple(found.std)


def configure_pixels(cfg: CfgNode) -> None:
    """Set `PIXEL_MEAN` and `PIXEL_STD` (BGR, 0..255) of a config whose backbone is a timm network; others are left
    alone.

    detectron2's defaults fit its own ResNets: ImageNet's mean, and a standard deviation of 1, into which
    `load_initial_weights` folds that of converted weights.
    """
    if cfg.MODEL.BACKBONE.NAME != BUILDER:
        return
    mean, std = timm_pixels(cfg.MODEL.TIMM.NAME)
    cfg.INPUT.FORMAT = "BGR"
    cfg.MODEL.PIXEL_MEAN = [255.0 * value for value in reversed(mean)]
    cfg.MODEL.PIXEL_STD = [255.0 * value for value in reversed(std)]
