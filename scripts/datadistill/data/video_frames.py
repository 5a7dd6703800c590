"""Frames of a video, decoded and turned upright, as JPEGs: one of them for a sample, or every n-th.

PyAV and Pillow are imported where they are used.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datadistill.data.images import aspect_problem
from datadistill.files import atomic_write
from datadistill.progress import progress

if TYPE_CHECKING:
    import av
    from PIL import Image

VIDEO_SUFFIXES = (
    ".3gp",
    ".avi",
    ".flv",
    ".m4v",
    ".mkv",
    ".mov",
    ".mp4",
    ".mpeg",
    ".mpg",
    ".ogv",
    ".ts",
    ".webm",
    ".wmv",
)


class NoVideo(Exception):
    """The file has no stream of pictures."""


@dataclass
class Flaws:
    """What a decoder stepped over: packets that don't decode, and frames that it knows to be damaged."""

    packets: int = 0
    frames: int = 0

    def __str__(self) -> str:
        return f"{self.packets} damaged packets and {self.frames} damaged frames"


def open_stream(container: av.container.InputContainer) -> av.VideoStream:
    """The first stream of pictures; `NoVideo` where there is none."""
    if not container.streams.video:
        raise NoVideo("no video stream")
    stream = container.streams.video[0]
    # Processes run side by side; threads within a decoder could also change what is concealed in a damaged stream.
    stream.codec_context.thread_count = 1
    return stream


def decoded(
    container: av.container.InputContainer, stream: av.VideoStream, flaws: Flaws | None = None
) -> Iterator[av.VideoFrame]:
    """Frames that decode without a flaw the decoder knows of; what is stepped over between them is counted in `flaws`."""
    import av

    flaws = Flaws() if flaws is None else flaws
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError:
            flaws.packets += 1
            return
        try:
            frames = packet.decode()
        except av.EOFError:
            continue
        except av.FFmpegError:
            flaws.packets += 1
            continue
        for frame in frames:
            if frame.is_corrupt:
                flaws.frames += 1
            else:
                yield frame


def upright(frame: av.VideoFrame) -> Image.Image:
    """A frame as players show it: phones film sideways and say so. Turned counter-clockwise."""
    from PIL import Image

    image: Image.Image = frame.to_image()
    turns = round(float(getattr(frame, "rotation", 0) or 0) / 90) % 4
    if turns:
        image = image.transpose(
            (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)[turns - 1]
        )
    return image


def encode(image: Image.Image, quality: int) -> bytes:
    """An image as a JPEG."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


def seconds(frame: av.VideoFrame) -> float | None:
    """When a frame is shown, in seconds from the start of the video, where the file says so."""
    return None if frame.time is None else round(float(frame.time), 3)


def reason_of(error: Exception) -> str:
    """Why a video gives nothing, in a few words, from the error that opening or decoding it ended in."""
    import av

    if isinstance(error, NoVideo):
        return str(error)
    if isinstance(error, av.FFmpegError):
        return f"can't be opened ({error.strerror or type(error).__name__})"
    return f"{type(error).__name__}: {' '.join(str(error).split())[:100]}"


def write_frames(
    video: str | Path, folder: Path, *, every: int = 1, quality: int = 95
) -> tuple[list[dict[str, Any]], list[str]]:
    """Write every `every`-th frame that decodes as a JPEG into `folder`, and say what of the video was left out.

    Returns a record for each frame (`file_name`, `width` and `height` in pixels, `frame` counted from 0 over those that
    decode, `time` in seconds, or None), and sentences for people: empty for a video that is whole.
    """
    import av

    av.logging.set_level(av.logging.PANIC)  # what FFmpeg grumbles about is counted
    records: list[dict[str, Any]] = []
    flaws, count, promised = Flaws(), 0, 0
    try:
        with av.open(str(video)) as container:
            stream = open_stream(container)
            promised = stream.frames
            frames = decoded(container, stream, flaws)
            for frame in progress(frames, total=promised or None, unit="frame", label=f"reading {Path(video).name}"):
                if count % every == 0:
                    image = upright(frame)
                    if problem := aspect_problem(*image.size):
                        return [], [problem]
                    path = folder / f"{count:06d}.jpg"
                    with atomic_write(path, "wb") as out:
                        out.write(encode(image, quality))
                    size = {"width": image.width, "height": image.height}
                    records.append({"file_name": str(path), **size, "frame": count, "time": seconds(frame)})
                count += 1
    except (av.FFmpegError, NoVideo, ValueError) as error:
        return records, [reason_of(error)]
    left_out = []
    if not count:
        left_out.append("no frame decodes")
    elif count < promised:
        left_out.append(f"{count} of the {promised} frames that its header promises decode")
    if flaws != Flaws():
        left_out.append(f"{flaws} were left out")
    return records, left_out
