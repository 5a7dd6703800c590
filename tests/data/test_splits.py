"""The algebra of splits, and the function that each kind is made by."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datadistill.data import splits
from datadistill.data.make import make_split
from datadistill.data.sources import from_coco
from datadistill.data.specs import CocoSplit, read_split_spec
from datadistill.data.splits import Split
from datadistill.errors import UserError


@pytest.fixture
def whole(folder: Path) -> Split:
    """A split of four annotated images."""
    images = str(folder / "images")
    spec = CocoSplit(name="toy", images=images, annotations=str(folder / "a.json"), task="keypoints")
    return from_coco(spec, images=images).split


def test_unlabelled_holds_no_truth(whole: Split) -> None:
    blind = splits.unlabelled(whole)
    assert blind["annotations"] == []
    assert blind["images"] == whole["images"]
    assert blind["categories"] == whole["categories"]
    assert whole["annotations"], "the split it was made from keeps its truth"


def test_a_union_of_keypoints_that_are_mirrored_or_scored_otherwise_is_refused(whole: Split) -> None:
    posed = [{"id": 1, "name": "fish", "keypoints": ["fin a", "fin b"]}]
    annotation = {**whole["annotations"][0], "category_id": 1}
    parts = [
        {**whole, "images": [image], "annotations": [{**annotation, "image_id": image["id"]}], "categories": posed}
        for image in whole["images"][:2]
    ]
    # What goes without saying is the same as what is said.
    parts[1]["categories"] = [{**posed[0], "flip_pairs": [], "sigmas": [0.067, 0.067]}]
    assert splits.union(parts)["categories"] == posed
    for said in ({"flip_pairs": [["fin a", "fin b"]]}, {"sigmas": [0.1, 0.1]}):
        parts[1]["categories"] = [{**posed[0], **said}]
        with pytest.raises(UserError, match="split 1 and split 2 have different flip_pairs or sigmas"):
            splits.union(parts)


def test_union_joins_and_refuses(whole: Split) -> None:
    a, b = splits.subset(whole, [10, 40]), splits.subset(whole, [20, 30])
    joined = splits.union([a, b])
    assert joined["images"] == whole["images"]
    assert joined["annotations"] == whole["annotations"]
    assert joined["categories"] == whole["categories"]
    with pytest.raises(UserError, match="have the same id 10"):
        splits.union([a, splits.subset(whole, [10])])
    copied = copy.deepcopy(b)
    copied["images"][0]["content"] = a["images"][0]["content"]
    with pytest.raises(UserError, match="have the same content"):
        splits.union([a, copied], ["first", "second"])
    other = {**b, "categories": [{"id": 1, "name": "dog"}]}
    with pytest.raises(UserError, match="first and second define different categories"):
        splits.union([a, other], ["first", "second"])
    # Without annotations it goes with any; a pool of both has no categories of its own.
    assert splits.union([a, splits.unlabelled(other)])["categories"] == whole["categories"]
    assert splits.union([splits.unlabelled(a), splits.unlabelled(other)])["categories"] == []
    assert splits.union([splits.unlabelled(a), splits.unlabelled(b)])["categories"] == whole["categories"]
    renumbered = {**b, "annotations": [{**x, "id": i + 1} for i, x in enumerate(b["annotations"])]}
    assert [x["id"] for x in splits.union([a, renumbered])["annotations"]] == [1, 2, 3, 4]


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(1, 2**48), max_size=80), st.floats(0, 1), st.floats(0, 1), st.integers(0, 5))
def test_fractions_are_nested_and_of_the_right_size(ids: set[int], a: float, b: float, seed: int) -> None:
    small, large = sorted((a, b))
    chosen = splits.fraction_ids(ids, small, seed)
    assert abs(len(chosen) - small * len(ids)) <= 0.5 + 1e-9
    assert set(chosen) <= set(splits.fraction_ids(ids, large, seed)) <= ids
    shuffled = list(ids)
    random.Random(0).shuffle(shuffled)
    assert splits.fraction_ids(shuffled, small, seed) == chosen == sorted(chosen)


def test_fractions_differ_with_the_seed_and_refuse_nonsense() -> None:
    assert splits.fraction_ids(range(100), 0.2, 1) != splits.fraction_ids(range(100), 0.2, 2)
    assert splits.fraction_ids(range(100), 1.0, 1) == list(range(100))
    for fraction in (-0.1, 1.1, float("nan")):
        with pytest.raises(UserError, match=r"fraction must be in 0\.\.1"):
            splits.fraction_ids(range(10), fraction, 0)


def test_a_fraction_that_is_no_image_is_refused(whole: Split, folder: Path) -> None:
    assert len(splits.fraction_of(whole, 0.125, 0)["images"]) == 1
    with pytest.raises(UserError, match=r"fraction: 0\.12 of 4 images is less than half of one"):
        splits.fraction_of(whole, 0.12, 0)
    (folder / "whole.json").write_text(json.dumps(whole))
    spec = read_split_spec({"kind": "fraction", "name": "few", "of": "whole", "fraction": 0.1})
    with pytest.raises(UserError, match=r"^splits: few: fraction: 0\.1 of 4 images .* so none is left; raise it$"):
        make_split(spec, {"whole": str(folder / "whole.json")}, images="")


def test_subset_refuses_unknown_ids(whole: Split) -> None:
    with pytest.raises(UserError, match=r"1 image ids .* 11 for one"):
        splits.subset(whole, [10, 11])


def test_each_kind_is_made_of_its_spec(whole: Split, folder: Path) -> None:
    (folder / "whole.json").write_text(json.dumps(whole))
    inputs, images = {"whole": str(folder / "whole.json")}, str(folder / "images")

    def made(kind: str, **values: Any) -> Split:
        return make_split(read_split_spec({"kind": kind, "name": "toy", **values}), inputs, images=images).split

    assert made("fraction", of="whole", fraction=0.5) == splits.fraction_of(whole, 0.5, 0)
    assert made("unlabelled", of="whole") == splits.unlabelled(whole)
    assert made("union", of=["whole"])["images"] == whole["images"]
    assert len(made("folder", images=images)["images"]) == 4
    annotations = str(folder / "a.json")
    assert made("coco", images=images, annotations=annotations, task="keypoints")["images"] == whole["images"]
    inputs["scenes"] = annotations
    scenes = made("rendered", scene="people", images=4)["images"]
    assert [image["content"] for image in scenes] == [image["content"] for image in whole["images"]]
    with pytest.raises(UserError, match="'absent' is needed as an input; given: whole"):
        made("unlabelled", of="absent")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "cocoa"}, "did you mean 'coco'"),
        ({"kind": "folder", "name": "x", "image": "y"}, "no key 'image'; did you mean 'images'"),
        ({"kind": "folder", "name": "x"}, "the key 'images' is missing"),
    ],
)
def test_a_wrong_spec_is_one_sentence(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_split_spec(values)
