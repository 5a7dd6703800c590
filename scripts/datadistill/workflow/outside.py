"""What lies outside a run, and how the run reaches it: links to folders of images, and notes of where the rest lies.

Snakemake makes them when it starts, never while it parses or plans. Split files and label files name images through the
links, so that their paths are of one kind, and a folder that was moved changes no result.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from datadistill.data.images import content_hash
from datadistill.data.specs import VideosSplit
from datadistill.data.splits import Split as SplitFile
from datadistill.data.splits import read_split
from datadistill.errors import UserError
from datadistill.files import write_json
from datadistill.workflow.experiments import Experiments
from datadistill.workflow.paths import Paths
from datadistill.workflow.registry import Split

CHECKED = 32
"""Images that are compared when a folder of images has moved: enough to tell another data set, and quickly read."""


def reach_outside(experiments: Experiments) -> None:
    """Make links and notes of all splits of a run.

    Raises `UserError` when a folder of images has moved, and does not hold the images that the split was made from.
    """
    for split in experiments.splits.values():
        write_json(experiments.paths.split_source(split.id), _rest(split, experiments.paths))
        if folder := split.spec.folder():
            _link_images(split, os.path.abspath(folder), experiments.paths)


def _rest(split: Split, paths: Paths) -> dict[str, object]:
    rest = split.spec.rest()
    if isinstance(split.spec, VideosSplit) and split.spec.rendered:
        rest["videos"] = paths.clips(split.id)
    return rest


def _link_images(split: Split, folder: str, paths: Paths) -> None:
    link, made = Path(paths.split_images(split.id)), Path(paths.split(split.id))
    before = os.readlink(link) if link.is_symlink() else None
    if before == folder:
        return
    if before is not None and made.exists():
        _check_moved(split.name, read_split(str(made)), str(link), folder)
    link.parent.mkdir(parents=True, exist_ok=True)
    # A link is renamed over the other: no job finds none.
    with tempfile.TemporaryDirectory(dir=link.parent, prefix=f".{link.name}.") as beside:
        new = Path(beside, "link")
        new.symlink_to(folder)
        try:
            os.replace(new, link)
        except OSError as error:
            raise UserError(f"{link}: can't be made a link to {folder} ({error.strerror}); move it away") from None


def _check_moved(name: str, split: SplitFile, link: str, folder: str) -> None:
    """Compare some images of a split with what lies where its folder is said to be now."""
    images = split["images"]
    for image in images[:: max(1, len(images) // CHECKED)]:
        path = Path(folder, os.path.relpath(image["file_name"], link))
        try:
            same = content_hash(path.read_bytes()) == image["content"]
        except OSError:
            same = False
        if not same:
            raise UserError(
                f"splits: {name}: {path} is missing or another image than the one this split was made of; give a split of other "
                "images another name, or say where these are"
            )


def file_state(path: str) -> str:
    """Size and time of change of a file, which a move leaves as they are; "absent" where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return "absent"
    return f"{status.st_size} bytes, changed {status.st_mtime_ns}"
