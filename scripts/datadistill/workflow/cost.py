"""What a run will cost, before it runs: models, label sets, images, transforms, GPU-hours and disk of every table.

Nothing is run or written, and no data need be there. Rates are in config/rates.yaml, each with its source. What tables
share counts in each of them, and once in all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datadistill.data.coco import read_ids
from datadistill.data.coco_releases import OFFICIAL_COUNTS, PARTS
from datadistill.data.downloads import read_downloads
from datadistill.data.images import list_images
from datadistill.data.specs import (
    CocoRelease,
    CocoSplit,
    FolderSplit,
    FractionSplit,
    RenderedSplit,
    VideosSplit,
    VocSplit,
)
from datadistill.data.voc import read_names
from datadistill.errors import UserError
from datadistill.files import human_size
from datadistill.transforms import TestScale, Transform
from datadistill.workflow.experiments import Experiments
from datadistill.workflow.needs import Exists, needs_of, needs_of_run, nothing_exists, only
from datadistill.workflow.outputs import chosen_names
from datadistill.workflow.plan_order import Step, bought, in_order
from datadistill.workflow.registry import LabelSet, Model, Predictions, Refinement, Result, Split

# What a first, cautious sum is taken to be.
FIRST_HOURS = 100
HOW = ("documented", "derived", "measured", "assumed")
# COCO's most frequent image size, pixels: what long-side caps are applied to.
IMAGE = (480, 640)
UNCAPPED = 1 << 30


@dataclass(frozen=True)
class Rate:
    """A number, how it is known, and from where."""

    value: float
    how: str
    source: str


class Rates:
    """The rates of a file; `used` collects those that were asked for, `assumed` the backbones that have none."""

    def __init__(self, path: str | Path) -> None:
        import yaml

        try:
            self._content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; it holds the rates that a plan counts with") from None
        except yaml.YAMLError as error:
            raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
        self.path = str(path)
        self.used: dict[str, Rate] = {}
        self.assumed: dict[str, None] = {}

    def plain(self, *keys: str) -> Any:
        """A value that is no rate: a size, a name."""
        node: Any = self._content
        for key in keys:
            if not isinstance(node, Mapping) or key not in node:
                raise UserError(f"{self.path}: {': '.join(keys)} is missing")
            node = node[key]
        return node

    def rate(self, *keys: str) -> float:
        """A rate, which must say how it is known and from where."""
        entry = self.plain(*keys)
        name = ": ".join(keys)
        if not isinstance(entry, Mapping) or set(entry) != {"value", "how", "source"}:
            raise UserError(f"{self.path}: {name}: a rate has value, how and source")
        if (
            entry["how"] not in HOW
            or not entry["source"]
            or not isinstance(entry["value"], (int, float))
            or entry["value"] < 0
        ):
            raise UserError(
                f"{self.path}: {name}: value is a number of 0 or more, how one of {', '.join(HOW)}, and source a text"
            )
        self.used[name] = Rate(float(entry["value"]), entry["how"], entry["source"])
        return float(entry["value"])

    def of_network(self, *keys: str, task: str, backbone: str) -> float:
        """A rate of a task and a backbone, or that of the fallback."""
        if backbone not in self.plain(*keys, task):
            self.assumed[backbone] = None
            backbone = self.plain("fallback")
        return self.rate(*keys, task, backbone)


@dataclass
class Cost:
    """Counts and costs of some results. `unknown` names splits whose size isn't known yet: they count as empty; `uncut` those that
    count with the images that an `exclude` leaves out."""

    models: int = 0
    iterations: int = 0
    label_sets: int = 0
    images: int = 0
    passes: int = 0
    gpu_hours: float = 0.0
    disk: float = 0.0
    unknown: dict[str, None] = field(default_factory=dict)
    uncut: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True)
class Line:
    """A line of the plan: all that a table rests on, and what of it is still to be made."""

    name: str
    whole: Cost
    left: Cost


@dataclass(frozen=True)
class Plan:
    """Lines of tables and figures, and of all together; `data` is the disk that data to fetch or sample need, in bytes."""

    lines: tuple[Line, ...]
    run: Line
    data: Mapping[str, int]
    checkpoint: float
    steps: tuple[Step[Result], ...]


def make_plan(experiments: Experiments, rates: Rates, downloads: str | Path, exists: Exists) -> Plan:
    """The plan of a run; `exists` tells whether a file is there."""
    costs = _Costs(rates, experiments.config["compute"]["train"]["processes"])

    def line(name: str, needs: Callable[[Exists], tuple[Result, ...]]) -> Line:
        return Line(name, costs.of(needs(nothing_exists)), costs.of(needs(exists)))

    # Cheap first, and what shares with that: the order in which to ask for them.
    targets = {name: needs_of(experiments, name, exists) for name in chosen_names(experiments)}
    steps = in_order(targets, lambda result: costs.of([result]).gpu_hours)
    lines = [line(step.name, lambda e, n=step.name: needs_of(experiments, n, e)) for step in steps]
    run = line("all, shared once", lambda e: needs_of_run(experiments, e))
    every = needs_of_run(experiments)
    largest = max(map(costs.model_bytes, only(Model, every)), default=0.0)
    data = data_bytes(only(Split, every), rates, downloads)
    return Plan(tuple(lines), run, data, largest * rates.rate("disk", "checkpoint"), tuple(steps))


def relative_cost(transforms: Sequence[Transform], short_side: int) -> float:
    """Pixels of all transforms of a 640 x 480 image, as a multiple of those of one pass at `short_side` without a cap."""
    pixels = sum(math.prod(transform.seen(*transform.resized(*IMAGE))) for transform in transforms)
    return pixels / math.prod(TestScale(short_side, UNCAPPED).size(*IMAGE))


class _Costs:
    def __init__(self, rates: Rates, processes: int) -> None:
        self._counted: dict[Split, int | None] = {}
        self.rates = rates
        self.processes = processes

    def of(self, results: Sequence[Result]) -> Cost:
        models, label_sets = only(Model, results), only(LabelSet, results)
        cost = Cost(models=len(models), label_sets=len(label_sets))
        for model in models:
            cost.iterations += model.spec.training.iterations
            cost.gpu_hours += self.training_hours(model)
            cost.disk += self.model_bytes(model)
        for label_set in label_sets:
            images = self._images(label_set.split, cost)
            cost.images += images
            cost.disk += images * self.rates.rate("disk", "labels")
        for predictions in only(Predictions, results):
            images, transforms = self._images(predictions.split, cost), predictions.spec.transforms
            cost.passes += images * len(transforms)
            cost.gpu_hours += images * self._pass_seconds(predictions.model, transforms) / 3600
            cost.disk += images * self.rates.rate("disk", "predictions")
        for refinement in only(Refinement, results):
            images, transforms = self._images(refinement.predictions.split, cost), refinement.spec.transforms
            # Without a gate every image with a box is refined: nearly all of them.
            refined = images * (self.rates.rate("refine", "images") if refinement.gate else 1.0)
            seconds = self._pass_seconds(refinement.predictions.model, transforms)
            cost.passes += round(refined * len(transforms))
            cost.gpu_hours += refined * seconds * self.rates.rate("refine", "pass") / 3600
            cost.disk += images * self.rates.rate("disk", "refinement")
        for split in only(Split, results):
            cost.disk += self._images(split, cost) * self.rates.rate("disk", "split")
        return cost

    def training_hours(self, model: Model) -> float:
        """GPU-hours of a training: those of the rate's machine, and what the padding of this one's batches adds."""
        spec, rates = model.spec, self.rates
        seconds = rates.of_network("train", "seconds", task=spec.task, backbone=spec.network.backbone)
        side = sum(spec.training.train_scales) / len(spec.training.train_scales)
        scale = (
            (side / rates.plain("train", "short_side")) ** 2 * spec.training.batch_size / rates.plain("train", "images")
        )
        padding = self._padding(spec.task, spec.training.batch_size)
        if spec.proposals == "teacher":
            scale *= rates.rate("train", "frozen_proposals")
        return spec.training.iterations * seconds * scale * padding * rates.plain("train", "gpus") / 3600

    def _padding(self, task: str, batch: int) -> float:
        """What padding costs with the images that each process has of a batch; the nearest number that has a rate."""
        each = batch / self.processes
        known = self.rates.plain("train", "padding", task)
        return self.rates.rate(
            "train", "padding", task, min(known, key=lambda images: abs(math.log(int(images) / each)))
        )

    def model_bytes(self, model: Model) -> float:
        return self.rates.of_network("disk", "model", task=model.spec.task, backbone=model.spec.network.backbone)

    def _pass_seconds(self, model: Model, transforms: Sequence[Transform]) -> float:
        seconds = self.rates.of_network(
            "predict", "seconds", task=model.spec.task, backbone=model.spec.network.backbone
        )
        return seconds * relative_cost(transforms, self.rates.plain("predict", "short_side"))

    def _images(self, split: Split, cost: Cost) -> int:
        if split not in self._counted:
            # Once a plan: it may walk through a folder, or read a large file.
            self._counted[split] = count_images(split)
        images = self._counted[split]
        if images is None:
            cost.unknown[split.name] = None
        elif _excludes(split):
            cost.uncut[split.name] = None
        return images or 0


def _excludes(split: Split) -> bool:
    return bool(split.excluded) or any(_excludes(source) for source in split.sources)


def count_images(split: Split) -> int | None:
    """Images of a split as its config entry tells, or else the data, or None where these aren't there yet."""
    match split.spec:
        case RenderedSplit(images=images):
            return images
        case VideosSplit(count=count):
            return count
        case CocoRelease(part=part):
            return OFFICIAL_COUNTS[part]
        case CocoSplit(annotations=annotations, drop_ids=drop_ids):
            return _count_listed(annotations, drop_ids)
        case FolderSplit(images=folder):
            return len(list_images(folder)) if Path(folder).is_dir() else None
        case VocSplit(annotations=annotations, list=listed):
            there = Path(listed).is_file() if listed else annotations and Path(annotations).is_dir()
            return len(read_names(annotations, listed)) if there else None
    sources = [count_images(source) for source in split.sources]
    if not sources or None in sources:
        return None
    total = sum(source for source in sources if source is not None)
    return round(total * split.spec.fraction) if isinstance(split.spec, FractionSplit) else total


