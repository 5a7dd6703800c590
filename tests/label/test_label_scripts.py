"""The label chain as its rules call it, one script after the other, for both tasks."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch

from datadistill.detections import Detections, load_shards
from datadistill.errors import UserError
from datadistill.files import canonical_json, digest, read_json, write_json
from datadistill.model.model_file import write_model
from datadistill.specs import EvaluationSpec, GateSpec, LabelSetSpec, PredictionsSpec, RefinementSpec, Spec
from datadistill.transforms import Transform

TEACHER = digest({})
"""The digest of the spec in the model's file, which is empty."""
SEVERAL = tuple(Transform(s, 200, flip) for s in (64, 96) for flip in (False, True))


class Chain:
    """A folder with a model and splits, and the scripts run in it."""

    def __init__(self, folder: Path, network: tiny.Network, split: dict[str, Any], patch: pytest.MonkeyPatch) -> None:
        self.patch = patch
        patch.chdir(folder)
        model, cfg, categories = network
        write_model("model.pth", model.state_dict(), {}, cfg.dump(), categories)
        write_json("pool.json", {**split, "categories": categories})
        labelled = [
            {
                "id": i,
                "image_id": image["id"],
                "category_id": categories[i % len(categories)]["id"],
                "bbox": [5, 5, 40, 40],
                "area": 1600,
                "iscrowd": 0,
                "keypoints": [10, 10, 2] * 3 + [0, 0, 0] * 2,
            }
            for i, image in enumerate(split["images"] * 2, 1)
        ]
        write_json("labelled.json", {**split, "categories": categories, "annotations": labelled})

    def run(self, script: str, spec: Spec, *arguments: str) -> None:
        """Call a script's main with the spec and arguments, as its rule does."""
        self.patch.setattr(sys, "argv", [script, "--spec", canonical_json(spec.canonical()), *arguments])
        importlib.import_module(script).main()

    def predict(self, spec: PredictionsSpec, shards: int, folder: str) -> list[str]:
        paths = [f"{folder}/{i}-of-{shards}.npz" for i in range(shards)]
        for i, path in enumerate(paths):
            shard = ("--shard", str(i), "--shards", str(shards))
            self.run("predict", spec, "--model", "model.pth", "--split", "pool.json", *shard, "--output", path)
        return paths


def predictions_spec(**changes: Any) -> PredictionsSpec:
    values = {"transforms": (tiny.PLAIN,), "max_detections": 20, "voting": None, "keypoints": False, **changes}
    return PredictionsSpec(TEACHER, "pool", score_floor=0.05, nms=0.5, **values)


def label_spec(predictions: Spec, refinement: RefinementSpec | None, **changes: Any) -> LabelSetSpec:
    values = {
        "count_instances": "with_keypoints",
        "instance_ratio": 1.0,
        "keypoint_ratio": 1.0,
        "instance_threshold": None,
        "keypoint_threshold": None,
        "per_category": False,
        **changes,
    }
    return LabelSetSpec(predictions.digest, refinement and refinement.of_every_box.digest, "labelled", **values)


MARGIN = ("--margin", "1.5")
POOL = ("--split", "pool.json", "--labelled", "labelled.json")


