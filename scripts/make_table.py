"""Make one table from evaluations and the paper's figures: Markdown, CSV and LaTeX, or on the terminal."""

from __future__ import annotations

import argparse
from pathlib import Path

from datadistill.cpu_time import work_begins
from datadistill.errors import run_script
from datadistill.files import read_json_argument
from datadistill.report.published import load_published
from datadistill.report.table_files import write_table
from datadistill.report.tables import load_table
from datadistill.report.terminal import show_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, nargs="+", help="specs of tables: JSON, or paths of JSON files")
    parser.add_argument("--published", required=True, type=Path, help="the paper's figures (config/published.yaml)")
    parser.add_argument("--output-dir", type=Path, help="write NAME.md, .csv, .tex, .seeds.csv and .json here")
    parser.add_argument("--show", action="store_true", help="print the tables")
    arguments = parser.parse_args()
    work_begins("pandas")

    published = load_published(arguments.published)
    for value in arguments.spec:
        content = read_json_argument(value)
        table = load_table(content, published)
        if arguments.output_dir:
            write_table(table, content, arguments.output_dir / table.name)
        if arguments.show:
            show_table(table)


if __name__ == "__main__":
    run_script(main)
