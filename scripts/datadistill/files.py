"""Atomic writes and the file formats that every stage shares."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from datadistill.errors import UserError


@contextmanager
def atomic_write(path: str | Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path`; on success flush it to disk and rename it over `path`.

    A reader sees the old file or the whole new one. After an exception the temporary file is removed and `path` is as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, mode) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


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


def read_json(path: str | Path) -> Any:
    """Read a JSON file; a missing or malformed one is a `UserError` that names it."""
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check the path in the config") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); is the file complete?") from None


def read_json_lines(path: str | Path) -> list[dict[str, Any]]:
    """Read a file of one JSON object a line."""
    with open(path, encoding="utf-8") as stream:
        return [json.loads(line) for line in stream if line.strip()]


def write_json_lines(path: str | Path, rows: Iterator[Mapping[str, Any]] | list[dict[str, Any]]) -> None:
    """Write one JSON object a line, atomically."""
    with atomic_write(path) as stream:
        for row in rows:
            stream.write(json.dumps(row, allow_nan=False) + "\n")
