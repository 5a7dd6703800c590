"""Model files of tiny networks, one for each kind of part that an export must translate."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tiny
import torch
from PIL import Image

from datadistill.model.model_file import write_model

TIMM = "timm:tf_mobilenetv3_small_minimal_100"
SIZES = ((96, 128), (150, 90), (120, 120))


def frozen(network: tiny.Network) -> dict[str, Any]:
    """The network with frozen norms, whose statistics are those of no identity."""
    model, cfg, _ = network
    cfg = cfg.clone()
    cfg.MODEL.RESNETS.NORM = "FrozenBN"
    tensors = {name: value for name, value in model.state_dict().items() if "num_batches_tracked" not in name}
    return {"cfg": cfg, "tensors": tensors}


def of_region_sampling(network: tiny.Network) -> dict[str, Any]:
    """The network as a student trains that takes no background from generated images."""
    from detectron2.config import CfgNode

    cfg = network[1].clone()
    cfg.MODEL.ROI_HEADS.NAME = "RegionSamplingROIHeads"
    cfg.MODEL.REGION_SAMPLING = CfgNode({"GENERATED_BACKGROUND": False})
    cfg.MODEL.PROPOSAL_GENERATOR.NAME = "LabelledBackgroundRPN"
    return {"cfg": cfg, "tensors": network[0].state_dict()}


def with_frozen_proposals(network: tiny.Network) -> dict[str, Any]:
    """The network with the proposals of a teacher, which is itself; its own backbone then moves on."""
    from detectron2.modeling import build_model

    from datadistill.model.frozen_proposals import take_over

    model, cfg, _ = network
    cfg = cfg.clone()
    cfg.MODEL.PROPOSAL_GENERATOR.NAME = "FrozenProposals"
    student = build_model(cfg)
    own = {name: value for name, value in model.state_dict().items() if not name.startswith("proposal_generator.")}
    student.load_state_dict(own, strict=False)
    take_over(student, model.state_dict(), "the test's")
    with torch.no_grad():
        student.backbone.fpn_output2.bias += 0.1
    return {"cfg": cfg, "tensors": student.state_dict()}


def write(path: Path, task: str, network: tiny.Network, made: Mapping[str, Any] | None = None) -> Path:
    """A model file, as training writes it."""
    made = made or {"cfg": network[1], "tensors": network[0].state_dict()}
    cfg = made["cfg"].clone()
    cfg.MODEL.DEVICE = "cpu"
    write_model(path, made["tensors"], {"task": task, "stage": "model"}, cfg.dump(), network[2])
    return path


def photos(folder: Path) -> dict[str, Any]:
    """Images of several sizes, as an unlabelled split."""
    rng = np.random.default_rng(5)
    folder.mkdir()
    images = []
    for number, (height, width) in enumerate(SIZES, 1):
        path = folder / f"{number}.png"
        Image.fromarray(tiny.picture(rng, height, width)).save(path)
        images.append({"id": number, "file_name": str(path), "height": height, "width": width})
    return {"images": images, "annotations": [], "categories": []}


def readme_code(folder: Path) -> str:
    """The Python in an exported folder's README."""
    return (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]


def run_apart(folder: Path, code: str, *forbidden: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, in a process that knows nothing of this project, nor of the modules that are forbidden."""
    lines = ["import importlib.util, sys", "assert importlib.util.find_spec('datadistill') is None"]
    lines += [f"sys.modules[{name!r}] = None" for name in forbidden]
    # Where another detectron2 is tested than the installed one, it is found by its path.
    environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environment |= {"OMP_NUM_THREADS": "1", "HOME": str(folder)}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "\n".join([*lines, code])],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
