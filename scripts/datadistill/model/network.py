"""From a spec to a detectron2 network, and from a model file back to one.

Everything is configuration of detectron2's own Faster and Keypoint R-CNN with FPN; what the project adds is registered in
detectron2's registries (`datadistill.model.timm_backbone`, `frozen_proposals`, `region_sampling`), never patched.
"""

from __future__ import annotations

import importlib.util
import logging
import re
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datadistill.errors import UserError
from datadistill.model.model_file import read_model
from datadistill.specs import ModelSpec, NetworkSpec
from datadistill.tasks.task import get_task

if TYPE_CHECKING:
    import torch
    from detectron2.config import CfgNode

RESNETS: dict[str, dict[str, Any]] = {
    # depth, groups, width per group, stride placement: MSRA's ResNets stride in the 1x1, ResNeXt in the 3x3.
    "R-18": {"DEPTH": 18, "RES2_OUT_CHANNELS": 64},
    "R-34": {"DEPTH": 34, "RES2_OUT_CHANNELS": 64},
    "R-50": {"DEPTH": 50},
    "R-101": {"DEPTH": 101},
    "X-101-32x4d": {"DEPTH": 101, "NUM_GROUPS": 32, "WIDTH_PER_GROUP": 4, "STRIDE_IN_1X1": False},
    "X-101-64x4d": {"DEPTH": 101, "NUM_GROUPS": 64, "WIDTH_PER_GROUP": 4, "STRIDE_IN_1X1": False},
}


def import_detectron2() -> None:
    """Import detectron2, and what the project registers there, without the noise of libraries it pulls in: deprecations, and a
    warning of torch.fx at each start."""
    logging.getLogger("torch.fx._symbolic_trace").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import detectron2.modeling  # noqa: F401

    # What the project adds to detectron2's registries, for configs and for model files that name it.
    import datadistill.model.frozen_proposals
    import datadistill.model.region_sampling
    import datadistill.model.timm_backbone  # noqa: F401


@lru_cache(maxsize=1)
def timm_names() -> frozenset[str]:
    """The networks that timm defines, read from its source; empty where it isn't installed.

    Importing timm takes seconds and brings torch, too much for reading a config.
    """
    spec = importlib.util.find_spec("timm")
    if spec is None or spec.origin is None:
        return frozenset()
    sources = (Path(spec.origin).parent / "models").glob("*.py")
    registered = re.compile(r"^@register_model\s*\ndef (\w+)\(", re.MULTILINE)
    return frozenset(name for source in sources for name in registered.findall(source.read_text(encoding="utf-8")))


def check_backbone(name: str, where: str) -> None:
    """Refuse a backbone that does not exist, naming the nearest one. `where` names the config key."""
    import difflib

    if name.startswith("timm:"):
        known, wanted = timm_names(), name.removeprefix("timm:").split(".")[0]
        if known and wanted not in known:
            near = difflib.get_close_matches(wanted, known, 1)
            raise UserError(f"{where}: timm has no model {wanted!r}" + (f"; nearest: {near[0]!r}" if near else ""))
        return
    if name not in RESNETS:
        near = difflib.get_close_matches(name, RESNETS, 1, cutoff=0.0)
        raise UserError(
            f"{where}: unknown backbone {name!r}; nearest: {near[0]!r}; known: {', '.join(RESNETS)}, or timm:NAME"
        )


def build_config(spec: ModelSpec, categories: Sequence[dict[str, Any]], *, device: str = "cpu") -> CfgNode:
    """The detectron2 config of a model.

    Starts from the base config of the task, whose results match the paper's supervised rows (see docs/method.md), and
    sets what the spec names. `categories` are the COCO categories of the labelled split: they fix the number of classes
    and keypoints.
    """
    cfg = network_config(spec.task, spec.network)
    cfg.MODEL.DEVICE = device
    get_task(spec.task).configure(cfg, categories)
    _configure_training(cfg, spec)
    return cfg


def network_config(task: str, network: NetworkSpec) -> CfgNode:
    """The part of `build_config` that fixes the architecture, but for the numbers of classes and keypoints."""
    import_detectron2()
    from detectron2 import model_zoo

    cfg = model_zoo.get_config(get_task(task).base_config)
    cfg.MODEL.WEIGHTS = ""
    _configure_network(cfg, network)
    return cfg


