"""Figures: what each kind shows and reads, and the arguments of scripts/make_figure.py that draw it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from datadistill.errors import UserError
from datadistill.files import canonical_json
from datadistill.workflow.entries import by_name
from datadistill.workflow.experiments import Experiments
from datadistill.workflow.registry import Evaluation, LabelSet, Model, Result
from datadistill.workflow.report_registry import Explanation, Quality

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """A figure: the results that it shows, the files of them that it reads, and the command line that draws it."""

    shows: tuple[Result, ...]
    reads: tuple[str, ...]
    arguments: tuple[str, ...]


def figure(experiments: Experiments, name: str) -> Figure:
    """The figure of a name, its command line without the output. Raises `UserError` for what it can't show."""
    entry = by_name(experiments.config["figures"], name, "figure", "figures")
    made = _KINDS[entry["kind"]](experiments, entry)
    note = _note(experiments, entry)
    command = entry["kind"].replace("_", "-")
    more = () if entry["kind"] in _CURVES else ("--note", note)
    return Figure(made.shows, made.reads, (command, *made.arguments, *more))


def _note(experiments: Experiments, entry: Entry) -> str:
    """What stands under a figure: its caption, and the data it is from."""
    caption = [entry["caption"]] if entry["caption"] else []
    return " ".join([*caption, f"Data: {experiments.config['data_note']}."])


def explanation(experiments: Experiments, name: str) -> Explanation:
    """What a figure of kind ensemble shows: a person of a label set."""
    label_set = _label_set(experiments, by_name(experiments.config["figures"], name, "figure", "figures"))
    if label_set.refinement is None:
        raise UserError(f"figures: {name}: a figure of kind ensemble needs a label set of keypoints")
    return Explanation(name, experiments.paths, label_set, label_set.refinement)


def quality(experiments: Experiments, label_set: LabelSet) -> Quality:
    """The quality of a label set, beside the one that the config compares it with."""
    return Quality(label_set.id, experiments.paths, label_set, next(iter(compared(experiments, label_set)), None))


def compared(experiments: Experiments, label_set: LabelSet) -> tuple[LabelSet, ...]:
    """The label set that the quality of this one is shown beside (`compare_with`): one, or none."""
    entry = by_name(experiments.config["label_sets"], label_set.name, "label set", "label_sets")
    if "compare_with" not in entry:
        return ()
    other = experiments.label_set(entry["compare_with"], label_set.seed, f"label_sets: {label_set.name}: compare_with")
    if other.split != label_set.split:
        raise UserError(f"label_sets: {label_set.name}: compare_with: {other.name} labels another split")
    return (other,)


def _label_set_mode(experiments: Experiments, label_set: LabelSet) -> str:
    """The mode of evaluation that has the transforms of a label set."""
    entry = by_name(experiments.config["label_sets"], label_set.name, "label set", "label_sets")
    default = experiments.config["labelling"]["transforms"]
    chosen = entry.get("transforms", default)
    return "augmented" if chosen == default != "plain" else chosen


def evaluation_files(experiments: Experiments, evaluations: list[Evaluation]) -> list[dict[str, Any]]:
    """Seed and path of one evaluation a seed, as tables and curves read them."""
    seeds = experiments.config["seeds"]
    return [{"seed": seed, "path": evaluation.file} for seed, evaluation in zip(seeds, evaluations, strict=True)]


def _label_set(experiments: Experiments, entry: Entry) -> LabelSet:
    """The label set that a figure shows, of the first seed."""
    where = f"figures: {entry['name']}: label_set"
    if "label_set" not in entry:
        raise UserError(f"{where}: the key is missing; a figure of kind {entry['kind']} shows a label set")
    return experiments.label_set(entry["label_set"], experiments.config["seeds"][0], where)


def _models(experiments: Experiments, entry: Entry, key: str = "models") -> list[tuple[str, list[Model]]]:
    """The models that a figure shows: name and one model a seed."""
    where = f"figures: {entry['name']}: {key}"
    names = entry.get(key, [])
    if key == "models" and not names:
        raise UserError(f"{where}: the key is missing; a figure of kind {entry['kind']} shows models")
    return [(name, [experiments.model(name, seed, where) for seed in experiments.config["seeds"]]) for name in names]


def _evaluations(experiments: Experiments, name: str, entry: Entry, mode: str = "plain") -> list[Evaluation]:
    return experiments.row_evaluations({"model": name, "mode": mode}, f"figures: {entry['name']}")


def _ensemble(experiments: Experiments, entry: Entry) -> Figure:
    shown = explanation(experiments, entry["name"])
    return Figure((shown,), shown.files, ("--input", shown.file))


