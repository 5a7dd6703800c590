"""Detect on one shard of a split: the plain pass of a model, or all transforms merged."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from datadistill.errors import run_script


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, type=json.loads, help="the predictions' spec, as canonical JSON")
    parser.add_argument("--model", required=True, type=Path, help="the model file (model.pth)")
    parser.add_argument(
        "--checkpoint", type=Path, help="the model's checkpoint: not needed once the model is read, and deleted"
    )
    parser.add_argument("--split", required=True, type=Path, help="COCO JSON of the images")
    parser.add_argument("--shard", type=int, default=0, help="this shard, from 0")
    parser.add_argument("--shards", type=int, default=1, help="how many shards there are")
    parser.add_argument("--output", required=True, type=Path, help="detections (npz)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--memory-format", choices=("auto", "channels_last", "contiguous"), default="auto")
    parser.add_argument("--threads", type=int, default=1, help="threads that compute, and as many that read images")
    arguments = parser.parse_args()

    import torch

    from datadistill.data.splits import read_images
    from datadistill.detections import shard_ids
    from datadistill.devices import choose_device
    from datadistill.model.network import load_model
    from datadistill.specs import PredictionsSpec, parse_spec

    torch.set_num_threads(arguments.threads)
    spec = parse_spec(PredictionsSpec, arguments.spec)
    split = read_images(arguments.split)
    ids = shard_ids((image["id"] for image in split["images"]), arguments.shard, arguments.shards)
    model, cfg, categories = load_model(
        arguments.model, choose_device(arguments.device), spec.model, memory_format=arguments.memory_format
    )
    if arguments.checkpoint:
        arguments.checkpoint.unlink(missing_ok=True)

    from datadistill.label.labels import library_versions
    from datadistill.label.predict import predict

    detections = predict(model, cfg, categories, split, ids, spec, workers=arguments.threads)
    detections.save(arguments.output, [spec.canonical()], library_versions())
    print(f"{len(detections)} detections on {len(ids)} images")


if __name__ == "__main__":
    run_script(main, warm=True)
