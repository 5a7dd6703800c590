"""A split without the images of others: what `exclude` says, for a split of any kind."""

from __future__ import annotations

from collections.abc import Mapping

from datadistill.data.same_image import Images
from datadistill.data.splits import Ledger, Made, Split, subset
from datadistill.errors import UserError


def leave_out(split: Split, others: Mapping[str, Split], name: str = "the split") -> Made:
    """The split without the images that one of `others` (by name) has, and without their annotations.

    Images are the same when their data set and id are, or their files' bytes, as in the check of leaks. Each that is left out is in
    the ledger, with the split that has it and what that calls it. Raises `UserError` when nothing is left; `name` names the split.
    """
    known = {other: Images(images["images"]) for other, images in others.items()}
    kept: list[int] = []
    ledger: Ledger = []
    for image in split["images"]:
        twins = ((other, images.same_as(image)) for other, images in known.items())
        found = next(((other, twin) for other, twin in twins if twin), None)
        if found is None:
            kept.append(image["id"])
        else:
            ledger.append(
                {"file_name": image["file_name"], "reason": f"exclude: {found[0]} has it as {found[1]['file_name']}"}
            )
    if not kept:
        raise UserError(
            f"splits: {name}: exclude: each of its {len(ledger)} images is in {' or '.join(others)}, so none is left; shorten the list"
        )
    return Made(subset(split, kept), ledger)
