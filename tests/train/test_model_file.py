"""Model files: what a student starts from, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from training_world import EACH, SPEC, World, edited, weights

from datadistill.errors import UserError
from datadistill.files import read_json
from datadistill.model.network import load_model
from datadistill.specs import ModelSpec, model_spec
from datadistill.train import loop as training
from datadistill.train.loop import TrainingFiles, train


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
