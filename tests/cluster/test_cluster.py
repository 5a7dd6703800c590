"""The workflow on a real Slurm of one node with two fake GPUs, through profiles/slurm, as a user calls it."""

from __future__ import annotations

import itertools
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from datadistill.workflow.config import load_config
from datadistill.workflow.experiments import Experiments, build_experiments

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
CONFIG = HERE / "small.yaml"
CLUSTER = os.environ["DATADISTILL_TEST_CLUSTER"]
# What this cluster lacks (accounting), and shorter waits than a shared file system and a shared controller need.
SITE = ["--slurm-status-command", "squeue", "--slurm-no-account"]
HASTE = ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10"]
# For a whole chain, which takes some four minutes on two free cores.
MINUTES = 20


def slurm(*command: str) -> str:
    """What a command of Slurm prints. Clients hang for minutes when the controller is dead."""
    return subprocess.run(["timeout", "30", *command], check=True, capture_output=True, text=True).stdout


def start_slurm(gpus: int = 2) -> None:
    subprocess.run([str(HERE / "start_slurm.sh"), CLUSTER, str(gpus)], check=True)


def stop_slurm() -> None:
    subprocess.run([str(HERE / "stop_slurm.sh"), CLUSTER], check=True)


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """The cluster, until the last test is done."""
    start_slurm()
    yield
    stop_slurm()


@pytest.fixture(scope="module")
def experiments() -> Experiments:
    return build_experiments(load_config(CONFIG))


def line(
    directory: Path, *arguments: str, snakefile: Path = REPOSITORY / "Snakefile", config: Path | None = CONFIG
) -> list[str]:
    place = ["--snakefile", str(snakefile), "--directory", str(directory)]
    chosen = ["--configfile", str(config)] if config else []
    return [sys.executable, "-m", "snakemake", *place, *chosen, *arguments]


def on_slurm(directory: Path, *targets: str, **options: Any) -> list[str]:
    profile = ["--workflow-profile", str(REPOSITORY / "profiles" / "slurm")]
    return line(directory, *profile, *SITE, *HASTE, "--", *targets, **options)


@dataclass(frozen=True)
class Call:
    """A call of Snakemake that goes on beside the test."""

    process: subprocess.Popen[bytes]
    log: Path

    def finish(self, minutes: float = MINUTES) -> str:
        """Wait for its end; returns what it printed."""
        try:
            code = self.process.wait(timeout=60 * minutes)
        except subprocess.TimeoutExpired:
            pytest.fail(f"Snakemake goes on after {minutes} minutes{self.state()}")
        assert code == 0, f"Snakemake failed{self.state()}"
        return self.log.read_text()

    def wait_for(self, what: str, condition: Callable[[], Any], seconds: float = 300) -> Any:
        """The first true value of a condition, asked several times a second while Snakemake runs."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := condition():
                return value
            if self.process.poll() is not None:
                pytest.fail(f"Snakemake ended before {what}{self.state()}")
            time.sleep(0.2)
        return pytest.fail(f"{seconds} s passed before {what}{self.state()}")

    def state(self) -> str:
        """What there is to say when it went wrong."""
        queue = subprocess.run(["timeout", "10", "squeue", "--array"], capture_output=True, text=True, check=False)
        return f"\n--- squeue\n{queue.stdout}{queue.stderr}\n--- {self.log}\n{self.log.read_text()[-6000:]}"


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 60) -> None:
    """Wait for something that Slurm does by itself."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{seconds} s passed before {what}"
        time.sleep(0.5)


Starter = Callable[[list[str], Path], Call]


@pytest.fixture(scope="module")
def call(cluster: None) -> Iterator[Starter]:
    """Starts a call of Snakemake; one that a failed test left behind is killed at the end."""
    started: list[Call] = []

    def start(command: list[str], log: Path) -> Call:
        with log.open("wb") as stream:
            process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, cwd=log.parent)
        started.append(Call(process, log))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


@pytest.fixture(autouse=True)
def _no_jobs_of_another_test(cluster: None) -> None:
    """Before each test: jobs that a failed one left behind would hold its processors and GPUs."""
    slurm("scancel", "--user", "root")
    wait_for("the queue was empty", lambda: not slurm("squeue", "--noheader"))


def controller_answers() -> bool:
    """Whether the controller is there and its node is, too."""
    done = subprocess.run(["timeout", "5", "sinfo", "-h", "-o", "%T"], capture_output=True, text=True, check=False)
    return done.stdout.strip() in ("idle", "mixed", "allocated")


def jobs() -> list[tuple[str, str, str]]:
    """Rule, number and state of all jobs that wait or run, one for each task of an array."""
    rows = [row.split("|") for row in slurm("squeue", "--array", "--noheader", "--format=%i|%t|%k").splitlines()]
    found = [(re.match(r"rule_(\w+?)(_wildcards_|$)", comment), number, state) for number, state, comment in rows]
    return [(rule[1], number, state) for rule, number, state in found if rule]


# --- the chain ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """What `squeue` showed at one moment: GPU jobs that run, shards of the refinement that wait or run."""

    time: float
    running: int
    unfinished: int


