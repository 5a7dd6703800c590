"""A trained model on your own images, and exported for other programs.

python scripts/model.py predict --config my.yaml --model student --input photos --output predictions
python scripts/model.py predict --config my.yaml --model student --input clip.mp4 --every 5 --output predictions
python scripts/model.py export  --config my.yaml --model student --output exported
python scripts/model.py export  --model results/my-run/models/.../model.pth --format torchscript --output exported
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from datadistill.errors import UserError, one_line, run_script


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--model", required=True, help="its name in the config, or a model file (.pth)")
    shared.add_argument("--config", type=Path, help="the config whose run trained it; not needed for a model file")
    shared.add_argument("--seed", type=int, help="which of the config's seeds; without it the first")
    shared.add_argument("--output", required=True, type=Path, help="a new folder")

    predict = commands.add_parser(
        "predict", parents=[shared], help="boxes and keypoints on images, as COCO files and pictures"
    )
    predict.add_argument(
        "--input",
        required=True,
        nargs="+",
        type=Path,
        help="folders, images, videos, lists of images (.txt, one a line), COCO files (.json)",
    )
    predict.add_argument(
        "--images", type=Path, help="where images of lists and COCO files lie; by default beside the file"
    )
    predict.add_argument("--every", type=_positive, default=1, help="of a video, every n-th frame (default: 1)")
    predict.add_argument(
        "--transforms",
        default="plain",
        help="a set of the config's transform_sets: the ensemble that labels are made with; plain looks once (the default)",
    )
    predict.add_argument(
        "--score-floor", type=_score, help="results.json holds detections above it (default: the config's)"
    )
    predict.add_argument(
        "--threshold",
        type=_score,
        default=0.5,
        help="predictions.json and pictures show scores from it on (default: 0.5)",
    )
    predict.add_argument(
        "--keypoint-threshold",
        type=float,
        default=0.05,
        help="keypoints that score less are not shown there (default: 0.05, as detectron2 draws)",
    )
    predict.add_argument("--pictures", type=_count, default=20, help="how many to draw, or all (default: 20)")
    predict.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    predict.add_argument("--precision", choices=("float32", "bfloat16"), help="what the network computes in")
    predict.add_argument(
        "--threads", type=_positive, help="threads that compute, and as many that read (default: all cores)"
    )

    export = commands.add_parser(
        "export", parents=[shared], help="a folder that plain detectron2, or plain torch, loads"
    )
    export.add_argument("--format", choices=("detectron2", "torchscript"), default="detectron2")
    arguments = parser.parse_args()
    if arguments.output.exists() and (not arguments.output.is_dir() or any(arguments.output.iterdir())):
        raise UserError(f"--output: {arguments.output} is not an empty folder; name a new one")
    {"predict": _predict, "export": _export}[arguments.command](arguments)


def _predict(arguments: argparse.Namespace) -> None:
    import torch

    from datadistill.deploy.detector import build_detector, detect, task_of
    from datadistill.deploy.inputs import read_inputs
    from datadistill.deploy.results import write_pictures, write_predictions
    from datadistill.devices import choose_device
    from datadistill.model.model_file import read_model
    from datadistill.workflow.trained import choose_model

    chosen = choose_model(arguments.model, arguments.config, arguments.seed, arguments.transforms)
    given = {"score_floor": arguments.score_floor, "precision": arguments.precision}
    options = {**chosen.options, **{name: value for name, value in given.items() if value is not None}}
    threads = arguments.threads or len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    device = choose_device(arguments.device)
    saved = read_model(chosen.file, chosen.digest)
    task = task_of(saved, chosen.file)
    folder = arguments.output
    made = read_inputs(
        arguments.input,
        task=task.name,
        frames=folder / "frames",
        images=arguments.images,
        every=arguments.every,
        workers=threads,
    )
    for row in made.ledger:
        print(f"left out: {one_line(row['file_name'])}: {row['reason']}", file=sys.stderr)
    detector = build_detector(saved, task, device)
    detections = detect(detector, made.split, options, chosen.transforms, workers=threads)
    predictions = write_predictions(
        folder,
        task,
        detector.categories,
        made.split,
        detections,
        model=detector.digest,
        score=arguments.threshold,
        keypoint_score=arguments.keypoint_threshold,
    )
    pictures = write_pictures(folder, task, predictions, arguments.pictures)
    shown = len({annotation["image_id"] for annotation in predictions["annotations"]})
    print(
        f"{folder}: {len(predictions['annotations'])} detections of at least {arguments.threshold:g} on {shown} of "
        f"{len(predictions['images'])} images (predictions.json), {len(detections)} in all (results.json), "
        f"{len(pictures)} pictures" + (f"; {len(made.ledger)} left out" if made.ledger else "")
    )


def _export(arguments: argparse.Namespace) -> None:
    from datadistill.deploy.export import FORMATS
    from datadistill.model.model_file import read_model
    from datadistill.workflow.trained import choose_model

    chosen = choose_model(arguments.model, arguments.config, arguments.seed)
    saved = read_model(chosen.file, chosen.digest)
    for path in FORMATS[arguments.format](saved, arguments.output):
        print(path)
    print(f"{arguments.output}/README.md says how to load it")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of at least 1")
    return value


def _score(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no score from 0 to 1")
    return value


def _count(text: str) -> int | None:
    """None for all."""
    if text == "all":
        return None
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is neither a number of pictures nor all")
    return value


if __name__ == "__main__":
    run_script(main)
