"""Locks that a killed Snakemake left in a working directory, and whether anybody is still at work there.

Snakemake locks its outputs with files in `.snakemake/locks/`, which say nothing of who holds them. Light: the standard library.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from datadistill.errors import UserError

_LOCKS, _HOST = ".snakemake/locks", ".snakemake/host"
SNAKEMAKE = "snakemake"
# Which is Snakemake in this project's clothes.
RUN = "scripts/run.py"


@dataclass(frozen=True)
class Process:
    """A process of this machine. `folder` None: it is somebody else's, and not told."""

    number: int
    command: tuple[str, ...]
    folder: str | None


def record_host(directory: str | Path = ".") -> None:
    """Leave the name of this machine beside the locks: from another one, processes can't be seen."""
    path = Path(directory, _HOST)
    path.parent.mkdir(exist_ok=True)
    path.write_text(socket.gethostname(), encoding="utf-8")


def is_locked(directory: str | Path = ".") -> bool:
    """Whether any Snakemake locks files of this directory, or was killed while it did."""
    folder = Path(directory, _LOCKS)
    return folder.is_dir() and any(folder.iterdir())


def may_unlock(directory: str | Path, programs: str | Path, proc: str | Path = "/proc") -> bool:
    """Whether the locks of a directory are a dead Snakemake's, so that they may be removed; false where there are none.

    `programs` is the folder of the workflow's scripts. False, too, while another Snakemake runs there: it may hold them. Raises
    `UserError` where they may be another machine's, or a program that a killed Snakemake started still runs.
    """
    if not is_locked(directory):
        return False
    host = Path(directory, _HOST)
    if host.is_file() and host.read_text(encoding="utf-8") != socket.gethostname():
        raise UserError(
            f"{directory}: locked by a Snakemake on {host.read_text(encoding='utf-8')}; if it doesn't run any more, call "
            "`snakemake --unlock` with the same --configfile"
        )
    here = [p for p in processes(proc) if p.folder in (os.path.realpath(directory), None)]
    if any(_is_snakemake(process.command) for process in here):
        return False
    for process in here:
        program = next((part for part in process.command if part.startswith(f"{os.path.realpath(programs)}/")), None)
        if program is not None and process.number not in _own_line(proc):
            raise UserError(
                f"{directory}: {Path(program).name} of a killed run is still at work (process {process.number}); wait for its "
                f"end, or stop it with `kill {process.number}`"
            )
    return True


def _is_snakemake(command: tuple[str, ...]) -> bool:
    return any(Path(part).name == SNAKEMAKE or Path(part).match(RUN) for part in command[:4])


def _own_line(proc: str | Path) -> set[int]:
    """This process and those that started it: make, a shell."""
    line, number = set(), os.getpid()
    while number > 1 and number not in line:
        line.add(number)
        try:
            number = int(Path(proc, str(number), "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            break
    return line


def processes(proc: str | Path = "/proc") -> list[Process]:
    """All processes of this machine that have a command line, but for those that end meanwhile."""
    found = []
    for entry in Path(proc).iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = tuple(entry.joinpath("cmdline").read_bytes().decode(errors="replace").split("\0")[:-1])
            folder = os.readlink(entry / "cwd")
        except PermissionError:
            folder = None
        except OSError:
            continue
        if command:
            found.append(Process(int(entry.name), command, folder))
    return found
