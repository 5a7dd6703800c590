"""Jobs that a waiting process begins: the same to whoever started them, in output, status and signals."""

from __future__ import annotations

import json
import os
import signal
import socket as socketlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from datadistill import warm_start
from datadistill.warm_start import VARIABLE, waiting

SCRIPTS = str(Path(warm_start.__file__).resolve().parents[1])
pytestmark = pytest.mark.skipif(
    Path("/dev/nvidiactl").exists(), reason="beside an Nvidia GPU every job starts by itself"
)

PROGRAM = """
import json, os, signal, sys, time
from datadistill.errors import UserError, run_script

def main():
    what = sys.argv[1]
    if what == "tell":
        print(json.dumps([sys.argv, os.getcwd(), os.environ.get("OWN"), os.environ.get("{variable}"), "decimal" in sys.modules]))
        print("beside", file=sys.stderr)
        print(sys.stdin.read(), end="")
        return 3
    if what == "bad":
        raise UserError("a.json: no image")
    if what == "stop":
        signal.signal(signal.SIGTERM, lambda *_: (print("stopped", flush=True), sys.exit(7)))
    open(sys.argv[2], "w").write(str(os.getpid()))
    if what == "work":
        for _ in range(600):
            with open(sys.argv[2] + ".worked", "a") as file:
                file.write(".")
            time.sleep(0.05)
    if what == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)

run_script(main, warm=True)
""".replace("{variable}", VARIABLE)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


@pytest.fixture
def socket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("PYTHONPATH", SCRIPTS)
    with waiting(["decimal"]):
        yield os.environ[VARIABLE]


def start(program: Path, *arguments: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    command = [sys.executable, str(program), *arguments]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=program.parent)


def forked(file: Path) -> int:
    """The number of the process that wrote it into a file."""
    end = time.monotonic() + 30
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < end, "the fork did not begin"
        time.sleep(0.05)
    return int(file.read_text())


def state(process: int) -> str:
    """The letter of Linux: T, stopped; Z, ended and not yet asked for."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


def gone(process: int) -> bool:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def test_a_job_is_told_apart_by_nothing_but_what_was_imported(program: Path, socket: str) -> None:
    os.environ["OWN"] = "a value \udce9"
    try:
        warm, cold = start(program, "tell", "x y", ""), start(program, "tell", "x y", "")
        outputs = [warm.communicate("read\n"), cold.communicate("read\n")]
        del os.environ[VARIABLE]
        alone = start(program, "tell", "x y", "").communicate("read\n")
    finally:
        del os.environ["OWN"]
    assert outputs[0] == outputs[1]
    assert (warm.returncode, cold.returncode) == (3, 3)
    assert outputs[0] == (alone[0].replace("false]", "true]"), alone[1])
    assert "false]" in alone[0]


def test_an_error_is_the_same_sentence_and_status(program: Path, socket: str) -> None:
    process = start(program, "bad")
    assert process.communicate() == ("", "error: a.json: no image\n")
    assert process.returncode == 2


def test_signals_reach_the_job_and_its_end_reaches_who_started_it(program: Path, socket: str, tmp_path: Path) -> None:
    process = start(program, "stop", str(tmp_path / "pid"))
    number = forked(tmp_path / "pid")
    assert number != process.pid
    process.send_signal(signal.SIGTERM)
    assert process.communicate()[0] == "stopped\n"
    assert process.returncode == 7
    dead = start(program, "die", str(tmp_path / "dead"))
    assert dead.wait(30) == -signal.SIGSEGV


def test_a_signal_during_the_imports_ends_the_job(
    program: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As it ends one that imports by itself; and when the imports are over, nothing of it runs."""
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(2)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([SCRIPTS, str(tmp_path)]))
    with waiting(["slow_to_import"]):
        process = start(program, "stop", str(tmp_path / "pid"))
        time.sleep(0.8)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == -signal.SIGTERM
        assert start(program, "tell").communicate()[1] == "beside\n"
        assert not (tmp_path / "pid").exists()


