"""What `make init` writes and says: a config that runs, values by stated rules, and a refusal of what a run would refuse."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from coco_essence import essence
from start_samples import coco_file, exported, labelled, photos, voc_folder

from datadistill.errors import UserError
from datadistill.start import rules
from datadistill.start.make import Wishes, start
from datadistill.workflow.config import load_config
from datadistill.workflow.experiments import build_experiments
from datadistill.workflow.presets import presets

REPOSITORY = Path(__file__).resolve().parents[2]
COCO_MINI = REPOSITORY.parent / "shared/data/coco-mini"


@pytest.fixture
def init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[dict[str, Any], str]]:
    """A function that writes the config in an empty folder, and returns its values and what was said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    def call(**wishes: Any) -> tuple[dict[str, Any], str]:
        said: list[str] = []
        start(Wishes(**wishes), said.append)
        path = wishes.get("output", Path("my.yaml"))
        build_experiments(load_config(path))
        return yaml.safe_load(path.read_text(encoding="utf-8")), "\n".join(said)

    return call


def coco_and_pool(keypoints: bool = False, images: int = 10) -> tuple[Path, Path]:
    """A COCO file beside its images, and a pool of six others."""
    path = coco_file(labelled(Path("photos"), keypoints=keypoints, images=images), Path("train.json"))
    shutil.move(path, "photos/train.json")
    photos(Path("pool"), [f"other {number}.jpg" for number in range(6)], shade=200)
    return Path("photos/train.json"), Path("pool")


def split(config: dict[str, Any], name: str) -> dict[str, Any]:
    return next(entry for entry in config["splits"] if entry["name"] == name)


def read(path: str) -> dict[str, Any]:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def test_a_coco_file_and_a_pool_become_a_config(init: Any) -> None:
    source, pool = coco_and_pool()
    config, said = init(labelled=source, pool=pool)
    assert list(config) == [
        *("run", "data_note", "preset", "splits", "evaluate_on", "models", "label_sets", "defaults"),
        *("transform_sets", "compute"),
    ]
    assert (config["run"], config["preset"], config["evaluate_on"]) == ("my", "small", {"objects": "val"})
    assert split(config, "pool") == {"name": "pool", "kind": "folder", "images": "pool"}
    parts = [read(split(config, name)["annotations"]) for name in ("labelled", "val")]
    assert [len(part["images"]) for part in parts] == [8, 2], "a fifth is held out"
    whole = read(str(source))
    assert sorted([*essence(parts[0], by_name=True), *essence(parts[1], by_name=True)]) == essence(whole, by_name=True)
    assert "Labelled: 8 images (COCO), 64 x 48 pixels; " in said
    assert "held out by a hash of their names" in said
    assert "Pool: 6 images, 64 x 48 pixels." in said
    assert "nothing was measured on this machine" in said
    assert said.count("CONFIG=my.yaml") == 2


def test_a_coco_file_stays_where_it_is_if_others_judge(init: Any) -> None:
    source, pool = coco_and_pool()
    val = coco_file(labelled(Path("others"), images=4), Path("others/val.json"))
    photos(Path("others"), [f"photo 0{number}.png" for number in range(4)], shade=99)
    config, said = init(labelled=source, pool=pool, val=val)
    assert split(config, "labelled")["annotations"] == "photos/train.json"
    assert split(config, "val")["annotations"] == "others/val.json"
    assert split(config, "val")["images"] == "others"
    assert not Path("data").exists()
    assert "Validation: 4 images (COCO)" in said
    assert "held out" not in said


def test_a_pool_around_the_labelled_images_leaves_them_out(init: Any) -> None:
    source, _ = coco_and_pool()
    photos(Path("photos/more"), ["a.png", "b.png"], shade=50)
    config, said = init(labelled=source, pool=Path("photos"))
    assert split(config, "pool")["exclude"] == ["labelled", "val"]
    assert "8 of them are those of 'labelled': the pool leaves them out." in said
    assert config["data_note"] == "8 labelled images, 2 for validation, a pool of 2"


def test_copies_of_labelled_images_are_told_by_their_bytes(init: Any) -> None:
    source, pool = coco_and_pool()
    shutil.copy("photos/photo 00.png", "pool/copy.png")
    config, said = init(labelled=source, pool=pool)
    (name,) = split(config, "pool")["exclude"]
    assert f"1 of them are those of {name!r}" in said


def test_pascal_voc_yolo_cvat_and_label_studio_are_converted_beside_the_config(init: Any) -> None:
    labels = labelled(Path("photos"))
    photos(Path("pool"), ["a.png"], shade=200)
    places = {kind: exported(labels, kind, Path(kind)) for kind in ("yolo", "cvat", "label-studio")}
    places["voc"] = voc_folder(labels, Path("Annotations"))
    for kind, place in places.items():
        output = Path(f"{kind}.yaml")
        images = Path("photos") if kind in ("label-studio", "voc") else None
        config, said = init(labelled=place, pool=Path("pool"), images=images, output=output)
        assert split(config, "labelled")["annotations"] == f"data/{kind}/labelled.json"
        parts = [read(split(config, name)["annotations"]) for name in ("labelled", "val")]
        assert [len(part["images"]) for part in parts] == [8, 2]
        assert "18 instances" not in said, "some are held out"
        if kind != "voc":
            assert sorted([*essence(parts[0], by_name=True), *essence(parts[1], by_name=True)]) == essence(
                labels, by_name=True
            )


