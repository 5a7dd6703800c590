"""One random frame of each of many videos, as for s1m-180 (section 5.1): images without labels from a wild source.

Videos are ranked by a hash of seed and name, and the first `count` that give a frame are taken; which frame is a
function of seed, name and the video's bytes alone. So neither the number of processes nor an interruption changes the
outcome, and a damaged video only makes way for the next. Nothing but single frames is used: no temporal information.

Light until frames are read: PyAV and Pillow are imported where they are used.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from datadistill.data.images import aspect_problem, list_images, require_folder
from datadistill.data.sources import from_records, path_id
from datadistill.data.specs import VideosSplit
from datadistill.data.splits import Ledger, Made
from datadistill.data.video_frames import (
    VIDEO_SUFFIXES,
    NoVideo,
    decoded,
    encode,
    open_stream,
    reason_of,
    seconds,
    upright,
)
from datadistill.errors import UserError
from datadistill.files import atomic_write, canonical_json, read_text
from datadistill.progress import progress
from datadistill.values import is_plain_text

if TYPE_CHECKING:
    import av

JOURNAL = "journal.jsonl"
_BLOCK = 8  # videos a process and round; more would be decoded in vain at the end, fewer would leave processes idle


@dataclass(frozen=True)
class Frame:
    """What one video gave: a JPEG and where it is from, or the reason why there is none.

    `time` is in seconds from the start of the video; width and height are of the JPEG, in pixels.
    """

    video: str
    jpeg: bytes = b""
    time: float | None = None
    width: int = 0
    height: int = 0
    reason: str | None = None


# --- which videos


def list_videos(folder: str | Path, list_file: str | Path | None = None, *, allow_outside: bool = False) -> list[str]:
    """Names of videos, relative to `folder`: those of a list (one a line, `#` for comments), or all below the folder.

    Raises `UserError` when folder or list is missing or empty, or the list names a video twice, or one outside of the folder
    (unless `allow_outside`). Whether listed videos exist is found when they are sampled: one that doesn't goes to the ledger.
    """
    if list_file is None:
        names = list_images(folder, VIDEO_SUFFIXES)
        if not names:
            raise UserError(f"{folder}: no video in this folder or below; known suffixes: {' '.join(VIDEO_SUFFIXES)}")
        return names
    require_folder(folder)
    lines = read_text(list_file).splitlines()
    names = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not names:
        raise UserError(f"{list_file}: it lists no videos")
    for name in names:
        if not is_plain_text(name):
            raise UserError(f"{list_file}: {name!r} has characters that no name of a file has")
        if not allow_outside:
            _check_inside(name, list_file)
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise UserError(f"{list_file}: {repeated[0]} is listed twice ({len(repeated)} such in all)")
    return names


def _check_inside(name: str, list_file: str | Path) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise UserError(
            f"{list_file}: the video {name!r} leads out of the folder that the config names; make it relative to that folder, or "
            "set allow_outside: true for this split"
        )


def seeded_order(names: Sequence[str], seed: int) -> list[str]:
    """The order in which videos are tried: by a hash of seed and name, so that a new video moves no other."""
    return sorted(names, key=lambda name: (hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=16).digest(), name))


# --- which frame


def sample_frame(name: str, spec: VideosSplit) -> Frame:
    """A random frame of one video, or the reason why there is none; a function of its arguments and the video's bytes.

    A moment of the stated duration is drawn, and the frame shown then is decoded: at a constant rate every frame is
    equally likely. Headers lie about their duration, so when nothing decodes there, the whole video is read and one of
    all frames that do decode is drawn.
    """
    path = Path(spec.videos, name)
    try:
        # A pipe would be waited for for ever, and is no file either.
        if not path.is_file():
            return Frame(name, reason="missing")
        if path.stat().st_size == 0:
            return Frame(name, reason="empty file")
    except OSError as error:
        return Frame(name, reason=f"unreadable ({error.strerror})")
    import av

    av.logging.set_level(av.logging.PANIC)  # what FFmpeg grumbles about is in the ledger where it matters
    rng = random.Random(int.from_bytes(hashlib.blake2b(f"{spec.seed}/{name}".encode(), digest_size=16).digest(), "big"))
    try:
        frame = _frame_at(path, rng.random()) or _frame_of_all(path, rng)
        if frame is None:
            return Frame(name, reason="no frame decodes")
        return _jpeg_frame(name, frame, spec)
    except (av.FFmpegError, NoVideo, OSError, ValueError, MemoryError) as error:
        return Frame(name, reason=reason_of(error))


def _jpeg_frame(name: str, frame: av.VideoFrame, spec: VideosSplit) -> Frame:
    from PIL import Image

    image = upright(frame)
    problem = aspect_problem(*image.size)
    if problem:
        return Frame(name, reason=problem)
    if spec.max_size is not None and max(image.size) > spec.max_size:
        scale = spec.max_size / max(image.size)
        width, height = (max(1, round(side * scale)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    return Frame(name, encode(image, spec.jpeg_quality), seconds(frame), image.width, image.height)


def _frame_at(path: Path, position: float) -> av.VideoFrame | None:
    """The frame shown at a fraction of the stated duration; None when that can't be told, or nothing decodes there."""
    import av

    with av.open(str(path)) as container:
        stream = open_stream(container)
        duration = stream.duration
        if duration is None and container.duration is not None and stream.time_base:
            duration = int(container.duration / av.time_base / stream.time_base)
        if not duration or duration <= 0:
            return None
        target = (stream.start_time or 0) + position * duration
        try:
            container.seek(int(target), stream=stream, backward=True)
        except av.FFmpegError:
            return None
        shown = None
        for frame in decoded(container, stream):
            if frame.pts is None:
                return None
            if frame.pts > target:
                return shown or frame
            shown = frame
        # At the end: the last frame, if it would still be shown at that moment.
        if shown is not None and stream.average_rate and stream.time_base:
            interval = 1 / (stream.average_rate * stream.time_base)
            return shown if target < shown.pts + interval else None
        return None


