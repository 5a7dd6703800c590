"""What `exclude` leaves out of a split: the same images by content or by data set and id, with their annotations, into the ledger."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from datadistill.data.exclusion import leave_out
from datadistill.data.make import make_split
from datadistill.data.sources import from_coco
from datadistill.data.specs import CocoSplit, parse_split_spec, read_split_spec
from datadistill.data.splits import Split
from datadistill.errors import UserError


@pytest.fixture
def whole(folder: Path) -> Split:
    """A split of four annotated images, with ids 10 to 40."""
    images = str(folder / "images")
    spec = CocoSplit(name="toy", images=images, annotations=str(folder / "a.json"), task="keypoints")
    return from_coco(spec, images=images).split


def only(split: Split, *ids: int, **edit: Any) -> Split:
    """Some images of a split, each with some fields changed."""
    images = [{**image, **edit} for image in split["images"] if image["id"] in ids]
    return {**copy.deepcopy(split), "images": images, "annotations": []}


def ids(split: Split) -> list[int]:
    return [image["id"] for image in split["images"]]


def test_images_go_by_content_or_by_data_set_and_id(whole: Split) -> None:
    # A copy under another id in another data set; and the same id of the same data set, written anew.
    copied = only(whole, 20, id=7, dataset="elsewhere", file_name="copy.jpg")
    rewritten = only(whole, 30, content="0" * 32)
    made = leave_out(whole, {"first": copied, "second": rewritten})
    assert ids(made.split) == [10, 40]
    assert [annotation["image_id"] for annotation in made.split["annotations"]] == [10, 40]
    assert [row["reason"] for row in made.ledger] == [
        "exclude: first has it as copy.jpg",
        f"exclude: second has it as {whole['images'][2]['file_name']}",
    ]
    assert [row["file_name"] for row in made.ledger] == [image["file_name"] for image in whole["images"][1:3]]
    assert made.split["categories"] == whole["categories"]


def test_equal_ids_of_different_data_sets_are_different_images(whole: Split) -> None:
    other = only(whole, 20, dataset="elsewhere", content="0" * 32)
    made = leave_out(whole, {"other": other})
    assert made.split == whole
    assert made.ledger == []


def test_a_split_of_which_nothing_is_left_is_refused(whole: Split) -> None:
    with pytest.raises(UserError, match=r"splits: pool: exclude: each of its 4 images is in all, so none is left"):
        leave_out(whole, {"all": whole}, "pool")


def test_the_script_s_spec_is_made(whole: Split, folder: Path) -> None:
    inputs = {}
    for name, split in {"pool.1": whole, "corrected.2": only(whole, 40)}.items():
        inputs[name] = str(folder / f"{name}.json")
        Path(inputs[name]).write_text(json.dumps(split))
    spec = parse_split_spec(
        json.dumps({"name": "pool", "kind": "exclusion", "of": "pool.1", "without": ["corrected.2"]})
    )
    made = make_split(spec, inputs, images="unused")
    assert ids(made.split) == [10, 20, 30]
    assert made.ledger[0]["reason"].startswith("exclude: corrected.2 has it as ")


def test_no_config_says_its_kind() -> None:
    with pytest.raises(
        UserError, match="known: rendered, coco_release, coco, voc, folder, videos, unlabelled, union, frac"
    ):
        read_split_spec({"kind": "excluded", "name": "x"})
