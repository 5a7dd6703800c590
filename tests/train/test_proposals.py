"""Proposals that a student takes over, and regions that don't count as background."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.data import transforms as T
from detectron2.modeling import build_model
from detectron2.structures import Boxes, BoxMode, Instances
from detectron2.utils.events import EventStorage
from tiny_network import TINY
from training_world import World, edited

from datadistill.errors import UserError
from datadistill.files import read_json_lines
from datadistill.model.frozen_proposals import take_over
from datadistill.model.network import build_config, load_model
from datadistill.model.region_sampling import outside_crowds
from datadistill.specs import ModelSpec
from datadistill.train.batches import _crowd_boxes
from datadistill.train.loop import TrainingFiles, TrainingOptions, train

CATEGORIES = [{"id": 1, "name": "person", "keypoints": [""] * 17}]
OWN = "proposal_generator."
TEACHER = edited(label_set=None, training={"iterations": 2, "labelled_ratio": 1.0})
STUDENT = edited(proposals="teacher", training={"iterations": 3})


def network(spec: ModelSpec, seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    return build_model(build_config(spec, CATEGORIES))


def image(seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    return {"image": torch.randint(0, 256, (3, 96, 128), generator=generator, dtype=torch.uint8)}


def proposals_of(model: torch.nn.Module) -> list[Instances]:
    images = model.preprocess_image([image(0), image(1)])
    with torch.no_grad():
        return model.proposal_generator(images, model.backbone(images.tensor), None)[0]


@pytest.fixture(scope="module")
def trained(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingFiles, TrainingFiles]:
    """The files of a teacher, and of a student with its proposals."""
    folder = tmp_path_factory.mktemp("proposals")
    teacher = world.files(folder / "teacher", label_set=False)
    train(TEACHER, teacher, TrainingOptions())
    student = world.files(folder / "student", teacher=teacher.model)
    train(STUDENT, student, TrainingOptions(metrics_every=1))
    return teacher, student


def state(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["model"]


def test_a_student_s_proposals_are_its_teacher_s(trained: tuple[TrainingFiles, TrainingFiles]) -> None:
    teacher, student = (load_model(files.model)[0] for files in trained)
    for theirs, ours in zip(proposals_of(teacher), proposals_of(student), strict=True):
        assert len(theirs) > 0
        assert torch.equal(theirs.proposal_boxes.tensor, ours.proposal_boxes.tensor)
        assert torch.equal(theirs.objectness_logits, ours.objectness_logits)
    # The file is complete: the network of its own has gone another way.
    own = "backbone.fpn_output2.weight"
    assert not torch.equal(state(trained[0].model)[own], state(trained[1].model)[own])
    with torch.no_grad():
        assert len(student([image()])[0]["instances"].pred_keypoints) > 0


def test_training_leaves_the_proposal_network_as_it_was(trained: tuple[TrainingFiles, TrainingFiles]) -> None:
    teacher, student = (state(files.model) for files in trained)
    kept = [name for name in student if name.startswith(OWN)]
    assert any("bottom_up" in name for name in kept)
    for name in kept:
        source = name.removeprefix(OWN).replace("rpn.", OWN) if "rpn." in name else name.removeprefix(OWN)
        assert torch.equal(student[name], teacher[source]), name
    losses = set(read_json_lines(trained[1].metrics)[-1])
    assert {"loss_cls", "loss_box_reg", "loss_keypoint"} <= losses
    assert not any("rpn" in name for name in losses)


def test_in_training_as_many_proposals_as_joint_training_has() -> None:
    few = edited(STUDENT, network=dataclasses.replace(TINY, proposals_train=24, proposals_test=8))
    model = network(few, 0)
    images = model.preprocess_image([image()])
    targets = [Instances((96, 128), gt_boxes=Boxes(torch.tensor([[10.0, 10.0, 50.0, 80.0]])))]
    counts = {}
    for mode in (True, False):
        model.train(mode)
        proposals, losses = model.proposal_generator(images, {}, targets if mode else None)
        counts[mode] = len(proposals[0])
        assert losses == {}
        assert not model.proposal_generator.backbone.training
    assert counts[False] <= 8 < counts[True] <= 24
    assert not any(parameter.requires_grad for parameter in model.proposal_generator.parameters())


def test_a_student_that_teaches_hands_the_same_proposals_on() -> None:
    first, second, third = network(TEACHER, 1), network(STUDENT, 2), network(STUDENT, 3)
    take_over(second, first.state_dict(), "first")
    take_over(third, second.state_dict(), "second")
    for name, value in second.proposal_generator.state_dict().items():
        assert torch.equal(value, third.proposal_generator.state_dict()[name])


def test_a_teacher_of_another_network_is_refused() -> None:
    wider = edited(TEACHER, network=dataclasses.replace(TINY, fpn_channels=32))
    with pytest.raises(UserError, match=r"t\.pth: its proposal network can't be taken over .*the student's network"):
        take_over(network(STUDENT, 0), network(wider, 0).state_dict(), "t.pth")


def test_fine_tuning_keeps_proposals_and_heads(world: World, tmp_path: Path, trained: Any) -> None:
    teacher = trained[0].model
    spec = edited(
        STUDENT, initial="teacher", weights=TEACHER.digest, training={"iterations": 1, "learning_rate": 1e-12}
    )
    files = world.files(tmp_path, initial_weights=teacher, teacher=teacher)
    train(spec, files, TrainingOptions())
    before, after = state(teacher), state(files.model)
    for name in ("roi_heads.box_head.fc1.weight", "backbone.fpn_output2.weight"):
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-9)
    assert torch.equal(after[f"{OWN}rpn.rpn_head.conv.weight"], before[f"{OWN}rpn_head.conv.weight"])
    with pytest.raises(UserError, match="proposals: teacher needs the teacher's model file"):
        train(STUDENT, world.files(tmp_path / "none"), TrainingOptions())


# --- crowds


def test_proposals_in_a_crowd_are_no_background() -> None:
    proposals = Instances((96, 128))
    inside, half, outside = [60.0, 10.0, 80.0, 40.0], [50.0, 10.0, 70.0, 40.0], [0.0, 0.0, 20.0, 20.0]
    proposals.proposal_boxes = Boxes(torch.tensor([inside, half, outside]))
    proposals.objectness_logits = torch.zeros(3)
    targets = Instances((96, 128))
    targets.gt_boxes = Boxes(torch.tensor([[62.0, 12.0, 78.0, 38.0], [5.0, 50.0, 30.0, 90.0]]))
    targets.gt_classes = torch.zeros(2, dtype=torch.long)
    assert len(outside_crowds(proposals, targets)) == 3
    targets.crowd_boxes = torch.tensor([[[60.0, 0.0, 128.0, 50.0]]]).expand(2, -1, 4)
    kept = outside_crowds(proposals, targets)
    # More than 0.7 of the first lies in the crowd, half of the second.
    assert kept.proposal_boxes.tensor.tolist() == [half, outside]
    model = network(edited(training={"crowds": "ignored"}), 0)
    with EventStorage():
        (sampled,) = model.roi_heads.label_and_sample_proposals([proposals], [targets])
    boxes = sampled.proposal_boxes.tensor.tolist()
    assert inside not in boxes
    # An annotated person in front of the crowd is still learnt.
    assert [62.0, 12.0, 78.0, 38.0] in boxes


def test_crowd_regions_follow_the_augmentation() -> None:
    crowd = {"iscrowd": 1, "bbox": [10.0, 20.0, 30.0, 10.0], "bbox_mode": BoxMode.XYWH_ABS}
    person = {"iscrowd": 0, "bbox": [0.0, 0.0, 5.0, 5.0], "bbox_mode": BoxMode.XYWH_ABS}
    transforms = T.TransformList([T.ResizeTransform(50, 100, 100, 200), T.HFlipTransform(200)])
    boxes = _crowd_boxes([person, crowd], transforms)
    np.testing.assert_allclose(boxes.numpy(), [[[120.0, 40.0, 180.0, 60.0]]])
    assert _crowd_boxes([person], transforms).shape == (1, 0, 4)


def test_training_with_detectron_s_crowds_and_warm_up(world: World, tmp_path: Path) -> None:
    coco = json.loads(world.labelled.read_text())
    first = coco["annotations"][0]
    size = {image["id"]: image for image in coco["images"]}[first["image_id"]]
    coco["annotations"].append(
        {**first, "id": 10**6, "iscrowd": 1, "bbox": [0, 0, size["width"] / 2, size["height"] / 2], "num_keypoints": 0}
    )
    labelled = tmp_path / "labelled.json"
    labelled.write_text(json.dumps(coco))
    changes = {"iterations": 10, "crowds": "ignored", "warmup_factor": 1 / 3, "warmup_iterations": 4}
    spec = edited(label_set=None, training=changes)
    files = dataclasses.replace(world.files(tmp_path, label_set=False), labelled=labelled)
    train(spec, files, TrainingOptions(metrics_every=1))
    assert load_model(files.model)[0].roi_heads.__class__.__name__ == "RegionSamplingROIHeads"
    # Warm-up from a third of the learning rate, as Detectron's.
    rates = [row["lr"] for row in read_json_lines(files.metrics)]
    assert rates[:5] == pytest.approx([0.01 * part for part in (1 / 3, 1 / 2, 2 / 3, 5 / 6, 1)])
