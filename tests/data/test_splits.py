"""Splits: what is checked of data that others wrote, and what derived splits keep."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datadistill.data import splits
from datadistill.data.coco import check_coco, read_coco, read_ids
from datadistill.data.images import inspect_image, inspect_images
from datadistill.errors import UserError

MINI = Path(__file__).resolve().parents[3] / "shared" / "data" / "coco-mini"
NAMES = ["nose", "left_eye", "right_eye"]


def photo(seed: int, width: int = 48, height: int = 32) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))


def coco(count: int = 4) -> dict[str, Any]:
    """A small valid keypoint file: image ids descending, one person an image."""
    return {
        "info": {"year": 2024},
        "licenses": [{"id": 1, "name": "made here"}],
        "images": [
            {"id": 10 * (count - i), "file_name": f"{count - i}.jpg", "width": 48, "height": 32} for i in range(count)
        ],
        "annotations": [
            {
                "id": i + 1,
                "image_id": 10 * (i + 1),
                "category_id": 1,
                "bbox": [4, 5, 20, 16],
                "area": 111.5,
                "iscrowd": 0,
                "segmentation": [[4, 5, 24, 5, 24, 21]],
                "keypoints": [6, 7, 2, 8, 9, 1, 0, 0, 0],
                "num_keypoints": 2,
            }
            for i in range(count)
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": NAMES, "skeleton": [[1, 2]]}],
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images and their annotations."""
    (tmp_path / "images").mkdir()
    for i in range(1, 5):
        photo(i).save(tmp_path / "images" / f"{i}.jpg", quality=90)
    (tmp_path / "a.json").write_text(json.dumps(coco()))
    return tmp_path


def make(folder: Path, **changes: Any) -> splits.Made:
    arguments: dict[str, Any] = {
        "images_dir": str(folder / "images"),
        "annotations": str(folder / "a.json"),
        "dataset": "toy",
        "task": "keypoints",
        "num_keypoints": 3,
    }
    return splits.from_coco(**{**arguments, **changes})


def test_from_coco_keeps_what_later_stages_need(folder: Path) -> None:
    made = make(folder)
    assert [image["id"] for image in made.split["images"]] == [10, 20, 30, 40]
    assert {image["dataset"] for image in made.split["images"]} == {"toy"}
    assert len({image["content"] for image in made.split["images"]}) == 4
    assert made.split["images"][0]["file_name"] == str(folder / "images" / "1.jpg")
    annotation = made.split["annotations"][0]
    assert "segmentation" not in annotation
    assert annotation["keypoints"] == [6, 7, 2, 8, 9, 1, 0, 0, 0]
    assert annotation["area"] == 111.5
    assert made.ledger == []
    assert "segmentation" in make(folder, keep_segmentation=True).split["annotations"][0]


def test_objects_task_drops_keypoints(folder: Path) -> None:
    made = make(folder, task="objects", num_keypoints=None)
    assert "keypoints" not in made.split["categories"][0]
    assert "keypoints" not in made.split["annotations"][0]


def _set(path: str, value: Any) -> Any:
    *parents, last = path.split(".")

    def change(data: dict[str, Any]) -> None:
        target: Any = data
        for key in parents:
            target = target[int(key) if key.isdigit() else key]
        target[int(last) if last.isdigit() else last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("images"), "not a COCO file.*'images'"),
        (lambda d: d.pop("annotations"), "not a COCO file.*'annotations'"),
        (_set("images", []), "lists no images"),
        (_set("images.1.id", 40), "image id 40 is repeated"),
        (_set("images.1.file_name", "4.jpg"), "file_name '4.jpg' is repeated"),
        (_set("images.0.width", None), "image 40 has no positive integer width"),
        (_set("annotations.2.image_id", 99), "annotation 3 belongs to image 99"),
        (_set("annotations.2.category_id", 7), "annotation 3 of image 30 has category 7"),
        (_set("annotations.1.id", 1), "annotation id 1 is repeated"),
        (_set("annotations.1.bbox", [1, 2, 3]), "malformed bbox"),
        (_set("annotations.1.bbox", [1, 2, float("nan"), 3]), "malformed bbox"),
        (_set("annotations.1.bbox", [10, 12, -3, 4]), "negative size"),
        (_set("annotations.1.bbox", [60, 2, 3, 3]), "outside its image of 48x32"),
        (_set("annotations.1.keypoints", [1, 2, 2]), "has 1 keypoints, its category has 3"),
        (_set("annotations.1.keypoints", [6, 7, 5, 8, 9, 1, 0, 0, 0]), "malformed keypoints"),
        (_set("categories.0.keypoints", ["nose"]), "has 1 keypoints, the config's num_keypoints is 3"),
        (lambda d: d["categories"][0].pop("keypoints"), "no category defines keypoints"),
    ],
)
def test_bad_annotation_files_end_in_one_sentence(change: Any, message: str) -> None:
    data = coco()
    change(data)
    with pytest.raises(UserError, match=message) as caught:
        check_coco(data, "a.json", task="keypoints", num_keypoints=3)
    assert str(caught.value).startswith("a.json: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[1, 2]", "{}", "not json", '{"images": {}}'])
