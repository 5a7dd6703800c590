"""Load initial weights into a network of a run that starts from them, as a check.

One that was checked when the weights were fetched isn't loaded again; a network that a config got later is.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from datadistill.errors import run_script
from datadistill.files import digest, read_json, write_json
from datadistill.keys import read
from datadistill.specs import NetworkSpec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", required=True, type=Path)
    parser.add_argument("--record", required=True, type=Path, help="JSON file that get_weights.py wrote")
    parser.add_argument("--network", required=True, type=json.loads, help='JSON: {"task", "network"}')
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args()
    entry = arguments.network
    known = read_json(arguments.record, made=True).get("fits", []) if arguments.record.exists() else []
    if digest(entry) not in known:
        from datadistill.model.weights import check_weights

        check_weights(arguments.weights, [(entry["task"], read(NetworkSpec, entry["network"], "network"))])
    write_json(arguments.output, entry, indent=1)
    print(f"{arguments.weights}: fits {entry['network']['backbone']} for {entry['task']}")


if __name__ == "__main__":
    run_script(main)
