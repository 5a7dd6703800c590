"""Photos that lie in two splits: all are found at once, and the lists of ids to leave out work as they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datadistill.data.coco import read_ids
from datadistill.data.duplicates import Duplicate, find_duplicates, refuse
from datadistill.data.sources import from_coco
from datadistill.data.specs import CocoSplit
from datadistill.errors import UserError

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def split(*images: tuple[int, str]) -> dict[str, Any]:
    """A split of COCO images given as (id, content)."""
    return {
        "images": [
            {"id": i, "dataset": "coco", "content": c, "file_name": f"{i}.jpg", "width": 4, "height": 3}
            for i, c in images
        ],
        "annotations": [],
        "categories": [],
    }


SPLITS = {
    "train": split((1, "a"), (2, "b"), (3, "c")),
    "pool": split((11, "b"), (12, "x"), (13, "c"), (14, "v")),
    "val": split((21, "v"), (22, "a"), (23, "w")),
}
PAIRS = [("train", "val"), ("pool", "val"), ("train", "pool")]


def test_all_duplicates_of_a_run_are_found_at_once() -> None:
    found = find_duplicates(SPLITS, PAIRS, {"val"})
    # Nothing is taken from what judges; of labelled and unlabelled images, nothing from the labelled.
    assert {name: [d.image_id for d in duplicates] for name, duplicates in found.items()} == {
        "train": [1],
        "pool": [11, 13, 14],
    }
    assert found["pool"][0] == Duplicate(11, "11.jpg", "train", "2.jpg")


def test_without_what_is_listed_nothing_is_shared() -> None:
    left = dict(SPLITS)
    found = find_duplicates(SPLITS, PAIRS, {"val"})
    for name, duplicates in found.items():
        dropped = {duplicate.image_id for duplicate in duplicates}
        kept = [image for image in SPLITS[name]["images"] if image["id"] not in dropped]
        left[name] = {**SPLITS[name], "images": kept}
    assert find_duplicates(left, PAIRS, {"val"}) == {}


def test_the_sentence_says_where_the_list_goes() -> None:
    found = find_duplicates(SPLITS, PAIRS, {"val"})
    lists = {name: f"results/run/duplicates/{name}.txt" for name in found}
    with pytest.raises(UserError) as caught:
        refuse(found, lists, {"pool": ["un-120"], "train": ["co-35", "co-80"]})
    text = str(caught.value)
    assert "pool shares 3 images with train, val (11.jpg is 2.jpg)" in text
    assert "give split un-120 drop_ids: [results/run/duplicates/pool.txt]" in text
    assert "train shares 1 image with val" in text
    assert "give split whichever of co-35, co-80 has them drop_ids: [results/run/duplicates/train.txt]" in text
    with pytest.raises(UserError, match="take the files out of its folder"):
        refuse(found, lists, {})
    refuse({}, {}, {})


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    """Two COCO files over photos of which one lies in both, under another id."""
    for folder, ids in (("train", (1, 2, 3)), ("unlabeled", (7, 8, 9))):
        (tmp_path / folder).mkdir()
        images = []
        for i in ids:
            Image.new("RGB", (40, 30), (9 * i if i != 8 else 18, 0, 0)).save(tmp_path / folder / f"{i}.png")
            images.append({"id": i, "file_name": f"{i}.png", "width": 40, "height": 30})
        (tmp_path / f"{folder}.json").write_text(json.dumps({"images": images}))
    return tmp_path


def make(folder: Path, name: str, drop_ids: list[str]) -> Path:
    """A split as the workflow makes it from a COCO file."""
    spec = CocoSplit(
        name=name,
        task="objects",
        images=str(folder / name),
        annotations=str(folder / f"{name}.json"),
        labelled=False,
        drop_ids=tuple(drop_ids),
        dataset="coco",
    )
    made = from_coco(spec, images=spec.images)
    path = folder / f"{name}-split.json"
    path.write_text(json.dumps(made.split))
    return path


def test_the_offered_list_is_ready_to_use(releases: Path) -> None:
    train, pool = make(releases, "train", []), make(releases, "unlabeled", [])
    command = [sys.executable, str(SCRIPTS / "find_duplicates.py"), "--first", str(train), "--second", str(pool)]
    command += ["--sources", json.dumps({str(pool): ["un-120"]}), "--lists", str(releases / "duplicates")]
    command += ["--output", str(releases / "report.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    offered = releases / "duplicates" / "unlabeled-split.txt"
    assert f"give split un-120 drop_ids: [{offered}]" in done.stderr
    assert read_ids(offered) == [8]
    assert not (releases / "report.json").exists()
    make(releases, "unlabeled", [str(offered)])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((releases / "report.json").read_text())["pairs"][0]["shared"] == 0
