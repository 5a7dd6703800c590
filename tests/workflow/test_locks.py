"""Locks of killed runs: removed when nobody is at work in the directory, and only then."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from planning import REPOSITORY

from datadistill.errors import UserError
from datadistill.workflow.locks import is_locked, may_unlock, record_host

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a process that waits, in a directory; it ends with the test."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(line: list[str], directory: Path) -> subprocess.Popen[bytes]:
        running.append(subprocess.Popen(line, cwd=directory, stdout=subprocess.PIPE))
        assert running[-1].stdout is not None
        assert running[-1].stdout.readline() == b"ready\n"
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """A directory as a killed Snakemake leaves it."""
    directory = tmp_path / "work"
    (directory / ".snakemake" / "locks").mkdir(parents=True)
    (directory / ".snakemake" / "locks" / "0.output.lock").write_text("results/a.json\n")
    return directory


def test_locks_that_nobody_holds_may_go(locked: Path, tmp_path: Path) -> None:
    assert is_locked(locked)
    assert may_unlock(locked, tmp_path)
    record_host(locked)
    assert may_unlock(locked, tmp_path)
    assert not is_locked(tmp_path)
    assert not may_unlock(tmp_path, tmp_path)


@pytest.mark.parametrize("name", ["/usr/bin/snakemake", "scripts/run.py"])
def test_locks_stay_while_a_snakemake_runs_there(locked: Path, tmp_path: Path, start: Start, name: str) -> None:
    wait = ["bash", "-c", f"echo ready; exec -a {name} sleep 600"]
    start(wait, tmp_path)
    assert may_unlock(locked, tmp_path), "it runs elsewhere"
    process = start(wait, locked)
    # It is ready before it takes that name.
    while not Path(f"/proc/{process.pid}/cmdline").read_bytes().startswith(name.encode()):
        time.sleep(0.01)
    assert not may_unlock(locked, tmp_path)
    process.kill()
    process.wait()
    assert may_unlock(locked, tmp_path)


def test_a_program_of_a_killed_run_that_is_still_at_work_is_named(locked: Path, tmp_path: Path, start: Start) -> None:
    program = tmp_path / "scripts" / "train.py"
    program.parent.mkdir()
    program.write_text("import time\nprint('ready', flush=True)\ntime.sleep(600)\n")
    process = start([sys.executable, str(program)], locked)
    with pytest.raises(UserError, match=rf"train\.py of a killed run is still at work \(process {process.pid}\)"):
        may_unlock(locked, program.parent)
    assert may_unlock(locked, tmp_path / "others")


def test_another_machine_s_locks_stay(locked: Path, tmp_path: Path) -> None:
    (locked / ".snakemake" / "host").write_text(f"not-{socket.gethostname()}")
    with pytest.raises(UserError, match=r"locked by a Snakemake on not-.* call `snakemake --unlock`"):
        may_unlock(locked, tmp_path)


def test_make_unlocks_by_the_script(locked: Path) -> None:
    line = [sys.executable, str(REPOSITORY / "scripts" / "unlock.py"), "--snakefile", str(REPOSITORY / "Snakefile")]
    done = subprocess.run(
        [*line, "--configfile", str(REPOSITORY / "config" / "smallest.yaml")],
        cwd=locked,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "removed the locks of a killed run\n")
    assert not is_locked(locked)
    recipes = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    assert "start = python scripts/unlock.py $(1) && python scripts/run.py $(1) $(2)" in recipes
    bare = [line for line in recipes.splitlines() if "snakemake --cores" in line]
    assert len(bare) == 1, bare
    assert "--report" in bare[0], "every other target goes through `start`"


@pytest.mark.parametrize("make", [True, False], ids=["make", "bare snakemake"])
def test_a_key_given_twice_is_told_in_one_sentence(tmp_path: Path, make: bool) -> None:
    config = tmp_path / "my.yaml"
    config.write_text((REPOSITORY / "config" / "smallest.yaml").read_text(encoding="utf-8") + "run: again\n")
    script = [str(REPOSITORY / "scripts" / "unlock.py")]
    bare = ["-m", "snakemake", "--dry-run", "--snakefile", str(REPOSITORY / "Snakefile")]
    line = [sys.executable, *(script if make else bare), "--configfile", str(config)]
    done = subprocess.run(line, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    told = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("Using ")]
    assert len(told) == 1, told
    assert told[0].startswith("error: ")
    assert "my.yaml: not valid YAML: the key 'run' is given twice in line" in told[0]
