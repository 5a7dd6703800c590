"""scripts/model.py predict: the project's own predictions, as files for people and programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import deploy_samples as samples
import numpy as np
import pytest
import tiny
import torch
import yaml
from PIL import Image

from datadistill.deploy.results import evenly, picture_names
from datadistill.detections import Detections
from datadistill.errors import UserError
from datadistill.label.predict import predict
from datadistill.label.refine import refine
from datadistill.model.network import load_model
from datadistill.specs import PredictionsSpec, RefinementSpec
from datadistill.tasks.task import get_task
from datadistill.transforms import Transform

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
from own_config import own_config

import model as script

SET = {"name": "standard", "short_sides": [64, 96], "max_size": 160}
TRANSFORMS = tuple(Transform(side, 160, flip) for side in (64, 96) for flip in (False, True))
Call = Callable[..., None]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model files of both tasks, photos, a damaged one among them, and a config whose model isn't trained."""
    root = tmp_path_factory.mktemp("use")
    samples.write(root / "people.pth", "keypoints", tiny.build("keypoints", tiny.PERSON, 1))
    samples.write(root / "things.pth", "objects", tiny.build("objects", tiny.OBJECTS, 2))
    samples.photos(root / "photos")
    (root / "photos/damaged.jpg").write_bytes(b"no image")
    (root / "train.json").write_text("{}")
    config = own_config(transform_sets=[SET])
    (root / "my own.yaml").write_text(yaml.safe_dump(config))
    return root


