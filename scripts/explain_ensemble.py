"""Figure 2's data: one person, the keypoints of every transform, and those of the ensemble."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from datadistill.cpu_time import work_begins
from datadistill.errors import run_script


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, type=json.loads, help="RefinementSpec as JSON")
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--split", required=True, type=Path)
    parser.add_argument("--labels", required=True, type=Path, help="annotations.json of the label set")
    parser.add_argument("--truth", nargs="?", type=Path, help="split with the hidden truth, if there is one")
    parser.add_argument("--candidates", type=int, default=40, help="people with the highest scores to choose from")
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--memory-format", choices=("auto", "channels_last", "contiguous"), default="auto")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()

    import torch

    from datadistill.data.splits import read_images
    from datadistill.devices import choose_device
    from datadistill.files import write_json
    from datadistill.model.network import load_model
    from datadistill.report.explain import explain_ensemble
    from datadistill.specs import RefinementSpec, parse_spec

    torch.set_num_threads(arguments.threads)
    labels = read_images(arguments.labels)
    teacher = labels["info"].get("teacher")
    model, cfg, categories = load_model(
        arguments.model, choose_device(arguments.device), teacher, memory_format=arguments.memory_format
    )
    work_begins()
    shown = explain_ensemble(
        model,
        cfg,
        categories,
        read_images(arguments.split),
        labels,
        parse_spec(RefinementSpec, arguments.spec),
        truth=read_images(arguments.truth) if arguments.truth else None,
        candidates=arguments.candidates,
    )
    write_json(arguments.output, shown)
    print(f"image {shown['image']}, {len(shown['transforms'])} transforms")


if __name__ == "__main__":
    run_script(main, warm=True)
