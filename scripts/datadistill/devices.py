"""Where a stage computes; on a machine without a scheduler, jobs that run side by side claim different GPUs.

To Snakemake `gpu` is a count: with two GPUs it starts two jobs, and both would compute on the first. A claim is a lock
on a file that stands for a device, held while the process lives; the kernel releases it, however the process ends.
"""

# By hand, and not with filelock: its descriptors are closed by `exec`, and a claim must outlive the program that
# torchrun replaces.

from __future__ import annotations

import fcntl
import os
import re
import tempfile
import time
from collections.abc import Mapping, MutableMapping, Sequence
from itertools import takewhile
from pathlib import Path

from datadistill.errors import UserError

SCHEDULERS = ("SLURM_JOB_ID", "LSB_JOBID", "PBS_JOBID", "KUBERNETES_SERVICE_HOST")
"""Set where a scheduler has already given the job devices of its own."""

CLAIMED = "DATADISTILL_GPUS_CLAIMED"
"""Set for the processes that a claiming process starts."""

SWITCH = "DATADISTILL_GPU_CLAIMS"
"""Set to `off` by a user who wants jobs to share devices."""


def visible_devices(environment: Mapping[str, str], folder: Path = Path("/dev")) -> list[str]:
    """The devices a process may use, as CUDA_VISIBLE_DEVICES names them: its value, or all of the machine."""
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        # CUDA, too, ignores what follows a device that doesn't exist (-1).
        return list(takewhile(lambda name: name != "-1", filter(None, map(str.strip, chosen.split(",")))))
    count = sum(bool(re.fullmatch(r"nvidia\d+", path.name)) for path in folder.glob("nvidia*"))
    # A container may show device 3 alone; CUDA calls it 0 there.
    return [str(number) for number in range(count)]


def claim_gpus(count: int, environment: MutableMapping[str, str], devices: Sequence[str] | None = None) -> list[str]:
    """Claim `count` devices for this process and those it starts, and let CUDA see no others; waits until enough are free.

    Nothing is claimed (an empty list) where there are no devices, where a scheduler gave them, where the parent process claimed them,
    or where the user switched claims off. Raises `UserError` when more devices are asked for than there are.
    """
    if CLAIMED in environment or environment.get(SWITCH) == "off" or any(name in environment for name in SCHEDULERS):
        return []
    devices = visible_devices(environment) if devices is None else list(devices)
    if not devices:
        return []
    if count > len(devices):
        raise UserError(
            f"{count} GPUs were asked for and this machine shows {len(devices)} ({', '.join(devices)}); "
            "lower compute: train: processes in the config, or look at CUDA_VISIBLE_DEVICES"
        )
    folder = Path(tempfile.gettempdir()) / f"datadistill-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    told = False
    while True:
        locks: dict[str, int] = {}
        for device in devices:
            if len(locks) < count and (lock := _lock(folder, device)) is not None:
                locks[device] = lock
        if len(locks) == count:
            break
        # All or nothing, or two jobs that want two devices each could hold one each for ever.
        for lock in locks.values():
            os.close(lock)
        if not told:
            print(
                f"waiting for {count} of {len(devices)} GPUs: other jobs have claimed them ({SWITCH}=off shares them)",
                flush=True,
            )
            told = True
        time.sleep(0.5 + os.getpid() % 100 / 200)
    for lock in locks.values():
        # The program that replaces this one (torchrun) must go on holding it.
        os.set_inheritable(lock, True)
    environment["CUDA_VISIBLE_DEVICES"] = environment[CLAIMED] = ",".join(locks)
    return list(locks)


def _lock(folder: Path, device: str) -> int | None:
    """An open descriptor that holds a device's lock, or None if another process has it."""
    name = re.sub(r"[^\w.-]", "_", device)
    descriptor = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


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
