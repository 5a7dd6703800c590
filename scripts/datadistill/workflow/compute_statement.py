"""The keys of a config that say how fast, not what: a part of its statement (`statement`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from datadistill.keys import key


@dataclass(frozen=True, kw_only=True)
class ReportStage:
    """What a job gets that makes tables, figures and pages: one process without a GPU."""

    mem_mb: int = key("Memory of a job, MB.", default=4000, minimum=1)
    runtime: int = key("Time limit of a job, minutes.", default=240, minimum=1)


@dataclass(frozen=True, kw_only=True)
class DataStage(ReportStage):
    """What a job gets that makes data."""

    threads: int = key("Threads of a job.", default=1, minimum=1)


@dataclass(frozen=True, kw_only=True)
class LabelStage(DataStage):
    """What a job gets that labels or evaluates."""

    gpu: int = key("GPUs of a job.", default=0, minimum=0)


@dataclass(frozen=True, kw_only=True)
class TrainStage(LabelStage):
    """What a training gets."""

    processes: int = key("Data-parallel processes, one a GPU.", default=1, minimum=1)
    workers: int = key("Processes that read images for each training process.", default=0, minimum=0)


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
    train: TrainStage = key(_STAGE, default=TrainStage())
    label: LabelStage = key(_STAGE, default=LabelStage())
    data: DataStage = key(_STAGE, default=DataStage())
    report: ReportStage = key(_STAGE, default=ReportStage())
