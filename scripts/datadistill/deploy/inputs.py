"""What a user wants predictions of, as a list of images: folders, single images, lists, COCO files, videos.

The laws are those of splits: every image is decoded whole before anything is computed, ids are COCO's own or a hash of the
name, sizes are those after the EXIF orientation, and what can't be used is left out by name, never in silence.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datadistill.data.coco import read_coco
from datadistill.data.images import IMAGE_SUFFIXES, inspect_images, list_images, unread_note
from datadistill.data.sources import path_id
from datadistill.data.splits import Made
from datadistill.data.video_frames import VIDEO_SUFFIXES, write_frames
from datadistill.errors import UserError
from datadistill.files import read_text, require_file
from datadistill.values import is_plain_text

LIST_SUFFIX, COCO_SUFFIX = ".txt", ".json"


@dataclass(frozen=True)
class _Found:
    """An image that somebody named, not read yet: `size` (width, height) where a file states it; `more` fields of its record."""

    id: int
    path: str
    size: tuple[int, int] | None = None
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Reading:
    """How inputs are read: `images` is where lists and COCO files have theirs (None: beside the file)."""

    task: str
    images: Path | None
    frames: Path
    every: int
    left_out: list[dict[str, str]] = field(default_factory=list)


def read_inputs(
    inputs: Sequence[Path], *, task: str, frames: Path, images: Path | None = None, every: int = 1, workers: int = 1
) -> Made:
    """An unlabelled split of all images that `inputs` name, in their order, and what of them was left out.

    - A folder: every JPEG and PNG in it and below, and a line on standard error that counts photos of other kinds and
      videos; an image: itself. The id is a hash of the name (below the folder).
    - A `.txt`: one image a line; a `.json`: COCO's images, with their ids. Names are relative to the folder `images`, by
      default the one that the file lies in.
    - A video: every `every`-th frame, written as JPEG into a folder of `frames`; records carry `video`, `frame`, `time`.

    Raises `UserError` for an input that is none of these, two images of one id, two videos of one name (before a frame is
    written), or none that can be used.
    """
    reading = _Reading(task, images, frames, every)
    readers = [(path, _reader(path)) for path in inputs]
    _refuse_one_name([path for path, reader in readers if reader is _video])
    found = [image for path, reader in readers for image in reader(path, reading)]
    _refuse_repeated(found)
    inspections = inspect_images([(image.path, image.size) for image in found], workers=workers)
    records = []
    for image, inspection in zip(found, inspections, strict=True):
        if inspection.problem:
            reading.left_out.append({"file_name": image.path, "reason": inspection.problem})
        else:
            size = {"width": inspection.width, "height": inspection.height}
            records.append({"id": image.id, "file_name": image.path, **size, **image.more})
    if not records:
        examples = "; ".join(f"{row['file_name']}: {row['reason']}" for row in reading.left_out[:3])
        raise UserError(f"{', '.join(map(str, inputs))}: no image can be used" + (f" ({examples})" if examples else ""))
    return Made({"info": {}, "images": records, "annotations": [], "categories": []}, reading.left_out)


def _reader(path: Path) -> Callable[[Path, _Reading], Iterator[_Found]]:
    """What reads an input, by what it is."""
    if path.is_dir():
        return _folder
    if not path.exists():
        raise UserError(f"--input: {path}: no such file or folder")
    require_file(path)
    suffix = path.suffix.lower()
    for suffixes, reader in (
        (IMAGE_SUFFIXES, _image),
        (VIDEO_SUFFIXES, _video),
        ((LIST_SUFFIX,), _list),
        ((COCO_SUFFIX,), _coco),
    ):
        if suffix in suffixes:
            return reader
    raise UserError(
        f"{path}: a folder, an image ({' '.join(IMAGE_SUFFIXES)}), a list of images ({LIST_SUFFIX}), a COCO file "
        f"({COCO_SUFFIX}) or a video ({' '.join(VIDEO_SUFFIXES)}) is needed; {suffix or 'a name without a suffix'} is none"
    )


def _folder(path: Path, reading: _Reading) -> Iterator[_Found]:
    names, videos, others = list_images(path), list_images(path, VIDEO_SUFFIXES), unread_note(path)
    notes = [f"{len(videos)} video(s); name each ({path / videos[0]})"] if videos else []
    notes += [others] if others else []
    if not names:
        raise UserError("; ".join([f"{path}: no JPEG or PNG image in this folder or below", *notes]))
    for note in notes:
        print(f"left out: {path}: {note}", file=sys.stderr)
    yield from (_Found(path_id(name), str(path / name)) for name in names)


def _image(path: Path, reading: _Reading) -> Iterator[_Found]:
    yield _Found(path_id(path.name), str(path))


def _list(path: Path, reading: _Reading) -> Iterator[_Found]:
    lines = [line.strip() for line in read_text(path).splitlines()]
    names = [line for line in lines if line and not line.startswith("#")]
    if not names:
        raise UserError(f"{path}: it lists no images")
    odd = next((name for name in names if not is_plain_text(name)), None)
    if odd is not None:
        raise UserError(f"{path}: {odd!r} has characters that no name of a file has")
    folder = reading.images or path.parent
    # An absolute name stays as it is.
    yield from (_Found(path_id(name), str(folder / name)) for name in names)


def _coco(path: Path, reading: _Reading) -> Iterator[_Found]:
    folder = reading.images or path.parent
    for image in read_coco(path, task=reading.task, annotated=False)["images"]:
        yield _Found(image["id"], str(folder / image["file_name"]), (image["width"], image["height"]))


def _video(path: Path, reading: _Reading) -> Iterator[_Found]:
    records, problems = write_frames(path, reading.frames / path.name, every=reading.every)
    reading.left_out.extend({"file_name": str(path), "reason": problem} for problem in problems)
    for record in records:
        more = {"video": str(path), "frame": record["frame"], "time": record["time"]}
        yield _Found(path_id(f"{path.name}/{record['frame']}"), record["file_name"], more=more)


def _refuse_one_name(videos: Sequence[Path]) -> None:
    """Frames of a video go into a folder of its name, and their ids come from it."""
    places: dict[str, Path] = {}
    for path in videos:
        if path.name not in places:
            places[path.name] = path
        elif places[path.name] == path:
            raise UserError(f"{path}: this video is named twice; name it once")
        else:
            raise UserError(
                f"{places[path.name]} and {path} have one name, which their frames are known by; rename one, or predict on one "
                "after the other"
            )


def _refuse_repeated(found: Sequence[_Found]) -> None:
    places: dict[int, str] = {}
    for image in found:
        if image.id not in places:
            places[image.id] = image.path
        elif places[image.id] == image.path:
            raise UserError(f"{image.path}: this image is named twice; name it once")
        else:
            raise UserError(
                f"{places[image.id]} and {image.path} have one id ({image.id}): ids come from names below each folder, or "
                "from COCO files; predict on one input after the other"
            )
