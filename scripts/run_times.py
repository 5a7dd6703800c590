"""Write the page of run times from a run's benchmark files."""

from __future__ import annotations

import argparse
from pathlib import Path

from datadistill.errors import run_script
from datadistill.files import atomic_write
from datadistill.report.run_times import read_cpu_times_of, read_job_times, run_times_page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--benchmarks", required=True, type=Path, help="folder of benchmark files, one folder a rule")
    parser.add_argument("--logs", required=True, type=Path, help="folder of logs, laid out like the benchmark files")
    parser.add_argument("--note", required=True, help="what data this is from")
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args()
    jobs, times = read_job_times(arguments.benchmarks, arguments.logs), read_cpu_times_of(arguments.logs)
    with atomic_write(arguments.output) as stream:
        stream.write(run_times_page(jobs, note=arguments.note, cpu_times=times))


if __name__ == "__main__":
    run_script(main)
