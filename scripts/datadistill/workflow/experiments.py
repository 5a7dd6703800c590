"""From a config to everything that it asks for: splits, models, label sets and evaluations, each once, each by name.

A table is a list of rows; a row names a model; a model names its splits, its schedule and the label set it learns from;
a label set names its teacher, its transforms and its thresholds. This resolves the names, expands the seeds and finds
equal specs (a model shared by five tables is trained once). Results hold each other (see `registry`): an id is for
files and people, and never parsed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datadistill.errors import UserError
from datadistill.keys import read
from datadistill.label.passes import first_pass, second_pass
from datadistill.model.network import check_backbone
from datadistill.report.published import Published, load_published
from datadistill.specs import (
    LEAST_MARGIN,
    EvaluationSpec,
    GateSpec,
    LabelSetSpec,
    ModelSpec,
    NetworkSpec,
    PredictionsSpec,
    RefinementSpec,
    Spec,
)
from datadistill.tasks.task import get_task
from datadistill.transforms import TestScale, Transform, transform_set
from datadistill.workflow.entries import (
    by_name,
    check_annotated,
    check_proposals,
    check_rows,
    check_teacher,
    refuse_repeated,
    row_models,
    splits_of,
    thousands,
    training_spec,
)
from datadistill.workflow.held_out import row_labels
from datadistill.workflow.paths import Paths
from datadistill.workflow.presets import preset_weights
from datadistill.workflow.registry import (
    Evaluation,
    Gate,
    LabelSet,
    Model,
    Predictions,
    Refinement,
    Split,
    Weights,
)
from datadistill.workflow.report_registry import HeldOutLabels

# What the paper prints, row by row.
PUBLISHED = Path(__file__).resolve().parents[3] / "config" / "published.yaml"


@dataclass
class Experiments:
    """Everything that a config names, by id (`models`, `label_sets`, ...) and by (name, seed)."""

    config: Mapping[str, Any]
    paths: Paths
    splits: dict[str, Split] = field(default_factory=dict)
    split_ids: dict[str, str] = field(default_factory=dict)
    weights: dict[str, Weights] = field(default_factory=dict)
    models: dict[str, Model] = field(default_factory=dict)
    predictions: dict[str, Predictions] = field(default_factory=dict)
    gates: dict[str, Gate] = field(default_factory=dict)
    refinements: dict[str, Refinement] = field(default_factory=dict)
    label_sets: dict[str, LabelSet] = field(default_factory=dict)
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    held_out_labels: dict[str, HeldOutLabels] = field(default_factory=dict)
    # Times the target's boxes that pass each gate, by its id: the most that a label set asks for. No part of a gate's
    # identity, as labels don't depend on it.
    gate_margins: dict[str, float] = field(default_factory=dict)
    _models: dict[tuple[str, int], Model] = field(default_factory=dict)
    _label_sets: dict[tuple[str, int], LabelSet] = field(default_factory=dict)
    _predictions: dict[Spec, Predictions] = field(default_factory=dict)
    _resolving: list[str] = field(default_factory=list)

    # --- splits -----------------------------------------------------------------------------------------------

    def split(self, name: str, where: str) -> Split:
        """The split of a name; `where` names the config key that asked for it."""
        if name in self.split_ids:
            return self.splits[self.split_ids[name]]
        entry = by_name(self.config["splits"], name, "split", where)
        self._enter(f"split {name}")
        for made in splits_of(entry, self.config, self.paths, self.split):
            self.splits.setdefault(made.id, made)
            self.split_ids[name] = made.id
        self._leave()
        return self.splits[self.split_ids[name]]

    # --- models -----------------------------------------------------------------------------------------------

    def model(self, name: str, seed: int, where: str) -> Model:
        """The model of a name and seed."""
        if (name, seed) in self._models:
            return self._models[name, seed]
        entry = by_name(self.config["models"], name, "model", where)
        where = f"models: {name}"
        self._enter(f"model {name}")
        task = get_task(entry["task"])
        defaults = self.config["defaults"].get(task.name, {})
        labelled = self.split(entry["labelled"], f"{where}: labelled")
        check_annotated(labelled, task.name, f"{where}: labelled")
        label_set = self.label_set(entry["label_set"], seed, f"{where}: label_set") if entry.get("label_set") else None
        network = read(NetworkSpec, {**defaults.get("network", {}), **entry.get("network", {})}, f"{where}: network")
        check_backbone(network.backbone, f"{where}: network: backbone")
        if network.backbone.startswith("timm:") and network.norm == "GN":
            raise UserError(f"{where}: network: norm: a timm backbone takes FrozenBN, BN or SyncBN, not {network.norm}")
        training = training_spec(
            {**defaults.get("training", {}), **entry.get("training", {})}, where, labelled_only=label_set is None
        )
        initial = entry.get("initial", defaults.get("initial", "imagenet"))
        teacher = label_set.teacher if label_set else None
        check_teacher(teacher, task.name, network, initial, where)
        proposals = entry.get("proposals", defaults.get("proposals", "joint"))
        check_proposals(teacher, network, initial, proposals, where)
        weights = self._weights(network.backbone) if initial == "imagenet" else None
        fraction = float(entry.get("fraction", 1.0)) if label_set else 1.0
        spec = ModelSpec(
            task=task.name,
            network=network,
            training=training,
            labelled=labelled.digest,
            label_set=label_set.digest if label_set else None,
            fraction=fraction,
            fraction_seed=int(self.config["fraction_seed"]) if fraction < 1 else 0,
            initial=initial,
            weights=teacher.digest if teacher and initial == "teacher" else weights and weights.source.get("release"),
            seed=seed,
            test_scale=TestScale(**{**defaults.get("test_scale", {}), **entry.get("test_scale", {})}),
            proposals=proposals,
        )
        parts = labelled.name + (f"+{label_set.split.name}" if label_set else "")
        length = thousands(training.iterations)
        model_id = f"{task.name}_{network.backbone.replace(':', '-')}_{parts}_{length}_s{seed}.{spec.digest}"
        judge = self.config["evaluate_on"].get(task.name)
        held_out = {self.split(judge, f"evaluate_on: {task.name}"): None} if judge else {}
        if known := self.models.get(model_id):
            held_out = known.held_out
        model = Model(
            model_id,
            self.paths,
            spec,
            name,
            seed,
            labelled,
            label_set,
            teacher if initial == "teacher" else weights,
            held_out,
        )
        self.models.setdefault(model_id, model)
        self._models[name, seed] = model
        self._leave()
        return model

    def _weights(self, backbone: str) -> Weights:
        """The initial weights of a backbone."""
        entry = by_name(
            [*self.config["weights"], *preset_weights()],
            backbone,
            "entry of weights",
            f"weights: for backbone {backbone}",
        )
        release = f"@{entry['release']}" if "release" in entry else ""
        made = Weights(f"{backbone.replace(':', '-')}{release}", self.paths, entry)
        return self.weights.setdefault(made.id, made)

    # --- the label chain --------------------------------------------------------------------------------------

    def label_set(self, name: str, seed: int, where: str) -> LabelSet:
        """The label set of a name, generated by its teacher of the same seed."""
        if (name, seed) in self._label_sets:
            return self._label_sets[name, seed]
        entry = by_name(self.config["label_sets"], name, "label set", where)
        where = f"label_sets: {name}"
        self._enter(f"label set {name}")
        options = {**self.config["labelling"], **entry}
        teacher = self.model(entry["teacher"], seed, f"{where}: teacher")
        split = self.split(entry["unlabelled"], f"{where}: unlabelled")
        task = get_task(teacher.task)
        count = options["count_instances"] or task.default_count_instances
        transforms = self.transforms(options["transforms"], teacher.spec, f"{where}: transforms")
        predictions = self._add_predictions(teacher, split, transforms, options)
        refinement = None
        if task.refines:
            gate = self._add_gate(predictions, count, options)
            refinement = self._add_refinement(predictions, gate, transforms, options)
        spec = LabelSetSpec(
            predictions=predictions.digest,
            refinement=refinement.spec.of_every_box.digest if refinement else None,
            labelled=teacher.labelled.digest,
            count_instances=count,
            instance_ratio=float(options["instance_ratio"]),
            keypoint_ratio=float(options["keypoint_ratio"]),
            instance_threshold=options["instance_threshold"],
            keypoint_threshold=options["keypoint_threshold"],
            per_category=bool(options["per_category"]),
        )
        label_set_id = f"{teacher.task}_{split.name}_by_{teacher.name}_s{seed}.{spec.digest}"
        label_set = LabelSet(label_set_id, self.paths, spec, name, predictions, refinement)
        self.label_sets.setdefault(label_set.id, label_set)
        self._label_sets[name, seed] = label_set
        self._leave()
        return label_set

    def transforms(self, name: str, spec: ModelSpec, where: str) -> tuple[Transform, ...]:
        """The transforms of a named set; "plain" is the model's test scale alone."""
        if name == "plain":
            return (spec.test_scale.transform(),)
        entry = by_name(self.config["transform_sets"], name, "transform set", where)
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
        spec = first_pass(
            get_task(model.task),
            model.digest,
            model.spec.test_scale,
            split.digest,
            transforms,
            options,
            last=plain_keypoints,
        )
        return self.known_predictions(spec, model, split)

    def known_predictions(self, spec: PredictionsSpec, model: Model, split: Split) -> Predictions:
        """The predictions of a spec: those that are there, or new ones."""
        if spec not in self._predictions:
            made = Predictions(
                f"{model.name}_on_{split.name}_s{model.seed}.{spec.digest}", self.paths, spec, model, split
            )
            self._predictions[spec] = self.predictions[made.id] = made
        return self._predictions[spec]

    def _add_gate(self, predictions: Predictions, count: str, options: Mapping[str, Any]) -> Gate:
        """The gate of a label set: it covers what the thresholds can keep, and `gate_margin` widens it."""
        fixed, ratio = options["instance_threshold"], float(options["instance_ratio"])
        spec = GateSpec(
            predictions=predictions.digest,
            labelled=predictions.model.labelled.digest,
            count_instances=count,
            covers=None if fixed is not None else max(LEAST_MARGIN, ratio),
            threshold=None if fixed is None else float(fixed),
            # A threshold fixed by the config is one for all.
            per_category=bool(options["per_category"]) and fixed is None,
        )
        made = Gate(f"{predictions.split.name}.{spec.digest}", self.paths, spec, predictions)
        margins = (self.gate_margins.get(made.id, LEAST_MARGIN), float(options["gate_margin"]))
        self.gate_margins[made.id] = max(margins)
        return self.gates.setdefault(made.id, made)

    def _add_refinement(
        self,
        predictions: Predictions,
        gate: Gate | None,
        transforms: tuple[Transform, ...],
        options: Mapping[str, Any],
    ) -> Refinement:
        spec = second_pass(predictions.digest, transforms, options, gate=gate.digest if gate else None)
        return self.known_refinement(spec, predictions, gate)

    def known_refinement(self, spec: RefinementSpec, predictions: Predictions, gate: Gate | None) -> Refinement:
        """The refinement of a spec: the one that is there, or a new one."""
        name = f"{predictions.split.name}_{len(spec.transforms)}-transforms.{spec.digest}"
        return self.refinements.setdefault(name, Refinement(name, self.paths, spec, predictions, gate))

    # --- evaluation -------------------------------------------------------------------------------------------

    def evaluation(self, model: Model, split_name: str, mode: str, where: str) -> Evaluation:
        """COCO metrics of a model on a split; `mode` is "plain", "augmented" (with the labelling transforms), or the name of
        a transform set."""
        split = self.split(split_name, where)
        task = get_task(model.task)
        options = self.config["labelling"]
        mode = "augmented" if mode == options["transforms"] != "plain" else mode
        augmented = mode != "plain"
        named, at = (options["transforms"], "labelling: transforms") if mode == "augmented" else (mode, where)
        transforms = self.transforms(named, model.spec, at)
        predictions = self._add_predictions(model, split, transforms, options, plain_keypoints=not augmented)
        refines = augmented and task.refines
        refinement = self._add_refinement(predictions, None, transforms, options) if refines else None
        spec = EvaluationSpec(predictions.digest, refinement.digest if refinement else None, split.digest)
        made = Evaluation(
            f"{model.id}/{split.name}/{mode}.{spec.digest}", self.paths, spec, mode, predictions, refinement
        )
        if model.task not in self.config["evaluate_on"]:
            model.held_out.setdefault(split)
        return self.evaluations.setdefault(made.id, made)

    def row_evaluations(self, row: Mapping[str, Any], where: str) -> list[Evaluation]:
        """One evaluation a seed of a row's model."""
        mode = row.get("mode", "plain")
        seeds = self.config["seeds"]
        models = [self.model(row["model"], seed, f"{where}: model") for seed in seeds]
        task = models[0].task
        split = row.get("split") or self.config["evaluate_on"].get(task)
        if split is None:
            raise UserError(f"evaluate_on: no split for task {task}, which {where} needs; name one")
        named = f"{where}: split" if row.get("split") else f"evaluate_on: {task}"
        check_annotated(self.split(split, named), task, named)
        return [self.evaluation(model, split, mode, f"{where}: mode") for model in models]

    # --- helpers ----------------------------------------------------------------------------------------------

    def _enter(self, name: str) -> None:
        if name in self._resolving:
            raise UserError(f"{' -> '.join([*self._resolving, name])} goes in a circle; break it")
        self._resolving.append(name)

    def _leave(self) -> None:
        self._resolving.pop()


def build_experiments(config: Mapping[str, Any]) -> Experiments:
    """Resolve every row of every table and every figure of a validated config."""
    experiments = Experiments(config, Paths(config["run"]))
    for key in ("splits", "models", "label_sets", "weights", "transform_sets", "tables", "figures"):
        refuse_repeated(config[key], key)
    for entry in config["transform_sets"]:
        if entry["name"] in ("plain", "augmented"):
            raise UserError(
                f"transform_sets: the name {entry['name']!r} is taken by the mode of that name; choose another"
            )
    # Both are targets of one command line.
    refuse_repeated([*config["tables"], *config["figures"]], "tables and figures")
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
    check_rows(table, published)
    for number, row in enumerate(table["rows"], 1):
        where = f"tables: {table['name']}: row {number}"
        for name in row_models(row):
            for evaluation in experiments.row_evaluations({**row, "model": name}, where):
                if evaluation.model.task != table["task"]:
                    raise UserError(
                        f"{where}: model {name!r} learns {evaluation.model.task}, but the table's task is {table['task']}"
                    )
        if "model" in row:
            row_labels(experiments, table, row["model"])
