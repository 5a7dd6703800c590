"""Render the images of one split, with the truth about every scene."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from datadistill.errors import run_script
from datadistill.files import write_json
from rendered.scene import SceneSpec, render_images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, type=json.loads, help="scene, domain, images, size and seed, as JSON")
    parser.add_argument("--images", required=True, type=Path, help="folder to make")
    parser.add_argument("--annotations", required=True, type=Path, help="COCO JSON to write")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    scene = arguments.spec
    width, height = scene["size"]
    spec = SceneSpec(scene["scene"], scene["domain"], width, height, scene["seed"])
    shutil.rmtree(arguments.images, ignore_errors=True)
    # Ids of different seeds never meet, so that splits can be united.
    first_id = scene["seed"] * 1_000_000 + 1
    coco = render_images(spec, scene["images"], arguments.images, first_id, workers=arguments.workers)
    write_json(arguments.annotations, coco)
    print(f"{arguments.images}: {len(coco['images'])} images, {len(coco['annotations'])} annotations")


if __name__ == "__main__":
    run_script(main)
