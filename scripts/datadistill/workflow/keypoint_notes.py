"""What is understood of the keypoints of a user's own files, in sentences, before anything runs."""

from __future__ import annotations

from datadistill.data.coco import peek_categories
from datadistill.data.specs import CocoSplit
from datadistill.errors import UserError
from datadistill.tasks.keypoint_schema import clean_schema, describe
from datadistill.tasks.task import get_task
from datadistill.workflow.experiments import Experiments


def keypoint_notes(experiments: Experiments) -> list[str]:
    """A sentence for each split of kind coco that a model learns keypoints from, and each of its categories.

    Only the categories of the files are read, and nothing is refused here: making the split does that.
    """
    learned = {
        leaf: None
        for model in experiments.models.values()
        if get_task(model.task).refines
        for leaf in model.labelled.leaves
    }
    notes: dict[str, None] = {}
    for split in learned:
        spec = split.spec
        if not isinstance(spec, CocoSplit):
            continue
        for category in peek_categories(spec.annotations):
            if category.get("keypoints"):
                try:
                    cleaned = clean_schema({**category, **spec.keypoint_schema}, split.name)
                except UserError:
                    continue
                notes[f"Split {split.name!r}: {describe(cleaned)}"] = None
    return list(notes)
