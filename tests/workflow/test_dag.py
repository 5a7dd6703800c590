"""The graph of jobs: every config can be planned, at once, and an edit reruns just what depends on it."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from planning import CONFIG_FOLDER, CONFIGS, REPOSITORY, Job, plan, rules, snakemake

SMALLEST = CONFIG_FOLDER / "smallest.yaml"
INFERENCE = {"predict", "gate", "refine"}


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


def test_runs_of_different_names_share_no_folder() -> None:
    names = [yaml.safe_load(config.read_text(encoding="utf-8"))["run"] for config in CONFIGS]
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


# --- a dry run is instant ---------------------------------------------------------------------------------------------


def test_the_demo_is_planned_within_three_seconds(workplace: Path) -> None:
    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert snakemake(workplace, "--dry-run", "--quiet", "all").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    # Time on a processor, the best of three: other processes of the machine must not fail a test.
    assert min(seconds() for _ in range(3)) < 3


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
    assert not imported & {"torch", "torchvision", "detectron2", "timm", "cv2", "matplotlib", "pycocotools", "scipy"}


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
        (
            misspelt_key,
            "error: config: defaults: keypoints: training: unknown key 'batchsize'; did you mean 'batch_size'?",
        ),
        (unknown_backbone, "error: models: teacher: network: backbone: unknown backbone 'R-5'; nearest: 'R-50'"),
        (ratio_beyond_one, "error: config: defaults: keypoints: training: labelled_ratio: 1.1 is greater than"),
        (too_few_cells, "error: tables: table1a: row 2: it has 1 cells for 2 columns"),
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
    assert lines[0].startswith(sentence)
    assert not done.stdout


# --- edits ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which the smallest config has run, as far as Snakemake can tell: files are empty."""
    directory = tmp_path_factory.mktemp("finished")
    for job in plan(directory, SMALLEST):
        for name in job.outputs:
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            # Only folders of images have no suffix.
            path.mkdir() if "/images/" in name and path.suffix != ".json" else path.touch()
    done = snakemake(directory, "--touch", "--forceall", "--cores", "1", config=SMALLEST)
    assert done.returncode == 0, done.stderr
    assert any((directory / ".snakemake" / "metadata").iterdir()), "provenance is recorded"
    return directory


def planned(finished: Path, tmp_path: Path, edit: Callable[[str], str]) -> list[Job]:
    """What an edited copy of the smallest config would run."""
    text = SMALLEST.read_text(encoding="utf-8")
    edited = edit(text)
    assert edited != text
    config = tmp_path / "edited.yaml"
    config.write_text(edited, encoding="utf-8")
    return plan(finished, config)


def test_a_finished_run_has_nothing_to_do(finished: Path) -> None:
    assert plan(finished, SMALLEST) == []


def test_an_edited_comment_reruns_nothing(finished: Path, tmp_path: Path) -> None:
    assert (
        planned(finished, tmp_path, lambda text: "# A remark.\n" + text.replace("\nmodels:", "\n# Another.\nmodels:"))
        == []
    )


def test_settings_of_speed_rerun_nothing(finished: Path, tmp_path: Path) -> None:
    speed = "\ncompute: {device: cpu, checkpoint_every: 7, train: {workers: 2, mem_mb: 900, runtime: 3}, label: {mem_mb: 800}}\n"
    assert planned(finished, tmp_path, lambda text: text + speed) == []


def test_display_text_reruns_the_report_alone(finished: Path, tmp_path: Path) -> None:
    jobs = planned(
        finished, tmp_path, lambda text: text.replace('title: "Table 1a, smallest"', 'title: "Another title"')
    )
    assert [(job.rule, job.wildcards) for job in jobs] == [("table", "table=table1a")]


