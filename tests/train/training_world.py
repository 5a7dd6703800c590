"""A tiny network, a few rendered images, and all that training reads: seconds on one core."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datadistill.files import file_digest
from datadistill.specs import ModelSpec, NetworkSpec, TrainingSpec
from datadistill.train.loop import TrainingFiles
from datadistill.transforms import TestScale
from rendered.scene import SceneSpec, render_images

NETWORK = NetworkSpec(
    backbone="R-50",
    norm="BN",
    stem_channels=8,
    res2_channels=16,
    width_per_group=4,
    fpn_channels=16,
    box_head_channels=32,
    keypoint_head_channels=(16,),
    anchor_sizes=(16, 32, 64, 128, 256),
    proposals_train=32,
    proposals_test=32,
    rois_per_image=16,
)
TRAINING = TrainingSpec(
    iterations=6,
    batch_size=2,
    learning_rate=0.01,
    warmup_iterations=2,
    clip_gradients=1.0,
    train_scales=(64, 80, 96),
    max_size=128,
)
SPEC = ModelSpec(
    task="keypoints",
    network=NETWORK,
    training=TRAINING,
    labelled="labelled",
    label_set="labels",
    fraction=1.0,
    fraction_seed=0,
    initial="random",
    weights=None,
    seed=1,
    test_scale=TestScale(96, 128),
)


def edited(spec: ModelSpec = SPEC, *, training: dict[str, Any] | None = None, **changes: Any) -> ModelSpec:
    """`spec` with changes to it and to its schedule."""
    schedule = dataclasses.replace(spec.training, **(training or {}))
    return dataclasses.replace(spec, training=schedule, **changes)


@dataclass(frozen=True)
class World:
    """Files of a labelled split, of generated labels for a pool, and of a validation split."""

    labelled: Path
    label_set: Path
    val: Path

    def files(
        self, folder: Path, *, label_set: bool = True, initial_weights: Path | None = None, teacher: Path | None = None
    ) -> TrainingFiles:
        """What a training in `folder` reads and writes."""
        return TrainingFiles(
            labelled=self.labelled,
            label_set=self.label_set if label_set else None,
            initial_weights=initial_weights,
            model=folder / "model.pth",
            metrics=folder / "metrics.jsonl",
            drawn=folder / "drawn.json",
            checkpoint=folder / "checkpoint.pth",
            teacher=teacher,
        )


def rendered(folder: Path, name: str, seed: int, count: int) -> Path:
    """A split of people, as the workflow writes it."""
    images = folder / name
    coco = render_images(SceneSpec("people", "home", 128, 96, seed), count, images, seed * 1000 + 1, workers=1)
    for image in coco["images"]:
        image["file_name"] = str(images / image["file_name"])
        image["content"] = file_digest(image["file_name"])
        image["dataset"] = name
    path = folder / f"{name}.json"
    path.write_text(json.dumps(coco))
    return path