@pytest.fixture
def call(root: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """A function that calls the program among those files, on one thread."""
    monkeypatch.chdir(root)

    def call(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["model.py", *arguments])
        script.main()

    return call


def split_of(root: Path) -> dict[str, Any]:
    """The photos as `predict` must have seen them."""
    images = json.loads((root / "predictions.json").read_text())["images"]
    return {"images": images, "annotations": [], "categories": []}


def expected(model: str, folder: Path, *, ensemble: bool) -> tuple[Detections, list[dict[str, Any]]]:
    """What the workflow's own functions find on the images of a result, and the model's categories."""
    network = load_model(model)
    split = split_of(folder)
    ids = [image["id"] for image in split["images"]]
    keypoints = bool(network[1].MODEL.KEYPOINT_ON)
    merged = ensemble and not keypoints
    spec = PredictionsSpec(
        model="",
        split="",
        transforms=TRANSFORMS if merged else (tiny.PLAIN,),
        score_floor=0.05,
        nms=0.5,
        max_detections=100,
        voting=0.8 if merged else None,
        keypoints=keypoints and not ensemble,
    )
    found = predict(*network, split, ids, spec)
    if ensemble and keypoints:
        found = refine(*network, split, found, RefinementSpec("", None, TRANSFORMS, "probabilities", False))
    return found, network[2]


@pytest.mark.parametrize("task", ["keypoints", "objects"])
@pytest.mark.parametrize("ensemble", [False, True], ids=["plain", "ensemble"])
def test_predictions_are_the_workflows(
    task: str, ensemble: bool, call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = {"keypoints": "people.pth", "objects": "things.pth"}[task]
    more = ("--config", "my own.yaml", "--transforms", "standard") if ensemble else ()
    output = tmp_path / "out"
    common = ("--threads", "1", "--device", "cpu", "--pictures", "2", "--threshold", "0.95")
    call("predict", "--model", model, "--input", "photos", "--output", str(output), *common, *more)
    said = capsys.readouterr()
    assert "left out: photos/damaged.jpg: does not decode (not an image file)" in said.err

    detections, categories = expected(model, output, ensemble=ensemble)
    results = json.loads((output / "results.json").read_text())
    assert results == get_task(task).results(detections)
    assert len(results) > 20

    predictions = json.loads((output / "predictions.json").read_text())
    assert predictions["categories"] == categories
    assert [image["file_name"] for image in predictions["images"]] == [f"photos/{i}.png" for i in (1, 2, 3)]
    sure = detections.select(detections.scores >= np.float32(0.95))
    assert 0 < len(sure) < len(detections)
    assert [a["image_id"] for a in predictions["annotations"]] == sure.ids.tolist()
    boxes = np.array([a["bbox"] for a in predictions["annotations"]])
    np.testing.assert_allclose(boxes[:, :2] + boxes[:, 2:], sure.boxes[:, 2:], atol=2e-3)
    if task == "keypoints":
        shown = np.array([a["keypoints"] for a in predictions["annotations"]]).reshape(len(sure), -1, 3)[..., 2] > 0
        assert (shown == (sure.keypoints[..., 2] >= np.float32(0.05))).all()

    pictures = sorted(path.name for path in (output / "pictures").iterdir())
    assert pictures == ["1.jpg", "3.jpg"]
    with Image.open(output / "pictures/1.jpg") as picture:
        assert picture.size == (960, 720)
    assert f"{len(sure)} detections of at least 0.95 on 3 of 3 images" in said.out
    assert "1 left out" in said.out


def test_a_floor_and_a_precision_of_ones_own(call: Call, tmp_path: Path) -> None:
    for floor, precision in (("0.3", "float32"), ("0.05", "bfloat16")):
        call(
            "predict", "--model", "things.pth", "--input", "photos/1.png", "--output", str(tmp_path / precision),
            "--score-floor", floor, "--precision", precision, "--threads", "1", "--pictures", "0", "--device", "cpu",
        )  # fmt: skip
        assert not (tmp_path / precision / "pictures").exists()
    high, coarse = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("float32", "bfloat16"))
    assert min(result["score"] for result in high) > 0.3
    assert min(result["score"] for result in coarse) < 0.3
    assert not {result["score"] for result in high} <= {result["score"] for result in coarse}


def test_pictures_are_spread_evenly() -> None:
    assert evenly("abcdefghi", 3) == ["a", "e", "i"]
    assert evenly("abc", 5) == evenly("abc", None) == ["a", "b", "c"]
    assert evenly("abc", 1) == ["a"]
    assert evenly("abc", 0) == []


def test_pictures_have_names_of_their_own() -> None:
    images = [
        {"id": 1, "file_name": "a/one.png"},
        {"id": 2, "file_name": "b/one.jpg"},
        {"id": 3, "file_name": "c/two.jpg"},
        {"id": 4, "file_name": "frames/clip.mp4/000005.jpg", "video": "clips/clip.mp4"},
    ]
    assert list(picture_names(images)) == ["one-1.jpg", "one-2.jpg", "two.jpg", "clip-000005.jpg"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "teecher", "--config", "my own.yaml"), "no model named 'teecher'; did you mean 'teacher'"),
        (
            ("--model", "teacher", "--config", "my own.yaml", "--seed", "7"),
            "--seed: 7 is none of the config's seeds: 1",
        ),
        (
            ("--model", "teacher", "--config", "my own.yaml"),
            r"isn't trained yet; train it with: snakemake --cores all --configfile 'my own\.yaml' -- results/own/models/.*pth",
        ),
        (("--model", "teacher"), "'teacher' is a name in a config, which --config must name"),
        (("--model", "absent.pth"), r"--model: absent\.pth: no such file"),
        (("--model", "train.json.pth"), "not a model file of this project"),
        (
            ("--model", "things.pth", "--transforms", "standard"),
            "'standard' is one of a config; name that with --config",
        ),
        (
            ("--model", "things.pth", "--config", "my own.yaml", "--transforms", "standrd"),
            "no transform set named 'standrd'; did you mean 'standard'",
        ),
        (("--model", "things.pth", "--output", "photos"), "photos is not an empty folder; name a new one"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_sentence(
    arguments: tuple[str, ...], message: str, call: Call, root: Path
) -> None:
    (root / "train.json.pth").write_text("{}")
    with pytest.raises(UserError, match=message):
        call("predict", "--input", "photos", "--output", "out", *arguments)
    assert not (root / "out").exists()


def test_an_export_by_name_of_a_file(call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("export", "--model", "things.pth", "--output", str(tmp_path / "exported"))
    assert {path.name for path in (tmp_path / "exported").iterdir()} == {
        "config.yaml", "model.pth", "categories.json", "README.md",
    }  # fmt: skip
    assert "README.md says how to load it" in capsys.readouterr().out
