"""What is asked of a model's two passes over images: from the transforms and options of a config to the passes' specs.

Light: Snakemake's parse resolves them, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from datadistill.specs import PredictionsSpec, RefinementSpec
from datadistill.tasks.task import Task
from datadistill.transforms import TestScale, Transform


def first_pass(
    task: Task,
    model: str,
    test_scale: TestScale,
    split: str,
    transforms: Sequence[Transform],
    options: Mapping[str, Any],
    *,
    last: bool,
) -> PredictionsSpec:
    """The pass over all images (`Task.first_pass`).

    - `model`, `split`: digests; `test_scale`: the model's.
    - `options`: keys of `specs.LabellingOptions`.
    - `last`: no second pass follows, so keypoints are predicted in this one.
    """
    plain = (test_scale.transform(),)
    chosen, keypoints = task.first_pass(tuple(transforms), plain, last=last)
    return PredictionsSpec(
        model=model,
        split=split,
        transforms=chosen,
        score_floor=float(options["score_floor"]),
        nms=float(options["nms"]),
        max_detections=int(options["max_detections"]),
        voting=None if chosen == plain else options["voting"],
        keypoints=keypoints,
        precision=options["precision"],
    )


def second_pass(
    predictions: str, transforms: Sequence[Transform], options: Mapping[str, Any], *, gate: str | None
) -> RefinementSpec:
    """The pass over the boxes of `predictions` (a digest) that pass a gate, or over all of them."""
    return RefinementSpec(
        predictions=predictions,
        gate=gate,
        transforms=tuple(transforms),
        average=options["average"],
        size_dependent=bool(options["size_dependent"]),
        precision=options["precision"],
    )
