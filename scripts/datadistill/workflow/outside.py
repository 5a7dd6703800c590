"""What lies outside a run, and how the run reaches it: links to folders of images, and notes of where the rest lies.

Snakemake makes them when it starts, never while it parses or plans. Split files and label files name images through the
links, so that their paths are of one kind, and a folder that was moved changes no result.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datadistill.data.images import content_hash
from datadistill.data.specs import VideosSplit
from datadistill.data.splits import Split as SplitFile
from datadistill.data.splits import read_split
from datadistill.errors import UserError
from datadistill.files import digest, file_digest, read_json, write_json
from datadistill.model.weight_files import find_weights, other_weights
from datadistill.workflow.experiments import Experiments
from datadistill.workflow.needs import networks_from
from datadistill.workflow.paths import Paths
from datadistill.workflow.registry import Split

CHECKED = 32
"""Images that are compared when a folder of images has moved: enough to tell another data set, and quickly read."""


def reach_outside(experiments: Experiments) -> None:
    """Make links and notes of all splits of a run, and notes of its initial weights.

    Raises `UserError` when a folder of images has moved, and does not hold the images that the split was made from, or when
    other weights lie where those came from that models began with.
    """
    for split in experiments.splits.values():
        write_json(experiments.paths.split_source(split.id), _rest(split, experiments.paths))
        if folder := split.spec.folder():
            _link_images(split, os.path.abspath(folder), experiments.paths)
    for weights in experiments.weights.values():
        networks = networks_from(weights, experiments.models.values())
        note = {"source": dict(weights.source), "networks": list(networks.values())}
        write_json(experiments.paths.weights_source(weights.id), note)
        _check_weights(weights.source, Path(weights.file), Path(experiments.paths.weights_record(weights.id)))


def _check_weights(source: Mapping[str, Any], file: Path, record: Path) -> None:
    """Are weights that are in place still those that the config describes? Where they lie now is read only if that changed."""
    if not file.exists() or not record.exists():
        return
    known = read_json(record, made=True)
    if found := source.get("sha256"):
        if not known["sha256"].startswith(found):
            raise UserError(other_weights(source["name"], found, known["sha256"], file.name, str(record)))
    elif "path" in source and source["path"] != known["source"]:
        found = file_digest(find_weights(source["path"]), 64)
        if found != known["sha256"]:
            raise UserError(other_weights(source["path"], found, known["sha256"], file.name, str(record)))


def checked_anew(experiments: Experiments, since: float) -> list[str]:
    """Models (ids) that were compared with the splits that judge them after `since` (seconds), and not trained after it.

    Training waits for that comparison, and isn't done again after another one. Snakemake looks for no reason of its own in jobs
    below one that runs, though, so what follows from other splits may be left to its next call.
    """
    paths = experiments.paths
    pairs = ((model.id, paths.leaks(model.id), paths.model(model.id)) for model in experiments.models.values())
    return [
        name
        for name, leaks, trained in pairs
        if Path(leaks).exists()
        and Path(trained).exists()
        and os.stat(trained).st_mtime < since < os.stat(leaks).st_mtime
    ]


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
    """Size and time of change of a file, which a move leaves as they are; "absent" where there is none.

    Of a folder: the same of all that is in it, as a number of files and a digest.
    """
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            with os.scandir(path) as entries:
                found = sorted((entry.name, entry.stat().st_size, entry.stat().st_mtime_ns) for entry in entries)
            return f"{len(found)} files, {digest(found)}"
    except OSError:
        return "absent"
    return f"{status.st_size} bytes, changed {status.st_mtime_ns}"
