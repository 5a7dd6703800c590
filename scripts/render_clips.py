"""Render short clips of moving people, as a stand-in for a folder of videos."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from datadistill.data.specs import Clips
from datadistill.errors import run_script
from datadistill.keys import read
from rendered.clips import render_clips
from rendered.scene import SceneSpec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--spec", required=True, type=json.loads, help="domain, count, frames, size and seed of the clips, as JSON"
    )
    parser.add_argument("--output", required=True, type=Path, help="folder to make")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    clips = read(Clips, arguments.spec, "clips")
    shutil.rmtree(arguments.output, ignore_errors=True)
    scene = SceneSpec("people", clips.domain, *clips.size, clips.seed)
    render_clips(scene, clips.count, arguments.output, frames=clips.frames, workers=arguments.workers)
    print(f"{arguments.output}: {clips.count} clips of {clips.frames} frames")


if __name__ == "__main__":
    run_script(main)