def _count_listed(annotations: str, drop_ids: Sequence[str]) -> int | None:
    if not all(Path(path).is_file() for path in (annotations, *drop_ids)):
        return None
    dropped = {image_id for path in drop_ids for image_id in read_ids(path)}
    return len(set(read_ids(annotations)) - dropped)


def data_bytes(splits: Iterable[Split], rates: Rates, downloads: str | Path) -> dict[str, int]:
    """Bytes of data on disk by what they are: COCO's parts as unpacked, sampled frames."""
    known = read_downloads(downloads)
    wanted: dict[str, int] = {}
    for split in splits:
        if isinstance(split.spec, CocoRelease):
            for name in PARTS[split.spec.part].downloads:
                wanted[name] = known[name].unpacked or known[name].size or 0
        elif isinstance(split.spec, VideosSplit):
            wanted[f"frames of {split.name}"] = round(split.spec.count * rates.rate("disk", "frame"))
    return wanted


# --- in words


def show_plan(experiments: Experiments, plan: Plan, rates: Rates) -> str:
    """The plan as text for a terminal."""
    from datadistill.report.markdown import markdown_table

    added = {step.name: step for step in plan.steps}
    counted = ["models", "label sets", "images labelled", "passes", "iterations", "GPU-hours", "disk"]
    headings = ["", *counted, *(f"to do: {name}" for name in ("models", "label sets", "GPU-hours", "disk"))]
    headings[-4:-4] = ["adds", "so far"]
    rows = [_row(line, added.get(line.name)) for line in [*plan.lines, plan.run]]
    note = experiments.config["data_note"]
    blocks = [
        _summary(experiments, plan, rates),
        f"# Plan of run {experiments.config['run']!r}: {note}",
        markdown_table(headings, rows, [False] + [True] * 13),
    ]
    facts = [
        f"GPU-hours are those of one {rates.plain('gpu')}. What several tables rest on counts in each of them, and once in all.",
        "Tables and figures stand in the order in which they come cheapest: `adds` is what each has beyond those before it.",
        *_first_hours(plan, FIRST_HOURS),
        f"While it trains, a model's checkpoint takes up to {human_size(plan.checkpoint)} more.",
    ]
    if plan.data:
        listed = ", ".join(f"{name} {human_size(size)}" for name, size in plan.data.items())
        facts.append(f"Data, beside that: {human_size(sum(plan.data.values()))} ({listed}).")
    unknown = list(plan.run.whole.unknown)
    if unknown:
        facts.append(f"Not counted, because only the data tell how many images they have: splits {', '.join(unknown)}.")
    uncut = list(plan.run.whole.uncut)
    if uncut:
        facts.append(
            f"Counted with the images that `exclude` leaves out, so an upper bound: splits {', '.join(uncut)}."
        )
    if rates.assumed:
        facts.append(f"No rates are known for {', '.join(rates.assumed)}: those of {rates.plain('fallback')} are used.")
    if any(m.spec.network.res2_channels for m in experiments.models.values()):
        facts.append("Some networks are narrowed; rates are of full widths, so GPU-hours and disk are upper bounds.")
    blocks.append("\n".join(f"- {fact}" for fact in facts))
    blocks.append(
        "## Rates\n\n"
        + markdown_table(["rate", "value", "known", "from"], _rate_rows(rates), [False, True, False, False])
    )
    return "\n\n".join(blocks) + "\n"


