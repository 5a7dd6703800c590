"""Hooks of detectron2's training loop: random states, schedule, metrics, checkpoints; and how processes talk to each other."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

import torch
from detectron2.engine import HookBase
from detectron2.utils import comm

from datadistill.cpu_time import work_begins
from datadistill.errors import UserError
from datadistill.train.sampling import Deal, model_seed

# Iterations after which processes ask each other whether one of them was told to stop: seconds on a GPU.
ASK_EVERY = 20


class Stopped(Exception):
    """A signal asked the run to stop; its checkpoint is written."""


class SeedEachIteration(HookBase):
    """Puts torch's generators in a state that depends on the seed, the iteration and the images dealt to this process."""

    def __init__(self, seed: int, deal: Deal) -> None:
        self._seed = seed
        self._deal = deal

    def before_step(self) -> None:
        iteration = self.trainer.iter
        torch.manual_seed(model_seed(self._seed, iteration, self._deal.first_place(iteration)))


class StepSchedule(HookBase):
    """Advances the learning rate after each iteration."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = scheduler

    def after_step(self) -> None:
        self.scheduler.step()


class RecordMetrics(HookBase):
    """Keeps one JSON row every `every` iterations, and prints rate and time left every `log_seconds`."""

    def __init__(self, every: int, log_seconds: float, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self._every = every
        self._log_seconds = log_seconds

    def before_train(self) -> None:
        work_begins()
        self._started = self._logged = time.perf_counter()
        self._first = self.trainer.iter

    def after_step(self) -> None:
        done, now = self.trainer.iter + 1, time.perf_counter()
        last = done == self.trainer.max_iter
        if done % self._every == 0 or last:
            losses = _mean_over_processes(self.trainer.losses)
            self.rows.append({"iteration": done, "lr": self.trainer.optimizer.param_groups[0]["lr"], **losses})
        if comm.is_main_process() and (now - self._logged >= self._log_seconds or last):
            self._logged = now
            rate = (done - self._first) / max(now - self._started, 1e-9)
            left = (self.trainer.max_iter - done) / rate
            waiting = self.trainer.data_seconds / max(now - self._started, 1e-9)
            print(
                f"iteration {done}/{self.trainer.max_iter}  loss {self.trainer.losses['total_loss']:.3f}  "
                f"lr {self.trainer.optimizer.param_groups[0]['lr']:.2g}  {rate:.2f} it/s  "
                f"{waiting:.0%} waiting for data  {_clock(left)} left",
                flush=True,
            )


def metrics_every(most: int, iterations: int) -> int:
    """Iterations from row to row: `most`, or fewer where a short schedule would leave a loss curve of few points."""
    return max(1, min(most, iterations // 20))


class SaveCheckpoint(HookBase):
    """Saves every `every` iterations, at the end, and once more when a signal asks the run to stop."""

    def __init__(self, every: int, save: Callable[[], None]) -> None:
        self._every = every
        self._save = save
        self._signal: int | None = None
        self._handlers: dict[int, Any] = {}

    def before_train(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            self._handlers[number] = signal.signal(number, self._ask_to_stop)

    def after_train(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _ask_to_stop(self, number: int, _: FrameType | None) -> None:
        self._signal = number

    @staticmethod
    def _anybody(stop: bool) -> bool:
        asked = torch.tensor(float(stop), device=_communication_device())
        torch.distributed.all_reduce(asked)
        return bool(asked.item())

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        stop = self._signal is not None
        if _distributed():
            # All processes must agree, or one would wait for the others' gradients for ever. Not in every iteration: asking makes
            # each wait for its device and for the others.
            stop = done % ASK_EVERY == 0 and self._anybody(stop)
        if stop or done % self._every == 0 or done == self.trainer.max_iter:
            self._save()
        if stop and done < self.trainer.max_iter:
            raise Stopped(f"stopped by a signal after iteration {done}; the same command goes on from there")


def _distributed() -> bool:
    return comm.get_world_size() > 1


def _communication_device() -> str:
    """Where tensors must lie to be sent between processes: NCCL knows only GPUs."""
    return "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"


def _mean_over_processes(losses: Mapping[str, float]) -> dict[str, float]:
    """The losses averaged over all processes."""
    if not _distributed():
        return dict(losses)
    names = sorted(losses)
    values = torch.tensor([losses[name] for name in names], device=_communication_device())
    torch.distributed.all_reduce(values)
    return dict(zip(names, (values / comm.get_world_size()).tolist(), strict=True))


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def join_processes(processes: int, device: str) -> int:
    """Join the processes that torchrun started; returns this one's rank.

    Raises `UserError` when the number of processes asked for and the number started differ.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != processes:
        raise UserError(
            f"{processes} processes were asked for but {started} started; "
            f"start the script with torchrun --nproc-per-node {processes}, or give --processes {started}"
        )
    if processes == 1:
        return 0
    backend = "nccl" if torch.device(device).type == "cuda" else "gloo"
    # Without detectron2's group of the processes of one machine: 0.6 makes it in its own launcher alone, and nothing here needs it.
    torch.distributed.init_process_group(backend)
    if backend == "nccl":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    return torch.distributed.get_rank()
