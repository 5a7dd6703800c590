"""Training by several processes, and a GPU that is absent."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from detectron2.modeling import build_model
from training_world import EACH, SCRIPTS, SPEC, World, assert_same_weights, command, edited, weights

from datadistill.devices import choose_device
from datadistill.errors import UserError
from datadistill.files import read_json, read_json_lines
from datadistill.model.network import build_config
from datadistill.specs import ModelSpec
from datadistill.train import loop as training
from datadistill.train.hooks import join_processes
from datadistill.train.loop import load_sources, train
from datadistill.train.sampling import Deal, MixedSampler


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
