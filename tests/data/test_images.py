"""What a file on disk holds: damage, size and orientation."""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from data_samples import photo
from PIL import Image

from datadistill.data.images import inspect_image, inspect_images, list_images, unread_note
from datadistill.errors import UserError


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_file_cut_short_is_found_wherever_it_ends(tmp_path: Path, suffix: str, progressive: bool) -> None:
    path = tmp_path / f"x.{suffix}"
    photo(0, 160, 120).save(path, progressive=progressive)
    whole = path.read_bytes()
    assert inspect_image(str(path)).problem is None
    for keep in (0.03, 0.3, 0.7, 0.97):
        path.write_bytes(whole[: int(keep * len(whole))])
        assert inspect_image(str(path)).problem, f"{keep:.0%} of a {suffix} taken for whole"
    for data in (b"", b"<html>not found</html>"):
        path.write_bytes(data)
        assert inspect_image(str(path)).problem
    assert inspect_image(str(tmp_path / "nothing.jpg")).problem == "missing"


def test_size_is_what_detectron2_reads_for_every_orientation(tmp_path: Path) -> None:
    from detectron2.data.detection_utils import read_image

    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = str(tmp_path / f"{orientation}.jpg")
        photo(orientation).save(path, exif=exif)
        found = inspect_image(path)
        assert read_image(path, "BGR").shape[:2] == (found.height, found.width)
        assert (found.width > found.height) == (orientation < 5)
    turned = inspect_image(path, (48, 32))
    assert turned.problem is not None
    assert "EXIF" in turned.problem


def test_inspection_over_processes_keeps_the_order(tmp_path: Path) -> None:
    files = []
    for i in range(70):
        path = tmp_path / f"{i}.png"
        photo(i, 8 + i, 9).save(path)
        files.append((str(path), (8 + i, 9) if i % 2 else None))
    assert inspect_images(files, workers=2) == inspect_images(files, workers=1)
    assert [found.width for found in inspect_images(files, workers=2)] == [8 + i for i in range(70)]


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder that anyone may read, as seen by a user who isn't root: root may read everything."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        root = os.geteuid() == 0
        yield folder
        if root:
            os.seteuid(0)
        for path in folder.rglob("*"):
            path.chmod(0o755)


def test_what_may_not_be_read_is_named(nobody: Path) -> None:
    Image.new("RGB", (8, 8)).save(nobody / "a.jpg")
    Image.new("RGB", (8, 8)).save(nobody / "b.jpg")
    (nobody / "deep").mkdir()
    (nobody / "b.jpg").chmod(0)
    (nobody / "deep").chmod(0)
    if os.geteuid() == 0:
        os.seteuid(65534)
    # A folder that can't be listed would be missing from a pool without a word.
    with pytest.raises(UserError, match=r"deep: this folder can't be read \(Permission denied\)"):
        list_images(nobody)
    assert inspect_image(str(nobody / "a.jpg")).problem is None
    assert inspect_image(str(nobody / "b.jpg")).problem == "unreadable (Permission denied)"


@pytest.mark.parametrize(
    ("kind", "form"), [("uint16", "PNG"), ("uint16", "TIFF"), ("int32", "TIFF"), ("float32", "TIFF")]
)
def test_more_than_8_bits_a_channel_would_be_cut_to_white(tmp_path: Path, kind: str, form: str) -> None:
    from detectron2.data.detection_utils import read_image

    path = str(tmp_path / "deep.png")
    Image.fromarray(np.linspace(300, 65535, 48 * 32).reshape(32, 48).astype(kind)).save(path, format=form)
    assert read_image(path, "BGR").min() == 255
    for size in (None, (48, 32), (9, 9)):
        found = inspect_image(path, size)
        assert (found.width, found.height) == (48, 32)
        assert found.problem == "has more than 8 bits a channel, which would be cut to white; convert it to 8 bits"


@pytest.mark.parametrize(
    ("mode", "form"), [*((m, "PNG") for m in ("1", "L", "LA", "P", "RGB", "RGBA")), ("CMYK", "JPEG")]
)
def test_other_colours_are_read(tmp_path: Path, mode: str, form: str) -> None:
    from detectron2.data.detection_utils import read_image

    path = str(tmp_path / "x.png")
    Image.linear_gradient("L").convert(mode).save(path, format=form)
    assert Image.open(path).mode == mode
    assert read_image(path, "BGR").mean() == pytest.approx(127.5, abs=2)
    assert inspect_image(path, (256, 256)).problem is None


def test_16_bits_of_colour_are_read_as_8(tmp_path: Path) -> None:
    """Pillow keeps the upper byte of each."""
    from detectron2.data.detection_utils import read_image

    row = b"\0" + b"".join((value << 8).to_bytes(2, "big") * 3 for value in range(256))
    path = tmp_path / "deep.png"
    path.write_bytes(png_of(row * 16, 256, 16, depth=16, colour=2))
    assert read_image(str(path), "BGR")[0, :, 0].tolist() == list(range(256))
    assert inspect_image(str(path)).problem is None


def png_of(rows: bytes, width: int, height: int, *, depth: int, colour: int) -> bytes:
    """A PNG of given bits a channel, which Pillow can't write; each row begins with the byte of its filter."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("name", ["a\nb.jpg", "below\t/a.jpg"])
def test_a_name_with_control_characters_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"has control characters, such as a line break; rename this file") as caught:
        list_images(tmp_path)
    assert repr(name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_kinds_of_images_that_are_not_read_are_counted(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name in ("a.jpg", "b.webp", "below/c.WEBP", ".d.webp", "notes.txt"):
        (tmp_path / name).touch()
    assert unread_note(tmp_path / "below") == (
        "1 file of a kind that isn't read (.webp 1) is left out; .jpg, .jpeg and .png are read"
    )
    for name in ("below/d.tif", "e\n.tif", "f.tif"):
        (tmp_path / name).touch()
    assert unread_note(tmp_path) == (
        "5 files of kinds that aren't read (.tif 3, .webp 2) are left out; .jpg, .jpeg and .png are read"
    )
    (tmp_path / "jpegs").mkdir()
    (tmp_path / "jpegs" / "a.png").touch()
    assert unread_note(tmp_path / "jpegs") is None
