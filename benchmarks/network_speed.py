"""How fast a network of a config (the paper's) trains and labels on this machine: iterations and images a second.

Training is the product's own loop and loader; labelling its own `predict` (the plain pass, or all transforms for a task
that merges boxes) and `refine` (all transforms over the boxes that a gate keeps). The images are rendered at COCO's usual
640 x 480, so that resizing and decoding cost what they cost there; the weights are random, and the gate is set so that as
many boxes survive as COCO has people.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from datadistill.devices import choose_device
from datadistill.errors import UserError, run_script
from datadistill.files import file_digest, read_json, write_json
from datadistill.specs import ModelSpec
from datadistill.tasks.annotated_for import SCENE_TASKS
from datadistill.tasks.task import TASKS
from datadistill.workflow.config import load_config
from datadistill.workflow.experiments import Experiments, build_experiments
from datadistill.workflow.registry import LabelSet
from rendered.scene import SceneSpec, render_images

ROOT = Path(__file__).resolve().parents[1]
INSTANCES_PER_IMAGE = 2.0
"""Boxes that survive the gate, per image: COCO's people per image with people, some of them unlabelled, and the gate's margin."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--config", type=Path, default=ROOT / "config" / "paper.yaml", help="where the networks are described"
    )
    parser.add_argument("--backbone", default="R-50", help="a backbone of that config")
    parser.add_argument("--task", default=TASKS[0], choices=tuple(SCENE_TASKS.values()))
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--batch", type=int, default=2, help="images of a process (the paper: 16 on 8 GPUs)")
    parser.add_argument(
        "--iterations", type=int, default=60, help="timed iterations, after a third as many untimed ones"
    )
    parser.add_argument("--images", type=int, default=40, help="images to label")
    parser.add_argument(
        "--workers", type=int, default=4, help="processes that load training images, threads that read others"
    )
    parser.add_argument("--amp", action="store_true", help="train in bfloat16 where that is safe")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()

    device = choose_device(arguments.device)
    experiments = build_experiments(load_config(arguments.config))
    spec, label_set = _specs(experiments, arguments.backbone, arguments.task, arguments.config)
    spec = dataclasses.replace(
        spec,
        initial="random",
        weights=None,
        label_set=None,
        training=dataclasses.replace(spec.training, batch_size=arguments.batch, amp=arguments.amp),
    )
    with tempfile.TemporaryDirectory() as folder:
        split = _scenes(Path(folder), arguments.task, max(arguments.images, 2 * arguments.batch))
        figures = {
            "machine": _machine(device),
            "torch": torch.__version__,
            "backbone": arguments.backbone,
            "task": arguments.task,
            "config": arguments.config.name,
            "image": "640x480, rendered",
            "train": _training(spec, split, device, arguments.iterations, arguments.workers),
            "label": _labelling(spec, label_set, split, device, arguments.images, arguments.workers),
        }
    if device != "cpu":
        figures["gpu_memory_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 1)
    print(json.dumps(figures, indent=1))
    if arguments.output:
        write_json(arguments.output, figures, indent=1)


def _specs(experiments: Experiments, backbone: str, task: str, config: Path) -> tuple[ModelSpec, LabelSet]:
    """The labelled-only model of a backbone, and a label set that a teacher of its task makes."""
    models = [m.spec for m in experiments.models.values() if m.label_set is None and m.spec.task == task]
    chosen = [spec for spec in models if spec.network.backbone == backbone]
    label_sets = [s for s in experiments.label_sets.values() if s.task == task]
    if not chosen or not label_sets:
        known = ", ".join(sorted({spec.network.backbone for spec in models})) or "another config"
        raise UserError(f"--backbone {backbone}: {config} has none for {task}; use {known}")
    return chosen[0], label_sets[0]


def _scenes(folder: Path, task: str, count: int) -> Path:
    scene = next(scene for scene, of in SCENE_TASKS.items() if of == task)
    coco = render_images(
        SceneSpec(scene, "home", 640, 480, 7), count, folder / "images", 1, workers=os.cpu_count() or 1
    )
    for image in coco["images"]:
        image["file_name"] = str(folder / "images" / image["file_name"])
        image |= {"content": file_digest(image["file_name"]), "dataset": scene}
    write_json(folder / "split.json", coco)
    return folder / "split.json"


def _machine(device: str) -> str:
    if device != "cpu":
        return f"{torch.cuda.get_device_name()}, {os.cpu_count()} CPU cores"
    models = [
        row.split(":", 1)[1].strip() for row in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in row
    ]
    return f"{os.cpu_count()} cores of {models[0] if models else platform.machine()}"


def _synchronize(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def _training(spec: ModelSpec, split: Path, device: str, iterations: int, workers: int) -> dict[str, Any]:
    """Seconds of each iteration of the loop, data loading included."""
    from detectron2.engine import HookBase
    from detectron2.modeling import build_model
    from detectron2.solver import build_optimizer

    from datadistill.model.network import build_config
    from datadistill.tasks.keypoint_schema import flip_pairs
    from datadistill.tasks.task import get_task
    from datadistill.train.batches import TrainingImages, build_loader, load_source
    from datadistill.train.hooks import SeedEachIteration
    from datadistill.train.loop import DistillationTrainer
    from datadistill.train.sampling import Deal, MixedSampler

    class Clock(HookBase):
        def __init__(self) -> None:
            self.times: list[float] = []

        def after_step(self) -> None:
            _synchronize(device)
            self.times.append(time.perf_counter())

    categories = sorted(read_json(split)["categories"], key=lambda category: category["id"])
    untimed = max(iterations // 3, 1)
    total, batch = untimed + iterations, spec.training.batch_size
    cfg = build_config(spec, categories, device=device)
    source = load_source(split, "labelled", get_task(spec.task))
    sampler = MixedSampler(len(source), 0, 1.0, total * batch, spec.seed)
    mirrored = flip_pairs(categories[0]).permutation if cfg.MODEL.KEYPOINT_ON else None
    images = TrainingImages(cfg, sampler, [source], mirrored)
    deal = Deal(sampler, [source.ratios], batch)
    torch.manual_seed(0)
    model = build_model(cfg)
    clock = Clock()
    trainer = DistillationTrainer(
        model,
        build_optimizer(cfg, model),
        lambda start: build_loader(images, deal, iterations=range(start, total), workers=workers),
        precision=torch.bfloat16 if spec.training.amp else None,
        device=device,
    )
    # A learning rate that random weights survive: what is learned is no matter, how long it takes is.
    for group in trainer.optimizer.param_groups:
        group["lr"] = 1e-6
    trainer.register_hooks([SeedEachIteration(0, deal), clock])
    logging.getLogger("detectron2").setLevel(logging.ERROR)
    trainer.train(0, total)
    each = [after - before for before, after in zip(clock.times[untimed - 1 :], clock.times[untimed:], strict=False)]
    return {
        "batch": batch,
        "short_sides": list(spec.training.train_scales),
        "max_size": spec.training.max_size,
        "amp": spec.training.amp,
        "iterations": len(each),
        "seconds_per_iteration": {"mean": statistics.mean(each), "median": statistics.median(each)},
        "iterations_per_second": len(each) / sum(each),
        "images_per_second": batch * len(each) / sum(each),
    }


@contextmanager
def _timed(device: str, record: dict[str, float], name: str, images: int) -> Iterator[None]:
    _synchronize(device)
    start = time.perf_counter()
    yield
    _synchronize(device)
    record[name] = images / (time.perf_counter() - start)


def _labelling(
    spec: ModelSpec, label_set: LabelSet, split: Path, device: str, count: int, workers: int
) -> dict[str, Any]:
    """Images a second of each pass of labelling, after a few untimed images."""
    import numpy as np
    from detectron2.modeling import build_model

    from datadistill.label.predict import predict
    from datadistill.label.refine import refine
    from datadistill.model.network import build_config

    content = read_json(split)
    categories = sorted(content["categories"], key=lambda category: category["id"])
    cfg = build_config(spec, categories, device=device)
    torch.manual_seed(0)
    model = build_model(cfg).eval()
    ids = sorted(image["id"] for image in content["images"])[:count]
    few = {**content, "images": content["images"][: min(4, count)]}
    chosen = {**content, "images": [image for image in content["images"] if image["id"] in set(ids)]}
    # Random weights score low: a floor would leave nothing to work on.
    plain = dataclasses.replace(label_set.predictions.spec, score_floor=0.0)
    record: dict[str, float] = {}
    predict(model, cfg, categories, few, [image["id"] for image in few["images"]], plain, workers=workers)
    with _timed(device, record, "predict_images_per_second", count):
        detections = predict(model, cfg, categories, chosen, ids, plain, workers=workers)
    transforms = plain.transforms
    kept = 0
    if label_set.refinement:
        refinement = label_set.refinement.spec
        transforms = refinement.transforms
        wanted = min(round(INSTANCES_PER_IMAGE * count), len(detections))
        threshold = float(np.sort(detections.scores)[-wanted])
        kept = int((detections.scores >= threshold).sum())
        with _timed(device, record, "refine_images_per_second", count):
            refine(model, cfg, categories, chosen, detections, refinement, threshold, workers=workers)
    whole = 1 / sum(1 / rate for rate in record.values())
    return {
        "images": count,
        "transforms": len(transforms),
        "short_sides": sorted({transform.short_side for transform in transforms}),
        "boxes_refined": kept,
        **record,
        "images_per_second": whole,
    }


if __name__ == "__main__":
    run_script(main)
