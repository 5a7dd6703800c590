"""Photos that are in two splits which must be disjoint: all of them at once, as lists of ids to leave out.

COCO's releases hold a few photos twice, under two ids and with the same bytes. The check of leaks stops before the first
training that would see one; this finds those of a whole run, and says which of the two to leave out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from datadistill.data.same_image import Images
from datadistill.data.splits import Split
from datadistill.errors import UserError


@dataclass(frozen=True)
class Duplicate:
    """An image of a split that is to be left out, and the image that it is in another split."""

    image_id: int
    file_name: str
    other_split: str
    other_file: str


def find_duplicates(
    splits: Mapping[str, Split], pairs: Iterable[tuple[str, str]], judging: Collection[str] = ()
) -> dict[str, list[Duplicate]]:
    """What to leave out of each split, by image id, so that no pair shares an image; splits without any aren't there.

    Images are the same when their dataset and id are, or their files' bytes. Of a pair, the image is left out of the split that
    does not judge models; where neither does, out of the second, which is the unlabelled one.
    """
    found: dict[str, dict[int, Duplicate]] = {}
    for first, second in dict.fromkeys(pairs):
        drop, keep = (first, second) if second in judging else (second, first)
        known = Images(splits[keep]["images"])
        for image in splits[drop]["images"]:
            if twin := known.same_as(image):
                duplicate = Duplicate(image["id"], image["file_name"], keep, twin["file_name"])
                found.setdefault(drop, {}).setdefault(image["id"], duplicate)
    return {name: [images[i] for i in sorted(images)] for name, images in found.items()}


def refuse(found: Mapping[str, list[Duplicate]], lists: Mapping[str, str], sources: Mapping[str, list[str]]) -> None:
    """Raise a `UserError` that says what to do about the duplicates of each split; nothing where there are none.

    `lists` names the file of ids that was written for each; `sources` the splits of the config that take `drop_ids` and that a
    split is made from (itself, often), none where its images lie in a folder.
    """
    if not found:
        return
    parts = []
    for name, duplicates in found.items():
        first = duplicates[0]
        count = f"{len(duplicates)} image{'s'[: len(duplicates) != 1]}"
        what = f"{name} shares {count} with {', '.join(dict.fromkeys(d.other_split for d in duplicates))}"
        example = f"({first.file_name} is {first.other_file})"
        places = sources.get(name, [])
        if places:
            where = places[0] if len(places) == 1 else f"whichever of {', '.join(places)} has them"
            advice = f"give split {where} drop_ids: [{lists[name]}], or `exclude`"
        else:
            advice = f"take the files out of its folder, their ids are in {lists[name]}"
        parts.append(f"{what} {example}: {advice}")
    raise UserError("; ".join(parts))
