"""CVAT: its XML for images (version 1.1), out and in.

An instance with keypoints is a skeleton and the box of its group. COCO's numbers go out and come back as they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from datadistill.annotations import by_image
from datadistill.errors import UserError
from datadistill.exchange.review import Coco, Known, as_coco, category_ids, category_of, require_box, require_size

Element = ElementTree.Element
SAID = ("score", "disagreement")
"""What a generated label says of itself: attributes of its box."""


def to_xml(labels: Coco, images: Sequence[Mapping[str, Any]], names: Mapping[int, str]) -> str:
    """The XML of these images, in the order given; `names` is the file name of each image id in CVAT."""
    root = Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    meta = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
    listed = ElementTree.SubElement(meta, "labels")
    categories = {category["id"]: category for category in labels["categories"]}
    for category in categories.values():
        _label(listed, category["name"], "rectangle")
        if category.get("keypoints"):
            _label(listed, _skeleton_name(category), "skeleton")
            for keypoint in category["keypoints"]:
                _label(listed, keypoint, "points", parent=_skeleton_name(category))
    groups = by_image(labels["annotations"])
    for number, image in enumerate(images):
        node = ElementTree.SubElement(
            root,
            "image",
            id=str(number),
            name=names[image["id"]],
            width=str(image["width"]),
            height=str(image["height"]),
        )
        for group, annotation in enumerate(groups.get(image["id"], []), start=1):
            _instance(node, annotation, categories[annotation["category_id"]], group)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _skeleton_name(category: Mapping[str, Any]) -> str:
    """CVAT wants a label's name once: the skeleton can't be called as the box."""
    return f"{category['name']} keypoints"


def _label(into: Element, name: str, kind: str, **more: str) -> None:
    node = ElementTree.SubElement(into, "label")
    for key, value in {"name": name, "type": kind, **more}.items():
        ElementTree.SubElement(node, key).text = value
    attributes = ElementTree.SubElement(node, "attributes")
    if kind == "rectangle":
        for name in SAID:
            attribute = ElementTree.SubElement(attributes, "attribute")
            described = {"name": name, "mutable": "False", "input_type": "text", "default_value": "", "values": ""}
            for key, value in described.items():
                ElementTree.SubElement(attribute, key).text = value


def _instance(image: Element, annotation: Mapping[str, Any], category: Mapping[str, Any], group: int) -> None:
    x, y, width, height = annotation["bbox"]
    shared = {"source": "auto", "occluded": "0", "z_order": "0", "group_id": str(group)}
    corners = {"xtl": x, "ytl": y, "xbr": x + width, "ybr": y + height}
    box = ElementTree.SubElement(
        image, "box", label=category["name"], **shared, **{k: repr(float(v)) for k, v in corners.items()}
    )
    for name in SAID:
        if name in annotation:
            ElementTree.SubElement(box, "attribute", name=name).text = repr(annotation[name])
    names, points = category.get("keypoints") or [], annotation.get("keypoints") or []
    if names and any(points[2::3]):
        skeleton = ElementTree.SubElement(image, "skeleton", label=_skeleton_name(category), **shared)
        for number, name in enumerate(names):
            px, py, visible = points[3 * number : 3 * number + 3]
            ElementTree.SubElement(
                skeleton,
                "points",
                label=name,
                source="auto",
                outside="0" if visible else "1",
                occluded="1" if visible == 1 else "0",
                points=f"{float(px)!r},{float(py)!r}",
            )


def from_xml(
    text: str, images: Sequence[Mapping[str, Any]], categories: Sequence[Mapping[str, Any]], where: str
) -> dict[str, Any]:
    """COCO JSON of every image that the XML lists. Raises `UserError` for anything but boxes and skeletons."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise UserError(f"{where}: the XML declares entities, which CVAT never writes; export it again")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise UserError(f"{where}: not valid XML ({error}); is the file complete?") from None
    if root.tag != "annotations" or root.find("track") is not None:
        raise UserError(f"{where}: not CVAT's XML for images; export the task as `CVAT for images 1.1`")
    known, ids = Known(images, "images"), category_ids(categories, where)
    by_id = {category["id"]: category for category in categories}
    reviewed, annotations = [], []
    for node in root.iter("image"):
        image = known.image(node.get("name", ""), where)
        reviewed.append(image)
        try:
            require_size(node.attrib, image, where)
            annotations += _instances(node, image, ids, by_id, where)
        except (TypeError, ValueError) as error:
            raise UserError(f"{where}: {image['file_name']}: a number is missing or malformed ({error})") from None
    if not reviewed:
        raise UserError(f"{where}: it lists no image; export the task again")
    return as_coco(reviewed, annotations, categories, where)


