"""Entries of a config, and what specs and rules make of them."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from datadistill.errors import UserError
from datadistill.report.published import Published
from datadistill.specs import NetworkSpec, TrainingSpec
from datadistill.workflow.paths import Paths
from datadistill.workflow.registry import Model, Split

# Kinds of splits that never have annotations of their own.
UNANNOTATED_KINDS = ("folder", "videos")
# What `videos` of a split says where clips are to be rendered.
RENDERED = "rendered"


def refuse_repeated(entries: Sequence[Mapping[str, Any]], key: str) -> None:
    """Refuse two entries of one name."""
    seen: set[str] = set()
    for entry in entries:
        if entry["name"] in seen:
            raise UserError(f"{key}: the name {entry['name']!r} is given twice; rename one")
        seen.add(entry["name"])


def by_name(entries: Iterable[Mapping[str, Any]], name: str, what: str, where: str) -> Mapping[str, Any]:
    """The entry of a name; `what` it is and `where` it is asked for go into the message when there is none."""
    entries = list(entries)
    for entry in entries:
        if entry["name"] == name:
            return entry
    near = difflib.get_close_matches(str(name), [entry["name"] for entry in entries], 1, cutoff=0.4)
    raise UserError(f"{where}: there is no {what} named {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def scene(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """What is rendered for a split: its images, or the clips that its frames are sampled from."""
    if entry["kind"] == "rendered":
        return {key: entry[key] for key in ("scene", "domain", "images", "size", "seed")}
    return dict(entry["clips"]) if entry["kind"] == "videos" and entry["videos"] == RENDERED else None


def split_arguments(
    entry: Mapping[str, Any], split_id: str, sources: Sequence[str], config: Mapping[str, Any], paths: Paths
) -> dict[str, Any]:
    """What `splits.make_split` (or `videos.read_spec`) needs to make a split, from its config entry."""
    kind, num_keypoints = entry["kind"], config["num_keypoints"]
    if kind == "coco_release":
        return {
            "kind": "coco_part",
            "part": entry["part"],
            "data_root": config["data_root"],
            "drop_ids": list(entry.get("drop_ids", [])),
            "max_damaged_fraction": entry["max_damaged_fraction"],
            **annotated(entry["task"], num_keypoints),
        }
    if kind == "videos":
        rendered = entry["videos"] == RENDERED
        return {
            "kind": kind,
            "videos_dir": paths.clips(split_id) if rendered else entry["videos"],
            "dataset": f"rendered clips {split_id}" if rendered else entry["videos"],
            "list_file": entry["list"],
            "seed": entry["seed"],
            "count": entry["count"],
            "quality": entry["jpeg_quality"],
            "max_side": entry["max_size"],
        }
    if kind == "rendered":
        return {
            "kind": kind,
            "images_dir": paths.split_images(split_id),
            "annotations": paths.scene_annotations(split_id),
            "dataset": f"rendered {entry['scene']}",
            **annotated("keypoints" if entry["scene"] == "people" else "objects", num_keypoints),
        }
    if kind == "coco":
        return {
            "kind": kind,
            "images_dir": entry["images"],
            "annotations": entry["annotations"],
            "dataset": entry["dataset"] or entry["images"],
            "annotated": entry["labelled"],
            "max_damaged_fraction": entry["max_damaged_fraction"],
            "drop_ids": list(entry["drop_ids"]),
            **annotated(entry["task"], num_keypoints),
        }
    if kind == "folder":
        return {
            "kind": kind,
            "images_dir": entry["images"],
            "dataset": entry["images"],
            "task": "objects",
            "max_damaged_fraction": entry["max_damaged_fraction"],
        }
    if kind == "unlabelled":
        return {"kind": kind, "split": sources[0]}
    if kind == "union":
        return {"kind": kind, "splits": list(sources)}
    return {"kind": kind, "split": sources[0], "rho": entry["fraction"], "seed": entry["seed"]}


def annotated(task: str, num_keypoints: int | None) -> dict[str, Any]:
    """The arguments of a split with annotations."""
    return {"task": task, "num_keypoints": num_keypoints if task == "keypoints" else None}


def tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as specs hold them: lists as tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def training_spec(values: Mapping[str, Any], where: str, *, labelled_only: bool) -> TrainingSpec:
    """The schedule, with `batch_scale` applied to batch and learning rate together (linear scaling).

    What a model without a label set doesn't use is set to its default, so that it can't change its digest.
    """
    values = tuples(values)
    scale = float(values.pop("batch_scale", 1.0))
    for key in ("iterations", "batch_size", "learning_rate"):
        if key not in values:
            raise UserError(f"{where}: training: the key {key!r} is missing; give it there or under defaults")
    spec = TrainingSpec(**values)
    batch = max(1, round(spec.batch_size * scale))
    spec = dataclasses.replace(
        spec, batch_size=batch, learning_rate=float(spec.learning_rate) * batch / spec.batch_size
    )
    return dataclasses.replace(spec, labelled_ratio=1.0, generated_background=True) if labelled_only else spec


def thousands(iterations: int) -> str:
    """130000 as 130k."""
    return f"{iterations // 1000}k" if iterations % 1000 == 0 else str(iterations)


def check_annotated(split: Split, task: str, where: str) -> None:
    """Refuse a split whose annotations a task can't learn from, or that has none."""
    for leaf in split.leaves:
        annotated_for = (
            leaf.arguments.get("task") if leaf.arguments.get("annotated", leaf.kind not in UNANNOTATED_KINDS) else None
        )
        if split.kind == "unlabelled" or annotated_for is None:
            raise UserError(f"{where}: split {split.name!r} has no annotations; name an annotated one")
        if task == "keypoints" and annotated_for != task:
            raise UserError(
                f"{where}: split {leaf.name!r} is annotated for {annotated_for}, not for {task}; name another"
            )


