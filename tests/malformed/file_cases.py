"""Malformed folders, images, lists, archives and weights."""

from __future__ import annotations

import io
import json
import os
import pickle
import stat
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bench import Case
from coco_cases import SOUND, coco_arguments, of_change, put, split_arguments, write_images
from PIL import Image

Build = Callable[[Path], Sequence[str]]


def jpeg(width: int = 48, height: int = 32) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), (90, 40, 10)).save(stream, "JPEG")
    return stream.getvalue()


# --- images of an annotated split: `a.jpg` is listed with 48 x 32 pixels


def with_image(change: Callable[[Path], Any]) -> Build:
    """`change` replaces the image at a path."""

    def build(folder: Path) -> Sequence[str]:
        images = write_images(folder)
        (images / "a.jpg").unlink()
        change(images / "a.jpg")
        (folder / "a.json").write_text(json.dumps(SOUND))
        return coco_arguments(folder)

    return build


IMAGES: dict[str, Callable[[Path], Any]] = {
    "missing": lambda path: None,
    "empty": lambda path: path.touch(),
    "text": lambda path: path.write_text("no image"),
    "cut short": lambda path: path.write_bytes(jpeg()[:-60]),
    "half a header": lambda path: path.write_bytes(jpeg()[:30]),
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a link to nothing": lambda path: path.symlink_to("nothing.jpg"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "another size": lambda path: path.write_bytes(jpeg(50, 32)),
    "on its side": lambda path: path.write_bytes(jpeg(32, 48)),
}


def of_size(width: int, height: int) -> Build:
    def build(folder: Path) -> Sequence[str]:
        data = json.loads(json.dumps(SOUND))
        data["images"][0] |= {"width": width, "height": height}
        data["annotations"] = data["annotations"][1:]
        images = write_images(folder)
        (images / "a.jpg").write_bytes(jpeg(width, height))
        (folder / "a.json").write_text(json.dumps(data))
        return coco_arguments(folder)

    return build


# --- a folder of images


def pool(fill: Callable[[Path], Any]) -> Build:
    """A split of kind folder; `fill` puts things beside two sound images."""

    def build(folder: Path) -> Sequence[str]:
        fill(write_images(folder))
        return split_arguments(folder, "folder", images=str(folder / "images"))

    return build


def emptied(images: Path) -> None:
    for path in images.iterdir():
        path.unlink()


def unreadable(images: Path) -> None:
    # A link to where only the kernel can look: not even root may list it.
    (images / "deep").symlink_to("/proc/self/map_files/x")


POOLS: dict[str, tuple[Callable[[Path], Any], tuple[str, ...]]] = {
    "empty": (emptied, ("images", "no JPEG or PNG")),
    "texts alone": (lambda images: [emptied(images), (images / "a.txt").touch()], ("images", "no JPEG or PNG")),
    "a third damaged": (lambda images: (images / "c.jpg").write_text("x"), ("c.jpg", "max_damaged_fraction")),
    "a pipe": (lambda images: os.mkfifo(images / "c.jpg"), ("c.jpg", "not a regular file")),
    "1 x 5000": (lambda images: (images / "c.jpg").write_bytes(jpeg(1, 5000)), ("c.jpg", "1x5000", "too narrow")),
    "5000 x 1": (lambda images: (images / "c.jpg").write_bytes(jpeg(5000, 1)), ("c.jpg", "5000x1", "too narrow")),
    "a name that isn't UTF-8": (
        lambda images: (Path(os.fsdecode(os.fsencode(images) + b"/\xff.jpg"))).write_bytes(jpeg()),
        ("isn't UTF-8",),
    ),
}


# --- lists of ids and of videos


def with_ids(text: str | bytes, name: str = "ids.txt") -> Build:
    def build(folder: Path) -> Sequence[str]:
        write_images(folder)
        (folder / "a.json").write_text(json.dumps(SOUND))
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return coco_arguments(folder, drop_ids=[str(folder / name)])

    return build


IDS: dict[str, str | bytes] = {
    "words": "ten\n",
    "twice": "10\n10\n",
    "decimal": "10.5\n",
    "vast": "9" * 400,
    "vaster": "9" * 5000,
    "not UTF-8": b"\xff\xfe1\x000\x00",
    "all": "10\n20\n",
}


