"""Claims of GPUs: jobs that run side by side take different devices, and a dead job holds none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from datadistill.devices import CLAIMED, SCHEDULERS, SWITCH, claim_gpus, visible_devices
from datadistill.errors import UserError

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
HOLD = """
import os, sys, time
from datadistill.devices import claim_gpus
print(*claim_gpus(int(sys.argv[1]), os.environ), flush=True)
time.sleep(60)
"""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a machine with two GPUs and no scheduler, its locks in a folder of the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kept = {name: value for name, value in os.environ.items() if name not in (*SCHEDULERS, CLAIMED, SWITCH)}
    return {**kept, "TMPDIR": str(tmp_path), "PYTHONPATH": str(SCRIPTS), "CUDA_VISIBLE_DEVICES": "0,1"}


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def hold(environment: dict[str, str], count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(count)], env=environment, stdout=subprocess.PIPE, text=True
    )


def test_two_jobs_on_two_gpus_use_both(
    environment: dict[str, str], started: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    started += [hold(environment, 1), hold(environment, 1)]
    assert sorted(process.stdout.readline().strip() for process in started) == ["0", "1"]
    # A third waits until one of them dies, even of a signal that can't be caught.
    third = hold(environment, 1)
    started.append(third)
    assert third.stdout.readline().startswith("waiting for 1 of 2 GPUs")
    freed = started[0]
    freed.send_signal(signal.SIGKILL)
    freed.wait()
    assert third.stdout.readline().strip() in {"0", "1"}
    assert started[1].poll() is None


def test_a_job_that_wants_two_holds_none_while_it_waits(
    environment: dict[str, str], started: list[subprocess.Popen[str]]
) -> None:
    one = hold(environment, 1)
    started.append(one)
    assert one.stdout.readline().strip() == "0"
    two = hold(environment, 2)
    started.append(two)
    assert two.stdout.readline().startswith("waiting for 2 of 2 GPUs")
    another = hold(environment, 1)
    started.append(another)
    lines = iter(another.stdout.readline, "")
    # It may meet the moment at which the waiting job looks at the free device, and wait as well.
    assert next(line.strip() for line in lines if "waiting" not in line) == "1"
    assert two.poll() is None


def test_a_claim_shows_cuda_one_device_and_passes_to_children(environment: dict[str, str]) -> None:
    assert claim_gpus(1, environment) == ["0"]
    assert environment["CUDA_VISIBLE_DEVICES"] == "0"
    assert claim_gpus(1, environment) == []


def test_a_program_started_in_place_of_the_claiming_one_keeps_the_claim(
    environment: dict[str, str], started: list[subprocess.Popen[str]]
) -> None:
    claim = "import os, sys\nfrom datadistill.devices import claim_gpus\nclaim_gpus(1, os.environ)\n"
    replaced = f"{claim}os.execvp('bash', ['bash', '-c', 'echo $CUDA_VISIBLE_DEVICES; sleep 60'])"
    started.append(
        subprocess.Popen([sys.executable, "-c", replaced], env=environment, stdout=subprocess.PIPE, text=True)
    )
    assert started[0].stdout.readline().strip() == "0"
    assert claim_gpus(1, environment) == ["1"]


def test_more_devices_than_there_are_is_one_sentence(environment: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"3 GPUs were asked for and this machine shows 2 \(0, 1\)"):
        claim_gpus(3, environment)


@pytest.mark.parametrize(
    "setting", [{"SLURM_JOB_ID": "7"}, {SWITCH: "off"}, {"CUDA_VISIBLE_DEVICES": ""}, {"CUDA_VISIBLE_DEVICES": "-1"}]
)
def test_nothing_is_claimed_where_devices_are_given_shared_or_absent(
    environment: dict[str, str], setting: dict[str, str]
) -> None:
    environment.update(setting)
    before = dict(environment)
    assert claim_gpus(1, environment) == []
    assert environment == before


def test_all_devices_of_the_machine_count_if_none_are_chosen(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia3", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    assert visible_devices({}, tmp_path) == ["0", "1"]
    assert visible_devices({"CUDA_VISIBLE_DEVICES": "GPU-1a, 2,-1,5"}, tmp_path) == ["GPU-1a", "2"]
