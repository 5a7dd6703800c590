"""What a run reports: which tables and figures, what each is made of, and which of them `all` builds."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from datadistill.errors import UserError
from datadistill.files import canonical_json
from datadistill.tasks.task import get_task
from datadistill.workflow.experiments import Evaluation, Experiments, LabelSet, Model, baseline_rows, row_models

TABLE_SUFFIXES = ("md", "csv", "tex")
FIGURE_SUFFIXES = ("png", "pdf")


def outputs(experiments: Experiments) -> list[str]:
    """The files that `all` builds: every table and figure, or those that the config's `build` names."""
    config = experiments.config
    tables = [table["name"] for table in config["tables"]]
    figures = [figure["name"] for figure in config["figures"]]
    chosen = config["build"]
    for name in chosen or []:
        if name not in tables + figures:
            near = difflib.get_close_matches(name, tables + figures, 1, cutoff=0.4)
            raise UserError(
                f"build: there is no table or figure named {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
            )
    # Resolved here, before anything runs, so that a fault in the last figure isn't found after hours of training.
    for name in tables:
        table_definition(experiments, name)
    for name in figures:
        figure_parts(experiments, name)
    wanted = set(tables + figures if chosen is None else chosen)
    made = [path for name in tables + figures if name in wanted for path in output_files(experiments, name)]
    return made if chosen is not None else made + label_pages(experiments)


def label_pages(experiments: Experiments) -> list[str]:
    """For every label set: how its thresholds were chosen and, where the truth is known, how good the labels are."""
    return [
        experiments.paths.labels(label_set.id, page)
        for label_set in experiments.label_sets.values()
        for page in ("thresholds.md", *(["quality.md"] if label_set.truth else []))
    ]


def output_files(experiments: Experiments, name: str) -> list[str]:
    """The files of a table or figure."""
    if any(table["name"] == name for table in experiments.config["tables"]):
        return [experiments.paths.table(name, suffix) for suffix in TABLE_SUFFIXES]
    return [experiments.paths.figure(name, suffix) for suffix in FIGURE_SUFFIXES]


# --- the HTML report: its sections, in order, and what each shows ----------------------------------------------------

_FIGURE_SECTIONS = {
    **dict.fromkeys(("ensemble", "fractions", "teachers", "lengths"), "2. Figures"),
    **dict.fromkeys(("gallery", "comparison"), "3. Galleries"),
    "losses": "4. Loss curves",
    "thresholds": "5. Thresholds",
    "label_quality": "6. Label quality",
}


def figure_section(experiments: Experiments, name: str) -> str:
    """The section of the report that shows a figure."""
    return _FIGURE_SECTIONS[_entry(experiments, "figures", name)["kind"]]


def page_section(page: str) -> str:
    """The section of the report that shows a page (see `Paths.page`)."""
    if page.startswith("labels/"):
        return "5. Thresholds" if page.endswith("/thresholds") else "6. Label quality"
    return "1. Tables" if page.startswith("tables/") else "7. Run times"


def page_title(experiments: Experiments, page: str) -> str:
    """What the report calls a page."""
    folder, _, rest = page.partition("/")
    if folder == "tables":
        return str(_entry(experiments, "tables", rest)["title"])
    if folder == "labels":
        label_set = experiments.label_sets[rest.rpartition("/")[0]]
        return label_set.name if len(experiments.config["seeds"]) == 1 else f"{label_set.name}, seed {label_set.seed}"
    return "all jobs"


def report_files(experiments: Experiments) -> list[str]:
    """What the HTML report shows: `all`, with every page of it as HTML."""
    made, base = outputs(experiments), f"{experiments.paths.base}/"
    markdown = [*(path for path in made if path.endswith(".md")), experiments.paths.run_times()]
    return made + [experiments.paths.page(path.removeprefix(base).removesuffix(".md")) for path in markdown]


def _entry(experiments: Experiments, key: str, name: str) -> Mapping[str, Any]:
    return next(entry for entry in experiments.config[key] if entry["name"] == name)


def _row_evaluations(experiments: Experiments, table: Mapping[str, Any], number: int, model: str) -> list[Evaluation]:
    row = {**table["rows"][number - 1], "model": model}
    return experiments.row_evaluations(row, f"tables: {table['name']}: row {number}")


def _seed_paths(experiments: Experiments, evaluations: list[Evaluation]) -> list[dict[str, Any]]:
    return [
        {"seed": seed, "path": experiments.paths.evaluation(evaluation.id)}
        for seed, evaluation in zip(experiments.config["seeds"], evaluations, strict=True)
    ]


