"""A trained model on a list of images: the plain pass, or the ensemble of transforms that labels are made with.

Nothing is computed here: `label.predict` and `label.refine` do, as they do in the workflow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datadistill.detections import Detections
from datadistill.errors import UserError
from datadistill.files import digest
from datadistill.label.passes import first_pass, second_pass
from datadistill.tasks.task import Task, get_task
from datadistill.transforms import TestScale, Transform

if TYPE_CHECKING:
    import torch
    from detectron2.config import CfgNode


@dataclass(frozen=True)
class Detector:
    """A network that computes, and what it was trained for. `digest` is that of its spec."""

    model: torch.nn.Module
    cfg: CfgNode
    categories: Sequence[Mapping[str, Any]]
    task: Task
    digest: str

    @property
    def test_scale(self) -> TestScale:
        """The scale of its plain pass."""
        return TestScale(self.cfg.INPUT.MIN_SIZE_TEST, self.cfg.INPUT.MAX_SIZE_TEST)


def task_of(saved: Mapping[str, Any], path: str | Path) -> Task:
    """The task that a model file (`model_file.read_model`) was trained for."""
    name = saved["spec"].get("task")
    if not isinstance(name, str):
        raise UserError(f"{path}: its spec names no task; is it a model of this project?")
    return get_task(name)


def build_detector(saved: Mapping[str, Any], task: Task, device: str) -> Detector:
    """The network of what `model_file.read_model` read, on a device."""
    from datadistill.model.network import build_saved

    model, cfg = build_saved(saved, device)
    return Detector(model, cfg, saved["categories"], task, digest(saved["spec"]))


def detect(
    detector: Detector,
    split: Mapping[str, Any],
    options: Mapping[str, Any],
    transforms: Sequence[Transform] | None = None,
    *,
    workers: int = 1,
) -> Detections:
    """Detections on all images of a split, with keypoints where the task has them.

    - `options`: keys of `specs.LabellingOptions` (score floor, suppression, precision, ...).
    - `transforms`: None for the plain pass; otherwise those of the ensemble: boxes merged, or keypoints from averaged
      heatmaps (section 4), of every box.
    - `workers`: threads that read images.
    """
    from datadistill.label.predict import predict
    from datadistill.label.refine import refine

    network = (detector.model, detector.cfg, detector.categories)
    ids = [image["id"] for image in split["images"]]
    plain = (detector.test_scale.transform(),)
    pass_over_images = first_pass(
        detector.task,
        detector.digest,
        detector.test_scale,
        digest([[image["id"], image["file_name"]] for image in split["images"]]),
        plain if transforms is None else transforms,
        options,
        last=transforms is None,
    )
    detections = predict(*network, split, ids, pass_over_images, workers=workers)
    if transforms is None or not detector.task.refines:
        return detections
    pass_over_boxes = second_pass(pass_over_images.digest, transforms, options, gate=None)
    return refine(*network, split, detections, pass_over_boxes, workers=workers)
