"""Atomic writes and the file formats that every stage shares."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from datadistill.errors import DISK_FULL, UserError

# A temporary file that is older than this, in seconds, and that nobody holds, was left by a killed process.
_STALE = 2.0


@contextmanager
def atomic_write(path: str | Path, mode: str = "w", *, size: int | None = None, tidy: bool = True) -> Iterator[IO[Any]]:
    """Open a temporary file beside `path`; on success flush it to disk and rename it over `path`.

    A reader sees the old file or the whole new one. After an exception the temporary file is removed and `path` is as it
    was; what killed processes left is removed by the next write. `size`: the bytes that will be needed, where known.
    `tidy` false leaves what they left: looking for it reads the whole folder, which is much where it holds thousands.

    Raises `UserError` when the disk is full.
    """
    path = Path(path)
    written = 0
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as stream:
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if tidy:
                _remove_stale(path, temporary)
            try:
                yield stream
                stream.flush()
                os.fsync(handle)
            finally:
                with contextlib.suppress(OSError):
                    written = os.fstat(handle).st_size
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        full = _full_disk(error)
        if full is None or isinstance(error, UserError):
            raise
        needed = f"about {human_size(size)} are" if size else f"more than the {human_size(written)} written so far are"
        raise UserError(
            f"{path}: {full.strerror}: {needed} needed, {human_size(free_space(path.parent))} are free; free some space and "
            "run it again"
        ) from None


def _remove_stale(path: Path, own: str) -> None:
    """Remove the temporary files that killed processes left beside `path`: no process holds their lock any more."""
    born = os.stat(own).st_mtime
    for other in glob.glob(f"{glob.escape(str(path.parent))}/.{glob.escape(path.name)}.*.tmp"):
        with contextlib.suppress(OSError):
            if other == own or os.stat(other).st_mtime > born - _STALE:
                continue
            with open(other, "rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(other)


def _full_disk(error: BaseException | None) -> OSError | None:
    """The full disk that an error comes from, if one does: torch hides it behind an error of its own."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            return error
        error = error.__cause__ or error.__context__
    return None


def free_space(folder: str | Path) -> int:
    """Free bytes on the disk of a folder, which need not exist yet."""
    existing = next((place for place in (Path(folder), *Path(folder).absolute().parents) if place.is_dir()), Path("/"))
    return shutil.disk_usage(existing).free


def require_space(path: str | Path, size: int, what: str) -> None:
    """Refuse to begin what would fill the disk: `size` bytes are needed below or beside `path` for `what`."""
    free = free_space(Path(path).parent)
    if size > free:
        raise UserError(
            f"{path}: {what} needs about {human_size(size)} on this disk, {human_size(free)} are free; free some space and "
            "run it again"
        )


def human_size(size: float) -> str:
    """A number of bytes for people: 12 B, 3.4 kB, 5.6 MB, 7.8 GB."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size:.0f} B"


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def canonical_json(value: Any) -> str:
    """JSON text that is equal for equal values: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any, length: int = 8) -> str:
    """The first `length` hexadecimal characters of the SHA-256 of `canonical_json(value)`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def file_digest(path: str | Path, length: int = 32) -> str:
    """The first `length` hexadecimal characters of the SHA-256 of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:length]


def write_json(path: str | Path, value: Any, *, indent: int | None = None) -> None:
    """Write `value` as JSON, atomically. NaN is refused: it isn't JSON."""
    with atomic_write(path) as stream:
        json.dump(value, stream, indent=indent, allow_nan=False)
        stream.write("\n")


REMAKE = "delete it and run the same command again"
"""What to do about a file that the workflow makes itself and that is not as it made it."""


def require_file(path: str | Path, *, made: bool = False) -> Path:
    """The path, if a file that can be read to its end lies there: no folder, no pipe, which would be waited for for ever.

    `made`: the workflow itself makes it. Raises `UserError` that names it.
    """
    advice = REMAKE if made else "check the path in the config"
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {'run the stage that makes it first' if made else advice}") from None
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); {advice}") from None
    except ValueError as error:
        raise UserError(f"{path}: no name of a file ({error}); {advice}") from None
    if stat.S_ISDIR(mode):
        raise UserError(f"{path}: a folder, where a file is needed; {advice}")
    if not stat.S_ISREG(mode):
        raise UserError(f"{path}: no regular file (a pipe or a device); {advice}")
    return Path(path)


def read_text(path: str | Path, *, made: bool = False) -> str:
    """The text of a file in UTF-8; a missing, unreadable or otherwise encoded one is a `UserError` that names it."""
    advice = REMAKE if made else "is it the right file?"
    try:
        return require_file(path, made=made).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); check its permissions") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not text in UTF-8 ({error.reason} at byte {error.start}); {advice}") from None


def read_json(path: str | Path, *, made: bool = False) -> Any:
    """Read a JSON file; a missing or malformed one is a `UserError` that names it.

    NaN and infinity, which Python would read, aren't JSON.
    """
    return parse_json(read_text(path, made=made), str(path), made=made)


def parse_json(text: str, name: str, *, made: bool = False) -> Any:
    """`read_json` of a text; `name` stands for it in messages."""
    try:
        return json.loads(text, parse_constant=lambda constant: _refuse_constant(text, constant))
    except ValueError as error:
        reason = str(error)
    except RecursionError:
        reason = "brackets nested too deep"
    raise UserError(
        f"{name}: not valid JSON ({reason}); {REMAKE if made else 'is the file complete, and the right one?'}"
    )


def _refuse_constant(text: str, constant: str) -> None:
    found = next(m for m in re.finditer(r'"(?:[^"\\]|\\.)*"|-?Infinity|NaN', text) if m[0] == constant)
    line = text.count("\n", 0, found.start()) + 1
    column = found.start() - text.rfind("\n", 0, found.start())
    raise ValueError(f"{constant} is no number of JSON: line {line} column {column}")


@contextmanager
def reading(path: str | Path, what: str) -> Iterator[None]:
    """Around the use of a file that an earlier stage wrote: one that was edited or cut short is a `UserError`.

    What isn't as the stage wrote it shows in errors of missing keys, wrong types and wrong numbers; `what` says what the
    file should hold.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        reason = " ".join(str(error).split())[:100]
        detail = f"no {reason}" if isinstance(error, KeyError) else reason or type(error).__name__
        raise UserError(f"{path}: not {what} as the workflow writes it ({detail}); {REMAKE}") from None


def read_made(path: str | Path, what: str) -> dict[str, Any]:
    """Read a JSON object that an earlier stage wrote; anything else is a `UserError` that says to delete the file."""
    value = read_json(path, made=True)
    if not isinstance(value, dict):
        raise UserError(f"{path}: not {what} as the workflow writes it (a {type(value).__name__}); {REMAKE}")
    return value


def read_json_argument(text: str) -> Any:
    """What a program was given as JSON, or as the path of a JSON file."""
    return json.loads(text) if text.lstrip().startswith("{") else read_json(text)


def read_json_lines(path: str | Path) -> list[dict[str, Any]]:
    """Read a file of one JSON object a line, as `write_json_lines` writes it."""
    rows = [parse_json(line, str(path), made=True) for line in read_text(path, made=True).splitlines() if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path}: not one JSON object a line; {REMAKE}")
    return rows


def write_json_lines(path: str | Path, rows: Iterator[Mapping[str, Any]] | list[dict[str, Any]]) -> None:
    """Write one JSON object a line, atomically."""
    with atomic_write(path) as stream:
        for row in rows:
            stream.write(json.dumps(row, allow_nan=False) + "\n")