def table_definition(experiments: Experiments, name: str) -> dict[str, Any]:
    """What scripts/make_table.py needs to make a table: display text, the paper's rows, and our evaluation files."""
    table = _entry(experiments, "tables", name)
    rows = []
    for number, row in enumerate(table["rows"], 1):
        baselines = baseline_rows(table["baseline"] if row["baseline"] is None else row["baseline"])
        candidates = [
            {
                "label": model,
                "evaluations": _seed_paths(experiments, _row_evaluations(experiments, table, number, model)),
            }
            for model in row_models(row)
        ]
        rows.append(
            {
                "key": str(number),
                "cells": dict(zip(table["columns"], map(str, row["cells"]), strict=True)),
                "published": row["published"],
                "note": row["note"] or None,
                # A row that others are measured against isn't measured itself.
                "baseline": [] if number in baselines else [str(row) for row in baselines],
                **({"best_of": candidates} if "best_of" in row else {"evaluations": candidates[0]["evaluations"]}),
            }
        )
    config = experiments.config
    return {
        "name": name,
        "title": table["title"],
        "caption": table["caption"],
        "columns": table["columns"],
        "metrics": list(get_task(table["task"]).metrics),
        "data": "proxy data" if config["proxy"] else "COCO",
        "data_note": config["data_note"],
        "compare": not config["proxy"],
        "rows": rows,
    }


def table_inputs(experiments: Experiments, name: str) -> list[str]:
    """The evaluation files of every row of a table."""
    table = _entry(experiments, "tables", name)
    return list(
        dict.fromkeys(
            experiments.paths.evaluation(evaluation.id)
            for number, row in enumerate(table["rows"], 1)
            for model in row_models(row)
            for evaluation in _row_evaluations(experiments, table, number, model)
        )
    )


def figure_label_set(experiments: Experiments, figure: Mapping[str, Any]) -> LabelSet:
    """The label set that a figure shows, of the first seed."""
    where = f"figures: {figure['name']}: label_set"
    if "label_set" not in figure:
        raise UserError(f"{where}: the key is missing; a figure of kind {figure['kind']} shows a label set")
    return experiments.label_set(figure["label_set"], experiments.config["seeds"][0], where)


def figure_models(
    experiments: Experiments, figure: Mapping[str, Any], key: str = "models"
) -> list[tuple[str, list[Model]]]:
    """The models that a figure shows: name and one model a seed."""
    where = f"figures: {figure['name']}: {key}"
    names = figure.get(key, [])
    if key == "models" and not names:
        raise UserError(f"{where}: the key is missing; a figure of kind {figure['kind']} shows models")
    return [(name, [experiments.model(name, seed, where) for seed in experiments.config["seeds"]]) for name in names]


# --- figures: what each kind reads, and the arguments of scripts/make_figure.py ---------------------------------------


def figure_parts(experiments: Experiments, name: str) -> tuple[list[str], list[str]]:
    """The input files of a figure, and the command line of scripts/make_figure.py that makes it (without its output)."""
    figure = _entry(experiments, "figures", name)
    inputs, arguments = _FIGURE_KINDS[figure["kind"]](experiments, figure)
    caption = [figure["caption"]] if figure["caption"] else []
    note = " ".join([*caption, f"Data: {experiments.config['data_note']}."])
    command = figure["kind"].replace("_", "-")
    return inputs, [command, *arguments, *([] if figure["kind"] in _CURVES else ["--note", note])]


