"""What the gate of the labels saves: keypoints of all transforms for every box, and only for those that can become labels.

Both sides run in this process on the same images, boxes and transforms, one after the other, twice; the faster time of
each counts. The labels are the same (tests/label/test_refine.py).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from datadistill.devices import choose_device
from datadistill.errors import UserError, run_script
from datadistill.files import read_json, write_json
from datadistill.workflow.config import load_config
from datadistill.workflow.experiments import build_experiments


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--config", type=Path, required=True, help="a config that was run: its teacher and pool are used"
    )
    parser.add_argument("--label-set", required=True, help="a label set of keypoints of that config")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()

    from datadistill.label.predict import predict
    from datadistill.label.refine import refine
    from datadistill.model.network import load_model

    device = choose_device(arguments.device)
    experiments = build_experiments(load_config(arguments.config))
    named = {label_set.name: label_set for label_set in experiments.label_sets.values()}
    label_set = named.get(arguments.label_set)
    if label_set is None:
        raise UserError(f"--label-set {arguments.label_set}: {arguments.config} has {', '.join(named) or 'none'}")
    refinement = label_set.refinement
    if refinement is None or refinement.gate is None:
        raise UserError(f"--label-set {label_set.name}: only labels of keypoints have a gate; name another")
    model, cfg, categories = load_model(label_set.teacher.file, device)
    split = read_json(label_set.split.file)
    split["images"] = split["images"][: arguments.images]
    ids = [image["id"] for image in split["images"]]
    plain = label_set.predictions.spec
    threshold = read_json(refinement.gate.file)["threshold"]
    detections = predict(model, cfg, categories, split, ids, plain, workers=arguments.workers)
    kept = int((detections.scores >= np.float32(threshold)).sum())

    def seconds(gate: float | None, spec: object) -> float:
        start = time.perf_counter()
        refine(model, cfg, categories, split, detections, spec, gate, workers=arguments.workers)
        if device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    sides = [(seconds(None, refinement.spec.of_every_box), seconds(threshold, refinement.spec)) for _ in range(2)]
    ungated, gated = (min(side) for side in zip(*sides, strict=True))
    figures = {
        "images": len(ids),
        "transforms": len(refinement.spec.transforms),
        "boxes": len(detections),
        "boxes_above_the_gate": kept,
        "ungated_seconds": round(ungated, 2),
        "gated_seconds": round(gated, 2),
        "ratio": round(ungated / gated, 2),
    }
    print(*(f"{key}: {value}" for key, value in figures.items()), sep="\n")
    if arguments.output:
        write_json(arguments.output, figures, indent=1)


if __name__ == "__main__":
    run_script(main)
