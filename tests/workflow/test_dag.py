"""The graph of jobs: every config can be planned, at once, and an edit reruns just what depends on it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from planning import CONFIG_FOLDER, CONFIGS, REPOSITORY, plan, rules, snakemake

SMALLEST = CONFIG_FOLDER / "smallest.yaml"


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """An empty directory, deep enough for paths that begin with `../`."""
    path = tmp_path / "a" / "b" / "work"
    path.mkdir(parents=True)
    return path


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_config_can_be_planned_in_an_empty_folder(config: Path, workplace: Path) -> None:
    jobs = plan(workplace, config)
    assert {"split", "train", "predict", "score", "table"} <= set(rules(jobs))
    run = yaml.safe_load(config.read_text(encoding="utf-8"))["run"]
    shared = ("results/weights/", "results/downloads/")
    outside = [path for job in jobs for path in job.outputs if not path.startswith((f"results/{run}/", *shared))]
    assert not outside
    # A dry run writes nothing but Snakemake's own notes.
    assert not (workplace / "results").exists()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_snakemake_finds_nothing_to_improve(config: Path, workplace: Path) -> None:
    done = snakemake(workplace, "--lint", config=config)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Lints for" not in done.stdout + done.stderr


@pytest.mark.parametrize(("given", "seeds"), [("seeds=[2]", {"2"}), ("seeds=['3', 4]", {"3", "4"})])
def test_seeds_can_be_given_on_the_command_line(given: str, seeds: set[str], workplace: Path) -> None:
    done = snakemake(workplace, "--dry-run", "--config", given, config=SMALLEST)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(re.findall(r"_s(\d+)\.", done.stdout)) == seeds


def test_configs_of_one_run_give_a_name_one_meaning() -> None:
    """Two configs may share a run, and with it its folder; then a name in both stands for the same thing."""
    meanings: dict[tuple[str, str, str], dict] = {}
    for config in CONFIGS:
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
        keys = ("splits", "weights", "transform_sets", "models", "label_sets")
        items = [(key, item["name"], item) for key in keys for item in content.get(key, [])]
        items += [(key, "", content[key]) for key in ("evaluate_on", "labelling", "defaults") if key in content]
        for key, name, item in items:
            assert meanings.setdefault((content["run"], key, name), item) == item, f"{config.name}: {key} {name}"


def test_tables_and_figures_of_one_run_have_names_of_their_own() -> None:
    names = []
    for config in CONFIGS:
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
        names += [(content["run"], item["name"]) for key in ("tables", "figures") for item in content.get(key, [])]
    assert len(set(names)) == len(names)


def test_thousands_of_shards_fit_into_a_command(workplace: Path) -> None:
    content = yaml.safe_load(SMALLEST.read_text(encoding="utf-8"))
    [pool] = [split for split in content["splits"] if split["kind"] == "unlabelled"]
    config = workplace / "config.yaml"

    def lengths(shards: int) -> dict[str, int]:
        pool["shards"] = shards
        config.write_text(yaml.safe_dump(content), encoding="utf-8")
        done = snakemake(workplace, "--dry-run", "--printshellcmds", config=config)
        assert done.returncode == 0, done.stderr
        commands = re.findall(r"python \"\$SCRIPTS/(\w+)\.py\"(.*)", done.stdout + done.stderr)
        return {script: len(line) for script, line in commands if script in ("gate", "choose_thresholds", "annotate")}

    # A command is one argument of bash, of 128 KiB at most: it mustn't grow with the shards, but for the digits of their number.
    few, many = lengths(2), lengths(100)
    assert len(few) == 3
    assert all(many[script] - few[script] < 20 for script in few)


# --- a dry run is light (benchmarks/dry_runs.py measures it) -----------------------------------------------------------


def test_a_dry_run_imports_no_heavy_library(workplace: Path) -> None:
    line = [sys.executable, "-X", "importtime", "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")]
    done = subprocess.run([*line, "--dry-run"], cwd=workplace, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    imported = {
        row.rsplit("|", 1)[1].strip().split(".")[0]
        for row in done.stderr.splitlines()
        if row.startswith("import time:")
    }
    assert {"snakemake", "datadistill"} <= imported
    assert not imported & {
        "torch",
        "torchvision",
        "detectron2",
        "timm",
        "cv2",
        "matplotlib",
        "pycocotools",
        "scipy",
        # numpy and pandas are no part of this: Snakemake's Slurm plugin imports them itself, and that every config is planned
        # without them is in test_bare_environment.py.
    }


# --- bad configs ------------------------------------------------------------------------------------------------------


def misspelt_key(text: str) -> str:
    return text.replace("batch_size: 2", "batchsize: 2")


def unknown_backbone(text: str) -> str:
    return text.replace("backbone: R-50", "backbone: R-5")


def ratio_beyond_one(text: str) -> str:
    return text.replace("batch_size: 2", "batch_size: 2\n      labelled_ratio: 1.1")


def too_few_cells(text: str) -> str:
    return text.replace('["12 scenes", "12 scenes"]', '["12 scenes"]')


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (misspelt_key, "defaults: keypoints: training: unknown key 'batchsize'; did you mean 'batch_size'?"),
        (unknown_backbone, "models: teacher: network: backbone: unknown backbone 'R-5'; nearest: 'R-50'"),
        (ratio_beyond_one, "defaults: keypoints: training: labelled_ratio: 1.1 is greater than"),
        (too_few_cells, "tables: table1a: row 2: it has 1 cells for 2 columns"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_bad_config_is_one_sentence(workplace: Path, edit: Callable[[str], str], sentence: str) -> None:
    config = workplace / "bad.yaml"
    config.write_text(edit(SMALLEST.read_text(encoding="utf-8")), encoding="utf-8")
    done = snakemake(workplace, "--dry-run", config=config)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Using workflow specific profile")]
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {config}: {sentence}")
    assert not done.stdout


def test_a_bad_value_may_be_that_of_the_command_line(workplace: Path) -> None:
    done = snakemake(workplace, "--dry-run", "--config", "seedz=[1]", config=SMALLEST)
    assert done.returncode == 2
    assert f"error: {SMALLEST}, --config: unknown key 'seedz'; did you mean 'seeds'?" in done.stderr.splitlines()


def test_one_table_builds_what_it_needs(workplace: Path) -> None:
    config = workplace / "one.yaml"
    config.write_text(SMALLEST.read_text(encoding="utf-8") + "\nbuild: [augmentation]\n", encoding="utf-8")
    jobs = plan(workplace, config)
    assert rules(jobs)["train"] == 1
    assert {job.wildcards for job in jobs if job.rule == "table"} == {"table=augmentation"}
