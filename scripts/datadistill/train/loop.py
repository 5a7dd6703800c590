"""Training: one procedure for baseline, teacher and student (sections 4 and 6.1), on one process or many.

A run can be killed at any moment. Checkpoints lie in a folder that no rule declares (Snakemake deletes a failed job's
outputs), tagged with the spec's digest. Draws, augmentations and torch's random state are pure functions of the seed and
the iteration, so a resumed run ends with the weights of an undisturbed one (bit for bit on a CPU).

The last checkpoint is that of the finished model, and stays: a run that is killed before Snakemake has recorded its end loses
its outputs, and writes them again from there without an iteration. Whoever reads the model next deletes it (scripts/predict.py).
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.engine import TrainerBase, create_ddp_model
from detectron2.modeling import build_model
from detectron2.solver import build_lr_scheduler, build_optimizer
from detectron2.utils import comm

from datadistill.data.splits import fraction_ids, read_images
from datadistill.errors import UserError
from datadistill.files import atomic_write, require_space, write_json, write_json_lines
from datadistill.model.acceleration import accelerate
from datadistill.model.frozen_proposals import take_over
from datadistill.model.model_file import read_model, tensor_bytes, write_model
from datadistill.model.network import build_config
from datadistill.specs import ModelSpec
from datadistill.tasks.keypoint_schema import flip_pairs
from datadistill.tasks.task import get_task
from datadistill.train.batches import Source, TrainingImages, build_loader, load_source
from datadistill.train.hooks import RecordMetrics, SaveCheckpoint, SeedEachIteration, StepSchedule, metrics_every
from datadistill.train.sampling import LABELLED, Deal, MixedSampler, model_seed

# The weights are drawn in a state that no iteration uses.
_INITIAL_WEIGHTS = 2**32


@dataclass(frozen=True)
class TrainingFiles:
    """What training reads and writes. `label_set`, `initial_weights` and `teacher` (whose proposals are taken over) may be
    None."""

    labelled: Path
    label_set: Path | None
    initial_weights: Path | None
    model: Path
    metrics: Path
    drawn: Path
    checkpoint: Path
    teacher: Path | None = None


@dataclass(frozen=True)
class TrainingOptions:
    """What changes speed and safety, never the result."""

    device: str = "cpu"
    memory_format: str = "auto"
    workers: int = 0
    checkpoint_every: int = 1000
    metrics_every: int = 20
    log_seconds: float = 10.0


class DistillationTrainer(TrainerBase):
    """detectron2's training loop with a finite-loss check that names the images, and draws that are counted."""

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        batches: Callable[[int], Iterator[list[dict[str, Any]]]],
        *,
        precision: torch.dtype | None,
        device: str,
    ) -> None:
        super().__init__()
        model.train()
        self.model = model
        self.optimizer = optimizer
        self.losses: dict[str, float] = {}
        self.drawn: Counter[tuple[int, int]] = Counter()
        self.data_seconds = 0.0
        self._make_batches = batches
        self._batches: Iterator[list[dict[str, Any]]] | None = None
        self._precision = precision
        self._device_type = torch.device(device).type

    def run_step(self) -> None:
        if self._batches is None:
            self._batches = self._make_batches(self.iter)
        start = time.perf_counter()
        batch = next(self._batches)
        self.data_seconds += time.perf_counter() - start
        self.drawn.update((example["source"], example["image_id"]) for example in batch)
        try:
            with torch.autocast(self._device_type, dtype=self._precision, enabled=self._precision is not None):
                losses = self.model(batch)
        except FloatingPointError:
            # detectron2 looks at proposals itself, before there is a loss.
            raise self._diverged("a predicted box or score", batch) from None
        total = sum(losses.values())
        # One transfer for all losses, before a step is taken on them. detectron2's own losses wait for the device as well
        # (they count anchors and regions), so that checking less often would save nothing.
        values = torch.stack([total, *losses.values()]).detach().cpu().tolist()
        self.losses = dict(zip(["total_loss", *losses], values, strict=True))
        if not all(math.isfinite(value) for value in values):
            raise self._diverged(
                ", ".join(name for name, value in self.losses.items() if not math.isfinite(value)), batch
            )
        self.optimizer.zero_grad()
        total.backward()
        self.optimizer.step()

    def _diverged(self, what: str, batch: list[dict[str, Any]]) -> UserError:
        images = ", ".join(str(example["image_id"]) for example in batch)
        return UserError(
            f"training diverged: {what} is not finite in iteration {self.iter} (images {images}); "
            "lower the learning rate, set clip_gradients, or look at these images' annotations"
        )


