"""Entries of a config, and what specs and rules make of them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from datadistill.data.coco_releases import PARTS
from datadistill.data.derived_specs import ExclusionSplit
from datadistill.data.specs import CocoRelease, made_of, split_spec
from datadistill.data.split_spec import SplitSpec
from datadistill.errors import UserError
from datadistill.files import digest
from datadistill.keys import read, required
from datadistill.report.published import Published
from datadistill.specs import STAGE_VERSIONS, NetworkSpec, TrainingOptions, TrainingSpec
from datadistill.tasks.task import get_task
from datadistill.workflow.paths import Paths
from datadistill.workflow.registry import Model, Split


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
    names = [entry["name"] for entry in entries]
    near = difflib.get_close_matches(str(name), names, 1, cutoff=0.4)
    advice = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"
    raise UserError(f"{where}: there is no {what} named {name!r}; {advice}")


def splits_of(
    entry: Mapping[str, Any], config: Mapping[str, Any], paths: Paths, find: Callable[[str, str], Split]
) -> list[Split]:
    """The split of an entry, with what the config says for all; with `exclude`, what that leaves of it comes second.

    `find` resolves the name of another split, for the key of the config that asks for it.
    """
    name, spec = entry["name"], split_spec(entry, config)
    sources = tuple(find(source, f"splits: {name}: of") for source in spec.sources)
    downloads = PARTS[spec.part].downloads if isinstance(spec, CocoRelease) and config["fetch"] else ()
    made = [_split(paths, name, made_of(spec, tuple(source.id for source in sources)), sources, downloads)]
    if spec.exclude:
        others = {other.id: other for other in (find(o, f"splits: {name}: exclude") for o in spec.exclude)}
        # In one order: another order of the list leaves out the same.
        left = ExclusionSplit(name=name, shards=spec.shards, of=made[0].id, without=tuple(sorted(others)))
        made.append(_split(paths, name, left, (made[0],), excluded=tuple(others[other] for other in left.without)))
    return made


def _split(
    paths: Paths,
    name: str,
    spec: SplitSpec,
    sources: tuple[Split, ...],
    downloads: tuple[str, ...] = (),
    excluded: tuple[Split, ...] = (),
) -> Split:
    number = digest({"stage": "split", "version": STAGE_VERSIONS["split"], **spec.identity()})
    return Split(f"{name}.{number}", paths, name, number, spec, sources, downloads, excluded)


def training_spec(values: Mapping[str, Any], where: str, *, labelled_only: bool) -> TrainingSpec:
    """The schedule of a model."""
    for key in required(TrainingOptions):
        if key not in values:
            raise UserError(f"{where}: training: the key {key!r} is missing; give it there or under defaults")
    return read(TrainingOptions, values, f"{where}: training").spec(labelled_only=labelled_only)


def thousands(iterations: int) -> str:
    """130000 as 130k."""
    return f"{iterations // 1000}k" if iterations % 1000 == 0 else str(iterations)


def check_annotated(split: Split, task: str, where: str) -> None:
    """Refuse a split whose annotations a task can't learn from, or that has none in any of its parts."""
    bare = next((part for part in _parts(split) if part.kind == "unlabelled"), None)
    if bare is not None:
        of = "" if bare.name == split.name else f" for the images of {bare.name!r}"
        raise UserError(f"{where}: split {split.name!r} has no annotations{of}; name an annotated one")
    for leaf in split.leaves:
        annotated_for = leaf.spec.annotated_for
        if annotated_for is None:
            raise UserError(f"{where}: split {split.name!r} has no annotations; name an annotated one")
        if not get_task(task).learns_from(annotated_for):
            raise UserError(
                f"{where}: split {leaf.name!r} is annotated for {annotated_for}, not for {task}; name another"
            )


def _parts(split: Split) -> Iterator[Split]:
    """A split, and all that it is made from."""
    yield split
    for source in split.sources:
        yield from _parts(source)


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


def check_proposals(teacher: Model | None, network: NetworkSpec, initial: str, proposals: str, where: str) -> None:
    """Refuse proposals that can't be taken over, and weights to start from that have a proposal network of another kind."""
    if proposals == "teacher":
        if teacher is None:
            raise UserError(f"{where}: proposals: teacher needs a label_set, whose teacher's proposals it takes over")
        if teacher.spec.network != network:
            raise UserError(f"{where}: proposals: teacher needs a teacher with the same network; or take joint")
    elif initial == "teacher" and teacher is not None and teacher.spec.proposals != proposals:
        raise UserError(
            f"{where}: initial: teacher starts from one with proposals: {teacher.spec.proposals}; give both the same"
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
