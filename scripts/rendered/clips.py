"""Short clips of moving people, as a stand-in for videos from the internet."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from rendered.backgrounds import draw_background
from rendered.bodies import Figure, blend_poses
from rendered.canvas import Canvas
from rendered.light import finish
from rendered.poses import mirror_pose, sample_pose
from rendered.scene import SceneSpec, draw_figure, image_size, run_pool, sample_figures, scene_rng

_CODECS = ("libx264", "mpeg4", "mjpeg")
_CYCLIC = ("walking", "running", "kicking", "lunging")  # from a pose to its mirror image and back
_STREAM = 1


def _motions(rng: np.random.Generator, figures: list[Figure]) -> list[tuple[np.ndarray, float, float]]:
    """For each figure: the pose it moves to, its drift in pixels a second and its phase in turns."""
    motions = []
    for figure in figures:
        cyclic = figure.pose_name in _CYCLIC
        other = mirror_pose(figure.pose) if cyclic else sample_pose(rng, figure.pose_name)
        pace = figure.size * (rng.uniform(0.3, 0.8) if cyclic else rng.uniform(0.0, 0.1))
        motions.append((other, float(pace * np.sin(np.deg2rad(figure.yaw))), float(rng.uniform())))
    return motions


def render_clip(spec: SceneSpec, index: int, frames: int, fps: int) -> np.ndarray:
    """Frames of one clip, uint8 RGB (frames, h, w, 3) with even h and w; a pure function of its arguments."""
    rng = scene_rng(spec, index, stream=_STREAM)
    width, height = (side - side % 2 for side in image_size(rng, spec.width, spec.height))
    stage = Canvas(width, height)
    horizon = draw_background(stage, rng, spec.domain, int(rng.integers(2, 6)))
    figures = sample_figures(rng, spec.domain, width, height, horizon)
    motions = _motions(rng, figures)
    look, period, grain = (
        int(rng.integers(1 << 31)),
        rng.uniform(0.7, 1.4),
        np.random.default_rng(rng.integers(1 << 31)),
    )
    pictures = []
    for k in range(frames):
        seconds = k / fps
        canvas = replace(stage)
        canvas.pixels = stage.pixels.copy()
        for owner, (figure, (other, drift, phase)) in enumerate(zip(figures, motions, strict=True), start=1):
            t = 0.5 - 0.5 * np.cos(2 * np.pi * (seconds / period + phase))
            moved = blend_poses(figure, other, float(t), drift * (seconds - frames / fps / 2))
            draw_figure(canvas, np.random.default_rng((look, owner)), spec.domain, moved, owner)
        pictures.append(finish(canvas.picture(), np.random.default_rng(look), spec.domain, grain))
    return np.stack(pictures)


def write_clip(path: Path, pictures: np.ndarray, fps: int) -> None:
    """Encode frames (n, h, w, 3) uint8 RGB as a video, with the first codec that this PyAV can encode."""
    import av

    codec = next((name for name in _CODECS if name in av.codecs_available and _encodes(name)), None)
    if codec is None:
        raise RuntimeError(f"PyAV has no video encoder among {', '.join(_CODECS)}")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.thread_count = 1
        if codec == "libx264":
            # Measured: with its assembly, x264 writes other bytes now and then for the same frames.
            stream.options = {"crf": "21", "preset": "fast", "x264-params": "threads=1:lookahead-threads=1:no-asm=1"}
        else:
            stream.bit_rate = 800_000
        for picture in pictures:
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def _encodes(name: str) -> bool:
    import av

    try:
        return av.codec.Codec(name, "w") is not None
    except ValueError:  # what PyAV's UnknownCodecError is
        return False


def _render_one(spec: SceneSpec, video_dir: str, frames: int, fps: int, index: int) -> None:
    import cv2

    cv2.setNumThreads(1)
    write_clip(Path(video_dir) / f"{index:06d}.mp4", render_clip(spec, index, frames, fps), fps)


def render_clips(spec: SceneSpec, count: int, video_dir: Path, *, frames: int = 12, fps: int = 8, workers: int) -> None:
    """Write clips 000000.mp4, 000001.mp4, ... of moving people to `video_dir`; about 12 % of them show nobody."""
    if spec.kind != "people":
        raise ValueError(f"clips show people: kind {spec.kind!r} can't be rendered as clips")
    Path(video_dir).mkdir(parents=True, exist_ok=True)
    run_pool(
        partial(_render_one, spec, str(video_dir), frames, fps),
        count,
        workers,
        f"rendering clips, {spec.domain}",
        "clip",
    )