@pytest.mark.parametrize("ended", [True, False])
def test_who_ended_during_the_imports_gets_no_fork(monkeypatch: pytest.MonkeyPatch, ended: bool) -> None:
    ours, theirs = socketlib.socketpair()
    forks: list[int] = []

    def imports(self: object) -> bool:
        if ended:
            theirs.close()
        return True

    monkeypatch.setattr(warm_start._Waiting, "__init__", lambda self: None)
    monkeypatch.setattr(warm_start._Waiting, "_is_ours", lambda self, line: True)
    monkeypatch.setattr(warm_start._Waiting, "_is_ready", imports)
    monkeypatch.setattr(warm_start._Waiting, "_fork", lambda self: forks.append(1) or -1)
    waits = warm_start._Waiting()
    waits.listener = SimpleNamespace(accept=lambda: (ours, None))
    message = json.dumps({"python": warm_start._python()}).encode()
    socketlib.send_fds(theirs, [warm_start._LENGTH.pack(len(message))], [0, 1, 2])
    theirs.sendall(message)
    waits._accept(None)
    assert forks == ([] if ended else [1])
    theirs.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_right_after_the_fork_is_not_lost(
    program: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: signal.Signals
) -> None:
    """The waiting process ignores it, the fork doesn't: between the two it is kept."""
    monkeypatch.setattr(warm_start._Waiting, "__init__", lambda self: None)
    waits = warm_start._Waiting()
    waits.process = os.getpid()
    reading, writing = os.pipe()

    def leave(self: object) -> None:
        os.kill(os.getpid(), number)
        signal.signal(number, lambda *_: os.write(writing, b"seen"))

    monkeypatch.setattr(warm_start._Waiting, "_leave", leave)
    before = signal.signal(number, signal.SIG_IGN)
    try:
        pid = waits._fork()
        if pid == 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
            time.sleep(0.1)
            os._exit(0)
        os.waitpid(pid, 0)
    finally:
        signal.signal(number, before)
    os.set_blocking(reading, False)
    assert os.read(reading, 10) == b"seen"


def test_an_edited_file_of_the_project_is_seen(tmp_path: Path, program: Path) -> None:
    """Forks of what was imported before would mix it with scripts of after."""
    for name in ("__init__", "errors", "cpu_time", "warm_start", "forked_job"):
        target = tmp_path / "scripts" / "datadistill" / f"{name}.py"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(Path(SCRIPTS, "datadistill", f"{name}.py").read_bytes())
    host = f"""
import subprocess, sys
from datadistill.warm_start import waiting
def job():
    subprocess.run([sys.executable, {str(program)!r}, "tell"], stdin=subprocess.DEVNULL)
with waiting(["datadistill.errors", "decimal"]):
    job()
    job()
    open({str(tmp_path / "scripts/datadistill/cpu_time.py")!r}, "a").write("# edited\\n")
    job()
"""
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "scripts")}
    done = subprocess.run([sys.executable, "-c", host], env=environment, capture_output=True, text=True)
    assert [line.rpartition(", ")[2] for line in done.stdout.splitlines()] == ["true]", "true]", "false]"], done.stderr


def test_what_a_job_began_is_left_to_the_job(program: Path, socket: str, tmp_path: Path) -> None:
    """A training that is asked to stop must find the processes that read its images alive."""
    program.write_text(
        PROGRAM.replace(
            'if what == "stop":',
            "child = os.fork()\n    if child == 0:\n        time.sleep(60)\n    if what == 'stop':",
        ).replace('print("stopped"', 'print(os.waitpid(child, os.WNOHANG), os.kill(child, 9), "stopped"')
    )
    process = start(program, "stop", str(tmp_path / "pid"))
    forked(tmp_path / "pid")
    process.send_signal(signal.SIGTERM)
    assert process.communicate()[0] == "(0, 0) None stopped\n"
    assert process.returncode == 7


