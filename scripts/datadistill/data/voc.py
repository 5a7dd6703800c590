"""Reading Pascal VOC annotations (one XML file an image) as COCO annotations.

VOC counts pixels from 1 and includes both corners (VOC devkit; detectron2 reads its corners the same way): pixels xmin to
xmax of a row are the COCO box x = xmin - 1, width = xmax - xmin + 1.

Light: the standard library only.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from datadistill.data.images import IMAGE_SUFFIXES, list_images
from datadistill.errors import UserError

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class VocAnnotations:
    """`images` (`file_name` relative to the folder of images, `width`, `height`), for each image its `objects`, and rows of `file_name` and `reason` for the boxes left out."""

    images: list[dict[str, Any]]
    objects: list[list[dict[str, Any]]]
    left_out: list[dict[str, str]] = field(default_factory=list)


def read_voc(
    annotations: str | Path,
    images_dir: str | Path,
    names: Sequence[str],
    categories: Sequence[str],
    *,
    drop_empty_boxes: bool = False,
) -> VocAnnotations:
    """Read `annotations`/NAME.xml for each name, and find NAME.jpg, .jpeg or .png in `images_dir`.

    `categories` gives category ids 1, 2, ... in its order. Objects are COCO annotations without `id` and `image_id`; one that is
    marked `difficult` becomes a crowd region: it is neither trained on nor counted, as in VOC's own evaluation. Boxes reach at
    most to the image's border (half a pixel beyond is rounding).

    Raises `UserError` naming the file: missing or not VOC, an object of another category, a box outside its image, or a box without
    area (xmax <= xmin or ymax <= ymin), unless `drop_empty_boxes` leaves those out, into `left_out`.
    """
    ids = category_ids(categories)
    found = VocAnnotations([], [])
    for name in names:
        path = Path(annotations) / f"{name}.xml"
        root = _parse(path)
        width, height = _size(root, path)
        file_name = find_image(images_dir, name)
        objects = []
        for number, element in enumerate(root.findall("object"), start=1):
            what = f"{path}: object {number}"
            category = _text(element, "name", what)
            if category not in ids:
                raise UserError(f"{what} is a {category!r}, which isn't among the categories {', '.join(categories)}")
            corners = _corners(element, what)
            if corners[2] <= corners[0] or corners[3] <= corners[1]:
                empty = f"object {number} ({category}) has a box without area, {_shown(corners)}"
                if not drop_empty_boxes:
                    raise UserError(f"{path}: {empty}; correct the file, or set drop_empty_boxes to leave such out")
                found.left_out.append({"file_name": str(path), "reason": empty})
                continue
            objects.append(
                {
                    "category_id": ids[category],
                    "bbox": _coco_box(corners, width, height, what),
                    "iscrowd": int((element.findtext("difficult") or "0").strip() == "1"),
                }
            )
        found.images.append({"file_name": file_name, "width": width, "height": height})
        found.objects.append(objects)
    return found


def category_ids(categories: Sequence[str]) -> dict[str, int]:
    """Ids from 1 in the order given. A repeated name is a `UserError`."""
    repeated = [name for name, times in Counter(categories).items() if times > 1]
    if repeated:
        raise UserError(f"categories: {repeated[0]!r} is given twice; name each once")
    return {name: number for number, name in enumerate(categories, start=1)}


def coco_categories(categories: Sequence[str]) -> list[dict[str, Any]]:
    """COCO's entries for a list of names."""
    return [{"id": number, "name": name} for name, number in category_ids(categories).items()]


