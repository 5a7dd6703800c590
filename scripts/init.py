"""Write a config for data of your own: look at the data, choose sizes and schedules by rule, say what it costs and what is next.

python scripts/init.py --labelled photos/train.json --pool unlabelled --output my.yaml
"""

from __future__ import annotations

import argparse
from pathlib import Path

from datadistill.errors import run_script
from datadistill.start.make import Wishes, start
from datadistill.tasks.task import BUILT_IN
from datadistill.workflow.presets import presets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--labelled",
        required=True,
        type=Path,
        help="COCO JSON, YOLO's data.yaml, a folder of Pascal VOC's XML or a list of names beside it, an export of Label Studio "
        "(JSON) or CVAT (XML), or the folder that holds one of these",
    )
    parser.add_argument(
        "--pool", required=True, type=Path, help="unlabelled images: a folder, or COCO JSON that lists them"
    )
    parser.add_argument(
        "--val", type=Path, help="labelled images to judge by, as --labelled; without it a fifth of those"
    )
    parser.add_argument(
        "--images", type=Path, help="folder of the labelled images; without it, looked for beside the labels"
    )
    parser.add_argument("--output", type=Path, default=Path("my.yaml"), help="the config to write; a new file")
    parser.add_argument("--task", choices=BUILT_IN, help="without it keypoints where any is labelled, else objects")
    parser.add_argument("--preset", choices=list(presets()), default="small")
    parser.add_argument("--iterations", type=int, help="length of the teacher's schedule; without it by rule")
    arguments = parser.parse_args()
    start(Wishes(**vars(arguments)), print)


if __name__ == "__main__":
    run_script(main)
