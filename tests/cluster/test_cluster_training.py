"""A training on Slurm that is cancelled, and one whose node dies, end with the weights of one that was left alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml
from slurm_calls import CLUSTER, CONFIG, Call, Chain, Starter, controller_answers, jobs, line, on_slurm, slurm, wait_for

from datadistill.workflow.config import load_config
from datadistill.workflow.experiments import Experiments, build_experiments

ITERATIONS = 600


@dataclass(frozen=True)
class Longer:
    """The small chain with a longer training of its teacher, and a directory in which the data are there."""

    config: Path
    data: Path
    experiments: Experiments

    @property
    def teacher(self) -> str:
        return self.experiments.model("teacher", 1, "test").id

    @property
    def model(self) -> str:
        return self.experiments.paths.model(self.teacher)

    def log(self, directory: Path) -> Path:
        return directory / self.experiments.paths.log("train", self.teacher)

    def checkpoint(self, directory: Path) -> Path:
        return directory / self.experiments.paths.checkpoint(self.teacher)

    def copy(self, directory: Path) -> Path:
        shutil.copytree(self.data, directory, symlinks=True)
        return directory


def longer(chain: Chain, folder: Path, checkpoint_every: int) -> Longer:
    content = yaml.safe_load(CONFIG.read_text())
    content["defaults"]["keypoints"]["training"]["iterations"] = ITERATIONS
    content["compute"]["checkpoint_every"] = checkpoint_every
    config = folder / "longer.yaml"
    config.write_text(yaml.safe_dump(content))
    return Longer(config, chain.directory, build_experiments(load_config(config)))


def trained(run: Longer, directory: Path) -> dict[str, torch.Tensor]:
    """The weights of a training that is done."""
    # The checkpoint stays until the model is read.
    assert int(torch.load(run.checkpoint(directory), weights_only=True)["iteration"]) == ITERATIONS
    rows = (directory / run.experiments.paths.metrics(run.teacher)).read_text().splitlines()
    assert json.loads(rows[-1])["iteration"] == ITERATIONS
    return torch.load(directory / run.model, weights_only=True)["model"]


@pytest.fixture(scope="module")
def undisturbed(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """The weights of the longer training, left alone and without Slurm."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run = longer(chain, folder, 1000)
    directory = run.copy(folder / "run")
    subprocess.run(line(directory, "--cores", "1", run.model, config=run.config), check=True, capture_output=True)
    return trained(run, directory)


def start(run: Longer, directory: Path, call: Starter) -> tuple[Call, str]:
    """A training on Slurm that is under way, and the number of its job."""
    running = call(on_slurm(directory, run.model, config=run.config), directory / "snakemake.log")
    # Of ten seconds of iterations: what befalls it is neither at its start nor, on a fast machine, at its end.
    log = run.log(directory)
    running.wait_for("training was under way", lambda: log.exists() and re.search(r"^iteration", log.read_text(), re.M))
    [number] = [number for rule, number, _ in jobs() if rule == "train"]
    return running, number


def assert_same(weights: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_a_cancelled_training_ends_with_the_weights_of_an_undisturbed_one(
    chain: Chain, call: Starter, undisturbed: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    # So that the only checkpoint is the one on the signal.
    run = longer(chain, tmp_path, 1000)
    directory = run.copy(tmp_path / "cancelled")
    running, number = start(run, directory, call)
    slurm("scancel", number)
    running.wait_for("there was a checkpoint", run.checkpoint(directory).exists, 60)
    reached = int(torch.load(run.checkpoint(directory), weights_only=True)["iteration"])
    assert 0 < reached < ITERATIONS
    running.finish()
    assert f"going on from iteration {reached}" in run.log(directory).read_text()
    print(f"cancelled after iteration {reached} of {ITERATIONS}")
    assert_same(trained(run, directory), undisturbed)


def test_a_training_whose_node_dies_goes_on_from_its_checkpoint(
    chain: Chain, call: Starter, undisturbed: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    """The node's daemon, the job's and the job itself are gone at once: nobody says goodbye to the controller."""
    run = longer(chain, tmp_path, 20)
    directory = run.copy(tmp_path / "dead")
    running, number = start(run, directory, call)
    running.wait_for("there was a checkpoint", run.checkpoint(directory).exists)
    for process in of_node(number):
        os.kill(process, signal.SIGKILL)
    reached = int(torch.load(run.checkpoint(directory), weights_only=True)["iteration"])
    assert 0 < reached < ITERATIONS
    running.wait_for("the controller missed the node", lambda: not controller_answers())
    # The machine is up again; the job is in the queue by itself.
    subprocess.run(["slurmd", "-N", os.uname().nodename.split(".")[0]], check=True, stdin=subprocess.DEVNULL)
    wait_for("the node was back", controller_answers, 120)
    running.finish()
    assert f"going on from iteration {reached}" in run.log(directory).read_text()
    controller = Path(CLUSTER, "log", "slurmctld").read_text()
    assert f"Requeuing JobId={number}\n" in controller, controller[-3000:]
    print(f"the node died after iteration {reached} of {ITERATIONS}, at the last checkpoint")
    assert_same(trained(run, directory), undisturbed)


def of_node(job: str) -> list[int]:
    """Processes of the node: daemons first, then all that a job's daemon has started."""
    daemons, steps, started = [int(Path(CLUSTER, "slurmd.pid").read_text())], [], []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "comm").read_text().strip()
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if name == "slurmstepd":
            steps.append(int(folder.name))
        elif f"SLURM_JOB_ID={job}".encode() in environment:
            started.append(int(folder.name))
    assert steps, "a job's daemon runs"
    assert started, "a job runs"
    return [*daemons, *steps, *started]
