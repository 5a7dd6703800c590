"""From a config to everything that it asks for: splits, models, label sets and evaluations, each once, each by name.

A table is a list of rows; a row names a model; a model names its splits, its schedule and the label set it learns from;
a label set names its teacher, its transforms and its thresholds. This registry resolves the names, expands the seeds and
finds equal specs (a model shared by five tables is trained once). Names are looked up here, never parsed back.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from datadistill.data.coco_releases import PARTS
from datadistill.data.specs import CocoRelease, SplitSpec, made_of, split_spec
from datadistill.errors import UserError
from datadistill.files import digest
from datadistill.keys import read, required
from datadistill.model.network import check_backbone
from datadistill.report.published import Published, load_published
from datadistill.specs import (
    STAGE_VERSIONS,
    EvaluationSpec,
    GateSpec,
    LabelSetSpec,
    ModelSpec,
    NetworkSpec,
    PredictionsSpec,
    RefinementSpec,
    TrainingOptions,
    TrainingSpec,
)
from datadistill.tasks.task import get_task
from datadistill.transforms import TestScale, Transform, transform_set
from datadistill.workflow.paths import Paths

# What the paper prints, row by row.
PUBLISHED = Path(__file__).resolve().parents[3] / "config" / "published.yaml"


@dataclass(frozen=True)
class Split:
    """A named list of images. `id` names its file; `sources` are the ids of the splits it is made from.

    `spec` is its entry of the config, with the ids of its sources in place of their names; `downloads` what must be
    fetched first, by name.
    """

    name: str
    id: str
    spec: SplitSpec
    sources: tuple[str, ...]
    downloads: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return self.spec.kind

    @property
    def shards(self) -> int:
        return self.spec.shards


@dataclass(frozen=True)
class Model:
    """A model of one seed. `label_set` is the id of the label set it learns from, or None."""

    name: str
    seed: int
    id: str
    spec: ModelSpec
    labelled: str
    label_set: str | None
    teacher: str | None
    splits: tuple[str, ...]


@dataclass(frozen=True)
class Predictions:
    id: str
    spec: PredictionsSpec
    model: str
    split: str
    shards: int


@dataclass(frozen=True)
class Gate:
    id: str
    spec: GateSpec
    predictions: str
    labelled: str


@dataclass(frozen=True)
class Refinement:
    id: str
    spec: RefinementSpec
    predictions: str
    gate: str | None


@dataclass(frozen=True)
class LabelSet:
    """Labels of one seed's teacher. `truth` names the split that holds the hidden truth, or None."""

    name: str
    seed: int
    id: str
    spec: LabelSetSpec
    teacher: str
    split: str
    labelled: str
    predictions: str
    refinement: str | None
    truth: str | None


@dataclass(frozen=True)
class Evaluation:
    id: str
    spec: EvaluationSpec
    model: str
    split: str
    mode: str
    predictions: str
    refinement: str | None


