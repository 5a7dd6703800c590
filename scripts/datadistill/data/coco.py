"""Reading COCO JSON written by others: everything the later stages rely on is checked here, in one sentence each.

Light: the standard library only.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from datadistill.errors import UserError
from datadistill.files import read_json, read_text
from datadistill.tasks.task import Task, get_task
from datadistill.values import excerpt, infinite_key, is_finite, is_integer, is_plain_text

_MAX_SIDE = 1_000_000  # pixels
# A box or a keypoint may reach out of its image by rounding: by this many pixels or this part of the side, whichever is more.
_SLACK_PIXELS, _SLACK_PART = 2.0, 0.02
_CATEGORIES_SIZE = 4_000_000  # bytes that a list of categories has at most, to be peeked at


def read_coco(
    path: str | Path,
    *,
    task: str,
    num_keypoints: int | None = None,
    annotated: bool = True,
    stated: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Read and check a COCO JSON file (instances, person_keypoints or image_info), normalised for `task`.

    Returns a new dictionary with `images` sorted by id, `annotations` sorted by id, `categories` sorted by id, `info`
    and `licenses`. The task says which categories are kept (with keypoints, `num_keypoints` of them in each) and cleans
    the fields that are its own (`Task.clean_categories`, `Task.clean_annotation`). `stated` are fields of categories with
    keypoints that the config gives in the place of the file's: `flip_pairs`, `sigmas`. Annotations of a category that isn't
    kept are dropped. With `annotated` false, annotations are neither required nor read; otherwise one at least must be
    something that the task can learn.

    Normalised: `segmentation` is dropped; `iscrowd` defaults to 0; `area` to the box's;
    annotation ids are numbered anew when one is missing or 0, which pycocotools takes for "no match". Boxes are [x, y, width, height] in pixels; a width or height of 0 is
    let through (COCO has such), a negative or non-finite one, or a box that reaches out of its image by more than
    rounding, isn't, nor is a labelled keypoint that lies so far outside.

    Raises `UserError` naming file and image.
    """
    return check_coco(
        read_json(path),
        str(path),
        task=task,
        num_keypoints=num_keypoints,
        annotated=annotated,
        stated=stated,
    )


