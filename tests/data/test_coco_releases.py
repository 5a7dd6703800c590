"""The paper's splits of COCO: against the real ids, and from folders laid out as the releases are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datadistill.data import coco_releases
from datadistill.data.coco import read_ids
from datadistill.data.coco_releases import check_part, part_ids
from datadistill.data.sources import from_release
from datadistill.data.specs import CocoRelease
from datadistill.data.splits import Made
from datadistill.errors import UserError

IDS = Path(__file__).resolve().parents[3] / "shared" / "data" / "coco-ids"
needs_ids = pytest.mark.skipif(not IDS.is_dir(), reason="needs shared/data/coco-ids, which isn't here")
# The lists lack one image of co-80, hence of co-115.
LISTED = {"co-80": 82_782, "co-35": 35_504, "co-115": 118_286, "val2017": 5_000}


def real_ids() -> dict[str, set[int]]:
    return {name: set(read_ids(IDS / f"{name}.txt")) for name in LISTED}


def release_of(ids: dict[str, set[int]]) -> Callable[[str], set[int]]:
    return {"train2014": ids["co-80"], "val2017": ids["val2017"]}.__getitem__


@needs_ids
@pytest.mark.parametrize("part", ["co-35", "co-80", "co-115"])
def test_parts_of_the_real_ids(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = real_ids()
    chosen = part_ids(part, ids["co-115"], release_of(ids))
    assert chosen == ids[part]
    monkeypatch.setattr(coco_releases, "OFFICIAL_COUNTS", LISTED)
    check_part(part, chosen, ids["val2017"])


@needs_ids
def test_a_count_that_is_off_by_one_is_an_error() -> None:
    ids = real_ids()
    with pytest.raises(UserError, match="co-80 has 82,782 images, 82,783 are expected"):
        check_part("co-80", ids["co-80"], ids["val2017"])
    # With the missing image stood in for, the official count holds.
    check_part("co-80", ids["co-80"] | {max(ids["co-115"]) + 1}, ids["val2017"])


def test_an_annotation_file_that_lacks_images_of_its_release_is_refused() -> None:
    with pytest.raises(UserError, match="co-80: 1 images of train2014 aren't in its annotation file, 7 for one"):
        part_ids("co-80", [1, 2], lambda release: {1, 7})


def lay_out(root: Path) -> None:
    """COCO in small: train2014 = {1, 2}, val2014 = {3, 4, 5}, val2017 = {5}, unlabeled2017 = {8, 9}."""
    folders = {"train2017": (1, 2, 3, 4), "val2017": (5,), "unlabeled2017": (8, 9)}
    images = {
        i: {"id": i, "file_name": f"{i:012d}.jpg", "width": 8, "height": 6} for part in folders.values() for i in part
    }
    category = {"id": 1, "name": "person", "keypoints": ["nose"], "skeleton": []}

    def write(name: str, ids: tuple[int, ...], **extra: Any) -> None:
        (root / "annotations").mkdir(parents=True, exist_ok=True)
        (root / "annotations" / f"{name}.json").write_text(json.dumps({"images": [images[i] for i in ids], **extra}))

    for folder, ids in folders.items():
        (root / folder).mkdir(parents=True)
        for i in ids:
            pixels = np.random.default_rng(i).integers(0, 255, (6, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / folder / f"{i:012d}.jpg")
    for release in ("train2017", "val2017"):
        ids = folders[release]
        people = [
            {
                "id": i,
                "image_id": i,
                "category_id": 1,
                "bbox": [1, 1, 4, 4],
                "area": 9,
                "keypoints": [2, 2, 2],
                "iscrowd": 0,
            }
            for i in ids
        ]
        write(f"person_keypoints_{release}", ids, annotations=people, categories=[category])
        write(f"instances_{release}", ids, annotations=[], categories=[category])
    write("instances_train2014", (1, 2))
    write("image_info_unlabeled2017", (8, 9))


def make(root: Path, part: str, **values: Any) -> Made:
    spec = CocoRelease(name=part, part=part, task="keypoints", data_root=str(root), num_keypoints=1, **values)
    return from_release(spec, images=str(spec.folder()))


def test_parts_from_a_data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(tmp_path)
    small = {"co-80": 2, "co-35": 2, "co-115": 4, "un-120": 2, "val2017": 1}
    monkeypatch.setattr(coco_releases, "OFFICIAL_COUNTS", small)
    expected = {"co-80": [1, 2], "co-35": [3, 4], "co-115": [1, 2, 3, 4], "un-120": [8, 9], "val2017": [5]}
    for part, ids in expected.items():
        split = make(tmp_path, part).split
        assert [image["id"] for image in split["images"]] == ids
        assert [a["image_id"] for a in split["annotations"]] == ([] if part == "un-120" else ids)
        assert {image["dataset"] for image in split["images"]} == {"coco"}
    monkeypatch.setattr(coco_releases, "OFFICIAL_COUNTS", {**small, "co-35": 3})
    with pytest.raises(UserError, match="co-35 has 2 images, 3 are expected"):
        make(tmp_path, "co-35")


def test_ids_to_drop_are_left_out_after_the_count_and_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(tmp_path)
    monkeypatch.setattr(coco_releases, "OFFICIAL_COUNTS", {"co-115": 4})
    (tmp_path / "same.txt").write_text("2\n")
    made = make(tmp_path, "co-115", drop_ids=(str(tmp_path / "same.txt"),))
    assert [image["id"] for image in made.split["images"]] == [1, 3, 4]
    assert [a["image_id"] for a in made.split["annotations"]] == [1, 3, 4]
    assert [row["reason"] for row in made.ledger] == ["drop_ids"]
    assert str(made.ledger[0]["file_name"]).endswith("000000000002.jpg")


def test_a_part_that_shares_an_image_with_val2017_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(tmp_path)
    path = tmp_path / "annotations" / "instances_val2017.json"
    path.write_text(path.read_text().replace('"id": 5', '"id": 3'))
    monkeypatch.setattr(coco_releases, "OFFICIAL_COUNTS", {"co-35": 2})
    with pytest.raises(UserError, match="co-35 and val2017 share 1 images, 3"):
        make(tmp_path, "co-35")
