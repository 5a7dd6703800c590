"""COCO files of others: what is checked, and what is normalised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from data_samples import coco

from datadistill.data.coco import check_coco, peek_categories, read_coco, read_ids
from datadistill.errors import UserError

MINI = Path(__file__).resolve().parents[3] / "shared" / "data" / "coco-mini"


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
        (
            lambda d: d["categories"].append({**d["categories"][0], "id": 7}),
            "the categories 1 and 7 have one name, 'person'; rename one of them",
        ),
        (
            _set("annotations.1.keypoints", [6, 7, 2, 900, 9, 1, 0, 0, 0]),
            "annotation 2 of image 20 has its keypoint 'left_eye' at 900, 9, outside its image of 48x32 pixels",
        ),
        (_set("annotations.1.keypoints", [6, -2.5, 2, 8, 9, 1, 0, 0, 0]), "keypoint 'nose' at 6, -2.5, outside"),
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


def test_a_keypoint_may_lie_outside_by_rounding_or_where_it_is_not_labelled() -> None:
    data = coco()
    for keypoints in ([50, 34, 2, -2, -2, 1, 0, 0, 0], [6, 7, 2, 900, 900, 0, -99, 0, 0]):
        data["annotations"][0]["keypoints"] = keypoints
        checked = check_coco(data, "a.json", task="keypoints", num_keypoints=3)["annotations"]
        assert checked[0]["keypoints"] == keypoints
    # In a large image by more: 2 % of its side.
    data["images"] = [{**image, "width": 1000} for image in data["images"]]
    data["annotations"][0]["keypoints"] = [1020, 34, 2, 0, 0, 0, 0, 0, 0]
    check_coco(data, "a.json", task="keypoints", num_keypoints=3)
    data["annotations"][0]["keypoints"][0] = 1021
    with pytest.raises(UserError, match="keypoint 'nose' at 1021, 34"):
        check_coco(data, "a.json", task="keypoints", num_keypoints=3)
    check_coco(data, "a.json", task="objects")


@pytest.mark.skipif(not MINI.is_dir(), reason="needs ../shared/data/coco-mini")
@pytest.mark.parametrize("task", ["keypoints", "objects"])
@pytest.mark.parametrize("part", ["labelled", "val"])
def test_annotations_of_coco_pass(part: str, task: str) -> None:
    data = read_coco(MINI / "annotations" / f"person_keypoints_{part}.json", task=task)
    assert len(data["annotations"]) > 800


def test_repeated_ids_are_refused(tmp_path: Path) -> None:
    (tmp_path / "drop.txt").write_text("10\n10\n")
    with pytest.raises(UserError, match="id 10 is repeated"):
        read_ids(tmp_path / "drop.txt")


def test_categories_are_peeked_at_without_the_rest(tmp_path: Path) -> None:
    data = coco()
    path = tmp_path / "a.json"
    for text in (json.dumps(data), json.dumps(dict(reversed(data.items())), indent=1)):
        path.write_text(text)
        assert peek_categories(path) == data["categories"]
    # What another program calls categories is passed over.
    data["images"][0]["categories"] = ["cat"]
    path.write_text(json.dumps(data))
    assert peek_categories(path) == data["categories"]
    for text in ("", "[]", "not json", '{"categories": [{"id": 1', '{"categories": [5]}'):
        path.write_text(text)
        assert peek_categories(path) == []
    assert peek_categories(tmp_path / "none.json") == []
