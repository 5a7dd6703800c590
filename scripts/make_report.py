"""Write the report of a run: one HTML file that opens on its results."""

from __future__ import annotations

import argparse
import json
from datetime import datetime
from pathlib import Path

from datadistill.cpu_time import work_begins
from datadistill.errors import run_script
from datadistill.files import atomic_write
from datadistill.report.report_page import report_page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contents", required=True, help="JSON of workflow.report_contents")
    parser.add_argument("--configs", nargs="*", type=Path, default=[], help="configs to show, as they are")
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args()
    work_begins("jinja2", "markdown_it")
    page = report_page(
        json.loads(arguments.contents),
        folder=arguments.output.parent,
        date=f"{datetime.now():%Y-%m-%d %H:%M}",
        configs=arguments.configs,
    )
    with atomic_write(arguments.output) as stream:
        stream.write(page)


if __name__ == "__main__":
    run_script(main)