def read_names(annotations: str | Path | None, list_file: str | Path | None) -> list[str]:
    """Names of images without suffix, sorted: the lines of `list_file`, or all XML files of `annotations` where it is None.

    Raises `UserError` for a missing file, a line of more than one word (VOC's lists of one category have a flag there), a name
    that is repeated, no name at all, or an XML file that would not be read: in a folder below, or with another suffix.
    """
    if list_file is None:
        files = list_images(str(annotations), (".xml",))
        if not files:
            raise UserError(
                f"{annotations}: no Pascal VOC annotation (*.xml) in this folder; check the path in the config"
            )
        odd = next((name for name in files if "/" in name), None)
        if odd is not None:
            raise UserError(
                f"{Path(str(annotations), odd)}: only annotations that lie in {annotations} itself are read, not those in folders "
                "below; move this file there, or name the images to use in `list`"
            )
        odd = next((name for name in files if not name.endswith(".xml")), None)
        if odd is not None:
            raise UserError(f"{Path(str(annotations), odd)}: the name of an annotation must end in .xml; rename it")
        return sorted(name.removesuffix(".xml") for name in files)
    try:
        lines = Path(list_file).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UserError(f"{list_file}: no such file; check the path in the config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{list_file}: can't be read as a list of names ({error})") from None
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise UserError(f"{list_file}: it names no image")
    for name in names:
        if len(name.split()) > 1:
            raise UserError(f"{list_file}: one name a line is needed, without a flag behind it: {name[:60]!r}")
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise UserError(f"{list_file}: {repeated[0]!r} is repeated ({len(repeated)} such in all)")
    return sorted(names)


def find_image(images_dir: str | Path, name: str) -> str:
    """File name of an image below `images_dir`, from its name without suffix; `UserError` if there is none, or several."""
    there = [
        f"{name}{suffix}"
        for ending in IMAGE_SUFFIXES
        for suffix in (ending, ending.upper())
        if (Path(images_dir) / f"{name}{suffix}").is_file()
    ]
    if len(there) > 1:
        raise UserError(f"{images_dir}: {' and '.join(there)} are both the image {name!r}; remove one")
    if not there:
        raise UserError(
            f"{images_dir}: no image {name!r} (.jpg, .jpeg or .png), which the annotations or the list name"
        )
    return there[0]


def _parse(path: Path) -> ElementTree.Element:
    try:
        root = ElementTree.parse(path).getroot()
    except FileNotFoundError:
        raise UserError(f"{path}: no such annotation file; check `annotations` and `list` in the config") from None
    except (ElementTree.ParseError, OSError) as error:
        raise UserError(f"{path}: not an XML file ({error})") from None
    except (ValueError, LookupError) as error:  # an encoding that the parser, or Python, doesn't know
        raise UserError(
            f"{path}: it can't be read in the encoding that its first line names ({error}); save it as UTF-8, and name that there"
        ) from None
    if root.tag != "annotation":
        raise UserError(f"{path}: not a Pascal VOC annotation: its root is <{root.tag}>, not <annotation>")
    return root


def _size(root: ElementTree.Element, path: Path) -> tuple[int, int]:
    try:
        width, height = (int(root.findtext(f"size/{side}") or "") for side in ("width", "height"))
    except ValueError:
        width = height = 0
    if width < 1 or height < 1:
        raise UserError(f"{path}: not a Pascal VOC annotation: <size> has no positive width and height")
    return width, height


def _text(element: ElementTree.Element, tag: str, what: str) -> str:
    text = (element.findtext(tag) or "").strip()
    if not text:
        raise UserError(f"{what} has no <{tag}>")
    return text


def _corners(element: ElementTree.Element, what: str) -> tuple[float, ...]:
    texts = [element.findtext(f"bndbox/{corner}") for corner in _CORNERS]
    try:
        corners = tuple(float(text or "") for text in texts)
    except ValueError:
        corners = (math.nan,)
    if not all(math.isfinite(value) for value in corners):
        raise UserError(f"{what} has a malformed <bndbox>; numbers {', '.join(_CORNERS)} are needed")
    return corners


def _coco_box(corners: tuple[float, ...], width: int, height: int, what: str) -> list[float]:
    left, top, right, bottom = corners[0] - 1, corners[1] - 1, corners[2], corners[3]
    # Tools that count from 0 write 0 and, rounded, one pixel more than there is.
    if left < -1 or top < -1 or right > width + 1 or bottom > height + 1:
        raise UserError(f"{what} has a box {_shown(corners)} that leaves its image of {width}x{height} pixels")
    left, top, right, bottom = max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
    return [left, top, right - left, bottom - top]


def _shown(corners: Mapping[int, float] | Sequence[float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in zip(_CORNERS, corners, strict=True))
