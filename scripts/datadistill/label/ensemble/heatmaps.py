"""Keypoint heatmaps of the same RoIs under several transforms: averaged, then decoded (section 4).

Averaging is done in the RoI's own frame, at the heatmap's resolution (56 x 56). The probabilities of the spatial
softmax are averaged, as a running log-sum-exp of log-softmax. What is up-sampled and searched is the *log* of their
mean: that is what detectron2 up-samples for a single transform (up to a constant that moves nothing), whereas
up-sampling the probabilities themselves moves the arg max by many pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn import functional

from datadistill.errors import UserError
from datadistill.transforms import Transform

AVERAGES = ("probabilities", "logits")
LARGE_AREA = 150.0**2
"""Detectron 1's example draws the line between small and large boxes here, in pixels of the original image."""
DECODE_VALUES = 1 << 25
"""Up-sampled values held at a time: 128 MiB."""


class HeatmapAverage:
    """A running, weighted average of heatmap logits (R, K, S, S), one transform at a time. Holds one map per RoI.

    - `space`: "probabilities" (the paper's) or "logits" (Detectron 1's `HM_AVG`).
    - `compare`: also keep what `disagreement` needs: the highest probability of each map, and in "logits" a mean probability.
    """

    def __init__(self, count: int, space: str = "probabilities", *, compare: bool = False) -> None:
        if space not in AVERAGES:
            raise UserError(f"average: {space!r} must be one of {', '.join(AVERAGES)}")
        self._count = count
        self._space = space
        self._compare = compare
        self._mean: torch.Tensor | None = None
        self._peaks: torch.Tensor | None = None
        self._total: torch.Tensor | None = None
        self._weight: torch.Tensor | None = None

    def add(self, logits: torch.Tensor, rois: slice | torch.Tensor, weights: torch.Tensor) -> None:
        """Add logits (r, K, S, S) of the RoIs `rois` (indices or a slice), each counted `weights` (r,) > 0 times."""
        if self._total is None or self._weight is None or self._peaks is None:
            empty = -math.inf if self._space == "probabilities" else 0.0
            self._total = logits.new_full((self._count, *logits.shape[1:]), empty)
            self._weight = logits.new_zeros(self._count)
            self._peaks = logits.new_zeros(self._count, logits.shape[1])
        factors = weights.to(logits)[:, None, None, None]
        if self._space == "probabilities":
            maps = _log_probabilities(logits)
            if self._compare:
                self._peaks[rois] += maps.flatten(2).amax(dim=2).exp() * factors[:, :, 0, 0]
            self._total[rois] = torch.logaddexp(self._total[rois], maps + factors.log())
        else:
            self._total[rois] += logits * factors
            if self._compare:
                probabilities = _log_probabilities(logits).exp_()
                self._peaks[rois] += probabilities.flatten(2).amax(dim=2) * factors[:, :, 0, 0]
                self._mean = torch.zeros_like(self._total) if self._mean is None else self._mean
                self._mean[rois] += probabilities * factors
        self._weight[rois] += weights.to(logits)

    def disagreement(self) -> torch.Tensor:
        """(R, K) in [0, 1]: 1 less the highest mean probability over the mean of the highest probabilities.

        0 where all transforms have their peak at one place; near 1 where each is sure of another.
        """
        if self._total is None or self._peaks is None or not self._compare:
            raise ValueError("nothing was compared")
        # Both are sums over transforms: their weights cancel.
        mean = self._total.flatten(2).amax(dim=2).exp() if self._mean is None else self._mean.flatten(2).amax(dim=2)
        return (1 - mean / self._peaks).clamp(0, 1)

    def result(self) -> torch.Tensor:
        """(R, K, S, S) to be decoded: the log of the mean probability, or the mean logit."""
        if self._total is None or self._weight is None:
            raise ValueError("nothing was added")
        weight = self._weight[:, None, None, None]
        return self._total - weight.log() if self._space == "probabilities" else self._total / weight


def _log_probabilities(logits: torch.Tensor) -> torch.Tensor:
    """The log of the spatial softmax of maps (r, K, S, S)."""
    return functional.log_softmax(logits.flatten(2), dim=2).view_as(logits)


def transform_weights(
    areas: torch.Tensor, transforms: Sequence[Transform], plain_short_side: int, size_dependent: bool
) -> torch.Tensor:
    """How often a view that stands for `transforms` counts for each RoI of `areas` (R,), in pixels of the original
    image.

    Normally the number of transforms. With `size_dependent` (Detectron 1's option; the paper has none) a small box
    drops down-scaled transforms and a large one drops up-scaled ones, judged by their short side against the plain
    pass's.
    """
    weights = torch.zeros_like(areas)
    for transform in transforms:
        down = transform.short_side < plain_short_side
        up = transform.short_side > plain_short_side
        dropped = ((areas < LARGE_AREA) & down) | ((areas >= LARGE_AREA) & up)
        weights += 1.0 if not size_dependent else (~dropped).to(areas)
    return weights


def decode(maps: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Keypoints of heatmaps: detectron2's `heatmaps_to_keypoints`, with the same result and less work.

    - `maps` (R, K, S, S): logits or log-probabilities. `boxes` (R, 4) in the frame in which they are decoded.
    - Returns (R, K, 3): x, y (continuous, in that frame) and score.

    The map is up-sampled bicubically to the box's size, rounded up; the keypoint is the centre of the highest pixel;
    the score is its share of the softmax over the map before up-sampling. Exact short cuts: the softmax is computed
    at the map's resolution only (detectron2 exponentiates every up-sampled pixel, and needs one), RoIs of equal size
    are up-sampled together, and sizes reach the host once instead of twice a RoI.
    """
    widths, heights = ((boxes[:, 2:] - boxes[:, :2]).clamp(min=1)).unbind(1)
    rows, columns = heights.ceil(), widths.ceil()
    count, keypoints = maps.shape[:2]
    groups: dict[tuple[int, int], list[int]] = {}
    for roi, size in enumerate(torch.stack([rows, columns], dim=1).long().tolist()):
        groups.setdefault((size[0], size[1]), []).append(roi)
    peak = maps.new_empty((count, keypoints))
    position = torch.empty((count, keypoints), dtype=torch.long, device=maps.device)
    for size, rois in groups.items():
        step = max(1, DECODE_VALUES // (keypoints * size[0] * size[1]))
        for start in range(0, len(rois), step):
            part = torch.as_tensor(rois[start : start + step], device=maps.device)
            enlarged = functional.interpolate(maps[part], size=size, mode="bicubic", align_corners=False)
            peak[part], position[part] = enlarged.flatten(2).max(dim=2)
    share = (maps - peak[:, :, None, None]).exp_().flatten(2).sum(dim=2).reciprocal()
    line = columns.long()[:, None]
    x = (position % line + 0.5) * (widths / columns)[:, None] + boxes[:, None, 0]
    y = (position // line + 0.5) * (heights / rows)[:, None] + boxes[:, None, 1]
    return torch.stack([x, y, share], dim=2)
