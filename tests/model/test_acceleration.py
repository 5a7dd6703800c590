"""Faster modules give what detectron2's give: compared in double precision, so that nothing discrete hangs on rounding."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
import torch
from tiny_network import TINY
from torch.nn import functional

from datadistill.model.network import build_config, import_detectron2
from datadistill.specs import ModelSpec, NetworkSpec, TrainingSpec
from datadistill.transforms import TestScale

import_detectron2()
from detectron2.layers import Conv2d, FrozenBatchNorm2d  # noqa: E402
from detectron2.modeling import Backbone, build_model  # noqa: E402
from detectron2.modeling.poolers import ROIPooler  # noqa: E402
from detectron2.modeling.proposal_generator import proposal_utils  # noqa: E402
from detectron2.solver import build_optimizer  # noqa: E402
from detectron2.structures import Boxes, Instances, Keypoints  # noqa: E402
from detectron2.utils.events import EventStorage  # noqa: E402

from datadistill.model.acceleration import accelerate  # noqa: E402
from datadistill.model.frozen_norms import FoldedNorm, NormedConv2d, fold_frozen_norms  # noqa: E402
from datadistill.model.roi_align import MatrixROIPooler  # noqa: E402
from datadistill.model.sparse_gradient import SparseGradientConv2d  # noqa: E402

SMALL = dataclasses.replace(
    TINY,
    norm="FrozenBN",
    anchor_sizes=(8, 16, 32, 64, 128),
    proposals_train=40,
    proposals_test=40,
    rois_per_image=32,
)
NETWORKS = {
    "ResNet-50": SMALL,
    # Activations inside the norms, and padding as TensorFlow has it.
    "timm": dataclasses.replace(SMALL, backbone="timm:tf_mobilenetv3_small_minimal_100"),
}
PEOPLE = [{"id": 1, "name": "person", "keypoints": ["nose", "left_eye", "right_eye"]}]


def built(network: NetworkSpec, task: str = "keypoints") -> tuple[torch.nn.Module, Any]:
    """A network in double precision whose frozen statistics are those of no identity, and its config."""
    schedule = TrainingSpec(10, 2, 0.02, warmup_iterations=0, clip_gradients=1.0)
    spec = ModelSpec(task, network, schedule, "", None, 1.0, 0, "random", None, 0, test_scale=TestScale(64, 128))
    cfg = build_config(spec, PEOPLE)
    torch.manual_seed(0)
    model = build_model(cfg)
    for module in model.modules():
        if hasattr(module, "running_var") and "Frozen" in type(module).__name__:
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
            module.weight.uniform_(0.2, 0.7)
            module.bias.normal_(std=0.1)
    return model.double(), cfg


def examples(seed: int) -> list[dict[str, Any]]:
    """A batch of two images of unequal size with two people each."""
    generator = torch.Generator().manual_seed(seed)
    batch = []
    for height, width in ((64, 96), (80, 64)):
        corner = torch.rand(2, 2, generator=generator) * 20
        boxes = torch.cat([corner, corner + 20 + 20 * torch.rand(2, 2, generator=generator)], dim=1)
        points = corner[:, None] + 20 * torch.rand(2, 3, 2, generator=generator)
        instances = Instances((height, width))
        instances.gt_boxes = Boxes(boxes)
        instances.gt_classes = torch.zeros(2, dtype=torch.int64)
        instances.gt_keypoints = Keypoints(torch.cat([points, torch.full((2, 3, 1), 2.0)], dim=2))
        image = torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)
        batch.append({"image": image, "instances": instances, "height": height, "width": width})
    return batch


@pytest.fixture(autouse=True)
def _double_nms(monkeypatch: pytest.MonkeyPatch) -> None:
    # detectron2 makes boxes single for NMS, and leaves the scores.
    nms = proposal_utils.batched_nms
    monkeypatch.setattr(
        proposal_utils, "batched_nms", lambda boxes, scores, *rest: nms(boxes, scores.to(torch.float32), *rest)
    )


def trained(model: torch.nn.Module, cfg: Any, iterations: int = 3) -> list[dict[str, float]]:
    """The losses of some iterations with momentum, weight decay and clipped gradients."""
    optimizer = build_optimizer(cfg, model)
    losses = []
    model.train()
    with EventStorage():
        for iteration in range(iterations):
            torch.manual_seed(iteration)
            found = model(examples(iteration))
            losses.append({name: value.item() for name, value in found.items()})
            optimizer.zero_grad()
            sum(found.values()).backward()
            optimizer.step()
    return losses


@pytest.mark.parametrize(
    ("name", "memory_format"),
    [
        *((name, "auto") for name in NETWORKS),
        *((next(iter(NETWORKS)), name) for name in ("contiguous", "channels_last")),
    ],
)
def test_losses_and_weights_of_a_few_iterations_are_detectron2s(name: str, memory_format: str) -> None:
    plain, cfg = built(NETWORKS[name])
    fast = copy.deepcopy(plain)
    accelerate(fast, memory_format)
    kernels = [p for p in fast.parameters() if p.dim() == 4 and p.shape[1] > 1 and p.shape[2] > 1]
    last = [kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels]
    assert set(last) == {memory_format != "contiguous"}
    assert list(fast.state_dict()) == list(plain.state_dict())
    start = {key: value.clone() for key, value in plain.state_dict().items()}
    expected, found = trained(plain, cfg), trained(fast, cfg)
    assert {"loss_keypoint", "loss_rpn_cls", "loss_cls"} <= set(expected[0])
    assert all(value > 0 for value in expected[-1].values())
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-6)
    moved = 0
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(fast.state_dict()[key], value, rtol=1e-6, atol=1e-9)
        moved += not torch.equal(value, start[key])
    assert moved > 40


@pytest.mark.parametrize("name", NETWORKS)
def test_every_frozen_norm_of_the_backbone_is_folded(name: str) -> None:
    model, _ = built(NETWORKS[name])
    frozen = sum("Frozen" in type(module).__name__ for module in model.modules())
    assert frozen > 10
    assert fold_frozen_norms(model) == frozen
    assert sum(isinstance(module, NormedConv2d) for module in model.modules()) == frozen


def test_detections_are_detectron2s() -> None:
    plain, _ = built(SMALL)
    # torchvision's NMS wants boxes and scores of one precision, and detectron2's are of two when the network is double.
    plain.float().eval()
    plain.roi_heads.box_predictor.test_score_thresh = 0.0
    fast = copy.deepcopy(plain)
    accelerate(fast)
    with torch.no_grad():
        features = [model.backbone(torch.ones(1, 3, 64, 64)) for model in (fast, plain)]
        for level in features[1]:
            torch.testing.assert_close(features[0][level], features[1][level], rtol=1e-4, atol=1e-4)
        ours, theirs = (model(examples(0))[0]["instances"] for model in (fast, plain))
    assert len(ours) == len(theirs) > 5
    torch.testing.assert_close(ours.scores, theirs.scores, rtol=1e-4, atol=1e-4)
    assert torch.equal(ours.pred_classes, theirs.pred_classes)
    torch.testing.assert_close(ours.pred_boxes.tensor, theirs.pred_boxes.tensor, rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(ours.pred_keypoint_heatmaps, theirs.pred_keypoint_heatmaps, rtol=1e-3, atol=1e-3)
    # The highest of a flat heatmap's cells may be another one after rounding.
    moved = (ours.pred_keypoints - theirs.pred_keypoints)[..., :2].abs().amax(dim=2)
    assert (moved < 0.01).float().mean() > 0.95
    assert theirs.pred_keypoints[..., :2].std() > 1


def test_a_model_without_keypoints_or_frozen_norms_is_accelerated_too() -> None:
    network = dataclasses.replace(SMALL, norm="BN", keypoint_head_channels=None)
    model, _ = built(network, task="objects")
    accelerate(model)
    assert not any(isinstance(module, NormedConv2d | FoldedNorm) for module in model.modules())
    assert isinstance(model.roi_heads.box_pooler, MatrixROIPooler)
    assert isinstance(model.proposal_generator.rpn_head.conv, SparseGradientConv2d)


# --- frozen norms -----------------------------------------------------------------------------------------------------


class Branching(Backbone):
    """Two convolutions, each before a frozen norm; the result of the first goes elsewhere, too."""

    def __init__(self) -> None:
        from torchvision.ops.misc import FrozenBatchNorm2d as Frozen

        super().__init__()
        self.first, self.norm1 = torch.nn.Conv2d(3, 4, 3, bias=False), Frozen(4)
        self.second, self.norm2 = torch.nn.Conv2d(4, 4, 1, bias=True), Frozen(4)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.first(x)
        return {"out": self.norm2(self.second(functional.relu(self.norm1(x) + x)))}


def test_a_norm_is_folded_only_where_nothing_else_takes_the_convolutions_result() -> None:
    network = Branching()
    network.norm2.running_mean.fill_(0.3)
    network.norm2.weight.fill_(2.0)
    image = torch.rand(1, 3, 8, 8)
    expected = network(image)["out"]
    names = list(network.state_dict())
    assert fold_frozen_norms(torch.nn.ModuleList([network])) == 1
    assert isinstance(network.second, NormedConv2d)
    assert isinstance(network.first, torch.nn.Conv2d)
    assert list(network.state_dict()) == names
    torch.testing.assert_close(network(image)["out"], expected)


def test_a_frozen_convolution_before_a_frozen_norm_learns_nothing() -> None:
    conv = Conv2d(3, 4, 3, bias=False, norm=FrozenBatchNorm2d(4))
    conv.weight.requires_grad = False
    folded = NormedConv2d(conv, conv.norm, own_norm=True)
    image = torch.rand(1, 3, 8, 8)
    assert not folded(image).requires_grad
    torch.testing.assert_close(folded(image), conv(image))


# --- RoIAlign ---------------------------------------------------------------------------------------------------------

BOXES = [
    [[3.2, 5.1, 40.7, 33.3], [0, 0, 96, 64], [-9, -9, 4, 4], [90, 60, 130, 90]],
    [[20, 20, 20, 20], [30, 40, 28, 35], [10.5, 11.5, 12.5, 13.5], [500, 500, 600, 600], [1, 1, 95, 3]],
]


@pytest.fixture
def pyramid() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.rand(2, 6, 64 // stride, 96 // stride, dtype=torch.float64) for stride in (4, 8, 16)]


@pytest.mark.parametrize("pooler_type", ["ROIAlignV2", "ROIAlign"])
@pytest.mark.parametrize(("bins", "sampling_ratio"), [(7, 0), (4, 2)])
def test_roi_align_is_torchvisions(
    pyramid: list[torch.Tensor], pooler_type: str, bins: int, sampling_ratio: int
) -> None:
    pooler = ROIPooler(
        bins, [1 / 4, 1 / 8, 1 / 16], sampling_ratio, pooler_type, canonical_box_size=30, canonical_level=3
    )
    boxes = [Boxes(torch.tensor(rows, dtype=torch.float32)) for rows in BOXES]
    assert MatrixROIPooler.can_replace(pooler)
    outputs, gradients = [], []
    for module in (MatrixROIPooler(pooler), pooler):
        features = [level.clone().requires_grad_() for level in pyramid]
        outputs.append(module(features, boxes))
        weights = torch.arange(outputs[-1].numel(), dtype=torch.float64).view_as(outputs[-1]).sin()
        gradients.append(torch.autograd.grad(outputs[-1], features, weights))
    assert outputs[0].shape == (9, 6, bins, bins)
    # A box far outside, and one turned inside out, give nothing or what torchvision gives.
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(*gradients, strict=True):
        assert theirs.abs().sum() > 0
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_roi_align_reads_a_view_of_a_larger_tensor_where_it_lies(pyramid: list[torch.Tensor]) -> None:
    pooler = MatrixROIPooler(ROIPooler(7, [1 / 4, 1 / 8, 1 / 16], 0, "ROIAlignV2"))
    boxes = [Boxes(torch.tensor(rows, dtype=torch.float32)) for rows in BOXES[1:]]
    views = [level.contiguous(memory_format=torch.channels_last)[1:] for level in pyramid]
    assert all(view.storage_offset() > 0 for view in views)
    torch.testing.assert_close(pooler(views, boxes), pooler([view.clone() for view in views], boxes))


def test_roi_align_of_reduced_precision_and_of_no_box(pyramid: list[torch.Tensor]) -> None:
    pooler = ROIPooler(7, [1 / 4, 1 / 8, 1 / 16], 0, "ROIAlignV2")
    features = [level.to(torch.bfloat16) for level in pyramid]
    boxes = [Boxes(torch.tensor(rows, dtype=torch.float32)) for rows in BOXES]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = MatrixROIPooler(pooler)(features, boxes)
    assert found.dtype == torch.bfloat16
    expected = pooler([feature.float() for feature in features], boxes)
    torch.testing.assert_close(found.float(), expected, rtol=1e-2, atol=1e-2)
    assert MatrixROIPooler(pooler)(features, [Boxes(torch.zeros(0, 4))] * 2).shape == (0, 6, 7, 7)
    assert not MatrixROIPooler.can_replace(ROIPooler(7, [1 / 4], 0, "ROIPool"))


# --- convolutions of sparse gradient ----------------------------------------------------------------------------------


@pytest.fixture(params=[0.02, 0.6], ids=["few positions", "most positions"])
def mask(request: pytest.FixtureRequest) -> torch.Tensor:
    """Positions (2, 1, 9, 11) with a gradient: some at the border."""
    kept = torch.rand(2, 1, 9, 11, generator=torch.Generator().manual_seed(0)) < request.param
    kept[0, 0, 0, 0] = kept[1, 0, 8, 10] = True
    return kept.double()


@pytest.mark.parametrize("kernel", [(3, 3), (1, 5)])
def test_a_sparse_gradient_goes_where_a_dense_one_goes(mask: torch.Tensor, kernel: tuple[int, int]) -> None:
    torch.manual_seed(0)
    conv = Conv2d(5, 4, kernel, padding=(kernel[0] // 2, kernel[1] // 2), activation=functional.relu).double()
    assert SparseGradientConv2d.can_replace(conv)
    image = torch.rand(2, 5, 9, 11, dtype=torch.float64)
    found = []
    for module in (SparseGradientConv2d(conv), conv):
        x = image.clone().requires_grad_()
        result = module(x)
        loss = ((result + 0.1).square() * mask).sum()
        found.append([result, *torch.autograd.grad(loss, [x, conv.weight, conv.bias])])
    for ours, theirs in zip(*found, strict=True):
        assert theirs.abs().sum() > 0
        torch.testing.assert_close(ours, theirs)


def test_no_gradient_at_all_is_zero() -> None:
    conv = SparseGradientConv2d(Conv2d(5, 4, 3, padding=1))
    x = torch.rand(1, 5, 6, 6, requires_grad=True)
    (conv(x) * 0).sum().backward()
    assert x.grad is not None
    assert not x.grad.any()
    assert not conv.weight.grad.any()


def test_convolutions_of_other_shapes_are_left_alone() -> None:
    for other in (
        Conv2d(4, 4, 3, padding=1, stride=2),
        Conv2d(4, 4, 3),
        Conv2d(4, 4, 3, padding=1, groups=2),
        Conv2d(4, 4, 3, padding=1, norm=torch.nn.BatchNorm2d(4)),
        torch.nn.Conv2d(4, 4, 3, padding=1),
    ):
        assert not SparseGradientConv2d.can_replace(other)
