"""No image in two splits that must be disjoint: checked before training, and once more from what was drawn.

Images are the same when their dataset and id are, or when their files' bytes are; ids of different datasets may
coincide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from datadistill.errors import UserError
from datadistill.splits import Split

Record = Mapping[str, Any]


def check_disjoint(a: Split, b: Split, names: tuple[str, str] = ("a", "b")) -> dict[str, Any]:
    """Compare all images of two splits; a report of what was compared, for the run's records.

    Raises `UserError` with examples when any image is in both.
    """
    return _compare(a["images"], b["images"], names, "name a file of the ids in the `drop_ids` of one of them")


def check_drawn(
    drawn: Mapping[str, Any], held_out: Split, name: str, sources: Mapping[str, Split] | None = None
) -> dict[str, Any]:
    """Compare what a finished training run drew with the split `name` that it must not have seen.

    `drawn["images"]` lists what was drawn, as training wrote it: `source` ("labelled" or "generated"), `image_id` and
    `content`. Contents are compared; where `sources` gives the split or label set of each source, ids are looked up
    there, and datasets and ids compared too. Raises `UserError` when an image of `held_out` was drawn, or an id isn't
    in its source.
    """
    rows = drawn.get("images")
    if not isinstance(rows, list) or not rows:
        raise UserError("the record of drawn images lists none; train the model again")
    records = []
    for row in rows:
        record = {
            "id": row["image_id"],
            "content": row["content"],
            "file_name": f"{row['source']} image {row['image_id']}",
        }
        if sources is None:
            record["dataset"] = "unknown"
        records.append((row["source"], record))
    if sources is not None:
        by_id = {source: {image["id"]: image for image in split["images"]} for source, split in sources.items()}
        for source, record in records:
            if source not in by_id:
                raise UserError(
                    f"images were drawn from {source!r}, whose split isn't given; given: {', '.join(by_id) or 'none'}"
                )
            known = by_id[source].get(record["id"])
            if known is None or known["content"] != record["content"]:
                raise UserError(
                    f"image {record['id']}, drawn from {source!r}, isn't in its split; was the split made again since?"
                )
            record |= {"dataset": known["dataset"], "file_name": known["file_name"]}
    return _compare(
        [record for _, record in records],
        held_out["images"],
        ("what training drew", name),
        "this model must not be evaluated on it: make the splits disjoint and train again",
        by_dataset=sources is not None,
    )


def _compare(
    a: Sequence[Record], b: Sequence[Record], names: tuple[str, str], advice: str, *, by_dataset: bool = True
) -> dict[str, Any]:
    for records, name in ((a, names[0]), (b, names[1])):
        for image in records:
            if not image.get("content") or not image.get("dataset"):
                raise UserError(f"{name}: image {image.get('id')} has no content hash or dataset; make the split again")
    same_id = _matches(a, b, ("dataset", "id")) if by_dataset else []
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
        "compared": [*(["dataset and id"] if by_dataset else []), "content (BLAKE2b of the file)"],
        "shared": 0,
    }


def _matches(a: Sequence[Record], b: Sequence[Record], keys: tuple[str, ...]) -> list[tuple[Record, Record]]:
    index = {tuple(image[key] for key in keys): image for image in a}
    return [(index[key], image) for image in b if (key := tuple(image[k] for k in keys)) in index]
