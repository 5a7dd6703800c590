"""Jobs that begin where torch and detectron2 are imported already, instead of importing them once more.

A start of a vision job costs 4 to 6 seconds of a processor, nearly all of it imports, and a run of many small models is mostly
starts. `scripts/run.py` therefore keeps a process beside Snakemake that imports them once and waits, as Python's own
`multiprocessing.forkserver` does for programs that know of each other. A job hands over its arguments, folder, environment and
standard streams; the waiting process forks, and the fork is the job. The job's first process stays: it passes signals on and ends
as the fork ended, so that Snakemake sees no difference.

A job that finds nobody waiting, has another Python (a conda environment), is one of several processes of a training or is no
descendant of `scripts/run.py` (a scheduler's job) starts by itself, as under a bare `snakemake`. So does everything where there is
an Nvidia GPU: CUDA and forks don't go together well, and there starts don't matter. numpy's own threads are one in every fork.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import json
import os
import select
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from datadistill import forked_job

VARIABLE = "DATADISTILL_WARM_START"
"""Names the socket, for jobs; `off` keeps `scripts/run.py` from starting the process."""
LIBRARIES = (
    "datadistill.train.loop",
    "datadistill.label.predict",
    "datadistill.label.refine",
    "datadistill.evaluate.coco_metrics",
    "pycocotools.cocoeval",
    "timm",
)
"""What is imported before the first fork."""

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT)
_LENGTH = struct.Struct("!I")
_STATUS = struct.Struct("!i")
_DIE_WITH_PARENT = 1  # prctl's PR_SET_PDEATHSIG


# --- the job's first process ----------------------------------------------------------------------------------------------


def handed_over() -> int | None:
    """Let the waiting process do this program's work, and return its exit status; None: nobody does, go on.

    A fork that a signal ended ends this process by the same signal.
    """
    path = os.environ.get(VARIABLE)
    if not path or "LOCAL_RANK" in os.environ:
        return None
    # As after `nohup`, or in the background of a shell.
    ignored = [number for number in _PASSED_ON if signal.getsignal(number) == signal.SIG_IGN]
    argv = [os.path.abspath(sys.argv[0]), *sys.argv[1:]]
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        try:
            work = {"argv": argv, "folder": os.getcwd(), "environment": environment, "ignored": ignored}
            message = json.dumps({"python": _python(), **work}).encode()
            line.connect(path)
            # A stranger's socket (the name may have come to another machine) would be shown all that a job is told; and a job
            # without one of its standard streams has this line in its place.
            if _peer(line)[1] != os.geteuid() or line.fileno() <= 2:
                return None
            socket.send_fds(line, [_LENGTH.pack(len(message))], [0, 1, 2])
            line.sendall(message)
        except OSError:
            return None
        # Until there is a fork, signals do to this process what they always do; a fork whose first process is gone is killed.
        if _exactly(line, 1) != b"\1":
            return None
        for number in {*_PASSED_ON, signal.SIGTSTP} - set(ignored):
            signal.signal(number, lambda number, _: _pass_on(line, number))
        status = _exactly(line, _STATUS.size)
    if status is None:
        print("error: the process that began this job was killed; run it again", file=sys.stderr, flush=True)
        return 1
    (code,) = _STATUS.unpack(status)
    if code < 0:
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return int(code)


def _pass_on(line: socket.socket, number: int) -> None:
    """To the fork, a byte a signal; Ctrl-Z stops both, as it would stop one."""
    with contextlib.suppress(OSError):
        line.sendall(bytes([signal.SIGSTOP if number == signal.SIGTSTP else number]))
    if number == signal.SIGTSTP:
        os.kill(os.getpid(), signal.SIGSTOP)


# --- beside Snakemake -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def waiting(modules: Sequence[str] = LIBRARIES) -> Iterator[None]:
    """Keep a process that waits for jobs of this one, which imports `modules` when the first comes.

    It ends when this process has ended and so have its jobs. Nothing is kept where there is an Nvidia GPU.
    """
    if os.environ.get(VARIABLE) == "off" or Path("/dev/nvidiactl").exists() or not Path("/proc/self/stat").exists():
        yield
        return
    # What isn't installed is missed by the jobs that need it, if there are any.
    there = [name for name in modules if importlib.util.find_spec(name.partition(".")[0])]
    # Jobs set the number of torch's threads themselves; other libraries read it when they are loaded, and start none.
    alone = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    paths = [str(Path(__file__).resolve().parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, **alone, "PYTHONPATH": os.pathsep.join(paths)}
    try:
        # Names of sockets are short: 108 bytes.
        long = len(os.fsencode(tempfile.gettempdir())) > 70
        path = os.path.join(tempfile.mkdtemp(prefix="datadistill-", dir="/tmp" if long else None), "jobs")
        command = [sys.executable, "-P", "-m", "datadistill.warm_start", path, str(os.getpid()), *there]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    except OSError:
        # No room for it: jobs start by themselves, or say what is wrong.
        yield
        return
    lifeline, answer = process.stdin, process.stdout
    assert lifeline is not None
    assert answer is not None
    try:
        if answer.readline():
            os.environ[VARIABLE] = path
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        answer.close()
        lifeline.close()
        # Forks of a killed Snakemake go on to their end, as other jobs do.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)


# --- the waiting process --------------------------------------------------------------------------------------------------


class _Waiting:
    """Listens at `path` for jobs of descendants of process `owner`; standard input ends with that process."""

    def __init__(self, path: str, owner: int, modules: Sequence[str]) -> None:
        self.process, self.owner, self.modules = os.getpid(), owner, modules
        self.lines: dict[int, socket.socket] = {}
        self.files: dict[str, tuple[int, int]] = {}
        self.selector = selectors.DefaultSelector()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen(128)
        self.ended, wake = os.pipe()
        for end in (self.ended, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self.selector.register(self.listener, selectors.EVENT_READ, self._accept)
        self.selector.register(0, selectors.EVENT_READ, self._alone)
        self.selector.register(self.ended, selectors.EVENT_READ, self._reap)

    def next_job(self) -> forked_job.Job | None:
        """In a fork, its job; in the waiting process None, when nobody is left who could ask, and no fork runs."""
        while self.listener.fileno() >= 0 or self.lines:
            for key, _ in self.selector.select():
                # Another event of the same moment may have ended what this one is about.
                if self._is_registered(key.fileobj) and (job := key.data(key.fileobj)):
                    return job
        return None

    def _is_registered(self, what: Any) -> bool:
        try:
            self.selector.get_key(what)
        except (KeyError, ValueError):
            return False
        return True

    def _alone(self, _: Any) -> None:
        """Snakemake has ended: no new jobs."""
        self.selector.unregister(0)
        self.selector.unregister(self.listener)
        self.listener.close()

    def _accept(self, _: Any) -> forked_job.Job | None:
        try:
            line = self.listener.accept()[0]
        except OSError:
            return None
        streams: list[int] = []
        try:
            # A job that was stopped in the middle of a sentence must not stop the others.
            line.settimeout(2)
            taken = self._is_ours(line)
            if taken:
                header, streams, *_ = socket.recv_fds(line, _LENGTH.size, 3)
                work = json.loads(_exactly(line, _LENGTH.unpack(header)[0]) or b"null")
                taken = bool(work) and len(streams) == 3 and work["python"] == _python() and self._is_ready()
            # Whoever was ended during the imports wants no fork, not even a short one.
            taken = taken and _still_waits(line)
            pid = self._fork() if taken else -1
        except (OSError, ValueError, struct.error, ImportError):
            # A job that is left alone says itself, and better, what is missing.
            pid = -1
        if pid == 0:
            line.close()
            return forked_job.Job(work, streams)
        _close(*streams)
        if pid < 0:
            line.close()
            return None
        self.lines[pid] = line
        self.selector.register(line, selectors.EVENT_READ, lambda line, pid=pid: self._hear(line, pid))
        with contextlib.suppress(OSError):
            line.sendall(b"\1")
        return None

    def _hear(self, line: socket.socket, pid: int) -> None:
        """Signals for a fork; nothing at all: who asked for it was killed, and so is the fork with what it began."""
        try:
            numbers = line.recv(64)
        except OSError:
            numbers = b""
        # Signals are for the process that was asked for, as ever; those that it began itself are its own business.
        with contextlib.suppress(OSError):
            for number in {*_PASSED_ON, signal.SIGSTOP}.intersection(numbers):
                os.kill(pid, number)
            if not numbers:
                os.killpg(pid, signal.SIGKILL)
        if not numbers:
            self.selector.unregister(line)

    def _reap(self, _: Any) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self.ended, 4096)
        while self.lines:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            line = self.lines.pop(pid)
            with contextlib.suppress(KeyError):
                self.selector.unregister(line)
            with contextlib.suppress(OSError):
                line.sendall(_STATUS.pack(os.waitstatus_to_exitcode(status)))
            line.close()

    def _is_ours(self, line: socket.socket) -> bool:
        """Whether who asks descends from the owner: what a scheduler began, with its own limits, does not."""
        pid = _peer(line)[0]
        while pid > 1 and pid != self.owner:
            try:
                # The name, in parentheses, may hold anything.
                pid = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
            except OSError:
                return False
        return bool(pid == self.owner)

    def _is_ready(self) -> bool:
        """Import what forks need; false from then on when a file of this project was edited: a fork would mix old and new."""
        for module in self.modules:
            importlib.import_module(module)
        now = {}
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] == __package__ and (file := getattr(module, "__file__", None)):
                found = os.stat(file)
                now[file] = (found.st_mtime_ns, found.st_size)
        self.files = self.files or now
        return self.files == now

    def _fork(self) -> int:
        """`os.fork`, in which no signal is lost that comes before the fork has its own handlers."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
        try:
            pid = os.fork()
        except OSError:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
            raise
        if pid == 0:
            try:
                self._leave()
            except BaseException:
                # Never a second one that waits.
                os._exit(1)
            return 0
        # Here, too, so that it is done before a fork is killed.
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
        return pid

    def _leave(self) -> None:
        """In a fork: give up everything of the waiting process."""
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != self.process:
            os._exit(1)
        os.setpgid(0, 0)
        wake = signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.selector.close()
        self.listener.close()
        for line in self.lines.values():
            line.close()
        _close(self.ended, wake)


def _peer(line: socket.socket) -> tuple[int, int]:
    """Process and user at the other side."""
    pid, user, _ = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, user


def _still_waits(line: socket.socket) -> bool:
    """Whether the other side, which says nothing before it hears something, hasn't ended."""
    return not select.select([line], [], [], 0)[0]


def _python() -> list[str]:
    return [sys.prefix, sys.version]


def _exactly(line: socket.socket, size: int) -> bytes | None:
    """`size` bytes; None if the other side ends before."""
    found = b""
    while len(found) < size:
        try:
            more = line.recv(size - len(found))
        except ConnectionError:
            return None
        if not more:
            return None
        found += more
    return found


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def main() -> None:
    quick_exit = forked_job.QuickExit.last()
    path, owner, *modules = sys.argv[1:]
    waits = _Waiting(path, int(owner), modules)
    os.write(1, b"waiting\n")
    # Standard output belongs to who began this; what forks say goes to streams of their own.
    os.dup2(2, 1)
    if job := waits.next_job():
        forked_job.run(job, quick_exit, _PASSED_ON)
    shutil.rmtree(os.path.dirname(path), ignore_errors=True)
    quick_exit.status = 0


if __name__ == "__main__":
    main()
