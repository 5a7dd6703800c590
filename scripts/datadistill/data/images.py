"""What a file on disk holds: does it decode to the end, how large does detectron2 see it, what is its content hash.

Every image of every split passes through here once, before anything is trained. Light: Pillow only.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from datadistill.errors import UserError
from datadistill.progress import progress
from datadistill.values import is_plain_text

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
# Photos of kinds that aren't read: a folder that holds such is said to.
OTHER_SUFFIXES = (".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".tif", ".tiff", ".webp")
_ORIENTATION = 0x0112  # EXIF tag
_SWAPS_SIDES = (5, 6, 7, 8)  # EXIF orientations that turn the image by a quarter
# detectron2 resizes an image so that its longer side is at most `max_size`, which is 16 or more: up to this ratio of the sides
# the shorter one keeps a pixel, whatever the config asks for.
MAX_ASPECT_RATIO = 30
_CHUNK = 32  # images a task of the pool: large enough to hide its overhead, small enough to share the end equally


@dataclass(frozen=True)
class Inspection:
    """What one image file turned out to be.

    `width` and `height` are in pixels *after* the EXIF orientation is applied, as
    `detectron2.data.detection_utils.read_image` applies it; `content` is the BLAKE2b hash (16 bytes, hexadecimal) of
    the file's bytes. `problem` says in a few words why the image can't be used, or is None; width, height and content
    are then as far as they are known (0 and "").
    """

    file_name: str
    width: int = 0
    height: int = 0
    content: str = ""
    problem: str | None = None


def content_hash(data: bytes) -> str:
    """BLAKE2b of a file's bytes, 32 hexadecimal characters."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def inspect_image(file_name: str, expected: tuple[int, int] | None = None) -> Inspection:
    """Read a file whole, decode it to its last row, and compare its size (width, height) with `expected`.

    A JPEG is decoded at an eighth of its size and without colour: every coded coefficient is still read, so that a
    file that ends early is found, at a fraction of the cost. Damage that leaves the stream decodable (a few flipped
    bits) is not found; detectron2 reads such a file just as well.
    """
    from PIL import Image

    try:
        if not stat.S_ISREG(os.stat(file_name).st_mode):
            # A pipe would be waited for for ever.
            return Inspection(file_name, problem="not a regular file")
        data = Path(file_name).read_bytes()
    except FileNotFoundError:
        return Inspection(file_name, problem="missing")
    except (OSError, ValueError) as error:
        return Inspection(file_name, problem=f"unreadable ({getattr(error, 'strerror', None) or error})")
    if not data:
        return Inspection(file_name, problem="empty file")
    content = content_hash(data)
    width = height = 0
    try:
        with warnings.catch_warnings():
            # Pillow warns of large images and odd EXIF blocks; what it can't decode it raises.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                width, height = image.size
                if _orientation(image) in _SWAPS_SIDES:
                    width, height = height, width
                stored = image.size
                deep = image.mode.startswith(("I", "F"))
                image.draft("L", (1, 1))
                image.load()
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, DecompressionBombError, ...
        return Inspection(file_name, width, height, content, f"does not decode ({_short(error)})")
    if deep:
        # Pillow's way to RGB, which is detectron2's, cuts each value at 255.
        note = "has more than 8 bits a channel, which would be cut to white; convert it to 8 bits"
        return Inspection(file_name, width, height, content, note)
    if expected is not None and (width, height) != expected:
        note = f"is {width}x{height} pixels, its record says {expected[0]}x{expected[1]}"
        if stored == expected:
            note += f" (stored as {stored[0]}x{stored[1]}; detectron2 reads it turned, as its EXIF orientation says)"
        return Inspection(file_name, width, height, content, note)
    return Inspection(file_name, width, height, content, aspect_problem(width, height))


def aspect_problem(width: int, height: int) -> str | None:
    """Why an image of this size, in pixels, is too narrow to be resized; None for any usual one."""
    if max(width, height) <= MAX_ASPECT_RATIO * min(width, height):
        return None
    return (
        f"is {width}x{height} pixels, too narrow: resized, its shorter side could vanish; the longer may be "
        f"{MAX_ASPECT_RATIO} times the shorter at most"
    )


