"""Every review format, out and back with nothing lost, and what can't be read whole is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from coco_essence import essence
from exchange_samples import label_set

from datadistill.errors import UserError
from datadistill.exchange.formats import FORMATS, export_labels, import_labels
from datadistill.exchange.review import certainty, flat_names, image_certainty, least_certain_first


def reviewed(folder: Path) -> None:
    """What Label Studio does to its tasks when a person submits them: predictions become an annotation."""
    path = folder / "tasks.json"
    if path.exists():
        tasks = json.loads(path.read_text())
        for task in tasks:
            task["annotations"] = [{"was_cancelled": False, "result": task["predictions"][0]["result"]}]
        path.write_text(json.dumps(tasks))


def what_comes_back(folder: Path, kind: str) -> Path:
    return folder / "tasks.json" if kind == "label-studio" else folder


@pytest.mark.parametrize("keypoints", [False, True], ids=["boxes", "keypoints"])
@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_is_lost_on_the_way_out_and_back(kind: str, keypoints: bool, tmp_path: Path) -> None:
    labels = label_set(tmp_path / "images", keypoints=keypoints)
    out = tmp_path / "review"
    written = export_labels(labels, kind, out)
    assert [image["id"] for image in written] == [13, 11, 12, 14]
    assert len((out / "order.txt").read_text().splitlines()) == 4
    reviewed(out)
    back = import_labels(what_comes_back(out, kind), labels)
    assert essence(back) == essence(labels)
    assert [image["id"] for image in back["images"]] == [11, 12, 13, 14]
    assert [a["id"] for a in back["annotations"]] == [1, 2, 3, 4]
    assert not any("score" in a for a in back["annotations"])


def test_the_least_certain_images_come_first_and_empty_ones_last(tmp_path: Path) -> None:
    labels = label_set(tmp_path, keypoints=False)
    assert [image["id"] for image in least_certain_first(labels)] == [13, 11, 12, 14]
    assert [image["id"] for image in least_certain_first(labels, 2)] == [13, 11]


def test_certainty_is_the_score_less_the_disagreement() -> None:
    assert certainty({"score": 0.8, "disagreement": 0.25}) == pytest.approx(0.6)
    assert certainty({"score": 0.8}) == 0.8
    assert certainty({}) == 1.0, "a label of people"
    assert image_certainty([{"score": 0.9}, {"score": 0.95, "disagreement": 0.5}]) == pytest.approx(0.475)
    assert image_certainty([]) == 1.0


def test_disagreement_goes_out_with_every_format_that_can_hold_it(tmp_path: Path) -> None:
    labels = label_set(tmp_path / "images", keypoints=False)
    for kind in ("coco", "cvat", "label-studio"):
        export_labels(labels, kind, tmp_path / kind)
    # FiftyOne takes fields of an annotation that it doesn't know as attributes.
    written = json.loads((tmp_path / "coco/labels.json").read_text())["annotations"]
    assert sorted(a["disagreement"] for a in written) == [0.0, 0.1, 0.2, 0.5]
    text = (tmp_path / "cvat/annotations.xml").read_text()
    assert re.findall(r'<attribute name="disagreement">([\d.]+)<', text) == ["0.5", "0.1", "0.0", "0.2"]
    assert text.count("<name>disagreement</name>") == len(labels["categories"])
    tasks = json.loads((tmp_path / "label-studio/tasks.json").read_text())
    first = tasks[0]["predictions"][0]
    assert first["result"][0]["meta"] == {"text": ["disagreement 0.50"]}
    assert first["result"][0]["score"] == 0.6
    # Sorted by their own scores the tasks keep their order.
    scores = [task["predictions"][0]["score"] for task in tasks]
    assert scores == pytest.approx([0.6 * 0.5, 0.55, 0.97 * 0.8, 1.0])


def test_files_of_one_name_keep_apart(tmp_path: Path) -> None:
    images = label_set(tmp_path, keypoints=False)["images"]
    assert flat_names(images) == {11: "11-one.png", 12: "12-one.png", 13: "two words.png", 14: "empty.png"}


def test_only_reviewed_images_come_back(tmp_path: Path) -> None:
    labels = label_set(tmp_path / "images", keypoints=False)
    export_labels(labels, "label-studio", tmp_path / "ls")
    tasks = json.loads((tmp_path / "ls/tasks.json").read_text())
    with pytest.raises(UserError, match="no task has an annotation"):
        import_labels(tmp_path / "ls/tasks.json", labels)
    tasks[1]["annotations"] = [
        {"was_cancelled": True, "result": []},
        {"result": []},
        {"was_cancelled": True, "result": []},
    ]
    (tmp_path / "ls/tasks.json").write_text(json.dumps(tasks))
    back = import_labels(tmp_path / "ls/tasks.json", labels)
    assert ([image["id"] for image in back["images"]], back["annotations"]) == ([11], [])

    export_labels(labels, "yolo", tmp_path / "yolo")
    for name in ("11-one", "two words"):
        (tmp_path / f"yolo/labels/{name}.txt").unlink()
    back = import_labels(tmp_path / "yolo", labels)
    assert [image["id"] for image in back["images"]] == [12, 14]


def test_a_cvat_skeleton_without_a_box_gets_that_of_its_keypoints(tmp_path: Path) -> None:
    labels = label_set(tmp_path / "images", keypoints=True)
    export_labels(labels, "cvat", tmp_path / "cvat")
    path = tmp_path / "cvat/annotations.xml"
    path.write_text(re.sub(r"<box .*?</box>\s*", "", path.read_text(), flags=re.S))
    back = import_labels(path, labels)
    assert len(back["annotations"]) == 3
    x, y, w, h = back["annotations"][0]["bbox"]
    points = back["annotations"][0]["keypoints"]
    assert (x, y, x + w, y + h) == (points[3], points[1], points[0], points[4])


def test_classes_are_known_by_their_names_not_by_their_order(tmp_path: Path) -> None:
    labels = label_set(tmp_path / "images", keypoints=False)
    export_labels(labels, "yolo", tmp_path / "yolo")
    path = tmp_path / "yolo/data.yaml"
    path.write_text(path.read_text().replace("0: RBC", "0: white cell").replace("1: white cell", "1: RBC"))
    swapped = {"RBC": "white cell", "white cell": "RBC"}
    expected = sorted((row[0], swapped.get(row[1], row[1]), *row[2:]) for row in essence(labels))
    assert essence(import_labels(tmp_path / "yolo", labels)) == expected


def broken_task(edit: Callable[[dict[str, Any]], Any]) -> Callable[[Path, dict[str, Any]], Path]:
    def make(folder: Path, labels: dict[str, Any]) -> Path:
        export_labels(labels, "label-studio", folder)
        reviewed(folder)
        tasks = json.loads((folder / "tasks.json").read_text())
        edit(tasks[0])
        (folder / "tasks.json").write_text(json.dumps(tasks))
        return folder / "tasks.json"

    return make


def region(task: dict[str, Any], place: int = 0) -> dict[str, Any]:
    return task["annotations"][0]["result"][place]


def broken_text(kind: str, file: str, old: str, new: str) -> Callable[[Path, dict[str, Any]], Path]:
    def make(folder: Path, labels: dict[str, Any]) -> Path:
        export_labels(labels, kind, folder)
        path = folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        return path if path.suffix == ".xml" else folder

    return make


def written(name: str, text: str) -> Callable[[Path, dict[str, Any]], Path]:
    def make(folder: Path, labels: dict[str, Any]) -> Path:
        folder.mkdir()
        (folder / name).write_text(text)
        return folder / name

    return make


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (broken_task(lambda t: region(t)["value"].update(rotation=12)), "is rotated"),
        (broken_task(lambda t: region(t)["value"].update(rectanglelabels=["whale"])), "no category 'whale'"),
        (broken_task(lambda t: region(t)["value"].update(rectanglelabels=[])), "has 0 categories"),
        (broken_task(lambda t: region(t)["value"].update(width=0)), "has no area"),
        (broken_task(lambda t: region(t)["value"].update(x=95, width=40)), "lies outside"),
        (broken_task(lambda t: region(t).update(type="brushlabels")), "neither a box nor a keypoint"),
        (broken_task(lambda t: t["data"].update(file_name="elsewhere.png")), "no image of the split"),
        (broken_task(lambda t: t["data"].clear()), "neither `file_name` nor `image`"),
        (broken_text("cvat", "annotations.xml", 'label="RBC"', 'label="rbc"'), "no category 'rbc'"),
        (broken_text("cvat", "annotations.xml", 'xtl="', 'rotation="3" xtl="'), "is rotated"),
        (broken_text("cvat", "annotations.xml", 'xtl="', 'xtl="x'), "number is missing or malformed"),
        (broken_text("cvat", "annotations.xml", "</annotations>", ""), "not valid XML"),
        (broken_text("cvat", "annotations.xml", "<annotations>", "<!DOCTYPE a><annotations>"), "declares entities"),
        (broken_text("cvat", "annotations.xml", "<version>1.1</version>", "<track/>"), "not CVAT's XML for images"),
        (broken_text("cvat", "annotations.xml", "<box ", "<polygon "), "not valid XML"),
        (broken_text("yolo", "data.yaml", "RBC", "rbc"), "no category 'rbc'"),
        (broken_text("yolo", "labels/two words.txt", " ", " 0.5 "), "5 numbers; a box has 4"),
        (broken_text("yolo", "labels/two words.txt", " 0.", " nan"), "isn't in fractions|not a class"),
        (broken_text("yolo", "labels/two words.txt", "1 ", "4 "), "no class 4"),
        (broken_text("coco", "labels.json", "RBC", "rbc"), "no category 'rbc'"),
        (broken_text("coco", "labels.json", "two words.png", "three.png"), "no image of the split"),
        (written("export.json", "[1, 2]"), "not a JSON export of Label Studio"),
        (written("export.json", '{"a": 1}'), "neither an export of Label Studio"),
        (written("export.json", "[{"), "not valid JSON"),
        (written("export.xml", "<html/>"), "not CVAT's XML for images"),
        (written("export.xml", "<annotations/>"), "lists no image"),
    ],
)
def test_what_cant_be_read_whole_is_refused(
    make: Callable[[Path, dict[str, Any]], Path], message: str, tmp_path: Path
) -> None:
    labels = label_set(tmp_path / "images", keypoints=False)
    path = make(tmp_path / "review", labels)
    with pytest.raises(UserError, match=message) as caught:
        import_labels(path, labels)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_of_formats_that_list_every_image_the_reviewed_ones_can_be_named(tmp_path: Path) -> None:
    labels = label_set(tmp_path / "images", keypoints=False)
    export_labels(labels, "coco", tmp_path / "out")
    reviewed = tmp_path / "reviewed.txt"
    reviewed.write_text("two words.png\n\n11-one.png\n", encoding="utf-8")
    back = import_labels(tmp_path / "out", labels, reviewed)
    assert [image["id"] for image in back["images"]] == [11, 13]
    assert {annotation["image_id"] for annotation in back["annotations"]} == {11, 13}
    reviewed.write_text("other.png\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"reviewed\.txt.*'other\.png' is no image"):
        import_labels(tmp_path / "out", labels, reviewed)
    reviewed.write_text("\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"reviewed\.txt: names no image"):
        import_labels(tmp_path / "out", labels, reviewed)


TORN: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("coco", "labels.json", lambda v: v["images"][0].pop("file_name")),
    ("coco", "labels.json", lambda v: v["annotations"][0].pop("bbox")),
    ("coco", "labels.json", lambda v: v["annotations"][0].pop("image_id")),
    ("coco", "labels.json", lambda v: v["annotations"][0].update(bbox="wide")),
    ("coco", "labels.json", lambda v: v["annotations"][0].update(bbox=[1, 2])),
    ("coco", "labels.json", lambda v: v["categories"][0].pop("name")),
    ("coco", "labels.json", lambda v: v.update(images=[3])),
    ("label-studio", "tasks.json", lambda v: v[0].pop("data")),
    ("label-studio", "tasks.json", lambda v: v[0].update(annotations=[{"result": [{"type": "rectanglelabels"}]}])),
    ("label-studio", "tasks.json", lambda v: v[0].update(annotations=[{"result": 3}])),
    ("label-studio", "tasks.json", lambda v: v[0].update(annotations=[7])),
    ("label-studio", "tasks.json", lambda v: v.__setitem__(0, "task")),
]


@pytest.mark.parametrize(("kind", "name", "damage"), TORN)
def test_a_review_that_was_edited_by_hand_is_one_sentence(
    kind: str, name: str, damage: Callable[[Any], Any], tmp_path: Path
) -> None:
    labels = label_set(tmp_path / "images", keypoints=False)
    export_labels(labels, kind, tmp_path / "out")
    file = tmp_path / "out" / name
    values = json.loads(file.read_text(encoding="utf-8"))
    damage(values)
    file.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(UserError, match=re.escape(str(file.parent))) as error:
        import_labels(file, labels)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("notes", ["{", "[]", '{"categories": 3}', '{"categories": [{"id": 1}]}'])
def test_notes_of_yolo_that_were_edited_by_hand_are_one_sentence(notes: str, tmp_path: Path) -> None:
    labels = label_set(tmp_path / "images", keypoints=False)
    export_labels(labels, "yolo", tmp_path / "out")
    (tmp_path / "out" / "labels" / "notes.json").write_text(notes, encoding="utf-8")
    with pytest.raises(UserError, match=r"notes\.json"):
        import_labels(tmp_path / "out", labels)


def test_keypoints_that_belong_to_no_box_are_refused(tmp_path: Path) -> None:
    labels = label_set(tmp_path / "images", keypoints=True)
    for number, edit in enumerate(
        (lambda r: r.pop("parentID"), lambda r: r["value"].update(keypointlabels=["tail"])), start=1
    ):
        path = broken_task(
            lambda t, edit=edit: edit(next(r for r in _all_regions(t) if r["type"] == "keypointlabels"))
        )(
            tmp_path / f"review{number}",
            {**labels, "images": [labels["images"][0]], "annotations": labels["annotations"][:2]},
        )
        with pytest.raises(UserError, match="belongs to no box"):
            import_labels(path, labels)


def _all_regions(task: dict[str, Any]) -> list[dict[str, Any]]:
    return task["annotations"][0]["result"]


def test_an_export_overwrites_nothing(tmp_path: Path) -> None:
    labels = label_set(tmp_path / "images", keypoints=False)
    export_labels(labels, "coco", tmp_path / "out")
    with pytest.raises(UserError, match="not empty"):
        export_labels(labels, "coco", tmp_path / "out")
    with pytest.raises(UserError, match="is none of"):
        export_labels(labels, "voc", tmp_path / "other")
    Path(labels["images"][0]["file_name"]).unlink()
    with pytest.raises(UserError, match=r"no such image \(1 are missing\)"):
        export_labels(labels, "coco", tmp_path / "third")
