"""What jobs ask of Slurm: time and memory that grow, two GPUs for one job, and all that the paper's jobs ask for."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from slurm_calls import REPOSITORY, Starter, line, on_slurm, start_slurm, stop_slurm

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


@pytest.fixture
def eight_gpus(cluster: None) -> Iterator[None]:
    """The node with eight GPUs, which the paper's trainings ask for; with two again after the test."""
    stop_slurm()
    start_slurm(gpus=8)
    yield
    stop_slurm()
    start_slurm()


@pytest.mark.usefixtures("eight_gpus")
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
    plan = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    blocks = re.findall(r"^rule \w+:\n((?:    .*\n)+)", plan, re.M)
    assert len(blocks) >= 2000
    sets = set()
    for block in blocks:
        resources = dict(re.findall(r"(\w+)=([^\s,]+)", re.search(r"    resources: (.*)", block)[1]))
        threads = re.search(r"    threads: (\d+)", block)
        asked = {name: int(resources[name]) for name in ("gpu", "mem_mb", "runtime", "nodes") if name in resources}
        sets.add((int(threads[1]) if threads else 1, *sorted(asked.items())))
    assert len(sets) >= 4
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
