"""Measure generated labels against the hidden truth of the split they were made for."""

from __future__ import annotations

import argparse
from pathlib import Path

from datadistill.cpu_time import work_begins
from datadistill.data.splits import read_images
from datadistill.errors import run_script
from datadistill.evaluate.label_quality import compare_quality
from datadistill.files import atomic_write, write_json
from datadistill.report.pages import quality_page
from datadistill.tasks.task import get_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True, help="its name")
    parser.add_argument("--labels", required=True, type=Path, help="annotations.json of a label set")
    parser.add_argument("--name", default="labels", help="what to call it in the page")
    parser.add_argument(
        "--alternative", nargs="?", type=Path, help="another label set of the same split, to show beside it"
    )
    parser.add_argument("--alternative-name", nargs="?", default="alternative")
    parser.add_argument("--truth", required=True, type=Path, help="the split with its hidden annotations")
    parser.add_argument("--title", default="generated labels")
    parser.add_argument("--note", default="", help="what data this is from")
    parser.add_argument("--output", required=True, type=Path, help="JSON")
    parser.add_argument("--pages", type=Path, help="Markdown")
    arguments = parser.parse_args()
    work_begins("pycocotools.mask")

    sets = {arguments.name: read_images(arguments.labels)}
    if arguments.alternative:
        sets[arguments.alternative_name] = read_images(arguments.alternative)
    task = get_task(arguments.task)
    reports = compare_quality(sets, read_images(arguments.truth), task)
    write_json(arguments.output, reports, indent=1)
    if arguments.pages:
        with atomic_write(arguments.pages) as stream:
            stream.write(quality_page(reports, task=task, title=arguments.title, note=arguments.note))


if __name__ == "__main__":
    run_script(main)
