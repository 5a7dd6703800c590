"""Exported models give, without this project, what they give within it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deploy_samples as samples
import detectron2
import numpy as np
import pytest
import tiny
import torch
import yaml

from datadistill.deploy.detector import build_detector, detect
from datadistill.deploy.export import FORMATS
from datadistill.errors import UserError
from datadistill.model import acceleration
from datadistill.model.model_file import read_model
from datadistill.specs import LabellingOptions
from datadistill.tasks.task import get_task

OPTIONS = LabellingOptions().__dict__

try:
    import detectron2.export
except ImportError as error:
    CANNOT_TRACE = f"detectron2 {detectron2.__version__} can't trace here ({error})"
else:
    CANNOT_TRACE = ""
tracing = pytest.mark.skipif(bool(CANNOT_TRACE), reason=CANNOT_TRACE)
PLAIN, EXTENDED = ("frozen norms", "region sampling"), ("frozen proposals", "timm")
TRACED = ("frozen norms", "timm")

# One process for all folders, the plain ones first: each README's code, then images read as users of detectron2 do.
WITH_DETECTRON2 = """
import cv2, numpy, os, torch
torch.backends.mkldnn.set_flags(False)
for folder, readme in FOLDERS.items():
    os.chdir(folder)
    sys.path[0] = folder
    here = {}
    exec(readme, here)
    found = {}
    for path in PATHS:
        instances = here["predictor"](cv2.imread(path))["instances"]
        columns = {"boxes": instances.pred_boxes.tensor, "scores": instances.scores, "classes": instances.pred_classes}
        if instances.has("pred_keypoints"):
            columns["keypoints"] = instances.pred_keypoints
        found |= {f"{path}:{name}": column.numpy() for name, column in columns.items()}
    numpy.savez("found.npz", **found)
"""
# Each README's code, once for every image.
WITH_TORCH = """
import numpy, os, shutil, torch
torch.backends.mkldnn.set_flags(False)
for folder, readme in FOLDERS.items():
    os.chdir(folder)
    found = {}
    for path in PATHS:
        shutil.copyfile(path, "photo.jpg")
        here = {}
        exec(readme, here)
        columns = {name: here[name] for name in ("boxes", "scores", "classes", "keypoints") if name in here}
        found |= {f"{path}:{name}": column.numpy() for name, column in columns.items()}
    numpy.savez("found.npz", **found)
"""


@pytest.fixture(scope="module", autouse=True)
def _exact_arithmetic() -> Iterator[None]:
    """As in tests/label, and with detectron2's own modules: a random network makes much of the last bits.

    That faster modules compute the same is for tests/model/test_acceleration.py, in double precision, which detectron2's
    predictor can't do.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.backends.mkldnn.flags(enabled=False), pytest.MonkeyPatch.context() as patch:
        patch.setattr(acceleration, "accelerate", lambda model, memory_format: None)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def networks() -> dict[str, tiny.Network]:
    return {"keypoints": tiny.build("keypoints", tiny.PERSON, 1), "objects": tiny.build("objects", tiny.OBJECTS, 2)}


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return samples.photos(tmp_path_factory.mktemp("pool") / "photos")


def model_file(kind: str, folder: Path, networks: dict[str, tiny.Network]) -> Path:
    """A model file of each kind of network."""
    people, things = networks["keypoints"], networks["objects"]
    path = folder / f"{kind}.pth"
    if kind == "frozen norms":
        return samples.write(path, "keypoints", people, samples.frozen(people))
    if kind == "frozen proposals":
        return samples.write(path, "keypoints", people, samples.with_frozen_proposals(people))
    if kind == "region sampling":
        return samples.write(path, "objects", things, samples.of_region_sampling(things))
    return samples.write(path, "objects", tiny.build("objects", tiny.OBJECTS, 3, samples.TIMM))


