"""Refuse splits that share an image, and models whose training drew an image it is evaluated on."""

from __future__ import annotations

import argparse
from pathlib import Path

from datadistill.errors import UserError, run_script
from datadistill.files import read_json, write_json
from datadistill.leaks import check_disjoint, check_drawn
from datadistill.splits import Split, read_split


def pair(text: str) -> tuple[str, str]:
    """`a.json:b.json` from the command line."""
    a, colon, b = text.partition(":")
    if not (a and colon and b):
        raise argparse.ArgumentTypeError(f"{text!r} isn't of the form a.json:b.json")
    return a, b


def named_path(text: str) -> tuple[str, str]:
    """`name=path` from the command line."""
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} isn't of the form name=path")
    return name, path


def main() -> None:
    """Check the pairs, and what was drawn where that is given; write what was compared."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", nargs="*", type=pair, default=[], help="a.json:b.json, splits that must be disjoint")
    parser.add_argument("--drawn", help="drawn.json of a model; needs --held-out")
    parser.add_argument("--held-out", help="the split that training must not have drawn from")
    parser.add_argument(
        "--sources",
        nargs="*",
        type=named_path,
        default=[],
        help="labelled=split.json generated=annotations.json, to compare what was drawn by dataset and id too",
    )
    parser.add_argument("--output", required=True)
    arguments = parser.parse_args()
    splits: dict[str, Split] = {}
    for path in {path for both in arguments.pairs for path in both}:
        splits[path] = read_split(path)
    report = {"pairs": [check_disjoint(splits[a], splits[b], (Path(a).stem, Path(b).stem)) for a, b in arguments.pairs]}
    if arguments.drawn:
        if not arguments.held_out:
            raise UserError("--drawn needs --held-out")
        sources = {name: read_split(path) for name, path in arguments.sources} or None
        held_out = splits.get(arguments.held_out) or read_split(arguments.held_out)
        report["drawn"] = check_drawn(read_json(arguments.drawn), held_out, Path(arguments.held_out).stem, sources)
    write_json(arguments.output, report, indent=1)
    checked = len(arguments.pairs) + bool(arguments.drawn)
    print(f"{arguments.output}: {checked} pair{'s'[: checked != 1]} compared, no image shared")


if __name__ == "__main__":
    run_script(main)
