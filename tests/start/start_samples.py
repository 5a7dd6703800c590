"""A small labelled data set on disk, in every format that `make init` takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from datadistill.exchange.formats import export_labels

FISH = {"id": 1, "name": "fish", "keypoints": ["nose", "left_fin", "right_fin"], "skeleton": [[1, 2], [1, 3]]}
CELLS = [{"id": 1, "name": "RBC"}, {"id": 2, "name": "white cell"}]
WIDTH, HEIGHT = 64, 48


def photos(folder: Path, names: list[str], shade: int = 0) -> None:
    """An image for each name, each of its own colour."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", (WIDTH, HEIGHT), (20 * number % 256, shade, 90)).save(folder / name)


def labelled(folder: Path, *, keypoints: bool = False, images: int = 10) -> dict[str, Any]:
    """COCO JSON of images in `folder`, with paths as a label set has them. The last image has no label."""
    names = [f"photo {number:02}.png" for number in range(images)]
    photos(folder, names)
    categories = [FISH] if keypoints else CELLS
    annotations: list[dict[str, Any]] = []
    for number in range(2 * (images - 1)):
        x, y, w, h = box = [1.5 + number % 7, 2.25, 20.0 + number, 30.5]
        category = categories[number % len(categories)]["id"]
        entry = {"id": number + 1, "image_id": 1 + number // 2, "category_id": category, "bbox": box}
        if keypoints:
            points = [x + w / 2, y + 1.5, 2, x + 1.25, y + h / 2, 2, 0.0, 0.0, 0]
            entry |= {"keypoints": points, "num_keypoints": 2}
        annotations.append({**entry, "area": w * h, "iscrowd": 0})
    listed = [
        {"id": number, "file_name": str(folder / name), "width": WIDTH, "height": HEIGHT}
        for number, name in enumerate(names, start=1)
    ]
    return {"images": listed, "annotations": annotations, "categories": categories}


def coco_file(labels: dict[str, Any], path: Path) -> Path:
    """A COCO file whose names are those of the files alone."""
    images = [{**image, "file_name": Path(image["file_name"]).name} for image in labels["images"]]
    path.write_text(json.dumps({**labels, "images": images}))
    return path


def exported(labels: dict[str, Any], kind: str, folder: Path) -> Path:
    """What `labels export` writes and a person then submits, and what to name of it."""
    export_labels(labels, kind, folder)
    tasks = folder / "tasks.json"
    if kind == "label-studio":
        listed = json.loads(tasks.read_text())
        for task in listed:
            task["annotations"] = [{"was_cancelled": False, "result": task["predictions"][0]["result"]}]
            # As after an upload: no name of ours, a prefix before the file's.
            task["data"] = {"image": f"/data/upload/3/0a1b2c3d-{Path(task['data']['file_name']).name}"}
        tasks.write_text(json.dumps(listed))
        return tasks
    return folder


def voc_folder(labels: dict[str, Any], folder: Path) -> Path:
    """Pascal VOC's XML, whole pixels counted from 1, beside the folder of the images."""
    names = {category["id"]: category["name"] for category in labels["categories"]}
    folder.mkdir(parents=True)
    for image in labels["images"]:
        root = ElementTree.Element("annotation")
        size = ElementTree.SubElement(root, "size")
        for side in ("width", "height"):
            ElementTree.SubElement(size, side).text = str(image[side])
        for annotation in (a for a in labels["annotations"] if a["image_id"] == image["id"]):
            node = ElementTree.SubElement(root, "object")
            ElementTree.SubElement(node, "name").text = names[annotation["category_id"]]
            x, y, w, h = map(int, annotation["bbox"])
            corners = ElementTree.SubElement(node, "bndbox")
            for corner, value in (("xmin", x + 1), ("ymin", y + 1), ("xmax", x + w), ("ymax", y + h)):
                ElementTree.SubElement(corners, corner).text = str(value)
        (folder / f"{Path(image['file_name']).stem}.xml").write_text(ElementTree.tostring(root, encoding="unicode"))
    return folder
