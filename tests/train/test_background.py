"""Background regions of images with generated labels, and sources by their numbers."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from training_world import EACH, World, edited

from datadistill.files import read_json, read_json_lines
from datadistill.model.network import build_config, load_model
from datadistill.train.loop import train
from datadistill.train.sampling import GENERATED, LABELLED


def targets(generated: bool) -> Instances:
    instances = Instances((96, 128))
    instances.gt_boxes = Boxes(torch.tensor([[20.0, 10.0, 60.0, 80.0]]))
    instances.gt_classes = torch.zeros(1, dtype=torch.long)
    instances.gt_generated = torch.tensor([generated])
    return instances


def proposals() -> Instances:
    instances = Instances((96, 128))
    boxes = torch.tensor(
        [[20.0, 10.0, 60.0, 80.0], [22.0, 12.0, 60.0, 78.0], [0.0, 0.0, 10.0, 10.0], [90.0, 50.0, 120.0, 90.0]]
    )
    instances.proposal_boxes = Boxes(boxes)
    instances.objectness_logits = torch.zeros(len(boxes))
    return instances


@pytest.mark.parametrize("background", [True, False], ids=["as usual", "labelled only"])
def test_generated_images_give_background_only_where_asked(background: bool) -> None:
    categories = [{"id": 1, "name": "person", "keypoints": ["nose"]}]
    torch.manual_seed(0)
    model = build_model(build_config(edited(training={"generated_background": background}), categories))
    features = model.backbone(torch.zeros(1, 3, 96, 128))
    rpn = model.proposal_generator
    anchors = rpn.anchor_generator([features[name] for name in rpn.in_features])
    labels, _ = rpn.label_and_sample_anchors(anchors, [targets(False), targets(True)])
    assert (labels[0] == 0).any()
    assert (labels[1] == 0).any() == background
    assert (labels[1] == 1).any()
    with EventStorage():
        sampled = model.roi_heads.label_and_sample_proposals(
            [proposals(), proposals()], [targets(False), targets(True)]
        )
    outside = [(image.gt_classes == 1).sum().item() for image in sampled]
    inside = [(image.gt_classes == 0).sum().item() for image in sampled]
    assert outside == [2, 2 if background else 0]
    # The two overlapping proposals, and the annotation itself.
    assert inside == [3, 3]


def test_training_without_background_of_generated_images_runs(world: World, tmp_path: Path) -> None:
    spec = edited(training={"generated_background": False, "iterations": 2, "labelled_ratio": 0.0})
    files = world.files(tmp_path)
    train(spec, files, EACH)
    assert {image["source"] for image in read_json(files.drawn)["images"]} == {"generated"}
    assert all(math.isfinite(row["total_loss"]) for row in read_json_lines(files.metrics))
    load_model(files.model)


def test_sources_are_numbered_as_the_records_name_them() -> None:
    assert (LABELLED, GENERATED) == (0, 1)
