"""Leak checks: an image in two splits is found by its id and by its bytes, before training and after."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from datadistill.data.leaks import check_disjoint, check_drawn, check_same_categories
from datadistill.errors import UserError

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def split(*images: tuple[str, int, str]) -> dict[str, Any]:
    """A split of images given as (dataset, id, content)."""
    return {
        "images": [
            {"id": i, "dataset": d, "content": c, "file_name": f"{d}/{i}.jpg", "width": 4, "height": 3}
            for d, i, c in images
        ],
        "annotations": [],
        "categories": [],
    }


def test_disjoint_splits_are_reported() -> None:
    report = check_disjoint(split(("coco", 1, "a"), ("coco", 2, "b")), split(("coco", 3, "c")), ("train", "val"))
    assert (report["a"], report["b"], report["images"], report["shared"]) == ("train", "val", [2, 1], 0)


def test_equal_ids_of_different_datasets_are_different_images() -> None:
    check_disjoint(split(("coco", 1, "a")), split(("sports", 1, "b")))


@pytest.mark.parametrize("other", [("coco", 1, "changed"), ("renamed", 77, "a")])
def test_a_shared_image_is_found_by_id_and_by_content(other: tuple[str, int, str]) -> None:
    with pytest.raises(UserError, match=r"train and val share 1 image: coco/1\.jpg"):
        check_disjoint(split(("coco", 1, "a"), ("coco", 2, "b")), split(other), ("train", "val"))


def test_splits_without_hashes_are_refused() -> None:
    with pytest.raises(UserError, match="no content hash"):
        check_disjoint(split(("coco", 1, "")), split(("coco", 2, "")))


def categorised(*categories: tuple[int, str, int]) -> dict[str, Any]:
    """A split without images, of categories given as (id, name, number of keypoints)."""
    listed = [{"id": i, "name": n, "keypoints": [f"k{j}" for j in range(k)]} for i, n, k in categories]
    return {"images": [], "annotations": [], "categories": listed}


def test_categories_must_agree_in_ids_names_and_keypoints() -> None:
    base = categorised((1, "person", 17), (2, "dog", 0))
    check_same_categories({"train": base, "val": categorised((2, "dog", 0), (1, "person", 17))})
    with pytest.raises(
        UserError, match=r"train and val have different categories: 2 is 'dog' in the one, 'cow' in the"
    ):
        check_same_categories({"train": base, "val": categorised((1, "person", 17), (2, "cow", 0))})
    with pytest.raises(UserError, match="2 is 'dog' in the one, missing in the other"):
        check_same_categories({"train": base, "val": categorised((1, "person", 17))})
    with pytest.raises(UserError, match=r"1 is 'person' with 17 keypoints .* 'person' with 5 keypoints"):
        check_same_categories({"train": base, "val": categorised((1, "person", 5), (2, "dog", 0))})


def drawn(*rows: tuple[str, str, int, str]) -> dict[str, Any]:
    """A record of draws given as (source, dataset, id, content)."""
    return {"images": [{"source": s, "dataset": d, "image_id": i, "content": c, "count": 1} for s, d, i, c in rows]}


def test_drawn_images_are_compared_with_what_was_held_out() -> None:
    held_out = split(("coco", 9, "v"))
    clean = drawn(("labelled", "coco", 1, "a"), ("generated", "sports", 9, "g"))
    assert check_drawn(clean, held_out, "val")["images"] == [2, 1]
    with pytest.raises(UserError, match="what training drew and val share 1 image: labelled image 1"):
        check_drawn(drawn(("labelled", "coco", 1, "v")), held_out, "val")
    with pytest.raises(UserError, match="what training drew and val share 1 image: generated image 9"):
        check_drawn(drawn(("generated", "coco", 9, "recompressed")), held_out, "val")
    with pytest.raises(UserError, match="no content hash or dataset"):
        check_drawn({"images": [{"source": "labelled", "image_id": 1, "content": "a"}]}, held_out, "val")
    with pytest.raises(UserError, match="lists none"):
        check_drawn({"images": []}, held_out, "val")


def test_script_exits_2_with_one_sentence(tmp_path: Path) -> None:
    for name, images in {"a": [("coco", 1, "x")], "b": [("coco", 2, "y")], "c": [("coco", 3, "x")]}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(split(*images)))

    def run(first: str, second: str, *more: str) -> subprocess.CompletedProcess[str]:
        pairs = ("--first", *first.split(), "--second", *second.split())
        command = [sys.executable, str(SCRIPTS / "check_leaks.py"), *pairs, *more, "--output", "leaks.json"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    failed = run("a.json a.json", "b.json c.json")
    assert failed.returncode == 2
    assert failed.stderr.count("\n") == 1
    assert "a and c share 1 image" in failed.stderr
    assert not (tmp_path / "leaks.json").exists()
    assert run("a.json", "b.json").returncode == 0
    for name, category in (("a", "dog"), ("b", "cow")):
        edited = split(("coco", ord(name), name)) | {"categories": [{"id": 1, "name": category}]}
        (tmp_path / f"{name}.json").write_text(json.dumps(edited))
    failed = run("a.json", "b.json", "--same-categories", "a.json", "b.json")
    assert failed.returncode == 2
    assert failed.stderr.strip().endswith("give both annotation files the same categories")
    (tmp_path / "leaks.json").unlink()
    assert run("a.json", "b.json").returncode == 0
    assert json.loads((tmp_path / "leaks.json").read_text())["pairs"][0]["shared"] == 0
    assert "--first names 1 splits, --second 2; give pairs" in run("a.json", "b.json c.json").stderr
