"""What exports say beside their labels: the images and categories that the readers of `exchange` must be told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

from datadistill.data.voc import coco_categories
from datadistill.errors import UserError
from datadistill.exchange.label_studio import file_name_of
from datadistill.files import read_text

_UPLOADED = re.compile(r"^[0-9a-f]{8}-")
"""What Label Studio puts before the name of an uploaded file."""
_SKELETON = " keypoints"
"""What ends the name of a skeleton in CVAT beside the box of its category, as we export it."""


def xml_root(path: Path) -> ElementTree.Element:
    """The root of an XML file. Raises `UserError` for anything else, and for entities, which no annotation tool writes."""
    text = read_text(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise UserError(f"{path}: the XML declares entities, which no annotation tool writes; export it again")
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise UserError(f"{path}: not valid XML ({error}); is the file complete?") from None


# --- Pascal VOC


def voc_categories(annotations: Path, names: Sequence[str]) -> list[str]:
    """The names of all objects, in alphabetical order."""
    found: set[str] = set()
    for name in names:
        path = annotations / f"{name}.xml"
        if not path.is_file():
            raise UserError(f"{path}: no such annotation file, which the list names")
        found |= {(element.findtext("name") or "").strip() for element in xml_root(path).findall("object")}
    found.discard("")
    if not found:
        raise UserError(
            f"{annotations}: no object in any of its {len(names)} annotation files; is it the right folder?"
        )
    return sorted(found)


# --- Label Studio


def task_names(tasks: Any, where: str) -> list[str]:
    """The images of the tasks that have an annotation, as the export calls them."""
    if not isinstance(tasks, list) or not all(
        isinstance(t, Mapping) and isinstance(t.get("data"), Mapping) for t in tasks
    ):
        raise UserError(f"{where}: not a JSON export of Label Studio (a list of tasks); export the project as JSON")
    names = [file_name_of(task["data"], where) for task in tasks if _annotation(task)]
    if not names:
        raise UserError(f"{where}: no task has an annotation; submit the annotated tasks and export again")
    return names


def possible_names(name: str) -> list[str]:
    """What the file of a task may be called in a folder: as the export says, without folders, without an upload's prefix."""
    base = PurePosixPath(name).name
    return list(dict.fromkeys([name.lstrip("/"), base, _UPLOADED.sub("", base)]))


def with_local_names(
    tasks: Sequence[Mapping[str, Any]], listed: Iterable[str], where: str, folder: Path
) -> list[dict[str, Any]]:
    """The annotated tasks, and those without an annotation as they are, with `file_name` as it is in the folder."""
    paths = set(listed)
    by_name: dict[str, list[str]] = {}
    for path in paths:
        by_name.setdefault(PurePosixPath(path).name, []).append(path)
    named = []
    for task in tasks:
        if not _annotation(task):
            named.append(dict(task))
            continue
        stated = file_name_of(task["data"], where)
        candidates = [[path] if path in paths else by_name.get(path, []) for path in possible_names(stated)]
        found = next((entry for entry in candidates if entry), [])
        if len(found) != 1:
            how = "is not" if not found else f"may be {len(found)} images"
            raise UserError(
                f"{where}: the image {stated!r} {how} in {folder}; name the folder of the images with IMAGES="
            )
        named.append({**task, "data": {**task["data"], "file_name": found[0]}})
    return named


def label_studio_categories(tasks: Sequence[Mapping[str, Any]], place: Path) -> list[dict[str, Any]]:
    """Categories and their keypoints, as far as they were used; in the order of interface.xml where one lies beside the export,
    else categories in alphabetical order and keypoints as they first appear."""
    keypoints: dict[str, dict[str, None]] = {}
    for task in tasks:
        regions = (_annotation(task) or {}).get("result") or []
        labels = {
            region.get("id"): label
            for region in regions
            for label in (region.get("value") or {}).get("rectanglelabels") or []
        }
        for label in labels.values():
            keypoints.setdefault(str(label), {})
        for region in regions:
            parent = labels.get(region.get("parentID"))
            if region.get("type") == "keypointlabels" and parent is not None:
                keypoints[str(parent)] |= dict.fromkeys((region.get("value") or {}).get("keypointlabels") or [])
    if not keypoints:
        raise UserError(f"{place}: no annotation has a box (rectanglelabels); is it the right project?")
    interface = place.parent / "interface.xml"
    categories, parts = _of_interface(interface) if interface.is_file() else ([], [])
    names = [*(name for name in categories), *sorted(set(keypoints) - set(categories))]
    made = coco_categories(names)
    # One list of keypoints for all categories that have any: what one skeleton of the interface is.
    used = parts or list(dict.fromkeys(name for names in keypoints.values() for name in names))
    for entry in made:
        if keypoints.get(entry["name"]):
            entry["keypoints"] = used
    return made


def _of_interface(path: Path) -> tuple[list[str], list[str]]:
    """Names of boxes and of keypoints of a labelling interface, in order."""
    root = xml_root(path)

    def values(tag: str) -> list[str]:
        return [label.get("value", "") for group in root.iter(tag) for label in group.iter("Label")]

    return values("RectangleLabels"), values("KeyPointLabels")


def _annotation(task: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The last annotation by a person that wasn't cancelled; one without regions says that nothing is there."""
    done = [entry for entry in task.get("annotations") or [] if not entry.get("was_cancelled")]
    return done[-1] if done else None


# --- CVAT


def cvat_names(place: Path) -> list[str]:
    """The images that an export lists."""
    root = xml_root(place)
    if root.tag != "annotations" or root.find("track") is not None:
        raise UserError(f"{place}: not CVAT's XML for images; export the task as `CVAT for images 1.1`")
    names = [node.get("name", "") for node in root.iter("image")]
    if not names:
        raise UserError(f"{place}: it lists no image; export the task again")
    return names


def cvat_categories(place: Path) -> list[dict[str, Any]]:
    """The labels of the task: a category for each box, and for each skeleton without a box of its name."""
    root = xml_root(place)
    labels = [node for node in root.iter("label") if node.find("name") is not None]
    kinds = {(node.findtext("name") or "").strip(): (node.findtext("type") or "any").strip() for node in labels}
    parents = [((node.findtext("name") or "").strip(), (node.findtext("parent") or "").strip()) for node in labels]
    parts: dict[str, list[str]] = {}
    for name, parent in parents:
        if parent:
            parts.setdefault(parent, []).append(name)
    top = [name for name, parent in parents if not parent]
    boxes = [name for name in top if kinds[name] != "skeleton"]
    skeletons = [name for name in top if kinds[name] == "skeleton"]
    names = [*boxes, *(name for name in skeletons if name.removesuffix(_SKELETON) not in boxes)]
    if not names:
        # Without its labels an export still names them at every shape.
        names = sorted({node.get("label", "") for node in root.iter("box")} - {""})
    if not names:
        raise UserError(f"{place}: it names no label; export the task as `CVAT for images 1.1`")
    made = coco_categories(names)
    for entry in made:
        if found := parts.get(f"{entry['name']}{_SKELETON}") or parts.get(entry["name"]):
            entry["keypoints"] = found
    return made
