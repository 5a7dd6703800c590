"""Label Studio: tasks with predictions out, its JSON export in.

Boxes are rectangles, keypoints are key points that name their rectangle as `parentID`. Label Studio counts in per cent of
the image. COCO's numbers go out and come back as they are (no half pixel is added), as its own converter takes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.etree import ElementTree

from datadistill.annotations import by_image
from datadistill.errors import UserError
from datadistill.exchange.review import (
    Coco,
    Known,
    as_coco,
    category_ids,
    category_of,
    image_certainty,
    require_box,
)

MODEL_VERSION = "data distillation"
_CLOUD = ("s3://", "gs://", "azure-blob://")
"""Addresses that Label Studio takes as they are; all others are decoded on the way."""


def to_tasks(labels: Coco, images: Sequence[Mapping[str, Any]], prefix: str) -> list[dict[str, Any]]:
    """One task an image, in the order given, with the generated labels as a prediction.

    The prediction's score is the certainty of its least certain label, so that sorting by it in Label Studio gives the order of the
    export; each region has the label's own score, and how far its transforms disagree as a remark (`meta`).

    `prefix` comes before the image's path, percent-encoded: the address under which Label Studio reads local files, such as
    `/data/local-files/?d=`.
    """
    categories = {category["id"]: category for category in labels["categories"]}
    groups = by_image(labels["annotations"])
    tasks = []
    for number, image in enumerate(images, start=1):
        result = []
        for annotation in groups.get(image["id"], []):
            result += _regions(annotation, image, categories[annotation["category_id"]])
        score = image_certainty(groups.get(image["id"], []))
        tasks.append(
            {
                "id": number,
                "data": {
                    "image": f"{prefix}{image['file_name'] if prefix.startswith(_CLOUD) else quote(image['file_name'])}",
                    "image_id": image["id"],
                    "file_name": image["file_name"],
                },
                "predictions": [{"model_version": MODEL_VERSION, "score": score, "result": result}],
            }
        )
    return tasks


def _regions(
    annotation: Mapping[str, Any], image: Mapping[str, Any], category: Mapping[str, Any]
) -> list[dict[str, Any]]:
    width, height = image["width"], image["height"]
    shared = {"to_name": "image", "original_width": width, "original_height": height, "image_rotation": 0}
    x, y, w, h = annotation["bbox"]
    name = f"box{annotation['id']}"
    value = {
        "x": 100 * x / width,
        "y": 100 * y / height,
        "width": 100 * w / width,
        "height": 100 * h / height,
        "rotation": 0,
        "rectanglelabels": [category["name"]],
    }
    box = {"id": name, "type": "rectanglelabels", "from_name": "label", **shared, "value": value}
    if "score" in annotation:
        box["score"] = annotation["score"]
    if "disagreement" in annotation:
        box["meta"] = {"text": [f"disagreement {annotation['disagreement']:.2f}"]}
    regions = [box]
    points = annotation.get("keypoints") or []
    for number, keypoint in enumerate(category.get("keypoints") or []):
        px, py, visible = points[3 * number : 3 * number + 3] if points else (0, 0, 0)
        if visible:
            where = {"x": 100 * px / width, "y": 100 * py / height, "width": 0.5, "keypointlabels": [keypoint]}
            regions.append(
                {
                    "id": f"{name}-{number}",
                    "parentID": name,
                    "type": "keypointlabels",
                    "from_name": "keypoint",
                    **shared,
                    "value": where,
                }
            )
    return regions


def labelling_interface(categories: Sequence[Mapping[str, Any]]) -> str:
    """The XML that a Label Studio project needs for these categories."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name="image", value="$image")
    rectangles = ElementTree.SubElement(view, "RectangleLabels", name="label", toName="image")
    names: dict[str, None] = {}
    for category in categories:
        ElementTree.SubElement(rectangles, "Label", value=category["name"])
        names |= dict.fromkeys(category.get("keypoints") or [])
    if names:
        points = ElementTree.SubElement(view, "KeyPointLabels", name="keypoint", toName="image")
        # Label Studio's own converter orders a category's keypoints by this number.
        for number, name in enumerate(names):
            ElementTree.SubElement(points, "Label", value=name, model_index=str(number))
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def from_tasks(
    tasks: Any,
    images: Sequence[Mapping[str, Any]],
    categories: Sequence[Mapping[str, Any]],
    where: str,
    *,
    ours: bool = False,
) -> dict[str, Any]:
    """COCO JSON of the tasks that have an annotation by a person, its last one that wasn't cancelled.

    A task without one was not reviewed, and is left out. `ours`: an `image_id` among a task's data is one of `images`, as
    `to_tasks` writes it. Raises `UserError` for anything that isn't a box or a keypoint.
    """
    if not isinstance(tasks, list) or not all(isinstance(task, Mapping) and "data" in task for task in tasks):
        raise UserError(f"{where}: not a JSON export of Label Studio (a list of tasks); export the project as JSON")
    known, ids = Known(images), category_ids(categories, where)
    keypoints = {category["id"]: list(category.get("keypoints") or []) for category in categories}
    reviewed, annotations = [], []
    for task in tasks:
        done = [a for a in task.get("annotations") or [] if not a.get("was_cancelled")]
        if not done:
            continue
        image = known.image(file_name_of(task["data"], where), where)
        if ours and str(task["data"].get("image_id", image["id"])) != str(image["id"]):
            raise UserError(
                f"{where}: {image['file_name']}: its task is of image {task['data']['image_id']}, in the split it is image "
                f"{image['id']}; import it beside the split it was exported from"
            )
        reviewed.append(image)
        annotations += _instances(done[-1].get("result") or [], image, ids, keypoints, where)
    if not reviewed:
        raise UserError(f"{where}: no task has an annotation; submit the reviewed tasks and export again")
    return as_coco(reviewed, annotations, categories, where)