@dataclass(frozen=True)
class Chain:
    """A directory in which the small chain ran on the cluster."""

    directory: Path
    log: str
    samples: list[Sample]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, call: Starter) -> Chain:
    directory = tmp_path_factory.mktemp("chain")
    running = call(on_slurm(directory), directory / "snakemake.log")
    samples, end = [], time.monotonic() + 60 * MINUTES
    while running.process.poll() is None and time.monotonic() < end:
        seen = jobs()
        # The GPUs may still be busy with the last predictions when the first shards to refine come.
        busy = sum(state in ("R", "CG") for rule, _, state in seen if rule in ("predict", "refine", "train"))
        samples.append(Sample(time.monotonic(), busy, sum(rule == "refine" for rule, *_ in seen)))
        time.sleep(1)
    return Chain(directory, running.finish(minutes=1), samples)


def test_the_chain_runs_from_data_to_tables(chain: Chain, experiments: Experiments) -> None:
    assert (chain.directory / experiments.paths.table("table1a", "md")).stat().st_size
    again = subprocess.run(line(chain.directory, "--dry-run"), capture_output=True, text=True, check=True)
    assert "Nothing to be done" in again.stdout + again.stderr
    # Shards are one submission.
    assert len(re.findall(r"Submitted array job with Snakemake IDs [\d,]+ and", chain.log)) == 2


def test_two_of_eight_shards_run_whenever_two_remain(chain: Chain) -> None:
    shards = [sample for sample in chain.samples if sample.unfinished]
    assert max(sample.unfinished for sample in shards) == 8
    assert max(sample.running for sample in shards) == 2, "two GPUs run two jobs"
    gaps, since = [], None
    for sample in shards:
        if sample.running < 2 <= sample.unfinished:
            since = since or sample.time
        elif since:
            gaps.append(sample.time - since)
            since = None
    length = shards[-1].time - shards[0].time
    print(
        f"{len(shards)} samples in {length:.0f} s; moments with fewer than two running, s: {[round(g, 1) for g in gaps]}"
    )
    # A sample can fall between the end of one shard and the scheduler's next second, and the next sample is late on a busy machine.
    late = max(after.time - before.time for before, after in itertools.pairwise(shards))
    assert all(gap < 5 + late for gap in gaps)
    assert sum(gaps) < 0.35 * length


def test_a_killed_controller_leaves_nothing_half_written(
    chain: Chain, call: Starter, experiments: Experiments, tmp_path: Path
) -> None:
    directory, paths = tmp_path / "killed", experiments.paths
    shutil.copytree(chain.directory, directory, symlinks=True)
    [label_set] = experiments.label_sets.values()
    labels = [paths.labels(label_set.id, name) for name in ("annotations.json", "thresholds.json")]
    undisturbed = [(directory / name).read_bytes() for name in labels]
    # Half of the chain is still to be made: the refinement, in eight shards, and what follows.
    shards = [directory / paths.refinement(label_set.refinement, shard, 8) for shard in range(8)]
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


# --- training -----------------------------------------------------------------------------------------------------------


ITERATIONS = 600


def test_a_cancelled_training_ends_with_the_weights_of_an_undisturbed_one(
    chain: Chain, call: Starter, tmp_path: Path
) -> None:
    content = yaml.safe_load(CONFIG.read_text())
    content["defaults"]["keypoints"]["training"]["iterations"] = ITERATIONS
    content["compute"]["checkpoint_every"] = 1000  # so that the only checkpoint is the one on the signal
    config = tmp_path / "longer.yaml"
    config.write_text(yaml.safe_dump(content))
    longer = build_experiments(load_config(config))
    [teacher] = [model for model in longer.models if "+" not in model]
    results = []
    for name in ("cancelled", "undisturbed"):
        directory = tmp_path / name
        shutil.copytree(chain.directory, directory, symlinks=True)
        target, checkpoint = longer.paths.model(teacher), directory / longer.paths.checkpoint(teacher)
        if name == "cancelled":
            running = call(on_slurm(directory, target, config=config), directory / "snakemake.log")
            log = directory / longer.paths.log("train", teacher)
            running.wait_for(
                # Of ten seconds of iterations: what a signal finds is neither a start nor, on a fast machine, an end.
                "training was under way",
                lambda log=log: log.exists() and re.search(r"^iteration", log.read_text(), re.M),
            )
            [number] = [number for rule, number, _ in jobs() if rule == "train"]
            slurm("scancel", number)
            running.wait_for("there was a checkpoint", checkpoint.exists, 60)
            reached = int(torch.load(checkpoint, weights_only=True)["iteration"])
            assert 0 < reached < ITERATIONS
            running.finish()
            assert f"going on from iteration {reached}" in log.read_text()
            print(f"cancelled after iteration {reached} of {ITERATIONS}")
        else:
            subprocess.run(line(directory, "--cores", "1", target, config=config), check=True, capture_output=True)
        assert not checkpoint.exists()
        rows = [json.loads(row) for row in (directory / longer.paths.metrics(teacher)).read_text().splitlines()]
        results.append((rows[-1]["iteration"], torch.load(directory / target, weights_only=True)["model"]))
    (one, weights), (other, expected) = results
    assert one == other == ITERATIONS
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


