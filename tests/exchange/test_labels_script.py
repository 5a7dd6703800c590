"""scripts/labels.py on a small finished label set: a page, an export, corrections and their way back."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from exchange_samples import CELLS, label_set
from own_config import own_config

from datadistill.detections import Detections
from datadistill.errors import UserError
from datadistill.exchange.entries import splits_to_add
from datadistill.keys import NAME
from datadistill.label.thresholds import Threshold, Thresholds
from datadistill.workflow.config import complete_config
from datadistill.workflow.experiments import build_experiments

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
import labels as script


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A config whose one label set is there, with all that `labels.py` reads; a function that calls it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.json").write_text("{}")
    config = own_config(
        splits=[{"name": "pool", "kind": "folder", "images": "pool"}],
        label_sets=[{"name": "pool", "teacher": "teacher", "unlabelled": "pool"}],
    )
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    made = build_experiments(complete_config(config)).label_set("pool", 1, "label_sets")
    labels = label_set(tmp_path / "images", keypoints=False)
    places = [image["id"] for image in labels["images"]]
    corners = [[x, y, x + w, y + h] for x, y, w, h in (a["bbox"] for a in labels["annotations"])]
    detections = Detections(
        np.array(places, np.int64),
        np.array([places.index(a["image_id"]) for a in labels["annotations"]], np.int64),
        np.array(corners, np.float32),
        np.array([a["score"] for a in labels["annotations"]], np.float32),
        np.array([a["category_id"] for a in labels["annotations"]], np.int64),
    )
    detections.save(made.detections.files[0], [made.detections.spec.canonical()])
    table = {category["id"]: Threshold(0.5, None, 0.0, 0, 0, "fixed") for category in CELLS}
    thresholds = Thresholds(True, table, table[3], table, None, {})
    for path, value in (
        (made.file, labels),
        (made.made("thresholds.json"), thresholds.to_json()),
        (made.split.file, {**labels, "annotations": []}),
        (made.labelled.file, {**labels, "images": [{**labels["images"][0], "id": 1}]}),
    ):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(value))

    def call(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["labels.py", *arguments, "--config", "own.yaml"])
        script.main()

    return call


def test_a_page_an_export_and_what_comes_back(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run("page", "--label-set", "pool")
    [page] = Path("results/own/labels").rglob("labels.html")
    assert "white cell" in page.read_text()

    run("export", "--label-set", "pool", "--to", "yolo", "--output", "review", "--images", "3")
    assert (Path("review/order.txt").read_text().splitlines()) == ["two words.png", "11-one.png", "12-one.png"]
    # A person moves the first box of one image, and finds nothing in another.
    file = Path("review/labels/two words.txt")
    file.write_text("1 0.5 0.5 0.25 0.25\n")
    Path("review/labels/12-one.txt").write_text("")

    run("import", "--label-set", "pool", "--from", "review", "--output", "corrected.json")
    corrected = json.loads(Path("corrected.json").read_text())
    boxes = {a["image_id"]: a["bbox"] for a in corrected["annotations"]}
    assert boxes[13] == [24.0, 18.0, 16.0, 12.0]
    assert 12 not in boxes
    assert [image["id"] for image in corrected["images"]] == [11, 12, 13]
    assert all(Path(image["file_name"]).is_file() for image in corrected["images"])
    assert {image["file_name"].split("/")[0] for image in corrected["images"]} == {"images"}
    said = capsys.readouterr().out
    assert "3 reviewed images" in said
    assert "{name: corrected, kind: coco, task: objects, images: ., annotations: corrected.json}" in said
    assert "`exclude: [corrected]` for split pool" in said


def test_unknown_names_are_refused(run: Any) -> None:
    with pytest.raises(UserError, match="no label set named 'pols'"):
        run("page", "--label-set", "pols")
    with pytest.raises(UserError, match="--seed: 7"):
        run("page", "--label-set", "pool", "--seed", "7")


def test_import_replaces_nothing_and_says_so_before_it_reads(run: Any) -> None:
    Path("corrected.json").write_text("hours of work")
    with pytest.raises(UserError, match=r"--output: corrected\.json is there already; name another file"):
        run("import", "--label-set", "no such", "--from", "absent", "--output", "corrected.json")
    assert Path("corrected.json").read_text() == "hours of work"


def entries_of(text: str) -> list[dict[str, Any]]:
    return yaml.safe_load("\n".join(line for line in text.splitlines() if line.startswith("  - ")))


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("data/corrected.json", "."),
        ("data/second round, of may: part #1.json", "my photos, all: of them"),
        ("data/2024.json", "{photos}"),
        ("data/ünï.json", "- x"),
        (f"data/{'long' * 30}.json", "[a]"),
        ("data/---.json", "null"),
        ("data/pool.json", "~"),
    ],
)
def test_what_to_write_into_the_config_is_yaml_with_names_that_it_takes(path: str, folder: str) -> None:
    text = splits_to_add(Path(path), folder, "objects", "labelled", "pool")
    first, second = entries_of(text)
    assert (first["images"], first["annotations"], first["kind"]) == (folder, path, "coco")
    for entry in (first, second):
        assert isinstance(entry["name"], str)
        assert re.match(NAME, entry["name"])
    assert len({first["name"], second["name"], "labelled", "pool"}) == 4
    assert second["of"] == ["labelled", first["name"]]
    said = re.findall(r"`(.*?)`", text)
    assert [yaml.safe_load(part) for part in said] == [{"labelled": second["name"]}, {"exclude": [first["name"]]}]