def videos(text: str | bytes | None, **values: Any) -> Build:
    def build(folder: Path) -> Sequence[str]:
        (folder / "videos").mkdir()
        if text is not None:
            (folder / "list.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
            values["list"] = str(folder / "list.txt")
        spec = {"name": "v", "kind": "videos", "videos": str(folder / "videos"), "count": 1, **values}
        (folder / "source.json").write_text("{}")
        return [
            *("--spec", json.dumps(spec), "--source", str(folder / "source.json")),
            *("--images", str(folder / "frames"), "--output", str(folder / "out" / "split.json")),
            *("--ledger", str(folder / "out" / "ledger.json")),
        ]

    return build


LISTS: dict[str, str | bytes] = {
    "empty": "",
    "comments": "# none\n",
    "twice": "a.avi\na.avi\n",
    "upwards": "../a.avi\n",
    "absolute": "/etc/passwd\n",
    "NUL": "a\0.avi\n",
    "not UTF-8": b"\xff.avi\n",
}


# --- archives


def archive(
    *members: tuple[str | zipfile.ZipInfo, bytes], damage: Callable[[bytearray], Any] = lambda data: None
) -> Build:
    def build(folder: Path) -> Sequence[str]:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as opened:
            for name, data in members:
                opened.writestr(name, data)
        data = bytearray(stream.getvalue())
        damage(data)
        (folder / "root").mkdir()
        (folder / "root" / "a.zip").write_bytes(data)
        (folder / "d.yaml").write_text(f"a: {{url: 'http://127.0.0.1:9/a.zip', size: {len(data)}, unpack: '.'}}\n")
        return ["--downloads", str(folder / "d.yaml"), "--names", "a", "--root", str(folder / "root")]

    return build


def link(name: str, mode: int) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    member.external_attr = (mode | 0o777) << 16
    return member


ARCHIVES: dict[str, Build] = {
    "upwards": archive(("../outside.txt", b"x")),
    "absolute": archive(("/outside.txt", b"x")),
    "deep upwards": archive(("a/../../outside.txt", b"x")),
    "backslashes": archive(("..\\outside.txt", b"x")),
    "a link": archive((link("a", stat.S_IFLNK), b"/etc")),
    "a device": archive((link("a", stat.S_IFCHR), b"")),
    "a pipe": archive((link("a", stat.S_IFIFO), b"")),
    "a file in a file": archive(("a", b"x"), ("a/b", b"y")),
    "a line break": archive(("a\nb", b"x")),
    "no archive": archive(damage=lambda data: data.clear() or data.extend(b"no archive")),
    "cut short": archive(("a", b"x" * 100), damage=lambda data: data.__delitem__(slice(60, None))),
    "a flipped bit": archive(("a", b"x" * 100), damage=lambda data: data.__setitem__(60, data[60] ^ 1)),
    "an empty file": archive(damage=lambda data: data.clear()),
}


# --- initial weights


def weights(content: bytes | Callable[[Path], Any], name: str = "w.pth", **entry: str) -> Build:
    """get_weights.py for a ResNet-50, from a file of some content."""

    def build(folder: Path) -> Sequence[str]:
        path = folder / name
        content(path) if callable(content) else path.write_bytes(content)
        source = {"name": "R-50", **(entry or {"path": str(path)})}
        networks = [{"task": "objects", "network": {"backbone": "R-50"}}]
        note = folder / "note.json"
        note.write_text(json.dumps({"source": source, "networks": networks}), encoding="utf-8")
        out = folder / "out"
        return ["--source", str(note), "--output", str(out / "R-50.weights"), "--record", str(out / "R-50.json")]

    return build


class _RunsCode:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("run-by-a-pickle",)


def saved(value: Any) -> Callable[[Path], Any]:
    import torch

    return lambda path: torch.save(value, path)


def cut(value: Any) -> Callable[[Path], Any]:
    def write(path: Path) -> None:
        saved(value)(path)
        path.write_bytes(path.read_bytes()[:-100])

    return write


def _weights() -> dict[str, tuple[Build, tuple[str, ...]]]:
    import torch

    other = {"conv1.weight": torch.ones(64, 3, 7, 7), "layer1.0.conv1.weight": torch.ones(64, 64, 1, 1)}
    blobs = {"conv1_w": np.ones((64, 3, 7, 7), np.float32)}
    return {
        "text": (weights(b"no weights"), ("w.pth",)),
        "empty": (weights(b""), ("w.pth", "empty")),
        "a web page": (weights(b"<!doctype html><html>404</html>"), ("w.pth",)),
        "pickled code": (weights(pickle.dumps({"a": _RunsCode()})), ("w.pth", "without running code")),
        "torch's pickled code": (weights(saved({"a": _RunsCode()})), ("w.pth", "without running code")),
        "cut short": (weights(cut(other)), ("w.pth",)),
        "half a pickle": (weights(pickle.dumps(blobs)[:-30], "w.pkl"), ("w.pkl",)),
        "a list": (weights(saved([1, 2])), ("w.pth", "mapping")),
        "no arrays": (weights(saved({"a": 1})), ("w.pth", "no arrays")),
        "NaN": (weights(saved({"conv1.weight": torch.full((2,), float("nan"))})), ("w.pth", "conv1.weight", "finite")),
        "infinity": (
            weights(pickle.dumps({"conv1_w": np.array([np.inf], np.float32)})),
            ("w.pth", "conv1_w", "finite"),
        ),
        "another network's": (weights(pickle.dumps(blobs)), ("w.pth", "another network")),
        "torchvision's strides": (weights(saved(other)), ("w.pth", "stride")),
        "no ResNet": (weights(saved({"features.0.weight": torch.ones(1)})), ("w.pth", "ResNet")),
        "a folder": (weights(lambda path: path.mkdir()), ("w.pth", "folder")),
        "a pipe": (weights(lambda path: os.mkfifo(path)), ("w.pth", "regular file")),
        "missing": (weights(lambda path: None), ("w.pth", "no such file")),
        "a digest that differs": (
            weights(lambda path: path.write_bytes(b"x"), path="w.pth", sha256="0" * 64),
            ("w.pth",),
        ),
        "a package that isn't there": (weights(b"", path="package:no_such_package/w.pth"), ("no_such_package",)),
        "out of a package": (weights(b"", path="package:json/../os.py"), ("package:json/../os.py",)),
        "file://": (weights(b"", url="file:///etc/passwd"), ("R-50", "file:///etc/passwd", "path")),
        "ftp://": (weights(b"", url="ftp://host/w.pth"), ("R-50", "ftp://host/w.pth")),
    }


CASES = [
    *(Case(f"image: {name}", "make_split", with_image(change), ("a.jpg",)) for name, change in IMAGES.items()),
    Case("image: 1 x 5000", "make_split", of_size(1, 5000), ("a.jpg", "1x5000", "too narrow")),
    Case("image: 5000 x 1", "make_split", of_size(5000, 1), ("a.jpg", "5000x1", "too narrow")),
    *(Case(f"pool: {name}", "make_split", pool(fill), words) for name, (fill, words) in POOLS.items()),
    Case(
        "pool: missing", "make_split", lambda folder: split_arguments(folder, "folder", images="nowhere"), ("nowhere",)
    ),
    Case("annotations: missing", "make_split", lambda folder: coco_arguments(folder), ("a.json", "no such file")),
    Case(
        "annotations: a folder",
        "make_split",
        lambda f: [(f / "a.json").mkdir(), coco_arguments(f)][1],
        ("a.json", "folder"),
    ),
    Case(
        "annotations: a pipe",
        "make_split",
        lambda f: [os.mkfifo(f / "a.json"), coco_arguments(f)][1],
        ("a.json", "pipe"),
    ),
    *(Case(f"ids: {name}", "make_split", with_ids(text), ()) for name, text in IDS.items()),
    Case("ids: JSON of ids", "make_split", with_ids("[10]", "ids.json"), ("ids.json",)),
    *(Case(f"videos: {name}", "sample_frames", videos(text), ("list.txt",)) for name, text in LISTS.items()),
    Case("videos: none", "sample_frames", videos(None), ("videos",)),
    *(Case(f"archive: {name}", "fetch", build, ("a.zip",)) for name, build in ARCHIVES.items()),
    *(Case(f"weights: {name}", "get_weights", build, words) for name, (build, words) in _weights().items()),
    Case(
        "file_name: upwards, of a pool",
        "make_split",
        of_change(put("images.0.file_name", "../a.jpg"), labelled=False),
        ("a.json",),
    ),
]
