"""Detections of many images as columns, and the shard files that carry them between stages."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datadistill.errors import UserError
from datadistill.files import atomic_write, canonical_json, require_file
from datadistill.files import digest as digest_of


@dataclass(frozen=True)
class Detections:
    """Detections in original images, sorted by image (in the order of `image_ids`), then by falling score.

    Coordinates are continuous (the centre of the first pixel is 0.5), in pixels of the original image.

    - `image_ids` (I,) int64: every image processed, with or without detections.
    - `image_index` (N,) int64: into `image_ids`.
    - `boxes` (N, 4) float32: left, top, right, bottom.
    - `scores` (N,) float32.
    - `categories` (N,) int64: COCO category ids.
    - `keypoints` (N, K, 3) float32: x, y, score; `None` where not predicted.
    - `disagreement` (N, P) float32 in [0, 1]: how far the transforms disagree about each part, which is the box (P = 1) or
      each keypoint (P = K); NaN where an earlier file didn't say, `None` where nothing says: of a single transform, or before
      it was computed. No stage computes with it; it is for people.
    """

    image_ids: np.ndarray
    image_index: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    categories: np.ndarray
    keypoints: np.ndarray | None = None
    disagreement: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.scores)
        shapes = {
            "image_index": (self.image_index, (n,)),
            "boxes": (self.boxes, (n, 4)),
            "categories": (self.categories, (n,)),
        }
        if self.keypoints is not None:
            shapes["keypoints"] = (self.keypoints, (n, *self.keypoints.shape[1:2], 3))
        if self.disagreement is not None:
            shapes["disagreement"] = (self.disagreement, (n, *self.disagreement.shape[1:2]))
        for name, (array, shape) in shapes.items():
            if array.shape != shape:
                raise ValueError(f"Detections.{name} has shape {array.shape}, not {shape}")

    def __len__(self) -> int:
        """The number of detections (not of images)."""
        return len(self.scores)

    @property
    def ids(self) -> np.ndarray:
        """(N,) int64: the image id of each detection."""
        return self.image_ids[self.image_index]

    def select(self, mask: np.ndarray) -> Detections:
        """The detections where `mask` (N,) is true (or at those indices); all images stay."""
        return Detections(
            self.image_ids,
            self.image_index[mask],
            self.boxes[mask],
            self.scores[mask],
            self.categories[mask],
            None if self.keypoints is None else self.keypoints[mask],
            None if self.disagreement is None else self.disagreement[mask],
        )

    def mean_disagreement(self, kept: np.ndarray | None = None) -> np.ndarray | None:
        """(N,) the mean over the parts of each detection, or over those of `kept` (N, P) where it has any; NaN where it isn't known.

        `None` where nothing is known of any.
        """
        if self.disagreement is None:
            return None
        counted = np.ones_like(self.disagreement) if kept is None else kept.astype(np.float32)
        counted[counted.sum(axis=1) == 0] = 1.0
        return np.average(self.disagreement, axis=1, weights=counted)

    def of_images(self, image_ids: Sequence[int]) -> Detections:
        """The detections of some images, in the order given; a `UserError` names one that is missing."""
        missing = sorted(set(image_ids) - set(self.image_ids.tolist()))
        if missing:
            raise UserError(
                f"detections: {len(missing)} image(s) missing ({missing[0]}, ...); run the stage that makes them again"
            )
        place = {int(image): i for i, image in enumerate(image_ids)}
        rank = np.array([place.get(image, -1) for image in self.image_ids.tolist()], np.int64)
        index = rank[self.image_index]
        rows = np.flatnonzero(index >= 0)
        rows = rows[np.argsort(index[rows], kind="stable")]
        chosen = self.select(rows)
        return dataclasses.replace(chosen, image_ids=np.array(image_ids, np.int64), image_index=index[rows])

    def with_keypoints(self, keypoints: np.ndarray | None) -> Detections:
        """The same detections with other keypoints (N, K, 3), or none; what was said of the disagreement about earlier ones goes."""
        return dataclasses.replace(self, keypoints=keypoints, disagreement=None)

    def require_exactly(self, image_ids: Iterable[int], what: str = "detections") -> Detections:
        """Return self if its images are exactly `image_ids`, each once; otherwise a `UserError` names what is wrong."""
        expected = set(image_ids)
        found, counts = np.unique(self.image_ids, return_counts=True)
        repeated = found[counts > 1].tolist()
        present = set(found.tolist())
        for problem, ids in (
            ("repeated", repeated),
            ("missing", sorted(expected - present)),
            ("not of this split", sorted(present - expected)),
        ):
            if ids:
                shown = ", ".join(map(str, ids[:5])) + (", ..." if len(ids) > 5 else "")
                raise UserError(
                    f"{what}: {len(ids)} image(s) {problem} ({shown}); delete its shards and run them again"
                )
        return self

    def save(
        self,
        path: str | Path,
        lineage: Sequence[Mapping[str, Any]] = (),
        libraries: Mapping[str, str] | None = None,
    ) -> None:
        """Write an npz file, atomically.

        `lineage`: canonical specs of what made it, the last one its own. `libraries`: versions of what computed it.
        """
        columns = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        columns = {name: column for name, column in columns.items() if column is not None}
        about = canonical_json({"lineage": list(lineage), "libraries": dict(libraries or {})})
        with atomic_write(path, "wb") as stream:
            np.savez(stream, about=np.array(about), **columns)

    @classmethod
    def load(cls, path: str | Path) -> Detections:
        """Read a file of `save`. A missing or damaged one is a `UserError` that names it."""
        return _read(path)[0]


def read_libraries(paths: Sequence[str | Path]) -> dict[str, list[str]]:
    """Versions of the libraries that computed these files: one each, unless shards ran in different environments."""
    versions: dict[str, set[str]] = {}
    for path in paths:
        for name, version in _read(path)[1]["libraries"].items():
            versions.setdefault(name, set()).add(version)
    return {name: sorted(found) for name, found in sorted(versions.items())}


def _read(path: str | Path) -> tuple[Detections, dict[str, Any]]:
    require_file(path, made=True)
    try:
        # Plain arrays only: nothing in the file is unpickled.
        with np.load(path, allow_pickle=False) as arrays:
            columns = {name: arrays[name] for name in arrays.files}
        about = json.loads(str(columns.pop("about")))
        detections = Detections(**columns)
        _check_numbers(detections)
        if not isinstance(about["lineage"], list) or not isinstance(about["libraries"], dict):
            raise ValueError("no lineage")
        return detections, about
    except Exception as error:
        raise UserError(f"{path}: not a file of detections ({_reason(error)}); delete it and run it again") from None


def _reason(error: Exception) -> str:
    return str(error) if type(error) is ValueError and len(str(error)) < 80 else type(error).__name__


def _check_numbers(detections: Detections) -> None:
    """Raise `ValueError` for numbers that no stage writes: infinite ones, and indices of no image."""
    index, images = detections.image_index, detections.image_ids
    if images.ndim != 1 or not all(array.dtype.kind == "i" for array in (images, index, detections.categories)):
        raise ValueError("ids that aren't whole numbers")
    if len(index) and not 0 <= index.min() <= index.max() < len(images):
        raise ValueError("detections of no image")
    for name in ("boxes", "scores", "keypoints"):
        array = getattr(detections, name)
        if array is not None and not (array.dtype.kind == "f" and np.isfinite(array).all()):
            raise ValueError(f"{name} that aren't finite numbers")
    doubt = detections.disagreement
    if doubt is not None and not (doubt.dtype.kind == "f" and (np.isnan(doubt) | ((doubt >= 0) & (doubt <= 1))).all()):
        raise ValueError("a disagreement that isn't from 0 to 1")


def concatenate(parts: Sequence[Detections]) -> Detections:
    """One `Detections` of all parts, images sorted by id, whatever the order of the parts and the number of shards.

    Repeated images are kept, so that `require_exactly` can name them. Parts with and without keypoints don't mix.
    """
    if not parts:
        raise ValueError("nothing to concatenate")
    if len({None if part.keypoints is None else part.keypoints.shape[1] for part in parts}) > 1:
        raise UserError("detections with different numbers of keypoints can't be merged; run their shards again")
    offsets = np.cumsum([0, *(len(part.image_ids) for part in parts)])
    ids = np.concatenate([part.image_ids for part in parts])
    index = np.concatenate([part.image_index + offset for part, offset in zip(parts, offsets, strict=False)])
    image_order = np.argsort(ids, kind="stable")
    rank = np.empty_like(image_order)
    rank[image_order] = np.arange(len(ids))
    index = rank[index]
    scores = np.concatenate([part.scores for part in parts])
    order = np.lexsort((-scores, index))
    keypoints = None if parts[0].keypoints is None else np.concatenate([part.keypoints for part in parts])[order]
    return Detections(
        ids[image_order],
        index[order],
        np.concatenate([part.boxes for part in parts])[order],
        scores[order],
        np.concatenate([part.categories for part in parts])[order],
        keypoints,
        _all_disagreement(parts, order),
    )


def _all_disagreement(parts: Sequence[Detections], order: np.ndarray) -> np.ndarray | None:
    """That of all parts, in an order; NaN for parts of files that didn't say, `None` where none does."""
    widths = {part.disagreement.shape[1] for part in parts if part.disagreement is not None}
    if len(widths) != 1:
        return None
    shape = widths.pop()
    columns = [
        np.full((len(p), shape), np.nan, np.float32) if p.disagreement is None else p.disagreement for p in parts
    ]
    return np.concatenate(columns)[order]


