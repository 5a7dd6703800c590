"""Make one split: read or derive it, check every image, write the split and the ledger of what was left out."""

from __future__ import annotations

import argparse
from pathlib import Path

from datadistill.data.make import SCENES, make_split
from datadistill.data.specs import parse_split_spec
from datadistill.errors import run_script
from datadistill.files import write_json
from datadistill.tasks.keypoint_schema import describe


def main() -> None:
    """Parse the command line, make the split, write both files, print a line of counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="what fixes the split, as JSON")
    parser.add_argument("--source", help="JSON file that says where the split's files lie, and how they are checked")
    parser.add_argument("--scenes", nargs="?", type=Path, help="COCO JSON of rendered scenes, if it is of those")
    parser.add_argument(
        "--sources", nargs="*", type=Path, default=[], help="the splits that it is made from, each called NAME.json"
    )
    parser.add_argument("--images", required=True, help="folder through which its images are named")
    parser.add_argument("--output", required=True)
    parser.add_argument("--ledger", required=True)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    spec = parse_split_spec(arguments.spec, arguments.source)
    inputs = {path.name.removesuffix(".json"): str(path) for path in arguments.sources}
    if arguments.scenes:
        inputs[SCENES] = str(arguments.scenes)
    made = make_split(spec, inputs, images=arguments.images, workers=arguments.workers)
    write_json(arguments.ledger, made.ledger, indent=1)
    write_json(arguments.output, made.split)
    print(
        f"{arguments.output}: {len(made.split['images'])} images, {len(made.split['annotations'])} annotations, "
        f"{len(made.ledger)} left out"
    )
    if made.split["annotations"]:
        for category in made.split["categories"]:
            if category.get("keypoints"):
                print(describe(category))


if __name__ == "__main__":
    run_script(main)
