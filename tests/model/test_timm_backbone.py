"""timm networks as detectron2 backbones: shapes, what is frozen, what is refused."""

from __future__ import annotations

import pytest
import timm
import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.modeling import build_backbone

from datadistill.errors import UserError
from datadistill.model.timm_backbone import BUILDER, TimmBackbone, configure_pixels


def config(name: str, norm: str = "FrozenBN", freeze_at: int = 2) -> CfgNode:
    cfg = get_cfg()
    cfg.MODEL.BACKBONE.NAME = BUILDER
    cfg.MODEL.BACKBONE.FREEZE_AT = freeze_at
    cfg.MODEL.FPN.IN_FEATURES = ["res2", "res3", "res4", "res5"]
    cfg.MODEL.FPN.OUT_CHANNELS = 8
    cfg.MODEL.TIMM = CfgNode({"NAME": name, "NORM": norm})
    return cfg


@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0", "convnext_atto"])
def test_a_pyramid_of_strides_4_to_64(name: str) -> None:
    backbone = build_backbone(config(name))
    assert backbone.size_divisibility == 32
    pyramid = backbone(torch.rand(1, 3, 64, 128))
    expected = {f"p{i}": (1, 8, 64 // 2**i, 128 // 2**i) for i in range(2, 7)}
    assert {level: tuple(feature.shape) for level, feature in pyramid.items()} == expected
    assert {k: v.stride for k, v in backbone.output_shape().items()} == {f"p{i}": 2**i for i in range(2, 7)}
    sum(feature.square().mean() for feature in pyramid.values()).backward()
    trainable = [p for p in backbone.parameters() if p.requires_grad]
    assert trainable
    assert all(p.grad is not None for p in trainable)


@pytest.mark.parametrize(
    ("name", "freeze_at", "frozen"),
    [
        ("resnet18", 0, ()),
        ("resnet18", 1, ("conv1.", "bn1.")),
        ("resnet18", 2, ("conv1.", "bn1.", "layer1.")),
        ("tf_efficientnet_lite0", 2, ("conv_stem.", "bn1.", "blocks.0.", "blocks.1.")),
        ("convnext_atto", 1, ()),
        ("convnext_atto", 2, ("stem_0.", "stem_1.", "stages_0.")),
    ],
)
def test_what_is_frozen(name: str, freeze_at: int, frozen: tuple[str, ...]) -> None:
    backbone = TimmBackbone(name, "BN", freeze_at)
    original = timm.create_model(name, features_only=True)
    trainable = {key.removeprefix("net.") for key, p in backbone.named_parameters() if p.requires_grad}
    assert trainable == {key for key, _ in original.named_parameters() if not (frozen and key.startswith(frozen))}
    # Statistics of a frozen stage don't move either.
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    backbone.train()
    backbone(torch.rand(2, 3, 64, 64))
    moved = {
        key.removeprefix("net.") for key, value in backbone.state_dict().items() if not torch.equal(value, before[key])
    }
    assert not [key for key in moved if frozen and key.startswith(frozen)]
    assert bool(moved) == any(isinstance(m, torch.nn.BatchNorm2d) for m in original.modules())


def test_frozen_batch_norm_keeps_the_activation_and_stays_put() -> None:
    torch.manual_seed(0)
    frozen, original = (
        TimmBackbone("tf_efficientnet_lite0"),
        timm.create_model("tf_efficientnet_lite0", features_only=True),
    )
    names = original.state_dict()
    frozen.net.load_state_dict({k: v for k, v in names.items() if not k.endswith("num_batches_tracked")})
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        ours = list(frozen.train()(image).values())
        theirs = original.eval()(image)[1:]
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, other, atol=1e-4 * float(other.abs().max()))
    assert not [key for key, _ in frozen.named_parameters() if "bn" in key]


@pytest.mark.parametrize(
    ("name", "norm", "message"),
    [
        ("resnet18", "GN", "norm 'GN' isn't possible with timm:resnet18"),
        ("resnet_18", "BN", "timm has no model 'resnet_18'"),
        ("swin_tiny_patch4_window7_224", "BN", "can't be a backbone"),
    ],
)
def test_what_cannot_be_a_backbone(name: str, norm: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        TimmBackbone(name, norm)


def test_pixels_are_those_of_the_weights() -> None:
    cfg = config("tf_efficientnet_lite0")
    configure_pixels(cfg)
    assert cfg.MODEL.PIXEL_MEAN == [127.5] * 3
    assert cfg.MODEL.PIXEL_STD == [127.5] * 3
    cfg = config("resnet18")
    configure_pixels(cfg)
    assert pytest.approx([103.53, 116.28, 123.675]) == cfg.MODEL.PIXEL_MEAN
    assert pytest.approx([57.375, 57.12, 58.395]) == cfg.MODEL.PIXEL_STD
    cfg = get_cfg()
    before = list(cfg.MODEL.PIXEL_MEAN), list(cfg.MODEL.PIXEL_STD)
    configure_pixels(cfg)
    assert before == (cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD)
