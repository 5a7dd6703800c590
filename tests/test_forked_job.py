"""How a job ends inside a fork: at once, but after everything that anybody could see of its end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from datadistill import warm_start
from datadistill.warm_start import VARIABLE, waiting

pytestmark = pytest.mark.skipif(
    Path("/dev/nvidiactl").exists(), reason="beside an Nvidia GPU every job starts by itself"
)

PROGRAM = """
import atexit, os, sys
from datadistill.errors import run_script

class Kept:
    def __del__(self, write=os.write):
        write(2, b"freed")

def main():
    sys.kept = Kept()
    atexit.register(print, "handled")
    return {"number": 5, "nothing": None, "message": "a sentence"}[sys.argv[1]]

run_script(main, warm=True)
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("PYTHONPATH", str(Path(warm_start.__file__).resolve().parents[1]))
    # What is printed last stays in Python's buffer until its end.
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    with waiting([]):
        yield path


def end(program: Path, how: str, stdout: int | IO[str] = subprocess.PIPE) -> tuple[int, str | None, str]:
    """Status, standard output and standard error of a run."""
    command = [sys.executable, str(program), how]
    done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(("how", "status"), [("number", 5), ("nothing", 0)])
def test_exit_handlers_run_and_nothing_is_freed(program: Path, how: str, status: int) -> None:
    """Memory that a fork shares with the waiting process would be copied first."""
    assert end(program, how) == (status, "handled\n", "")
    del os.environ[VARIABLE]
    assert end(program, how) == (status, "handled\n", "freed")


def test_a_message_instead_of_a_number_is_printed(program: Path) -> None:
    shared = end(program, "message")
    del os.environ[VARIABLE]
    assert shared == end(program, "message")
    assert shared[:2] == (1, "handled\n")
    assert shared[2].startswith("a sentence\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_what_cannot_be_written_at_the_very_end_makes_the_job_fail(program: Path) -> None:
    """What exit handlers say comes after the script has looked whether all was taken."""
    with open("/dev/full", "w") as full:
        shared = end(program, "nothing", full)
        del os.environ[VARIABLE]
        alone = end(program, "nothing", full)
    assert shared[0] == alone[0] == 120
    assert "No space left on device" in shared[2]