def test_keypoints_are_told_with_their_pairs(init: Any) -> None:
    source, pool = coco_and_pool(keypoints=True)
    config, said = init(labelled=source, pool=pool)
    assert config["evaluate_on"] == {"keypoints": "val"}
    assert "left_fin and right_fin; not paired: nose" in said
    config, _ = init(labelled=source, pool=pool, task="objects", output=Path("boxes.yaml"))
    assert config["evaluate_on"] == {"objects": "val"}


def test_pairs_that_yolo_states_are_kept(init: Any) -> None:
    place = exported(labelled(Path("photos"), keypoints=True), "yolo", Path("set"))
    photos(Path("pool"), ["a.png"], shade=200)
    config, said = init(labelled=place, pool=Path("pool"))
    assert "keypoint_1 and keypoint_2; not paired: keypoint_0" in said
    (category,) = read(split(config, "labelled")["annotations"])["categories"]
    assert category["flip_pairs"] == [["keypoint_1", "keypoint_2"]]


def test_values_that_follow_from_the_data_stand_in_the_config(init: Any) -> None:
    source, pool = coco_and_pool()
    config, _ = init(labelled=source, pool=pool)
    assert config["defaults"]["objects"]["test_scale"] == {"short_side": 160, "max_size": 267}
    assert config["defaults"]["objects"]["training"]["iterations"] == 400, "four times the warm-up"
    assert config["models"][1]["initial"] == "teacher"
    config, _ = init(labelled=source, pool=pool, iterations=3, output=Path("short.yaml"))
    assert config["defaults"]["objects"]["training"]["iterations"] == 3
    config, _ = init(labelled=source, pool=pool, preset="r50", output=Path("paper.yaml"))
    assert config["defaults"] == {"objects": {"training": {"iterations": 2000}}}
    assert "transform_sets" not in config


def test_the_rules_give_what_they_say() -> None:
    small = presets()["small"]["defaults"]["objects"]["training"]
    assert [rules.iterations(images, small) for images in (1, 40, 41, 100, 100_000)] == [400, 400, 500, 1000, 4000]
    assert rules.student(499, 400) == {"initial": "teacher"}
    assert rules.student(500, 4000) == {"training": {"iterations": 8000}}
    found = rules.scales([(640, 480), (100, 90), (3000, 2000)])
    assert found.test_scale == presets()["small"]["defaults"]["objects"]["test_scale"]
    assert found.training["train_scales"] == small["train_scales"]
    assert found.transforms["short_sides"] == presets()["small"]["transform_sets"][0]["short_sides"]
    assert rules.scales([(64, 48)]).test_scale["short_side"] == 160
    names = [f"{number}.jpg" for number in range(100)]
    first = rules.held_out(names)
    assert len(first) == 20
    assert rules.held_out(names[::-1]) == first
    assert len(rules.held_out([*names, "more.jpg"]) ^ first) <= 2
    assert rules.held_out(names, seed=1) != first