def test_files_that_are_not_coco(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UserError, match=r"x\.json"):
        read_coco(tmp_path / "x.json", task="objects")


def test_annotations_of_others_are_normalised() -> None:
    data = coco()
    data["annotations"][0] |= {"id": 0, "num_keypoints": 9}
    del data["annotations"][0]["area"], data["annotations"][0]["iscrowd"], data["annotations"][1]["keypoints"]
    data["annotations"][2]["bbox"][3] = 0
    checked = check_coco(data, "a.json", task="keypoints", num_keypoints=3)["annotations"]
    assert [a["id"] for a in checked] == [1, 2, 3, 4]  # 0 would mean "no match" to pycocotools
    assert checked[0]["area"] == 320.0
    assert checked[0]["num_keypoints"] == 2
    assert (checked[1]["keypoints"], checked[1]["num_keypoints"]) == ([0] * 9, 0)
    assert data["annotations"][0]["id"] == 0, "the input is left alone"


def test_ids_select_images_and_counts_are_checked(folder: Path) -> None:
    (folder / "keep.txt").write_text("10\n20\n30\n")
    (folder / "drop.json").write_text(json.dumps({"images": [{"id": 20}]}))
    chosen = make(folder, keep_ids=[str(folder / "keep.txt")], drop_ids=[str(folder / "drop.json")], expect_images=2)
    assert [image["id"] for image in chosen.split["images"]] == [10, 30]
    assert {a["image_id"] for a in chosen.split["annotations"]} == {10, 30}
    with pytest.raises(UserError, match="4 images, 5 are expected"):
        make(folder, expect_images=5)
    (folder / "keep.txt").write_text("10\n77\n")
    with pytest.raises(UserError, match=r"1 of its ids aren't in .*77"):
        make(folder, keep_ids=[str(folder / "keep.txt")])
    (folder / "keep.txt").write_text("10\n10\n")
    with pytest.raises(UserError, match="id 10 is repeated"):
        read_ids(folder / "keep.txt")


def test_images_named_by_id(folder: Path) -> None:
    for i in range(1, 5):
        (folder / "images" / f"{i}.jpg").rename(folder / "images" / f"{10 * i:012d}.jpg")
    assert make(folder, image_names="{id:012d}.jpg").split["images"][0]["file_name"].endswith("/000000000010.jpg")
    with pytest.raises(UserError, match="image_names"):
        make(folder, image_names="{name}.jpg")


def test_damage_in_a_labelled_split_is_an_error_naming_the_files(folder: Path) -> None:
    (folder / "images" / "2.jpg").unlink()
    path = folder / "images" / "3.jpg"
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(UserError, match=r"2 of 4 images .*2\.jpg is missing; .*3\.jpg does not decode"):
        make(folder)


def test_damage_in_an_unlabelled_split_goes_to_the_ledger(folder: Path) -> None:
    path = folder / "images" / "3.jpg"
    path.write_bytes(path.read_bytes()[:-400])
    made = make(folder, annotated=False, max_damaged_fraction=0.25)
    assert [image["id"] for image in made.split["images"]] == [10, 20, 40]
    assert made.split["annotations"] == []
    assert [row["file_name"] for row in made.ledger] == [str(path)]
    with pytest.raises(UserError, match=r"1 of 4 images .*20\.00% that max_damaged_fraction allows"):
        make(folder, annotated=False, max_damaged_fraction=0.2)