def _ensemble(experiments: Experiments, figure: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    data = experiments.paths.figure_data(figure["name"])
    return [data], ["--input", data]


def _gallery(experiments: Experiments, figure: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    label_set = figure_label_set(experiments, figure)
    task = experiments.models[label_set.teacher].spec.task
    labels = experiments.paths.labels(label_set.id)
    truth = [experiments.paths.split(label_set.truth)] if label_set.truth else []
    columns = min(5, figure["images"])
    arguments = [
        "--task",
        task,
        "--labels",
        labels,
        "--columns",
        str(columns),
        "--lines",
        str(-(-figure["images"] // columns)),
    ]
    return [labels, *truth], [*arguments, *(["--truth", *truth] if truth else [])]


def _thresholds(experiments: Experiments, figure: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    path = experiments.paths.labels(figure_label_set(experiments, figure).id, "thresholds.json")
    return [path], ["--thresholds", path]


def _label_quality(experiments: Experiments, figure: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    label_set = figure_label_set(experiments, figure)
    if label_set.truth is None:
        raise UserError(
            f"figures: {figure['name']}: the truth about split {label_set.split.rsplit('.', 1)[0]} isn't known; leave the figure out"
        )
    path = experiments.paths.labels(label_set.id, "quality.json")
    return [path], ["--quality", path]


def _losses(experiments: Experiments, figure: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    models = figure_models(experiments, figure)
    paths = [experiments.paths.metrics(of_seeds[0].id) for _, of_seeds in models]
    return paths, ["--metrics", *paths, "--labels", *[name for name, _ in models]]


def _comparison(experiments: Experiments, figure: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    models = figure_models(experiments, figure)
    if len(models) != 2:
        raise UserError(f"figures: {figure['name']}: models: a comparison shows two models, {len(models)} are given")
    evaluations = [_model_evaluations(experiments, name, figure)[0] for name, _ in models]
    split = experiments.paths.split(evaluations[0].split)
    shards = [_prediction_shards(experiments, evaluation) for evaluation in evaluations]
    columns = str(min(5, figure["images"]))
    task = experiments.models[evaluations[0].model].spec.task
    arguments = ["--task", task, "--split", split, "--first", *shards[0], "--first-label", models[0][0]]
    return [split, *shards[0], *shards[1]], [
        *arguments,
        "--second",
        *shards[1],
        "--second-label",
        models[1][0],
        "--columns",
        columns,
        *([] if figure["score_threshold"] is None else ["--score-threshold", f"{figure['score_threshold']:g}"]),
    ]


def _prediction_shards(experiments: Experiments, evaluation: Evaluation) -> list[str]:
    shards = experiments.predictions[evaluation.predictions].shards
    return [experiments.paths.predictions(evaluation.predictions, shard, shards) for shard in range(shards)]


def _model_evaluations(
    experiments: Experiments, name: str, figure: Mapping[str, Any], mode: str = "plain"
) -> list[Evaluation]:
    return experiments.row_evaluations({"model": name, "mode": mode}, f"figures: {figure['name']}")


def _curve(experiments: Experiments, figure: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Figures 5 and 6, and AP against the length of training."""
    models = figure_models(experiments, figure)
    used: list[str] = []

    def evaluations(name: str, mode: str = "plain") -> list[dict[str, Any]]:
        of_seeds = _seed_paths(experiments, _model_evaluations(experiments, name, figure, mode))
        used.extend(entry["path"] for entry in of_seeds)
        return of_seeds

    kind, references = figure["kind"], figure["references"]
    definition: dict[str, Any] = {"note": f"Data: {experiments.config['data_note']}."}
    if kind == "lengths":
        definition["points"] = [
            {"x": m[0].spec.training.iterations, "evaluations": evaluations(name)} for name, m in models
        ]
        definition["references"] = [
            {"label": name, "evaluations": evaluations(name), "x": of_seeds[0].spec.training.iterations}
            for name, of_seeds in figure_models(experiments, figure, "references")
        ]
    elif kind == "fractions":
        definition["points"] = [{"x": m[0].spec.fraction, "evaluations": evaluations(name)} for name, m in models]
        definition["baseline"] = evaluations(references[0]) if references else []
    else:
        definition["points"] = [_teacher_point(experiments, name, of_seeds, evaluations) for name, of_seeds in models]
        definition["baseline"] = evaluations(references[0]) if references else []
    return list(dict.fromkeys(used)), ["--definition", canonical_json(definition)]


def _teacher_point(
    experiments: Experiments, name: str, of_seeds: list[Model], evaluations: Callable[..., list[dict[str, Any]]]
) -> dict[str, Any]:
    """A student beside its teacher, whose AP is that with the transforms of its labels."""
    student = of_seeds[0]
    if student.label_set is None:
        raise UserError(f"figures: model {name!r} has no teacher; a figure of kind teachers shows students")
    label_set = experiments.label_sets[student.label_set]
    teacher = experiments.models[label_set.teacher]
    mode = experiments.label_set_mode(label_set)
    label = teacher.name if mode == "augmented" else f"{teacher.name}, {mode}"
    return {"label": label, "teacher": evaluations(teacher.name, mode), "student": evaluations(name)}


_CURVES = ("lengths", "fractions", "teachers")
_FIGURE_KINDS: Mapping[str, Callable[[Experiments, Mapping[str, Any]], tuple[list[str], list[str]]]] = {
    "ensemble": _ensemble,
    "gallery": _gallery,
    "thresholds": _thresholds,
    "label_quality": _label_quality,
    "losses": _losses,
    "comparison": _comparison,
    **dict.fromkeys(_CURVES, _curve),
}


def ensemble_sources(experiments: Experiments, name: str) -> tuple[LabelSet, str]:
    """The label set whose person a figure of kind ensemble shows, and the id of its refinement."""
    figure = _entry(experiments, "figures", name)
    label_set = figure_label_set(experiments, figure)
    if label_set.refinement is None:
        raise UserError(f"figures: {name}: a figure of kind ensemble needs a label set whose task refines")
    return label_set, label_set.refinement
