"""A few rendered images, short schedules of a tiny network, and what tests ask of a finished training."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tiny_network import TINY

from datadistill.files import canonical_json, file_digest, read_json_lines
from datadistill.specs import ModelSpec, TrainingSpec
from datadistill.train.loop import TrainingFiles, TrainingOptions
from datadistill.transforms import TestScale
from rendered.scene import SceneSpec, render_images

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
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
    network=TINY,
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


# Long enough to be interrupted in the middle, and for one row of metrics before the last.
LONG = edited(training={"iterations": 36})
EACH = TrainingOptions(metrics_every=1, log_seconds=1e9)


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


def weights(files: TrainingFiles) -> dict[str, torch.Tensor]:
    return torch.load(files.model, weights_only=True)["model"]


def assert_same_weights(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    different = [name for name in left if not torch.equal(left[name], right[name])]
    assert not different


def assert_same_results(left: TrainingFiles, right: TrainingFiles) -> None:
    """Equal weights, metrics and record of draws, bit for bit."""
    assert_same_weights(weights(left), weights(right))
    assert read_json_lines(left.metrics) == read_json_lines(right.metrics)
    assert left.drawn.read_bytes() == right.drawn.read_bytes()


def command(spec: ModelSpec, files: TrainingFiles, *extra: str) -> list[str]:
    """The arguments of scripts/train.py."""
    line = ["--spec", canonical_json(spec.canonical()), "--labelled", str(files.labelled)]
    if files.label_set:
        line += ["--label-set", str(files.label_set)]
    for name in ("model", "metrics", "drawn", "checkpoint"):
        line += [f"--{name}", str(getattr(files, name))]
    return [*line, "--device", "cpu", *extra]
