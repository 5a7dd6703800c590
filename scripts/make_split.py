"""Make one split: read or derive it, check every image, write the split and the ledger of what was left out."""

from __future__ import annotations

import argparse

from datadistill.data.make import make_split
from datadistill.data.specs import parse_split_spec
from datadistill.errors import run_script
from datadistill.files import write_json


def named_path(text: str) -> tuple[str, str]:
    """`name=path` from the command line."""
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} isn't of the form name=path")
    return name, path


def main() -> None:
    """Parse the command line, make the split, write both files, print a line of counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="what fixes the split, as JSON")
    parser.add_argument("--source", help="JSON file that says where the split's files lie, and how they are checked")
    parser.add_argument(
        "--inputs", nargs="*", type=named_path, default=[], help="name=path of the splits it derives from"
    )
    parser.add_argument("--images", required=True, help="folder through which its images are named")
    parser.add_argument("--output", required=True)
    parser.add_argument("--ledger", required=True)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    spec = parse_split_spec(arguments.spec, arguments.source)
    made = make_split(spec, dict(arguments.inputs), images=arguments.images, workers=arguments.workers)
    write_json(arguments.ledger, made.ledger, indent=1)
    write_json(arguments.output, made.split)
    print(
        f"{arguments.output}: {len(made.split['images'])} images, {len(made.split['annotations'])} annotations, "
        f"{len(made.ledger)} left out"
    )


if __name__ == "__main__":
    run_script(main)
