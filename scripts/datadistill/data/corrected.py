"""Labels that people corrected, made into the source of a split: names of files that stay, and ids that are free."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from datadistill.data.sources import path_id
from datadistill.errors import UserError


def as_source(corrected: Mapping[str, Any], taken: Collection[int], folder: Path | None = None) -> dict[str, Any]:
    """COCO JSON of corrected labels, to be named in a split of kind coco.

    - `corrected`: its file names as label sets have them: relative to the working directory, often through a link in `results/`.
    - `taken`: ids of the images that it is to be united with. Where one of its ids is among them, all of its images are numbered anew,
      by their paths.
    - `folder`: file names become relative to it; it must hold the images. None: the working directory, where an image that lies
      outside of it keeps its way through the link.
    """
    names = {image["id"]: _relative(image["file_name"], folder) for image in corrected["images"]}
    ids = {number: path_id(name) if set(names) & set(taken) else number for number, name in names.items()}
    images = [{**image, "id": ids[image["id"]], "file_name": names[image["id"]]} for image in corrected["images"]]
    annotations = [{**label, "image_id": ids[label["image_id"]]} for label in corrected["annotations"]]
    return {**corrected, "images": sorted(images, key=lambda image: image["id"]), "annotations": annotations}


def _relative(name: str, folder: Path | None) -> str:
    real, root = os.path.realpath(name), os.path.realpath(folder or ".")
    if os.path.commonpath([real, root]) == root:
        return Path(real).relative_to(root).as_posix()
    if folder is None:
        return name
    raise UserError(f"--images: {real} doesn't lie in {folder}; name a folder that holds all images that were reviewed")
