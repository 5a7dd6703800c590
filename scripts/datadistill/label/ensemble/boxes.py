"""Boxes of several transforms merged by non-maximum suppression and box voting (section 6.1).

As Detectron 1 does with test-time augmentation (`BBOX_AUG` with `UNION`, `BBOX_VOTE` with `ID`): suppress within each
category, then replace each box that is left by the score-weighted mean of all boxes of its category that overlap it
enough. The share of transforms that have no such box says how far they disagree about it.
"""

from __future__ import annotations

import torch
from torchvision.ops import box_iou, nms


def merge(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    categories: torch.Tensor,
    weights: torch.Tensor,
    views: torch.Tensor,
    *,
    transforms: int,
    suppression: float,
    voting: float | None,
    most: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Merge the boxes of one image.

    - `boxes` (N, 4), `scores` (N,), `categories` (N,): the union over all transforms, scores above the floor already.
    - `weights` (N,): how many equal boxes each stands for (transforms that resolve to the same view); they vote that
      often.
    - `views` (N,): the number of the view that each is from; `transforms`: how many transforms there are, those without a box
      included.
    - `suppression`: within a category, a box with an IoU above this with a better one is dropped. Of equal scores the
      first box is the better one.
    - `voting`: boxes with at least this IoU with a kept one vote on its coordinates, itself included. `None`: no
      voting.
    - `most`: this many of the best boxes are kept, over all categories; negative: all.

    Returns boxes, scores and categories of those kept, by falling score, and the disagreement about each: 1 less the share of
    transforms that have a box of its category which votes for it (where none vote: with an IoU of `suppression`). Scores are
    unchanged. Computed in double precision. Cutting before voting is exact, as voting changes no score.
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
    merged, disagreement = boxes[keep], boxes.new_zeros(len(keep))
    for group in _groups(categories[keep]):
        candidates = torch.nonzero(categories == categories[keep[group[0]]]).squeeze(1)
        kept = boxes[keep[group]]
        # An IoU of 0 / 0 is NaN, and compares as no vote.
        votes = box_iou(kept, boxes[candidates]) >= (suppression if voting is None else voting)
        disagreement[group] = 1 - support(votes, weights[candidates], views[candidates]) / transforms
        if voting is not None:
            merged[group] = vote(kept, boxes[candidates], scores[candidates] * weights[candidates], votes)
    return merged, scores[keep], categories[keep], disagreement.clamp(min=0.0)


def support(votes: torch.Tensor, weights: torch.Tensor, views: torch.Tensor) -> torch.Tensor:
    """(M,) how many transforms have a box among those (N,) that vote (M, N): each view once, with its weight."""
    total = weights.new_zeros(len(votes), dtype=torch.float64)
    for view in views.unique():
        of_view = views == view
        total += votes[:, of_view].any(dim=1) * weights[of_view][0]
    return total


def vote(kept: torch.Tensor, candidates: torch.Tensor, mass: torch.Tensor, voting: torch.Tensor) -> torch.Tensor:
    """For each of `kept` (M, 4): the mean of `candidates` (N, 4) that vote for it (`voting`, (M, N)), weighted by `mass` (N,).

    A box for which none votes (it has no area, so that no IoU is defined) stays as it is.
    """
    votes = voting.to(kept) * mass.to(kept)
    total = votes.sum(dim=1, keepdim=True)
    return torch.where(total > 0, votes @ candidates / total.clamp(min=torch.finfo(kept.dtype).tiny), kept)


def _groups(categories: torch.Tensor) -> list[torch.Tensor]:
    """Indices of each category's members, in order."""
    order = categories.sort(stable=True).indices
    _, counts = torch.unique_consecutive(categories[order], return_counts=True)
    return list(order.split(counts.tolist()))
