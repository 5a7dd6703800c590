"""The file of a trained model: its tensors and what they are, checked whenever it is read.

A model file says of which spec it is, and carries a digest of all that is in it. So a file of another spec, or one that was
damaged on a disk, is refused, wherever it is used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datadistill.errors import UserError
from datadistill.files import atomic_write, canonical_json, digest, require_file

if TYPE_CHECKING:
    import torch

_PARTS = {"model": Mapping, "spec": Mapping, "config": str, "categories": list}


def write_model(
    path: str | Path,
    tensors: Mapping[str, torch.Tensor],
    spec: Mapping[str, Any],
    config: str,
    categories: Sequence[Mapping[str, Any]],
) -> None:
    """Write a model file, atomically: tensors by name, the canonical spec, detectron2's config as YAML, COCO categories."""
    import torch

    content = {
        "model": {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        "spec": dict(spec),
        "config": config,
        "categories": [dict(category) for category in categories],
    }
    with atomic_write(path, "wb", size=tensor_bytes(tensors)) as stream:
        torch.save({**content, "digest": content_digest(content)}, stream)


def read_model(path: str | Path, spec_digest: str | None = None) -> dict[str, Any]:
    """The content of a model file: `model` (tensors on the CPU), `spec`, `config` and `categories`.

    Loads tensors and plain values only: no code in the file is executed. Raises `UserError` when the file is missing, no
    model file, not as it was written, or (where `spec_digest` is given) of another spec than that.
    """
    import torch

    require_file(path, made=True)
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpicklers raise nearly anything on a damaged file
        raise UserError(
            f"{path}: not a model file of this project ({type(error).__name__}); delete it and train again"
        ) from None
    if not isinstance(saved, Mapping) or not all(isinstance(saved.get(key), kind) for key, kind in _PARTS.items()):
        raise UserError(f"{path}: not a model file of this project; delete it and train again")
    found = digest(saved["spec"])
    if spec_digest is not None and found != spec_digest:
        raise UserError(f"{path}: a model of spec {found}, where {spec_digest} is needed; delete it and train again")
    if saved.get("digest") != content_digest(saved):
        raise UserError(f"{path}: not as it was written (its digest differs); delete it and train again")
    return dict(saved)


def content_digest(content: Mapping[str, Any]) -> str:
    """Digest (BLAKE2b, 32 hexadecimal characters) of everything in a model file: names, types, shapes and bytes."""
    import torch

    total = hashlib.blake2b(digest_size=16)
    total.update(canonical_json([content[key] for key in ("spec", "config", "categories")]).encode())
    for name, tensor in sorted(content["model"].items()):
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
    return total.hexdigest()


def tensor_bytes(tensors: Mapping[str, torch.Tensor]) -> int:
    """Bytes of all tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