@dataclass
class Experiments:
    """Everything that a config names, by id (`models`, `label_sets`, ...) and by (name, seed)."""

    config: Mapping[str, Any]
    paths: Paths
    splits: dict[str, Split] = field(default_factory=dict)
    split_ids: dict[str, str] = field(default_factory=dict)
    models: dict[str, Model] = field(default_factory=dict)
    predictions: dict[str, Predictions] = field(default_factory=dict)
    gates: dict[str, Gate] = field(default_factory=dict)
    refinements: dict[str, Refinement] = field(default_factory=dict)
    label_sets: dict[str, LabelSet] = field(default_factory=dict)
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    _models: dict[tuple[str, int], Model] = field(default_factory=dict)
    _label_sets: dict[tuple[str, int], LabelSet] = field(default_factory=dict)
    _resolving: list[str] = field(default_factory=list)

    # --- splits -----------------------------------------------------------------------------------------------

    def split(self, name: str, where: str) -> Split:
        """The split of a name; `where` names the config key that asked for it."""
        if name in self.split_ids:
            return self.splits[self.split_ids[name]]
        entry = _by_name(self.config["splits"], name, "split", where)
        self._enter(f"split {name}")
        spec = split_spec(entry, self.config)
        sources = tuple(self.split(source, f"splits: {name}: of").id for source in spec.sources)
        spec = made_of(spec, sources)
        number = digest({"stage": "split", "version": STAGE_VERSIONS["split"], **spec.identity()})
        downloads = PARTS[spec.part].downloads if isinstance(spec, CocoRelease) and self.config["fetch"] else ()
        split = Split(name, f"{name}.{number}", spec, sources, downloads)
        self.splits[split.id] = split
        self.split_ids[name] = split.id
        self._leave()
        return split

    def leaf_splits(self, split_id: str) -> tuple[str, ...]:
        """The ids of the splits of images that a split is made of: itself, or its sources' leaves."""
        split = self.splits[split_id]
        leaves = [leaf for source in split.sources for leaf in self.leaf_splits(source)]
        return tuple(dict.fromkeys(leaves)) or (split_id,)

    def _check_annotated(self, split: Split, task: str, where: str) -> None:
        """Refuse a split whose annotations a task can't learn from, or that has none."""
        for leaf in (self.splits[name] for name in self.leaf_splits(split.id)):
            annotated_for = leaf.spec.annotated_for
            if split.kind == "unlabelled" or annotated_for is None:
                raise UserError(f"{where}: split {split.name!r} has no annotations; name an annotated one")
            if not get_task(task).learns_from(annotated_for):
                raise UserError(
                    f"{where}: split {leaf.name!r} is annotated for {annotated_for}, not for {task}; name another"
                )

    # --- models -----------------------------------------------------------------------------------------------

    def model(self, name: str, seed: int, where: str) -> Model:
        """The model of a name and seed."""
        if (name, seed) in self._models:
            return self._models[name, seed]
        entry = _by_name(self.config["models"], name, "model", where)
        where = f"models: {name}"
        self._enter(f"model {name}")
        task = get_task(entry["task"])
        defaults = self.config["defaults"].get(task.name, {})
        labelled = self.split(entry["labelled"], f"{where}: labelled")
        self._check_annotated(labelled, task.name, f"{where}: labelled")
        label_set = self.label_set(entry["label_set"], seed, f"{where}: label_set") if entry.get("label_set") else None
        network = read(NetworkSpec, {**defaults.get("network", {}), **entry.get("network", {})}, f"{where}: network")
        check_backbone(network.backbone, f"{where}: network: backbone")
        if network.backbone.startswith("timm:") and network.norm == "GN":
            raise UserError(f"{where}: network: norm: a timm backbone takes FrozenBN, BN or SyncBN, not {network.norm}")
        training = _training(
            {**defaults.get("training", {}), **entry.get("training", {})}, where, labelled_only=label_set is None
        )
        initial = entry.get("initial", defaults.get("initial", "imagenet"))
        teacher = self.models[label_set.teacher] if label_set else None
        if initial == "teacher" and teacher is None:
            raise UserError(f"{where}: initial: teacher needs a label_set, whose teacher it starts from")
        if teacher is not None and teacher.spec.task != task.name:
            raise UserError(
                f"{where}: label_set: its teacher {teacher.name!r} labels {teacher.spec.task}, this model learns {task.name}"
            )
        if initial == "teacher" and teacher is not None and teacher.spec.network != network:
            raise UserError(
                f"{where}: initial: teacher {teacher.name!r} has another network; give both the same, or another initial"
            )
        fraction = float(entry.get("fraction", 1.0)) if label_set else 1.0
        spec = ModelSpec(
            task=task.name,
            network=network,
            training=training,
            labelled=labelled.id.rsplit(".", 1)[1],
            label_set=label_set.id.rsplit(".", 1)[1] if label_set else None,
            fraction=fraction,
            fraction_seed=int(self.config["fraction_seed"]) if fraction < 1 else 0,
            initial=initial,
            weights=_weights_identity(initial, teacher, network, self.config),
            seed=seed,
            test_scale=TestScale(**{**defaults.get("test_scale", {}), **entry.get("test_scale", {})}),
        )
        parts = labelled.name + (f"+{self.splits[label_set.split].name}" if label_set else "")
        model_id = f"{task.name}_{network.backbone.replace(':', '-')}_{parts}_{_thousands(training.iterations)}_s{seed}.{spec.digest}"
        splits = dict.fromkeys(
            [labelled.id, *([label_set.split, *self.models[label_set.teacher].splits] if label_set else [])]
        )
        model = Model(
            name,
            seed,
            model_id,
            spec,
            labelled.id,
            label_set.id if label_set else None,
            teacher.id if teacher else None,
            tuple(splits),
        )
        self.models.setdefault(model_id, model)
        self._models[name, seed] = model
        self._leave()
        return model

    # --- the label chain --------------------------------------------------------------------------------------

    def label_set(self, name: str, seed: int, where: str) -> LabelSet:
        """The label set of a name, generated by its teacher of the same seed."""
        if (name, seed) in self._label_sets:
            return self._label_sets[name, seed]
        entry = _by_name(self.config["label_sets"], name, "label set", where)
        where = f"label_sets: {name}"
        self._enter(f"label set {name}")
        options = {**self.config["labelling"], **entry}
        teacher = self.model(entry["teacher"], seed, f"{where}: teacher")
        split = self.split(entry["unlabelled"], f"{where}: unlabelled")
        task = get_task(teacher.spec.task)
        count = options["count_instances"] or task.default_count_instances
        transforms = self.transforms(options["transforms"], teacher.spec, f"{where}: transforms")
        predictions = self._add_predictions(teacher, split, transforms, options)
        labelled_digest = teacher.labelled.rsplit(".", 1)[1]
        refinement = None
        if task.refines:
            gate_spec = GateSpec(predictions.spec.digest, labelled_digest, count, float(options["gate_margin"]))
            gate = Gate(f"{split.name}.{gate_spec.digest}", gate_spec, predictions.id, teacher.labelled)
            self.gates.setdefault(gate.id, gate)
            refinement = self._add_refinement(predictions, gate, transforms, options, split.name)
        spec = LabelSetSpec(
            predictions=predictions.spec.digest,
            refinement=refinement.spec.digest if refinement else None,
            labelled=labelled_digest,
            count_instances=count,
            instance_ratio=float(options["instance_ratio"]),
            keypoint_ratio=float(options["keypoint_ratio"]),
            instance_threshold=options["instance_threshold"],
            keypoint_threshold=options["keypoint_threshold"],
            per_category=bool(options["per_category"]),
        )
        truth = split.sources[0] if split.kind == "unlabelled" else None
        label_set = LabelSet(
            name,
            seed,
            f"{teacher.id.split('_')[0]}_{split.name}_by_{teacher.name}_s{seed}.{spec.digest}",
            spec,
            teacher.id,
            split.id,
            teacher.labelled,
            predictions.id,
            refinement.id if refinement else None,
            truth,
        )
        self.label_sets.setdefault(label_set.id, label_set)
        self._label_sets[name, seed] = label_set
        self._leave()
        return label_set

    def transforms(self, name: str, spec: ModelSpec, where: str) -> tuple[Transform, ...]:
        """The transforms of a named set; "plain" is the model's test scale alone."""
        if name == "plain":
            return (spec.test_scale.transform(),)
        entry = _by_name(self.config["transform_sets"], name, "transform set", where)
        return transform_set(entry)

    def _add_predictions(
        self,
        model: Model,
        split: Split,
        transforms: tuple[Transform, ...],
        options: Mapping[str, Any],
        *,
        plain_keypoints: bool = False,
    ) -> Predictions:
        task = get_task(model.spec.task)
        plain = (model.spec.test_scale.transform(),)
        chosen, keypoints = task.first_pass(transforms, plain, last=plain_keypoints)
        spec = PredictionsSpec(
            model=model.spec.digest,
            split=split.id.rsplit(".", 1)[1],
            transforms=chosen,
            score_floor=float(options["score_floor"]),
            nms=float(options["nms"]),
            max_detections=int(options["max_detections"]),
            voting=None if chosen == plain else options["voting"],
            keypoints=keypoints,
        )
        for known in self.predictions.values():
            if known.spec == spec:
                return known
        made = Predictions(
            f"{model.name}_on_{split.name}_s{model.seed}.{spec.digest}", spec, model.id, split.id, split.shards
        )
        return self.predictions.setdefault(made.id, made)

    def _add_refinement(
        self,
        predictions: Predictions,
        gate: Gate | None,
        transforms: tuple[Transform, ...],
        options: Mapping[str, Any],
        split: str,
    ) -> Refinement:
        spec = RefinementSpec(
            predictions=predictions.spec.digest,
            gate=gate.spec.digest if gate else None,
            transforms=transforms,
            average=options["average"],
            size_dependent=bool(options["size_dependent"]),
        )
        made = Refinement(
            f"{split}_{len(transforms)}-transforms.{spec.digest}", spec, predictions.id, gate.id if gate else None
        )
        return self.refinements.setdefault(made.id, made)

    # --- evaluation -------------------------------------------------------------------------------------------

    def evaluation(self, model: Model, split_name: str, mode: str, where: str) -> Evaluation:
        """COCO metrics of a model on a split; `mode` is "plain", "augmented" (with the labelling transforms), or the name of
        a transform set."""
        split = self.split(split_name, where)
        task = get_task(model.spec.task)
        options = self.config["labelling"]
        mode = "augmented" if mode == options["transforms"] != "plain" else mode
        augmented = mode != "plain"
        named, at = (options["transforms"], "labelling: transforms") if mode == "augmented" else (mode, where)
        transforms = self.transforms(named, model.spec, at)
        predictions = self._add_predictions(model, split, transforms, options, plain_keypoints=not augmented)
        refinement = (
            self._add_refinement(predictions, None, transforms, options, split.name)
            if augmented and task.refines
            else None
        )
        spec = EvaluationSpec(
            predictions.spec.digest, refinement.spec.digest if refinement else None, split.id.rsplit(".", 1)[1]
        )
        made = Evaluation(
            f"{model.id}/{split.name}/{mode}.{spec.digest}",
            spec,
            model.id,
            split.id,
            mode,
            predictions.id,
            refinement.id if refinement else None,
        )
        return self.evaluations.setdefault(made.id, made)

    def row_evaluations(self, row: Mapping[str, Any], where: str) -> list[Evaluation]:
        """One evaluation a seed of a row's model."""
        mode = row.get("mode", "plain")
        seeds = self.config["seeds"]
        models = [self.model(row["model"], seed, f"{where}: model") for seed in seeds]
        task = models[0].spec.task
        split = row.get("split") or self.config["evaluate_on"].get(task)
        if split is None:
            raise UserError(f"evaluate_on: no split for task {task}, which {where} needs; name one")
        named = f"{where}: split" if row.get("split") else f"evaluate_on: {task}"
        self._check_annotated(self.split(split, named), task, named)
        scored = get_task(task).scored_keypoints
        if scored is not None and (count := self.config.get("num_keypoints")) not in (None, scored):
            raise UserError(
                f"num_keypoints: {count}: {where} is scored with COCO's keypoint similarity, which is defined for "
                f"{scored} keypoints only; leave the tables' rows out to train and label without scores"
            )
        return [self.evaluation(model, split, mode, f"{where}: mode") for model in models]

    def evaluation_splits(self, model_id: str) -> tuple[str, ...]:
        """Ids of the splits that a model, or a student of it, is evaluated on."""
        return tuple(dict.fromkeys(e.split for e in self.evaluations.values() if e.model == model_id))

    def compared_label_set(self, label_set: LabelSet) -> LabelSet | None:
        """The label set that the quality of this one is shown beside (`compare_with`), if the config names one."""
        entry = _by_name(self.config["label_sets"], label_set.name, "label set", "label_sets")
        if "compare_with" not in entry:
            return None
        other = self.label_set(entry["compare_with"], label_set.seed, f"label_sets: {label_set.name}: compare_with")
        if other.split != label_set.split:
            raise UserError(f"label_sets: {label_set.name}: compare_with: {other.name} labels another split")
        return other

    def label_set_mode(self, label_set: LabelSet) -> str:
        """The mode of evaluation that has the transforms of a label set."""
        entry = _by_name(self.config["label_sets"], label_set.name, "label set", "label_sets")
        default = self.config["labelling"]["transforms"]
        chosen = entry.get("transforms", default)
        return "augmented" if chosen == default != "plain" else chosen

    def _held_out(self, model: Model) -> tuple[str, ...]:
        """Ids of the splits that judge a model: the one of its task, or those of its rows where the task has none."""
        name = self.config["evaluate_on"].get(model.spec.task)
        return (self.split(name, "evaluate_on").id,) if name else self.evaluation_splits(model.id)

    def disjoint_splits(self, model_id: str) -> list[tuple[str, str]]:
        """Pairs of split ids that must not share an image: what the model learns from, directly or through its teachers,
        against the split its task is evaluated on, and labelled images against unlabelled ones.

        Splits that only some rows are evaluated on are compared with what was drawn, when they are scored: a row more
        must not train its model again.
        """
        model = self.models[model_id]
        trained_on = [model.labelled, *([self.label_sets[model.label_set].split] if model.label_set else [])]
        pairs = [(a, b) for a in model.splits for b in self._held_out(model)] + [
            (a, b) for a in trained_on[:1] for b in trained_on[1:]
        ]
        return list(dict.fromkeys(pairs))

    def labelled_and_held_out(self, model_id: str) -> list[str]:
        """Ids of the annotated splits that must have the same categories: those that the model and its teachers learn
        from, and the one that its task is evaluated on."""
        model = self.models[model_id]
        learned = [model.labelled]
        teacher = self.models[model.teacher] if model.teacher else None
        while teacher:
            learned.append(teacher.labelled)
            teacher = self.models[teacher.teacher] if teacher.teacher else None
        return list(dict.fromkeys([*learned, *self._held_out(model)]))

    def weights_source(self, name: str) -> Mapping[str, Any]:
        """The config's entry of weights whose file is called `name`."""
        return next(entry for entry in self.config["weights"] if self.weights_file(entry["name"]) == name)

    def weights_file(self, backbone: str) -> str:
        """File name of a backbone's initial weights, under results/weights/."""
        entry = _by_name(self.config["weights"], backbone, "entry of weights", "weights")
        suffix = PurePosixPath(entry.get("path") or entry["url"]).suffix
        return f"{backbone.replace(':', '-')}.{digest({k: v for k, v in entry.items() if k != 'name'})}{suffix}"

    # --- helpers ----------------------------------------------------------------------------------------------

    def _enter(self, name: str) -> None:
        if name in self._resolving:
            raise UserError(f"config: {' -> '.join([*self._resolving, name])} goes in a circle; break it")
        self._resolving.append(name)

    def _leave(self) -> None:
        self._resolving.pop()


