"""Make a split of single frames: one random frame of each of many videos, written as JPEGs."""

from __future__ import annotations

import argparse
import json

from datadistill.data.videos import read_spec, sample_videos
from datadistill.errors import UserError, run_script
from datadistill.files import write_json


def main() -> None:
    """Parse the command line, sample, write split and ledger, print a line of counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="the split's spec, of kind videos, as JSON")
    parser.add_argument("--images", required=True, help="folder for the frames and the journal to go on from")
    parser.add_argument("--output", required=True)
    parser.add_argument("--ledger", required=True)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    try:
        where, spec = read_spec(json.loads(arguments.spec))
    except json.JSONDecodeError as error:
        raise UserError(f"--spec isn't JSON ({error})") from None
    made = sample_videos(**where, spec=spec, images_dir=arguments.images, workers=arguments.workers)
    write_json(arguments.ledger, made.ledger, indent=1)
    write_json(arguments.output, made.split)
    print(f"{arguments.output}: {len(made.split['images'])} frames, {len(made.ledger)} videos without one")


if __name__ == "__main__":
    run_script(main)
