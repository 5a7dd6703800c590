"""Jobs while they run: their names, their progress, and the words in which they failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from datadistill.workflow.running import (
    Failure,
    Job,
    closing_lines,
    describe,
    end_of,
    job_failure,
    job_name,
    job_progress,
    new_job,
)

ITERATION = "iteration {}/400  loss 6.949  lr 0.0086  2.13 it/s  3% waiting for data  2:27 left\n"


@pytest.mark.parametrize(
    ("wildcards", "name"),
    [
        ({"model": "keypoints_R-50_co-35+co-80_400_s12.1a55f9ec"}, "keypoints_R-50_co-35+co-80_400 seed 12"),
        (
            {"predictions": "distilled_on_val_s1.4d8e256b", "shard": "0", "shards": "8"},
            "distilled_on_val seed 1, 1 of 8",
        ),
        ({"evaluation": "objects_things_s1.f11a1952/val/plain"}, "objects_things seed 1 val plain"),
        ({"table": "table1a"}, "table1a"),
        ({}, ""),
    ],
)
def test_a_job_is_named_by_its_wildcards_without_digests(wildcards: dict[str, str], name: str) -> None:
    assert job_name(wildcards) == name


def test_of_a_name_without_room_the_end_stays() -> None:
    assert end_of("labelled+pool_400 seed 1", 24) == "labelled+pool_400 seed 1"
    assert end_of("labelled+pool_400 seed 1", 11) == "…400 seed 1"
    assert end_of("labelled", 1) == "…"
    assert end_of("labelled", -3) == "…"


def test_progress_is_the_last_line_that_tells_it(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    job = new_job(1, "train", {}, [str(log)])
    assert job_progress(job) is None
    log.write_text(
        "W" * 20_000 + "\n" + ITERATION.format(20) + ITERATION.format(87) + "UserWarning: 12/3 of something\n  x\n"
    )
    progress = job_progress(job)
    assert progress is not None
    assert describe(job, progress) == "87/400  loss 6.949  2.13 it/s  2:27 left"


def test_what_an_earlier_try_wrote_tells_nothing(tmp_path: Path) -> None:
    """Training appends to its log; other jobs begin theirs anew, and it may be shorter than it was."""
    log = tmp_path / "train.log"
    log.write_text(ITERATION.format(300) + "error: stopped by a signal\n")
    job = new_job(1, "train", {}, [str(log)])
    assert job_progress(job) is None
    assert "without a word" in job_failure(job).sentence
    with log.open("a") as stream:
        stream.write(ITERATION.format(301))
    progress = job_progress(job)
    assert progress is not None
    assert progress.done == 301
    log.write_text("predict 3/9 images 2.00image/s 00:03 left\n")
    progress = job_progress(job)
    assert progress is not None
    assert (progress.what, progress.done) == ("predict", 3)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("error: first\nTraceback\nerror: a.json: image 3 is missing; add it\nmake: *** 2\n", "error: a.json: image 3 is missing; add it"),
        ("[rank1]: error: no GPU is free\n", "error: no GPU is free"),
        ("Traceback (most recent call last):\nMemoryError: 3 GB\n\n", "error: it ended with: MemoryError: 3 GB"),
        ("", "error: it ended without a word; the machine may have stopped it (memory, time)"),
    ],
)  # fmt: skip
def test_a_failure_is_told_in_the_job_s_own_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    log = tmp_path / "a.log"
    job = new_job(1, "split", {}, [str(log), str(tmp_path / "absent.log")])
    log.write_text(text)
    assert job_failure(job) == Failure(job, sentence, (str(log),))


def test_one_failure_s_sentence_comes_last() -> None:
    failure = Failure(Job(1, "train", "teacher seed 1"), "error: a.json: no image", ("logs/train.log",))
    lines = closing_lines([failure], "own.log")
    assert lines[-1] == "error: a.json: no image"
    assert any("own.log" in line for line in lines)
    assert any("logs/train.log" in line for line in lines)
    assert any("the same command goes on" in line for line in lines)


def test_of_several_failures_each_is_told_once_and_then_how_to_go_on() -> None:
    first, second, third = (Job(i, "predict", f"pool {i} of 3") for i in (1, 2, 3))
    failures = [Failure(first, "error: a", ()), Failure(second, "error: b", ()), Failure(third, "error: a", ())]
    lines = closing_lines(failures, None)
    assert [line for line in lines if line.startswith("error:")] == ["error: a", "error: b"]
    assert "Failed: predict pool 1 of 3, and 1 more" in lines
    assert lines[-1].startswith("3 jobs failed.")
    assert "the same command goes on" in lines[-1]
