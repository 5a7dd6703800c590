"""An option: proposals of a network that is fixed, as in the paper's keypoint models (section 6.1).

There an RPN of its own was trained once, and its proposals served all models; so did Detectron's Keypoint R-CNN. Trained
jointly, a student's RPN learns from generated labels as well, which miss people. With `proposals: teacher` a student takes
the teacher's bottom-up network, its FPN and its RPN as they are: they see the same images, learn nothing, and stay in the
model's file, which is then complete. The student's own backbone has no RPN.

Importing this module registers `FrozenProposals` in detectron2's PROPOSAL_GENERATOR_REGISTRY.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_backbone
from detectron2.modeling.proposal_generator import PROPOSAL_GENERATOR_REGISTRY, RPN
from detectron2.structures import Boxes, ImageList, Instances
from torch import nn

from datadistill.errors import UserError

NAME = "FrozenProposals"
_OWN = "proposal_generator."


class _ProposalsOnly(RPN):
    """An RPN without losses; in training mode it gives as many proposals as any RPN in training."""

    def label_and_sample_anchors(
        self, anchors: list[Boxes], gt_instances: list[Instances]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        return [], []

    def losses(self, *_: object) -> dict[str, torch.Tensor]:
        return {}


@PROPOSAL_GENERATOR_REGISTRY.register()
class FrozenProposals(nn.Module):
    """Proposals of a backbone and an RPN of its own, which learn nothing.

    Called as detectron2 calls an RPN; the student's `features` are not looked at. The networks are as the config builds
    them, so a teacher must have the student's architecture.
    """

    def __init__(self, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> None:
        super().__init__()
        self.backbone = build_backbone(cfg)
        self.rpn = _ProposalsOnly(cfg, self.backbone.output_shape())
        for parameter in self.parameters():
            parameter.requires_grad = False

    def train(self, mode: bool = True) -> FrozenProposals:
        """The number of proposals follows the mode; statistics of the frozen backbone never do."""
        super().train(mode)
        self.backbone.eval()
        return self

    @torch.no_grad()
    def forward(
        self,
        images: ImageList,
        features: dict[str, torch.Tensor],
        gt_instances: list[Instances] | None = None,
    ) -> tuple[list[Instances], dict[str, torch.Tensor]]:
        """Proposals for each image, and no losses."""
        proposals, losses = self.rpn(images, self.backbone(images.tensor), gt_instances)
        return proposals, losses


def take_over(model: nn.Module, teacher: Mapping[str, torch.Tensor], source: str) -> None:
    """Copy the teacher's proposal network into that of `model`.

    `teacher` is the state of a trained model: its backbone and RPN are taken, or its frozen proposal network where it has one
    itself (a student that teaches the next). Raises `UserError` naming `source` when a tensor is missing or of another shape.
    """
    generator = model.proposal_generator
    frozen = f"{_OWN}backbone."
    if any(name.startswith(frozen) for name in teacher):
        state = {name.removeprefix(_OWN): value for name, value in teacher.items() if name.startswith(_OWN)}
    else:
        state = {name: value for name, value in teacher.items() if name.startswith("backbone.")}
        state |= {f"rpn.{name.removeprefix(_OWN)}": v for name, v in teacher.items() if name.startswith(_OWN)}
    for name, value in generator.state_dict().items():
        if name not in state or state[name].shape != value.shape:
            raise UserError(
                f"{source}: its proposal network can't be taken over ({name} is missing or of another shape); "
                "proposals: teacher needs a teacher with the student's network"
            )
    generator.load_state_dict(state)
