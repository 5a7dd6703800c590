"""Training: interrupted, shared or fine-tuned, it ends where the spec says; when it can't, it says why."""

from __future__ import annotations

import dataclasses
import json
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
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from training_world import SPEC, World, edited

from datadistill.devices import choose_device
from datadistill.errors import UserError
from datadistill.files import canonical_json, read_json, read_json_lines
from datadistill.model.network import build_config, load_model
from datadistill.specs import ModelSpec, model_spec
from datadistill.train import loop as training
from datadistill.train.loop import TrainingFiles, TrainingOptions, join_processes, load_sources, train
from datadistill.train.sampling import GENERATED, LABELLED, Deal, MixedSampler

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
# Long enough to be interrupted in the middle, and for one row of metrics before the last.
LONG = edited(training={"iterations": 36})
EACH = TrainingOptions(metrics_every=1, log_seconds=1e9)


def weights(files: TrainingFiles) -> dict[str, torch.Tensor]:
    return torch.load(files.model, weights_only=True)["model"]


def assert_same_weights(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    different = [name for name in left if not torch.equal(left[name], right[name])]
    assert not different


def assert_same_results(left: TrainingFiles, right: TrainingFiles) -> None:
    """Equal weights, metrics and record of draws, bit for bit."""
    assert_same_weights(weights(left), weights(right))
    assert read_json_lines(left.metrics) == read_json_lines(right.metrics)
    assert left.drawn.read_bytes() == right.drawn.read_bytes()


def command(spec: ModelSpec, files: TrainingFiles, *extra: str) -> list[str]:
    """The arguments of scripts/train.py."""
    line = ["--spec", canonical_json(spec.canonical()), "--labelled", str(files.labelled)]
    if files.label_set:
        line += ["--label-set", str(files.label_set)]
    for name in ("model", "metrics", "drawn", "checkpoint"):
        line += [f"--{name}", str(getattr(files, name))]
    return [*line, "--device", "cpu", *extra]


@pytest.fixture(scope="module")
def undisturbed(world: World, tmp_path_factory: pytest.TempPathFactory) -> TrainingFiles:
    """A student trained in one go."""
    files = world.files(tmp_path_factory.mktemp("undisturbed"))
    train(LONG, files, TrainingOptions())
    return files


@pytest.fixture(scope="module")
def teacher(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelSpec, TrainingFiles]:
    """A model of labelled images alone, and its files."""
    spec = edited(label_set=None, training={"iterations": 10, "labelled_ratio": 1.0})
    files = world.files(tmp_path_factory.mktemp("teacher"), label_set=False)
    train(spec, files, EACH)
    return spec, files


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
        with pytest.raises(training.Stopped, match="after iteration 2"):
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


@pytest.mark.parametrize(("asked", "started"), [(2, "1"), (1, "2"), (4, "2")])
def test_processes_asked_for_and_given_must_agree(monkeypatch: pytest.MonkeyPatch, asked: int, started: str) -> None:
    monkeypatch.setenv("WORLD_SIZE", started)
    with pytest.raises(UserError, match=f"{asked} processes were asked for but {started} started"):
        join_processes(asked, "cpu")


def test_one_process_joins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join_processes(1, "cpu") == 0
    assert not torch.distributed.is_initialized()


def test_a_gpu_that_is_absent_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="cuda was asked for, but this machine shows no GPU"):
        choose_device("cuda")
    assert choose_device("auto") == choose_device("cpu") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == choose_device("cuda") == "cuda"


# --- several processes ------------------------------------------------------------------------------------------------

