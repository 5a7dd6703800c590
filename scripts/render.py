"""Render the images of one split, with the truth about every scene."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from datadistill.data.specs import RenderedSplit, parse_split_spec
from datadistill.errors import UserError, run_script
from datadistill.files import write_json
from rendered.scene import SceneSpec, render_images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="the split's spec, of kind rendered, as JSON")
    parser.add_argument("--images", required=True, type=Path, help="folder to make")
    parser.add_argument("--annotations", required=True, type=Path, help="COCO JSON to write")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    spec = parse_split_spec(arguments.spec)
    if not isinstance(spec, RenderedSplit):
        raise UserError(f"--spec: a split of kind {spec.kind!r} isn't rendered")
    scene = SceneSpec(spec.scene, spec.domain, *spec.size, spec.seed)
    shutil.rmtree(arguments.images, ignore_errors=True)
    # Ids of different seeds never meet, so that splits can be united.
    first_id = spec.seed * 1_000_000 + 1
    coco = render_images(scene, spec.images, arguments.images, first_id, workers=arguments.workers)
    write_json(arguments.annotations, coco)
    print(f"{arguments.images}: {len(coco['images'])} images, {len(coco['annotations'])} annotations")


if __name__ == "__main__":
    run_script(main)
