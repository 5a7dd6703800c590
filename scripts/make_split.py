"""Make one split: read or derive it, check every image, write the split and the ledger of what was left out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from datadistill.data.splits import make_split
from datadistill.errors import UserError, run_script
from datadistill.files import write_json


def main() -> None:
    """Parse the command line, make the split, write both files, print a line of counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="the split's spec, as JSON")
    parser.add_argument(
        "--sources", nargs="*", type=Path, default=[], help="the splits that it is made from, each called NAME.json"
    )
    parser.add_argument("--output", required=True)
    parser.add_argument("--ledger", required=True)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    try:
        spec = json.loads(arguments.spec)
    except json.JSONDecodeError as error:
        raise UserError(f"--spec isn't JSON ({error})") from None
    sources = {path.name.removesuffix(".json"): str(path) for path in arguments.sources}
    made = make_split(spec, sources, workers=arguments.workers)
    write_json(arguments.ledger, made.ledger, indent=1)
    write_json(arguments.output, made.split)
    print(
        f"{arguments.output}: {len(made.split['images'])} images, {len(made.split['annotations'])} annotations, "
        f"{len(made.ledger)} damaged images left out"
    )


if __name__ == "__main__":
    run_script(main)
