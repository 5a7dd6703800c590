"""The whole chain for real, on a handful of rendered images: from an empty folder to tables and figures."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from planning import CONFIG_FOLDER, REPOSITORY, plan, rules, snakemake
from pycocotools.coco import COCO

from datadistill.workflow.config import load_config
from datadistill.workflow.experiments import Experiments, build_experiments
from datadistill.workflow.outputs import outputs

SMALLEST = CONFIG_FOLDER / "smallest.yaml"

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def experiments() -> Experiments:
    return build_experiments(load_config(SMALLEST))


def run(directory: Path, *arguments: str, config: Path = SMALLEST) -> subprocess.CompletedProcess[str]:
    done = snakemake(directory, "--cores", "2", *arguments, config=config)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return done


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder, empty until the smallest config ran in it."""
    directory = tmp_path_factory.mktemp("end_to_end")
    run(directory)
    return directory


def test_everything_asked_for_is_made(place: Path, experiments: Experiments) -> None:
    missing = [
        path for path in outputs(experiments) if not (place / path).is_file() or not (place / path).stat().st_size
    ]
    assert not missing


def test_tables_say_what_data_they_are_from(place: Path, experiments: Experiments) -> None:
    note = yaml.safe_load(SMALLEST.read_text(encoding="utf-8"))["data_note"]
    for table in experiments.config["tables"]:
        for suffix in ("md", "csv", "tex"):
            text = (place / experiments.paths.table(table["name"], suffix)).read_text(encoding="utf-8")
            assert note in text, (table["name"], suffix)
    page = (place / experiments.paths.table("table1a", "md")).read_text(encoding="utf-8")
    assert "not comparable" in page
    # The paper's figures stand beside ours, as printed.
    assert "60.2" in page
    rows = list(
        csv.reader(io.StringIO((place / experiments.paths.table("table1a", "csv")).read_text(encoding="utf-8")))
    )
    assert len(rows) > len(experiments.config["tables"][0]["rows"])


def test_the_label_set_is_valid_coco(place: Path, experiments: Experiments) -> None:
    [label_set] = experiments.label_sets.values()
    path = place / experiments.paths.labels(label_set.id)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
    content = json.loads(path.read_text(encoding="utf-8"))
    pool = json.loads((place / label_set.split.file).read_text(encoding="utf-8"))
    assert [image["id"] for image in content["images"]] == [image["id"] for image in pool["images"]]
    assert coco.anns, "the threshold keeps labels"
    [person] = content["categories"]
    for annotation in content["annotations"]:
        assert annotation["image_id"] in coco.imgs
        assert annotation["category_id"] == person["id"]
        assert len(annotation["keypoints"]) == 3 * len(person["keypoints"])
        assert annotation["num_keypoints"] == sum(v > 0 for v in annotation["keypoints"][2::3])
        assert 0 <= annotation["score"] <= 1
        assert annotation["bbox"][2] > 0
        assert annotation["bbox"][3] > 0
    # Students never see the hidden truth of the pool.
    assert pool["annotations"] == []


def test_models_and_their_records_are_complete(place: Path, experiments: Experiments) -> None:
    for model in experiments.models.values():
        drawn = json.loads((place / model.drawn).read_text(encoding="utf-8"))
        assert drawn["total"] == 8
        assert (place / model.metrics).read_text(encoding="utf-8").strip()
        assert not (place / experiments.paths.checkpoint(model.id)).exists()


def test_a_second_run_does_nothing(place: Path) -> None:
    done = run(place)
    assert "Nothing to be done" in done.stdout + done.stderr


def test_jobs_that_share_their_imports_make_the_same_files(place: Path, tmp_path: Path) -> None:
    """`make` runs Snakemake through scripts/run.py, whose jobs begin in a process that has imported torch (warm_start.py)."""

    def results(directory: Path) -> dict[str, bytes]:
        root = directory / "results" / "smallest"
        files = {path.relative_to(root): path for path in root.rglob("*") if path.is_file()}
        return {
            str(name): path.read_bytes() for name, path in files.items() if name.parts[0] not in ("logs", "benchmarks")
        }

    program = (str(REPOSITORY / "scripts" / "run.py"),)
    done = snakemake(tmp_path, "--cores", "2", config=SMALLEST, program=program)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    alone, shared = results(place), results(tmp_path)
    assert sorted(alone) == sorted(shared)
    assert [name for name in alone if alone[name] != shared[name]] == []


def test_no_model_was_shown_an_image_it_is_scored_on(place: Path, experiments: Experiments) -> None:
    def read(path: str) -> dict[str, Any]:
        return json.loads((place / path).read_text(encoding="utf-8"))

    for evaluation in experiments.evaluations.values():
        held_out = {image["content"] for image in read(evaluation.split.file)["images"]}
        drawn = {image["content"] for image in read(evaluation.model.drawn)["images"]}
        assert held_out
        assert drawn
        assert not held_out & drawn
        # The check that the evaluation itself ran would have seen one: the record has what it compares.
        assert all(image["dataset"] for image in read(evaluation.model.drawn)["images"])


def test_an_edited_comment_reruns_nothing(place: Path, tmp_path: Path) -> None:
    config = tmp_path / "commented.yaml"
    config.write_text("# A remark.\n" + SMALLEST.read_text(encoding="utf-8"), encoding="utf-8")
    assert plan(place, config) == []


def test_a_raised_threshold_runs_no_inference(place: Path, tmp_path: Path) -> None:
    text = SMALLEST.read_text(encoding="utf-8")
    edited = text.replace("labelling: {transforms: standard}", "labelling: {transforms: standard, instance_ratio: 0.9}")
    assert edited != text
    config = tmp_path / "raised.yaml"
    config.write_text(edited, encoding="utf-8")
    jobs = plan(place, config)
    assert rules(jobs)["annotate"] == 1
    assert not {"gate", "refine"} & set(rules(jobs))
    assert [job.wildcards.split("_on_")[0] for job in jobs if job.rule == "predict"] == ["predictions=distilled"]


def test_lost_inference_comes_back_the_same(place: Path, experiments: Experiments) -> None:
    [label_set] = experiments.label_sets.values()
    annotations = place / label_set.file
    before = annotations.read_bytes()
    results = (label_set.predictions, label_set.refinement, label_set.refinement.gate)
    lost = [place / path for result in results for path in result.files]
    lost += [annotations, annotations.with_name("thresholds.json")]
    for path in lost:
        path.unlink()
    run(place, label_set.file)
    assert all(path.exists() for path in lost)
    assert annotations.read_bytes() == before
