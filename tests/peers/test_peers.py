"""Label files that are exported for review, read back by the libraries that others read them with: nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "exchange"))
from coco_essence import essence
from exchange_samples import label_set

from datadistill.exchange.formats import export_labels, import_labels

PEERS = os.environ["DATADISTILL_TEST_PEERS"]
HERE = Path(__file__).resolve().parent

# What each library keeps of a number: supervision and datumaro hold single precision, and datumaro rounds to hundredths.
READERS = [
    ("pycocotools", "coco", 1e-9),
    ("supervision", "coco", 1e-4),
    ("supervision", "yolo", 1e-4),
    ("datumaro", "cvat", 0.011),
]


def run(arguments: list[str]) -> str:
    return subprocess.run([PEERS, *arguments], capture_output=True, text=True, check=True).stdout


def exported(kind: str, tmp_path: Path, *, keypoints: bool) -> tuple[dict[str, Any], Path]:
    """A label set whose images have names of their own, and the folder that it was written to."""
    labels = label_set(tmp_path / "images", keypoints=keypoints)
    second = labels["images"][1]
    second["file_name"] = str(Path(second["file_name"]).rename(tmp_path / "images/b/other.png"))
    export_labels(labels, kind, tmp_path / kind)
    return labels, tmp_path / kind


def plain(labels: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(Path(name).stem, category, box, points) for name, category, box, points in essence(labels, 9)]


@pytest.mark.parametrize("keypoints", [False, True], ids=["boxes", "keypoints"])
@pytest.mark.parametrize(("library", "kind", "tolerance"), READERS, ids=[f"{r[0]}-{r[1]}" for r in READERS])
def test_a_library_reads_the_same_boxes(
    library: str, kind: str, tolerance: float, keypoints: bool, tmp_path: Path
) -> None:
    labels, folder = exported(kind, tmp_path, keypoints=keypoints)
    output = run([str(HERE / "read_back.py"), library, str(folder)])
    found = json.loads(output.split("FOUND ", 1)[1])
    expected = sorted(plain(labels))
    assert sorted((Path(name).stem, category) for name, category, _, _ in found) == [row[:2] for row in expected]
    for (name, category, box, points), row in zip(
        sorted(found, key=lambda f: (Path(f[0]).stem, f[1], f[2])), expected, strict=True
    ):
        assert box == pytest.approx(row[2], abs=tolerance), (name, category)
        if library == "pycocotools":
            assert points == pytest.approx(row[3])


@pytest.mark.parametrize("keypoints", [False, True], ids=["boxes", "keypoints"])
def test_label_studio_s_converter_reads_the_same_boxes_and_keypoints(keypoints: bool, tmp_path: Path) -> None:
    labels, folder = exported("label-studio", tmp_path, keypoints=keypoints)
    tasks = json.loads((folder / "tasks.json").read_text())
    for task in tasks:
        task["annotations"] = [{"id": task["id"], "result": task["predictions"][0]["result"]}]
    (folder / "tasks.json").write_text(json.dumps(tasks))
    convert = (
        "import sys; from label_studio_sdk.converter import Converter\n"
        "folder = sys.argv[1]\n"
        "converter = Converter(folder + '/interface.xml', folder, download_resources=False)\n"
        "converter.convert_to_yolo(folder + '/tasks.json', folder + '/yolo', is_dir=False)\n"
    )
    run(["-c", convert, str(folder)])
    # Its converter to COCO rounds keypoints and puts those of one image together; that to YOLO keeps both.
    assert plain(import_labels(folder / "yolo", labels)) == [
        (name, category, pytest.approx(box, abs=1e-9), pytest.approx(points, abs=1e-9))
        for name, category, box, points in plain(labels)
    ]
