"""No image in two splits that must be disjoint: checked before training, and once more from what was drawn.

Images are the same when their dataset and id are, or when their files' bytes are; ids of different datasets may
coincide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datadistill.data.splits import Split, category_table
from datadistill.errors import UserError
from datadistill.files import read_made

Record = Mapping[str, Any]
_ADVICE = (
    "leave them out of one of the splits: by naming the other in its `exclude`, by a file of their ids in `drop_ids` (kinds coco "
    "and coco_release), or by taking the file out of the folder"
)


def check_same_categories(splits: Mapping[str, Split]) -> None:
    """Refuse annotated splits, given by name, whose categories differ in ids, names or keypoints.

    A model learns, labels and is scored by the ids alone: other ids for the same thing would train and score the wrong
    classes without a word.
    """
    (first, split), *others = splits.items()
    expected = category_table(split["categories"])
    for name, other in others:
        found = category_table(other["categories"])
        if found != expected:
            key = min(k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k))
            raise UserError(
                f"{first} and {name} have different categories: {key} is {_described(expected.get(key))} in the one, "
                f"{_described(found.get(key))} in the other; give both annotation files the same categories"
            )


def _described(category: tuple[str, tuple[str, ...]] | None) -> str:
    if category is None:
        return "missing"
    name, keypoints = category
    return f"{name!r}" + (f" with {len(keypoints)} keypoints ({', '.join(keypoints[:2])}, ...)" if keypoints else "")


def check_disjoint(a: Split, b: Split, names: tuple[str, str] = ("a", "b")) -> dict[str, Any]:
    """Compare all images of two splits; a report of what was compared, for the run's records.

    Raises `UserError` with examples when any image is in both.
    """
    if names[0] == names[1]:
        raise UserError(
            f"{names[0]}: a model learns from this split and is scored on it, too; score it on another (evaluate_on, or the "
            "row's split)"
        )
    return _compare(a["images"], b["images"], names, _ADVICE)


def read_drawn(path: str | Path) -> dict[str, Any]:
    """The record of what a training run drew; a file that is none is a `UserError` that names it."""
    drawn = read_made(path, "a record of drawn images")
    if not isinstance(drawn.get("images"), list) or not drawn["images"]:
        raise UserError(f"{path}: the record of drawn images lists none; delete the model's folder and train it again")
    return drawn


def check_drawn(drawn: Mapping[str, Any], held_out: Split, name: str) -> dict[str, Any]:
    """Compare what a finished training run drew with the split `name` that it must not have seen.

    `drawn["images"]` lists what was drawn, as training wrote it: `source` ("labelled" or "generated"), `image_id`,
    `dataset` and `content`. Raises `UserError` when an image of `held_out` was drawn, by dataset and id or by content.
    """
    rows = drawn.get("images")
    if not rows:
        raise UserError("the record of drawn images lists none; train the model again")
    records = [
        {
            "id": row["image_id"],
            "dataset": row.get("dataset"),
            "content": row["content"],
            "file_name": f"{row['source']} image {row['image_id']}",
        }
        for row in rows
    ]
    return _compare(
        records,
        held_out["images"],
        ("what training drew", name),
        "this model must not be evaluated on it: make the splits disjoint and train again",
    )


def _compare(a: Sequence[Record], b: Sequence[Record], names: tuple[str, str], advice: str) -> dict[str, Any]:
    for records, name in ((a, names[0]), (b, names[1])):
        for image in records:
            if not image.get("content") or not image.get("dataset"):
                raise UserError(f"{name}: image {image.get('id')} has no content hash or dataset; make the split again")
    same_id = _matches(a, b, ("dataset", "id"))
    same_content = _matches(a, b, ("content",))
    if same_id or same_content:
        pairs = {(x["file_name"], y["file_name"]) for x, y in same_id + same_content}
        examples = "; ".join(x if x == y else f"{x} is {y}" for x, y in sorted(pairs)[:3])
        raise UserError(
            f"{names[0]} and {names[1]} share {len(pairs)} image{'s'[: len(pairs) > 1]}: {examples}; {advice}"
        )
    return {
        "a": names[0],
        "b": names[1],
        "images": [len(a), len(b)],
        "compared": ["dataset and id", "content (BLAKE2b of the file)"],
        "shared": 0,
    }


def _matches(a: Sequence[Record], b: Sequence[Record], keys: tuple[str, ...]) -> list[tuple[Record, Record]]:
    index = {tuple(image[key] for key in keys): image for image in a}
    return [(index[key], image) for image in b if (key := tuple(image[k] for k in keys)) in index]