def build_experiments(config: Mapping[str, Any]) -> Experiments:
    """Resolve every row of every table and every figure of a validated config."""
    experiments = Experiments(config, Paths(config["run"]))
    for key in ("splits", "models", "label_sets", "weights", "transform_sets", "tables", "figures"):
        _refuse_repeated(config[key], key)
    for entry in config["transform_sets"]:
        if entry["name"] in ("plain", "augmented"):
            raise UserError(
                f"transform_sets: the name {entry['name']!r} is taken by the mode of that name; choose another"
            )
    # Both are targets of one command line.
    _refuse_repeated([*config["tables"], *config["figures"]], "tables and figures")
    for entry in config["splits"]:
        experiments.split(entry["name"], "splits")
    for seed in config["seeds"]:
        for entry in config["models"]:
            experiments.model(entry["name"], seed, "models")
        for entry in config["label_sets"]:
            experiments.label_set(entry["name"], seed, "label_sets")
    for task, name in config["evaluate_on"].items():
        experiments.split(name, f"evaluate_on: {task}")
    published = load_published(PUBLISHED)
    for table in config["tables"]:
        _add_rows(experiments, table, published)
    return experiments


def _add_rows(experiments: Experiments, table: Mapping[str, Any], published: Published) -> None:
    """The evaluations of a table's rows, after a check that its parts fit together."""
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
        for name in row_models(row):
            for evaluation in experiments.row_evaluations({**row, "model": name}, at):
                task = experiments.models[evaluation.model].spec.task
                if task != table["task"]:
                    raise UserError(f"{at}: model {name!r} learns {task}, but the table's task is {table['task']}")