def test_a_gpu_that_the_machine_shows_is_used(init: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    source, pool = coco_and_pool()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    config, said = init(labelled=source, pool=pool)
    assert config["compute"]["train"]["gpu"] == config["compute"]["label"]["gpu"] == 1
    assert config["compute"]["vision_env"] == "vision-cuda"
    assert "No GPU here" not in said
    assert "nothing was measured on this machine" in said


def test_damaged_images_of_a_pool_are_told_and_allowed_for(init: Any) -> None:
    source, pool = coco_and_pool()
    (pool / "broken.jpg").write_bytes(b"no image")
    config, said = init(labelled=source, pool=pool)
    assert "1 can't be used and will be left out, into a ledger (pool/broken.jpg: does not decode" in said
    assert 1 / 7 < split(config, "pool")["max_damaged_fraction"] < 0.3


def test_photos_of_a_kind_that_is_not_read_are_counted(init: Any) -> None:
    source, pool = coco_and_pool()
    for name in ("a.webp", "b.WEBP", "c.tif"):
        (pool / name).write_bytes(b"")
    _, said = init(labelled=source, pool=pool)
    assert "Pool: 6 images" in said
    assert "3 files of kinds that aren't read (.webp 2, .tif 1) are left out; .jpg, .jpeg and .png are read." in said


def test_copies_of_one_image_stay_on_one_side(init: Any) -> None:
    source, pool = coco_and_pool()
    for number in range(1, 6):
        shutil.copy("photos/photo 00.png", f"photos/photo 0{number}.png")
    config, said = init(labelled=source, pool=pool)
    parts = [read(split(config, name)["annotations"])["images"] for name in ("labelled", "val")]
    copies = [sum(image["file_name"] <= "photo 05.png" for image in part) for part in parts]
    assert sorted(copies) == [0, 6]
    assert "5 images are copies of others" in said


@pytest.mark.parametrize("there", ["my.yaml", "data/my/val.json"])
def test_nothing_is_overwritten(init: Any, there: str) -> None:
    source, pool = coco_and_pool()
    Path(there).parent.mkdir(parents=True, exist_ok=True)
    Path(there).write_text("mine")
    with pytest.raises(UserError, match=f"^{there}: there already, and not overwritten"):
        init(labelled=source, pool=pool)
    assert Path(there).read_text() == "mine"
    assert sum(path.name in ("my.yaml", "val.json", "labelled.json") for path in Path().rglob("*")) == 1


BAD: dict[str, tuple[Callable[[Path, Path], dict[str, Any]], str]] = {
    "no pool": (lambda s, p: {"pool": Path("absent")}, "absent: no folder of images"),
    "an empty pool": (lambda s, p: {"pool": Path("empty")}, "empty: no JPEG or PNG image"),
    "a pool of labelled images": (lambda s, p: {"pool": Path("photos")}, "all of its 10 images are labelled ones"),
    "a name that is none": (lambda s, p: {"output": Path("my config.yaml")}, "its name, without suffix, is the run's"),
    "another suffix": (lambda s, p: {"output": Path("my.txt")}, "my.txt: name the config LETTERS-DIGITS.yaml"),
    "no iterations": (lambda s, p: {"iterations": -1}, "--iterations: -1 is too few"),
    "keypoints of none": (lambda s, p: {"task": "keypoints"}, "no category defines keypoints"),
    "the same images to judge by": (lambda s, p: {"val": s}, "10 of its images are labelled images, too"),
    "other names of categories to judge by": (
        lambda s, p: {"val": Path("val/val.json")},
        "val/val.json: its categories are not those of photos/train.json",
    ),
    "another category to judge by": (
        lambda s, p: {"val": Path("val/other.json")},
        "val/other.json: its categories are not those of photos/train.json",
    ),
    "a box outside": (lambda s, p: {"labelled": Path("outside.json"), "images": Path("photos")}, "reaches outside its image"),
    "a wrong size": (lambda s, p: {"labelled": Path("size.json"), "images": Path("photos")}, "its record says 640x480"),
    "one image": (lambda s, p: {"labelled": Path("one.json"), "images": Path("photos")}, "too few to hold some out"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_a_run_would_refuse_is_refused_before_anything_is_written(init: Any, case: str) -> None:
    source, pool = coco_and_pool()
    whole = read(str(source))
    Path("empty").mkdir()
    others = labelled(Path("val"), images=3)
    photos(Path("val"), [f"photo 0{number}.png" for number in range(3)], shade=99)
    coco_file({**others, "categories": [{"id": 1, "name": "cell"}, {"id": 2, "name": "RBC"}]}, Path("val/val.json"))
    coco_file({**others, "categories": [*others["categories"], {"id": 3, "name": "third"}]}, Path("val/other.json"))
    for name, changed in {
        "outside": {**whole, "annotations": [{**whole["annotations"][0], "bbox": [60, 2, 50, 9]}]},
        "size": {**whole, "images": [{**image, "width": 640, "height": 480} for image in whole["images"]]},
        "one": {**whole, "images": whole["images"][:1], "annotations": whole["annotations"][:2]},
    }.items():
        Path(f"{name}.json").write_text(json.dumps(changed))
    change, sentence = BAD[case]
    before = sorted(Path().rglob("*"))
    with pytest.raises(UserError, match=sentence) as raised:
        init(**{"labelled": source, "pool": pool, **change(source, pool)})
    assert "\n" not in str(raised.value)
    assert sorted(Path().rglob("*")) == before


@pytest.mark.skipif(not COCO_MINI.is_dir(), reason="needs ../shared/data/coco-mini")
def test_real_photos_of_people(init: Any) -> None:
    annotations = COCO_MINI / "annotations"
    config, said = init(
        labelled=annotations / "person_keypoints_labelled.json",
        val=annotations / "person_keypoints_val.json",
        pool=annotations / "image_info_unlabelled.json",
    )
    assert "400 images (COCO)" in said
    assert "878 instances" in said
    assert "13 more are crowds" in said
    assert said.count(" and right_") == 8
    assert "Pool: 1,317 images" in said
    assert split(config, "pool")["labelled"] is False
    assert split(config, "labelled")["images"] == str(COCO_MINI / "images")
    assert config["defaults"]["keypoints"]["test_scale"]["short_side"] == 224


def test_the_script_says_one_sentence_for_bad_input(tmp_path: Path) -> None:
    script = [sys.executable, str(REPOSITORY / "scripts/init.py"), "--labelled", "absent", "--pool", "absent"]
    done = subprocess.run(script, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: absent: no such file or folder; name COCO JSON")
    assert done.stderr.count("\n") == 1