def compare(saved: dict[str, Any], folder: Path, split: dict[str, Any]) -> None:
    """Assert that what was found without this project is what it finds itself, as `model.py predict` does."""
    ours = detect(build_detector(saved, get_task(saved["spec"]["task"]), "cpu"), split, OPTIONS)
    categories = np.array([category["id"] for category in json.loads((folder / "categories.json").read_text())])
    found = np.load(folder / "found.npz")
    for index, image in enumerate(split["images"]):
        expected = ours.select(ours.image_index == index)
        theirs = {name: found[f"{image['file_name']}:{name}"] for name in ("boxes", "scores", "classes")}
        assert categories[theirs["classes"]].tolist() == expected.categories.tolist()
        np.testing.assert_allclose(theirs["scores"], expected.scores, atol=1e-4)
        np.testing.assert_allclose(theirs["boxes"], expected.boxes, atol=1e-4)
        assert (f"{image['file_name']}:keypoints" in found) == (expected.keypoints is not None)
        if expected.keypoints is not None:
            np.testing.assert_allclose(found[f"{image['file_name']}:keypoints"], expected.keypoints, atol=1e-4)
    assert len(ours) > 20


@dataclass(frozen=True)
class Exported:
    """Model files by kind, the folders that they were exported to, and what the programs that loaded them said."""

    models: dict[str, Path]
    folders: dict[str, Path]
    done: subprocess.CompletedProcess[str]


def export_all(
    root: Path,
    kinds: tuple[str, ...],
    form: str,
    networks: dict[str, tiny.Network],
    split: dict[str, Any],
    *unknown: str,
) -> Exported:
    """Export a model of each kind, and let one process that knows nothing of this project load them all."""
    models = {kind: model_file(kind, root, networks) for kind in kinds}
    folders = {kind: root / f"exported {kind}" for kind in kinds}
    for kind in kinds:
        FORMATS[form](read_model(models[kind]), folders[kind])
    readmes = {str(folder): samples.readme_code(folder) for folder in folders.values()}
    paths = [image["file_name"] for image in split["images"]]
    code = {"detectron2": WITH_DETECTRON2, "torchscript": WITH_TORCH}[form]
    done = samples.run_apart(root, f"FOLDERS, PATHS = {readmes!r}, {paths!r}\n{code}", *unknown)
    return Exported(models, folders, done)


