"""Run Snakemake with a live line for each running job: `python scripts/run.py --configfile config/demo.yaml --cores all`.

Its jobs share one import of torch and detectron2 (datadistill/warm_start.py). The arguments are those of `snakemake`; so is the
exit status. Signals reach it as they reach Snakemake, which this process is.
"""

from __future__ import annotations

import sys

from datadistill.errors import run_script


def main() -> int:
    from snakemake.cli import main as snakemake
    from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

    from datadistill.warm_start import waiting
    from datadistill.workflow import live_lines

    LoggerPluginRegistry().register_plugin("lines", live_lines)
    try:
        # With `=`, or it would take the targets that follow for loggers.
        with waiting():
            snakemake(["--logger=lines", *sys.argv[1:]])
    except KeyboardInterrupt:
        print("stopped before any job began", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    run_script(main)
