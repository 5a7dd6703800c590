"""The keys of a config that say how fast, not what: a part of its statement (`statement`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from datadistill.keys import key


@dataclass(frozen=True, kw_only=True)
class StageOptions:
    """What a job of a stage gets."""

    threads: int = key("Threads of a job.", default=1, minimum=1)
    processes: int = key("Training: data-parallel processes, one a GPU.", default=1, minimum=1)
    workers: int = key("Processes that read images for each training process.", default=0, minimum=0)
    gpu: int = key("GPUs of a job.", default=0, minimum=0)
    mem_mb: int = key("Memory of a job, MB.", default=4000, minimum=1)
    runtime: int = key("Time limit of a job, minutes.", default=240, minimum=1)


_STAGE = "What a job of this stage gets."


@dataclass(frozen=True, kw_only=True)
class ComputeOptions:
    """How fast, not what."""

    device: Literal["auto", "cpu", "cuda"] = key(
        "auto uses a GPU if the machine shows one; cuda without one is an error.", default="auto"
    )
    memory_format: Literal["auto", "channels_last", "contiguous"] = key(
        "How a network's tensors lie in memory: auto is channels_last on a CPU and contiguous on a GPU. On GPUs with tensor cores "
        "channels_last pays together with reduced precision (docs/method.md).",
        default="auto",
    )
    vision_env: Literal["vision-cpu", "vision-cuda"] = key(
        "The conda environment of training and inference under --use-conda; vision-cuda needs a GPU, or CONDA_OVERRIDE_CUDA, "
        "to be solved.",
        default="vision-cpu",
    )
    checkpoint_every: int = key("Iterations between training checkpoints.", default=1000, minimum=1)
    train: StageOptions = key(_STAGE, default=StageOptions())
    label: StageOptions = key(_STAGE, default=StageOptions())
    data: StageOptions = key(_STAGE, default=StageOptions())
    report: StageOptions = key(_STAGE, default=StageOptions())