# scripts/train.py, and then the weights that each process holds. Anchors and regions are sampled by each process on its
# own; here the first are taken instead, so that processes and one process can be compared.
RANKED = """
import os, sys, torch
sys.path.insert(0, {scripts!r})
import train
from datadistill.train import loop as training
torch.randperm = lambda n, **_: torch.arange(n)
build, models = training.build_model, []
training.build_model = lambda cfg: models.append(build(cfg)) or models[0]
drawn = []
step = training.DistillationTrainer.run_step
def run_step(self):
    step(self)
    drawn.append(sorted(self.drawn.elements()))
training.DistillationTrainer.run_step = run_step
assert train.main() == 0
torch.save({{"model": models[0].state_dict(), "drawn": drawn}}, os.path.join({folder!r}, f"rank{{os.environ['RANK']}}.pth"))
"""


def test_two_processes_share_the_batches_of_one(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Group norm and images of one size, because batch statistics and the padding of a batch are each process's own.
    network = dataclasses.replace(
        SPEC.network, norm="GN", stem_channels=32, res2_channels=32, width_per_group=32, fpn_channels=32
    )
    spec = edited(network=network, training={"batch_size": 4, "iterations": 5, "train_scales": (96,)})
    files = dataclasses.replace(
        world.files(tmp_path),
        labelled=of_one_size(world.labelled, tmp_path / "labelled.json"),
        label_set=of_one_size(world.label_set, tmp_path / "pool.json"),
    )
    script = tmp_path / "ranked.py"
    script.write_text(RANKED.format(scripts=str(SCRIPTS), folder=str(tmp_path)))
    launch = [sys.executable, str(SCRIPTS / "launch.py"), "--processes", "2", "--", str(script)]
    done = subprocess.run(
        [*launch, *command(spec, files, "--processes", "2")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    ranks = [torch.load(tmp_path / f"rank{rank}.pth", weights_only=True) for rank in range(2)]
    assert_same_weights(ranks[0]["model"], ranks[1]["model"])
    assert_same_weights(weights(files), ranks[0]["model"])

    alone = dataclasses.replace(
        files, **{name: tmp_path / "alone" / getattr(files, name).name for name in ("model", "metrics", "drawn")}
    )
    monkeypatch.setattr(torch, "randperm", lambda n, **_: torch.arange(n))
    train(spec, alone, EACH)
    # Together they drew what one process draws; apart, each its own half of every batch.
    assert files.drawn.read_bytes() == alone.drawn.read_bytes()
    sources = load_sources(spec, alone)
    sampler = MixedSampler(len(sources[0]), len(sources[1]), 0.6, 20, spec.seed)
    for rank in range(2):
        deal = Deal(sampler, [source.ratios for source in sources], 4, rank, 2)
        slots = [slot for iteration in range(5) for slot in deal.slots(iteration)]
        draws = [sampler.draw(slot) for slot in slots]
        expected = sorted((draw.source, sources[draw.source].records[draw.index]["image_id"]) for draw in draws)
        assert [tuple(entry) for entry in ranks[rank]["drawn"][-1]] == expected
        assert len(expected) == 10
    # The same effective batch: the weights went the same way. Not the same weights: losses of regions are normalised by
    # what each process has of them.
    start = build_initial(spec)
    moved = [flat(weights(which)) - start for which in (files, alone)]
    assert torch.nn.functional.cosine_similarity(*moved, dim=0) > 0.8
    assert moved[0].norm() / moved[1].norm() == pytest.approx(1, rel=0.2)
    rows = read_json_lines(files.metrics), read_json_lines(alone.metrics)
    assert rows[0][-1]["lr"] == rows[1][-1]["lr"]
    assert rows[0][-1]["total_loss"] == pytest.approx(rows[1][-1]["total_loss"], rel=0.2)


def of_one_size(split: Path, path: Path) -> Path:
    """The images of a split that are as large as its first, and their annotations."""
    content = read_json(split)
    size = (content["images"][0]["width"], content["images"][0]["height"])
    images = [image for image in content["images"] if (image["width"], image["height"]) == size]
    assert len(images) > 1
    ids = {image["id"] for image in images}
    annotations = [annotation for annotation in content["annotations"] if annotation["image_id"] in ids]
    path.write_text(json.dumps({**content, "images": images, "annotations": annotations}))
    return path


def flat(state: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat(
        [value.flatten() for name, value in sorted(state.items()) if "pixel" not in name and "cell_anchors" not in name]
    )


def build_initial(spec: ModelSpec) -> torch.Tensor:
    """The weights that a run of this spec starts from."""
    categories = [{"id": 1, "name": "person", "keypoints": [""] * 17}]
    torch.manual_seed(training.model_seed(spec.seed, training._INITIAL_WEIGHTS, 0))
    return flat(build_model(build_config(spec, categories)).state_dict())


def test_a_batch_that_processes_cannot_share_is_refused(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.comm, "get_world_size", lambda: 2)
    with pytest.raises(UserError, match="batch of 3 images can't be shared equally by 2 processes"):
        train(edited(training={"batch_size": 3}), world.files(tmp_path), EACH)


# --- initial weights --------------------------------------------------------------------------------------------------


def test_fine_tuning_starts_from_the_teachers_weights(
    world: World, teacher: tuple[ModelSpec, TrainingFiles], tmp_path: Path
) -> None:
    spec = edited(initial="teacher", weights=teacher[0].digest, training={"iterations": 1, "learning_rate": 1e-12})
    files = world.files(tmp_path, initial_weights=teacher[1].model)
    train(spec, files, EACH)
    # A step too small to move a weight; batch statistics are no weights.
    for name, value in weights(teacher[1]).items():
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            torch.testing.assert_close(weights(files)[name], value, rtol=0, atol=1e-9)
    with pytest.raises(UserError, match="initial: teacher needs a file of weights"):
        train(spec, world.files(tmp_path / "none"), EACH)


# --- the model file ---------------------------------------------------------------------------------------------------


def test_a_model_file_is_the_trained_module(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[torch.nn.Module] = []
    build = training.build_model
    monkeypatch.setattr(training, "build_model", lambda cfg: built.append(build(cfg)) or built[0])
    files = world.files(tmp_path)
    train(SPEC, files, EACH)
    saved = torch.load(files.model, weights_only=True)
    assert model_spec(saved["spec"]) == SPEC
    model, cfg, categories = load_model(files.model)
    assert not model.training
    assert cfg.INPUT.FORMAT == "BGR"
    assert (cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST) == (96, 128)
    assert categories == read_json(world.labelled)["categories"]
    image = torch.randint(0, 256, (3, 96, 128), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    with torch.no_grad():
        features = [
            network.eval().backbone(network.preprocess_image([{"image": image}]).tensor)
            for network in (model, built[0])
        ]
        results = [network([{"image": image}])[0]["instances"] for network in (model, built[0])]
    assert all(torch.equal(features[0][level], features[1][level]) for level in features[0])
    assert len(results[0]) == len(results[1]) > 0
    assert torch.equal(results[0].pred_boxes.tensor, results[1].pred_boxes.tensor)
    assert torch.equal(results[0].pred_keypoints, results[1].pred_keypoints)


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.pth: no such file; run the stage"):
        load_model(tmp_path / "absent.pth")
    path = tmp_path / "text.pth"
    path.write_text("no model")
    with pytest.raises(UserError, match=r"text\.pth: not a model file"):
        load_model(path)


def test_a_model_file_of_another_spec_or_with_a_flipped_bit_is_refused(
    teacher: tuple[ModelSpec, TrainingFiles], tmp_path: Path
) -> None:
    spec, files = teacher
    load_model(files.model, spec_digest=spec.digest)
    with pytest.raises(UserError, match=rf"model\.pth: a model of spec {spec.digest}, where 0123abcd is needed"):
        load_model(files.model, spec_digest="0123abcd")
    content = files.model.read_bytes()
    path = tmp_path / "model.pth"
    first = next(iter(weights(files).values())).numpy().tobytes()
    assert content.count(first) == 1, "the place of the first tensor"
    flipped = bytearray(content)
    flipped[content.index(first)] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(UserError, match=r"model\.pth: not as it was written"):
        load_model(path, spec_digest=spec.digest)
    saved = torch.load(files.model, weights_only=True)
    for change in (
        {"config": saved["config"].replace("NMS_THRESH_TEST: 0.5", "NMS_THRESH_TEST: 0.7")},
        {"categories": []},
    ):
        torch.save({**saved, **change}, path)
        with pytest.raises(UserError, match=r"model\.pth: not as it was written"):
            load_model(path)
    torch.save({key: value for key, value in saved.items() if key != "digest"}, path)
    with pytest.raises(UserError, match=r"model\.pth: not as it was written"):
        load_model(path)
    path.write_bytes(content[:-100])
    with pytest.raises(UserError, match=r"model\.pth: not a model file"):
        load_model(path)
    damaged = edited(initial="teacher", weights=spec.digest)
    path.write_bytes(flipped)
    with pytest.raises(UserError, match=r"model\.pth: not as it was written"):
        train(
            damaged,
            dataclasses.replace(files, model=tmp_path / "student.pth", initial_weights=path, checkpoint=tmp_path / "c"),
            EACH,
        )


# --- background of generated images -----------------------------------------------------------------------------------


def targets(generated: bool) -> Instances:
    instances = Instances((96, 128))
    instances.gt_boxes = Boxes(torch.tensor([[20.0, 10.0, 60.0, 80.0]]))
    instances.gt_classes = torch.zeros(1, dtype=torch.long)
    instances.gt_generated = torch.tensor([generated])
    return instances


def proposals() -> Instances:
    instances = Instances((96, 128))
    boxes = torch.tensor(
        [[20.0, 10.0, 60.0, 80.0], [22.0, 12.0, 60.0, 78.0], [0.0, 0.0, 10.0, 10.0], [90.0, 50.0, 120.0, 90.0]]
    )
    instances.proposal_boxes = Boxes(boxes)
    instances.objectness_logits = torch.zeros(len(boxes))
    return instances


@pytest.mark.parametrize("background", [True, False], ids=["as usual", "labelled only"])
def test_generated_images_give_background_only_where_asked(background: bool) -> None:
    categories = [{"id": 1, "name": "person", "keypoints": ["nose"]}]
    torch.manual_seed(0)
    model = build_model(build_config(edited(training={"generated_background": background}), categories))
    features = model.backbone(torch.zeros(1, 3, 96, 128))
    rpn = model.proposal_generator
    anchors = rpn.anchor_generator([features[name] for name in rpn.in_features])
    labels, _ = rpn.label_and_sample_anchors(anchors, [targets(False), targets(True)])
    assert (labels[0] == 0).any()
    assert (labels[1] == 0).any() == background
    assert (labels[1] == 1).any()
    with EventStorage():
        sampled = model.roi_heads.label_and_sample_proposals(
            [proposals(), proposals()], [targets(False), targets(True)]
        )
    outside = [(image.gt_classes == 1).sum().item() for image in sampled]
    inside = [(image.gt_classes == 0).sum().item() for image in sampled]
    assert outside == [2, 2 if background else 0]
    # The two overlapping proposals, and the annotation itself.
    assert inside == [3, 3]


def test_training_without_background_of_generated_images_runs(world: World, tmp_path: Path) -> None:
    spec = edited(training={"generated_background": False, "iterations": 2, "labelled_ratio": 0.0})
    files = world.files(tmp_path)
    train(spec, files, EACH)
    assert {image["source"] for image in read_json(files.drawn)["images"]} == {"generated"}
    assert all(math.isfinite(row["total_loss"]) for row in read_json_lines(files.metrics))
    load_model(files.model)


def test_sources_are_numbered_as_the_records_name_them() -> None:
    assert (LABELLED, GENERATED) == (0, 1)