def check_coco(
    data: Any,
    name: str,
    *,
    task: str,
    num_keypoints: int | None = None,
    annotated: bool = True,
    stated: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """`read_coco` of a file that was read already; `name` stands for it in messages."""
    known_task = get_task(task)
    _check_shape(data, name, annotated)
    for key in ("info", "licenses"):
        _refuse_infinite(data.get(key), f"{name}: {key}")
    images = _check_images(data["images"], name)
    listed = _check_categories(data.get("categories", []), name)
    categories = known_task.clean_categories(
        [{**entry, **(stated or {})} if entry.get("keypoints") else entry for entry in listed],
        name,
        annotated=annotated,
        num_keypoints=num_keypoints,
    )
    known = {category["id"] for category in data.get("categories", [])}
    kept = {category["id"]: category for category in categories}
    sizes = {image["id"]: (image["width"], image["height"]) for image in images}
    annotations = [
        _check_annotation(annotation, name, known_task, sizes, known, kept)
        for annotation in (data["annotations"] if annotated else ())
    ]
    if annotated and not known_task.keep_for_training(a for a in annotations if a is not None):
        raise UserError(
            f"{name}: none of its {len(data['annotations'])} annotations is one to learn from or to be scored by (task {task}); "
            "crowds and instances without a labelled keypoint are none"
        )
    return {
        "info": dict(data["info"]) if isinstance(data.get("info"), Mapping) else {},
        "licenses": data.get("licenses", []),
        "images": sorted(images, key=lambda image: image["id"]),
        "annotations": number_annotations([a for a in annotations if a is not None], name),
        "categories": categories,
    }


def _check_shape(data: Any, name: str, annotated: bool) -> None:
    lists = ("images", "annotations", "categories") if annotated else ("images",)
    if not isinstance(data, Mapping):
        raise UserError(
            f"{name}: not a COCO file: a JSON object with {', '.join(lists)} is needed, it holds a "
            f"{type(data).__name__}"
        )
    for key in ("images", "annotations", "categories"):
        value = data.get(key, None if key in lists else [])
        if key == "annotations" and not annotated:
            continue
        if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
            raise UserError(f"{name}: not a COCO file: it has no list of objects {key!r}")
    licenses = data.get("licenses", [])
    if not isinstance(licenses, list) or not all(isinstance(entry, Mapping) for entry in licenses):
        raise UserError(f"{name}: not a COCO file: 'licenses' isn't a list of objects")
    if not data["images"]:
        raise UserError(f"{name}: it lists no images")


def _check_images(entries: Sequence[Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    for entry in entries:
        if not is_integer(entry.get("id")):
            raise UserError(f"{name}: not a COCO file: an image has no integer id: {excerpt(dict(entry))}")
        what = f"{name}: image {entry['id']}"
        if not isinstance(entry.get("file_name"), str) or not entry["file_name"]:
            raise UserError(f"{what} has no file_name")
        if not is_plain_text(entry["file_name"]):
            raise UserError(
                f"{what} has the file_name {entry['file_name']!r}, with characters that no name of a file has"
            )
        if not all(is_integer(entry.get(side)) and 0 < entry[side] <= _MAX_SIDE for side in ("width", "height")):
            raise UserError(f"{what} has no positive integer width and height (of {_MAX_SIDE:,} pixels at most)")
        _refuse_infinite(entry, what)
    for key in ("id", "file_name"):
        repeated = [value for value, times in Counter(entry[key] for entry in entries).items() if times > 1]
        if repeated:
            raise UserError(
                f"{name}: image {key} {repeated[0]!r} is repeated ({len(repeated)} such in all); remove the copies"
            )
    return [dict(entry) for entry in entries]


def _check_categories(entries: Sequence[Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    for entry in entries:
        if not is_integer(entry.get("id")) or not isinstance(entry.get("name"), str):
            raise UserError(f"{name}: a category needs an integer id and a name: {excerpt(dict(entry))}")
        what = f"{name}: category {excerpt(entry['name'])}"
        if not is_plain_text(entry["name"]):
            raise UserError(f"{what} has a name with control characters; give it a plain one")
        _refuse_infinite(entry, what)
    repeated = [value for value, times in Counter(entry["id"] for entry in entries).items() if times > 1]
    if repeated:
        raise UserError(f"{name}: category id {repeated[0]} is repeated")
    ids: dict[str, int] = {}
    for entry in entries:
        if ids.setdefault(entry["name"], entry["id"]) != entry["id"]:
            first, what = ids[entry["name"]], excerpt(entry["name"])
            raise UserError(
                f"{name}: the categories {first} and {entry['id']} have one name, {what}; rename one of them"
            )
    return sorted((dict(entry) for entry in entries), key=lambda entry: entry["id"])


def _check_annotation(
    entry: Mapping[str, Any],
    name: str,
    task: Task,
    sizes: Mapping[int, tuple[int, int]],
    known: set[int],
    kept: Mapping[int, Mapping[str, Any]],
) -> dict[str, Any] | None:
    what = f"{name}: annotation {excerpt(entry['id']) if 'id' in entry else '(without id)'}"
    image_id, category_id = entry.get("image_id"), entry.get("category_id")
    if not is_integer(image_id) or image_id not in sizes:
        raise UserError(f"{what} belongs to image {excerpt(image_id)}, which the file doesn't list")
    if not is_integer(category_id) or category_id not in known:
        raise UserError(
            f"{what} of image {image_id} has category {excerpt(category_id)}, which the file doesn't define"
        )
    if category_id not in kept:
        return None
    what += f" of image {image_id}"
    box, area, crowd = entry.get("bbox"), entry.get("area"), entry.get("iscrowd")
    if not isinstance(box, list) or len(box) != 4 or not all(is_finite(value) for value in box):
        raise UserError(
            f"{what} has a malformed bbox {excerpt(box)}; four finite numbers x, y, width, height are needed"
        )
    if box[2] < 0 or box[3] < 0:
        raise UserError(f"{what} has a bbox of negative size {box!r}; x, y, width, height are needed, not two corners")
    size = width, height = sizes[image_id]
    if _outside(box[:2], size) or _outside((box[0] + box[2], box[1] + box[3]), size):
        raise UserError(f"{what} has a bbox {box!r} that reaches outside its image of {width}x{height} pixels")
    if area is not None and not (is_finite(area) and area >= 0):
        raise UserError(
            f"{what} has the area {excerpt(area)}; a number of square pixels is needed, or none for the box's"
        )
    if crowd is not None and not (isinstance(crowd, int) and crowd in (0, 1)):
        raise UserError(f"{what} has iscrowd {excerpt(crowd)}; it must be 0 or 1")
    clean = dict(entry)
    clean.pop("segmentation", None)
    _refuse_infinite(clean, what)
    clean["iscrowd"] = int(bool(crowd))
    if area is None:
        clean["area"] = float(box[2] * box[3])
    clean = task.clean_annotation(clean, kept[category_id], what)
    points, names = clean.get("keypoints") or [], kept[category_id].get("keypoints") or []
    if len(points) == 3 * len(names):
        for keypoint, x, y, labelled in zip(names, points[::3], points[1::3], points[2::3], strict=True):
            # Training would drop it without a word.
            if labelled and _outside((x, y), size):
                raise UserError(
                    f"{what} has its keypoint {keypoint!r} at {x:g}, {y:g}, outside its image of {width}x{height} pixels; correct "
                    "it, or set its visibility to 0"
                )
    return clean


def _outside(point: Sequence[float], size: tuple[int, int]) -> bool:
    """Whether a point lies outside an image of that size (width, height) by more than rounding."""
    slack = [max(_SLACK_PIXELS, _SLACK_PART * side) for side in size]
    return any(not -more <= value <= side + more for value, side, more in zip(point, size, slack, strict=True))


def number_annotations(annotations: Iterable[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Annotations sorted by id; numbered anew from 1, in their order, when an id is missing or not positive.

    Raises `UserError` when an id is repeated, or no whole number.
    """
    listed = list(annotations)
    ids = [annotation.get("id") for annotation in listed]
    odd = [value for value in ids if value is not None and not is_integer(value)]
    if odd:
        raise UserError(f"{name}: annotation id {excerpt(odd[0])} isn't a whole number ({len(odd)} such in all)")
    repeated = [value for value, times in Counter(ids).items() if times > 1 and value is not None]
    if repeated:
        raise UserError(f"{name}: annotation id {repeated[0]} is repeated ({len(repeated)} such in all)")
    if any(value is None or value < 1 for value in ids):
        return [{**annotation, "id": number} for number, annotation in enumerate(listed, start=1)]
    return sorted(listed, key=lambda annotation: annotation["id"])


def read_ids(path: str | Path) -> list[int]:
    """Image ids of a COCO JSON file (its `images`) or of a text file with one id a line, sorted.

    Raises `UserError` for a missing file, a line that isn't a number, or a repeated id.
    """
    path = Path(path)
    if path.suffix == ".json":
        data = read_json(path)
        _check_shape(data, str(path), annotated=False)
        ids = [image.get("id") for image in data["images"]]
        if not all(is_integer(value) for value in ids):
            raise UserError(f"{path}: an image has no integer id")
    else:
        try:
            ids = [int(line) for line in read_text(path).split()]
        except ValueError as error:
            raise UserError(f"{path}: a list of image ids, one a line, is needed ({error})") from None
        if not all(map(is_integer, ids)):
            raise UserError(f"{path}: {excerpt(max(ids, key=abs))} is too large for an image id")
    repeated = [value for value, times in Counter(ids).items() if times > 1]
    if repeated:
        raise UserError(f"{path}: image id {repeated[0]} is repeated ({len(repeated)} such in all)")
    return sorted(ids)


def peek_categories(path: str | Path) -> list[dict[str, Any]]:
    """The categories of a COCO file, read without the rest of it: for a note, not for a check. Empty where none are seen."""
    try:
        with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for found in re.finditer(rb'"categories"\s*:\s*(?=\[)', content):
                text = content[found.end() : found.end() + _CATEGORIES_SIZE].decode("utf-8", errors="ignore")
                # What else is called so: tags of an image, say.
                with contextlib.suppress(ValueError, RecursionError, TypeError, AttributeError, UserError):
                    return _check_categories(json.JSONDecoder().raw_decode(text)[0], str(path))
    except (OSError, ValueError):
        return []
    return []


def _refuse_infinite(value: Any, what: str) -> None:
    key = infinite_key(value)
    if key is not None:
        raise UserError(f"{what} holds a number that is too large: {key}")
