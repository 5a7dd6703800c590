"""Splits of images on disk: what is kept of data that others wrote, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from data_samples import coco, photo
from PIL import Image

from datadistill.data.sources import from_coco, from_folder
from datadistill.data.specs import CocoSplit, FolderSplit
from datadistill.data.splits import Made
from datadistill.errors import UserError

MINI = Path(__file__).resolve().parents[3] / "shared" / "data" / "coco-mini"


def make(folder: Path, **changes: Any) -> Made:
    values: dict[str, Any] = {
        "name": "toy",
        "images": str(folder / "images"),
        "annotations": str(folder / "a.json"),
        "task": "keypoints",
        "num_keypoints": 3,
    }
    spec = CocoSplit(**{**values, **changes})
    return from_coco(spec, images=spec.images)


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


def test_objects_task_drops_keypoints(folder: Path) -> None:
    made = make(folder, task="objects", num_keypoints=None)
    assert "keypoints" not in made.split["categories"][0]
    assert "keypoints" not in made.split["annotations"][0]


def test_ids_leave_images_out(folder: Path) -> None:
    (folder / "drop.json").write_text(json.dumps({"images": [{"id": 20}]}))
    (folder / "drop.txt").write_text("40\n")
    chosen = make(folder, drop_ids=(str(folder / "drop.json"), str(folder / "drop.txt")))
    assert [image["id"] for image in chosen.split["images"]] == [10, 30]
    assert {a["image_id"] for a in chosen.split["annotations"]} == {10, 30}
    assert chosen.ledger == [
        {"file_name": str(folder / "images" / name), "reason": "drop_ids"} for name in ("2.jpg", "4.jpg")
    ]
    # One list may serve several splits; what is left out isn't looked at.
    (folder / "images" / "4.jpg").unlink()
    (folder / "drop.txt").write_text("40\n99\n")
    assert len(make(folder, drop_ids=(str(folder / "drop.txt"),)).split["images"]) == 3
    (folder / "drop.txt").write_text("10\n20\n30\n40\n")
    with pytest.raises(UserError, match=r"a\.json: no image is left; check drop_ids"):
        make(folder, drop_ids=(str(folder / "drop.txt"),))


def test_a_labelled_split_keeps_something_to_learn_from(folder: Path) -> None:
    data = coco()
    for annotation in data["annotations"][1:]:
        annotation |= {"keypoints": [0] * 9, "num_keypoints": 0}
    (folder / "a.json").write_text(json.dumps(data))
    (folder / "drop.txt").write_text("10\n")
    drop = {"drop_ids": (str(folder / "drop.txt"),)}
    message = r"a\.json: no annotation to learn from .*\(task keypoints\) is left in its 3 images; check drop_ids"
    with pytest.raises(UserError, match=message):
        make(folder, **drop)
    assert len(make(folder, **drop, labelled=False).split["images"]) == 3
    assert len(make(folder, **drop, task="objects", num_keypoints=None).split["annotations"]) == 3


@pytest.mark.parametrize("name", ["../outside.jpg", "/etc/passwd", "a/../../b.jpg"])
def test_a_file_name_that_leads_out_of_the_folder_is_refused(folder: Path, name: str) -> None:
    data = coco()
    data["images"][0]["file_name"] = name
    (folder / "a.json").write_text(json.dumps(data))
    with pytest.raises(UserError, match=r"a\.json: file_name '.*' leads out of the folder"):
        make(folder)


def test_images_are_named_through_the_folder_that_the_run_reaches_them_by(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "images")
    spec = CocoSplit(name="toy", images=str(folder / "images"), annotations=str(folder / "a.json"), task="objects")
    through = from_coco(spec, images=str(folder / "link")).split
    assert through["images"][0]["file_name"] == str(folder / "link" / "1.jpg")
    plain = from_coco(spec, images=str(folder / "images")).split
    assert [image["content"] for image in through["images"]] == [image["content"] for image in plain["images"]]


def test_damage_in_a_labelled_split_is_an_error_naming_the_files(folder: Path) -> None:
    (folder / "images" / "2.jpg").unlink()
    path = folder / "images" / "3.jpg"
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(UserError, match=r"2 of 4 images .*2\.jpg is missing; .*3\.jpg does not decode"):
        make(folder)


def test_damage_in_an_unlabelled_split_goes_to_the_ledger(folder: Path) -> None:
    path = folder / "images" / "3.jpg"
    path.write_bytes(path.read_bytes()[:-400])
    made = make(folder, labelled=False, max_damaged_fraction=0.25)
    assert [image["id"] for image in made.split["images"]] == [10, 20, 40]
    assert made.split["annotations"] == []
    assert [row["file_name"] for row in made.ledger] == [str(path)]
    with pytest.raises(UserError, match=r"1 of 4 images .*20\.00% that max_damaged_fraction allows"):
        make(folder, labelled=False, max_damaged_fraction=0.2)


def test_a_wrong_folder_is_named(folder: Path) -> None:
    with pytest.raises(UserError, match=r"none of the 4 images .* is in .*elsewhere"):
        make(folder, images=str(folder / "elsewhere"))


def test_a_mis_sized_image_is_an_error(folder: Path) -> None:
    photo(2, 40, 32).save(folder / "images" / "2.jpg")
    with pytest.raises(UserError, match="is 40x32 pixels, its record says 48x32"):
        make(folder)


def test_a_deep_image_is_an_error_in_a_labelled_split(folder: Path) -> None:
    Image.new("I;16", (48, 32)).save(folder / "images" / "2.jpg", format="PNG")
    with pytest.raises(UserError, match=r"2\.jpg has more than 8 bits a channel"):
        make(folder)


def of_folder(images: str) -> Made:
    return from_folder(FolderSplit(name="mine", images=images), images=images)


def test_from_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for i, name in enumerate(("b.JPG", "sub/a.png", "c.jpeg", "._hidden.jpg")):
        image = photo(i, 20 + i, 10)
        image.save(tmp_path / name, format="PNG" if name.endswith("png") else "JPEG")
    (tmp_path / "notes.txt").write_text("not an image")
    made = of_folder(str(tmp_path))
    ids = {Path(image["file_name"]).name: image["id"] for image in made.split["images"]}
    assert set(ids) == {"b.JPG", "a.png", "c.jpeg"}
    assert [image["id"] for image in made.split["images"]] == sorted(ids.values())
    photo(9).save(tmp_path / "a0.jpg")
    again = of_folder(str(tmp_path))
    assert ids.items() <= {Path(image["file_name"]).name: image["id"] for image in again.split["images"]}.items()
    with pytest.raises(UserError, match="no such folder"):
        of_folder(str(tmp_path / "no"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no JPEG or PNG"):
        of_folder(str(tmp_path / "empty"))


def test_a_folder_says_which_kinds_of_images_it_passes_over(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    photo(1).save(tmp_path / "a.jpg")
    of_folder(str(tmp_path))
    assert "left out" not in capsys.readouterr().err
    for name in ("b.webp", "c.WebP", "d.tif"):
        photo(2).save(tmp_path / name)
    made = of_folder(str(tmp_path))
    assert len(made.split["images"]) == 1
    note = "3 files of kinds that aren't read (.webp 2, .tif 1) are left out; .jpg, .jpeg and .png are read"
    assert f"{tmp_path}: {note}\n" in capsys.readouterr().err
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(UserError, match="no JPEG or PNG image in this folder or below") as caught:
        of_folder(str(tmp_path))
    assert note in str(caught.value)


@pytest.mark.skipif(
    not MINI.is_dir(), reason=f"needs the real photos of {MINI.parent.name}/{MINI.name}, which aren't here"
)
def test_real_photos() -> None:
    images = str(MINI / "images")
    annotations = str(MINI / "annotations" / "person_keypoints_labelled.json")
    spec = CocoSplit(name="photos", images=images, annotations=annotations, task="keypoints", num_keypoints=17)
    made = from_coco(spec, images=images)
    assert len(made.split["images"]) == 400
    assert len(made.split["annotations"]) == 891
    assert sum(a["iscrowd"] for a in made.split["annotations"]) == 13
    assert sum(a["num_keypoints"] > 0 for a in made.split["annotations"]) == 620


def test_what_the_config_says_of_keypoints_stands_in_the_split(folder: Path) -> None:
    made = make(folder, flip_pairs=(("nose", "left_eye"),), sigmas={"nose": 0.1, "left_eye": 0.2, "right_eye": 0.2})
    assert made.split["categories"][0]["flip_pairs"] == [["nose", "left_eye"]]
    assert made.split["categories"][0]["sigmas"] == [0.1, 0.2, 0.2]
    with pytest.raises(UserError, match=r"a\.json: category 'person': flip_pairs: there is no keypoint 'tail'"):
        make(folder, flip_pairs=(("nose", "tail"),))
