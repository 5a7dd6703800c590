"""What a terminal shows of a run, and what a log gets where there is none: Snakemake on a toy workflow of stub jobs."""

from __future__ import annotations

import logging
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from planning import REPOSITORY
from snakemake_interface_logger_plugins.common import LogEvent

from datadistill.workflow.live_lines import LogHandler, PlainLines
from datadistill.workflow.running import Job

RULES = """
rule all:
    input: "results/a.txt", "results/b.txt"

rule train:
    output: "results/{model}.txt"
    log: "logs/{model}.log"
    wildcard_constraints: model="a|c"
    shell: "exec {PYTHON} stub.py {output} >> {log} 2>&1"

rule predict:
    input: "results/a.txt"
    output: "results/b.txt"
    log: "logs/b.log"
    shell: "{PYTHON} stub.py {output} > {log} 2>&1"

rule broken:
    output: "results/broken-{name}.txt"
    log: "logs/broken-{name}.log"
    shell: "{PYTHON} stub.py {output} broken > {log} 2>&1"
"""
STUB = """
import pathlib, signal, sys, time
output, *how = sys.argv[1:]
if how:
    print("Traceback (most recent call last):", "error: data.json: image 7 is missing; add it", sep="\\n")
    sys.exit(2)
def stop(*_):
    print("error: stopped by a signal after iteration 40; the same command goes on from there", flush=True)
    sys.exit(2)
signal.signal(signal.SIGINT, stop)
print("iteration 40/600  loss 9.899  lr 0.001  5.63 it/s  8% waiting for data  1:39 left", flush=True)
while pathlib.Path("wait").exists():
    time.sleep(0.05)
pathlib.Path(output).write_text("done")
"""
LINE = [sys.executable, str(REPOSITORY / "scripts" / "run.py"), "--cores", "2", "--keep-going"]
PATIENCE = 120.0


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A working directory: jobs that tell their progress as the project's do, and wait while a file `wait` is there."""
    (tmp_path / "Snakefile").write_text(f"PYTHON = {sys.executable!r}\n{RULES}")
    (tmp_path / "stub.py").write_text(STUB)
    return tmp_path