@pytest.fixture(scope="module")
def for_detectron2(
    networks: dict[str, tiny.Network], split: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Exported:
    return export_all(tmp_path_factory.mktemp("detectron2"), (*PLAIN, *EXTENDED), "detectron2", networks, split)


@pytest.fixture(scope="module")
def for_torch(
    networks: dict[str, tiny.Network], split: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Exported:
    root = tmp_path_factory.mktemp("torchscript")
    return export_all(root, TRACED, "torchscript", networks, split, "detectron2", "timm")


@pytest.mark.parametrize("kind", [*PLAIN, *EXTENDED])
def test_plain_detectron2_gives_the_same(kind: str, for_detectron2: Exported, split: dict[str, Any]) -> None:
    assert for_detectron2.done.returncode == 0, for_detectron2.done.stderr
    saved, folder = read_model(for_detectron2.models[kind]), for_detectron2.folders[kind]
    compare(saved, folder, split)
    files = {"config.yaml", "model.pth", "categories.json", "README.md", "found.npz"}
    companions = {"frozen proposals": {"frozen_proposals.py"}, "timm": {"timm_backbone.py"}}
    assert {path.name for path in folder.iterdir() if path.is_file()} == files | companions.get(kind, set())
    # What remains to be known stands in the README, and nothing of this project in any file.
    readme = (folder / "README.md").read_text()
    assert all(category["name"] in readme for category in saved["categories"])
    assert not [path for path in folder.glob("*.*") if b"datadistill" in path.read_bytes()]
    weights = torch.load(folder / "model.pth", weights_only=True)["model"]
    assert weights.keys() == saved["model"].keys()


def test_what_detectron2_lacks_is_refused_without_its_module(for_detectron2: Exported) -> None:
    folder = for_detectron2.folders["timm"]
    assert (folder / "config.yaml").read_text().startswith("# Needs timm_backbone.py beside it")
    code = """
from detectron2.config import get_cfg
from detectron2.modeling import build_model
for allowed in (False, True):
    cfg = get_cfg()
    cfg.set_new_allowed(allowed)
    try:
        cfg.merge_from_file("config.yaml")
        build_model(cfg)
    except Exception as error:
        print(error)
"""
    done = samples.run_apart(folder, code)
    assert done.returncode == 0, done.stderr
    strict, forced = done.stdout.splitlines()
    assert "Non-existent config key: MODEL.TIMM" in strict
    assert "No object named 'build_timm_fpn_backbone' found in 'BACKBONE' registry" in forced


def test_a_config_holds_what_differs_and_no_schedule(networks: dict[str, tiny.Network], tmp_path: Path) -> None:
    folder = tmp_path / "exported"
    FORMATS["detectron2"](
        read_model(samples.write(tmp_path / "trained.pth", "keypoints", networks["keypoints"])), folder
    )
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert set(config) <= {"VERSION", "MODEL", "INPUT", "TEST"}
    assert config["INPUT"]["MIN_SIZE_TEST"] == tiny.TEST_SCALE.short_side
    assert config["MODEL"]["ROI_KEYPOINT_HEAD"]["NUM_KEYPOINTS"] == len(tiny.NAMES)
    assert "PIXEL_STD" not in config["MODEL"]


def test_a_part_of_somebody_elses_cannot_be_exported(networks: dict[str, tiny.Network], tmp_path: Path) -> None:
    from detectron2.modeling import ROI_HEADS_REGISTRY, StandardROIHeads

    class OthersHeads(StandardROIHeads):
        pass

    ROI_HEADS_REGISTRY.register(OthersHeads)
    cfg = networks["keypoints"][1].clone()
    cfg.MODEL.ROI_HEADS.NAME = "OthersHeads"
    made = {"cfg": cfg, "tensors": networks["keypoints"][0].state_dict()}
    path = samples.write(tmp_path / "trained.pth", "keypoints", networks["keypoints"], made)
    with pytest.raises(UserError, match=r"MODEL\.ROI_HEADS\.NAME: OthersHeads is defined in test_export"):
        FORMATS["detectron2"](read_model(path), tmp_path / "exported")
    assert not (tmp_path / "exported").exists()


@tracing
@pytest.mark.parametrize("kind", TRACED)
def test_torchscript_gives_the_same_without_detectron2(kind: str, for_torch: Exported, split: dict[str, Any]) -> None:
    assert for_torch.done.returncode == 0, for_torch.done.stderr
    compare(read_model(for_torch.models[kind]), for_torch.folders[kind], split)


@tracing
def test_a_trace_that_depends_on_the_size_is_refused(
    networks: dict[str, tiny.Network], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detectron2.modeling import FPN

    forward = FPN.forward

    def narrow(self: FPN, x: torch.Tensor) -> dict[str, torch.Tensor]:
        # A Python number of the traced image's size stays in the trace.
        return {name: feature + int(x.shape[-1]) / 1000 for name, feature in forward(self, x).items()}

    monkeypatch.setattr(FPN, "forward", narrow)
    path = samples.write(tmp_path / "trained.pth", "keypoints", networks["keypoints"])
    with pytest.raises(UserError, match="torchscript: the traced network gives other detections on an image of"):
        FORMATS["torchscript"](read_model(path), tmp_path / "exported")


def test_a_detectron2_that_cannot_trace_says_so(
    networks: dict[str, tiny.Network], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "detectron2.export", None)
    monkeypatch.delitem(sys.modules, "datadistill.deploy.torchscript", raising=False)
    path = samples.write(tmp_path / "trained.pth", "keypoints", networks["keypoints"])
    with pytest.raises(
        UserError, match=r"torchscript: this detectron2 can't trace \(.*detectron2\.export.*envs/README\.md"
    ):
        FORMATS["torchscript"](read_model(path), tmp_path / "exported")
