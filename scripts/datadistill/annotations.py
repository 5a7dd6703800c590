"""Lists of COCO annotations. Light: the standard library only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any


def by_image(annotations: Iterable[Mapping[str, Any]]) -> dict[int, list[Mapping[str, Any]]]:
    """COCO annotations by image id, in their order; none for an image that has none."""
    groups: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for annotation in annotations:
        groups[annotation["image_id"]].append(annotation)
    return groups
