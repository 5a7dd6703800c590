"""Put a backbone's initial weights in place: from a file, an installed Python package or a download, checked by digest."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from datadistill.errors import UserError, run_script
from datadistill.files import atomic_write, file_digest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, type=json.loads, help="the config's entry of weights, as JSON")
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args()

    from datadistill.weight_files import find_weights

    path, expected = arguments.source["path"], arguments.source.get("sha256")
    file = find_weights(path)
    found = file_digest(file, 64)
    if expected and found != expected:
        raise UserError(f"{path}: SHA-256 is {found}, the config says {expected}; is the file complete, and the right one?")
    with open(file, "rb") as source, atomic_write(arguments.output, "wb") as target:
        shutil.copyfileobj(source, target)
    print(f"{path} -> {arguments.output} (SHA-256 {found})")


if __name__ == "__main__":
    run_script(main)
