"""What a user names becomes a list of images; what can't be used is named."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from datadistill.data.sources import path_id
from datadistill.data.splits import Made
from datadistill.deploy.inputs import read_inputs
from datadistill.errors import UserError

VIDEOS = Path(__file__).resolve().parents[3] / "shared" / "data" / "videos"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three photos, one of them in a folder below, and one that ends early."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("a.png", "below/b.JPG", "c d.jpeg"), 1):
        path = Path("photos", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 255, (30 + number, 40, 3), np.uint8)
        Image.fromarray(noise).save(path, format="PNG" if number == 1 else "JPEG")
    whole = Path("photos/c d.jpeg").read_bytes()
    Path("photos/broken.jpg").write_bytes(whole[: len(whole) // 2])


def read(*inputs: str, **options: Any) -> Made:
    return read_inputs([Path(name) for name in inputs], task="objects", frames=Path("frames"), **options)


def names(made: Made) -> list[str]:
    return [image["file_name"] for image in made.split["images"]]


def test_a_folder_is_all_photos_below_it_but_the_damaged_one() -> None:
    made = read("photos")
    assert names(made) == ["photos/a.png", "photos/below/b.JPG", "photos/c d.jpeg"]
    assert made.split["images"][1] == {
        "id": path_id("below/b.JPG"), "file_name": "photos/below/b.JPG", "width": 40, "height": 32,
    }  # fmt: skip
    [left_out] = made.ledger
    assert left_out["file_name"] == "photos/broken.jpg"
    assert left_out["reason"].startswith("does not decode")


def test_a_folder_says_what_of_it_is_not_read(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one.heic", "two.HEIC", "three.webp", "clip.mp4"):
        Path("photos/below", name).touch()
    assert len(read("photos").split["images"]) == 3
    # The bar of the photos' decoding is there, too.
    videos, photos = [line for line in capsys.readouterr().err.splitlines() if line.startswith("left out")]
    assert videos == "left out: photos: 1 video(s); name each (photos/below/clip.mp4)"
    assert photos.startswith("left out: photos: 3 files of kinds that aren't read (.heic 2, .webp 1)")


def test_a_list_names_photos_beside_it_or_in_a_folder() -> None:
    Path("photos/list.txt").write_text("# two\nc d.jpeg\n\nbelow/b.JPG\nabsent.jpg\n")
    beside = read("photos/list.txt")
    assert names(beside) == ["photos/c d.jpeg", "photos/below/b.JPG"]
    assert [row["reason"] for row in beside.ledger] == ["missing"]
    Path("photos/list.txt").rename("list.txt")
    assert read("list.txt", images=Path("photos")).split == beside.split
    Path("absolute.txt").write_text(f"{Path('photos/a.png').absolute()}\n")
    assert names(read("absolute.txt")) == [str(Path("photos/a.png").absolute())]


def test_a_coco_file_keeps_its_ids_and_its_sizes_are_checked() -> None:
    images = [
        {"id": 7, "file_name": "a.png", "width": 40, "height": 31},
        {"id": 3, "file_name": "below/b.JPG", "width": 99, "height": 32},
    ]
    Path("coco.json").write_text(json.dumps({"images": images}))
    made = read("coco.json", images=Path("photos"))
    assert [(image["id"], image["file_name"]) for image in made.split["images"]] == [(7, "photos/a.png")]
    [left_out] = made.ledger
    assert left_out["reason"] == "is 40x32 pixels, its record says 99x32"


def test_several_inputs_go_together() -> None:
    assert names(read("photos/a.png", "photos/below")) == ["photos/a.png", "photos/below/b.JPG"]


def film(path: str) -> None:
    """Seven frames, each brighter by 30."""
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(7):
            picture = np.full((48, 64, 3), 30 * i, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def test_frames_of_a_video_are_written_with_their_times() -> None:
    film("clip.mp4")
    made = read("clip.mp4", every=3)
    assert names(made) == [f"frames/clip.mp4/00000{i}.jpg" for i in (0, 3, 6)]
    assert [(image["frame"], image["time"]) for image in made.split["images"]] == [(0, 0.0), (3, 0.3), (6, 0.6)]
    assert {image["video"] for image in made.split["images"]} == {"clip.mp4"}
    brightness = [np.asarray(Image.open(name)).mean() for name in names(made)]
    np.testing.assert_allclose(brightness, [0, 90, 180], atol=4)
    assert not made.ledger


def test_videos_of_one_name_are_refused_before_a_frame_is_written() -> None:
    for folder in ("x", "y"):
        Path(folder).mkdir()
        film(f"{folder}/clip.mp4")
    with pytest.raises(UserError, match=r"^x/clip\.mp4 and y/clip\.mp4 have one name, .*; rename one, or predict"):
        read("x/clip.mp4", "photos/a.png", "y/clip.mp4")
    with pytest.raises(UserError, match=r"^x/clip\.mp4: this video is named twice; name it once$"):
        read("x/clip.mp4", "x/clip.mp4")
    with pytest.raises(UserError, match="absent: no such file"):
        read("x/clip.mp4", "absent")
    assert not Path("frames").exists()
    Path("y/clip.mp4").rename("y/other.mp4")
    assert len(names(read("x/clip.mp4", "y/other.mp4", every=4))) == 4


@pytest.mark.skipif(not VIDEOS.is_dir(), reason="needs ../shared/data/videos")
def test_a_video_that_holds_less_than_it_says_is_named() -> None:
    made = read(str(VIDEOS / "tree.avi"), every=20)
    assert [image["frame"] for image in made.split["images"]] == [0, 20, 40, 60]
    assert [row["reason"] for row in made.ledger] == ["68 of the 444 frames that its header promises decode"]


def bad_inputs() -> dict[str, tuple[tuple[str, ...], str]]:
    return {
        "absent": (("absent",), "--input: absent: no such file or folder"),
        "other kind": (("notes.md",), "notes.md: a folder, an image (.jpg .jpeg .png), a list of images (.txt)"),
        "empty folder": (("empty",), "empty: no JPEG or PNG image in this folder or below"),
        "videos alone": (("clips",), "below; 1 video(s); name each (clips/x.mp4)"),
        "empty list": (("empty.txt",), "empty.txt: it lists no images"),
        "nothing but damage": (("photos/broken.jpg",), "no image can be used (photos/broken.jpg: does not decode"),
        "no video": (("clips/x.mp4",), "no image can be used (clips/x.mp4: can't be opened"),
        "twice": (("photos", "photos/a.png"), "photos/a.png: this image is named twice; name it once"),
        "two of one id": (("photos", "other"), "photos/a.png and other/a.png have one id"),
    }


@pytest.mark.parametrize("case", bad_inputs())
def test_what_is_no_input_is_refused(case: str) -> None:
    for folder in ("empty", "clips", "other"):
        Path(folder).mkdir()
    Path("clips/x.mp4").write_text("404 not found")
    Path("notes.md").write_text("x")
    Path("empty.txt").write_text("# nothing\n")
    Path("other/a.png").write_bytes(Path("photos/a.png").read_bytes())
    inputs, message = bad_inputs()[case]
    with pytest.raises(UserError, match=re.escape(message)):
        read(*inputs)
