#!/usr/bin/env python3
"""A stand-in for the `conda` command where there is none: what Snakemake calls of it, on py-rattler's solver and installer.

Lies as bin/conda in a folder, with `activate` beside it. STAND_IN_CHANNEL is a folder that serves as every channel, so that
environment files need no change. Solves for real: a missing package, a wrong version or an absent `__cuda` fails as conda fails.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PREFIX = Path(__file__).absolute().parents[1]
VERSION = "25.1.0"
KNOWN_KEYS = {"name", "channels", "dependencies"}


async def solve_and_install(file: Path, prefix: Path) -> list[str]:
    """Install what an environment file asks for of conda; returns what it asks for of pip."""
    import yaml
    from rattler import ChannelPriority, MatchSpec, VirtualPackage, VirtualPackageOverrides, install, solve

    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    if unknown := set(content) - KNOWN_KEYS:
        sys.exit(f"{file}: unknown keys: {', '.join(sorted(unknown))}")
    wanted = [entry for entry in content["dependencies"] if isinstance(entry, str)]
    for_pip = [line for entry in content["dependencies"] if isinstance(entry, dict) for line in entry["pip"]]
    records = await solve(
        [f"file://{os.environ['STAND_IN_CHANNEL']}"],
        specs=[MatchSpec(entry) for entry in wanted],
        platforms=["linux-64", "noarch"],
        # CONDA_OVERRIDE_CUDA counts, as it does for conda.
        virtual_packages=VirtualPackage.detect(VirtualPackageOverrides.from_env()),
        channel_priority=ChannelPriority.Strict,
    )
    await install(records, target_prefix=prefix, show_progress=False)
    # Without it Snakemake takes the folder for no environment.
    history = prefix / "conda-meta" / "history"
    history.parent.mkdir(parents=True, exist_ok=True)
    history.touch()
    return for_pip


def create(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--prefix", type=Path, required=True)
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--no-default-packages", action="store_true")
    options, _ = parser.parse_known_args(arguments)
    try:
        for_pip = asyncio.run(solve_and_install(options.file, options.prefix))
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")
    if for_pip:
        subprocess.run([options.prefix / "bin" / "python", "-m", "pip", "install", "--quiet", *for_pip], check=True)
    sys.stdout.flush()
    # The solver's threads can abort the interpreter when it ends in the usual way.
    os._exit(0)


def main() -> None:
    arguments = sys.argv[1:]
    match arguments:
        case ["--version"]:
            print(f"conda {VERSION}")
        case ["info", *_]:
            folder = str(PREFIX)
            facts = {"conda_prefix": folder, "root_prefix": folder, "platform": "linux-64", "conda_version": VERSION}
            print(json.dumps(facts))
        case ["config", *_]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["env", "create", *rest]:
            create(rest)
        case ["clean", *_]:
            pass
        case _:
            sys.exit(f"the stand-in for conda can't do this: {' '.join(arguments)}")


if __name__ == "__main__":
    main()