def load_shards(
    paths: Sequence[str | Path], digest: str | None = None, *, gated: bool = False
) -> tuple[Detections, list[dict[str, Any]]]:
    """All shards of one result, concatenated, and their common lineage.

    Refuses shards of different specs and, where `digest` is given, of another spec than that. `gated`: shards of a
    refinement by any gate fit the digest of the refinement of every box.
    """
    parts, about = zip(*(_read(path) for path in paths), strict=True)
    lineages = [entry["lineage"] for entry in about]
    for path, lineage in zip(paths, lineages, strict=True):
        if lineage != lineages[0]:
            raise UserError(f"{path}: made with other settings than {paths[0]}; delete both and run them again")
        if digest is not None and (
            not lineage or digest_of({**lineage[-1], **({"gate": None} if gated else {})}) != digest
        ):
            raise UserError(
                f"{path}: made with other settings than this run asks for ({digest}); delete it and run it again"
            )
    return concatenate(parts), lineages[0]


def load_reusable(paths: Sequence[str | Path], refinement: Mapping[str, Any]) -> list[Detections]:
    """Those of earlier refinements that differ from `refinement` (a canonical spec) in nothing but the gate.

    What doesn't fit, or can't be read, is left out: nothing is lost but time.
    """

    def but_the_gate(spec: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in spec.items() if key != "gate"}

    usable = []
    for path in paths:
        with contextlib.suppress(UserError):
            part, about = _read(path)
            if about["lineage"] and but_the_gate(about["lineage"][-1]) == but_the_gate(refinement):
                usable.append(part)
    return usable


def shard_ids(image_ids: Iterable[int], shard: int, shards: int) -> list[int]:
    """The images of shard `shard` (from 0) of `shards`: sorted by id, every `shards`-th one."""
    if not 0 <= shard < shards:
        raise UserError(f"shard {shard} of {shards}: must be 0 to {shards - 1}")
    return sorted(image_ids)[shard::shards]