def _instances(
    node: Element, image: Mapping[str, Any], ids: Mapping[str, int], by_id: Mapping[int, Mapping[str, Any]], where: str
) -> list[dict[str, Any]]:
    skeletons = {_skeleton_name(category): category for category in by_id.values() if category.get("keypoints")}
    made: list[dict[str, Any]] = []
    of_group: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for shape in node:
        if shape.tag == "box":
            if float(shape.get("rotation", 0)):
                raise UserError(
                    f"{where}: {image['file_name']}: a box is rotated, which a detector's can't be; straighten it"
                )
            left, top, right, bottom = (float(shape.get(key)) for key in ("xtl", "ytl", "xbr", "ybr"))  # type: ignore[arg-type]
            category = category_of(shape.get("label", ""), ids, where)
            box = require_box([left, top, right - left, bottom - top], image, where)
            instance: dict[str, Any] = {"image_id": image["id"], "category_id": category, "bbox": box}
            if names := by_id[category].get("keypoints"):
                instance |= {"keypoints": [0.0] * (3 * len(names)), "num_keypoints": 0}
                if shape.get("group_id", "0") != "0":
                    of_group[shape.get("group_id", "0"), category].append(instance)
            made.append(instance)
    posed: set[tuple[str, int]] = set()
    alone: list[dict[str, Any]] = []
    for shape in node:
        if shape.tag == "skeleton":
            category_entry = skeletons.get(shape.get("label", "")) or next(
                (c for c in by_id.values() if c.get("keypoints") and c["name"] == shape.get("label")), None
            )
            if category_entry is None:
                raise UserError(f"{where}: {image['file_name']}: no category has the skeleton {shape.get('label')!r}")
            points = _points(shape, category_entry["keypoints"], f"{where}: {image['file_name']}")
            group = shape.get("group_id", "0"), category_entry["id"]
            boxes = of_group.get(group, [])
            if len(boxes) > 1 or group in posed:
                raise UserError(
                    f"{where}: {image['file_name']}: group {group[0]} has several boxes or skeletons of {category_entry['name']!r}; "
                    "give each instance a group of its own"
                )
            if group[0] != "0":
                posed.add(group)
            if boxes:
                (instance,) = boxes
            else:
                instance = _boxed(points, image, category_entry["id"], where)
                alone.append(instance)
            instance |= {"keypoints": points, "num_keypoints": sum(1 for v in points[2::3] if v)}
        elif shape.tag != "box":
            raise UserError(
                f"{where}: {image['file_name']}: a shape of type {shape.tag!r} is neither a box nor a skeleton; remove it"
            )
    for instance in alone:
        if any(_holds(box, instance) for box in made):
            raise UserError(
                f"{where}: {image['file_name']}: a skeleton lies in a box that has none, and nothing says that they are one instance; "
                "group them"
            )
    return made + alone


def _holds(box: Mapping[str, Any], skeleton: Mapping[str, Any]) -> bool:
    """Whether most keypoints of a skeleton lie in a box of its category that has no keypoints itself."""
    if box["category_id"] != skeleton["category_id"] or box["num_keypoints"]:
        return False
    x, y, w, h = box["bbox"]
    points = skeleton["keypoints"]
    within = [
        x <= px <= x + w and y <= py <= y + h
        for px, py, seen in zip(points[::3], points[1::3], points[2::3], strict=True)
        if seen
    ]
    return 2 * sum(within) > len(within)


def _points(skeleton: Element, names: Sequence[str], where: str) -> list[float]:
    points = [0.0] * (3 * len(names))
    for node in skeleton.iter("points"):
        name = node.get("label", "")
        if name not in names:
            raise UserError(f"{where}: the skeleton has no keypoint {name!r}; known: {', '.join(names)}")
        if node.get("outside") != "1":
            x, y = map(float, node.get("points", "").split(","))
            place = 3 * list(names).index(name)
            points[place : place + 3] = [x, y, 1 if node.get("occluded") == "1" else 2]
    return points


def _boxed(points: Sequence[float], image: Mapping[str, Any], category: int, where: str) -> dict[str, Any]:
    """An instance whose skeleton stands alone: its box is that of its keypoints."""
    seen = [(x, y) for x, y, v in zip(points[::3], points[1::3], points[2::3], strict=True) if v]
    if len(seen) < 2:
        raise UserError(
            f"{where}: {image['file_name']}: a skeleton without a box has fewer than two keypoints; draw its box and group them"
        )
    left, top = min(x for x, _ in seen), min(y for _, y in seen)
    box = [left, top, max(x for x, _ in seen) - left, max(y for _, y in seen) - top]
    return {
        "image_id": image["id"],
        "category_id": category,
        "bbox": require_box(box, image, where),
        "num_keypoints": 0,
    }
