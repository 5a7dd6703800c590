"""What every review format shares: which images come first, and how an image is told again when it comes back."""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from datadistill.annotations import by_image
from datadistill.errors import UserError
from datadistill.values import infinite_key

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


def flat_names(images: Sequence[Mapping[str, Any]], *, by_stem: bool = False) -> dict[int, str]:
    """A file name of its own for each image id, without folders: tools that keep images in one folder need it.

    The image's own name where no other has it, else the name with its id before it (again, where an image is called that).
    `by_stem`: names that differ in their endings alone count as one, as YOLO has one label file a stem, and `classes.txt` is none.
    """

    def key(name: str) -> str:
        return PurePosixPath(name).stem if by_stem else name

    own = {image["id"]: PurePosixPath(image["file_name"]).name for image in images}
    counts = Counter(map(key, own.values()))
    taken = set(counts)
    flat = dict(own)
    for identity in sorted(own):
        if counts[key(own[identity])] > 1 or (by_stem and key(own[identity]) == "classes"):
            while key(flat[identity]) in taken:
                flat[identity] = f"{identity}-{flat[identity]}"
            taken.add(key(flat[identity]))
    return flat


class Known:
    """The images that a review may speak of, found by path, by file name, or by the name that `flat_names` gave them.

    `exported`: the folder in which an export puts the images.
    """

    def __init__(self, images: Sequence[Mapping[str, Any]], exported: str = "") -> None:
        self._found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        self._exported = exported
        flat, by_stem = flat_names(images), flat_names(images, by_stem=True)
        for image in images:
            path, stem = PurePosixPath(image["file_name"]), PurePosixPath(by_stem[image["id"]]).stem
            for name in {path.as_posix(), path.name, path.stem, flat[image["id"]], by_stem[image["id"]], stem}:
                self._found[name].append(image)

    def __contains__(self, name: object) -> bool:
        """Whether an image has this path, name or stem."""
        return name in self._found

    def image(self, name: str, where: str) -> Mapping[str, Any]:
        """The image called `name`; none, or several, are a `UserError` that names `where`.

        Folders may be missing, or more stand before them, as tools write it; other ones are those of another image.
        Label Studio's own converter leaves names percent-encoded.
        """
        found = self._named(name) or self._named(unquote(name))
        if not found:
            others = self._found.get(PurePosixPath(name).name)
            hint = f", which has that name in another folder ({others[0]['file_name']})" if others else ""
            raise UserError(
                f"{where}: {name!r} is no image of the split{hint}; import it beside the split it was exported from"
            )
        if len(found) > 1:
            raise UserError(f"{where}: {name!r} may be {len(found)} images of the split; rename them")
        return found[0]

    def _named(self, name: str) -> list[Mapping[str, Any]]:
        if found := self._found.get(name):
            return found
        path = PurePosixPath(name)
        return [image for image in self._found.get(path.name, []) if self._may_lie_in(_folders(path), image)]

    def _may_lie_in(self, folders: Sequence[str], image: Mapping[str, Any]) -> bool:
        """Whether these folders, of a name that came back, end in the image's or are the end of them."""
        if folders[:2] == ["data", "upload"]:  # Label Studio keeps what is uploaded there, and no folder of ours
            return True
        places = [image["file_name"], os.path.realpath(image["file_name"])]
        places += [f"{self._exported}/{image['id']}"] if self._exported else []
        for place in places:
            stated = _folders(PurePosixPath(place))
            count = min(len(stated), len(folders))
            if stated[len(stated) - count :] == folders[len(folders) - count :]:
                return True
        return False


def _folders(path: PurePosixPath) -> list[str]:
    return [part for part in path.parent.parts if part.strip("/")]


def require_size(stated: Mapping[str, Any], image: Mapping[str, Any], where: str) -> None:
    """Refuse an image whose `width` and `height`, where a file states them, aren't the split's: its boxes are of other pixels."""
    sides, own = [float(stated.get(key) or 0) for key in ("width", "height")], (image["width"], image["height"])
    if any(side and side != expected for side, expected in zip(sides, own, strict=True)):
        raise UserError(
            f"{where}: {image['file_name']}: it says {sides[0]:g}x{sides[1]:g} pixels, the split {own[0]}x{own[1]} (turned as the "
            "EXIF orientation says); label the image as it was exported"
        )


def category_ids(categories: Sequence[Mapping[str, Any]], where: str = "categories of the label set") -> dict[str, int]:
    """Category id by name. Two of one name are a `UserError`: a review would make one of them."""
    names = Counter(category["name"] for category in categories)
    if twice := [name for name, count in names.items() if count > 1]:
        raise UserError(f"{where}: two categories are called {twice[0]!r}; rename one where they are defined")
    return {category["name"]: category["id"] for category in categories}


def category_of(name: str, ids: Mapping[str, int], where: str) -> int:
    """The id of a category; an unknown name is a `UserError`."""
    if name not in ids:
        raise UserError(f"{where}: there is no category {name!r}; known: {', '.join(ids)}")
    return ids[name]


def as_coco(
    images: Sequence[Mapping[str, Any]],
    annotations: Sequence[dict[str, Any]],
    categories: Sequence[Mapping[str, Any]],
    where: str = "",
) -> dict[str, Any]:
    """COCO JSON of what came back: annotations numbered from 1, with areas of their boxes, sorted by image.

    Raises `UserError`, which names `where`, for an image that came back twice and for numbers that aren't finite.
    """
    before = f"{where}: " if where else ""
    names: dict[int, str] = {}
    for image in images:
        if image["id"] in names:
            raise UserError(f"{before}{image['file_name']}: it comes back twice; take one of the two out")
        names[image["id"]] = image["file_name"]
    for annotation in annotations:
        if key := infinite_key(annotation):
            raise UserError(
                f"{before}{names[annotation['image_id']]}: {key} of a label is not finite; correct it there"
            )
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
    inside = max(0.0, right - left) * max(0.0, bottom - top)
    if not (all(map(math.isfinite, box)) and width > 0 and height > 0) or inside < 0.5 * width * height:
        raise UserError(
            f"{where}: {image['file_name']}: the box {[round(v, 2) for v in box]} has no area or lies outside of the image; "
            "correct it there and export again"
        )
    return (
        list(box)
        if (left, top, right, bottom) == (x, y, x + width, y + height)
        else [left, top, right - left, bottom - top]
    )