def load_sources(spec: ModelSpec, files: TrainingFiles) -> list[Source]:
    """The labelled images and, where the spec has a label set, the chosen fraction of the generated ones."""
    task = get_task(spec.task)
    sources = [load_source(files.labelled, "labelled", task)]
    if files.label_set is not None:
        label_set, ids = read_images(files.label_set), None
        if spec.fraction < 1:
            ids = set(fraction_ids([image["id"] for image in label_set["images"]], spec.fraction, spec.fraction_seed))
        sources.append(load_source(files.label_set, "generated", task, ids))
    return sources


def train(spec: ModelSpec, files: TrainingFiles, options: TrainingOptions) -> None:
    """Train the model of a spec, or go on from its checkpoint, and write model, metrics and the record of what was drawn."""
    world, rank = comm.get_world_size(), comm.get_rank()
    categories = sorted(read_images(files.labelled)["categories"], key=lambda category: category["id"])
    cfg = build_config(spec, categories, device=options.device)
    sources = load_sources(spec, files)
    ratio = spec.training.labelled_ratio if len(sources) > 1 else 1.0
    batch, iterations = spec.training.batch_size, spec.training.iterations
    if batch % world:
        raise UserError(f"a batch of {batch} images can't be shared equally by {world} processes; change batch_size")
    sampler = MixedSampler(
        len(sources[0]), len(sources[1]) if len(sources) > 1 else 0, ratio, iterations * batch, spec.seed
    )
    mirrored = flip_pairs(categories[0]).permutation if cfg.MODEL.KEYPOINT_ON else None
    images = TrainingImages(cfg, sampler, sources, mirrored, name_crowds=spec.training.crowds == "ignored")
    deal = Deal(sampler, [source.ratios for source in sources], batch, rank, world)

    torch.manual_seed(model_seed(spec.seed, _INITIAL_WEIGHTS, 0))
    model = build_model(cfg)
    _load_initial_weights(model, cfg, spec, files)
    accelerate(model, options.memory_format)
    optimizer = build_optimizer(cfg, model)
    scheduler = build_lr_scheduler(cfg, optimizer)
    device_ids = None if options.device == "cpu" else [int(os.environ.get("LOCAL_RANK", "0"))]
    parallel = create_ddp_model(model, broadcast_buffers=False, device_ids=device_ids)

    trainer = DistillationTrainer(
        parallel,
        optimizer,
        lambda start: build_loader(images, deal, iterations=range(start, iterations), workers=options.workers),
        precision=torch.bfloat16 if spec.training.amp else None,
        device=options.device,
    )
    rows: list[dict[str, Any]] = []
    # With the optimizer's momentum of each parameter.
    checkpoint_size = 2 * tensor_bytes(model.state_dict())

    def save_checkpoint() -> None:
        drawn = _gather_drawn(trainer.drawn)
        if comm.is_main_process():
            state = {
                "digest": spec.digest,
                "processes": world,
                "iteration": trainer.iter + 1,
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                # The scheduler's own step comes after this hook's iteration was counted: see the order of hooks below.
                "scheduler": scheduler.state_dict(),
                "rows": rows,
                "drawn": [[*key, count] for key, count in drawn.items()],
            }
            with atomic_write(files.checkpoint, "wb", size=checkpoint_size) as stream:
                torch.save(state, stream)
        comm.synchronize()

    start = _resume(files.checkpoint, spec, model, optimizer, scheduler, rows, trainer.drawn, keep_drawn=rank == 0)
    if comm.is_main_process():
        what = ", ".join(
            f"{len(source)} {source.name} ({source.left_out} without annotations left out)" for source in sources
        )
        print(
            f"training on {what}; {iterations} iterations of {batch} images on {world} process(es), {options.device}",
            flush=True,
        )
        if start:
            print(f"going on from iteration {start}", flush=True)
        there = files.checkpoint.stat().st_size if files.checkpoint.exists() else 0
        # A checkpoint is written beside the one that it replaces; the model beside the last.
        require_space(files.checkpoint, 2 * checkpoint_size - there, "training, its checkpoint being replaced,")
    trainer.register_hooks(
        [
            SeedEachIteration(spec.seed, deal),
            RecordMetrics(metrics_every(options.metrics_every, iterations), options.log_seconds, rows),
            StepSchedule(scheduler),
            SaveCheckpoint(options.checkpoint_every, save_checkpoint),
        ]
    )
    # Whoever catches an error of the loop prints it; detectron2 would log its traceback as well.
    logging.getLogger("detectron2.engine.train_loop").setLevel(logging.CRITICAL)
    if start < iterations:
        trainer.train(start, iterations)
    drawn = _gather_drawn(trainer.drawn)
    if comm.is_main_process():
        _write_results(spec, files, model, cfg, categories, rows, drawn)
    comm.synchronize()


