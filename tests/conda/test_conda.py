"""The chain under `--use-conda`: every rule runs in the environment it names, and what is missing is named."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from datadistill.workflow.config import load_config
from datadistill.workflow.experiments import build_experiments
from datadistill.workflow.paths import Paths

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
STAND_IN = os.environ["DATADISTILL_TEST_CONDA"] == "stand-in"
RULE = re.compile(r"\$SCRIPTS/(\w+\.py)")
# A line that Python runs at its start, put into each environment: where it lives, which process, and what it was started for.
WITNESS = (
    "import os, sys; os.environ.get('DATADISTILL_WITNESS') and len(sys.orig_argv) > 1 and "
    "open(os.environ['DATADISTILL_WITNESS'], 'a').write(chr(9).join([sys.prefix, str(os.getpid()), sys.orig_argv[1]]) + chr(10))\n"
)


def environments_and_scripts() -> dict[str, tuple[str, list[str]]]:
    """Rule -> the environment it names, and the scripts it starts there."""
    found = {}
    for path in sorted((REPOSITORY / "rules").glob("*.smk")):
        for block in re.split(r"\n(?=rule )", path.read_text(encoding="utf-8")):
            if scripts := RULE.findall(block):
                named = re.search(r"\n    conda:\n        (.+)\n", block)[1]
                name = "vision-cpu" if named == "VISION_ENVIRONMENT" else Path(named.strip('"')).stem
                found[re.match(r"rule (\w+):", block)[1]] = (name, scripts)
    return found


def write_config(folder: Path, **compute: str) -> Path:
    """The small chain of the cluster's tests with fewer shards and one figure, so that every environment is used."""
    content = yaml.safe_load((HERE.parent / "cluster" / "small.yaml").read_text(encoding="utf-8"))
    content["run"] = "conda"
    content["compute"] = {"device": "cpu", **compute}
    for split in content["splits"]:
        split.pop("shards", None)
    content["figures"] = [{"name": "figure2", "kind": "ensemble", "label_set": "pool"}]
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    return config


def snakemake(
    directory: Path, config: Path, *arguments: str, repository: Path = REPOSITORY, **variables: str
) -> subprocess.CompletedProcess[str]:
    line = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(repository / "Snakefile"),
        "--directory",
        str(directory),
    ]
    line += ["--configfile", str(config), "--cores", "2", "--use-conda", *arguments]
    return subprocess.run(line, env={**os.environ, **variables}, capture_output=True, text=True, check=False)


@dataclass(frozen=True)
class Run:
    """A finished run: its directory, its jobs by rule, and (environment, program) of every Python that started in one."""

    directory: Path
    jobs: Counter[str]
    starts: Counter[tuple[str, str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    directory = tmp_path_factory.mktemp("run")
    config, witness = write_config(directory), directory / "witness.tsv"
    created = snakemake(directory, config, "--conda-create-envs-only")
    assert created.returncode == 0, created.stdout + created.stderr
    # Snakemake puts the environment's file beside the environment: which of ours is it?
    files = {path.read_bytes(): path.stem for path in (REPOSITORY / "envs").glob("*.yaml")}
    folders = {path.with_suffix(""): files[path.read_bytes()] for path in directory.glob(".snakemake/conda/*.yaml")}
    assert sorted(folders.values()) == ["data", "report", "vision-cpu"]
    for folder in folders:
        [site] = folder.glob("lib/python3.*/site-packages")
        (site / "witness.pth").write_text(WITNESS, encoding="utf-8")
    done = snakemake(directory, config, DATADISTILL_WITNESS=str(witness))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    # Python may read the line twice at one start (where the environment looks like a venv), so each process counts once.
    rows = dict.fromkeys(tuple(row.split("\t")) for row in witness.read_text(encoding="utf-8").splitlines())
    return Run(
        directory,
        Counter(re.findall(r"^(?:local)?rule (\w+):$", done.stdout + done.stderr, re.M)),
        Counter((folders[Path(prefix)], Path(program).name) for prefix, _, program in rows),
    )


def test_the_chain_runs_to_its_table(run: Run) -> None:
    assert (run.directory / Paths("conda").table("table1a", "md")).stat().st_size


def test_every_rule_runs_in_the_environment_it_names(run: Run) -> None:
    rules = environments_and_scripts()
    expected: Counter[tuple[str, str]] = Counter()
    for rule in run.jobs.keys() & rules.keys():
        environment, scripts = rules[rule]
        expected.update({(environment, script): run.jobs[rule] for script in scripts})
    assert {environment for environment, _ in expected} == {"data", "report", "vision-cpu"}
    assert {"render", "train", "predict", "refine", "choose_thresholds", "annotate", "score", "table"} <= set(run.jobs)
    # Neither fewer starts (a job that ran elsewhere) nor others (a job in the wrong environment).
    programs = {script for _, script in expected}
    assert {start: count for start, count in run.starts.items() if start[1] in programs} == dict(expected)


def copy_of_the_project(folder: Path, environment: str, old: str, new: str) -> Path:
    """The project with one edited environment file."""
    project = folder / "project"
    for name in ("rules", "scripts", "config", "envs", "report", "profiles"):
        shutil.copytree(REPOSITORY / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "Snakefile", project)
    file = project / "envs" / environment
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    return project


def target(config: Path) -> str:
    """The first thing the chain makes."""
    experiments = build_experiments(load_config(config))
    return experiments.paths.scene_annotations(experiments.split("labelled", "test").id)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("  - tqdm", "  - no-such-package=1.2.3\n  - tqdm", "no-such-package"),
        ("  - tqdm=4.70.1\n", "", "No module named 'tqdm'"),
    ],
    ids=["no channel has it", "not declared"],
)
def test_a_missing_package_is_named(tmp_path: Path, old: str, new: str, named: str) -> None:
    config = write_config(tmp_path)
    project = copy_of_the_project(tmp_path, "data.yaml", old, new)
    done = snakemake(tmp_path, config, "--", target(config), repository=project)
    assert done.returncode != 0
    assert named in done.stderr + done.stdout
    # Notes of where data lie are written when Snakemake starts.
    assert not [path for path in tmp_path.glob("results/**/*.json") if "sources" not in path.parts]


@pytest.mark.skipif(not STAND_IN, reason="a machine with a real conda may have a GPU, and the environment is gigabytes")
def test_cuda_is_solved_where_the_user_says_there_will_be_a_gpu(tmp_path: Path) -> None:
    config = write_config(tmp_path, vision_env="vision-cuda")
    without = snakemake(tmp_path, config, "--conda-create-envs-only")
    assert without.returncode != 0
    assert "__cuda" in without.stderr + without.stdout
    done = snakemake(tmp_path, config, "--conda-create-envs-only", CONDA_OVERRIDE_CUDA="12.9")
    assert done.returncode == 0, done.stderr
