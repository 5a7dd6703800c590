"""From what a user names to a config on disk, and what is said on the way."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datadistill.devices import visible_devices
from datadistill.errors import UserError
from datadistill.files import atomic_write, write_json
from datadistill.keys import NAME
from datadistill.start.config_text import Chosen, config_text
from datadistill.start.cost_here import cost_here
from datadistill.start.dataset import read_dataset
from datadistill.start.rules import SHARDED, iterations, scales, student
from datadistill.start.survey import (
    MEAGRE,
    Labels,
    Pool,
    describe,
    describe_keypoints,
    describe_pool,
    look_at_labels,
    look_at_pool,
    read_validation,
    split_off,
)
from datadistill.tasks.annotated_for import task_of
from datadistill.workflow.config import complete_config, parse_config
from datadistill.workflow.experiments import build_experiments
from datadistill.workflow.load import load_experiments
from datadistill.workflow.presets import presets

# Damaged images of a pool that a run lets pass without being asked.
ALLOWED_DAMAGE = 0.01


@dataclass(frozen=True)
class Wishes:
    """What a user says; see scripts/init.py."""

    labelled: Path
    pool: Path
    val: Path | None = None
    images: Path | None = None
    output: Path = Path("my.yaml")
    task: str | None = None
    preset: str = "small"
    iterations: int | None = None


def start(wishes: Wishes, say: Callable[[str], None]) -> None:
    """Look at the data, write the config and what it needs beside it (`data/NAME/`), and tell all of it to `say`.

    Raises `UserError`, before anything is written, for data that a run would refuse, and for files that are there already.
    """
    run = _name(wishes.output)
    folder = wishes.output.parent / "data" / run
    for path in (wishes.output, folder / "labelled.json", folder / "val.json"):
        if os.path.lexists(path):
            raise UserError(
                f"{path}: there already, and not overwritten; name another file as OUTPUT=, or move it away"
            )
    if wishes.iterations is not None and wishes.iterations < 1:
        raise UserError(f"--iterations: {wishes.iterations} is too few; 1 is the least")
    dataset = read_dataset(wishes.labelled, wishes.images)
    task = wishes.task or task_of(dataset.coco)
    labelled = look_at_labels(dataset, task)
    source = wishes.val or dataset.held_out
    if source is None:
        labelled, val = split_off(labelled, task)
    elif wishes.val is None:
        # The format's own: the same annotations, other images.
        val = read_validation(dataset.source, source, labelled, task)
    else:
        val = read_validation(source, wishes.images, labelled, task)
    pool = look_at_pool(wishes.pool, wishes.images)
    shared = {name: count for name, part in (("labelled", labelled), ("val", val)) if (count := pool.shared(part))}
    if sum(shared.values()) >= pool.count:
        raise UserError(
            f"{wishes.pool}: all of its {pool.count} images are labelled ones, so there is no pool; add others"
        )

    for sentence in _sentences(wishes, labelled, val, pool, shared, split=source is None):
        say(sentence)
    entries, files = _splits(task, labelled, val, pool, shared, folder, split=source is None)
    chosen = _choose(wishes, run, task, labelled, val, pool, shared, entries)
    text = config_text(chosen)
    build_experiments(complete_config(parse_config(text, str(wishes.output))))
    for path, coco in files.items():
        write_json(path, coco)
    with atomic_write(wishes.output) as stream:
        stream.write(text)
    written = ", ".join(map(str, [wishes.output, *files]))
    say(f"Written: {written}.")
    for sentence in cost_here(load_experiments(wishes.output), gpus=_gpus()):
        say(sentence)
    say("Next:")
    for command, why in (
        (f"make plan CONFIG={wishes.output}", "what each step costs"),
        (f"make run CONFIG={wishes.output}", "train, label, train on the labels, compare"),
        (f"python scripts/labels.py page --config {wishes.output} --label-set pool", "look at the labels"),
    ):
        say(f"  {command:<68} # {why}")


def _name(output: Path) -> str:
    """The run's name: the config's, without suffix."""
    if output.suffix not in (".yaml", ".yml") or not re.match(NAME, output.stem):
        raise UserError(f"{output}: name the config LETTERS-DIGITS.yaml; its name, without suffix, is the run's")
    return output.stem


def _sentences(
    wishes: Wishes, labelled: Labels, val: Labels, pool: Pool, shared: Mapping[str, int], *, split: bool
) -> list[str]:
    """What was seen."""
    said = [*describe("Labelled", labelled), *describe("Validation", val)]
    if split:
        said.append(
            "  These are a fifth of the labelled images, held out by a hash of their names (VAL= names others)."
        )
    elif wishes.val is None:
        said.append("  The data set names them itself.")
    said += describe_keypoints(labelled)
    said += describe_pool(pool, shared)
    if len(labelled.coco["images"]) < MEAGRE:
        said.append(
            f"  {len(labelled.coco['images'])} labelled images are few: expect little of the teacher, and so of its labels."
        )
    return said


def _splits(
    task: str, labelled: Labels, val: Labels, pool: Pool, shared: Mapping[str, int], folder: Path, *, split: bool
) -> tuple[list[dict[str, Any]], dict[Path, dict[str, Any]]]:
    """Entries of splits, and the annotation files to write for them: all but COCO files that can be named as they are."""
    entries, files = [], {}
    for name, labels in (("labelled", labelled), ("val", val)):
        dataset = labels.dataset
        path = dataset.source
        if split or not dataset.as_it_is:
            path = folder / f"{name}.json"
            files[path] = {**labels.coco, "info": {"description": f"{dataset.form} of {dataset.source}, by make init"}}
        entries.append(
            {"name": name, "kind": "coco", "task": task, "images": str(dataset.images), "annotations": str(path)}
        )
    entry: dict[str, Any] = {"name": "pool", "kind": "folder", "images": str(pool.images)}
    if pool.listed:
        entry = {"name": "pool", "kind": "coco", "task": task, "labelled": False, "images": str(pool.images)}
        entry["annotations"] = str(pool.source)
    if shared:
        entry["exclude"] = list(shared)
    if pool.count > SHARDED:
        entry["shards"] = -(-pool.count // SHARDED)
    if len(pool.damaged) > ALLOWED_DAMAGE * pool.looked_at:
        entry["max_damaged_fraction"] = min(1.0, round(1.5 * len(pool.damaged) / pool.looked_at + 0.005, 2))
    return [*entries, entry], files


def _choose(
    wishes: Wishes,
    run: str,
    task: str,
    labelled: Labels,
    val: Labels,
    pool: Pool,
    shared: Mapping[str, int],
    entries: list[dict[str, Any]],
) -> Chosen:
    images = len(labelled.coco["images"])
    training = presets()[wishes.preset]["defaults"][task]["training"]
    teacher = wishes.iterations or iterations(images, training)
    left = pool.count - sum(shared.values())
    return Chosen(
        run=run,
        path=str(wishes.output),
        note=f"{images:,} labelled images, {len(val.coco['images']):,} for validation, a pool of {left:,}",
        preset=wishes.preset,
        task=task,
        splits=entries,
        notes=[*labelled.dataset.notes, *(val.dataset.notes if val.dataset is not labelled.dataset else ())],
        teacher=teacher,
        student=student(images, teacher),
        by_rule=wishes.iterations is None,
        scales=scales(labelled.sizes) if wishes.preset == "small" else None,
        compute=_compute(wishes.preset),
    )


def _gpus() -> int:
    return len(visible_devices(os.environ))


def _compute(preset: str) -> dict[str, Any]:
    """One GPU a job where the machine shows any, else all cores."""
    cores = min(os.cpu_count() or 1, 8)
    if _gpus():
        memory = 16_000 if preset == "small" else 32_000
        stage = {"gpu": 1, "threads": min(cores, 4), "mem_mb": memory}
        return {"vision_env": "vision-cuda", "train": {**stage, "workers": min(cores, 4)}, "label": stage}
    return {"train": {"threads": cores}, "label": {"threads": cores}}
