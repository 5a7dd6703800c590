"""Small COCO dictionaries made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

NAMES = [
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow"),
    *("right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee"),
    *("left_ankle", "right_ankle"),
]
SKELETON = [
    *([16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7], [6, 8], [7, 9], [8, 10], [9, 11]),
    *([2, 3], [1, 2], [1, 3], [2, 4], [3, 5], [4, 6], [5, 7]),
]
PERSON = {"id": 1, "name": "person", "keypoints": NAMES, "skeleton": SKELETON}


def image(number: int, width: int = 640, height: int = 480, file_name: str = "") -> dict[str, Any]:
    return {"id": number, "file_name": file_name or f"{number}.jpg", "width": width, "height": height}


def box(image_id: int, bbox: Sequence[float], category: int = 1, **more: Any) -> dict[str, Any]:
    """An annotation or (with `score`) a label."""
    width, height = bbox[2:]
    values = {"image_id": image_id, "category_id": category, "bbox": list(bbox), "area": width * height, "iscrowd": 0}
    return values | more


def person(image_id: int, bbox: Sequence[float], visible: int = 17, shift: float = 0.0, **more: Any) -> dict[str, Any]:
    """A person whose first `visible` keypoints lie on a grid in the box, all shifted right by `shift` pixels."""
    left, top, width, height = bbox
    keypoints: list[float] = []
    for i in range(len(NAMES)):
        x, y = left + width * (i % 4 + 0.5) / 4 + shift, top + height * (i // 4 + 0.5) / 5
        keypoints += [x, y, 2] if i < visible else [0, 0, 0]
    return box(image_id, bbox, keypoints=keypoints, num_keypoints=visible) | more


def coco(images: Sequence[dict], annotations: Sequence[dict], categories: Sequence[dict] = (PERSON,)) -> dict[str, Any]:
    numbered = [annotation | {"id": i} for i, annotation in enumerate(annotations)]
    return {"images": list(images), "annotations": numbered, "categories": list(categories), "info": {}}
