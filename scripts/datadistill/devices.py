"""Choosing where a stage computes."""

from __future__ import annotations

from datadistill.errors import UserError


def choose_device(asked: str) -> str:
    """ "auto" is the GPU if there is one, else the CPU; "cuda" without a GPU is a `UserError`."""
    import torch

    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if asked == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "device: cuda was asked for, but this machine shows no GPU; set device: auto or cpu in the config"
        )
    return asked
