"""What every review format shares: which images come first, and how an image is told again when it comes back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from datadistill.annotations import by_image
from datadistill.errors import UserError

Coco = Mapping[str, Any]


def certainty(label: Mapping[str, Any]) -> float:
    """How sure a label is, from 0 to 1: its score, less the part about which its transforms disagree (score x (1 - disagreement)).

    A label without a score is one of people, and sure; one that doesn't say how far transforms disagree goes by its score alone.
    """
    return float(label.get("score", 1.0)) * (1.0 - float(label.get("disagreement", 0.0)))


def image_certainty(annotations: Iterable[Mapping[str, Any]]) -> float:
    """That of an image's least certain label; 1 for an image without labels, as nothing was seen there to doubt."""
    return min(map(certainty, annotations), default=1.0)


def least_certain_first(labels: Coco, count: int | None = None) -> list[Mapping[str, Any]]:
    """Up to `count` images of a label set, those with the least certain label first.

    What is certain: `certainty`. Images without a label come last, as what the teacher saw nothing in; equal ones by id.
    """
    groups = by_image(labels["annotations"])

    def place(image: Mapping[str, Any]) -> tuple[bool, float, int]:
        annotations = groups.get(image["id"], [])
        return not annotations, image_certainty(annotations), image["id"]

    return sorted(labels["images"], key=place)[:count]


def flat_names(images: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """A file name of its own for each image id, without folders: tools that keep images in one folder need it.

    The image's own name where no other has it, else the name with its id before it.
    """
    names: dict[str, list[int]] = defaultdict(list)
    for image in images:
        names[PurePosixPath(image["file_name"]).name].append(image["id"])
    flat = {
        identity: name if len(identities) == 1 else f"{identity}-{name}"
        for name, identities in names.items()
        for identity in identities
    }
    return {image["id"]: flat[image["id"]] for image in images}


class Known:
    """The images that a review may speak of, found by path, by file name, or by the name that `flat_names` gave them."""

    def __init__(self, images: Sequence[Mapping[str, Any]]) -> None:
        self._found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        flat = flat_names(images)
        for image in images:
            path = PurePosixPath(image["file_name"])
            for name in {
                path.as_posix(),
                path.name,
                path.stem,
                flat[image["id"]],
                PurePosixPath(flat[image["id"]]).stem,
            }:
                self._found[name].append(image)

    def image(self, name: str, where: str) -> Mapping[str, Any]:
        """The image called `name`; none, or several, are a `UserError` that names `where`."""
        found = self._found.get(name) or self._found.get(PurePosixPath(name).name, [])
        if not found:
            raise UserError(
                f"{where}: {name!r} is no image of the split; import it beside the split it was exported from"
            )
        if len(found) > 1:
            raise UserError(f"{where}: {name!r} may be {len(found)} images of the split; rename them")
        return found[0]


def category_ids(categories: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Category id by name."""
    return {category["name"]: category["id"] for category in categories}


def category_of(name: str, ids: Mapping[str, int], where: str) -> int:
    """The id of a category; an unknown name is a `UserError`."""
    if name not in ids:
        raise UserError(f"{where}: there is no category {name!r}; known: {', '.join(ids)}")
    return ids[name]


def as_coco(
    images: Sequence[Mapping[str, Any]], annotations: Sequence[dict[str, Any]], categories: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """COCO JSON of what came back: annotations numbered from 1, with areas of their boxes, sorted by image."""
    ordered = sorted(annotations, key=lambda a: a["image_id"])
    return {
        "info": {"description": "Labels corrected by people."},
        "images": sorted((dict(image) for image in images), key=lambda image: image["id"]),
        "annotations": [
            {"id": number, "iscrowd": 0, "area": a["bbox"][2] * a["bbox"][3], **a}
            for number, a in enumerate(ordered, start=1)
        ],
        "categories": [dict(category) for category in categories],
    }


def require_box(box: Sequence[float], image: Mapping[str, Any], where: str) -> list[float]:
    """The box (x, y, width, height) cut at the image's border; one without area is a `UserError`.

    Tools let a box stand out by a pixel or so; what is more than half outside is no slip.
    """
    x, y, width, height = box
    left, top = max(0.0, x), max(0.0, y)
    right, bottom = min(float(image["width"]), x + width), min(float(image["height"]), y + height)
    if not (width > 0 and height > 0) or (right - left) * (bottom - top) < 0.5 * width * height:
        raise UserError(
            f"{where}: {image['file_name']}: the box {[round(v, 2) for v in box]} has no area or lies outside of the image; "
            "correct it there and export again"
        )
    return (
        list(box)
        if (left, top, right, bottom) == (x, y, x + width, y + height)
        else [left, top, right - left, bottom - top]
    )
