"""Pascal VOC annotations: coordinates, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datadistill.data.make import make_split
from datadistill.data.sources import path_id
from datadistill.data.specs import read_split_spec
from datadistill.data.voc import VocAnnotations, category_ids, coco_categories, find_image, read_names, read_voc
from datadistill.errors import UserError

CELLS = Path(__file__).resolve().parents[3] / "shared" / "data" / "blood-cells"
OBJECT = "<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{corners}</bndbox></object>"


def an_object(name: str = "RBC", corners: tuple[object, ...] = (1, 1, 10, 20), difficult: int = 0) -> str:
    names = ("xmin", "ymin", "xmax", "ymax")
    tags = "".join(f"<{tag}>{value}</{tag}>" for tag, value in zip(names, corners, strict=False))
    return OBJECT.format(name=name, difficult=difficult, corners=tags)


def write(folder: Path, *objects: str, name: str = "a", size: tuple[object, object] = (64, 48)) -> None:
    text = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    (folder / f"{name}.xml").write_text(f"<annotation>{text}{''.join(objects)}</annotation>")
    (folder / f"{name}.jpg").touch()


def read(folder: Path, **options: bool) -> VocAnnotations:
    return read_voc(folder, folder, ["a"], ["RBC", "WBC"], **options)


def test_corners_count_from_one_and_are_both_inside(tmp_path: Path) -> None:
    write(tmp_path, an_object(), an_object("WBC", (5, 6, 64, 48)))
    found = read(tmp_path)
    assert found.images == [{"file_name": "a.jpg", "width": 64, "height": 48}]
    assert found.objects == [
        [
            {"category_id": 1, "bbox": [0, 0, 10, 20], "iscrowd": 0},
            {"category_id": 2, "bbox": [4, 5, 60, 43], "iscrowd": 0},
        ]
    ]


def test_a_difficult_object_is_neither_trained_on_nor_counted(tmp_path: Path) -> None:
    write(tmp_path, an_object(difficult=1))
    assert read(tmp_path).objects[0][0]["iscrowd"] == 1


def test_an_image_without_objects_is_kept(tmp_path: Path) -> None:
    write(tmp_path)
    assert read(tmp_path).objects == [[]]


def test_a_pixel_beyond_the_border_is_rounding(tmp_path: Path) -> None:
    write(tmp_path, an_object(corners=(0, 0, 65, 49)))
    assert read(tmp_path).objects[0][0]["bbox"] == [0, 0, 64, 48]


@pytest.mark.parametrize("corners", [(504, 337, 504, 337), (9, 1, 3, 20), (1, 20, 10, 20)])
def test_a_box_without_area_is_refused_or_left_out_by_name(tmp_path: Path, corners: tuple[int, ...]) -> None:
    write(tmp_path, an_object(), an_object(corners=corners), size=(640, 480))
    with pytest.raises(UserError, match=r"a\.xml: object 2 \(RBC\) has a box without area.*drop_empty_boxes"):
        read(tmp_path)
    found = read(tmp_path, drop_empty_boxes=True)
    assert len(found.objects[0]) == 1
    assert [row["file_name"] for row in found.left_out] == [str(tmp_path / "a.xml")]
    assert "object 2 (RBC) has a box without area, xmin" in found.left_out[0]["reason"]


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        (an_object("RCB"), "object 1 is a 'RCB', which isn't among the categories RBC, WBC"),
        (an_object(""), "object 1 has no <name>"),
        (an_object(corners=(1, 1, 10)), "object 1 has a malformed <bndbox>"),
        (an_object(corners=(1, 1, "ten", 20)), "object 1 has a malformed <bndbox>"),
        (an_object(corners=(1, 1, "nan", 20)), "object 1 has a malformed <bndbox>"),
        (an_object(corners=(1, 1, 70, 20)), "xmax 70, ymax 20 that leaves its image of 64x48 pixels"),
    ],
)
def test_what_is_wrong_with_an_object_is_named(tmp_path: Path, objects: str, message: str) -> None:
    write(tmp_path, objects)
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path)
    assert "a.xml: object 1" in str(caught.value)


def test_files_that_are_no_annotations_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.xml: no such annotation file"):
        read(tmp_path)
    (tmp_path / "a.xml").write_text("<annotation>")
    with pytest.raises(UserError, match=r"a\.xml: not an XML file"):
        read(tmp_path)
    (tmp_path / "a.xml").write_text("<html/>")
    with pytest.raises(UserError, match="its root is <html>"):
        read(tmp_path)
    write(tmp_path, size=(0, 48))
    with pytest.raises(UserError, match="<size> has no positive width and height"):
        read(tmp_path)


def test_images_are_found_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no image 'b'"):
        find_image(tmp_path, "b")
    (tmp_path / "b.PNG").touch()
    assert find_image(tmp_path, "b") == "b.PNG"
    (tmp_path / "b.jpg").touch()
    with pytest.raises(UserError, match=r"b\.jpg and b\.PNG are both the image 'b'"):
        find_image(tmp_path, "b")


def test_names_come_from_a_list_or_from_the_folder(tmp_path: Path) -> None:
    write(tmp_path, name="z")
    write(tmp_path, name="b")
    assert read_names(tmp_path, None) == ["b", "z"]
    names = tmp_path / "list.txt"
    names.write_text("z\n\n c \n")
    assert read_names(tmp_path, names) == ["c", "z"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "names no image"), ("a 1\nb -1\n", "without a flag"), ("a\nb\na\n", "'a' is repeated")],
)
def test_a_list_that_names_no_images_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        read_names(None, tmp_path / "list.txt")


def test_a_missing_list_and_an_empty_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.txt: no such file"):
        read_names(None, tmp_path / "none.txt")
    with pytest.raises(UserError, match="no Pascal VOC annotation"):
        read_names(tmp_path, None)
    with pytest.raises(UserError, match="elsewhere: no such folder"):
        read_names(tmp_path / "elsewhere", None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("below/b.xml", r"below/b\.xml: only annotations that lie in .* itself are read"),
        ("b.XML", r"b\.XML: the name of an annotation must end in \.xml; rename it"),
    ],
)
def test_an_annotation_that_would_not_be_read_is_refused(tmp_path: Path, name: str, message: str) -> None:
    write(tmp_path, an_object())
    assert read_names(tmp_path, None) == ["a"]
    (tmp_path / "below").mkdir()
    (tmp_path / name).write_text("<annotation/>")
    with pytest.raises(UserError, match=message):
        read_names(tmp_path, None)
    # A list says which are meant.
    (tmp_path / "list.txt").write_text("a\n")
    assert read_names(tmp_path, tmp_path / "list.txt") == ["a"]


@pytest.mark.parametrize("encoding", ["gb2312", "no-such-encoding"])
def test_an_encoding_that_is_not_read_is_named(tmp_path: Path, encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><annotation/>'
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(UserError, match=r"a\.xml: it can't be read in the encoding .*; save it as UTF-8") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("listed", [False, True])
def test_a_damaged_image_is_to_be_restored_or_removed(tmp_path: Path, listed: bool) -> None:
    write(tmp_path, an_object())
    values = {"kind": "voc", "name": "cells", "images": str(tmp_path), "categories": ["RBC"]}
    values["annotations"] = str(tmp_path)
    if listed:
        (tmp_path / "list.txt").write_text("a\n")
        values["list"] = str(tmp_path / "list.txt")
    remedy = "restore them, or remove them with their " + ("lines in the list" if listed else "annotations")
    with pytest.raises(UserError, match=rf"a\.jpg is empty; {remedy}$"):
        make_split(read_split_spec(values), {}, images=str(tmp_path))


def test_a_pool_rests_on_the_folder_that_names_its_images() -> None:
    values = {"kind": "voc", "name": "cells", "images": "photos", "annotations": "xml", "categories": ["RBC"]}
    for labelled in (True, False):
        spec = read_split_spec({**values, "labelled": labelled})
        assert spec.files() == ("xml",)
    assert read_split_spec({**values, "labelled": True, "list": "l.txt"}).files() == ("l.txt", "xml")
    assert read_split_spec({**values, "labelled": False, "list": "l.txt"}).files() == ("l.txt",)


def test_categories_are_numbered_in_their_order() -> None:
    assert coco_categories(["WBC", "RBC"]) == [{"id": 1, "name": "WBC"}, {"id": 2, "name": "RBC"}]
    with pytest.raises(UserError, match="'RBC' is given twice"):
        category_ids(["RBC", "WBC", "RBC"])


def test_a_split_holds_the_images_and_boxes_and_its_ledger_the_boxes_left_out(tmp_path: Path) -> None:
    write(tmp_path, an_object(), an_object(corners=(5, 5, 5, 9)))
    write(tmp_path, an_object("WBC"), name="b")
    for seed, name in enumerate("ab"):
        pixels = np.random.default_rng(seed).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.jpg")
    values = {"kind": "voc", "name": "cells", "images": str(tmp_path), "categories": ["RBC", "WBC"]}
    spec = read_split_spec({**values, "annotations": str(tmp_path), "drop_empty_boxes": True})
    made = make_split(spec, {}, images=str(tmp_path))
    assert {image["id"] for image in made.split["images"]} == {path_id("a.jpg"), path_id("b.jpg")}
    assert sorted((a["category_id"], a["image_id"]) for a in made.split["annotations"]) == [
        (1, path_id("a.jpg")),
        (2, path_id("b.jpg")),
    ]
    assert made.split["annotations"][0]["area"] == 200
    assert [row["file_name"] for row in made.ledger] == [str(tmp_path / "a.xml")]
    (tmp_path / "pool.txt").write_text("b\n")
    pool = make_split(
        read_split_spec({**values, "list": str(tmp_path / "pool.txt"), "labelled": False}), {}, images=str(tmp_path)
    )
    assert ([image["id"] for image in pool.split["images"]], pool.split["annotations"]) == ([path_id("b.jpg")], [])
    with pytest.raises(UserError, match="cells: a labelled split of kind voc needs the key 'annotations'"):
        make_split(read_split_spec(values), {}, images=str(tmp_path))


@pytest.mark.skipif(not CELLS.exists(), reason="needs ../shared/data/blood-cells")
def test_blood_cells_are_read_as_published() -> None:
    categories = ["RBC", "WBC", "Platelets"]

    def cells(name: str, **options: bool) -> VocAnnotations:
        names = read_names(None, CELLS / f"{name}.txt")
        return read_voc(CELLS / "Annotations", CELLS / "JPEGImages", names, categories, **options)

    labelled = cells("labelled")
    counts = Counter(o["category_id"] for objects in labelled.objects for o in objects)
    assert (len(labelled.images), counts) == (40, {1: 449, 2: 42, 3: 30})
    with pytest.raises(UserError, match=r"BloodImage_00338\.xml: object \d+ \(RBC\) has a box without area, xmin 504"):
        cells("val")
    val = cells("val", drop_empty_boxes=True)
    counts = Counter(o["category_id"] for objects in val.objects for o in objects)
    assert (len(val.images), counts, len(val.left_out)) == (159, {1: 1772, 2: 158, 3: 152}, 1)