def test_a_wrong_folder_is_named(folder: Path) -> None:
    with pytest.raises(UserError, match=r"none of the 4 images .* is in .*elsewhere"):
        make(folder, images_dir=str(folder / "elsewhere"))


def test_a_mis_sized_image_is_an_error(folder: Path) -> None:
    photo(2, 40, 32).save(folder / "images" / "2.jpg")
    with pytest.raises(UserError, match="is 40x32 pixels, its record says 48x32"):
        make(folder)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_file_cut_short_is_found_wherever_it_ends(tmp_path: Path, suffix: str, progressive: bool) -> None:
    path = tmp_path / f"x.{suffix}"
    photo(0, 160, 120).save(path, progressive=progressive)
    whole = path.read_bytes()
    assert inspect_image(str(path)).problem is None
    for keep in (0.03, 0.3, 0.7, 0.97):
        path.write_bytes(whole[: int(keep * len(whole))])
        assert inspect_image(str(path)).problem, f"{keep:.0%} of a {suffix} taken for whole"
    for data in (b"", b"<html>not found</html>"):
        path.write_bytes(data)
        assert inspect_image(str(path)).problem
    assert inspect_image(str(tmp_path / "nothing.jpg")).problem == "missing"


def test_size_is_what_detectron2_reads_for_every_orientation(tmp_path: Path) -> None:
    from detectron2.data.detection_utils import read_image

    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = str(tmp_path / f"{orientation}.jpg")
        photo(orientation).save(path, exif=exif)
        found = inspect_image(path)
        assert read_image(path, "BGR").shape[:2] == (found.height, found.width)
        assert (found.width > found.height) == (orientation < 5)
    turned = inspect_image(path, (48, 32))
    assert turned.problem is not None
    assert "EXIF" in turned.problem


def test_inspection_over_processes_keeps_the_order(tmp_path: Path) -> None:
    files = []
    for i in range(70):
        path = tmp_path / f"{i}.png"
        photo(i, 8 + i, 9).save(path)
        files.append((str(path), (8 + i, 9) if i % 2 else None))
    assert inspect_images(files, workers=2) == inspect_images(files, workers=1)
    assert [found.width for found in inspect_images(files, workers=2)] == [8 + i for i in range(70)]


def test_from_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for i, name in enumerate(("b.JPG", "sub/a.png", "c.jpeg", "._hidden.jpg")):
        image = photo(i, 20 + i, 10)
        image.save(tmp_path / name, format="PNG" if name.endswith("png") else "JPEG")
    (tmp_path / "notes.txt").write_text("not an image")
    made = splits.from_folder(images_dir=str(tmp_path), dataset="mine", task="keypoints")
    ids = {Path(image["file_name"]).name: image["id"] for image in made.split["images"]}
    assert set(ids) == {"b.JPG", "a.png", "c.jpeg"}
    assert [image["id"] for image in made.split["images"]] == sorted(ids.values())
    photo(9).save(tmp_path / "a0.jpg")
    again = splits.from_folder(images_dir=str(tmp_path), dataset="mine", task="keypoints")
    assert ids.items() <= {Path(image["file_name"]).name: image["id"] for image in again.split["images"]}.items()
    with pytest.raises(UserError, match="no such folder"):
        splits.from_folder(images_dir=str(tmp_path / "no"), dataset="mine", task="keypoints")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no JPEG or PNG"):
        splits.from_folder(images_dir=str(tmp_path / "empty"), dataset="mine", task="keypoints")


def test_unlabelled_holds_no_truth(folder: Path) -> None:
    split = make(folder).split
    blind = splits.unlabelled(split)
    assert blind["annotations"] == []
    assert blind["images"] == split["images"]
    assert blind["categories"] == split["categories"]
    assert split["annotations"], "the split it was made from keeps its truth"