class Terminal:
    """Snakemake on a terminal of its own, 100 characters wide."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        self.text = ""
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
        environment.pop("NO_COLOR", None)
        self.process = subprocess.Popen(
            [*LINE, *arguments],
            cwd=directory,
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def read_until(self, pattern: str) -> None:
        """Read until what was shown matches; the end of the process is an end, too."""
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, self.text):
            assert time.monotonic() < deadline, self.text
            if not self._read():
                assert re.search(pattern, self.text), self.text

    def end(self) -> int:
        while self._read():
            pass
        os.close(self._ours)
        return self.process.wait(PATIENCE)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._ours], [], [], PATIENCE)
        assert ready, self.text
        try:
            data = os.read(self._ours, 65536)
        except OSError:
            return False
        # Without colours and moves.
        self.text += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data.decode(errors="replace"))
        return bool(data)


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Without a terminal."""
    return subprocess.run(
        [*LINE, *arguments], cwd=directory, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_without_a_terminal_a_line_when_a_job_begins_and_ends(toy: Path) -> None:
    done = run(toy)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[0] == "3 jobs to do: all 1, predict 1, train 1"
    assert [re.sub(r"\d+:\d\d", "TIME", line) for line in lines[1:5]] == [
        "begin  train a",
        "end    train a  TIME  (1 of 3 jobs done)",
        "begin  predict",
        "end    predict  TIME  (2 of 3 jobs done)",
    ]
    assert re.fullmatch(r"3 of 3 jobs done in \d+:\d\d", lines[5])
    [log] = re.findall(r"^Snakemake's own words: (\S+)$", lines[6], re.MULTILINE)
    assert len(lines) == 7
    # There is all that isn't shown.
    own = Path(log).read_text()
    assert "rule predict:" in own
    assert "results/b.txt" in own
    again = run(toy)
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout


def test_a_plain_line_says_how_far_the_running_jobs_are(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("iteration 40/600  loss 9.899  lr 0.001  5.63 it/s  8% waiting for data  1:39 left\n")
    said: list[str] = []
    plain = PlainLines(said.append)
    plain.going_on({}, 3, 9)
    plain.going_on({7: Job(7, "train", "a seed 1", (str(log),))}, 3, 9)
    plain.going_on({number: Job(number, "split", str(number)) for number in range(6)}, 3, 9)
    assert said[0] == "3 of 9 jobs done; running: train a seed 1  40/600  loss 9.899  5.63 it/s  1:39 left"
    assert said[1].endswith("split 3  0:00; and 2 more")
    assert len(said) == 2


def handled(records: list[tuple[int, str, dict[str, Any]]], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What is shown, without a terminal, of Snakemake's records (level, text, values)."""
    settings = SimpleNamespace(dryrun=False, stdout=False)
    handler = LogHandler(settings, None)
    for level, text, values in records:
        record = logging.LogRecord("snakemake", level, "", 0, text, None, None)
        record.__dict__.update(values)
        handler.emit(record)
    handler.close()
    return capsys.readouterr().err.splitlines()


def begins(number: int) -> tuple[int, str, dict[str, Any]]:
    values = {
        "jobid": number,
        "rule_name": "train",
        "wildcards": {"model": f"m{number}"},
        "log": [],
        "shellcmd": "python",
    }
    return logging.INFO, "", {"event": LogEvent.JOB_INFO, **values}


def fails(number: int) -> tuple[int, str, dict[str, Any]]:
    return logging.ERROR, "", {"event": LogEvent.JOB_ERROR, "jobid": number, "rule_name": "train", "log": []}


def ends(number: int) -> tuple[int, str, dict[str, Any]]:
    return logging.INFO, "", {"event": LogEvent.JOB_FINISHED, "job_id": number}


def test_a_job_that_ran_through_when_tried_again_has_not_failed(capsys: pytest.CaptureFixture[str]) -> None:
    progress = (logging.INFO, "", {"event": LogEvent.PROGRESS, "done": 1, "total": 1})
    lines = handled([begins(1), fails(1), begins(1), ends(1), progress], capsys)
    assert [line.split()[0] for line in lines[:4]] == ["begin", "failed", "begin", "end"]
    assert lines[4].startswith("1 of 1 jobs done in ")
    assert len(lines) == 5


def test_what_a_signal_ended_has_not_failed(capsys: pytest.CaptureFixture[str]) -> None:
    stop = (logging.INFO, "Terminating processes on user request, this might take some time.", {})
    lines = handled([begins(1), stop, fails(1)], capsys)
    assert lines[-1] == "Stopped. What is finished stays, and the same command goes on from there."
    assert not [line for line in lines if "failed" in line or "error" in line]


def test_warnings_are_shown_and_snakemake_s_own_words_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    words = [(logging.INFO, "Select jobs to execute...", {}), (logging.WARNING, "the disk is slow", {})]
    assert handled(words, capsys) == ["the disk is slow"]


def test_the_failing_sentence_comes_last(toy: Path) -> None:
    done = run(toy, "results/broken-x.txt", "results/a.txt")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[-1] == "error: data.json: image 7 is missing; add it"
    assert "Failed: broken x" in lines
    assert "  log: logs/broken-x.log" in lines
    assert any("the same command goes on from there" in line for line in lines[-8:])
    assert "RuleException" not in done.stdout
    assert (toy / "results" / "a.txt").exists(), "a failure doesn't stop the others"


def test_what_snakemake_itself_refuses_comes_last_too(toy: Path) -> None:
    done = run(toy, "results/nobody-makes-it.txt")
    assert done.returncode == 1
    assert "MissingRuleException" in done.stdout
    assert done.stdout.strip().splitlines()[-1].startswith("No rule to produce results/nobody-makes-it.txt")


def test_a_terminal_has_a_live_line_for_each_running_job(toy: Path) -> None:
    (toy / "wait").touch()
    terminal = Terminal(toy, "results/a.txt", "results/c.txt")
    for model in "ac":
        terminal.read_until(rf"train +{model} +40/600  loss 9\.899  5\.63 it/s  1:39 left")
    assert re.search(r"run +0 of 2 jobs done", terminal.text)
    (toy / "wait").unlink()
    assert terminal.end() == 0
    assert "Snakemake's own words" in terminal.text
    assert "rule train:" not in terminal.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_the_jobs_as_they_do_without_it(toy: Path, number: signal.Signals) -> None:
    """Ctrl-C goes to all processes of the terminal, and the job ends with its checkpoint; SIGTERM lets running jobs end."""
    (toy / "wait").touch()
    terminal = Terminal(toy, "results/b.txt")
    terminal.read_until(r"train +a +40/600")
    if number == signal.SIGINT:
        os.killpg(terminal.process.pid, number)
    else:
        terminal.process.send_signal(number)
        terminal.read_until("Will exit after finishing currently running jobs")
        (toy / "wait").unlink()
    assert terminal.end() == 1
    assert "the same command goes on from there" in terminal.text
    assert (toy / "results" / "a.txt").exists() == (number == signal.SIGTERM)
    assert not (toy / "results" / "b.txt").exists()
    assert ("stopped by a signal" in (toy / "logs" / "a.log").read_text()) == (number == signal.SIGINT)
