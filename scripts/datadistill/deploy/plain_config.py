"""A model's config for plain detectron2: its own names only, and nothing but what differs from its defaults.

What this project registers in detectron2 is of two kinds. Some of it differs in training alone, and detectron2's own module takes
its place. The rest detectron2 can't do, and travels along as a module of its own (`Companion`).
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detectron2.config import CfgNode, get_cfg
from detectron2.modeling import (
    BACKBONE_REGISTRY,
    META_ARCH_REGISTRY,
    PROPOSAL_GENERATOR_REGISTRY,
    ROI_BOX_HEAD_REGISTRY,
    ROI_HEADS_REGISTRY,
    ROI_KEYPOINT_HEAD_REGISTRY,
)
from detectron2.modeling.proposal_generator import RPN_HEAD_REGISTRY

from datadistill.errors import UserError
from datadistill.model import frozen_proposals, region_sampling, timm_backbone

SECTIONS = ("MODEL", "INPUT", "TEST")
"""What of a config a network needs; schedules and data sets stay behind."""

_OWN_ERRORS = "from datadistill.errors import UserError\n"
_NAMES = (
    (("META_ARCHITECTURE",), META_ARCH_REGISTRY),
    (("BACKBONE", "NAME"), BACKBONE_REGISTRY),
    (("PROPOSAL_GENERATOR", "NAME"), PROPOSAL_GENERATOR_REGISTRY),
    (("RPN", "HEAD_NAME"), RPN_HEAD_REGISTRY),
    (("ROI_HEADS", "NAME"), ROI_HEADS_REGISTRY),
    (("ROI_BOX_HEAD", "NAME"), ROI_BOX_HEAD_REGISTRY),
    (("ROI_KEYPOINT_HEAD", "NAME"), ROI_KEYPOINT_HEAD_REGISTRY),
)


@dataclass(frozen=True)
class Companion:
    """A module that must be imported before an exported config is read: its name, its source, what else it needs.

    `setup` is the line of Python that prepares the config `cfg`, if it takes one.
    """

    name: str
    source: str
    setup: str = ""
    packages: tuple[str, ...] = ()


_COMPANIONS: Mapping[str, Mapping[str, Any]] = {
    timm_backbone.__name__: {"setup": "timm_backbone.add_timm_config(cfg)", "packages": ("timm",)},
    frozen_proposals.__name__: {},
}


def plain_config(cfg: CfgNode) -> tuple[CfgNode, tuple[Companion, ...]]:
    """The config with detectron2's own names, and the modules that must travel along.

    Raises `UserError` where a network has a part that is neither detectron2's nor one of these modules.
    """
    plain = cfg.clone()
    plain.MODEL.pop("REGION_SAMPLING", None)
    plain.MODEL.WEIGHTS = "model.pth"
    # Everywhere there is one.
    plain.MODEL.DEVICE = "cpu"
    companions: dict[str, Companion] = {}
    for (*path, key), registry in _NAMES:
        node = plain.MODEL
        for part in path:
            node = node[part]
        name = node[key] = region_sampling.AT_TEST_TIME.get(node[key], node[key])
        if not name or (path == ["ROI_KEYPOINT_HEAD"] and not plain.MODEL.KEYPOINT_ON):
            continue
        module = registry.get(name).__module__
        if module in _COMPANIONS:
            companions.setdefault(module, _companion(module))
        elif module.split(".")[0] != "detectron2":
            raise UserError(
                f"MODEL.{'.'.join((*path, key))}: {name} is defined in {module}, which detectron2 doesn't have; it can't be "
                "exported"
            )
    return plain, tuple(companions.values())


def _companion(module: str) -> Companion:
    """A module of this project as a file that needs no other of it."""
    source = inspect.getsource(sys.modules[module])
    # Its one import from here is the kind of error that it raises.
    source = source.replace(_OWN_ERRORS, "UserError = ValueError\n")
    return Companion(module.rpartition(".")[2], source, **_COMPANIONS[module])


def differences(cfg: CfgNode) -> dict[str, Any]:
    """What of `SECTIONS` differs from detectron2's defaults, as plain values: what a config file of detectron2 holds.

    Versions of detectron2 have more or fewer keys, and refuse files with others; those with other values than the default are
    few, and old.
    """
    defaults = get_cfg()
    found = {name: _differences(cfg[name], defaults[name]) for name in SECTIONS}
    return {"VERSION": cfg.VERSION, **{name: value for name, value in found.items() if value}}


def _differences(node: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, CfgNode):
            inner = _differences(value, defaults[key]) if key in defaults else _plain(value)
            if inner:
                found[key] = inner
        elif key not in defaults or _plain(value) != _plain(defaults[key]):
            found[key] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, Sequence) and not isinstance(value, str) else value
