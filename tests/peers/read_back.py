"""Reads an exported label set with a library of others and prints what it found, as JSON: run in the peers' own environment.

python read_back.py LIBRARY FOLDER [KEYPOINTS]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def with_pycocotools(folder: Path) -> list[list[Any]]:
    from pycocotools.coco import COCO

    coco = COCO(str(folder / "labels.json"))
    found = []
    for annotation in coco.loadAnns(coco.getAnnIds()):
        [image], [category] = coco.loadImgs(annotation["image_id"]), coco.loadCats(annotation["category_id"])
        found.append([image["file_name"], category["name"], annotation["bbox"], annotation.get("keypoints", [])])
    return found


def with_supervision(folder: Path) -> list[list[Any]]:
    import supervision

    if (folder / "data.yaml").exists():
        dataset = supervision.DetectionDataset.from_yolo(
            str(folder / "images"), str(folder / "labels"), str(folder / "data.yaml")
        )
    else:
        dataset = supervision.DetectionDataset.from_coco(str(folder / "data"), str(folder / "labels.json"))
    found = []
    for path, _, detections in dataset:
        for box, place in zip(detections.xyxy.tolist(), detections.class_id.tolist(), strict=True):
            left, top, right, bottom = box
            found.append([Path(path).name, dataset.classes[place], [left, top, right - left, bottom - top], []])
    return found


def with_datumaro(folder: Path) -> list[list[Any]]:
    from datumaro.components.annotation import AnnotationType
    from datumaro.components.dataset import Dataset

    dataset = Dataset.import_from(str(folder / "annotations.xml"), "cvat")
    labels = dataset.categories()[AnnotationType.label]
    return [
        [item.id, labels[annotation.label].name, list(annotation.get_bbox()), []]
        for item in dataset
        for annotation in item.annotations
        if annotation.type == AnnotationType.bbox
    ]


if __name__ == "__main__":
    read = {
        "pycocotools": with_pycocotools,
        "supervision": with_supervision,
        "datumaro": with_datumaro,
    }[sys.argv[1]]
    print("\nFOUND " + json.dumps(read(Path(sys.argv[2]))))
