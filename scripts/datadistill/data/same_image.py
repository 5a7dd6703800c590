"""When two images are the same: their data set and id are, or the bytes of their files. Ids of different data sets may meet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Image = Mapping[str, Any]


class Images:
    """Images of splits, to be asked for the one that another image is."""

    def __init__(self, images: Iterable[Image]) -> None:
        self._known: dict[Any, Image] = {}
        for image in images:
            self._known.setdefault((image["dataset"], image["id"]), image)
            self._known.setdefault(image["content"], image)

    def same_as(self, image: Image) -> Image | None:
        """The image that is the same as this one, of several the first; None if there is none."""
        return self._known.get((image["dataset"], image["id"])) or self._known.get(image["content"])