def _load_initial_weights(model: torch.nn.Module, cfg: CfgNode, spec: ModelSpec, files: TrainingFiles) -> None:
    if spec.proposals == "teacher":
        if files.teacher is None:
            raise UserError("proposals: teacher needs the teacher's model file")
        take_over(model, read_model(files.teacher)["model"], str(files.teacher))
    if spec.initial == "random":
        return
    path = files.initial_weights
    if path is None:
        raise UserError(f"initial: {spec.initial} needs a file of weights")
    if spec.initial == "teacher":
        weights = read_model(path, spec.weights)["model"]
        if spec.proposals == "teacher":
            own = "proposal_generator."
            weights = {name: value for name, value in weights.items() if not name.startswith(own)}
            weights |= {name: value for name, value in model.state_dict().items() if name.startswith(own)}
        model.load_state_dict(weights)
        return
    from datadistill.model.weights import load_initial_weights

    print(load_initial_weights(model, cfg, path, spec.network.backbone), flush=True)


def _gather_drawn(drawn: Counter[tuple[int, int]]) -> Counter[tuple[int, int]]:
    total: Counter[tuple[int, int]] = Counter()
    for part in comm.all_gather(drawn):
        total.update(part)
    return total


def _resume(
    path: Path,
    spec: ModelSpec,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
    rows: list[dict[str, Any]],
    drawn: Counter[tuple[int, int]],
    *,
    keep_drawn: bool,
) -> int:
    """Load a checkpoint if there is one; the iteration to go on from."""
    if not path.exists():
        return 0
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["digest"] != spec.digest:
            raise UserError(
                f"{path}: checkpoint of another spec ({state['digest']}, this model is {spec.digest}); delete it to start again"
            )
        if state["processes"] != comm.get_world_size() and state["iteration"] < spec.training.iterations:
            raise UserError(
                f"{path}: checkpoint of {state['processes']} process(es), but {comm.get_world_size()} are training now; "
                "go on with as many, or delete it to start again"
            )
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        rows.extend(state["rows"])
    except UserError:
        raise
    except Exception as error:  # unpicklers raise nearly anything on a damaged file
        raise UserError(
            f"{path}: damaged checkpoint ({type(error).__name__}); delete it to start this model again"
        ) from None
    if keep_drawn:
        drawn.update({(source, image): count for source, image, count in state["drawn"]})
    return int(state["iteration"])


def _write_results(
    spec: ModelSpec,
    files: TrainingFiles,
    model: torch.nn.Module,
    cfg: CfgNode,
    categories: list[Mapping[str, Any]],
    rows: list[dict[str, Any]],
    drawn: Counter[tuple[int, int]],
) -> None:
    known = [_images(files.labelled), _images(files.label_set) if files.label_set else {}]
    images = [
        {
            "source": "labelled" if source == LABELLED else "generated",
            "image_id": image,
            "dataset": known[source][image].get("dataset"),
            "content": known[source][image].get("content"),
            "count": count,
        }
        for (source, image), count in sorted(drawn.items())
    ]
    total = sum(drawn.values())
    labelled = sum(count for (source, _), count in drawn.items() if source == LABELLED)
    write_json(files.drawn, {"total": total, "labelled_share": labelled / total if total else None, "images": images})
    write_json_lines(files.metrics, rows)
    portable = cfg.clone()
    portable.MODEL.DEVICE = "cpu"
    spec_values = json.loads(json.dumps(spec.canonical()))
    write_model(files.model, model.state_dict(), spec_values, portable.dump(), categories)


def _images(path: Path) -> dict[int, dict[str, Any]]:
    return {image["id"]: image for image in read_images(path)["images"]}
