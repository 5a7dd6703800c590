"""Everything that a run trains, labels and shows, each once, in plain lines: to be read against the paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from datadistill.tasks.task import get_task
from datadistill.transforms import in_words
from datadistill.workflow.experiments import Experiments
from datadistill.workflow.needs import needs_of, only
from datadistill.workflow.outputs import names_of
from datadistill.workflow.registry import LabelSet, Model


def listing(experiments: Experiments) -> str:
    """Everything that a run trains, labels and shows, each once, in plain lines: to be compared with the paper by eye."""
    seeds = experiments.config["seeds"]
    users: dict[str, list[str]] = {}
    for name in names_of(experiments):
        for model in only(Model, needs_of(experiments, name)):
            users.setdefault(model.id, []).append(name)
    lines = [f"# Run {experiments.config['run']}: models, label sets and targets", "", "## Models", ""]
    lines += [
        _model_line(model, users.get(model.id, [])) for model in experiments.models.values() if model.seed == seeds[0]
    ]
    lines += ["", "## Label sets", ""]
    lines += [_label_set_line(entry) for entry in experiments.label_sets.values() if entry.seed == seeds[0]]
    lines += ["", "## Tables", ""]
    for table in experiments.config["tables"]:
        lines += [f"{table['name']} ({table['task']})"]
        for row in table["rows"]:
            mode = "" if row["mode"] == "plain" else f", {row['mode']}"
            shown = " | ".join(str(cell) for cell in row["cells"])
            lines.append(f"  {row['published'] or '-':10} {shown:40} {row.get('model') or row['best_of']}{mode}")
    lines += ["", "## Figures", ""]
    lines += [_figure_line(figure) for figure in experiments.config["figures"]]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _model_line(model: Model, users: Iterable[str]) -> str:
    spec = model.spec
    training = spec.training
    parts = [f"{spec.task} {spec.network.backbone}", model.labelled.name]
    if model.label_set:
        share = "" if spec.fraction == 1 else f"{spec.fraction:g} of "
        parts[-1] += f" + {share}{model.label_set.name}"
        parts.append(f"labelled {training.labelled_ratio:g}")
    scales = training.train_scales
    parts += [
        f"{training.iterations // 1000}k" if training.iterations % 1000 == 0 else str(training.iterations),
        f"batch {training.batch_size}",
        f"lr {training.learning_rate:g}",
        f"scales {scales[0]}-{scales[-1]}" if len(scales) > 1 else f"scale {scales[0]}",
        f"from {spec.initial}",
    ]
    if not training.generated_background:
        parts.append("labelled background only")
    if spec.proposals == "teacher":
        parts.append("its teacher's proposals")
    return f"{model.name}: {', '.join(parts)}\n    for {' '.join(users)}"


def _label_set_line(label_set: LabelSet) -> str:
    transforms = in_words(label_set.detections.spec.transforms)
    count = label_set.spec.count_instances
    # The task's own way of counting goes without saying.
    counted = "" if count == get_task(label_set.teacher.task).default_count_instances else f", counting {count}"
    return f"{label_set.name}: {label_set.split.name} by {label_set.teacher.name}, {transforms}{counted}"


def _figure_line(figure: Mapping[str, Any]) -> str:
    shown = [figure["label_set"]] if "label_set" in figure else list(figure.get("models", []))
    against = f" against {' '.join(figure['references'])}" if figure["references"] else ""
    return f"{figure['name']} ({figure['kind']}): {' '.join(shown)}{against}"