def _frame_of_all(path: Path, rng: random.Random) -> av.VideoFrame | None:
    """One of all frames that decode, each equally likely; one frame in memory."""
    import av

    with av.open(str(path)) as container:
        chosen = None
        for number, frame in enumerate(decoded(container, open_stream(container)), start=1):
            if rng.random() * number < 1.0:
                chosen = frame
        return chosen


# --- the sample


def sample_videos(spec: VideosSplit, *, images: str, workers: int = 1) -> Made:
    """Sample frames, write them as JPEGs into `images`: an unlabelled split, with the ledger of skipped videos.

    Goes through the videos in `seeded_order`, in blocks over `workers` processes, until `spec.count` have given a
    frame. A journal in `images` remembers what is done, so that a killed run goes on where it was. Images carry
    `video` and `time`.

    Raises `UserError` when the videos run out before the count is reached, or `images` holds frames of another
    sample.
    """
    names = seeded_order(list_videos(spec.videos, spec.list, allow_outside=spec.allow_outside), spec.seed)
    identity = {"videos": hashlib.sha256("\n".join(names).encode()).hexdigest(), "spec": spec.identity()}
    folder = Path(images)
    done = _read_journal(folder / JOURNAL, identity, names)
    taken = [row for row in done if "id" in row]
    skipped: Ledger = [{"file_name": row["video"], "reason": row["reason"]} for row in done if "id" not in row]
    with open(folder / JOURNAL, "a", encoding="utf-8") as journal:
        rest = names[len(done) :] if len(taken) < spec.count else []
        for frame in progress(
            _frames(rest, spec, workers), total=spec.count - len(taken), unit="video", label=f"sampling {spec.dataset}"
        ):
            if len(taken) == spec.count:
                break
            row: dict[str, Any] = {"video": frame.video}
            if frame.reason is None:
                image_id = path_id(frame.video)
                row |= {"id": image_id, "file_name": f"{image_id:015d}.jpg", "time": frame.time}
                row |= {"width": frame.width, "height": frame.height}
                with atomic_write(folder / row["file_name"], "wb", tidy=False) as stream:
                    stream.write(frame.jpeg)
                taken.append(row)
            else:
                row["reason"] = frame.reason
                skipped.append({"file_name": frame.video, "reason": frame.reason})
            journal.write(json.dumps(row) + "\n")
            journal.flush()
    if len(taken) < spec.count:
        examples = "; ".join(f"{row['file_name']}: {row['reason']}" for row in skipped[:3])
        raise UserError(
            f"{spec.videos}: only {len(taken)} of {len(names)} videos gave a frame, {spec.count} are asked for"
            + (f" ({examples})" if examples else "")
            + "; lower the count or add videos"
        )
    made = from_records(taken, images=images, dataset=str(spec.dataset), source=spec.videos, workers=workers)
    return Made(made.split, skipped)


def _frames(names: Sequence[str], spec: VideosSplit, workers: int) -> Iterator[Frame]:
    """`sample_frame` of every name, in order, a block at a time."""
    if workers <= 1:
        yield from (sample_frame(name, spec) for name in names)
        return
    size = _BLOCK * workers
    for start in range(0, len(names), size):
        yield from _block(names[start : start + size], spec, workers)


def _block(names: Sequence[str], spec: VideosSplit, workers: int) -> list[Frame]:
    try:
        with ProcessPoolExecutor(workers) as pool:
            return list(pool.map(sample_frame, names, [spec] * len(names)))
    except BrokenProcessPool:
        # A video crashed the decoder. Each in a process of its own tells which.
        return [_alone(name, spec) for name in names]


def _alone(name: str, spec: VideosSplit) -> Frame:
    try:
        with ProcessPoolExecutor(1) as pool:
            return pool.submit(sample_frame, name, spec).result()
    except BrokenProcessPool:
        return Frame(name, reason="crashes the decoder")


def _read_journal(path: Path, identity: Mapping[str, Any], names: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of an interrupted run of the same sample; starts a journal where there is none.

    Rows are those of the first videos in order whose images are on disk; anything after a torn or doubtful row is
    done again.
    """
    header = canonical_json(identity)
    rows: list[dict[str, Any]] = []
    if path.exists():
        lines = path.read_text(encoding="utf-8").split("\n")
        if lines[0] != header:
            raise UserError(
                f"{path.parent}: holds frames of another sample (other seed, settings or videos); "
                "delete the folder, or choose another"
            )
        for name, line in zip(names, lines[1:-1], strict=False):
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                break
            if row.get("video") != name or ("id" in row and not (path.parent / row["file_name"]).is_file()):
                break
            rows.append(row)
    with atomic_write(path) as stream:
        stream.write("\n".join([header, *(json.dumps(row) for row in rows), ""]))
    return rows
