"""What of a COCO file must survive a trip through another format."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def essence(coco: dict[str, Any], decimals: int = 6, *, by_name: bool = False) -> list[tuple[Any, ...]]:
    """Image, category, box and keypoints of every instance, sorted; images by their paths, or by the last part of them."""
    paths = {image["id"]: Path(image["file_name"]) for image in coco["images"]}
    categories = {category["id"]: category["name"] for category in coco["categories"]}
    return sorted(
        (
            paths[a["image_id"]].name if by_name else paths[a["image_id"]].as_posix(),
            categories[a["category_id"]],
            tuple(round(v, decimals) for v in a["bbox"]),
            tuple(round(float(v), decimals) for v in a.get("keypoints", ())),
        )
        for a in coco["annotations"]
    )