def test_iterations_of_the_student_rerun_the_student(finished: Path, tmp_path: Path) -> None:
    jobs = planned(
        finished,
        tmp_path,
        lambda text: text.replace("label_set: pool}\n\n", "label_set: pool, training: {iterations: 5}}\n\n"),
    )
    count = rules(jobs)
    assert count["train"] == 1
    assert count["predict"] == count["score"] == 1
    assert not set(count) & {"split", "render", "gate", "refine", "choose_thresholds", "annotate"}
    assert all("labelled+pool_5" in job.wildcards for job in jobs if job.rule in ("train", "score"))


def test_iterations_of_the_teacher_rerun_all_but_the_data(finished: Path, tmp_path: Path) -> None:
    jobs = planned(
        finished,
        tmp_path,
        lambda text: text.replace(
            "{name: teacher, task: keypoints, labelled: labelled}",
            "{name: teacher, task: keypoints, labelled: labelled, training: {iterations: 5}}",
        ),
    )
    count, fresh = rules(jobs), rules(plan_of_nothing(tmp_path))
    assert not set(count) & {"split", "render"}
    for rule in (
        "train",
        "check_leaks",
        "predict",
        "gate",
        "refine",
        "choose_thresholds",
        "annotate",
        "score",
        "table",
    ):
        assert count[rule] == fresh[rule], rule


def plan_of_nothing(tmp_path: Path) -> list[Job]:
    empty = tmp_path / "empty"
    empty.mkdir()
    return plan(empty, SMALLEST)


@pytest.mark.parametrize("threshold", ["instance_threshold: 0.9", "keypoint_threshold: 0.5", "instance_ratio: 0.5"])
def test_a_threshold_runs_no_inference_on_the_pool(finished: Path, tmp_path: Path, threshold: str) -> None:
    jobs = planned(
        finished,
        tmp_path,
        lambda text: text.replace(
            "labelling: {transforms: standard}", f"labelling: {{transforms: standard, {threshold}}}"
        ),
    )
    count = rules(jobs)
    assert count["choose_thresholds"] == count["annotate"] == count["train"] == 1
    assert not set(count) & {"gate", "refine", "split", "render"}
    # What is predicted is the new student on the validation split.
    assert [job.wildcards.split("_on_")[0] for job in jobs if job.rule == "predict"] == ["predictions=distilled"]
    assert [job.wildcards for job in jobs if job.rule == "train" and "labelled+pool" not in job.wildcards] == []


def test_a_row_more_trains_nothing(finished: Path, tmp_path: Path) -> None:
    row = '      - {cells: ["on other data", ""], model: teacher, split: all-labelled}\n'
    jobs = planned(
        finished, tmp_path, lambda text: text.replace("  - name: augmentation\n", f"{row}  - name: augmentation\n")
    )
    count = rules(jobs)
    assert "train" not in count
    assert count["score"] == count["predict"] == 1
    assert count["table"] == 1


def test_more_shards_predict_again_and_train_the_student_on_the_same_spec(finished: Path, tmp_path: Path) -> None:
    jobs = planned(
        finished, tmp_path, lambda text: text.replace("of: pool-truth, shards: 2", "of: pool-truth, shards: 3")
    )
    count = rules(jobs)
    assert count["predict"] >= 3
    assert not set(count) & {"split", "render"}
    assert not [job for job in jobs if job.rule == "train" and "labelled+pool" not in job.wildcards]


def test_another_run_shares_nothing(finished: Path, tmp_path: Path) -> None:
    jobs = planned(finished, tmp_path, lambda text: text.replace("run: smallest", "run: another"))
    assert rules(jobs) == rules(plan_of_nothing(tmp_path))
    assert all(path.startswith("results/another/") for job in jobs for path in job.outputs)


def test_one_table_builds_what_it_needs(workplace: Path) -> None:
    config = workplace / "one.yaml"
    config.write_text(SMALLEST.read_text(encoding="utf-8") + "\nbuild: [augmentation]\n", encoding="utf-8")
    jobs = plan(workplace, config)
    assert rules(jobs)["train"] == 1
    assert {job.wildcards for job in jobs if job.rule == "table"} == {"table=augmentation"}
