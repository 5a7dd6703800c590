"""The configs for real photos, end to end: a few photos of each split and a few iterations, everything else as shipped."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY.parent / "shared" / "data"
PHOTOS = 6

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(not (DATA / "coco-mini").is_dir(), reason=f"the real photos are absent: {DATA}/coco-mini"),
]


def few_photos(source: Path, target: Path, count: int, drop: list[str]) -> None:
    """A COCO file with the first `count` images that have annotations (or any, where none has) and aren't in `drop`."""
    coco = json.loads(source.read_text(encoding="utf-8"))
    dropped = {image["id"] for path in drop for image in json.loads((REPOSITORY / path).read_text())["images"]}
    coco["images"] = [image for image in coco["images"] if image["id"] not in dropped]
    annotated = {a["image_id"] for a in coco["annotations"] if a.get("num_keypoints", 1)}
    images = [image for image in coco["images"] if not annotated or image["id"] in annotated][:count]
    kept = {image["id"] for image in images}
    coco["images"] = images
    coco["annotations"] = [a for a in coco["annotations"] if a["image_id"] in kept]
    target.write_text(json.dumps(coco), encoding="utf-8")


def shrink(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same config over a few photos, with a few iterations of two images, two scales and one seed."""
    small = copy.deepcopy(config)
    for split in small["splits"]:
        if split["kind"] in {"union", "unlabelled"}:
            split.pop("shards", None)
        elif split["kind"] == "coco":
            target = folder / f"{split['name']}.json"
            few_photos(REPOSITORY / split["annotations"], target, PHOTOS, split.pop("drop_ids", []))
            split.update(images=str((REPOSITORY / split["images"]).resolve()), annotations=str(target), shards=1)
        else:
            photos = folder / split["name"]
            photos.mkdir()
            for photo in sorted((REPOSITORY / split["images"]).glob("*.jpg"))[:PHOTOS]:
                (photos / photo.name).symlink_to(photo.resolve())
            split.update(images=str(photos), shards=1)
    small["transform_sets"][0].update(short_sides=[160, 240], max_size=400)
    small["seeds"], small["compute"] = [1], {"device": "cpu"}
    for defaults in small["defaults"].values():
        defaults["training"].update(iterations=3, batch_size=2, train_scales=[160], max_size=320)
        defaults["test_scale"] = {"short_side": 160, "max_size": 320}
        defaults["network"].update(fpn_channels=32, box_head_channels=64, proposals_test=64)
        if "keypoint_head_channels" in defaults["network"]:
            defaults["network"]["keypoint_head_channels"] = [32]
    for number, model in enumerate(small["models"]):
        model["training"] = {"iterations": 3 + number}
    return small


@pytest.mark.parametrize(("name", "table"), [("coco-mini", "table1a"), ("coco-mini-objects", "table4a")])
def test_config_runs_end_to_end_on_real_photos(name: str, table: str, tmp_path: Path) -> None:
    config = yaml.safe_load((REPOSITORY / "config" / f"{name}.yaml").read_text(encoding="utf-8"))
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(shrink(config, tmp_path)), encoding="utf-8")
    done = subprocess.run(
        [
            *(sys.executable, REPOSITORY / "scripts/run.py", "--snakefile", REPOSITORY / "Snakefile"),
            *("--directory", tmp_path, "--cores", "2", "--configfile", file),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    results = tmp_path / "results" / name
    for suffix in ("md", "csv", "tex"):
        assert "proxy" in (results / "tables" / f"{table}.{suffix}").read_text(encoding="utf-8")
    for figure in config["figures"]:
        assert (results / "figures" / f"{figure['name']}.png").stat().st_size > 5_000
    for labels in results.glob("labels/*/annotations.json"):
        generated = json.loads(labels.read_text(encoding="utf-8"))
        pools = 2 if "pool-and-sports" in labels.parent.name else 1
        assert len(generated["images"]) == pools * PHOTOS
        assert generated["annotations"], "three iterations leave a detector that is unsure, not silent"
        assert all(a["score"] > 0 for a in generated["annotations"])
    assert len(list(results.glob("labels/*/annotations.json"))) == len(config["label_sets"])