def _gallery(experiments: Experiments, entry: Entry) -> Figure:
    label_set = _label_set(experiments, entry)
    truth = (label_set.truth,) if label_set.truth else ()
    reads = (label_set.file, *(split.file for split in truth))
    columns = min(5, entry["images"])
    shape = ("--columns", str(columns), "--lines", str(-(-entry["images"] // columns)))
    known = ("--truth", *reads[1:]) if truth else ()
    return Figure((label_set, *truth), reads, ("--task", label_set.task, "--labels", reads[0], *shape, *known))


def _thresholds(experiments: Experiments, entry: Entry) -> Figure:
    label_set = _label_set(experiments, entry)
    path = label_set.made("thresholds.json")
    return Figure((label_set,), (path,), ("--thresholds", path))


def _label_quality(experiments: Experiments, entry: Entry) -> Figure:
    label_set = _label_set(experiments, entry)
    if label_set.truth is None:
        raise UserError(
            f"figures: {entry['name']}: the truth about split {label_set.split.name} isn't known; leave the figure out"
        )
    shown = quality(experiments, label_set)
    return Figure((shown,), (shown.file,), ("--quality", shown.file))


def _losses(experiments: Experiments, entry: Entry) -> Figure:
    models = [(name, of_seeds[0]) for name, of_seeds in _models(experiments, entry)]
    paths = tuple(model.metrics for _, model in models)
    labels = (name for name, _ in models)
    return Figure(tuple(model for _, model in models), paths, ("--metrics", *paths, "--labels", *labels))


def _comparison(experiments: Experiments, entry: Entry) -> Figure:
    names = [name for name, _ in _models(experiments, entry)]
    if len(names) != 2:
        raise UserError(f"figures: {entry['name']}: models: a comparison shows two models, {len(names)} are given")
    first, second = (_evaluations(experiments, name, entry)[0].predictions for name in names)
    score = entry["score_threshold"]
    arguments = (
        *("--task", first.model.task, "--split", first.split.file),
        *("--first", *first.files, "--first-label", names[0]),
        *("--second", *second.files, "--second-label", names[1]),
        *("--columns", str(min(5, entry["images"]))),
        *(() if score is None else ("--score-threshold", f"{score:g}")),
    )
    return Figure((first.split, first, second), (first.split.file, *first.files, *second.files), arguments)


def _curve(experiments: Experiments, entry: Entry) -> Figure:
    """Figures 5 and 6, and AP against the length of training."""
    models = _models(experiments, entry)
    used: dict[Evaluation, None] = {}

    def evaluations(name: str, mode: str = "plain") -> list[dict[str, Any]]:
        of_seeds = _evaluations(experiments, name, entry, mode)
        used.update(dict.fromkeys(of_seeds))
        return evaluation_files(experiments, of_seeds)

    kind, references = entry["kind"], entry["references"]
    if kind != "lengths" and len(references) > 1:
        raise UserError(
            f"figures: {entry['name']}: references: a figure of kind {kind} shows one; {len(references)} are given"
        )
    spec: dict[str, Any] = {"note": _note(experiments, entry)}
    if kind == "lengths":
        spec["points"] = [{"x": m[0].iterations_in_all, "evaluations": evaluations(name)} for name, m in models]
        spec["references"] = [
            {"label": name, "evaluations": evaluations(name), "x": of_seeds[0].iterations_in_all}
            for name, of_seeds in _models(experiments, entry, "references")
        ]
    elif kind == "fractions":
        spec["points"] = [{"x": m[0].spec.fraction, "evaluations": evaluations(name)} for name, m in models]
        spec["baseline"] = evaluations(references[0]) if references else []
    else:
        spec["points"] = [_teacher_point(experiments, name, of_seeds[0], evaluations) for name, of_seeds in models]
        spec["baseline"] = evaluations(references[0]) if references else []
    return Figure(tuple(used), tuple(evaluation.file for evaluation in used), ("--spec", canonical_json(spec)))


def _teacher_point(
    experiments: Experiments, name: str, student: Model, evaluations: Callable[..., list[dict[str, Any]]]
) -> dict[str, Any]:
    """A student beside its teacher, whose AP is that with the transforms of its labels."""
    if student.label_set is None:
        raise UserError(f"figures: model {name!r} has no teacher; a figure of kind teachers shows students")
    teacher, mode = student.label_set.teacher, _label_set_mode(experiments, student.label_set)
    label = teacher.name if mode == "augmented" else f"{teacher.name}, {mode}"
    return {"label": label, "teacher": evaluations(teacher.name, mode), "student": evaluations(name)}


_CURVES = ("lengths", "fractions", "teachers")
_KINDS: Mapping[str, Callable[[Experiments, Entry], Figure]] = {
    "ensemble": _ensemble,
    "gallery": _gallery,
    "thresholds": _thresholds,
    "label_quality": _label_quality,
    "losses": _losses,
    "comparison": _comparison,
    **dict.fromkeys(_CURVES, _curve),
}