def _configure_network(cfg: CfgNode, network: NetworkSpec) -> None:
    model = cfg.MODEL
    if network.backbone.startswith("timm:"):
        from datadistill.model.timm_backbone import BUILDER, add_timm_config, configure_pixels

        model.BACKBONE.NAME = BUILDER
        add_timm_config(cfg, network.backbone.removeprefix("timm:"), network.norm or "FrozenBN")
        configure_pixels(cfg)
    else:
        for key, value in RESNETS[network.backbone].items():
            model.RESNETS[key] = value
    settings: list[tuple[Any, str, Any]] = [
        (model.RESNETS, "NORM", network.norm),
        (model.RESNETS, "STEM_OUT_CHANNELS", network.stem_channels),
        (model.RESNETS, "RES2_OUT_CHANNELS", network.res2_channels),
        (model.RESNETS, "WIDTH_PER_GROUP", network.width_per_group),
        (model.FPN, "OUT_CHANNELS", network.fpn_channels),
        (model.ROI_BOX_HEAD, "FC_DIM", network.box_head_channels),
        (model.ROI_KEYPOINT_HEAD, "CONV_DIMS", network.keypoint_head_channels),
        (model.ROI_HEADS, "BATCH_SIZE_PER_IMAGE", network.rois_per_image),
        (model.RPN, "POST_NMS_TOPK_TRAIN", network.proposals_train),
        (model.RPN, "POST_NMS_TOPK_TEST", network.proposals_test),
    ]
    for phase, kept in (("TRAIN", network.proposals_train), ("TEST", network.proposals_test)):
        if kept is not None:
            # Before NMS as many for each pyramid level as are kept in all: NMS is a tenth of a small network's time.
            settings.append((model.RPN, f"PRE_NMS_TOPK_{phase}", kept))
    for node, key, value in settings:
        if value is not None:
            node[key] = list(value) if isinstance(value, tuple) else value
    if network.fpn_channels is not None:
        model.RPN.CONV_DIMS = [-1]
    if network.norm == "GN":
        model.FPN.NORM = "GN"
    # Batch statistics are learnt from scratch where weights are random, so nothing of the backbone may be frozen.
    if network.norm not in (None, "FrozenBN"):
        model.BACKBONE.FREEZE_AT = 0
    if network.anchor_sizes is not None:
        model.ANCHOR_GENERATOR.SIZES = [[size] for size in network.anchor_sizes]


def _configure_training(cfg: CfgNode, spec: ModelSpec) -> None:
    training, solver = spec.training, cfg.SOLVER
    solver.IMS_PER_BATCH = training.batch_size
    solver.BASE_LR = training.learning_rate
    solver.MAX_ITER = training.iterations
    # Distinct and inside the run, so that the shortest test schedules stay valid.
    steps = {round(fraction * training.iterations) for fraction in training.decay_at}
    solver.STEPS = tuple(sorted(step for step in steps if 0 < step < training.iterations))
    solver.GAMMA = 0.1
    solver.WARMUP_FACTOR = training.warmup_factor
    solver.WARMUP_ITERS = min(training.warmup_iterations, training.iterations)
    solver.WEIGHT_DECAY = training.weight_decay
    if training.clip_gradients is not None:
        solver.CLIP_GRADIENTS.ENABLED = True
        solver.CLIP_GRADIENTS.CLIP_TYPE = "norm"
        solver.CLIP_GRADIENTS.NORM_TYPE = 2.0
        solver.CLIP_GRADIENTS.CLIP_VALUE = training.clip_gradients
    cfg.INPUT.MIN_SIZE_TRAIN = training.train_scales
    cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING = "choice"
    cfg.INPUT.MAX_SIZE_TRAIN = training.max_size
    cfg.INPUT.MIN_SIZE_TEST = spec.test_scale.short_side
    cfg.INPUT.MAX_SIZE_TEST = spec.test_scale.max_size
    if not training.generated_background or training.crowds == "ignored":
        from detectron2.config import CfgNode as Node

        cfg.MODEL.ROI_HEADS.NAME = "RegionSamplingROIHeads"
        cfg.MODEL.REGION_SAMPLING = Node({"GENERATED_BACKGROUND": training.generated_background})
    if not training.generated_background:
        cfg.MODEL.PROPOSAL_GENERATOR.NAME = "LabelledBackgroundRPN"
    if spec.proposals == "teacher":
        cfg.MODEL.PROPOSAL_GENERATOR.NAME = "FrozenProposals"


def load_model(
    path: str | Path, device: str = "cpu", spec_digest: str | None = None, *, memory_format: str = "auto"
) -> tuple[torch.nn.Module, CfgNode, list[dict[str, Any]]]:
    """The network of a model file in evaluation mode, accelerated, its config and its COCO categories (sorted by id).

    Raises `UserError` for what isn't a whole model file, of the spec that `spec_digest` says (`model_file.read_model`).
    """
    saved = read_model(path, spec_digest)
    return *build_saved(saved, device, memory_format=memory_format), saved["categories"]


def build_saved(
    saved: Mapping[str, Any], device: str = "cpu", *, memory_format: str = "auto"
) -> tuple[torch.nn.Module, CfgNode]:
    """The network of what `model_file.read_model` read, in evaluation mode, accelerated; and its config."""
    import_detectron2()
    from detectron2.config import CfgNode
    from detectron2.modeling import build_model

    from datadistill.model.acceleration import accelerate

    cfg = CfgNode.load_cfg(saved["config"])
    cfg.MODEL.DEVICE = device
    model = build_model(cfg)
    model.load_state_dict(saved["model"])
    accelerate(model, memory_format)
    return model.eval(), cfg
