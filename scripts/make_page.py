"""A Markdown page as one HTML file, which the report can show."""

from __future__ import annotations

import argparse
from pathlib import Path

from datadistill.cpu_time import work_begins
from datadistill.errors import run_script
from datadistill.files import atomic_write
from datadistill.report.web_page import web_page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True, type=Path)
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args()
    work_begins("markdown_it")
    with atomic_write(arguments.output) as stream:
        stream.write(web_page(arguments.input.read_text(encoding="utf-8")))


if __name__ == "__main__":
    run_script(main)
