"""Labels that are judged on held-out images: for a table that shows how good the labels are that its models learned from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from datadistill.workflow.entries import check_annotated
from datadistill.workflow.registry import LabelSet, Predictions, Refinement
from datadistill.workflow.report_registry import HeldOutLabels

if TYPE_CHECKING:
    from datadistill.workflow.experiments import Experiments


def row_labels(experiments: Experiments, table: Mapping[str, Any], model: str) -> list[HeldOutLabels]:
    """How good the labels are that a row's model learned from, one a seed, where the table shows that and there are labels."""
    if table["labels_on"] is None:
        return []
    where = f"tables: {table['name']}: labels_on"
    models = [experiments.model(model, seed, where) for seed in experiments.config["seeds"]]
    return [_labels_on(experiments, m.label_set, table["labels_on"], where) for m in models if m.label_set]


def _labels_on(experiments: Experiments, label_set: LabelSet, split_name: str, where: str) -> HeldOutLabels:
    """What the teacher of a label set would label on an annotated split, which it must not have learned from."""
    split = experiments.split(split_name, where)
    check_annotated(split, label_set.task, where)
    spec = replace(label_set.predictions.spec, split=split.digest)
    detections: Predictions | Refinement = experiments.known_predictions(spec, label_set.teacher, split)
    if label_set.refinement:
        # Of every box: there are few, and what passes the pool's gate isn't known before the pool is labelled.
        refined = replace(label_set.refinement.spec.of_every_box, predictions=detections.digest)
        detections = experiments.known_refinement(refined, detections, None)
    made = HeldOutLabels(f"{label_set.id}/{split.id}", experiments.paths, label_set, split, detections)
    return experiments.held_out_labels.setdefault(made.id, made)
