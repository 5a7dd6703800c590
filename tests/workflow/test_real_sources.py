"""Data and weights from outside: what a run asks for, what it says when something is missing, and the door for videos."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from planning import REPOSITORY, plan, rules, snakemake

from datadistill.data.coco_releases import PARTS, missing_files
from datadistill.data.downloads import read_downloads
from datadistill.data.make import make_split
from datadistill.data.specs import CocoRelease, VideosSplit
from datadistill.errors import UserError
from datadistill.files import canonical_json
from datadistill.workflow.config import complete_config
from datadistill.workflow.experiments import Experiments, build_experiments
from datadistill.workflow.outside import checked_anew, file_state, reach_outside

Config = dict[str, Any]


def build(config: Config) -> Experiments:
    return build_experiments(complete_config(config))


def with_split(config: Config, **entry: Any) -> Config:
    return {**config, "splits": [*config["splits"], {"name": "new", **entry}]}


def split_of(config: Config, **entry: Any) -> Any:
    experiments = build(with_split(config, **entry))
    return experiments.splits[experiments.split_ids["new"]]


def inputs_of(config: Config, **entry: Any) -> tuple[str, ...]:
    """The files that the rule of a split reads."""
    split = split_of(config, **entry)
    downloads = (split.paths.fetched(name) for name in split.downloads)
    return (*split.scenes, *split.clips, *downloads, *(source.file for source in split.sources))


# --- COCO's releases


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_coco_becomes_a_split_without_touching_the_disk(smallest: Config, part: str) -> None:
    split = split_of(smallest, kind="coco_release", part=part, task="keypoints")
    assert (split.spec.part, split.spec.data_root, split.spec.num_keypoints) == (part, "data/coco", None)
    assert inputs_of(smallest, kind="coco_release", part=part, task="keypoints") == ()


def test_where_the_data_lie_is_no_part_of_a_name(smallest: Config) -> None:
    here = split_of(smallest, kind="coco_release", part="co-35", task="keypoints")
    there = split_of(
        {**smallest, "data_root": "/elsewhere", "fetch": True}, kind="coco_release", part="co-35", task="keypoints"
    )
    assert here.id == there.id
    assert there.spec.data_root == "/elsewhere"
    assert here.id != split_of(smallest, kind="coco_release", part="co-35", task="objects").id


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    spec = CocoRelease(name="co-35", part="co-35", task="keypoints", data_root=str(tmp_path))
    with pytest.raises(UserError) as caught:
        make_split(spec, {}, images=str(tmp_path))
    message = str(caught.value)
    assert all(
        word in message
        for word in (str(tmp_path), "instances_train2014.json", "train2017/", "data_root", "fetch: true")
    )
    for file in missing_files("co-35", "keypoints", tmp_path):
        path = tmp_path / file
        path.mkdir(parents=True) if file.endswith("/") else (path.parent.mkdir(exist_ok=True), path.touch())
    assert missing_files("co-35", "keypoints", tmp_path) == []
    assert "unlabeled2017/" in missing_files("un-120", "objects", tmp_path)


@pytest.mark.parametrize("task", ["keypoints", "objects"])
def test_downloads_bring_all_that_a_part_needs(task: str) -> None:
    known = read_downloads(REPOSITORY / "config" / "downloads.yaml")
    for part, place in PARTS.items():
        brought = {path for name in place.downloads for path in known[name].holds or {}}
        needed = {path.rstrip("/") for path in missing_files(part, task, "/nowhere")}
        assert needed <= brought, part


def test_downloads_are_asked_for_only_when_the_config_says_so(smallest: Config) -> None:
    asked = inputs_of({**smallest, "fetch": True}, kind="coco_release", part="un-120", task="keypoints")
    assert sorted(asked) == [
        f"results/downloads/{name}.json"
        for name in ("coco-annotations2017", "coco-image-info-unlabeled2017", "coco-unlabeled2017")
    ]


def test_what_is_there_already_is_not_fetched(smallest: Config, tmp_path: Path) -> None:
    """The rule itself; nothing of it may touch the network."""
    file = tmp_path / "coco" / "annotations" / "instances_train2014.json"
    file.parent.mkdir(parents=True)
    file.touch()
    config = with_split(smallest, kind="coco_release", part="co-80", task="objects") | {
        "fetch": True,
        "data_root": "coco",
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    record = "results/downloads/coco-annotations2014.json"
    done = snakemake(tmp_path, "--cores", "1", "--", record, config=path)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads((tmp_path / record).read_text())
    assert found["found"] == ["annotations/instances_train2014.json"]


# --- a user's own data


def test_what_a_user_has_is_no_input_but_its_change_is_seen(smallest: Config, tmp_path: Path) -> None:
    listed = tmp_path / "bad.txt"
    entry = {"kind": "coco", "images": "photos", "annotations": "a.json", "task": "objects"}
    assert inputs_of(smallest, **entry, drop_ids=[str(listed)]) == ()
    files = split_of(smallest, **entry, drop_ids=[str(listed)]).spec.files()
    assert [file_state(path) for path in files] == ["absent", "absent"]
    listed.write_text("1\n")
    first = [file_state(path) for path in files]
    listed.write_text("1\n2\n")
    assert first[0] == "absent"
    assert first != [file_state(path) for path in files]


def test_an_edited_annotation_of_pascal_voc_makes_the_split_again(smallest: Config, tmp_path: Path) -> None:
    folder = tmp_path / "Annotations"
    entry = {"kind": "voc", "images": "photos", "annotations": str(folder), "categories": ["cell"]}
    files = split_of(smallest, **entry).spec.files()
    assert [file_state(path) for path in files] == ["absent"]
    folder.mkdir()
    (folder / "a.xml").write_text("<annotation/>")
    first = [file_state(path) for path in files]
    assert [file_state(path) for path in files] == first
    (folder / "a.xml").write_text("<annotation> </annotation>")
    assert [file_state(path) for path in files] != first
    # Those of a pool are not read, but name its images where no list does.
    assert split_of(smallest, **entry, labelled=False).spec.files() == (str(folder),)
    listed = {**entry, "labelled": False, "list": str(tmp_path / "list.txt")}
    assert split_of(smallest, **listed).spec.files() == (listed["list"],)


# --- videos


def test_a_folder_of_videos_is_no_input(smallest: Config) -> None:
    entry = {"kind": "videos", "videos": "data/clips", "count": 9, "seed": 4, "jpeg_quality": 80, "max_size": 640}
    spec = split_of(smallest, **entry).spec
    assert isinstance(spec, VideosSplit)
    assert (spec.videos, spec.dataset, spec.seed, spec.count, spec.jpeg_quality, spec.max_size) == (
        *("data/clips", "new", 4, 9, 80, 640),
    )
    assert inputs_of(smallest, **entry) == ()


def test_rendered_clips_come_through_the_same_door(smallest: Config, tmp_path: Path) -> None:
    clips = {"count": 4, "frames": 2, "size": [64, 64]}
    entry = {"kind": "videos", "videos": "rendered", "count": 3, "clips": clips}
    config = with_split(smallest, **entry)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    experiments = build(config)
    split_id = experiments.split_ids["new"]
    target = experiments.paths.split(split_id)
    planned = rules(plan(tmp_path, path, "--", target))
    assert planned == {"render_clips": 1, "sample_frames": 1}
    done = snakemake(tmp_path, "--cores", "1", "--", target, config=path)
    assert done.returncode == 0, done.stderr
    split = json.loads((tmp_path / target).read_text())
    assert len({image["video"] for image in split["images"]}) == 3
    assert split["annotations"] == []
    assert all((tmp_path / image["file_name"]).is_file() for image in split["images"])
    assert json.loads((tmp_path / experiments.paths.split_ledger(split_id)).read_text()) == []
    other = {**entry, "clips": {**clips, "seed": 1}}
    assert split_id != split_of(smallest, **other).id


# --- initial weights


def with_weights(config: Config, backbone: str, **entry: Any) -> Config:
    changed = copy.deepcopy(config)
    changed["defaults"]["keypoints"]["initial"] = "imagenet"
    changed["defaults"]["keypoints"]["network"] = {"backbone": backbone}
    changed["weights"] = [{"name": backbone, **entry}]
    return changed


@pytest.mark.parametrize(
    ("backbone", "entry", "file"),
    [
        ("R-50", {"url": "https://example.org/R-50.pkl"}, "R-50.weights"),
        ("timm:resnet18", {"path": "package:somewhere/a.safetensors"}, "timm-resnet18.weights"),
        ("X-101-32x4d", {"path": "mine.pth", "release": "2"}, "X-101-32x4d@2.weights"),
    ],
)
def test_any_backbone_s_weights_reach_training_by_config_alone(
    smallest: Config, backbone: str, entry: Config, file: str
) -> None:
    weights = build(with_weights(smallest, backbone, **entry)).model("teacher", 1, "test").initial
    assert weights.file == f"results/weights/{file}"
    assert weights.source == {"name": backbone, **entry}


@pytest.mark.parametrize("entry", [{}, {"path": "a.pkl", "url": "https://example.org/a.pkl"}])
def test_weights_have_one_source(smallest: Config, entry: Config) -> None:
    with pytest.raises(UserError, match=r"weights: R-50: give exactly one of: path or url"):
        build(with_weights(smallest, "R-50", **entry))


def test_weights_are_checked_put_in_place_and_recorded(tmp_path: Path) -> None:
    source = tmp_path / "source" / "R-50.pkl"
    source.parent.mkdir()
    source.write_bytes(pickle.dumps({"conv1_w": np.ones(3, np.float32)}))
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    output, record = tmp_path / "weights" / "R-50.pkl", tmp_path / "weights" / "R-50.json"

    def run(**entry: str) -> subprocess.CompletedProcess[str]:
        script = [sys.executable, str(REPOSITORY / "scripts" / "get_weights.py")]
        note = tmp_path / "note.json"
        note.write_text(canonical_json({"source": {"name": "R-50", **entry}, "networks": []}), encoding="utf-8")
        arguments = ["--source", str(note), "--output", str(output), "--record", str(record)]
        return subprocess.run([*script, *arguments], capture_output=True, text=True, check=False)

    assert run(path=str(source), sha256=digest[:8]).returncode == 0
    assert output.read_bytes() == source.read_bytes()
    size = source.stat().st_size
    assert json.loads(record.read_text()) == {"source": str(source), "sha256": digest, "size": size, "fits": []}
    assert sorted(path.name for path in output.parent.rglob("*") if path.is_file()) == ["R-50.json", "R-50.pkl"]
    wrong = run(path=str(source), sha256="0" * 64)
    assert wrong.returncode == 2
    assert f"SHA-256 is {digest}, the config says 000" in wrong.stderr
    # The same file from elsewhere, also after Snakemake deleted the output.
    output.unlink()
    moved = source.rename(tmp_path / "moved (1)")
    assert run(path=str(moved)).returncode == 0
    assert json.loads(record.read_text())["source"] == str(moved)
    # Another file under the name that models began with.
    moved.write_bytes(pickle.dumps({"conv1_w": np.zeros(3, np.float32)}))
    other = run(path=str(moved))
    assert other.returncode == 2
    assert other.stderr.count("\n") == 1
    assert "give other weights a `release`" in other.stderr
    assert json.loads(record.read_text())["sha256"] == digest
    assert output.stat().st_size == size


def test_weights_in_place_are_compared_with_what_the_config_says_now(
    smallest: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.pth").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()

    def reach(**entry: str) -> dict[str, Any]:
        experiments = build(with_weights(smallest, "R-50", **entry))
        reach_outside(experiments)
        return json.loads(Path(experiments.paths.weights_source("R-50")).read_text(encoding="utf-8"))

    note = reach(path="mine.pth")
    assert note["source"] == {"name": "R-50", "path": "mine.pth"}
    assert [(entry["task"], entry["network"]["backbone"]) for entry in note["networks"]] == [("keypoints", "R-50")]
    # As the rule leaves them.
    Path("results/weights").mkdir()
    Path("results/weights/R-50.weights").write_bytes(b"weights")
    record = {"source": "mine.pth", "sha256": digest, "size": 7}
    Path("results/weights/R-50.json").write_text(json.dumps(record), encoding="utf-8")
    (tmp_path / "moved.pth").write_bytes(b"weights")
    for entry in ({"path": "mine.pth"}, {"path": "moved.pth"}, {"path": "gone.pth", "sha256": digest[:8]}):
        reach(**entry)
    (tmp_path / "moved.pth").write_bytes(b"others")
    for entry in ({"path": "moved.pth"}, {"path": "mine.pth", "sha256": "0123abcd"}):
        with pytest.raises(
            UserError, match=f"models began with {digest} as R-50.weights; give other weights a `release`"
        ):
            reach(**entry)


def test_models_that_were_compared_anew_are_told(
    smallest: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    experiments = build(smallest)
    ids = list(experiments.models)
    for name in ids:
        for path in (experiments.paths.leaks(name), experiments.paths.model(name)):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).touch()
            os.utime(path, (100, 100))
    assert checked_anew(experiments, 200) == []
    os.utime(experiments.paths.leaks(ids[0]), (300, 300))
    assert checked_anew(experiments, 200) == [ids[0]]
    os.utime(experiments.paths.model(ids[0]), (400, 400))
    assert checked_anew(experiments, 200) == []


# --- names of evaluations, rows and targets


def test_an_unknown_mode_is_named(smallest: Config) -> None:
    smallest["tables"][1]["rows"][1]["mode"] = "augmentd"
    with pytest.raises(
        UserError, match=r"tables: augmentation: row 2: mode: there is no transform set named 'augmentd'"
    ):
        build(smallest)


def test_a_row_can_have_a_baseline_of_its_own(smallest: Config) -> None:
    smallest["tables"][0]["rows"][1]["baseline"] = 5
    with pytest.raises(UserError, match=r"tables: table1a: row 2: baseline: there is no row 5"):
        build(smallest)


def test_a_table_and_a_figure_share_no_name(smallest: Config) -> None:
    smallest["figures"][0]["name"] = "table1a"
    with pytest.raises(UserError, match=r"'table1a' is given twice"):
        build(smallest)


def test_a_target_can_t_be_called_like_a_rule(smallest: Config, tmp_path: Path) -> None:
    smallest["figures"][0]["name"] = "train"
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(smallest))
    done = snakemake(tmp_path, "--dry-run", config=path)
    assert done.returncode != 0
    assert "a rule is called 'train'; choose another name" in done.stdout + done.stderr
