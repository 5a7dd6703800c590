"""What it takes to plan: seconds of processor time of a dry run, and the jobs that it plans, for each config."""

from __future__ import annotations

import argparse
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from datadistill.errors import UserError, run_script
from datadistill.files import write_json

REPOSITORY = Path(__file__).resolve().parents[1]


def dry_run(config: Path, directory: Path) -> dict[str, float | int]:
    """Jobs, and processor seconds (other work on the machine hardly changes them), of one dry run in a directory."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "64", "--directory", str(directory)]
    command += ["--snakefile", str(REPOSITORY / "Snakefile"), "--configfile", str(config.resolve())]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise UserError(f"{config}: the dry run failed:\n{done.stdout}{done.stderr}")
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "jobs": len(re.findall(r"^(?:local)?rule \w+:$", done.stdout, re.M)),
        "processor_seconds": round(seconds, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, nargs="+", default=[REPOSITORY / "config" / "paper.yaml"])
    parser.add_argument("--repeats", type=int, default=3, help="the fastest counts")
    parser.add_argument("--output", type=Path, help="a JSON file for the figures")
    arguments = parser.parse_args()
    record = {}
    for config in arguments.config:
        with tempfile.TemporaryDirectory() as directory:
            runs = [dry_run(config, Path(directory)) for _ in range(arguments.repeats)]
        record[config.name] = min(runs, key=lambda run: run["processor_seconds"])
        print(f"{config.name}: {record[config.name]['jobs']} jobs, {record[config.name]['processor_seconds']} s")
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        write_json(arguments.output, record, indent=1)


if __name__ == "__main__":
    run_script(main)
