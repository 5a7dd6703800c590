"""Downloads that survive interruption: resumed by HTTP range, checked, unpacked, and never repeated.

Light: the standard library, and yaml for the list of downloads.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import stat
import struct
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from datadistill.errors import DISK_FULL, UserError
from datadistill.files import free_space, human_size, read_json, write_json
from datadistill.progress import progress
from datadistill.values import is_plain_text

# By hand, and not with pooch: it starts an interrupted file again from zero, and these are up to 20 GB.
_CHUNK = 1 << 20
_ATTEMPTS = 5  # without a byte of progress between them
_TIMEOUT = 60.0  # seconds of silence
RECORDS = ".fetched"  # folder below the root: one small JSON file for each download that is complete
# Space to leave free on the disk: a full disk fails other programs, too.
_MARGIN = 500_000_000


@dataclass(frozen=True)
class Download:
    """One file to fetch, and what is known of it; see config/downloads.yaml for the fields."""

    name: str
    url: str
    size: int | None = None
    md5: str | None = None
    sha256: str | None = None
    unpack: str | None = None
    unpacked: int | None = None
    holds: Mapping[str, int] | None = None

    @property
    def file_name(self) -> str:
        """The last part of the address."""
        return Path(urllib.parse.urlparse(self.url).path).name


def read_downloads(path: str | Path) -> dict[str, Download]:
    """The downloads of a YAML file, by name; `UserError` for anything malformed."""
    import yaml

    try:
        with open(path, encoding="utf-8") as stream:
            entries = yaml.safe_load(stream)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check the path") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(entries, Mapping):
        raise UserError(f"{path}: a mapping of names to downloads is needed")
    known = set(Download.__dataclass_fields__) - {"name"}
    downloads = {}
    for name, values in entries.items():
        if not isinstance(values, Mapping) or not isinstance(values.get("url"), str):
            raise UserError(f"{path}: {name} has no url")
        if set(values) - known:
            raise UserError(f"{path}: {name} has an unknown key {sorted(set(values) - known)[0]!r}")
        for key in ("md5", "sha256"):
            if key in values and not re.fullmatch(r"[0-9a-f]{8,64}", str(values[key])):
                raise UserError(f"{path}: {name} has a malformed {key}; hexadecimal digits, in quotes if all decimal")
        holds = values.get("holds")
        if holds is not None and (
            not isinstance(holds, Mapping) or not all(isinstance(n, int) for n in holds.values())
        ):
            raise UserError(f"{path}: {name} has a malformed holds; a mapping of paths to numbers of files is needed")
        downloads[name] = Download(name, **values)
    return downloads


def choose(downloads: Mapping[str, Download], names: Sequence[str]) -> list[Download]:
    """The named downloads; an unknown name is a `UserError` with the nearest known one."""
    import difflib

    for name in names:
        if name not in downloads:
            near = difflib.get_close_matches(name, downloads, 1)
            raise UserError(
                f"no download is called {name!r}"
                + (f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(downloads)}")
            )
    return [downloads[name] for name in names]


def fetch_all(
    downloads: Sequence[Download], root: str | Path, *, keep_archives: bool = False, pause: float = 2.0
) -> list[dict[str, Any]]:
    """Bring every download to `root`, whatever is there already, and return their records.

    Disk space for all that is missing is checked before the first byte. A download whose record and files are there is
    left alone. An archive is deleted once unpacked, unless `keep_archives`. `pause` seconds, doubled each time, lie
    between attempts. Raises `UserError` for a lack of space, an address that doesn't answer, and a file of the wrong
    size or checksum.
    """
    folder = Path(root)
    missing = [download for download in downloads if not is_complete(download, folder)]
    check_space(missing, folder, keep_archives=keep_archives)
    for download in missing:
        record = _fetch_one(download, folder, pause=pause)
        if download.unpack is not None:
            archive = folder / download.file_name
            record["files"] = unzip(archive, folder / download.unpack, label=f"unpacking {download.file_name}")
            if not keep_archives:
                archive.unlink()
        write_json(_record_path(download, folder), record)
    return [_record(download, folder) for download in downloads]


def _record(download: Download, root: Path) -> dict[str, Any]:
    path = _record_path(download, root)
    if path.is_file():
        return read_json(path)
    return {"name": download.name, "url": download.url, "found": sorted(download.holds or ())}


def is_complete(download: Download, root: Path) -> bool:
    """Whether a download is there already, however it came.

    Either all that it `holds` is there (files, or folders of so many files), or its record is, of this address and
    these checksums, with its file, or some of the files unpacked from it.
    """
    if download.holds is not None:
        return all(_count(root / path) >= files for path, files in download.holds.items())
    path = _record_path(download, root)
    if not path.is_file():
        return False
    record = read_json(path)
    if record.get("url") != download.url or (download.md5 or record.get("md5")) != record.get("md5"):
        return False
    if download.sha256 and not str(record.get("sha256", "")).startswith(download.sha256):
        return False
    if download.unpack is None:
        file = root / download.file_name
        return file.is_file() and file.stat().st_size == record["size"]
    return all((root / download.unpack / name).exists() for name in record["files"]["examples"])


def _count(path: Path) -> int:
    return sum(1 for _ in path.iterdir()) if path.is_dir() else int(path.is_file())


def check_space(downloads: Sequence[Download], root: Path, *, keep_archives: bool = True) -> int:
    """Bytes that fetching needs on disk at its peak, given what is there in part; `UserError` when they aren't free.

    Archives are unpacked one by one: unless they are kept, only the largest counts beside what is unpacked.
    """
    remaining = []
    for download in downloads:
        there = sum(p.stat().st_size for p in (root / download.file_name, _partial(download, root)) if p.is_file())
        remaining.append(max(0, (download.size or 0) - there))
    kept = [r for r, d in zip(remaining, downloads, strict=True) if keep_archives or d.unpack is None]
    passing = [r for r, d in zip(remaining, downloads, strict=True) if not keep_archives and d.unpack is not None]
    needed = sum(kept) + max(passing, default=0) + sum(d.unpacked or 0 for d in downloads if d.unpack is not None)
    existing = next(folder for folder in (root, *root.resolve().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if downloads and needed + _MARGIN > free:
        names = ", ".join(download.name for download in downloads)
        raise UserError(
            f"{root}: {names} need{'s'[: len(downloads) == 1]} {human_size(needed + _MARGIN)}, "
            f"{human_size(free)} are free; free some, or choose another data root"
        )
    return needed


def _record_path(download: Download, root: Path) -> Path:
    return root / RECORDS / f"{download.name}.json"


def _partial(download: Download, root: Path) -> Path:
    return root / f"{download.file_name}.part"


def _fetch_one(download: Download, root: Path, *, pause: float) -> dict[str, Any]:
    """Download to a `.part` file, check, rename; a finished file that is there already is checked, not fetched."""
    if download.file_name in ("", ".."):
        raise UserError(f"{download.url}: this address doesn't end in the name of a file")
    root.mkdir(parents=True, exist_ok=True)
    target, partial = root / download.file_name, _partial(download, root)
    if target.is_file():
        return _check(download, target)
    _transfer(download, partial, pause)
    try:
        record = _check(download, partial)
    except UserError:
        # Going on from wrong bytes would never end well.
        partial.unlink()
        raise
    os.replace(partial, target)
    return record


def _check(download: Download, path: Path) -> dict[str, Any]:
    """Size and checksums of a file, as its record; `UserError` when they aren't the expected ones."""
    size = path.stat().st_size
    if download.size is not None and size != download.size:
        raise UserError(
            f"{path}: {size} bytes, {download.size} are expected; the file at {download.url} may have changed, or "
            "another is in its place: delete it and fetch again"
        )
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with open(path, "rb") as stream:
        for block in progress(
            iter(lambda: stream.read(_CHUNK), b""), total=-(-size // _CHUNK), unit="MiB", label="checking"
        ):
            md5.update(block)
            sha256.update(block)
    found = {"md5": md5.hexdigest(), "sha256": sha256.hexdigest()}
    for kind, expected in (("md5", download.md5), ("sha256", download.sha256)):
        if expected is not None and not found[kind].startswith(expected):
            raise UserError(f"{path}: its {kind} is {found[kind]}, {expected} is expected; delete it and fetch again")
    return {"name": download.name, "url": download.url, "size": size, **found}


def _transfer(download: Download, partial: Path, pause: float) -> None:
    """Fetch what is missing of `partial`, over as many connections as it takes while each brings something."""
    failures = 0
    while True:
        before = partial.stat().st_size if partial.exists() else 0
        try:
            _transfer_once(download, partial)
            return
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise UserError(
                    f"{download.url}: the server says {error.code} {error.reason}; check the address"
                ) from None
            reason: object = f"{error.code} {error.reason}"
        except (OSError, http.client.HTTPException, _CutShort) as error:
            if isinstance(error, OSError) and error.errno in DISK_FULL:
                raise UserError(
                    f"{partial}: {error.strerror}: {human_size(download.size) if download.size else 'more'} needed in all, "
                    f"{human_size(free_space(partial.parent))} free; what was fetched is kept: free some and run it again"
                ) from None
            reason = error
        after = partial.stat().st_size if partial.exists() else 0
        failures = 1 if after > before else failures + 1
        if failures >= _ATTEMPTS:
            raise UserError(
                f"{download.url}: gave up after {_ATTEMPTS} attempts ({' '.join(str(reason).split())}); "
                "what was fetched is kept, so the same command goes on from there"
            )
        print(f"{download.name}: connection lost at {human_size(after)} ({reason}); trying again", file=sys.stderr)
        time.sleep(pause * 2 ** (failures - 1))


class _CutShort(Exception):
    """The connection closed before all that was announced had come."""


def _transfer_once(download: Download, partial: Path) -> None:
    start = partial.stat().st_size if partial.exists() else 0
    if download.size is not None and start == download.size:
        return
    request = urllib.request.Request(download.url, headers={"User-Agent": "datadistill"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:
            total = error.headers.get("Content-Range", "").rpartition("/")[2]
            if total == str(start):
                return  # all of it had come already
            partial.unlink()
            raise _CutShort("what was fetched is longer than the file") from None
        raise
    with response:
        if start and response.status != 206:
            start = 0  # a server without ranges sends everything again
        length = response.headers.get("Content-Length")
        total = start + int(length) if length is not None else download.size
        if download.size is not None and total is not None and total != download.size:
            raise UserError(
                f"{download.url}: the server announces {total} bytes, {download.size} are expected; "
                "has the file changed?"
            )
        label = f"fetching {download.file_name}" + (f" ({human_size(total)})" if total else "")
        with open(partial, "r+b" if start else "wb") as stream:
            stream.seek(start)
            blocks = _read_blocks(response)
            count = -(-(total - start) // _CHUNK) if total else None
            for block in progress(blocks, total=count, unit="MiB", label=label):
                stream.write(block)
            stream.truncate()
    if total is not None and partial.stat().st_size < total:
        raise _CutShort("the connection closed early")


def _read_blocks(response: Any) -> Iterator[bytes]:
    read: Callable[[int], bytes] = response.read
    while block := read(_CHUNK):
        yield block


def unzip(archive: Path, folder: Path, *, label: str = "unpacking") -> dict[str, Any]:
    """Unpack a zip file, leaving alone members that are there in full size; returns number, bytes and three examples.

    Every member is checked by its CRC while it is unpacked, and appears under its name only when whole. Raises
    `UserError` for a damaged archive, or a member that would land outside `folder`.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            _check_members(members, archive, folder)
            for member in progress(members, total=len(members), unit="file", label=label):
                target = folder / member.filename
                if target.is_file() and target.stat().st_size == member.file_size:
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                whole = target.with_name(f".{target.name}.part")
                try:
                    with opened.open(member) as source, open(whole, "wb") as stream:
                        shutil.copyfileobj(source, stream, _CHUNK)
                    os.replace(whole, target)
                finally:
                    whole.unlink(missing_ok=True)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise UserError(
                f"{archive}: {error.strerror} while it was unpacked into {folder}: "
                f"{human_size(sum(member.file_size for member in members))} are needed in all, "
                f"{human_size(free_space(folder))} are free; free some and run it again"
            ) from None
        raise UserError(f"{archive}: can't be unpacked into {folder} ({error.strerror or error})") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError) as error:
        raise UserError(f"{archive}: a damaged archive ({error}); delete it and fetch again") from None
    except RuntimeError as error:
        # Python's zipfile so refuses a password, and a compression or version that it doesn't know; fetching again may not help.
        raise UserError(
            f"{archive}: Python can't unpack it ({error}); unpack it into {folder} with another program, or fetch it again if "
            "it should be a plain zip file"
        ) from None
    names = [member.filename for member in members]
    # First, middle and last tell a complete folder from one somebody deleted or emptied in part.
    examples = sorted({names[0], names[len(names) // 2], names[-1]}) if names else []
    return {"count": len(names), "bytes": sum(member.file_size for member in members), "examples": examples}


def _check_members(members: Sequence[zipfile.ZipInfo], archive: Path, folder: Path) -> None:
    """Refuse an archive with members that are no plain files below `folder`, each under a name of its own."""
    names: set[str] = set()
    for member in members:
        name = PurePosixPath(member.filename)
        if name.is_absolute() or ".." in name.parts or "\\" in member.filename:
            raise UserError(f"{archive}: its member {member.filename!r} would land outside {folder}; not unpacked")
        if not is_plain_text(member.filename):
            raise UserError(f"{archive}: its member {member.filename!r} has no name for a file; not unpacked")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise UserError(f"{archive}: its member {member.filename!r} is a link or a device, no file; not unpacked")
        if str(name) in names:
            raise UserError(f"{archive}: its member {member.filename!r} is there twice; not unpacked")
        names.add(str(name))
    inside = next((name for name in names if any(str(parent) in names for parent in PurePosixPath(name).parents)), None)
    if inside is not None:
        raise UserError(f"{archive}: its member {inside!r} lies in another member, which is a file; not unpacked")
    needed = sum(member.file_size for member in members if not (folder / member.filename).is_file())
    if needed > free_space(folder):
        raise UserError(
            f"{archive}: {human_size(needed)} are needed to unpack it into {folder}, {human_size(free_space(folder))} are free"
        )