def test_union_joins_and_refuses(folder: Path, tmp_path: Path) -> None:
    split = make(folder).split
    a, b = splits.subset(split, [10, 40]), splits.subset(split, [20, 30])
    joined = splits.union([a, b])
    assert joined["images"] == split["images"]
    assert joined["annotations"] == split["annotations"]
    assert joined["categories"] == split["categories"]
    with pytest.raises(UserError, match="have the same id 10"):
        splits.union([a, splits.subset(split, [10])])
    copied = copy.deepcopy(b)
    copied["images"][0]["content"] = a["images"][0]["content"]
    with pytest.raises(UserError, match="have the same content"):
        splits.union([a, copied], ["first", "second"])
    other = {**b, "categories": [{"id": 1, "name": "dog"}]}
    with pytest.raises(UserError, match="first and second define different categories"):
        splits.union([a, other], ["first", "second"])
    # Without annotations it goes with any; a pool of both has no categories of its own.
    assert splits.union([a, splits.unlabelled(other)])["categories"] == split["categories"]
    assert splits.union([splits.unlabelled(a), splits.unlabelled(other)])["categories"] == []
    assert splits.union([splits.unlabelled(a), splits.unlabelled(b)])["categories"] == split["categories"]
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
    for rho in (-0.1, 1.1, float("nan")):
        with pytest.raises(UserError, match=r"rho must be in 0\.\.1"):
            splits.fraction_ids(range(10), rho, 0)


def test_subset_refuses_unknown_ids(folder: Path) -> None:
    with pytest.raises(UserError, match=r"1 image ids .* 11 for one"):
        splits.subset(make(folder).split, [10, 11])


def test_make_split_dispatches_and_names_the_nearest_key(folder: Path) -> None:
    spec = {
        "kind": "coco",
        "images_dir": str(folder / "images"),
        "annotations": str(folder / "a.json"),
        "dataset": "toy",
        "task": "keypoints",
    }
    whole = splits.make_split(spec, {})
    (folder / "whole.json").write_text(json.dumps(whole.split))
    inputs = {"whole": str(folder / "whole.json")}
    half = splits.make_split({"kind": "fraction", "split": "whole", "rho": 0.5, "seed": 0}, inputs).split
    assert half == splits.fraction(whole.split, 0.5, 0)
    assert splits.make_split({"kind": "unlabelled", "split": "whole"}, inputs).split == splits.unlabelled(whole.split)
    assert splits.make_split({"kind": "subset", "split": "whole", "ids": [10]}, inputs).split["images"][0]["id"] == 10
    assert splits.make_split({"kind": "union", "splits": ["whole"]}, inputs).split["images"] == whole.split["images"]
    folder_spec = {"kind": "folder", "images_dir": str(folder / "images"), "dataset": "toy", "task": "keypoints"}
    assert len(splits.make_split(folder_spec, {}).split["images"]) == 4
    assert splits.make_split({**spec, "kind": "rendered"}, {}).split["images"] == whole.split["images"]
    for bad, message in [
        ({**spec, "kind": "cocoa"}, "did you mean 'coco'"),
        ({**spec, "image_dir": "x"}, "did you mean 'images_dir'"),
        ({"kind": "folder", "dataset": "x", "task": "keypoints"}, "needs the key 'images_dir'"),
        ({"kind": "unlabelled", "split": "absent"}, "'absent' is needed as an input; given: whole"),
        ({**folder_spec, "task": "keypoint"}, "unknown task 'keypoint'"),
    ]:
        with pytest.raises(UserError, match=message):
            splits.make_split(bad, inputs)


@pytest.mark.skipif(
    not MINI.is_dir(), reason=f"needs the real photos of {MINI.parent.name}/{MINI.name}, which aren't here"
)
def test_real_photos() -> None:
    made = splits.from_coco(
        images_dir=str(MINI / "images"),
        annotations=str(MINI / "annotations" / "person_keypoints_labelled.json"),
        dataset="coco",
        task="keypoints",
        num_keypoints=17,
    )
    assert len(made.split["images"]) == 400
    assert len(made.split["annotations"]) == 891
    assert sum(a["iscrowd"] for a in made.split["annotations"]) == 13
    assert sum(a["num_keypoints"] > 0 for a in made.split["annotations"]) == 620
