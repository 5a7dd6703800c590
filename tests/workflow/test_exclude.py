"""Labels that were corrected, on their way back: a split of kind coco that pools of every kind leave out by themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from planning import plan, rules, snakemake

from datadistill.data.corrected import as_source
from datadistill.errors import UserError
from datadistill.exchange.entries import splits_to_add
from datadistill.workflow.config import complete_config
from datadistill.workflow.experiments import Experiments, build_experiments

Config = dict[str, Any]
POOLS = ("photos", "named", "both", "frames", "blind")


def photos(folder: Path, names: list[str], seed: int) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for name in names:
        Image.fromarray(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)).save(folder / name)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with two folders of photos, and an annotated file of one of them, ids from 1."""
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "data" / "photos", [f"{n}.png" for n in range(4)], 1)
    photos(tmp_path / "data" / "more", [f"{n}.png" for n in range(3)], 2)
    images = [{"id": n + 1, "file_name": f"{n}.png", "width": 32, "height": 24} for n in range(3)]
    box = {"category_id": 1, "bbox": [2, 2, 10, 10]}
    annotations = [{"id": n + 1, "image_id": n + 1, **box} for n in range(3)]
    whole = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cell"}]}
    (tmp_path / "data" / "more.json").write_text(json.dumps(whole))
    return tmp_path


def config_of(smallest: Config, place: Path, exclude: list[str], *more: Config) -> tuple[Path, Experiments]:
    more_photos = {"kind": "coco", "task": "objects", "images": "data/more", "annotations": "data/more.json"}
    pools = [
        {"name": "photos", "kind": "folder", "images": "data/photos"},
        {"name": "named", "labelled": False, **more_photos},
        {"name": "both", "kind": "union", "of": ["all-photos", "truth"]},
        {"name": "frames", "kind": "videos", "videos": "rendered", "count": 3, "clips": {"count": 3, "frames": 2}},
        {"name": "blind", "kind": "unlabelled", "of": "truth"},
    ]
    others = [{"name": "all-photos", "kind": "folder", "images": "data/photos"}, {"name": "truth", **more_photos}]
    pools = [{**pool, **({"exclude": exclude} if exclude else {})} for pool in pools]
    config = {**smallest, "splits": [*smallest["splits"], *others, *pools, *more]}
    path = place / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path, build_experiments(complete_config(config))


def images_of(experiments: Experiments, name: str) -> list[dict[str, Any]]:
    return json.loads(Path(experiments.splits[experiments.split_ids[name]].file).read_text())["images"]


def test_a_corrected_file_is_left_out_of_every_kind_of_pool(smallest: Config, place: Path) -> None:
    config, before = config_of(smallest, place, [])
    files = [before.splits[before.split_ids[name]].file for name in POOLS]
    done = snakemake(place, "--cores", "1", "--", *files, config=config)
    assert done.returncode == 0, done.stderr
    all_images = {name: images_of(before, name) for name in POOLS}

    # Two images of each pool come back, as a review gives them: named as the label file does.
    reviewed = [image for name in ("photos", "named", "frames") for image in all_images[name][:2]]
    boxes = [{"image_id": image["id"], "category_id": 1, "bbox": [1, 1, 8, 8]} for image in reviewed]
    labels = {"images": reviewed, "annotations": boxes, "categories": [{"id": 1, "name": "cell"}]}
    corrected = as_source(labels, taken=[1, 2, 3])
    Path("data/corrected.json").write_text(json.dumps(corrected))
    assert all(Path(image["file_name"]).is_file() for image in corrected["images"])
    assert {image["file_name"] for image in corrected["images"]} > {"data/more/0.png", "data/more/1.png"}
    # Ids from 1 are those of the labelled split, too.
    assert min(image["id"] for image in corrected["images"]) > 3

    entry = {
        "name": "corrected",
        "kind": "coco",
        "task": "objects",
        "images": ".",
        "annotations": "data/corrected.json",
    }
    union = {"name": "learned", "kind": "union", "of": ["truth-3", "corrected"]}
    rest = {
        "name": "truth-3",
        "kind": "coco",
        "task": "objects",
        "images": "data/more",
        "annotations": "data/more.json",
    }
    rest = {**rest, "exclude": ["corrected"]}
    config, after = config_of(smallest, place, ["corrected"], entry, rest, union)
    files = [after.splits[after.split_ids[name]].file for name in (*POOLS, "learned")]
    # Frames are not sampled again, and no image of a pool is read again.
    new = plan(place, config, "--", *files)
    assert rules(new) == {"split": 9}
    made = {job.wildcards.split("=")[1].split(".")[0] for job in new}
    assert made == {*POOLS, "corrected", "truth-3", "learned"}
    done = snakemake(place, "--cores", "1", "--", *files, config=config)
    assert done.returncode == 0, done.stderr

    gone = {image["content"] for image in reviewed}
    for name in POOLS:
        left = images_of(after, name)
        assert left == [image for image in all_images[name] if image["content"] not in gone]
        assert len(left) < len(all_images[name])
        split = after.splits[after.split_ids[name]]
        ledger = json.loads(Path(after.paths.split_ledger(split.id)).read_text())
        assert len(ledger) == len(all_images[name]) - len(left)
        assert all(row["reason"].startswith("exclude: corrected.") for row in ledger)
    learned = json.loads(Path(files[-1]).read_text())
    assert len(learned["images"]) == 1 + len(reviewed)
    assert all(Path(image["file_name"]).is_file() for image in learned["images"])


def test_names_are_relative_to_the_working_directory_or_to_the_folder_asked_for(place: Path) -> None:
    link = place / "results" / "own" / "images" / "pool.1"
    link.parent.mkdir(parents=True)
    link.symlink_to(place / "data" / "photos")
    outside = place.parent / f"{place.name}-outside"
    photos(outside, ["x.png"], 3)
    (link.parent / "far.1").symlink_to(outside)

    def named(*names: str, folder: Path | None = None) -> list[str]:
        images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
        return [image["file_name"] for image in as_source({"images": images, "annotations": []}, (), folder)["images"]]

    inside, far = "results/own/images/pool.1/0.png", "results/own/images/far.1/x.png"
    assert named(inside, far) == ["data/photos/0.png", far]
    assert named(far, folder=outside) == ["x.png"]
    with pytest.raises(UserError, match=r"0\.png doesn't lie in .*-outside; name a folder that holds all images"):
        named(far, inside, folder=outside)


def test_what_to_write_into_the_config_is_yaml() -> None:
    text = splits_to_add(Path("data/corrected-2.json"), ".", "objects", "labelled", "pool")
    entries = yaml.safe_load("\n".join(line for line in text.splitlines() if line.startswith("  - ")))
    assert entries == [
        {
            "name": "corrected-2",
            "kind": "coco",
            "task": "objects",
            "images": ".",
            "annotations": "data/corrected-2.json",
        },
        {"name": "labelled-and-corrected-2", "kind": "union", "of": ["labelled", "corrected-2"]},
    ]
    assert "`exclude: [corrected-2]` for split pool" in text
