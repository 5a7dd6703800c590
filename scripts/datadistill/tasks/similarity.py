"""How alike a label and a true instance are: what label quality and the pictures of mistakes are judged by.

A task whose labels are more than boxes has a similarity of its own (`Task.similarity`); boxes are compared for every task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

MATCH_AT = 0.5
"""From this similarity on a label is right."""


class Similarity(Protocol):
    """`name` is what reports call the instances; `phrase` says when one is right, in words."""

    name: str
    phrase: str

    def judged(self, label: Mapping[str, Any]) -> bool:
        """Is the label one that can be right or wrong? Others are left out."""

    def counts(self, instance: Mapping[str, Any]) -> bool:
        """Can a label be right by matching this true instance? At one that doesn't count it is ignored."""

    def matrix(
        self,
        labels: Sequence[Mapping[str, Any]],
        instances: Sequence[Mapping[str, Any]],
        category: Mapping[str, Any] | None,
    ) -> np.ndarray:
        """(labels, instances) similarities from 0 to 1, all of one image and `category` (None: the truth has none such)."""


class BoxOverlap:
    """Intersection over union of boxes; over the label's area alone for crowds."""

    name = "boxes"
    phrase = "an IoU of at least 0.5"

    def judged(self, label: Mapping[str, Any]) -> bool:
        """Every box is."""
        return True

    def counts(self, instance: Mapping[str, Any]) -> bool:
        """No crowd."""
        return not instance.get("iscrowd", 0)

    def matrix(
        self,
        labels: Sequence[Mapping[str, Any]],
        instances: Sequence[Mapping[str, Any]],
        category: Mapping[str, Any] | None,
    ) -> np.ndarray:
        from pycocotools.mask import iou

        if not labels or not instances:
            return np.zeros((len(labels), len(instances)))
        crowds = [int(instance.get("iscrowd", 0)) for instance in instances]
        boxes, others = (np.array([entry["bbox"] for entry in entries], float) for entries in (labels, instances))
        return np.asarray(iou(boxes, others, crowds))
