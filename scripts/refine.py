"""Keypoints of the boxes of one shard that pass the gate, from heatmaps averaged over all transforms."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from datadistill.errors import run_script


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, type=json.loads, help="the refinement's spec, as canonical JSON")
    parser.add_argument(
        "--model", required=True, type=Path, help="the model file (model.pth) that made the predictions"
    )
    parser.add_argument("--split", required=True, type=Path, help="COCO JSON of the images")
    parser.add_argument(
        "--predictions", required=True, nargs="+", type=Path, help="shards that hold this shard's images"
    )
    parser.add_argument("--gate", nargs="?", type=Path, help="the gate (JSON); without it every box is refined")
    parser.add_argument(
        "--reuse", type=Path, help="folder of earlier refinements, a folder each; boxes that fit are not run again"
    )
    parser.add_argument("--shard", type=int, default=0, help="this shard, from 0")
    parser.add_argument("--shards", type=int, default=1, help="how many shards there are")
    parser.add_argument("--output", required=True, type=Path, help="detections with keypoints (npz)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--memory-format", choices=("auto", "channels_last", "contiguous"), default="auto")
    parser.add_argument("--threads", type=int, default=1, help="threads that compute, and as many that read images")
    arguments = parser.parse_args()

    import torch

    from datadistill.data.splits import read_images
    from datadistill.detections import load_reusable, load_shards, shard_ids
    from datadistill.devices import choose_device
    from datadistill.label.threshold_files import read_gate
    from datadistill.label.thresholds import image_ids
    from datadistill.model.network import load_model
    from datadistill.specs import RefinementSpec, parse_spec

    torch.set_num_threads(arguments.threads)
    spec = parse_spec(RefinementSpec, arguments.spec)
    threshold = read_gate(arguments.gate, spec)
    split = read_images(arguments.split)
    predictions, lineage = load_shards(arguments.predictions, spec.predictions)
    predictions = predictions.of_images(shard_ids(image_ids(split), arguments.shard, arguments.shards))
    earlier = arguments.reuse.glob(f"*/{arguments.shard}-of-{arguments.shards}.npz") if arguments.reuse else ()
    reuse = load_reusable(sorted(earlier), spec.canonical())
    model, cfg, categories = load_model(
        arguments.model,
        choose_device(arguments.device),
        lineage[-1].get("model"),
        memory_format=arguments.memory_format,
    )

    from datadistill.label.labels import library_versions
    from datadistill.label.refine import refine

    refined = refine(
        model, cfg, categories, split, predictions, spec, threshold, reuse=reuse, workers=arguments.threads
    )
    refined.save(arguments.output, [*lineage, spec.canonical()], library_versions())
    print(f"{len(refined)} of {len(predictions)} boxes refined by {len(spec.transforms)} transforms")


if __name__ == "__main__":
    run_script(main, warm=True)
