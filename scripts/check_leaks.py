"""Before training: refuse splits that must be disjoint and share an image, or whose categories must be the same and are not."""

from __future__ import annotations

import argparse
from pathlib import Path

from datadistill.data.leaks import check_disjoint, check_same_categories
from datadistill.data.splits import Split, read_split
from datadistill.errors import UserError, run_script
from datadistill.files import write_json


def main() -> None:
    """Check the pairs and write what was compared."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", nargs="*", default=[], help="splits that must share no image with ...")
    parser.add_argument("--second", nargs="*", default=[], help="... these: the first with the first, and so on")
    parser.add_argument(
        "--same-categories", nargs="*", default=[], help="annotated splits that must have the same categories"
    )
    parser.add_argument("--output", required=True)
    arguments = parser.parse_args()
    if len(arguments.first) != len(arguments.second):
        raise UserError(f"--first names {len(arguments.first)} splits, --second {len(arguments.second)}; give pairs")
    splits: dict[str, Split] = {}
    for path in dict.fromkeys([*arguments.first, *arguments.second, *arguments.same_categories]):
        splits[path] = read_split(path)
    if arguments.same_categories:
        check_same_categories({Path(path).stem: splits[path] for path in arguments.same_categories})
    pairs = list(zip(arguments.first, arguments.second, strict=True))
    report = {"pairs": [check_disjoint(splits[a], splits[b], (Path(a).stem, Path(b).stem)) for a, b in pairs]}
    write_json(arguments.output, report, indent=1)
    checked = len(pairs)
    print(f"{arguments.output}: {checked} pair{'s'[: checked != 1]} compared, no image shared")


if __name__ == "__main__":
    run_script(main)