# --- resources ----------------------------------------------------------------------------------------------------------

RULES = f"""
import sys
sys.path.insert(0, {str(REPOSITORY / "scripts")!r})
from datadistill.workflow.resources import growing

rule all:
    input: "slow", "devices"

rule slow:
    output: "slow"
    resources: runtime=growing(1), mem_mb=growing(200)
    shell:
        "squeue --noheader --jobs $SLURM_JOB_ID --format '%l %m' >> attempts; "
        # Needs more than a minute: the first attempt can't end in time.
        "if [ {{resources.runtime}} -lt 2 ]; then sleep 300; fi; touch {{output}}"

rule devices:
    output: "devices"
    threads: 2
    resources: gpu=2, runtime=5, mem_mb=200
    shell:
        "echo $CUDA_VISIBLE_DEVICES >> runs; squeue --noheader --jobs $SLURM_JOB_ID --format %C >> runs; "
        "sleep 1; echo {{threads}} > {{output}}"
"""


def test_a_job_over_its_time_gets_more_and_two_gpus_are_one_job(call: Starter, tmp_path: Path) -> None:
    snakefile = tmp_path / "Snakefile"
    snakefile.write_text(RULES)
    log = call(on_slurm(tmp_path, snakefile=snakefile, config=None), tmp_path / "snakemake.log").finish()
    assert "Trying to restart job" in log
    assert (tmp_path / "attempts").read_text().split("\n")[:-1] == ["1:00 200M", "2:00 400M"]
    # One run, two devices, two processors (a job gets no more threads than the machine really has, whatever Slurm was told).
    assert (tmp_path / "runs").read_text().split() == ["0,1", "2"]
    assert (tmp_path / "devices").read_text() == "2\n"


def test_memory_beyond_the_limit_gets_more(call: Starter, tmp_path: Path) -> None:
    snakefile = tmp_path / "Snakefile"
    snakefile.write_text(
        RULES.split("rule all")[0]
        + '\nrule hungry:\n    output: "hungry"\n    resources: runtime=5, mem_mb=growing(600)\n    shell:\n'
        + "        \"echo {resources.mem_mb} >> attempts; python -c 'x = bytearray(750 << 20); import time; time.sleep(8)'; "
        + 'touch {output}"\n'
    )
    call(on_slurm(tmp_path, snakefile=snakefile, config=None), tmp_path / "snakemake.log").finish()
    assert (tmp_path / "attempts").read_text().split() == ["600", "1200"]


# --- the paper's plan -----------------------------------------------------------------------------------------------------


def test_every_set_of_resources_of_the_paper_is_accepted(tmp_path: Path) -> None:
    from snakemake_executor_plugin_slurm.submit_string import get_submit_command
    from snakemake_executor_plugin_slurm.utils import set_gres_string

    content = yaml.safe_load((REPOSITORY / "config" / "paper.yaml").read_text())
    for split in content["splits"]:
        if "shards" in split:
            split["shards"] *= 5
    config = tmp_path / "paper.yaml"
    config.write_text(yaml.safe_dump(content))
    command = line(tmp_path, "--workflow-profile", str(REPOSITORY / "profiles" / "slurm"), "--dry-run", config=config)
    # A dry run is local, and shows no more threads than the machine has, unless it is told of more.
    command += ["--cores", "64"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    plan = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Time on a processor: other processes of the machine must not fail a test.
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    blocks = re.findall(r"^rule \w+:\n((?:    .*\n)+)", plan, re.M)
    print(f"{len(blocks)} jobs planned in {seconds:.1f} s")
    assert len(blocks) >= 2000
    assert seconds < 10
    sets = set()
    for block in blocks:
        resources = dict(re.findall(r"(\w+)=([^\s,]+)", re.search(r"    resources: (.*)", block)[1]))
        threads = re.search(r"    threads: (\d+)", block)
        asked = {name: int(resources[name]) for name in ("gpu", "mem_mb", "runtime", "nodes") if name in resources}
        sets.add((int(threads[1]) if threads else 1, *sorted(asked.items())))
    assert len(sets) >= 4
    stop_slurm()
    # The paper's trainings ask for a node of eight.
    start_slurm(gpus=8)
    for threads, *resources in sorted(sets):
        job = SimpleNamespace(threads=threads, resources=_Resources(resources))
        parameters = {
            "run_uuid": "x",
            "slurm_logfile": "x",
            "comment_str": "x",
            "account": "",
            "partition": "",
            "workdir": "",
        }
        text = f"{get_submit_command(job, parameters)}{set_gres_string(job)} --test-only --wrap true"
        done = subprocess.run(f"timeout 30 {text}", shell=True, capture_output=True, text=True, check=False)
        print(threads, dict(resources), done.stderr.strip())
        assert done.returncode == 0, text + done.stderr


class _Resources(dict):
    """Resources as the plugin reads them: by key or by attribute."""

    def __getattr__(self, name: str) -> Any:
        return self[name]
