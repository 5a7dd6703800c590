"""The config that `make init` writes: what names the data, and the values that follow from them, on a preset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from datadistill.start.rules import LEAST_WARMUPS, PASSES, Scales

_PRESETS = {
    "small": "EfficientNet-lite0 and a narrow pyramid, for a CPU or a small GPU",
    "r50": "the paper's ResNet-50; one GPU of 16 GB holds its minibatch of 16 images",
}


@dataclass(frozen=True)
class Chosen:
    """What goes into a config: entries of splits as they stand there, and values."""

    run: str
    path: str
    note: str
    preset: str
    task: str
    splits: Sequence[Mapping[str, Any]]
    notes: Sequence[str]
    teacher: int
    student: Mapping[str, Any]
    by_rule: bool
    scales: Scales | None
    compute: Mapping[str, Any]


def config_text(chosen: Chosen) -> str:
    """The config as YAML, with a word on each value that isn't the preset's."""
    student = {"name": "student", "task": chosen.task, "labelled": "labelled", "label_set": "pool", **chosen.student}
    lines = [
        f"# {chosen.note}. Every key: config/README.md; what `preset` stands for: config/presets.yaml.",
        f"#   command   make run CONFIG={chosen.path}",
        *(f"#   note      {note}" for note in chosen.notes),
        f"run: {chosen.run}",
        f"data_note: {_flow(chosen.note)}",
        f"preset: {chosen.preset}  # {_PRESETS[chosen.preset]}",
        "splits:",
        *(f"  - {_flow(entry)}" for entry in chosen.splits),
        f"evaluate_on: {{{chosen.task}: val}}",
        "models:",
        f"  - {_flow({'name': 'teacher', 'task': chosen.task, 'labelled': 'labelled'})}",
        f"  - {_flow(student)}" + ("  # fine-tuned, as labelled images are few" if "initial" in student else ""),
        "label_sets:",
        "  - {name: pool, teacher: teacher, unlabelled: pool}",
        "defaults:",
        f"  {chosen.task}:",
    ]
    training: dict[str, Any] = {"iterations": chosen.teacher}
    why = (
        f"{PASSES} passes over the labelled images, {LEAST_WARMUPS} times the warm-up at least"
        if chosen.by_rule
        else ""
    )
    if chosen.scales:
        why += f"{', ' if why else ''}scales around the test scale"
        training |= chosen.scales.training
    lines += [f"    # {why[0].upper()}{why[1:]}."] if why else []
    lines.append(f"    training: {_flow(training)}")
    if chosen.scales:
        lines += [
            f"    test_scale: {_flow(chosen.scales.test_scale)}  # by the median of the images' shorter sides",
            "transform_sets:",
            f"  - {_flow(chosen.scales.transforms)}  # each plain and mirrored",
        ]
    if chosen.compute:
        lines.append(f"compute: {_flow(chosen.compute)}  # changes no result's name")
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    """A value on one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=float("inf"), allow_unicode=True)
    return text.removesuffix("...\n").strip()
