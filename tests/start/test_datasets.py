"""Labelled images in every format that people have them in: the same labels from each, and one sentence for what is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from coco_essence import essence
from start_samples import CELLS, coco_file, exported, labelled, photos, voc_folder

from datadistill.errors import UserError
from datadistill.start.dataset import find_format, read_dataset

FORMS = {"coco": "COCO", "yolo": "YOLO", "cvat": "CVAT", "label-studio": "Label Studio"}


@pytest.mark.parametrize("keypoints", [False, True], ids=["boxes", "keypoints"])
@pytest.mark.parametrize("kind", list(FORMS))
def test_the_same_labels_come_from_every_format(kind: str, keypoints: bool, tmp_path: Path) -> None:
    labels = labelled(tmp_path / "photos", keypoints=keypoints)
    place = exported(labels, kind, tmp_path / "set")
    found = read_dataset(place, tmp_path / "photos" if kind == "label-studio" else None)
    assert (found.form, found.as_it_is) == (FORMS[kind], kind == "coco")
    assert essence(found.coco, by_name=True) == essence(labels, by_name=True)
    assert len(found.coco["images"]) == 10, "an image without objects is labelled, too"
    assert all((found.images / image["file_name"]).is_file() for image in found.coco["images"])
    if keypoints:
        (category,) = found.coco["categories"]
        names = ["nose", "left_fin", "right_fin"]
        if kind == "yolo":
            # YOLO has no names for keypoints; which change places it says.
            assert category["flip_pairs"] == [["keypoint_1", "keypoint_2"]]
        else:
            assert category["keypoints"] == names


@pytest.mark.parametrize("listed", [False, True], ids=["all", "a list"])
def test_pascal_voc_s_labels_are_those_of_a_split_of_kind_voc(listed: bool, tmp_path: Path) -> None:
    labels = labelled(tmp_path / "JPEGImages")
    voc_folder(labels, tmp_path / "Annotations")
    place = tmp_path
    if listed:
        place = tmp_path / "train.txt"
        place.write_text("photo_00\nphoto_01\n".replace("_", " "))
        with pytest.raises(UserError, match="one name a line is needed"):
            read_dataset(place)
        for folder in (tmp_path / "JPEGImages", tmp_path / "Annotations"):
            for path in folder.iterdir():
                path.rename(folder / path.name.replace(" ", "_"))
        place.write_text("photo_00\nphoto_01\n")
    found = read_dataset(place)
    assert found.form == "Pascal VOC"
    assert [category["name"] for category in found.coco["categories"]] == ["RBC", "white cell"]
    assert len(found.coco["images"]) == (2 if listed else 10)
    whole = [(a["image_id"], [float(int(v)) for v in a["bbox"]]) for a in labels["annotations"]]
    assert [a["bbox"] for a in found.coco["annotations"]] == [box for image, box in whole if image <= 2 or not listed]


def test_a_box_without_area_in_pascal_voc_is_left_out_and_told(tmp_path: Path) -> None:
    voc_folder(labelled(tmp_path / "JPEGImages"), tmp_path / "Annotations")
    path = tmp_path / "Annotations/photo 00.xml"
    path.write_text(path.read_text().replace("<xmax>21</xmax>", "<xmax>2</xmax>"))
    found = read_dataset(tmp_path / "Annotations")
    assert len(found.coco["annotations"]) == 17
    (note,) = found.notes
    assert note.startswith(f"{path.name}: object 1 (RBC) has a box without area")


def test_a_data_yaml_of_others_names_folders_in_its_own_ways(tmp_path: Path) -> None:
    labels = labelled(tmp_path / "photos")
    exported(labels, "yolo", tmp_path / "train")
    exported(labels, "yolo", tmp_path / "valid")
    described = {"train": "../train/images", "val": "../valid/images", "nc": 2, "names": ["RBC", "white cell"]}
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(described))
    (tmp_path / "train/labels/photo 03.txt").unlink()
    found = read_dataset(tmp_path)
    assert (found.images, found.held_out) == (tmp_path / "train/images", tmp_path / "valid/images")
    assert len(found.coco["images"]) == 9
    assert found.notes == ("1 images without a label file are left out (an empty file says: no objects).",)
    assert len(read_dataset(tmp_path, found.held_out).coco["images"]) == 10


def test_label_studio_says_neither_images_nor_categories_that_nobody_used(tmp_path: Path) -> None:
    place = exported(labelled(tmp_path / "photos"), "label-studio", tmp_path / "set")
    (tmp_path / "set/interface.xml").unlink()
    tasks = json.loads(place.read_text())
    tasks[0]["annotations"] = []
    for task in tasks[1:]:
        task["annotations"][0]["result"] = [
            r for r in task["annotations"][0]["result"] if r["value"]["rectanglelabels"] != ["RBC"]
        ]
    place.write_text(json.dumps(tasks))
    found = read_dataset(place, tmp_path / "photos")
    assert found.coco["categories"] == [{"id": 1, "name": "white cell"}]
    assert found.notes == ("1 tasks without a submitted annotation are left out.",)
    # Those of the labelled images are given for validation's.
    assert read_dataset(place, tmp_path / "photos", CELLS).coco["categories"] == CELLS


def write(name: str, text: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return make


def only_photos(folder: Path) -> Path:
    photos(folder / "photos", ["a.png"])
    return folder / "photos"


def no_objects(folder: Path) -> Path:
    photos(folder / "JPEGImages", ["a.png"])
    return write("Annotations/a.xml", "<annotation/>")(folder).parent


def no_photo(folder: Path) -> Path:
    return write("Annotations/a.xml", "<annotation/>")(folder).parent


def several_files(folder: Path) -> Path:
    for name in ("train.json", "val.json"):
        write(name, "{}")(folder)
    return folder


def without_images(folder: Path) -> Path:
    coco_file(labelled(folder / "photos"), folder / "a.json")
    (folder / "photos").rename(folder / "elsewhere")
    return folder / "a.json"


def yolo_with(**more: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        exported(labelled(folder / "photos"), "yolo", folder / "set")
        path = folder / "set/data.yaml"
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **more}))
        return path

    return make


def yolo_line(line: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        exported(labelled(folder / "photos"), "yolo", folder / "set")
        (folder / "set/labels/photo 00.txt").write_text(line)
        return folder / "set"

    return make


def label_without_image(folder: Path) -> Path:
    exported(labelled(folder / "photos"), "yolo", folder / "set")
    (folder / "set/images/photo 00.png").unlink()
    return folder / "set"


def damaged_image(folder: Path) -> Path:
    exported(labelled(folder / "photos"), "yolo", folder / "set")
    (folder / "set/images/photo 00.png").unlink()
    (folder / "set/images/photo 00.png").write_bytes(b"nothing")
    return folder / "set"


def label_studio_with(change: Callable[[list], object]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        place = exported(labelled(folder / "images"), "label-studio", folder / "set")
        tasks = json.loads(place.read_text())
        change(tasks)
        place.write_text(json.dumps(tasks))
        return place

    return make


def region(tasks: list) -> dict:
    return next(task for task in tasks if task["annotations"][0]["result"])["annotations"][0]["result"][0]


BAD = {
    "nothing there": (lambda folder: folder / "absent", "no such file or folder; name COCO JSON"),
    "another suffix": (write("a.csv", ""), "no annotations of a known format"),
    "photos alone": (only_photos, r"photos: it holds 1 images and no annotations; name COCO"),
    "an empty folder": (lambda folder: folder, "it holds no annotations of a known format"),
    "several JSON files": (several_files, r"2 JSON files \(train.json, val.json\); name one of them"),
    "not JSON": (write("a.json", "{"), "not valid JSON"),
    "other JSON": (write("a.json", '{"a": 1}'), "neither COCO JSON .* nor an export of Label Studio"),
    "no images beside": (without_images, r"its images \(photo 00.png, ...\) are in no folder beside it; .* IMAGES="),
    "one VOC file": (write("a.xml", "<annotation/>"), "the Pascal VOC annotation of one image; name its folder"),
    "no objects": (no_objects, "no object in any of its 1 annotation files"),
    "no photo of an XML": (no_photo, "are in no folder beside it"),
    "broken XML": (write("a.xml", "<annotations>"), "not valid XML"),
    "entities": (write("a.xml", '<!DOCTYPE a [<!ENTITY b "c">]><a/>'), "declares entities"),
    "a video of CVAT": (write("a.xml", "<annotations><track/></annotations>"), "export the task as `CVAT for images"),
    "no image in CVAT": (write("a.xml", "<annotations/>"), "it lists no image"),
    "a list without XML": (write("a.txt", "x\n"), "needs a folder `Annotations`"),
    "broken YAML": (write("data.yaml", "a: [\n"), "not valid YAML"),
    "another YAML": (write("data.yaml", "a: 1\n"), "not a data.yaml of YOLO"),
    "no train": (yolo_with(train=None), "names no folder of images as `train`"),
    "no such folder": (yolo_with(train="elsewhere"), "train: no such folder 'elsewhere'"),
    "a list of images": (yolo_with(train="train.txt"), "name one folder of images"),
    "names that aren't": (yolo_with(names=3), "`names` must list the classes"),
    "keypoints that nobody pairs": (yolo_with(kpt_shape=[3, 3]), "add flip_idx"),
    "two numbers a keypoint": (yolo_with(kpt_shape=[3, 2], flip_idx=[0, 2, 1]), "2 numbers a keypoint"),
    "flip_idx that is none": (yolo_with(kpt_shape=[3, 3], flip_idx=[1, 2, 0]), "flip_idx must name"),
    "kpt_names that don't fit": (yolo_with(kpt_shape=[3, 3], kpt_names={0: ["a"]}), "must list the 3 keypoints"),
    "a polygon in YOLO": (yolo_line("0 0.1 0.1 0.2 0.2 0.3 0.1\n"), "line 1: 6 numbers; a box has 4"),
    "a class too many": (yolo_line("7 0.5 0.5 0.2 0.2\n"), "there is no class 7"),
    "a label without its image": (label_without_image, "photo 00.txt: there is no image of that name in"),
    "a damaged image": (damaged_image, r"1 of 10 labelled images can't be used \(.*photo 00.png: does not decode"),
    "no annotation": (
        label_studio_with(lambda tasks: [task.update(annotations=[]) for task in tasks]),
        "no task has an annotation",
    ),
    "a list of something else": (write("a.json", "[1, 2]"), "not a JSON export of Label Studio"),
    "an image that isn't there": (
        label_studio_with(lambda tasks: tasks[0]["data"].update(image="/data/upload/3/else.png")),
        "the image '/data/upload/3/else.png' is not in .*images; name the folder of the images with IMAGES=",
    ),
    "a rotated box": (
        label_studio_with(lambda tasks: region(tasks)["value"].update(rotation=10)),
        "a box is rotated",
    ),
    "a polygon": (
        label_studio_with(lambda tasks: region(tasks).update(type="polygonlabels")),
        "a region of type 'polygonlabels' is neither a box nor a keypoint",
    ),
    "a box without numbers": (
        label_studio_with(lambda tasks: region(tasks)["value"].pop("x")),
        r"not as Label Studio has it \(no 'x'\); export it again",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_can_t_be_read_is_told_in_one_sentence(case: str, tmp_path: Path) -> None:
    make, sentence = BAD[case]
    place = make(tmp_path)
    with pytest.raises(UserError, match=sentence) as raised:
        read_dataset(place)
    assert "\n" not in str(raised.value)


def test_a_folder_of_images_that_isn_t_there_is_told(tmp_path: Path) -> None:
    place = coco_file(labelled(tmp_path / "photos"), tmp_path / "a.json")
    assert find_format(tmp_path) == ("COCO", place)
    with pytest.raises(UserError, match="no such folder"):
        read_dataset(place, tmp_path / "absent")