def _summary(experiments: Experiments, plan: Plan, rates: Rates) -> str:
    """GPU-hours, days on what the config names, disk: one line."""
    whole, left = plan.run.whole, plan.run.left
    gpus = max(experiments.config["compute"][stage]["gpu"] for stage in ("train", "label"))
    machine = f"{gpus} GPU{'s'[: gpus != 1]} that the config names" if gpus else "one GPU (the config names none)"
    days = left.gpu_hours / 24 / max(gpus, 1)
    done = "" if left.gpu_hours == whole.gpu_hours else f" of {hours(whole.gpu_hours)}"
    disk = left.disk + plan.checkpoint + sum(plan.data.values())
    return (
        f"{hours(left.gpu_hours)}{done} GPU-hours of one {rates.plain('gpu')}: {hours(days)} days on the {machine}; "
        f"{human_size(disk)} of disk, data included."
    )


def _first_hours(plan: Plan, budget: float) -> list[str]:
    """What the first GPU-hours buy, in the plan's order."""
    if plan.run.left.gpu_hours <= budget:
        return []
    paid = bought(plan.steps, budget)
    parts = [f"tables and figures {', '.join(paid.targets)}"] if paid.targets else ["no table or figure yet"]
    models = [model.name for model in only(Model, paid.results)]
    if models:
        parts.append(f"models {', '.join(models)}")
    if paid.begun:
        result, part = paid.begun
        parts.append(f"{part:.0%} of {_in_words(result)}")
    return [f"The first {budget:g} GPU-hours buy: {'; '.join(parts)}."]


def _in_words(result: Result) -> str:
    if isinstance(result, Model):
        return f"model {result.name}"
    if isinstance(result, Predictions):
        return f"the predictions of {result.model.name} on {result.split.name}"
    if isinstance(result, Refinement):
        return f"the ensemble of {result.predictions.model.name} on {result.predictions.split.name}"
    return result.id


def _row(line: Line, step: Step[Result] | None) -> list[str]:
    whole, left = line.whole, line.left
    steps = ["", ""] if step is None else [hours(step.hours), hours(step.total)]
    return [
        line.name, str(whole.models), str(whole.label_sets), f"{whole.images:,}", f"{whole.passes:,}", f"{whole.iterations:,}",
        hours(whole.gpu_hours), human_size(whole.disk), *steps, str(left.models), str(left.label_sets), hours(left.gpu_hours), human_size(left.disk),
    ]  # fmt: skip


def hours(value: float) -> str:
    """GPU-hours: whole ones from 10 on."""
    if 0 < value < 0.01:
        return "< 0.01"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _rate_rows(rates: Rates) -> list[list[str]]:
    return [[name, f"{rate.value:,.10g}", rate.how, rate.source] for name, rate in sorted(rates.used.items())]
