"""Before training: refuse splits that must be disjoint and share an image, or whose categories must be the same and are not."""

from __future__ import annotations

import argparse
from pathlib import Path

from datadistill.data.leaks import check_disjoint, check_same_categories
from datadistill.data.splits import Split, read_split
from datadistill.errors import run_script
from datadistill.files import write_json


def pair(text: str) -> tuple[str, str]:
    """`a.json:b.json` from the command line."""
    a, colon, b = text.partition(":")
    if not (a and colon and b):
        raise argparse.ArgumentTypeError(f"{text!r} isn't of the form a.json:b.json")
    return a, b


def main() -> None:
    """Check the pairs and write what was compared."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", nargs="*", type=pair, default=[], help="a.json:b.json, splits that must be disjoint")
    parser.add_argument(
        "--same-categories", nargs="*", default=[], help="annotated splits that must have the same categories"
    )
    parser.add_argument("--output", required=True)
    arguments = parser.parse_args()
    splits: dict[str, Split] = {}
    for path in dict.fromkeys([*(path for both in arguments.pairs for path in both), *arguments.same_categories]):
        splits[path] = read_split(path)
    if arguments.same_categories:
        check_same_categories({Path(path).stem: splits[path] for path in arguments.same_categories})
    report = {"pairs": [check_disjoint(splits[a], splits[b], (Path(a).stem, Path(b).stem)) for a, b in arguments.pairs]}
    write_json(arguments.output, report, indent=1)
    checked = len(arguments.pairs)
    print(f"{arguments.output}: {checked} pair{'s'[: checked != 1]} compared, no image shared")


if __name__ == "__main__":
    run_script(main)
