"""The workflow on a real Slurm of one node with two fake GPUs, through profiles/slurm, as a user calls it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
from slurm_calls import CLUSTER, Chain, Starter, controller_answers, line, on_slurm, slurm, wait_for

from datadistill.workflow.experiments import Experiments


def test_the_chain_runs_from_data_to_tables(chain: Chain, experiments: Experiments) -> None:
    assert (chain.directory / experiments.paths.table("table1a", "md")).stat().st_size
    again = subprocess.run(line(chain.directory, "--dry-run"), capture_output=True, text=True, check=True)
    assert "Nothing to be done" in again.stdout + again.stderr
    # Shards are one submission.
    assert len(re.findall(r"Submitted array job with Snakemake IDs [\d,]+ and", chain.log)) == 2


def test_two_of_eight_shards_run_side_by_side(chain: Chain) -> None:
    shards = [sample for sample in chain.samples if sample.unfinished]
    assert max(sample.unfinished for sample in shards) == 8
    assert max(sample.running for sample in shards) == 2, "two GPUs run two jobs"
    # Again and again, as shards end: two were seen at more than one number of shards that are still to come.
    print(f"{len(shards)} samples, two running in {sum(sample.running == 2 for sample in shards)} of them")
    assert len({sample.unfinished for sample in shards if sample.running == 2}) >= 2


def test_a_killed_controller_leaves_nothing_half_written(
    chain: Chain, call: Starter, experiments: Experiments, tmp_path: Path
) -> None:
    directory = tmp_path / "killed"
    shutil.copytree(chain.directory, directory, symlinks=True)
    [label_set] = experiments.label_sets.values()
    labels = [label_set.made(name) for name in ("annotations.json", "thresholds.json")]
    undisturbed = [(directory / name).read_bytes() for name in labels]
    # Half of the chain is still to be made: the refinement, in eight shards, and what follows.
    shards = [directory / path for path in label_set.refinement.files]
    for path in shards:
        path.unlink()
    shutil.rmtree(directory / labels[0].rsplit("/", 1)[0])

    first = call(on_slurm(directory, labels[0]), directory / "first.log")
    first.wait_for("two of eight shards were there", lambda: 2 <= sum(path.exists() for path in shards) < 7)
    controller = int(Path(CLUSTER, "slurmctld.pid").read_text())
    first.process.send_signal(signal.SIGKILL)
    os.kill(controller, signal.SIGKILL)
    first.process.wait()
    written = [path for path in shards if path.exists()]
    assert len(written) < 8
    for path in written:
        with np.load(path) as content:
            assert all(content[name] is not None for name in content.files)
    # What a user does: the controller comes back, jobs that nobody waits for any more are cancelled, the lock is taken away.
    subprocess.run(["slurmctld"], check=True, stdin=subprocess.DEVNULL)
    wait_for("the controller answered", controller_answers)
    slurm("scancel", "--user", "root")
    wait_for("the queue was empty", lambda: not slurm("squeue", "--noheader"))
    subprocess.run(line(directory, "--unlock"), check=True, capture_output=True)
    call(on_slurm(directory, labels[0]), directory / "second.log").finish()
    assert all(path.exists() for path in shards)
    assert [(directory / name).read_bytes() for name in labels] == undisturbed
    # What is being written has a name of its own beside the result's: none was left.
    assert not list((directory / "results").rglob("*.tmp"))
