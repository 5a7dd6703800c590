"""Downloads: resumed where they stopped, checked, unpacked, never repeated. The server is a local one."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from datadistill.data import downloads as fetch
from datadistill.data.downloads import Download, choose, fetch_all, is_complete, read_downloads, unzip
from datadistill.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
DATA = bytes(range(256)) * 20_000  # 5 MB


def archive(names: tuple[str, ...] = ("pictures/1.txt", "pictures/2.txt", "notes.txt")) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        for name in names:
            opened.writestr(name, name * 1000)
    return buffer.getvalue()


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `files`; with `cut`, a connection ends after so many bytes; without `ranges`, it sends all, always."""

    files: ClassVar[dict[str, bytes]] = {}
    log: ClassVar[list[tuple[str, str | None]]] = []
    cut: ClassVar[int | None] = None
    ranges: ClassVar[bool] = True
    broken: ClassVar[int] = 0

    def do_GET(self) -> None:
        cls = type(self)
        asked = self.headers.get("Range")
        cls.log.append((self.path, asked))
        if cls.broken:
            cls.broken -= 1
            self.send_error(503)
            return
        data = cls.files.get(self.path)
        if data is None:
            self.send_error(404)
            return
        start = int(re.findall(r"\d+", asked)[0]) if asked and cls.ranges else 0
        if start and start >= len(data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        part = data[start:] if cls.cut is None else data[start : start + cls.cut]
        self.wfile.write(part)

    def log_message(self, *arguments: Any) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    Server.files = {"/data.bin": DATA, "/a.zip": archive()}
    Server.log, Server.cut, Server.ranges, Server.broken = [], None, True, 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def data_bin(server: str, **changes: Any) -> Download:
    known = {"size": len(DATA), "md5": hashlib.md5(DATA).hexdigest()}
    return Download("data", f"{server}/data.bin", **{**known, **changes})


def a_zip(server: str) -> Download:
    return Download("zip", f"{server}/a.zip", len(Server.files["/a.zip"]), unpack="out", unpacked=42_000)


def test_a_file_is_fetched_once(server: str, tmp_path: Path) -> None:
    (record,) = fetch_all([data_bin(server)], tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == DATA
    assert record["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert fetch_all([data_bin(server)], tmp_path) == [record]
    assert len(Server.log) == 1
    # A file that was there before, without a record, is checked and not fetched.
    shutil.rmtree(tmp_path / fetch.RECORDS)
    assert fetch_all([data_bin(server)], tmp_path) == [record]
    assert len(Server.log) == 1


def test_a_lost_connection_is_resumed_where_it_broke(server: str, tmp_path: Path) -> None:
    Server.cut = 2_000_000
    fetch_all([data_bin(server)], tmp_path, pause=0.0)
    assert (tmp_path / "data.bin").read_bytes() == DATA
    assert [asked for _, asked in Server.log] == [None, "bytes=2000000-", "bytes=4000000-"]


def test_a_killed_download_is_resumed_by_the_next_run(server: str, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(DATA[:3_000_000])
    fetch_all([data_bin(server)], tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == DATA
    assert [asked for _, asked in Server.log] == ["bytes=3000000-"]
    assert not (tmp_path / "data.bin.part").exists()


@pytest.mark.parametrize("size", [len(DATA), None])
def test_a_complete_part_needs_no_more_bytes(size: int | None, server: str, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(DATA)
    fetch_all([data_bin(server, size=size)], tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == DATA
    assert len(Server.log) == (0 if size else 1)


def test_a_server_without_ranges(server: str, tmp_path: Path) -> None:
    Server.ranges = False
    (tmp_path / "data.bin.part").write_bytes(b"x" * 3_000_000)
    fetch_all([data_bin(server)], tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == DATA


def test_a_busy_server_is_asked_again_and_given_up_on_in_the_end(server: str, tmp_path: Path) -> None:
    Server.broken = 2
    fetch_all([data_bin(server)], tmp_path, pause=0.0)
    Server.broken = 100
    with pytest.raises(UserError, match=r"gave up after 5 attempts.*goes on from there"):
        fetch_all([data_bin(server)], tmp_path / "other", pause=0.0)
    Server.broken = 0
    with pytest.raises(UserError, match="the server says 404"):
        fetch_all([Download("x", f"{server}/absent")], tmp_path)


def test_wrong_bytes_are_refused_and_not_gone_on_from(server: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="its md5 is"):
        fetch_all([data_bin(server, md5="0" * 32)], tmp_path)
    assert not list(tmp_path.glob("data.bin*"))
    with pytest.raises(UserError, match="the server announces 5120000 bytes, 99 are expected"):
        fetch_all([data_bin(server, size=99)], tmp_path)
    (tmp_path / "data.bin").write_bytes(b"mine")
    with pytest.raises(UserError, match="4 bytes, 5120000 are expected"):
        fetch_all([data_bin(server)], tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == b"mine", "a file of the user's is left to the user"


def test_short_checksums_as_in_file_names(server: str, tmp_path: Path) -> None:
    digest = hashlib.sha256(DATA).hexdigest()
    fetch_all([data_bin(server, md5=None, sha256=digest[:8])], tmp_path)
    with pytest.raises(UserError, match="its sha256 is"):
        fetch_all([data_bin(server, md5=None, sha256="00000000")], tmp_path)


def test_disk_space_is_checked_before_the_first_byte(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=600_000_000)
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda path: usage)
    big = Download("big", f"{server}/data.bin", size=50_000_000, unpack=".", unpacked=51_000_000)
    with pytest.raises(UserError, match=r"big needs 601\.0 MB, 600\.0 MB are free"):
        fetch_all([big], tmp_path / "deep" / "root")
    assert Server.log == []
    assert (
        fetch.check_space([Download("small", "x/y", size=40_000_000, unpack=".", unpacked=51_000_000)], tmp_path)
        == 91_000_000
    )
    two = [Download(n, f"x/{n}", size=s, unpack=".", unpacked=s) for n, s in (("a", 30_000_000), ("b", 20_000_000))]
    assert fetch.check_space(two, tmp_path, keep_archives=False) == 80_000_000
    assert fetch.check_space(two, tmp_path, keep_archives=True) == 100_000_000


def test_archives_are_unpacked_once(server: str, tmp_path: Path) -> None:
    fetch_all([a_zip(server)], tmp_path)
    files = sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert files == ["notes.txt", "pictures/1.txt", "pictures/2.txt"]
    assert not (tmp_path / "a.zip").exists()
    fetch_all([a_zip(server)], tmp_path)
    assert len(Server.log) == 1
    (tmp_path / "out" / "notes.txt").unlink()
    assert not is_complete(a_zip(server), tmp_path)
    fetch_all([a_zip(server)], tmp_path, keep_archives=True)
    assert (tmp_path / "out" / "notes.txt").read_text() == "notes.txt" * 1000
    assert (tmp_path / "a.zip").exists()


def test_what_is_there_already_is_not_fetched(server: str, tmp_path: Path) -> None:
    """A data set that the user has, whole, from elsewhere."""
    download = Download("zip", f"{server}/a.zip", unpack=".", holds={"pictures": 2, "notes.txt": 1})
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "1.txt").touch()
    (tmp_path / "notes.txt").touch()
    assert not is_complete(download, tmp_path)
    (tmp_path / "pictures" / "2.txt").touch()
    (record,) = fetch_all([download], tmp_path)
    assert record["found"] == ["notes.txt", "pictures"]
    assert Server.log == []


def test_a_changed_address_is_fetched_again(server: str, tmp_path: Path) -> None:
    fetch_all([data_bin(server)], tmp_path)
    assert is_complete(data_bin(server), tmp_path)
    assert not is_complete(data_bin(server, md5="0" * 32), tmp_path)
    assert not is_complete(Download("data", f"{server}/other/data.bin"), tmp_path)


def test_unsafe_and_damaged_archives(tmp_path: Path) -> None:
    (tmp_path / "evil.zip").write_bytes(archive(("../outside.txt",)))
    with pytest.raises(UserError, match=r"'\.\./outside\.txt' would land outside"):
        unzip(tmp_path / "evil.zip", tmp_path / "inside")
    assert not (tmp_path / "outside.txt").exists()
    data = bytearray(archive())
    data[60] ^= 0xFF
    (tmp_path / "bad.zip").write_bytes(data)
    with pytest.raises(UserError, match="a damaged archive"):
        unzip(tmp_path / "bad.zip", tmp_path / "inside")
    assert not list((tmp_path / "inside").rglob("*.txt"))


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [("flag_bits", 1, "encrypted"), ("compress_type", 97, "compression")],
    ids=["password", "unknown compression"],
)
def test_what_python_cannot_unpack_is_no_damage(tmp_path: Path, field: str, value: int, reason: str) -> None:
    data = bytearray(archive())
    # The same two bytes in each local header and in each entry of the directory.
    offsets = {"flag_bits": (6, 8), "compress_type": (8, 10)}[field]
    for signature, offset in zip((b"PK\x03\x04", b"PK\x01\x02"), offsets, strict=True):
        start = data.find(signature)
        while start >= 0:
            data[start + offset : start + offset + 2] = value.to_bytes(2, "little")
            start = data.find(signature, start + 4)
    (tmp_path / "odd.zip").write_bytes(data)
    with pytest.raises(UserError, match=f"Python can't unpack it .*{reason}.*with another program"):
        unzip(tmp_path / "odd.zip", tmp_path / "inside")
    assert not list((tmp_path / "inside").rglob("*.txt"))


def test_the_project_s_own_list() -> None:
    downloads = read_downloads(ROOT / "config" / "downloads.yaml")
    images = choose(downloads, ["coco-train2017", "coco-val2017", "coco-unlabeled2017"])
    assert all(d.size and d.md5 and len(d.md5) == 32 and d.unpacked and d.unpacked >= d.size for d in images)
    assert {f"weights-{name}" for name in ("R-50", "R-101", "X-101-32x4d", "X-101-64x4d")} <= set(downloads)
    with pytest.raises(UserError, match="did you mean 'coco-val2017'"):
        choose(downloads, ["coco-val2018"])


def test_malformed_lists(tmp_path: Path) -> None:
    path = tmp_path / "d.yaml"
    for text, message in [
        ("- a", "a mapping of names"),
        ("a: {size: 1}", "a has no url"),
        ("a: {url: x, sise: 1}", "unknown key 'sise'"),
        ("a: {url: x, md5: 12}", "malformed md5"),
        ("a: {url: x, holds: [y]}", "malformed holds"),
        ("a: [", "not valid YAML"),
    ]:
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            read_downloads(path)


def test_script(server: str, tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text(f"data: {{url: '{server}/data.bin', size: {len(DATA)}}}\n")
    command = [
        sys.executable,
        str(ROOT / "scripts" / "fetch.py"),
        "--downloads",
        "d.yaml",
        "--names",
        "data",
        "--root",
        "here",
    ]

    def run(*extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *extra], cwd=tmp_path, capture_output=True, text=True)

    dry = run("--dry-run")
    assert dry.returncode == 0
    assert "to fetch, 5.1 MB" in dry.stdout
    assert Server.log == []
    assert run("--output", "record.json").returncode == 0
    assert json.loads((tmp_path / "record.json").read_text())[0]["size"] == len(DATA)
    assert "there already" in run().stdout
    assert len(Server.log) == 1
