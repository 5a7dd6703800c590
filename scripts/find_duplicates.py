"""All splits of a run at once: refuse images in two that must be disjoint, with lists of ids to leave out, ready to use."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from datadistill.data.duplicates import find_duplicates, refuse
from datadistill.data.leaks import check_disjoint, check_same_categories
from datadistill.data.splits import Split, read_split
from datadistill.errors import UserError, run_script
from datadistill.files import atomic_write, write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", nargs="*", default=[], help="splits that must share no image with ...")
    parser.add_argument("--second", nargs="*", default=[], help="... these: the first with the first, and so on")
    parser.add_argument("--judging", nargs="*", default=[], help="those of them that models are evaluated on")
    parser.add_argument("--annotated", nargs="*", default=[], help="annotated splits, of which ...")
    parser.add_argument(
        "--same-categories", type=json.loads, default=[], help="... these must have the same: JSON, lists of them"
    )
    parser.add_argument(
        "--sources",
        type=json.loads,
        default={},
        help="JSON: splits of the config that take drop_ids, by file of a split",
    )
    parser.add_argument("--lists", required=True, type=Path, help="folder for the lists of ids, one a split")
    parser.add_argument("--output", required=True, help="what was compared, as JSON")
    arguments = parser.parse_args()
    if len(arguments.first) != len(arguments.second):
        raise UserError(f"--first names {len(arguments.first)} splits, --second {len(arguments.second)}; give pairs")
    pairs = list(zip(arguments.first, arguments.second, strict=True))
    splits: dict[str, Split] = {}
    for path in dict.fromkeys([*arguments.first, *arguments.second, *arguments.annotated]):
        splits[path] = read_split(path)
    for group in arguments.same_categories:
        check_same_categories({Path(path).stem: splits[path] for path in group})
    found = find_duplicates(splits, pairs, arguments.judging)
    lists = {path: str(arguments.lists / f"{Path(path).stem}.txt") for path in found}
    for path, duplicates in found.items():
        with atomic_write(lists[path]) as stream:
            stream.writelines(f"{duplicate.image_id}\n" for duplicate in duplicates)
    by_name = {Path(path).stem: path for path in splits}
    refuse(
        {Path(path).stem: duplicates for path, duplicates in found.items()},
        {name: lists.get(path, "") for name, path in by_name.items()},
        {Path(path).stem: names for path, names in arguments.sources.items()},
    )
    report = [check_disjoint(splits[a], splits[b], (Path(a).stem, Path(b).stem)) for a, b in pairs]
    write_json(arguments.output, {"pairs": report}, indent=1)
    print(f"{arguments.output}: {len(pairs)} pair{'s'[: len(pairs) != 1]} compared, no image shared")


if __name__ == "__main__":
    run_script(main)
