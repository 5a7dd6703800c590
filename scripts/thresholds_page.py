"""Write the page that says how a label set's thresholds were chosen."""

from __future__ import annotations

import argparse
from pathlib import Path

from datadistill.errors import run_script
from datadistill.files import atomic_write, read_json
from datadistill.report.pages import thresholds_page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--thresholds", required=True, type=Path, help="thresholds.json of a label set")
    parser.add_argument("--title", required=True)
    parser.add_argument("--note", required=True, help="what data this is from")
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args()
    with atomic_write(arguments.output) as stream:
        stream.write(thresholds_page(read_json(arguments.thresholds), title=arguments.title, note=arguments.note))


if __name__ == "__main__":
    run_script(main)
