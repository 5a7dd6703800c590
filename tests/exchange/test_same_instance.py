"""What a review says of an instance: groups in CVAT, categories of one name, numbers that are none of an image."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from coco_essence import essence
from exchange_samples import CELLS, label_set

from datadistill.errors import UserError
from datadistill.exchange.formats import FORMATS, export_labels, import_labels
from datadistill.exchange.review import as_coco, require_box
from datadistill.exchange.yolo import label_files

# --- groups in CVAT


def cvat(folder: Path, edit: Callable[[str], str]) -> tuple[Path, dict[str, Any]]:
    """The XML of a label set with keypoints, edited, and the label set."""
    labels = label_set(folder / "images", keypoints=True)
    export_labels(labels, "cvat", folder / "cvat")
    path = folder / "cvat/annotations.xml"
    before = path.read_text()
    path.write_text(edit(before))
    assert path.read_text() != before
    return path, labels


def ungrouped(text: str, tag: str) -> str:
    return re.sub(rf'(<{tag} [^>]*)group_id="\d+"', r'\1group_id="0"', text)


GROUPS = {
    "two boxes, two skeletons": (lambda text: text.replace('group_id="2"', 'group_id="1"'), "a group of its own"),
    "two skeletons of one box": (
        lambda text: re.sub(r'(<skeleton [^>]*)group_id="2"', r'\1group_id="1"', text),
        "a group of its own",
    ),
    "two boxes of one skeleton": (
        lambda text: re.sub(r'<skeleton [^>]*group_id="2".*?</skeleton>', "", text, flags=re.S).replace(
            'group_id="2"', 'group_id="1"'
        ),
        "a group of its own",
    ),
    "nothing grouped": (lambda text: ungrouped(ungrouped(text, "box"), "skeleton"), "group them"),
    "skeletons drawn anew": (lambda text: ungrouped(text, "skeleton"), "group them"),
}


@pytest.mark.parametrize("case", GROUPS)
def test_groups_that_do_not_say_what_one_instance_is_are_refused(case: str, tmp_path: Path) -> None:
    edit, message = GROUPS[case]
    path, labels = cvat(tmp_path, edit)
    with pytest.raises(UserError, match=rf"annotations\.xml: .*one\.png: .*{message}") as error:
        import_labels(path, labels)
    assert "\n" not in str(error.value)


def test_a_skeleton_beside_a_box_is_an_instance_of_its_own(tmp_path: Path) -> None:
    # In the first image one instance loses its box, and the other one, beside it, its skeleton.
    path, labels = cvat(
        tmp_path,
        lambda text: re.sub(
            r'<box [^>]*xtl="1\.125".*?</box>|<skeleton [^>]*group_id="2".*?</skeleton>', "", text, flags=re.S
        ),
    )
    first = [a for a in import_labels(path, labels)["annotations"] if a["image_id"] == 11]
    assert sorted(a["num_keypoints"] for a in first) == [0, 2]


def test_boxes_without_keypoints_may_be_grouped_as_one_likes(tmp_path: Path) -> None:
    labels = label_set(tmp_path / "images", keypoints=False)
    export_labels(labels, "cvat", tmp_path / "cvat")
    path = tmp_path / "cvat/annotations.xml"
    path.write_text(path.read_text().replace('group_id="2"', 'group_id="1"'))
    assert essence(import_labels(path, labels)) == essence(labels)


def test_the_export_says_that_skeletons_are_grouped(tmp_path: Path) -> None:
    cvat(tmp_path, lambda text: text + "\n")
    assert "group a skeleton" in (tmp_path / "cvat/README.txt").read_text()


# --- categories


@pytest.mark.parametrize("kind", FORMATS)
def test_two_categories_of_one_name_neither_go_out_nor_come_back(kind: str, tmp_path: Path) -> None:
    labels = label_set(tmp_path / "images", keypoints=False)
    export_labels(labels, kind, tmp_path / "before")
    labels["categories"] = [*CELLS, {"id": 4, "name": "RBC"}]
    with pytest.raises(UserError, match="two categories are called 'RBC'"):
        export_labels(labels, kind, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="two categories are called 'RBC'"):
        import_labels(tmp_path / "before", labels)


def test_two_categories_of_one_name_in_what_comes_back_are_refused(tmp_path: Path) -> None:
    labels = label_set(tmp_path / "images", keypoints=False)
    for kind, file in (("coco", "labels.json"), ("yolo", "data.yaml")):
        export_labels(labels, kind, tmp_path / kind)
        path = tmp_path / kind / file
        path.write_text(path.read_text().replace("white cell", "RBC"))
        with pytest.raises(UserError, match=r"two categories are called 'RBC'|two classes have one name \(RBC, RBC"):
            import_labels(tmp_path / kind, labels)


# --- label files of YOLO that are called like lists


def test_images_that_are_called_like_lists_come_back(tmp_path: Path) -> None:
    labels = label_set(tmp_path / "images", keypoints=False)
    for image, stem in zip(labels["images"], ("test", "train", "README_1", "order"), strict=True):
        path = Path(image["file_name"]).rename(tmp_path / f"images/{stem}.png")
        image["file_name"] = str(path)
    export_labels(labels, "yolo", tmp_path / "out")
    (tmp_path / "out/labels/val.txt").write_text("images/test.png\n")
    (tmp_path / "out/labels/README.txt").write_text("Read this.\n")
    back = import_labels(tmp_path / "out", labels)
    assert essence(back) == essence(labels)
    assert [image["id"] for image in back["images"]] == [11, 12, 13, 14]
    (tmp_path / "out/labels/test.txt").write_text("0 half\n")
    with pytest.raises(UserError, match=r"test\.txt: line 1"):
        import_labels(tmp_path / "out", labels)


def test_a_text_called_like_a_list_is_labels_only_beside_its_image(tmp_path: Path) -> None:
    for name in ("test.txt", "train.txt", "classes.txt", "README.txt", "a.txt"):
        (tmp_path / name).write_text("")
    assert [path.name for path in label_files(tmp_path, {"a", "test", "classes"})] == ["a.txt", "test.txt"]


# --- numbers


@pytest.mark.parametrize(
    "box",
    [
        [float("inf"), 1.0, 5.0, 5.0],
        [float("inf"), float("inf"), 5.0, 5.0],
        [1.0, 1.0, float("inf"), 5.0],
        [1.0, float("nan"), 5.0, 5.0],
        [5.0, 5.0, -3.0, -3.0],
        [-100.0, -100.0, 10.0, 10.0],
        [60.0, 1.0, 20.0, 5.0],
    ],
)
def test_a_box_that_is_none_of_the_image_is_refused(box: list[float]) -> None:
    image = {"id": 1, "file_name": "a.png", "width": 64, "height": 48}
    with pytest.raises(UserError, match=r"a\.png: the box"):
        require_box(box, image, "review")


@pytest.mark.parametrize(
    "box", ["[1e999, 1, 5, 5]", "[1, 1, 1e999, 5]", "[5, 5, -3, 4]", "[70, 5, 4, 4]", "[-9, 5, 10, 4]"]
)
def test_a_box_of_coco_is_held_to_its_image(box: str, tmp_path: Path) -> None:
    labels = label_set(tmp_path / "images", keypoints=False)
    export_labels(labels, "coco", tmp_path / "out")
    path = tmp_path / "out/labels.json"
    path.write_text(re.sub(r'"bbox": \[[^]]*\]', f'"bbox": {box}', path.read_text(), count=1))
    with pytest.raises(UserError, match=r"labels\.json: .*one\.png: the box"):
        import_labels(path, labels)


def test_a_box_of_coco_is_cut_at_the_border_as_those_of_other_formats(tmp_path: Path) -> None:
    labels = label_set(tmp_path / "images", keypoints=False)
    export_labels(labels, "coco", tmp_path / "out")
    path = tmp_path / "out/labels.json"
    values = json.loads(path.read_text())
    values["annotations"][0]["bbox"] = [-1.0, 4.0, 11.0, 5.0]
    path.write_text(json.dumps(values))
    assert import_labels(path, labels)["annotations"][0]["bbox"] == [0.0, 4.0, 10.0, 5.0]


INFINITE = {
    "COCO": ("coco", "labels.json", r'"keypoints": \[\d[^],]*,', '"keypoints": [1e999,'),
    "CVAT": ("cvat", "annotations.xml", r'points="[^,]*,', 'points="inf,'),
}


@pytest.mark.parametrize("case", INFINITE)
def test_keypoints_that_are_not_finite_are_refused(case: str, tmp_path: Path) -> None:
    kind, file, old, new = INFINITE[case]
    labels = label_set(tmp_path / "images", keypoints=True)
    export_labels(labels, kind, tmp_path / "out")
    path = tmp_path / "out" / file
    path.write_text(re.sub(old, new, path.read_text(), count=1))
    assert new in path.read_text()
    with pytest.raises(UserError, match=rf"{file}: .*one\.png: keypoints of a label is not finite"):
        import_labels(path, labels)


def test_whatever_is_not_finite_is_refused_whoever_reads_it() -> None:
    image = {"id": 1, "file_name": "a.png", "width": 64, "height": 48}
    label = {"image_id": 1, "category_id": 3, "bbox": [1, 1, 2, 2], "num_keypoints": float("inf")}
    with pytest.raises(UserError, match=r"^a\.png: num_keypoints of a label is not finite"):
        as_coco([image], [label], CELLS)


KEYPOINTS = {
    "infinite visibility": ("0.5 0.5 inf 0.4 0.4 2 0 0 0", "visibility"),
    "no visibility": ("0.5 0.5 0.93 0.4 0.4 2 0 0 0", "visibility"),
    "infinite": ("inf 0.5 2 0.4 0.4 2 0 0 0", "fractions"),
    "pixels": ("32 24 2 20 20 2 0 0 0", "fractions"),
}


@pytest.mark.parametrize("case", KEYPOINTS)
def test_keypoints_of_yolo_are_fractions_with_a_visibility(case: str, tmp_path: Path) -> None:
    numbers, message = KEYPOINTS[case]
    labels = label_set(tmp_path / "images", keypoints=True)
    export_labels(labels, "yolo", tmp_path / "out")
    (tmp_path / "out/labels/11-one.txt").write_text(f"0 0.5 0.5 0.25 0.25 {numbers}\n")
    with pytest.raises(UserError, match=rf"11-one\.txt: line 1: .*{message}"):
        import_labels(tmp_path / "out", labels)


def test_what_yolo_says_of_a_keypoint_that_is_not_labelled_does_not_matter(tmp_path: Path) -> None:
    labels = label_set(tmp_path / "images", keypoints=True)
    export_labels(labels, "yolo", tmp_path / "out")
    (tmp_path / "out/labels/11-one.txt").write_text("0 0.5 0.5 0.25 0.25 0.5 0.5 2 0.4 0.4 1.0 -7 9 0\n")
    [first] = [a for a in import_labels(tmp_path / "out", labels)["annotations"] if a["image_id"] == 11]
    assert first["keypoints"][:6] == pytest.approx([32, 24, 2, 25.6, 19.2, 1])
    assert first["num_keypoints"] == 2
