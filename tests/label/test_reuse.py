"""Which earlier refinements may stand for new ones (that they do: test_refine.py)."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import tiny

from datadistill.errors import UserError
from datadistill.label.predict import predict
from datadistill.label.refine import refine
from datadistill.specs import PredictionsSpec, RefinementSpec


@pytest.mark.parametrize("other", ["none", "of another number"])
def test_a_refinement_of_other_keypoints_is_refused(people: tiny.Network, split: dict[str, Any], other: str) -> None:
    ids = [image["id"] for image in split["images"]]
    spec = PredictionsSpec("model", "split", (tiny.PLAIN,), 0.05, 0.5, 12, None, keypoints=True)
    boxes = predict(*people, split, ids, spec)
    keypoints = None if other == "none" else boxes.keypoints[:, 1:]
    earlier = dataclasses.replace(boxes, keypoints=keypoints, disagreement=None)
    with pytest.raises(UserError, match="other keypoints than the model predicts; don't pass it"):
        refine(*people, split, boxes, RefinementSpec("", None, (tiny.PLAIN,), "probabilities", False), reuse=[earlier])