def test_the_chain_of_keypoints(
    people: tiny.Network, split: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = Chain(tmp_path, people, split, monkeypatch)
    plain = predictions_spec()
    predictions = chain.predict(plain, 2, "predictions")
    gate = GateSpec(plain.digest, "labelled", "with_keypoints", 1.5, None, False)
    chain.run(
        "gate", gate, "--task", "keypoints", *POOL, *MARGIN, "--predictions", *predictions, "--output", "gate.json"
    )
    assert (read_json("gate.json")["kept"], read_json("gate.json")["target"]) == (18, 2)

    refinement = RefinementSpec(plain.digest, gate.digest, SEVERAL, "probabilities", False)
    refined = ["earlier/refined/0-of-2.npz", "earlier/refined/1-of-2.npz"]
    for i in range(2):
        chain.run(
            "refine", refinement, "--model", "model.pth", "--split", "pool.json", "--predictions", predictions[i],
            "--gate", "gate.json", "--shard", str(i), "--shards", "2", "--output", refined[i],
        )  # fmt: skip
    assert [spec["stage"] for spec in load_shards(refined[:1])[1]] == ["predictions", "refinement"]
    assert sum(len(Detections.load(path)) for path in refined) == 18

    labels = label_spec(plain, refinement)
    both = ("--predictions", *predictions, "--refinement", *refined)
    chain.run("choose_thresholds", labels, "--task", "keypoints", *POOL, *both, "--output", "thresholds.json")
    output = ("--output", "annotations.json", "--provenance", "provenance.json")
    task = ("--task", "keypoints", "--thresholds", "thresholds.json")
    chain.run("annotate", labels, *task, *POOL, "--detections", *refined, *output)
    annotations = read_json("annotations.json")["annotations"]
    assert len(annotations) == 12
    assert sum(a["num_keypoints"] for a in annotations) == 36
    assert read_json("provenance.json")["teacher"] == TEACHER
    assert read_json("provenance.json")["libraries"]["inference"]["torch"] == [torch.__version__.split("+")[0]]

    # Without a gate every box is worked on, and the labels are the same.
    gated = read_json("annotations.json")
    ungated = RefinementSpec(plain.digest, None, SEVERAL, "probabilities", False)
    whole = ("--model", "model.pth", "--split", "pool.json", "--predictions", *predictions)
    chain.run("refine", ungated, *whole, "--output", "ungated.npz")
    assert len(Detections.load("ungated.npz")) > 18
    unrestricted = label_spec(plain, ungated)
    everything = ("--predictions", *predictions, "--refinement", "ungated.npz")
    chain.run("choose_thresholds", unrestricted, "--task", "keypoints", *POOL, *everything, "--output", "free.json")
    chosen, free = read_json("thresholds.json"), read_json("free.json")
    assert free["overall"] == chosen["overall"]
    # Sums over batches of other sizes differ in their last bits, in which no label does.
    assert free["keypoints"] == chosen["keypoints"] | {
        "threshold": pytest.approx(chosen["keypoints"]["threshold"], abs=1e-6)
    }
    chain.run(
        "annotate", unrestricted, "--task", "keypoints", "--thresholds", "free.json", *POOL,
        "--detections", "ungated.npz", "--output", "free-annotations.json", "--provenance", "free-provenance.json",
    )  # fmt: skip
    ungated_labels = read_json("free-annotations.json")
    assert all(ungated_labels[key] == gated[key] for key in ("images", "categories"))
    for one, other in zip(ungated_labels["annotations"], gated["annotations"], strict=True):
        exact = one.keys() - {"keypoints", "keypoint_scores", "source"}
        assert {key: one[key] for key in exact} == {key: other[key] for key in exact}
        np.testing.assert_allclose(one["keypoint_scores"], other["keypoint_scores"], atol=2e-6)
        assert one["keypoints"][2::3] == other["keypoints"][2::3]
        np.testing.assert_allclose(one["keypoints"], other["keypoints"], atol=1e-3)

    # A higher threshold for boxes, or any for keypoints, needs the same files and nothing else.
    stricter = label_spec(plain, refinement, instance_ratio=0.5, keypoint_threshold=0.0)
    chain.run("choose_thresholds", stricter, "--task", "keypoints", *POOL, *both, "--output", "thresholds.json")
    chain.run("annotate", stricter, *task, *POOL, "--detections", *refined, *output)
    fewer = read_json("annotations.json")["annotations"]
    assert [a["num_keypoints"] for a in fewer] == [5] * 6
    assert {tuple(a["bbox"]) for a in fewer} < {tuple(a["bbox"]) for a in annotations}

    # A wider gate runs only the boxes that are new.
    wider = GateSpec(plain.digest, "labelled", "with_keypoints", 3.0, None, False)
    chain.run(
        "gate", wider, "--task", "keypoints", *POOL, *MARGIN, "--predictions", *predictions, "--output", "wider.json"
    )
    again = RefinementSpec(plain.digest, wider.digest, SEVERAL, "probabilities", False)
    common = ("--model", "model.pth", "--split", "pool.json", "--predictions", *predictions, "--gate", "wider.json")
    Path("earlier/whole").mkdir()
    chain.run("refine", ungated, *whole, "--output", "earlier/whole/0-of-1.npz")
    chain.run("refine", again, *common, "--output", "fresh.npz")
    chain.run("refine", again, *common, "--reuse", "earlier", "--output", "reused.npz")
    fresh, reused = Detections.load("fresh.npz"), Detections.load("reused.npz")
    assert len(fresh) == 36
    np.testing.assert_allclose(reused.keypoints, fresh.keypoints, atol=1e-4)

    # What belongs to another gate, model or split is refused.
    with pytest.raises(UserError, match=r"gate\.json: made with other settings"):
        chain.run("refine", again, *common[:-1], "gate.json", "--output", "x.npz")
    with pytest.raises(UserError, match=r"1-of-2\.npz|0-of-2\.npz"):
        chain.run("refine", RefinementSpec("0" * 8, None, SEVERAL, "logits", False), *common[:-2], "--output", "x.npz")
    with pytest.raises(UserError, match=r"3 image\(s\) missing"):
        chain.run(
            "gate", gate, "--task", "keypoints", *POOL, *MARGIN, "--predictions", predictions[0], "--output", "x.json"
        )
    with pytest.raises(UserError, match="made with other settings"):
        chain.run("annotate", labels, *task, *POOL, "--detections", *predictions, *output)
    # A gated refinement is no refinement of every box, which evaluation needs.
    evaluation = EvaluationSpec(plain.digest, ungated.digest, "labelled")
    with pytest.raises(UserError, match="made with other settings"):
        chain.run(
            "score", evaluation, "--task", "keypoints", "--split", "labelled.json", "--predictions", *refined,
            "--output", "x.npz",
        )  # fmt: skip
    assert not Path("x.npz").exists()


def test_the_chain_of_objects(
    things: tiny.Network, split: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = Chain(tmp_path, things, split, monkeypatch)
    merged = predictions_spec(transforms=SEVERAL, voting=0.8)
    predictions = chain.predict(merged, 2, "predictions")
    labels = label_spec(merged, None, count_instances="all", per_category=True)
    common = ("--task", "objects", *POOL, "--predictions", *predictions)
    chain.run("choose_thresholds", labels, *common, "--output", "thresholds.json")
    output = ("--output", "annotations.json", "--provenance", "provenance.json")
    made = ("--task", "objects", *POOL, "--detections", *predictions)
    chain.run("annotate", labels, *made, "--thresholds", "thresholds.json", *output)
    chosen = read_json("thresholds.json")
    annotations = read_json("annotations.json")["annotations"]
    kept = {category: sum(str(a["category_id"]) == category for a in annotations) for category in chosen["categories"]}
    assert kept == {category: threshold["kept"] for category, threshold in chosen["categories"].items()}
    assert all(t["kept"] <= t["target"] * len(split["images"]) for t in chosen["categories"].values())
    assert sum(kept.values()) > 3
    assert read_json("provenance.json")["lineage"] == [json.loads(canonical_json(merged.canonical()))]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_gpu_that_is_not_there_is_an_error(
    people: tiny.Network, split: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = Chain(tmp_path, people, split, monkeypatch)
    files = ("--model", "model.pth", "--split", "pool.json", "--output", "x.npz")
    with pytest.raises(UserError, match="no GPU"):
        chain.run("predict", predictions_spec(), *files, "--device", "cuda")