def _orientation(image: object) -> int | None:
    try:
        return image.getexif().get(_ORIENTATION)  # type: ignore[attr-defined]
    except Exception:  # detectron2 reads an image whose EXIF block is broken as it lies
        return None


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    # Pillow names the in-memory buffer, which differs from run to run and would make ledgers differ.
    return "not an image file" if "cannot identify image" in text else text[:120]


def inspect_images(
    files: Sequence[tuple[str, tuple[int, int] | None]], *, workers: int = 1, label: str = "checking images"
) -> list[Inspection]:
    """`inspect_image` of every (file name, expected (width, height) or None), in order, over a pool of processes."""
    return list(progress(_inspect_all(files, workers), total=len(files), unit="image", label=label))


def _inspect_all(files: Sequence[tuple[str, tuple[int, int] | None]], workers: int) -> Iterator[Inspection]:
    # Starting processes costs more than it saves on a few images.
    workers = min(workers, len(files) // _CHUNK)
    if workers <= 1:
        yield from (inspect_image(*file) for file in files)
        return
    names, sizes = zip(*files, strict=True)
    try:
        with ProcessPoolExecutor(workers) as pool:
            yield from pool.map(inspect_image, names, sizes, chunksize=_CHUNK)
    except BrokenProcessPool:
        raise UserError(
            f"a process that checked images was killed, perhaps for lack of memory; use fewer than {workers} workers"
        ) from None


def list_images(folder: str | Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> list[str]:
    """Paths, relative to `folder` and with `/`, of all files below it with one of `suffixes` (any case), sorted.

    Names that begin with a dot are left out; symbolic links to folders are followed, each folder once.
    Raises `UserError` when the folder is missing, it or one below can't be read, or a name isn't UTF-8 or has control characters.
    """
    found = sorted(_walk(folder, suffixes))
    for name in found:
        if is_plain_text(name):
            continue
        half = any("\ud800" <= character <= "\udfff" for character in name)
        problem = "isn't UTF-8" if half else "has control characters, such as a line break"
        raise UserError(f"{folder}: the name {name!r} {problem}; rename this file, or its folder")
    return found


def unread_note(folder: str | Path) -> str | None:
    """What a folder holds of images of kinds that `list_images` doesn't look for, as a sentence; None where there are none."""
    counts = Counter(Path(name).suffix.lower() for name in _walk(folder, OTHER_SUFFIXES))
    if not counts:
        return None
    total = counts.total()
    of_each = ", ".join(f"{suffix} {count}" for suffix, count in sorted(counts.items(), key=lambda c: (-c[1], c[0])))
    files, are = ("1 file of a kind that isn't", "is") if total == 1 else (f"{total} files of kinds that aren't", "are")
    *others, last = IMAGE_SUFFIXES
    return f"{files} read ({of_each}) {are} left out; {', '.join(others)} and {last} are read"


def _walk(folder: str | Path, suffixes: tuple[str, ...]) -> Iterator[str]:
    """The paths of `list_images`, in no order, whatever their characters."""
    root = require_folder(folder)
    seen: set[str] = set()
    for where, folders, names in os.walk(root, followlinks=True, onerror=_refuse_unreadable):
        real = os.path.realpath(where)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if name.lower().endswith(suffixes) and not name.startswith("."):
                yield Path(where, name).relative_to(root).as_posix()


def require_folder(folder: str | Path) -> Path:
    """The path, if a folder lies there; otherwise a `UserError` that names it."""
    try:
        there = Path(folder).is_dir()
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: can't be read ({error}); check the path in the config") from None
    if not there:
        raise UserError(f"{folder}: no such folder; check the path in the config")
    return Path(folder)


def _refuse_unreadable(error: OSError) -> None:
    # What can't be listed would be missing from the split without a word.
    raise UserError(
        f"{error.filename}: this folder can't be read ({error.strerror}); give it read permission, or move it elsewhere"
    )