def file_name_of(data: Mapping[str, Any], where: str) -> str:
    """The image of a task, as its `data` call it: `file_name`, or what the address of `image` ends in."""
    if isinstance(data.get("file_name"), str):
        return data["file_name"]
    address = data.get("image")
    if not isinstance(address, str):
        raise UserError(f"{where}: a task's data have neither `file_name` nor `image`; export the project as JSON")
    parts = urlsplit(address)
    return parse_qs(parts.query).get("d", [unquote(parts.path)])[0]


def _instances(
    result: Sequence[Mapping[str, Any]],
    image: Mapping[str, Any],
    ids: Mapping[str, int],
    keypoints: Mapping[int, list[str]],
    where: str,
) -> list[dict[str, Any]]:
    made: dict[str, dict[str, Any]] = {}
    width, height = image["width"], image["height"]
    for region in result:
        _require_as_shown(region, image, where)
        if region.get("type") != "rectanglelabels":
            continue
        value = region["value"]
        if value.get("rotation"):
            raise UserError(
                f"{where}: {image['file_name']}: a box is rotated, which a detector's can't be; straighten it"
            )
        labels = value.get("rectanglelabels") or []
        if len(labels) != 1:
            raise UserError(f"{where}: {image['file_name']}: a box has {len(labels)} categories; give it exactly one")
        category = category_of(labels[0], ids, where)
        box = [
            value["x"] * width / 100,
            value["y"] * height / 100,
            value["width"] * width / 100,
            value["height"] * height / 100,
        ]
        made[region["id"]] = {
            "image_id": image["id"],
            "category_id": category,
            "bbox": require_box(box, image, where),
        }
        if keypoints[category]:
            made[region["id"]] |= {"keypoints": [0.0] * (3 * len(keypoints[category])), "num_keypoints": 0}
    for region in result:
        if region.get("type") == "rectanglelabels":
            continue
        if region.get("type") != "keypointlabels":
            raise UserError(
                f"{where}: {image['file_name']}: a region of type {region.get('type')!r} is neither a box nor a keypoint; remove it"
            )
        parent = made.get(region.get("parentID"))
        names = keypoints[parent["category_id"]] if parent else []
        label = (region["value"].get("keypointlabels") or [None])[0]
        if parent is None or label not in names:
            raise UserError(
                f"{where}: {image['file_name']}: the keypoint {label!r} belongs to no box that has it; drag it into one"
            )
        place = 3 * names.index(label)
        if parent["keypoints"][place + 2]:
            raise UserError(f"{where}: {image['file_name']}: a box has the keypoint {label!r} twice; remove one")
        x, y = region["value"]["x"] * width / 100, region["value"]["y"] * height / 100
        parent["keypoints"][place : place + 3] = [x, y, 2]
        parent["num_keypoints"] += 1
    return list(made.values())


def _require_as_shown(region: Mapping[str, Any], image: Mapping[str, Any], where: str) -> None:
    """Refuse a region drawn on the image turned: its per cents are of other sides.

    Sizes may differ (a smaller copy was shown), shapes only by what rounding to whole pixels makes.
    """
    if region.get("image_rotation"):
        raise UserError(
            f"{where}: {image['file_name']}: a region was drawn on the image rotated; turn it back and redraw"
        )
    shown = float(region.get("original_width") or 0), float(region.get("original_height") or 0)
    own = image["width"], image["height"]
    if all(shown) and abs(shown[0] * own[1] - shown[1] * own[0]) > max(sum(shown), sum(own)):
        raise UserError(
            f"{where}: {image['file_name']}: a region was drawn on {shown[0]:g}x{shown[1]:g} pixels, the split has "
            f"{own[0]}x{own[1]} (turned as the EXIF orientation says); label the image as it was exported"
        )
