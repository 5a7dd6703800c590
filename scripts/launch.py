"""Start a script once, or as several data-parallel processes through torchrun.

    launch.py --processes N -- script.py [arguments]

How several processes start is the profile's business, never a rule's: DATADISTILL_LAUNCHER replaces
`torchrun --standalone --nproc-per-node {processes}` (several nodes: `srun torchrun --nnodes ...`).
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys

from datadistill.devices import claim_gpus
from datadistill.errors import UserError, run_script

TORCHRUN = f"{shlex.quote(sys.executable)} -m torch.distributed.run --standalone --nproc-per-node {{processes}}"


def command(processes: int, script: list[str], launcher: str | None) -> list[str]:
    """The command line that starts `processes` processes of a script."""
    if processes == 1:
        return [sys.executable, *script]
    try:
        return [*shlex.split((launcher or TORCHRUN).format(processes=processes)), *script]
    except (KeyError, IndexError, ValueError) as error:
        raise UserError(
            f"DATADISTILL_LAUNCHER: {launcher!r} is not a command with {{processes}} in it ({error})"
        ) from None


def device_of(script: list[str]) -> str:
    """The script's own `--device`, "auto" if it has none."""
    return script[script.index("--device") + 1] if "--device" in script[:-1] else "auto"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, required=True)
    parser.add_argument("script", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    script = arguments.script[1:] if arguments.script[:1] == ["--"] else arguments.script
    if arguments.processes > 1 and device_of(script) != "cpu":
        # One claim for all processes; a single process claims its device itself.
        claim_gpus(arguments.processes, os.environ)
    line = command(arguments.processes, script, os.environ.get("DATADISTILL_LAUNCHER"))
    # exec: a signal from the scheduler reaches the training process itself.
    os.execvp(line[0], line)


if __name__ == "__main__":
    run_script(main)
