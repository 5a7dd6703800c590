"""The report of a run as one HTML file: what was run, the headline tables, pictures, then everything else."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datadistill.errors import UserError
from datadistill.report.run_times import duration, made_counts, read_job_times
from datadistill.report.web_page import html_of

TEMPLATE = Path(__file__).with_name("report_page.html")
WORKFLOW_REPORT = "workflow-report.html"
"""Snakemake's own report, beside the page."""
# Pixels of a figure that are one on the page: figures are saved with 200 an inch.
_SHRINK = 2
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def report_page(contents: Mapping[str, Any], *, folder: str | Path, date: str, configs: Sequence[Path]) -> str:
    """The page of `report_contents`, for a file in `folder`; it stands alone, but for links to what lies below there.

    `date` is said on the page, `configs` are shown as they are. Raises `UserError` where a figure is no PNG.
    """
    import jinja2

    jobs = read_job_times(contents["benchmarks"])
    sections = [
        {"title": "Results", "entries": [_entry(item, folder) for item in contents["headline"]]},
        *(
            {"title": section["title"], "entries": [_entry(item, folder, fold=True) for item in section["items"]]}
            for section in contents["sections"]
        ),
        {"title": "Run times", "entries": [{"title": "Run times", "html": _shown(contents["run_times"])}]},
    ]
    environment = jinja2.Environment(autoescape=True, trim_blocks=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        run=contents["run"],
        note=contents["note"].rstrip("."),
        proxy=contents["proxy"],
        seeds=contents["seeds"],
        counts=made_counts(jobs),
        duration=duration(sum(job.seconds for job in jobs)),
        date=date,
        made=[table for table in contents["made"] if table["rows"]],
        sections=[{**section, "id": _anchor(section["title"])} for section in sections if section["entries"]],
        configs=[{"name": path.name, "text": path.read_text(encoding="utf-8")} for path in configs],
        workflow_report=WORKFLOW_REPORT,
    )


def _entry(item: Mapping[str, str], folder: str | Path, *, fold: bool = False) -> dict[str, Any]:
    """An item as the template shows it; pages are folded, or shown as they are."""
    if "page" in item:
        # What `labels.py page` made of the label set, if it did.
        labels = Path(item["page"]).with_name("labels.html")
        link = os.path.relpath(labels, folder) if fold and labels.is_file() else ""
        return {"title": item["title"], "html": _shown(item["page"]), "folded": fold, "labels": link}
    path = Path(item["figure"])
    data = path.read_bytes()
    if not data.startswith(_SIGNATURE):
        raise UserError(f"{path}: not a PNG; delete it, and run the same command again")
    # The header says so: width and height as big-endian words.
    width, height = (int.from_bytes(data[at : at + 4], "big") // _SHRINK for at in (16, 20))
    return {
        **item,
        "figure": f"data:image/png;base64,{base64.b64encode(data).decode()}",
        "width": width,
        "height": height,
        "pdf": os.path.relpath(path.with_suffix(".pdf"), folder),
    }


def _shown(markdown: str) -> str:
    """A page of Markdown as HTML, its headings below those of the report."""
    return html_of(Path(markdown).read_text(encoding="utf-8"), deeper=2)


def _anchor(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower())
