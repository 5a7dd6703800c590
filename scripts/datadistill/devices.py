"""Choosing where a stage computes."""

from __future__ import annotations

import os

from datadistill.errors import UserError
from datadistill.gpus import claim_gpus


def choose_device(asked: str) -> str:
    """ "auto" is the GPU if there is one, else the CPU; "cuda" without a GPU is a `UserError`.

    Where no scheduler gave this process a GPU, it claims one first, so that two jobs on two GPUs use both.
    """
    import torch

    if asked != "cpu":
        # Early enough: CUDA reads the variable when it is first used, not when torch is imported.
        claim_gpus(1, os.environ)
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if asked == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "device: cuda was asked for, but this machine shows no GPU; set device: auto or cpu in the config"
        )
    return asked
