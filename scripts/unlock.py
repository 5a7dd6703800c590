"""Before `make` calls Snakemake: is its config YAML, and are there locks of one that was killed here and that may be removed?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from datadistill.errors import UserError, run_script
from datadistill.workflow.config import read_config
from datadistill.workflow.locks import may_unlock


def main() -> None:
    """The arguments are those of the snakemake command that follows: `--configfile config/demo.yaml`."""
    arguments = sys.argv[1:]
    if "--configfile" in arguments[:-1]:
        # What isn't YAML is told before Snakemake would tell it, in many lines.
        read_config(arguments[arguments.index("--configfile") + 1])
    if not may_unlock(Path.cwd(), Path(__file__).resolve().parent):
        return
    line = [sys.executable, "-m", "snakemake", "--unlock", *arguments]
    done = subprocess.run(line, check=False, capture_output=True, text=True)
    if done.returncode:
        reason = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no reason given")
        raise UserError(f"{Path.cwd()}: its locks can't be removed ({reason.strip()})")
    print("removed the locks of a killed run", file=sys.stderr)


if __name__ == "__main__":
    run_script(main)
