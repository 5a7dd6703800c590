"""Small label sets with images on disk, for the tests of the review formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

FISH = {
    "id": 7,
    "name": "fish",
    "keypoints": ["nose", "left_fin", "right_fin"],
    "skeleton": [[1, 2], [1, 3]],
}
CELLS = [{"id": 3, "name": "RBC"}, {"id": 5, "name": "white cell"}, {"id": 9, "name": '<platelets> & "more"'}]


def label_set(folder: Path, *, keypoints: bool) -> dict[str, Any]:
    """Four images in two folders, two of the same name; the last has no label."""
    from PIL import Image

    names = ["a/one.png", "b/one.png", "b/two words.png", "b/empty.png"]
    images = []
    for number, name in enumerate(names, start=11):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48), (10 * number, 60, 90)).save(path)
        images.append({"id": number, "file_name": str(path), "width": 64, "height": 48})
    boxes = [
        (11, [1.125, 2.5, 20.25, 30.333], 0.91, 0.1),
        (11, [30.0, 5.0, 10.0, 12.0], 0.55, 0.0),
        (12, [0.0, 0.0, 64.0, 48.0], 0.97, 0.2),
        (13, [7.7, 8.8, 9.9, 11.1], 0.6, 0.5),
    ]
    categories = [FISH] if keypoints else CELLS
    annotations = []
    for number, (image, box, score, disagreement) in enumerate(boxes, start=1):
        annotation = {
            "id": number,
            "image_id": image,
            "category_id": categories[number % len(categories)]["id"],
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": 0,
            "score": score,
            "disagreement": disagreement,
        }
        if keypoints:
            x, y, w, h = box
            points = [x + w / 2, y + 1.5, 2, x + 1.25, y + h / 2, 2, 0.0, 0.0, 0]
            annotation |= {"keypoints": points if number != 4 else [0.0] * 9, "num_keypoints": 2 if number != 4 else 0}
        annotations.append(annotation)
    return {"info": {"generated": True}, "images": images, "annotations": annotations, "categories": categories}