def baseline_rows(baseline: int | list[int] | None) -> list[int]:
    """The rows, counted from 1, that a config's `baseline` names."""
    return [] if baseline is None else baseline if isinstance(baseline, list) else [baseline]


def _check_baseline(baseline: int | list[int] | None, rows: int, where: str) -> None:
    for row in baseline_rows(baseline):
        if row > rows:
            raise UserError(f"{where}: baseline: there is no row {row}; the table has {rows}")


def row_models(row: Mapping[str, Any]) -> list[str]:
    """The models of a table's row: one, or the candidates among which the best is shown."""
    return [row["model"]] if "model" in row else list(row["best_of"])


def _refuse_repeated(entries: Sequence[Mapping[str, Any]], key: str) -> None:
    seen: set[str] = set()
    for entry in entries:
        if entry["name"] in seen:
            raise UserError(f"{key}: the name {entry['name']!r} is given twice; rename one")
        seen.add(entry["name"])


def _by_name(entries: Iterable[Mapping[str, Any]], name: str, what: str, where: str) -> Mapping[str, Any]:
    entries = list(entries)
    for entry in entries:
        if entry["name"] == name:
            return entry
    near = difflib.get_close_matches(str(name), [entry["name"] for entry in entries], 1, cutoff=0.4)
    raise UserError(f"{where}: there is no {what} named {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def _training(values: Mapping[str, Any], where: str, *, labelled_only: bool) -> TrainingSpec:
    """The schedule of a model."""
    for key in required(TrainingOptions):
        if key not in values:
            raise UserError(f"{where}: training: the key {key!r} is missing; give it there or under defaults")
    return read(TrainingOptions, values, f"{where}: training").spec(labelled_only=labelled_only)


def _weights_identity(
    initial: str, teacher: Model | None, network: NetworkSpec, config: Mapping[str, Any]
) -> str | None:
    if initial == "teacher" and teacher is not None:
        return teacher.spec.digest
    if initial == "imagenet":
        entry = _by_name(
            config["weights"], network.backbone, "entry of weights", f"weights: for backbone {network.backbone}"
        )
        return entry.get("sha256") or digest({k: v for k, v in entry.items() if k != "name"})
    return None


def _thousands(iterations: int) -> str:
    return f"{iterations // 1000}k" if iterations % 1000 == 0 else str(iterations)
