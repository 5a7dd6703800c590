"""What is known of a category's keypoints beside their names: pairs that change places in a mirrored image, and sigmas.

Both stand in the categories of the split's own COCO file, as `flip_pairs` and `sigmas`, and everything that needs them reads
them there: training, the second pass, metrics, label sets, exports, drawings. A category without them (COCO's own) means
pairs by the names and the default sigmas. Light: no numpy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from datadistill.errors import UserError
from datadistill.tasks.keypoint_pairs import FlipPairs, find_pairs, words
from datadistill.tasks.metrics import COCO_KEYPOINTS, COCO_SIGMAS
from datadistill.values import excerpt, is_finite, is_integer

Category = Mapping[str, Any]

DEFAULT_SIGMA = round(sum(COCO_SIGMAS) / len(COCO_SIGMAS), 3)
"""The sigma of every keypoint where nobody says more: the mean of COCO's (docs/method.md)."""

LARGEST_SIGMA = 1.0
"""COCO's largest is 0.107. One of 1 forgives a keypoint that is off by the whole size of the instance."""

# Where files have them: ours, MMPose's and Luxonis' names, then RF-DETR's.
_SIGMA_FIELDS = ("sigmas", "keypoint_oks_sigmas")
_FIELDS = ("flip_pairs", *_SIGMA_FIELDS)


def flip_pairs(category: Category, where: str = "keypoints") -> FlipPairs:
    """The pairs of a category's keypoints that change places in a mirrored image."""
    return find_pairs(category["keypoints"], category.get("flip_pairs"), where)


def sigmas(category: Category, where: str = "keypoints") -> tuple[float, ...]:
    """The sigma of each keypoint of a category: its fall-off in the object keypoint similarity (OKS)."""
    return _sigmas(category.get("sigmas"), category["keypoints"], where)


def without_schema(category: Category) -> dict[str, Any]:
    """A category as one that says nothing of its keypoints but their names."""
    return {key: value for key, value in category.items() if key not in _FIELDS}


def clean_schema(category: Category, where: str) -> dict[str, Any]:
    """A category of a file, with its pairs and sigmas checked and written out: pairs by name, one sigma a keypoint.

    In a file `flip_pairs` are pairs of names, or of places counted from 0; `sigmas` (or `keypoint_oks_sigmas`) one number, a
    list with one a keypoint, or a mapping by name. What says nothing else than COCO does of its 17 keypoints stays out.

    Raises `UserError` for what isn't of these forms, what doesn't fit the names, and a name that says a side and has no
    partner.
    """
    names = category["keypoints"]
    pairs = find_pairs(names, _pairs_by_name(category.get("flip_pairs"), names, where), where)
    stated = next((category[field] for field in _SIGMA_FIELDS if category.get(field) is not None), None)
    values = _sigmas(stated, names, where)
    plain = without_schema(category)
    if tuple(names) == COCO_KEYPOINTS and values == COCO_SIGMAS and pairs.permutation == find_pairs(names).permutation:
        return plain
    return {**plain, "flip_pairs": [[names[a], names[b]] for a, b in pairs.pairs], "sigmas": list(values)}


def check_one_schema(categories: Sequence[Category], name: str) -> None:
    """Refuse categories whose keypoints, or pairs of them, differ: a network has one keypoint head for all."""
    for other in categories[1:]:
        first = categories[0]
        both = f"{name}: the categories {first['name']!r} and {other['name']!r} have different"
        if first["keypoints"] != other["keypoints"]:
            raise UserError(
                f"{both} keypoints, and a model has one list of them for all its categories; make a file of each category, with a "
                "split and models of its own"
            )
        if flip_pairs(first).permutation != flip_pairs(other).permutation:
            raise UserError(f"{both} flip_pairs, and a model mirrors all its categories alike; give both the same")


def same_schema(first: Sequence[Category], second: Sequence[Category]) -> bool:
    """Do categories of equal keypoints say the same of them?"""

    def said(categories: Sequence[Category]) -> dict[int, Any]:
        posed = [category for category in categories if category.get("keypoints")]
        return {category["id"]: (flip_pairs(category).permutation, sigmas(category)) for category in posed}

    return said(first) == said(second)


def describe(category: Category) -> str:
    """One sentence of a category's keypoints, for a log."""
    values = sigmas(category)
    said = f"{values[0]:g} for all" if len(set(values)) == 1 else ", ".join(f"{value:g}" for value in values)
    return f"Keypoints of {category['name']!r}: {flip_pairs(category).describe()}; sigmas of OKS: {said}."


def _pairs_by_name(stated: Any, names: Sequence[str], where: str) -> list[list[str]] | None:
    if stated is None:
        return None
    if not isinstance(stated, list | tuple) or not all(isinstance(pair, list | tuple) for pair in stated):
        raise UserError(
            f"{where}: flip_pairs: {excerpt(stated)} is no list of pairs; write [[left, right], ...], by name"
        )
    return [[_name(end, names, where) for end in pair] for pair in stated]


def _name(end: Any, names: Sequence[str], where: str) -> str:
    if isinstance(end, str):
        return end
    if not is_integer(end) or not 0 <= end < len(names):
        raise UserError(
            f"{where}: flip_pairs: {excerpt(end)} is none of its {len(names)} keypoints; write their names, or their places "
            "counted from 0"
        )
    return names[end]


def _sigmas(stated: Any, names: Sequence[str], where: str) -> tuple[float, ...]:
    """One a keypoint, from one for all, a list, a mapping by name, or nothing."""
    if stated is None:
        as_coco = [words(name) for name in names] == [words(name) for name in COCO_KEYPOINTS]
        return COCO_SIGMAS if as_coco else (DEFAULT_SIGMA,) * len(names)
    if isinstance(stated, Mapping):
        unknown = next((name for name in stated if name not in names), None)
        if unknown is not None:
            raise UserError(f"{where}: sigmas: there is no keypoint {unknown!r}; the keypoints are {', '.join(names)}")
        missing = next((name for name in names if name not in stated), None)
        if missing is not None:
            raise UserError(f"{where}: sigmas: {missing!r} has none; give each keypoint one, or one number for all")
        stated = [stated[name] for name in names]
    values = list(stated) if isinstance(stated, list | tuple) else [stated] * len(names)
    if len(values) != len(names):
        raise UserError(
            f"{where}: sigmas: there are {len(values)} for {len(names)} keypoints; give one each, or one for all"
        )
    wrong = next((value for value in values if not is_finite(value) or not 0 < value <= LARGEST_SIGMA), None)
    if wrong is not None or None in values:
        raise UserError(
            f"{where}: sigmas: {excerpt(wrong)} is none; a number above 0 and at most {LARGEST_SIGMA:g} is needed (COCO's are 0.025 "
            "to 0.107)"
        )
    return tuple(float(value) for value in values)
