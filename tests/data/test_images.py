"""What a file on disk holds: damage, size and orientation."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from data_samples import photo
from PIL import Image

from datadistill.data.images import inspect_image, inspect_images, list_images
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
