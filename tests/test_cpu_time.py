"""What a job says of its CPU time, and how it is read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from datadistill.cpu_time import VARIABLE, CpuTime, read_cpu_times

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
JOB = """
import sys, time
from datadistill.cpu_time import work_begins
from datadistill.errors import UserError, run_script
from datadistill.progress import progress

def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

def main():
    burn(0.5)
    if "loop" in sys.argv:
        for _ in progress(range(2), label="predict"):
            burn(0.5)
    if "own" in sys.argv:
        work_begins("this")
        burn(1.0)
    if "bad" in sys.argv:
        raise UserError("a.json: no image")

run_script(main)
"""


def run(how: str, told: str = "1") -> str:
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS), VARIABLE: told}
    line = [sys.executable, "-c", JOB, how]
    return subprocess.run(
        line, env=environment, check=False, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ).stderr


@pytest.mark.parametrize("how", ["loop", "own"])
def test_a_job_tells_what_its_start_took_and_what_all(tmp_path: Path, how: str) -> None:
    """Half a second of start, a second of work, and the interpreter."""
    log = tmp_path / "a.log"
    log.write_text(run(how))
    [time] = read_cpu_times(log)
    assert time.start >= 0.45
    assert 0.9 <= time.seconds - time.start <= time.seconds - 0.45


def test_a_script_that_says_nothing_begins_its_work_with_its_main(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(run("plain"))
    [time] = read_cpu_times(log)
    assert time.seconds - time.start >= 0.45
    assert time.start > 0


def test_what_failed_and_what_nobody_asked_tells_nothing(tmp_path: Path) -> None:
    assert run("bad") == "error: a.json: no image\n"
    assert "CPU" not in run("loop", told="")
    assert read_cpu_times(tmp_path / "absent.log") == []


def test_a_log_of_several_processes_and_tries(tmp_path: Path) -> None:
    """A try that was killed, then two processes side by side, one of which reads again while it works."""
    log = tmp_path / "train.log"
    log.write_text(
        "CPU time: 2.00 s until the work began (process 5)\n"
        "going on from iteration 3\n"
        "CPU time: 3.00 s until the work began (process 6)\n"
        "CPU time: 4.00 s until the work began (process 7)\n"
        "CPU time: 8.00 s until the work began (process 7)\n"
        "CPU time: 30.00 s in all, 1.00 s until main began, 700 MB of memory (process 7)\n"
        "CPU time: 20.50 s in all, 1.00 s until main began, 700 MB of memory (process 6)\n"
    )
    assert read_cpu_times(log) == [CpuTime(30.0, 4.0, 700.0), CpuTime(20.5, 3.0, 700.0)]
