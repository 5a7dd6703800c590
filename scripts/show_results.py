"""Print the tables of a run, name its figures, and say what it took."""

from __future__ import annotations

import argparse
from pathlib import Path

from datadistill.errors import run_script
from datadistill.report.published import load_published
from datadistill.report.run_times import read_job_times, run_counts
from datadistill.report.tables import load_table
from datadistill.report.terminal import show_table
from datadistill.workflow.load import load_experiments
from datadistill.workflow.outputs import FIGURE_SUFFIXES, table_spec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, type=Path)
    arguments = parser.parse_args()
    experiments = load_experiments(arguments.config)
    config = experiments.config
    published = load_published(Path(__file__).resolve().parents[1] / "config" / "published.yaml")
    for table in config["tables"]:
        show_table(load_table(table_spec(experiments, table["name"]), published))
    made = [
        path
        for figure in config["figures"]
        for path in [experiments.paths.figure(figure["name"], FIGURE_SUFFIXES[0])]
        if Path(path).exists()
    ]
    print(f"Tables: {experiments.paths.base}/tables/")
    if made:
        print("Pictures: " + "\n          ".join(made))
    if jobs := read_job_times(experiments.paths.benchmarks):
        print(f"Made: {run_counts(jobs)}")


if __name__ == "__main__":
    run_script(main)
