"""Files of weights as tensors by name: the formats that others publish, told apart by content. No code in a file is executed."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from datadistill.errors import UserError

Tensors = dict[str, torch.Tensor]

DETECTRON2, CAFFE2, TORCH = "detectron2", "caffe2", "torch"


def read_weights(path: Path) -> tuple[Tensors, str]:
    """The tensors of a file by name, float32, and the naming they follow: "detectron2", "caffe2" or "torch".

    Raises `UserError` for a file that isn't one of the formats above, or that holds anything but arrays.
    """
    try:
        data = _READERS[_format(path)](path)
    except Exception as error:  # unpicklers raise nearly anything on a damaged file
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(
            f"{path}: not a file of weights that can be read without running code from it ({reason})"
        ) from None
    for key in ("model", "blobs", "state_dict", "model_state_dict"):
        if isinstance(data, Mapping) and isinstance(data.get(key), Mapping):
            data = data[key]
    if not isinstance(data, Mapping):
        raise UserError(f"{path}: a mapping of names to arrays is needed, it holds a {type(data).__name__}")
    tensors = {}
    for name, value in data.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
            value = torch.from_numpy(np.array(value))
        if isinstance(value, torch.Tensor) and not str(name).endswith("_momentum"):
            name = str(name).removeprefix("module.").removeprefix("backbone.bottom_up.")
            tensors[name] = value.float() if value.is_floating_point() else value
    if not tensors:
        raise UserError(f"{path}: it holds no arrays by name")
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise UserError(f"{path}: {name} holds a value that isn't finite; is the file damaged?")
    if any(name.startswith("stem.conv1.") for name in tensors) and any(name.startswith("res2.") for name in tensors):
        return tensors, DETECTRON2
    if "conv1_w" in tensors:
        return tensors, CAFFE2
    return tensors, TORCH


def _format(path: Path) -> str:
    """The format of a file of weights, by how it begins."""
    with open(path, "rb") as stream:
        start = stream.read(16)
    if start.startswith(b"PK") or start[2:].startswith(_LEGACY_TORCH):
        return "torch"
    if start[8:9] == b"{":
        return "safetensors"
    if start.startswith(b"\x80"):
        return "pickle"
    raise ValueError("an empty file" if not start else "neither torch's, safetensors' nor a pickle")


def _read_torch(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _read_safetensors(path: Path) -> Any:
    from safetensors.torch import load_file

    return load_file(str(path))


def _read_pickle(path: Path) -> Any:
    with open(path, "rb") as stream:
        return ArrayUnpickler(stream).load()


_READERS: dict[str, Callable[[Path], Any]] = {
    "torch": _read_torch,
    "safetensors": _read_safetensors,
    "pickle": _read_pickle,
}
# What torch.save wrote before it wrote zip files: a pickled number.
_LEGACY_TORCH = bytes.fromhex("8a0a6cfc9c46f9206aa85019")


def _latin1(text: str, encoding: str) -> bytes:
    # How Python 3 writes bytes into pickles of protocol 2.
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"text in encoding {encoding!r}")
    return text.encode(encoding)


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler that makes numpy arrays and plain values, and refuses any other class or function."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream, encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        """The few names that pickled arrays need; anything else raises `pickle.UnpicklingError`."""
        from collections import OrderedDict

        multiarray = importlib.import_module(
            "numpy._core.multiarray" if hasattr(np, "_core") else "numpy.core.multiarray"
        )
        allowed: dict[tuple[str, str], Callable[..., Any] | type] = {
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("collections", "OrderedDict"): OrderedDict,
            ("_codecs", "encode"): _latin1,
        }
        for home in ("numpy.core.multiarray", "numpy._core.multiarray"):
            allowed[home, "_reconstruct"] = multiarray._reconstruct
            allowed[home, "scalar"] = multiarray.scalar
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return allowed[module, name]
