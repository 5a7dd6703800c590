"""What of a split is in its name: edits that rename it, and edits that don't; and what a moved folder costs: nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from planning import plan, rules, snakemake

from datadistill.data.specs import KINDS
from datadistill.errors import UserError
from datadistill.workflow.config import complete_config
from datadistill.workflow.experiments import Experiments, Split, build_experiments
from datadistill.workflow.outside import CHECKED, reach_outside

Config = dict[str, Any]

ENTRIES: dict[str, Config] = {
    "rendered": {"scene": "people", "images": 5},
    "coco_release": {"part": "co-35", "task": "keypoints", "drop_ids": ["a/bad.txt"]},
    "coco": {"task": "objects", "images": "a/photos", "annotations": "a/a.json", "drop_ids": ["a/bad.txt"]},
    "posed": {"kind": "coco", "task": "keypoints", "images": "a/photos", "annotations": "a/a.json"},
    "voc": {"images": "a/photos", "annotations": "a/xml", "list": "a/list.txt", "categories": ["cell", "ball"]},
    "folder": {"images": "a/photos"},
    "videos": {"videos": "a/clips", "list": "a/list.txt", "count": 3},
    "clips": {"kind": "videos", "videos": "rendered", "count": 3},
    "unlabelled": {"of": "labelled"},
    "union": {"of": ["labelled", "val"]},
    "fraction": {"of": "labelled", "fraction": 0.5},
}
RENAMES: dict[str, list[Config]] = {
    "rendered": [{"scene": "objects"}, {"domain": "away"}, {"images": 6}, {"size": [64, 64]}, {"seed": 1}],
    "coco_release": [{"part": "co-80"}, {"task": "objects"}, {"drop_ids": []}, {"drop_ids": ["a/other.txt"]}],
    "coco": [{"task": "keypoints"}, {"labelled": False}, {"dataset": "COCO"}, {"drop_ids": []}, {"name": "other"}],
    "posed": [{"flip_pairs": [["a", "b"]]}, {"flip_pairs": []}, {"sigmas": 0.1}, {"sigmas": {"a": 0.1, "b": 0.2}}],
    "voc": [
        *({"categories": ["ball", "cell"]}, {"list": None}, {"list": "a/more.txt"}, {"labelled": False}),
        *({"drop_empty_boxes": True}, {"dataset": "mine"}, {"name": "other"}),
    ],
    "folder": [{"dataset": "mine"}, {"name": "other"}],
    "videos": [
        *({"count": 4}, {"seed": 1}, {"jpeg_quality": 80}, {"max_size": 64}, {"list": None}, {"list": "a/more.txt"}),
        *({"dataset": "mine"}, {"name": "other"}, {"videos": "rendered"}),
    ],
    "clips": [{"clips": {"seed": 1}}, {"clips": {"frames": 3}}, {"clips": {"domain": "home"}}, {"seed": 1}],
    "unlabelled": [{"of": "val"}],
    "union": [{"of": ["labelled", "pool-truth"]}, {"of": ["val", "labelled"]}],
    "fraction": [{"of": "val"}, {"fraction": 0.25}, {"seed": 1}],
}
KEEPS: dict[str, list[Config]] = {
    "rendered": [{"shards": 2}, {"domain": "home"}, {"name": "other"}],
    "coco_release": [{"shards": 2}, {"max_damaged_fraction": 0.5}, {"drop_ids": ["b/bad.txt"]}, {"name": "other"}],
    "coco": [
        *({"shards": 2}, {"max_damaged_fraction": 0.5}, {"drop_ids": ["/b/bad.txt"]}, {"dataset": "new"}),
        *({"images": "/elsewhere"}, {"annotations": "/elsewhere/other.json"}, {"labelled": True}),
    ],
    "posed": [{"flip_pairs": None, "sigmas": None}],
    "voc": [
        *({"shards": 2}, {"max_damaged_fraction": 0.5}, {"list": "/b/list.txt"}, {"dataset": "new"}),
        *({"images": "/elsewhere"}, {"annotations": "/elsewhere"}, {"labelled": True}),
    ],
    "folder": [{"shards": 2}, {"max_damaged_fraction": 0.5}, {"images": "/elsewhere"}, {"dataset": "new"}],
    "videos": [{"shards": 2}, {"videos": "/elsewhere"}, {"list": "/elsewhere/list.txt"}, {"clips": {"seed": 1}}],
    "clips": [{"shards": 2}, {"clips": {}}, {"clips": {"domain": "away", "count": 100}}],
    "unlabelled": [{"shards": 2}, {"name": "other"}],
    "union": [{"shards": 2}],
    "fraction": [{"shards": 2}],
}
RUN_KEYS: list[Config] = [{"data_root": "/elsewhere"}, {"fetch": True}, {"num_keypoints": 5}, {"run": "other"}]


def split_of(config: Config, kind: str, *, run: Config | None = None, **edit: Any) -> Split:
    entry = {"name": "new", "kind": kind, **ENTRIES[kind], **edit}
    experiments = build_experiments(
        complete_config({**config, "tables": [], "figures": [], **(run or {}), "splits": [*config["splits"], entry]})
    )
    return experiments.splits[experiments.split_ids[entry["name"]]]


def digest_of(split: Split) -> str:
    return split.id.rsplit(".", 1)[1]


def test_every_kind_of_split_is_tried() -> None:
    assert set(KINDS) <= set(ENTRIES) == set(RENAMES) == set(KEEPS)


@pytest.mark.parametrize(("kind", "edit"), [(k, e) for k, edits in RENAMES.items() for e in edits], ids=str)
def test_an_edit_that_changes_the_content_changes_the_name(smallest: Config, kind: str, edit: Config) -> None:
    assert digest_of(split_of(smallest, kind, **edit)) != digest_of(split_of(smallest, kind))


@pytest.mark.parametrize(("kind", "edit"), [(k, e) for k, edits in KEEPS.items() for e in edits], ids=str)
def test_an_edit_that_doesn_t_change_it_keeps_the_name(smallest: Config, kind: str, edit: Config) -> None:
    assert digest_of(split_of(smallest, kind, **edit)) == digest_of(split_of(smallest, kind))


@pytest.mark.parametrize("edit", RUN_KEYS, ids=str)
def test_keys_of_the_run_are_in_no_split_s_name(smallest: Config, edit: Config) -> None:
    for kind in ENTRIES:
        assert split_of(smallest, kind, run=edit).id == split_of(smallest, kind).id, kind


def test_a_split_that_says_nothing_of_its_keypoints_is_called_as_before_it_could(smallest: Config) -> None:
    """The keys are newer than the results of others: left out, or null, they are no part of an identity."""
    assert not {"flip_pairs", "sigmas"} & set(split_of(smallest, "posed").spec.identity())
    assert digest_of(split_of(smallest, "posed")) == "973132fb"


def test_keypoints_of_a_split_of_objects_are_refused(smallest: Config) -> None:
    with pytest.raises(UserError, match="splits: new: sigmas: task objects has no keypoints"):
        split_of(smallest, "coco", sigmas=0.1)


def test_two_splits_of_one_data_set_are_two(smallest: Config) -> None:
    """Their annotations alone tell them apart, and where these lie is in no name."""
    one, other = (split_of(smallest, "coco", name=name, dataset="COCO") for name in ("one", "other"))
    assert digest_of(one) != digest_of(other)


# --- images that move


def photos(folder: Path, count: int = 6) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 255, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg")


@pytest.mark.parametrize("kind", ENTRIES)
def test_what_is_excluded_is_another_split_made_from_the_same(smallest: Config, kind: str) -> None:
    whole = split_of(smallest, kind)
    left = split_of(smallest, kind, exclude=["val"] if kind != "union" else ["all-labelled"])
    assert left.whole == whole
    assert left.whole.rule_spec == whole.rule_spec, "nothing is rendered, sampled or checked again"
    assert left.id != whole.id
    assert left.name == whole.name
    assert left.leaves == whole.leaves
    assert left.truth == whole.truth
    assert [split.name for split in left.rests_on] == ["new", "val" if kind != "union" else "all-labelled"]
    assert split_of(smallest, kind, exclude=["all-labelled"]).id != split_of(smallest, kind, exclude=["pool"]).id
    orders = [split_of(smallest, kind, exclude=names) for names in (["pool", "all-labelled"], ["all-labelled", "pool"])]
    assert orders[0].id == orders[1].id
    assert split_of(smallest, kind, exclude=["pool"], shards=3).shards == 3
    assert split_of(smallest, kind, exclude=["pool"], shards=3).id == split_of(smallest, kind, exclude=["pool"]).id


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["new"], "split new -> split new goes in a circle"),
        (["part"], "split part -> split new -> split part goes in a circle"),
        (["vall"], "splits: new: exclude: there is no split named 'vall'; did you mean 'val'"),
        (["val", "val"], "splits: new: exclude: an entry is there twice"),
    ],
)
def test_what_can_t_be_excluded_is_refused(smallest: Config, names: list[str], message: str) -> None:
    part = {"name": "part", "kind": "fraction", "of": "new", "fraction": 0.5}
    smallest["splits"] = [*smallest["splits"], part]
    with pytest.raises(UserError, match=message):
        split_of(smallest, "folder", exclude=names)


def config_of(smallest: Config, place: Path) -> Path:
    """A config with one folder of photos and one COCO file that lie in `place`."""
    entries = [
        {"name": "photos", "kind": "folder", "images": str(place / "photos")},
        {
            "name": "own",
            "kind": "coco",
            "task": "objects",
            "images": str(place / "photos"),
            "annotations": str(place / "a.json"),
            "labelled": False,
        },
    ]
    config = place.parent / f"{place.name}.yaml"
    config.write_text(yaml.safe_dump({**smallest, "splits": [*smallest["splits"], *entries]}))
    return config


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "here"
    photos(place / "photos")
    images = [{"id": n + 1, "file_name": f"{n}.jpg", "width": 32, "height": 24} for n in range(6)]
    (place / "a.json").write_text(json.dumps({"images": images}))
    return place


def targets(config: Path) -> tuple[Experiments, list[str]]:
    experiments = build_experiments(complete_config(yaml.safe_load(config.read_text())))
    return experiments, [experiments.paths.split(experiments.split_ids[name]) for name in ("photos", "own")]


def test_a_moved_folder_of_images_reruns_nothing_and_still_works(smallest: Config, place: Path, tmp_path: Path) -> None:
    config = config_of(smallest, place)
    _, files = targets(config)
    workplace = tmp_path / "work"
    workplace.mkdir()
    assert rules(plan(workplace, config, "--", *files)) == {"split": 2}
    assert not (workplace / "results").exists(), "a plan makes nothing"
    done = snakemake(workplace, "--cores", "1", "--", *files, config=config)
    assert done.returncode == 0, done.stderr
    named = [image["file_name"] for file in files for image in json.loads((workplace / file).read_text())["images"]]
    assert len(named) == 12
    assert all(not Path(name).is_absolute() and ".." not in name for name in named)
    assert all((workplace / name).is_file() for name in named)

    moved = tmp_path / "there"
    shutil.move(place, moved)
    assert not any((workplace / name).is_file() for name in named)
    config = config_of(smallest, moved)
    edited = yaml.safe_load(config.read_text())
    for entry in edited["splits"][-2:]:
        entry.update(max_damaged_fraction=0.3, shards=2)
    config.write_text(yaml.safe_dump({**edited, "num_keypoints": None}))
    assert targets(config)[1] == files
    assert plan(workplace, config, "--", *files) == []
    # Whatever starts next finds the images again.
    other = [targets(config)[0].paths.split(targets(config)[0].split_ids["val"])]
    done = snakemake(workplace, "--cores", "1", "--", *other, config=config)
    assert done.returncode == 0, done.stderr
    assert all((workplace / name).is_file() for name in named)

    # A changed annotation file makes its split again, and that alone.
    data = json.loads((moved / "a.json").read_text())
    (moved / "a.json").write_text(json.dumps({"images": data["images"][:5]}))
    again = plan(workplace, config, "--", *files)
    assert [job.rule for job in again] == ["split"]
    assert again[0].wildcards.startswith("split=own.")


def test_other_images_in_the_place_of_a_split_s_own_are_refused(
    smallest: Config, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = config_of(smallest, place)
    done = snakemake(tmp_path, "--cores", "1", "--", *targets(config)[1], config=config)
    assert done.returncode == 0, done.stderr
    other = tmp_path / "other"
    photos(other / "photos", count=5)
    shutil.copy(place / "a.json", other / "a.json")
    assert CHECKED >= 6
    config = config_of(smallest, other)
    with pytest.raises(UserError, match=r"splits: (photos|own): .*5\.jpg is missing or another image"):
        reach_outside(targets(config)[0])
    done = snakemake(
        tmp_path,
        "--cores",
        "1",
        "--",
        targets(config)[0].paths.split(targets(config)[0].split_ids["val"]),
        config=config,
    )
    assert done.returncode != 0
    assert "give a split of other images another name" in done.stderr
    assert "Traceback" not in done.stderr
