"""Training: interrupted, shared or fine-tuned, it ends where the spec says; when it can't, it says why."""

from __future__ import annotations

import dataclasses
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from training_world import EACH, LONG, SCRIPTS, SPEC, World, assert_same_results, command, edited, weights

from datadistill.errors import UserError
from datadistill.files import read_json, read_json_lines
from datadistill.specs import ModelSpec
from datadistill.train import loop as training
from datadistill.train.hooks import Stopped
from datadistill.train.loop import TrainingFiles, TrainingOptions, load_sources, train
from datadistill.train.sampling import MixedSampler


@pytest.fixture(scope="module")
def undisturbed(world: World, tmp_path_factory: pytest.TempPathFactory) -> TrainingFiles:
    """A student trained in one go."""
    files = world.files(tmp_path_factory.mktemp("undisturbed"))
    train(LONG, files, TrainingOptions())
    return files


# --- an undisturbed run -----------------------------------------------------------------------------------------------


def test_the_record_of_draws_is_that_of_the_sampler(world: World, undisturbed: TrainingFiles) -> None:
    sources = load_sources(LONG, undisturbed)
    sampler = MixedSampler(len(sources[0]), len(sources[1]), 0.6, 36 * 2, LONG.seed)
    expected: Counter[tuple[str, int]] = Counter()
    for slot in range(sampler.total):
        draw = sampler.draw(slot)
        name = ("labelled", "generated")[draw.source]
        expected[name, sources[draw.source].records[draw.index]["image_id"]] += 1
    drawn = read_json(undisturbed.drawn)
    assert {(image["source"], image["image_id"]): image["count"] for image in drawn["images"]} == expected
    assert drawn["total"] == 72
    assert drawn["labelled_share"] == sum(n for (source, _), n in expected.items() if source == "labelled") / 72
    known = {
        image["id"]: (image["dataset"], image["content"])
        for path in (world.labelled, world.label_set)
        for image in read_json(path)["images"]
    }
    assert all((image["dataset"], image["content"]) == known[image["image_id"]] for image in drawn["images"])


def test_the_learning_rate_warms_up_and_falls_at_70_and_90_percent(teacher: tuple[ModelSpec, TrainingFiles]) -> None:
    rows = read_json_lines(teacher[1].metrics)
    assert [row["iteration"] for row in rows] == list(range(1, 11))
    assert all(math.isfinite(value) for row in rows for value in row.values())
    rates = [row["lr"] for row in rows]
    assert rates[0] < rates[1] < 0.01
    assert rates[2:] == pytest.approx([0.01] * 5 + [0.001] * 2 + [0.0001])
    assert {"total_loss", "loss_keypoint", "loss_cls", "loss_rpn_cls"} <= set(rows[0])


def test_a_finished_run_whose_outputs_are_lost_writes_them_again_without_an_iteration(
    world: World, undisturbed: TrainingFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What Snakemake does after a kill between the end of training and its record of it.
    files = world.files(tmp_path)
    shutil.copy(undisturbed.checkpoint, files.checkpoint)

    def run_step(self: training.DistillationTrainer) -> None:
        raise AssertionError("an iteration was run")

    monkeypatch.setattr(training.DistillationTrainer, "run_step", run_step)
    train(LONG, files, TrainingOptions())
    for name in ("model", "metrics", "drawn"):
        assert getattr(files, name).read_bytes() == getattr(undisturbed, name).read_bytes(), name


def test_a_training_that_the_disk_has_no_room_for_does_not_begin(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datadistill.files.free_space", lambda folder: 100_000)
    with pytest.raises(UserError, match=r"checkpoint\.pth: training, .* needs about .* MB .*100\.0 kB are free"):
        train(SPEC, world.files(tmp_path), EACH)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_during_training_is_named(
    world: World, tmp_path: Path, file_size_limit: Callable[[int], None]
) -> None:
    files = world.files(tmp_path)
    file_size_limit(50_000)
    with pytest.raises(UserError, match=r"checkpoint\.pth: File too large: about .* MB are needed, .* are free"):
        train(SPEC, files, EACH)
    assert list(tmp_path.iterdir()) == []


def test_the_same_spec_ends_with_the_same_weights(
    world: World, teacher: tuple[ModelSpec, TrainingFiles], tmp_path: Path
) -> None:
    spec, before = teacher
    files = world.files(tmp_path, label_set=False)
    # Workers and checkpoints change speed and safety, never the result.
    train(spec, files, dataclasses.replace(EACH, workers=2, checkpoint_every=3))
    assert_same_results(files, before)
    other = world.files(tmp_path / "other", label_set=False)
    train(edited(spec, seed=2), other, EACH)
    assert not torch.equal(
        weights(other)["backbone.fpn_output2.weight"], weights(before)["backbone.fpn_output2.weight"]
    )


def test_signal_handlers_are_given_back(teacher: tuple[ModelSpec, TrainingFiles]) -> None:
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    # Whoever starts the tests in the background of a shell has it ignored.
    assert signal.getsignal(signal.SIGINT) in (signal.default_int_handler, signal.SIG_IGN)


# --- interruptions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_an_interrupted_run_ends_as_an_undisturbed_one(
    world: World, undisturbed: TrainingFiles, tmp_path: Path, kind: signal.Signals
) -> None:
    files = world.files(tmp_path)
    line = [sys.executable, str(SCRIPTS / "train.py"), *command(LONG, files, "--checkpoint-every", "3")]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not files.checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(kind)
    _, errors = process.communicate(timeout=60)
    assert not files.model.exists(), "the run was over before the signal came"
    if kind == signal.SIGTERM:
        assert process.returncode == 2
        assert errors.strip().splitlines()[-1].startswith("error: stopped by a signal after iteration ")
    else:
        assert process.returncode == -signal.SIGKILL
    reached = torch.load(files.checkpoint, weights_only=True)["iteration"]
    assert 3 <= reached < 36
    train(LONG, files, TrainingOptions())
    assert_same_results(files, undisturbed)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint.pth",
        "drawn.json",
        "metrics.jsonl",
        "model.pth",
    ]


