"""Which image a review speaks of: names of their own on the way out, no other image's labels on the way back."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from coco_essence import essence
from exchange_samples import CELLS, label_set

from datadistill.errors import UserError
from datadistill.exchange import formats, label_studio
from datadistill.exchange.formats import FORMATS, export_labels, import_labels
from datadistill.exchange.review import Known, flat_names


def numbered(folder: Path, names: dict[int, str]) -> dict[str, Any]:
    """Images of these ids and names, each with bytes of its own and a box of its own."""
    from PIL import Image

    images, annotations = [], []
    for place, (identity, name) in enumerate(names.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48), (20 * place, 60, 90)).save(path)
        images.append({"id": identity, "file_name": str(path), "width": 64, "height": 48})
        box = [1.0 + place, 2.0, 10.0 + place, 20.0]
        annotations.append({"id": place + 1, "image_id": identity, "category_id": 3, "bbox": box, "score": 0.5})
    return {"images": images, "annotations": annotations, "categories": CELLS}


def submitted(folder: Path, edit: Callable[[list[dict[str, Any]]], Any] = lambda tasks: None) -> Path:
    path = folder / "tasks.json"
    tasks = json.loads(path.read_text())
    for task in tasks:
        task["annotations"] = [{"result": task["predictions"][0]["result"]}]
    edit(tasks)
    path.write_text(json.dumps(tasks))
    return path


NAMES = {
    "a name with another's id": {10: "q/11-7.jpg", 11: "q/1/7.jpg", 12: "q/2/7.jpg"},
    "one stem, two endings": {1: "q/a.jpg", 2: "q/a.png", 3: "q/1-a.png", 4: "r/b.png"},
    "YOLO's list of classes": {1: "q/classes.jpg", 2: "q/a.jpg"},
    "both": {1: "q/a.jpg", 2: "r/a.jpg", 3: "q/1-a.jpg", 4: "q/1-1-a.png", 5: "r/1-a.jpg"},
}


@pytest.mark.parametrize("case", NAMES)
@pytest.mark.parametrize("kind", FORMATS)
def test_names_are_unique_among_all_photos_stay_as_they_were_and_all_comes_back(
    kind: str, case: str, tmp_path: Path
) -> None:
    labels = numbered(tmp_path / "photos", NAMES[case])
    before = {image["file_name"]: Path(image["file_name"]).read_bytes() for image in labels["images"]}
    out = tmp_path / "review"
    export_labels(labels, kind, out)
    assert {name: Path(name).read_bytes() for name in before} == before, "somebody's photo was overwritten"
    order = (out / "order.txt").read_text().splitlines()
    assert len(set(order)) == len(before)
    for folder in ("images", "data"):
        if (out / folder).is_dir():
            assert {path.read_bytes() for path in (out / folder).iterdir()} == set(before.values())
    if kind == "yolo":
        assert len(list((out / "labels").iterdir())) == len(before)
    back = import_labels(submitted(out) if kind == "label-studio" else out, labels)
    assert essence(back) == essence(labels)


def test_names_in_the_usual_cases_are_those_of_earlier_exports() -> None:
    images = [{"id": n, "file_name": name} for n, name in {1: "q/a.jpg", 2: "r/a.jpg", 3: "q/b.jpg"}.items()]
    for by_stem in (False, True):
        assert flat_names(images, by_stem=by_stem) == {1: "1-a.jpg", 2: "2-a.jpg", 3: "b.jpg"}


def test_names_of_some_images_are_those_that_they_have_among_all(tmp_path: Path) -> None:
    labels = numbered(tmp_path / "photos", NAMES["a name with another's id"])
    labels["annotations"][2]["score"] = 0.1
    export_labels(labels, "coco", tmp_path / "review", count=1)
    assert (tmp_path / "review/order.txt").read_text() == "12-7.jpg\n"
    assert [image["id"] for image in import_labels(tmp_path / "review", labels)["images"]] == [12]


def test_where_there_can_be_no_link_a_copy_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EXDEV, "another device")

    monkeypatch.setattr(os, "link", refuse)
    labels = numbered(tmp_path / "photos", {1: "a.png"})
    export_labels(labels, "coco", tmp_path / "review")
    copy, photo = tmp_path / "review/data/a.png", tmp_path / "photos/a.png"
    assert copy.read_bytes() == photo.read_bytes()
    assert copy.stat().st_ino != photo.stat().st_ino


@pytest.mark.parametrize("linked", [True, False], ids=["links", "copies"])
def test_nothing_is_written_onto_what_is_there(linked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not linked:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EXDEV, "another device")))
    labels = numbered(tmp_path / "photos", {1: "a.png", 2: "b.png"})
    (tmp_path / "out").mkdir()
    os.symlink(tmp_path / "photos/b.png", tmp_path / "out/a.png")
    before = (tmp_path / "photos/b.png").read_bytes()
    with pytest.raises(UserError, match=r"out/a\.png: already there"):
        formats._link(labels["images"], {1: "a.png", 2: "b.png"}, tmp_path / "out")
    assert (tmp_path / "photos/b.png").read_bytes() == before


# --- names that come back


IMAGES = [
    {"id": 1, "file_name": "results/own/images/pool/DSC_1.jpg"},
    {"id": 2, "file_name": "results/own/images/pool/b/one.png"},
    {"id": 3, "file_name": "results/own/images/pool/c/one.png"},
    {"id": 4, "file_name": "results/own/images/pool/two words.png"},
]


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ("DSC_1.jpg", 1),
        ("DSC_1", 1),
        ("./DSC_1.jpg", 1),
        ("pool/DSC_1.jpg", 1),
        ("/home/me/project/results/own/images/pool/DSC_1.jpg", 1),
        ("images/DSC_1.jpg", 1),
        ("review/images/2-one.png", 2),
        ("c/one.png", 3),
        ("/data/upload/3/DSC_1.jpg", 1),
        ("two%20words", 4),
    ],
)
def test_an_image_is_found_with_fewer_folders_or_with_more_before_them(name: str, identity: int) -> None:
    assert Known(IMAGES, "images").image(name, "review")["id"] == identity


@pytest.mark.parametrize(
    "name", ["other/DSC_1.jpg", "/other/pool/DSC_1.jpg", "data/DSC_1.jpg", "images/other/DSC_1.jpg"]
)
def test_a_name_in_other_folders_is_another_image(name: str) -> None:
    with pytest.raises(
        UserError, match=r"is no image of the split, which has that name in another folder \(results/own"
    ):
        Known(IMAGES, "images").image(name, "review")


def test_an_image_is_found_by_where_its_link_leads(tmp_path: Path) -> None:
    photo = tmp_path / "photos/a.png"
    photo.parent.mkdir()
    photo.touch()
    (tmp_path / "results").mkdir()
    (tmp_path / "results/pool.1").symlink_to(photo.parent)
    known = Known([{"id": 1, "file_name": str(tmp_path / "results/pool.1/a.png")}])
    assert known.image("photos/a.png", "review")["id"] == 1
    with pytest.raises(UserError, match="no image of the split"):
        known.image("results/a.png", "review")


def test_of_images_in_one_folder_the_folders_of_a_tool_say_nothing() -> None:
    assert Known([{"id": 1, "file_name": "a.png"}]).image("subset/a.png", "x")["id"] == 1


def test_images_can_be_named_as_the_export_calls_them_also_where_others_do_not_come_back(tmp_path: Path) -> None:
    labels = label_set(tmp_path / "images", keypoints=False)
    export_labels(labels, "yolo", tmp_path / "out")
    (tmp_path / "out/labels/12-one.txt").unlink()
    only = tmp_path / "only.txt"
    only.write_text("11-one.png\n")
    assert [image["id"] for image in import_labels(tmp_path / "out", labels, only)["images"]] == [11]
    only.write_text("12-one.png\n")
    with pytest.raises(UserError, match=r"only\.txt: '12-one\.png' is not among what comes back"):
        import_labels(tmp_path / "out", labels, only)


# --- Label Studio's addresses and ids


@pytest.mark.parametrize("name", ["a#1.jpg", "a&b.jpg", "a+b.jpg", "100%25.jpg", "two words.jpg", "ä?=.jpg"])
@pytest.mark.parametrize("prefix", ["/data/local-files/?d=", "http://localhost:8000/"])
def test_addresses_lead_to_the_file(name: str, prefix: str, tmp_path: Path) -> None:
    labels = numbered(tmp_path / "photos", {1: name, 2: "100%.jpg"})
    export_labels(labels, "label-studio", tmp_path / "out", prefix=prefix)
    address = json.loads((tmp_path / "out/tasks.json").read_text())[0]["data"]["image"]
    parts = urlsplit(address)
    assert not parts.fragment
    found = parse_qs(parts.query)["d"][0] if "?d=" in prefix else unquote(parts.path).removeprefix("/")
    assert found == str(tmp_path / "photos" / name)
    # By the address alone it comes back as the same image.
    path = submitted(tmp_path / "out", lambda tasks: [task["data"].pop("file_name") for task in tasks])
    assert essence(import_labels(path, labels)) == essence(labels)


def test_a_cloud_s_addresses_are_written_as_its_keys_are(tmp_path: Path) -> None:
    labels = numbered(tmp_path / "photos", {1: "two words.jpg"})
    [task] = label_studio.to_tasks(labels, labels["images"], "s3://bucket/")
    assert task["data"]["image"] == f"s3://bucket/{tmp_path}/photos/two words.jpg"


def test_a_task_of_another_image_is_refused(tmp_path: Path) -> None:
    labels = label_set(tmp_path / "images", keypoints=False)
    export_labels(labels, "label-studio", tmp_path / "out")
    path = submitted(tmp_path / "out", lambda tasks: tasks[0]["data"].update(image_id=99))
    with pytest.raises(UserError, match=r"two words\.png: its task is of image 99, in the split it is image 13"):
        import_labels(path, labels)
    # Ids of elsewhere say nothing beside images that were found by their names alone.
    tasks = json.loads(path.read_text())
    assert len(label_studio.from_tasks(tasks, labels["images"], CELLS, "x")["images"]) == 4


# --- sizes


def edited(file: str, old: str, new: str) -> Callable[[Path], Path]:
    def edit(folder: Path) -> Path:
        path = folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        return path

    return edit


def on_regions(**more: Any) -> Callable[[Path], Path]:
    def edit(tasks: list[dict[str, Any]]) -> None:
        for task in tasks:
            for region in task["annotations"][0]["result"]:
                region.update(more)

    return lambda folder: submitted(folder, edit)


SIZES = {
    "CVAT turned": (
        "cvat",
        edited("annotations.xml", 'width="64" height="48"', 'width="48" height="64"'),
        "48x64.*64x48",
    ),
    "COCO smaller": ("coco", edited("labels.json", '"width": 64', '"width": 32'), "32x48.*64x48"),
    "Label Studio turned": ("label-studio", on_regions(original_width=48, original_height=64), "48x64.*64x48"),
    "Label Studio cropped": ("label-studio", on_regions(original_width=64, original_height=40), "64x40.*64x48"),
    "Label Studio rotated": ("label-studio", on_regions(image_rotation=90), "on the image rotated"),
}


STATED = {
    "CVAT states none": ("cvat", edited("annotations.xml", ' width="64" height="48"', "")),
    "COCO states none": ("coco", edited("labels.json", '"width": 64, "height": 48', '"width": null')),
    "a smaller copy in Label Studio": ("label-studio", on_regions(original_width=33, original_height=25)),
    "none in Label Studio": ("label-studio", on_regions(original_width=None, image_rotation=None)),
}


@pytest.mark.parametrize("case", STATED)
def test_sizes_that_say_nothing_or_the_same_are_taken(case: str, tmp_path: Path) -> None:
    kind, edit = STATED[case]
    labels = label_set(tmp_path / "images", keypoints=False)
    export_labels(labels, kind, tmp_path / "out")
    assert essence(import_labels(edit(tmp_path / "out"), labels)) == essence(labels)


# --- twice


def twice_in_coco(folder: Path, *, same_id: bool = False) -> Path:
    path = folder / "labels.json"
    values = json.loads(path.read_text())
    values["images"].append({**values["images"][0], **({} if same_id else {"id": 77})})
    path.write_text(json.dumps(values))
    return path


def twice_in_yolo(folder: Path) -> Path:
    (folder / "labels/more").mkdir()
    (folder / "labels/more/two words.txt").write_text("")
    return folder


def twice_in_cvat(folder: Path) -> Path:
    path = folder / "annotations.xml"
    path.write_text(path.read_text().replace("</annotations>", '<image name="two words.png"/></annotations>'))
    return path


TWICE = {
    "COCO": ("coco", twice_in_coco, "comes back twice"),
    "COCO, one id": ("coco", lambda folder: twice_in_coco(folder, same_id=True), "another image has its id 13"),
    "YOLO": ("yolo", twice_in_yolo, "comes back twice"),
    "CVAT": ("cvat", twice_in_cvat, "comes back twice"),
    "Label Studio": ("label-studio", lambda f: submitted(f, lambda t: t.append(dict(t[0]))), "comes back twice"),
}


REFUSED = SIZES | TWICE


@pytest.mark.parametrize("case", REFUSED)
def test_another_size_or_an_image_twice_is_refused(case: str, tmp_path: Path) -> None:
    kind, edit, message = REFUSED[case]
    labels = label_set(tmp_path / "images", keypoints=False)
    export_labels(labels, kind, tmp_path / "out")
    path = edit(tmp_path / "out")
    with pytest.raises(UserError, match=rf"{path.name}: .*two words\.png: .*{message}") as error:
        import_labels(path, labels)
    assert "\n" not in str(error.value)
