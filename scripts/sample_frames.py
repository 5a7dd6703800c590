"""Make a split of single frames: one random frame of each of many videos, written as JPEGs."""

from __future__ import annotations

import argparse

from datadistill.data.make import make_split
from datadistill.data.specs import parse_split_spec
from datadistill.errors import run_script
from datadistill.files import write_json


def main() -> None:
    """Parse the command line, sample, write split and ledger, print a line of counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="what fixes the split, of kind videos, as JSON")
    parser.add_argument("--source", help="JSON file that says where the videos lie")
    parser.add_argument("--images", required=True, help="folder for the frames and the journal to go on from")
    parser.add_argument("--output", required=True)
    parser.add_argument("--ledger", required=True)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    spec = parse_split_spec(arguments.spec, arguments.source)
    made = make_split(spec, {}, images=arguments.images, workers=arguments.workers)
    write_json(arguments.ledger, made.ledger, indent=1)
    write_json(arguments.output, made.split)
    print(f"{arguments.output}: {len(made.split['images'])} frames, {len(made.ledger)} videos without one")


if __name__ == "__main__":
    run_script(main)