def interrupted(world: World, folder: Path, spec: ModelSpec = SPEC) -> TrainingFiles:
    """The files of a run that a signal stopped after its second iteration."""
    files = world.files(folder)
    with pytest.MonkeyPatch.context() as patch:
        step = training.RecordMetrics.after_step

        def after_step(self: training.RecordMetrics) -> None:
            step(self)
            if self.trainer.iter == 1:
                os.kill(os.getpid(), signal.SIGTERM)

        patch.setattr(training.RecordMetrics, "after_step", after_step)
        with pytest.raises(Stopped, match="after iteration 2"):
            train(spec, files, EACH)
    return files


def test_a_checkpoint_of_another_spec_is_refused(world: World, tmp_path: Path) -> None:
    files = interrupted(world, tmp_path)
    other = edited(training={"learning_rate": 0.011})
    with pytest.raises(
        UserError, match=rf"checkpoint\.pth: checkpoint of another spec \({SPEC.digest}.*{other.digest}"
    ):
        train(other, files, EACH)
    assert files.checkpoint.exists()
    assert not files.model.exists()


def test_a_damaged_checkpoint_is_named(world: World, tmp_path: Path) -> None:
    files = interrupted(world, tmp_path)
    content = files.checkpoint.read_bytes()
    files.checkpoint.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"checkpoint\.pth: damaged checkpoint .*delete it"):
        train(SPEC, files, EACH)


# --- bad input --------------------------------------------------------------------------------------------------------


def test_divergence_names_the_iteration_and_the_images(world: World, tmp_path: Path) -> None:
    spec = edited(training={"learning_rate": 1e12, "clip_gradients": None, "warmup_iterations": 0, "iterations": 8})
    files = world.files(tmp_path)
    with pytest.raises(UserError, match=r"training diverged: .* in iteration \d+ \(images \d+, \d+\)") as caught:
        train(spec, files, EACH)
    words = str(caught.value)
    iteration = int(words.split("iteration ")[1].split()[0])
    images = [int(word) for word in words.split("(images ")[1].split(")")[0].split(", ")]
    sources = load_sources(spec, files)
    sampler = MixedSampler(len(sources[0]), len(sources[1]), 0.6, 16, spec.seed)
    draws = [sampler.draw(slot) for slot in (2 * iteration, 2 * iteration + 1)]
    assert images == [sources[draw.source].records[draw.index]["image_id"] for draw in draws]
    assert iteration > 0
    assert not files.model.exists()


def test_a_loss_that_is_not_finite_stops_at_once(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = training.build_model

    def broken(cfg: Any) -> torch.nn.Module:
        model = build(cfg)
        forward = model.forward

        def with_nan(batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
            losses = forward(batch)
            return {**losses, "loss_keypoint": losses["loss_keypoint"] * math.nan} if model.training else losses

        monkeypatch.setattr(model, "forward", with_nan)
        return model

    monkeypatch.setattr(training, "build_model", broken)
    with pytest.raises(UserError, match="total_loss, loss_keypoint is not finite in iteration 0 "):
        train(SPEC, world.files(tmp_path), EACH)
