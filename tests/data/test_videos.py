"""Frame sampling: deterministic, whatever the number of processes, and honest about what doesn't decode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from datadistill.data import videos
from datadistill.data.specs import VideosSplit
from datadistill.data.splits import Made
from datadistill.data.videos import list_videos, sample_frame, sample_videos, seeded_order
from datadistill.errors import UserError

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "videos"
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "sample_frames.py"


def clip(path: Path, frames: int = 12, rotation: int = 0) -> None:
    """A clip whose frame i is a grey of brightness 20 i, brighter in its upper left corner; a key frame every 5."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 48, "yuv420p", 5
        if rotation:
            stream.set_display_rotation(rotation)
        for i in range(frames):
            picture = np.full((48, 64, 3), 20 * i, np.uint8)
            picture[:12, :16] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def shown(jpeg_or_path: object) -> int:
    """Which frame of a `clip` an image is."""
    grey = np.asarray(Image.open(jpeg_or_path).convert("L"))  # type: ignore[arg-type]
    return round(float(grey[30:, 40:].mean()) / 20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve clips, three of which give nothing."""
    root = tmp_path_factory.mktemp("clips")
    for i in range(9):
        clip(root / f"part{i % 2}" / f"{i}.mp4")
    (root / "empty.mp4").write_bytes(b"")
    (root / "text.avi").write_text("404 not found")
    whole = (root / "part0" / "0.mp4").read_bytes()
    (root / "cut.mp4").write_bytes(whole[: len(whole) // 8])
    return root


def spec_of(folder: Path, seed: int = 0, **settings: Any) -> VideosSplit:
    return VideosSplit(name="clips", videos=str(folder), seed=seed, **{"count": 9, **settings})


def sample(folder: Path, out: Path, workers: int = 1, **settings: Any) -> Made:
    return sample_videos(spec_of(folder, **{"seed": 1, **settings}), images=str(out), workers=workers)


def chosen(made: Made) -> dict[str, tuple[float, str]]:
    return {image["video"]: (image["time"], image["content"]) for image in made.split["images"]}


def test_every_video_with_a_frame_gives_one_and_the_others_a_reason(folder: Path, tmp_path: Path) -> None:
    made = sample(folder, tmp_path / "a")
    assert len(made.split["images"]) == 9
    assert {row["file_name"] for row in made.ledger} == {"empty.mp4", "text.avi", "cut.mp4"}
    assert all(row["reason"] for row in made.ledger)
    for image in made.split["images"]:
        assert Image.open(image["file_name"]).size == (64, 48) == (image["width"], image["height"])
        assert shown(image["file_name"]) == pytest.approx(image["time"] * 10), "the frame shown at that time"
    assert made.split["annotations"] == []


def test_the_same_frames_again_and_in_any_number_of_processes(folder: Path, tmp_path: Path) -> None:
    first = sample(folder, tmp_path / "a", count=5)
    assert chosen(first) == chosen(sample(folder, tmp_path / "b", count=5))
    parallel = sample(folder, tmp_path / "c", count=5, workers=3)
    assert chosen(first) == chosen(parallel)
    assert first.ledger == parallel.ledger
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == sorted(p.name for p in (tmp_path / "c").iterdir())
    other = sample(folder, tmp_path / "d", count=5, seed=2)
    assert set(chosen(first)) != set(chosen(other))
    assert set(chosen(first)) <= set(chosen(sample(folder, tmp_path / "e", count=8))), (
        "a larger sample contains a smaller"
    )


def test_frames_of_one_video_differ_with_the_seed_and_are_spread_evenly(folder: Path) -> None:
    import io

    counts = Counter(shown(io.BytesIO(sample_frame("part0/0.mp4", spec_of(folder, seed)).jpeg)) for seed in range(600))
    assert set(counts) == set(range(12))
    assert all(25 <= times <= 80 for times in counts.values()), counts  # 50 expected; 4.5 standard deviations


def test_a_header_that_promises_too_much(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing decodes at the drawn moment, one of all frames is drawn, each equally likely."""
    import io

    monkeypatch.setattr(videos, "_frame_at", lambda path, position: None)
    counts = Counter(shown(io.BytesIO(sample_frame("part0/0.mp4", spec_of(folder, seed)).jpeg)) for seed in range(600))
    assert set(counts) == set(range(12))
    assert all(25 <= times <= 80 for times in counts.values()), counts


def test_a_video_cut_short_gives_any_frame_that_is_left(tmp_path: Path) -> None:
    clip(tmp_path / "whole.avi")
    data = (tmp_path / "whole.avi").read_bytes()
    start, end = data.index(b"movi"), data.index(b"idx1")
    (tmp_path / "cut.avi").write_bytes(data[: start + 6 * (end - start) // 10])
    with av.open(str(tmp_path / "cut.avi")) as container:
        assert container.streams.video[0].frames == 12, "its header still promises all"
        # The last of them is torn in half, which the decoder conceals, and says so.
        left = sum(not frame.is_corrupt for packet in container.demux(video=0) for frame in packet.decode())
    assert 3 <= left <= 9
    # By time: a concealed frame looks like the one before it.
    times = (sample_frame("cut.avi", spec_of(tmp_path, seed)).time for seed in range(300))
    counts = Counter(round(10 * time) for time in times if time is not None)
    assert set(counts) == set(range(left))
    assert max(counts.values()) < 2.5 * min(counts.values()), counts


def test_a_killed_run_goes_on_and_ends_the_same(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = sample(folder, tmp_path / "a")
    real, calls = videos.sample_frame, []

    def dies(*arguments: object) -> videos.Frame:
        calls.append(arguments)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(videos, "sample_frame", dies)
        with pytest.raises(KeyboardInterrupt):
            sample(folder, tmp_path / "b")
    with open(tmp_path / "b" / videos.JOURNAL, "a") as journal:
        journal.write('{"video": "torn')
    calls.clear()
    monkeypatch.setattr(videos, "sample_frame", lambda *arguments: calls.append(arguments) or real(*arguments))
    again = sample(folder, tmp_path / "b")
    assert chosen(again) == chosen(expected)
    assert again.ledger == expected.ledger
    assert len(calls) == 12 - 5
    calls.clear()
    assert chosen(sample(folder, tmp_path / "b")) == chosen(expected)
    assert not calls
    with pytest.raises(UserError, match="holds frames of another sample"):
        sample(folder, tmp_path / "b", seed=9)


def test_a_video_that_crashes_the_decoder_is_skipped(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = videos.sample_frame
    monkeypatch.setattr(videos, "sample_frame", _crash_on_3)
    monkeypatch.setattr(sys.modules[__name__], "_real", real, raising=False)
    made = sample(folder, tmp_path / "a", workers=2, count=8)
    assert {"file_name": "part1/3.mp4", "reason": "crashes the decoder"} in made.ledger
    assert len(made.split["images"]) == 8


def _crash_on_3(name: str, spec: VideosSplit) -> videos.Frame:
    if name == "part1/3.mp4":
        os._exit(11)
    return _real(name, spec)  # type: ignore[name-defined]  # noqa: F821


def test_size_and_quality(folder: Path) -> None:
    small = sample_frame("part0/0.mp4", spec_of(folder, max_size=32, jpeg_quality=40))
    assert (small.width, small.height) == (32, 24)
    assert len(small.jpeg) < len(sample_frame("part0/0.mp4", spec_of(folder)).jpeg)


@pytest.mark.parametrize(("rotation", "corner"), [(0, (0, 0)), (90, (-1, 0)), (180, (-1, -1)), (-90, (0, -1))])
def test_videos_filmed_sideways_are_turned_upright(rotation: int, corner: tuple[int, int], tmp_path: Path) -> None:
    import io

    clip(tmp_path / "x.mp4", frames=3, rotation=rotation)
    frame = sample_frame("x.mp4", spec_of(tmp_path))
    assert (frame.width, frame.height) == ((48, 64) if rotation % 180 else (64, 48))
    pixels = np.asarray(Image.open(io.BytesIO(frame.jpeg)).convert("L"))
    bright = {
        c: int(pixels[4 * c[0] + 2 if c[0] == 0 else -4, 2 if c[1] == 0 else -4])
        for c in ((0, 0), (-1, 0), (-1, -1), (0, -1))
    }
    assert max(bright, key=lambda c: bright[c]) == corner, bright


def test_too_few_videos_is_an_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="only 9 of 12 videos gave a frame, 10 are asked for"):
        sample(folder, tmp_path / "a", count=10)


def test_lists(folder: Path, tmp_path: Path) -> None:
    listing = tmp_path / "list.txt"
    listing.write_text("# chosen by hand\npart0/0.mp4\n\nnot/there.mp4\n")
    assert list_videos(folder, listing) == ["part0/0.mp4", "not/there.mp4"]
    made = sample(folder, tmp_path / "a", list=str(listing), count=1)
    assert made.ledger == [{"file_name": "not/there.mp4", "reason": "missing"}]
    listing.write_text("a.mp4\na.mp4\n")
    with pytest.raises(UserError, match=r"a\.mp4 is listed twice"):
        list_videos(folder, listing)
    with pytest.raises(UserError, match="no video in this folder"):
        list_videos(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        list_videos(tmp_path / "absent")


def test_a_new_video_moves_no_other() -> None:
    names = [f"{i}.mp4" for i in range(30)]
    order = seeded_order(names, 3)
    assert [name for name in seeded_order([*names, "new.mp4"], 3) if name != "new.mp4"] == order
    assert order != seeded_order(names, 4)


def test_script(folder: Path, tmp_path: Path) -> None:
    spec = {"kind": "videos", "name": "clips", "videos": str(folder), "seed": 1, "count": 3}

    def run(values: dict[str, object]) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(SCRIPT), "--spec", json.dumps(values), "--images", "frames"]
        command += ["--output", "split.json", "--ledger", "ledger.json"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    assert run(spec).returncode == 0
    images = json.loads((tmp_path / "split.json").read_text())["images"]
    assert len(images) == 3
    assert all(image["file_name"].startswith("frames/") for image in images)
    failed = run({**spec, "counts": 3})
    assert failed.returncode == 2
    assert "there is no key 'counts'; did you mean 'count'?" in failed.stderr


REAL_VIDEOS = len(list(REAL.iterdir())) if REAL.is_dir() else 0
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="needs shared/data/videos, which isn't here")


@needs_real
def test_real_videos_among_them_a_lying_header_and_a_damaged_stream(tmp_path: Path) -> None:
    made = sample(REAL, tmp_path / "a", seed=0, count=REAL_VIDEOS)
    assert set(chosen(made)) == {p.name for p in REAL.iterdir()}
    assert made.ledger == []
    assert chosen(sample(REAL, tmp_path / "b", seed=0, count=REAL_VIDEOS, workers=3)) == chosen(made)
    other = chosen(sample(REAL, tmp_path / "c", seed=1, count=REAL_VIDEOS))
    assert all(other[video] != frame for video, frame in chosen(made).items())
    two = [set(chosen(sample(REAL, tmp_path / f"d{seed}", seed=seed, count=2))) for seed in range(4)]
    assert any(two[0] != others for others in two[1:])


@needs_real
def test_frames_come_from_the_whole_of_what_decodes() -> None:
    """tree.avi promises 444 frames and decodes 68, spread over its 29.6 seconds."""
    with av.open(str(REAL / "tree.avi")) as container:
        decodable = {round(float(frame.time), 3) for frame in container.decode(video=0)}
    assert len(decodable) == 68
    times = [sample_frame("tree.avi", spec_of(REAL, seed)).time for seed in range(60)]
    assert set(times) <= decodable
    assert len(set(times)) > 30
    assert min(times) < 3
    assert max(times) > 26