def check_teacher(teacher: Model | None, task: str, network: NetworkSpec, initial: str, where: str) -> None:
    """Refuse a teacher that labels another task, and one whose weights a student can't start from."""
    if teacher is None:
        if initial == "teacher":
            raise UserError(f"{where}: initial: teacher needs a label_set, whose teacher it starts from")
        return
    if teacher.task != task:
        raise UserError(
            f"{where}: label_set: its teacher {teacher.name!r} labels {teacher.task}, this model learns {task}"
        )
    if initial == "teacher" and teacher.spec.network != network:
        raise UserError(
            f"{where}: initial: teacher {teacher.name!r} has another network; give both the same, or another initial"
        )


# --- rows of tables


def baseline_rows(baseline: int | list[int] | None) -> list[int]:
    """The rows, counted from 1, that a config's `baseline` names."""
    return [] if baseline is None else baseline if isinstance(baseline, list) else [baseline]


def row_models(row: Mapping[str, Any]) -> list[str]:
    """The models of a table's row: one, or the candidates among which the best is shown."""
    return [row["model"]] if "model" in row else list(row["best_of"])


def check_rows(table: Mapping[str, Any], published: Published) -> None:
    """Refuse a table whose rows don't fit its columns, name a baseline that isn't there, or a row the paper hasn't."""
    where = f"tables: {table['name']}"
    _check_baseline(table["baseline"], len(table["rows"]), where)
    for number, row in enumerate(table["rows"], 1):
        at = f"{where}: row {number}"
        _check_baseline(row["baseline"], len(table["rows"]), at)
        if len(row["cells"]) != len(table["columns"]):
            raise UserError(
                f"{at}: it has {len(row['cells'])} cells for {len(table['columns'])} columns; give one a column"
            )
        if row["published"] is not None:
            try:
                published.row(row["published"])
            except UserError as error:
                raise UserError(f"{at}: {error}") from None


def _check_baseline(baseline: int | list[int] | None, rows: int, where: str) -> None:
    for row in baseline_rows(baseline):
        if row > rows:
            raise UserError(f"{where}: baseline: there is no row {row}; the table has {rows}")