def test_a_job_stops_and_goes_on_with_its_first_process(program: Path, socket: str, tmp_path: Path) -> None:
    """Ctrl-Z, and `fg`."""
    process = start(program, "work", str(tmp_path / "pid"))
    number = forked(tmp_path / "pid")
    worked = tmp_path / "pid.worked"

    def wait_until(what: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not what():
            assert time.monotonic() < end
            time.sleep(0.02)

    wait_until(worked.exists)
    process.send_signal(signal.SIGTSTP)
    wait_until(lambda: state(number) == state(process.pid) == "T")
    before = worked.stat().st_size
    process.send_signal(signal.SIGCONT)
    wait_until(lambda: worked.stat().st_size > before)
    process.terminate()
    assert process.wait(30) == -signal.SIGTERM


def test_what_is_ignored_stays_ignored(program: Path, socket: str, tmp_path: Path) -> None:
    """As after `nohup`."""
    pipe = subprocess.PIPE
    command = ["bash", "-c", f"trap '' HUP; exec {sys.executable} {program} stop {tmp_path / 'pid'}"]
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    number = forked(tmp_path / "pid")
    process.send_signal(signal.SIGHUP)
    os.kill(number, signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert process.communicate()[0] == "stopped\n"
    assert process.returncode == 7


def test_signals_that_come_when_a_job_has_just_ended_harm_no_other(program: Path, socket: str, tmp_path: Path) -> None:
    """While the waiting process is held up, one job ends and its first process is signalled: both are seen at once."""
    jobs = [start(program, "sleep", str(tmp_path / name)) for name in "ab"]
    first, _ = (forked(tmp_path / name) for name in "ab")
    silent = socketlib.socket(socketlib.AF_UNIX)
    silent.connect(socket)
    time.sleep(0.3)
    os.kill(first, signal.SIGKILL)
    while state(first) != "Z":
        time.sleep(0.02)
    jobs[0].send_signal(signal.SIGTERM)
    time.sleep(0.5)
    silent.close()
    assert jobs[0].wait(30) == -signal.SIGKILL
    assert jobs[1].poll() is None
    assert start(program, "tell").communicate()[1] == "beside\n"
    jobs[1].terminate()
    assert jobs[1].wait(30) == -signal.SIGTERM


def test_a_job_whose_first_process_is_killed_ends_at_once(program: Path, socket: str, tmp_path: Path) -> None:
    process = start(program, "sleep", str(tmp_path / "pid"))
    number = forked(tmp_path / "pid")
    process.kill()
    process.wait()
    assert gone(number)
    # Others are served as before.
    assert start(program, "tell").communicate()[1] == "beside\n"


def test_no_job_outlives_the_waiting_process(program: Path, socket: str, tmp_path: Path) -> None:
    process = start(program, "sleep", str(tmp_path / "pid"))
    number = forked(tmp_path / "pid")
    parent = int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    assert process.communicate()[1] == "error: the process that began this job was killed; run it again\n"
    assert process.returncode == 1
    assert gone(number)


def test_jobs_go_on_when_nobody_waits_for_them_any_more(
    program: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Snakemake was killed: what it began goes on, as any other job, and the waiting process ends after it."""
    monkeypatch.setenv("PYTHONPATH", SCRIPTS)
    monkeypatch.setattr(warm_start.subprocess.Popen, "wait", lambda *_: 0)
    with waiting([]):
        process = start(program, "stop", str(tmp_path / "pid"))
        number = forked(tmp_path / "pid")
        parent = int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
    monkeypatch.undo()
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.communicate()[0] == "stopped\n"
    assert gone(parent)


def test_who_is_no_descendant_of_the_owner_starts_by_itself(
    program: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As a scheduler's job is none: it has limits and a way to be cancelled of its own."""
    monkeypatch.setenv("PYTHONPATH", SCRIPTS)
    path = tmp_path / "jobs"
    owner = subprocess.Popen(["sleep", "60"])
    command = [sys.executable, "-P", "-m", "datadistill.warm_start", str(path), str(owner.pid), "decimal"]
    waits = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert waits.stdout.readline() == b"waiting\n"
        monkeypatch.setenv(VARIABLE, str(path))
        process = start(program, "tell")
        assert "false]" in process.communicate()[0]
        assert process.returncode == 3
        # One of several processes of a training, too; and whatever finds nobody.
        monkeypatch.setenv("LOCAL_RANK", "0")
        assert start(program, "tell").communicate()[1] == "beside\n"
        monkeypatch.delenv("LOCAL_RANK")
        monkeypatch.setenv(VARIABLE, str(tmp_path / "nobody"))
        assert "false]" in start(program, "tell").communicate()[0]
    finally:
        owner.kill()
        owner.wait()
        waits.stdin.close()
        assert waits.wait(30) == 0


def test_nothing_waits_where_that_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "off")
    with waiting(["decimal"]):
        assert os.environ[VARIABLE] == "off"


def test_a_module_that_cannot_be_imported_leaves_jobs_to_themselves(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing is said by the job, in its own words."""
    monkeypatch.setenv("PYTHONPATH", SCRIPTS)
    with waiting(["datadistill.no_such_module"]):
        process = start(program, "bad")
        assert process.communicate()[1] == "error: a.json: no image\n"
        assert process.returncode == 2
