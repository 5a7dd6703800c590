"""Boxes of several transforms merged by non-maximum suppression and box voting (section 6.1).

As Detectron 1 does with test-time augmentation (`BBOX_AUG` with `UNION`, `BBOX_VOTE` with `ID`): suppress within each
category, then replace each box that is left by the score-weighted mean of all boxes of its category that overlap it
enough.
"""

from __future__ import annotations

import torch
from torchvision.ops import box_iou, nms


def merge(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    categories: torch.Tensor,
    weights: torch.Tensor,
    *,
    suppression: float,
    voting: float | None,
    most: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Merge the boxes of one image.

    - `boxes` (N, 4), `scores` (N,), `categories` (N,): the union over all transforms, scores above the floor already.
    - `weights` (N,): how many equal boxes each stands for (transforms that resolve to the same view); they vote that
      often.
    - `suppression`: within a category, a box with an IoU above this with a better one is dropped. Of equal scores the
      first box is the better one.
    - `voting`: boxes with at least this IoU with a kept one vote on its coordinates, itself included. `None`: no
      voting.
    - `most`: this many of the best boxes are kept, over all categories; negative: all.

    Returns boxes, scores and categories of those kept, by falling score; scores are unchanged. Computed in double
    precision. Cutting before voting is exact, as voting changes no score.
    """
    boxes, scores = boxes.double(), scores.double()
    groups = _groups(categories)
    keep = torch.cat(
        [group[nms(boxes[group], scores[group], suppression)] for group in groups] or [categories.new_empty(0)]
    )
    # Sorted by index first, so that the stable sort by score breaks ties by index.
    keep = keep.sort().values
    keep = keep[scores[keep].sort(descending=True, stable=True).indices]
    if most >= 0:
        keep = keep[:most]
    merged = boxes[keep]
    if voting is not None:
        for group in _groups(categories[keep]):
            candidates = torch.nonzero(categories == categories[keep[group[0]]]).squeeze(1)
            merged[group] = vote(
                boxes[keep[group]], boxes[candidates], scores[candidates] * weights[candidates], voting
            )
    return merged, scores[keep], categories[keep]


def vote(kept: torch.Tensor, candidates: torch.Tensor, mass: torch.Tensor, threshold: float) -> torch.Tensor:
    """For each of `kept` (M, 4): the mean of `candidates` (N, 4) with IoU >= `threshold`, weighted by `mass` (N,).

    A box for which none votes (it has no area, so that no IoU is defined) stays as it is.
    """
    # An IoU of 0 / 0 is NaN, and compares as no vote.
    votes = (box_iou(kept, candidates) >= threshold).to(kept) * mass.to(kept)
    total = votes.sum(dim=1, keepdim=True)
    return torch.where(total > 0, votes @ candidates / total.clamp(min=torch.finfo(kept.dtype).tiny), kept)


def _groups(categories: torch.Tensor) -> list[torch.Tensor]:
    """Indices of each category's members, in order."""
    order = categories.sort(stable=True).indices
    _, counts = torch.unique_consecutive(categories[order], return_counts=True)
    return list(order.split(counts.tolist()))
