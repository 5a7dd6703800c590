"""What an edit of the config reruns, as Snakemake plans it on a run whose outputs are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from planning import CONFIG_FOLDER, Job, plan, rules, snakemake

SMALLEST = CONFIG_FOLDER / "smallest.yaml"


def smallest_with_weights(directory: Path) -> Path:
    """The smallest config, whose models start from weights in a file."""
    text = SMALLEST.read_text(encoding="utf-8").replace("initial: random", "initial: imagenet")
    config = directory / "config.yaml"
    config.write_text(text + "\nweights:\n  - {name: R-50, path: weights.pkl}\n", encoding="utf-8")
    return config


def labelling(option: str) -> Callable[[str], str]:
    """An edit that adds an option of labelling."""
    return lambda text: text.replace("labelling: {transforms: standard", f"labelling: {{transforms: standard, {option}")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which the smallest config has run, as far as Snakemake can tell: files are empty."""
    directory = tmp_path_factory.mktemp("finished")
    for job in plan(directory, smallest_with_weights(directory)):
        for name in job.outputs:
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            # Only folders of images have no suffix.
            path.mkdir() if "/images/" in name and path.suffix != ".json" else path.touch()
    done = snakemake(directory, "--touch", "--forceall", "--cores", "1", config=directory / "config.yaml")
    assert done.returncode == 0, done.stderr
    assert any((directory / ".snakemake" / "metadata").iterdir()), "provenance is recorded"
    return directory


def planned(finished: Path, tmp_path: Path, edit: Callable[[str], str]) -> list[Job]:
    """What an edited copy of the smallest config would run."""
    text = (finished / "config.yaml").read_text(encoding="utf-8")
    edited = edit(text)
    assert edited != text
    config = tmp_path / "edited.yaml"
    config.write_text(edited, encoding="utf-8")
    return plan(finished, config)


def test_a_finished_run_has_nothing_to_do(finished: Path) -> None:
    assert plan(finished, finished / "config.yaml") == []


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
    return plan(empty, smallest_with_weights(empty))


@pytest.mark.parametrize("threshold", ["keypoint_threshold: 0.5", "instance_ratio: 0.5", "instance_ratio: 1.4"])
def test_a_threshold_runs_no_inference_on_the_pool(finished: Path, tmp_path: Path, threshold: str) -> None:
    jobs = planned(finished, tmp_path, labelling(threshold))
    count = rules(jobs)
    assert count["choose_thresholds"] == count["annotate"] == count["train"] == 1
    assert not set(count) & {"gate", "refine", "split", "render"}
    # What is predicted is the new student on the validation split.
    assert [job.wildcards.split("_on_")[0] for job in jobs if job.rule == "predict"] == ["predictions=distilled"]
    assert [job.wildcards for job in jobs if job.rule == "train" and "labelled+pool" not in job.wildcards] == []


@pytest.mark.parametrize("asked", ["instance_threshold: 0.1", "instance_ratio: 2.5"])
def test_what_the_gate_may_not_cover_is_refined_before_labels_are_made(
    finished: Path, tmp_path: Path, asked: str
) -> None:
    """Two shards, in which the script takes the boxes that are there (tests/label/test_label_scripts.py)."""
    count = rules(planned(finished, tmp_path, labelling(asked)))
    assert (count["gate"], count["refine"], count["choose_thresholds"]) == (1, 2, 1)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (labelling("gate_margin: 4"), {}),
        (lambda text: text.replace("path: weights.pkl}", "path: elsewhere/w.pth}"), {}),
        (lambda text: text.replace("path: weights.pkl}", "url: 'https://example.org/w.pkl'}"), {}),
        (lambda text: text.replace("path: weights.pkl}", "path: weights.pkl, sha256: 0123abcd}"), {}),
        (
            lambda text: text.replace("images: 6, seed: 3}", "images: 6, seed: 4}"),
            {"render": 1, "split": 1, "check_leaks": 2, "predict": 3, "refine": 1, "score": 3, "table": 2, "figure": 2},
        ),
    ],
    ids=["gate margin", "path of weights", "address of weights", "digest of weights", "seed of val"],
)
def test_what_an_edit_reruns(
    finished: Path, tmp_path: Path, edit: Callable[[str], str], expected: dict[str, int]
) -> None:
    assert dict(rules(planned(finished, tmp_path, edit))) == expected


def test_a_new_network_is_checked_against_weights_that_are_there(finished: Path, tmp_path: Path) -> None:
    jobs = planned(
        finished,
        tmp_path,
        lambda text: text.replace("label_set: pool}\n\n", "label_set: pool, network: {norm: GN}}\n\n"),
    )
    assert (rules(jobs)["check_weights"], rules(jobs)["train"]) == (1, 1)
    assert "weights" not in rules(jobs)


def test_an_edit_of_data_hides_no_reason_to_train(finished: Path, tmp_path: Path) -> None:
    """Snakemake looks for no reason of jobs below one that runs, and finds them by way of other files than `ancient` ones alone."""
    jobs = planned(
        finished,
        tmp_path,
        lambda text: text.replace("images: 6, seed: 3}", "images: 6, seed: 4}").replace(
            "label_set: pool}\n\n", "label_set: pool, training: {iterations: 5}}\n\n"
        ),
    )
    assert ["labelled+pool_5" in job.wildcards for job in jobs if job.rule == "train"] == [True]
    assert rules(jobs)["table"] == 2


def test_another_release_of_weights_trains_again(finished: Path, tmp_path: Path) -> None:
    jobs = planned(
        finished, tmp_path, lambda text: text.replace("path: weights.pkl}", "path: weights.pkl, release: v2}")
    )
    assert (rules(jobs)["weights"], rules(jobs)["train"]) == (1, 2)
    assert not set(rules(jobs)) & {"split", "render"}


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
    # The labels are the same, but new files: what learns from them can't know that.
    assert ["labelled+pool" in job.wildcards for job in jobs if job.rule == "train"] == [True]


def test_excluding_images_of_the_pool_reruns_what_learns_from_it(finished: Path, tmp_path: Path) -> None:
    jobs = planned(
        finished,
        tmp_path,
        lambda text: text.replace("of: pool-truth, shards: 2}", "of: pool-truth, shards: 2, exclude: [labelled]}"),
    )
    count = rules(jobs)
    assert [job.wildcards for job in jobs if job.rule == "split"] == [
        next(job.wildcards for job in jobs if job.rule == "split" and job.wildcards.startswith("split=pool."))
    ]
    assert count["train"] == count["gate"] == count["annotate"] == count["label_quality"] == 1
    # Two shards of the smaller pool, and the student's of the validation split.
    assert (count["predict"], count["refine"]) == (3, 2)
    assert not set(count) & {"render", "weights"}
    assert not [job for job in jobs if job.rule == "train" and "labelled+pool" not in job.wildcards]


def test_another_run_shares_nothing(finished: Path, tmp_path: Path) -> None:
    jobs = planned(finished, tmp_path, lambda text: text.replace("run: smallest", "run: another"))
    # But weights, which all runs share, whichever networks of theirs start from them.
    assert rules(jobs) + Counter(weights=1) == rules(plan_of_nothing(tmp_path))
    assert all(path.startswith("results/another/") for job in jobs for path in job.outputs)
