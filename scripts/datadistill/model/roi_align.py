"""RoIAlign as products of small matrices: detectron2's results to rounding, several times as fast on a CPU.

Each output of RoIAlign is the mean of bilinear samples on a regular grid, so it is separable: with one matrix of weights
for rows (bins, H) and one for columns (bins, W), an RoI's output is `rows @ features @ columns.T` for every channel, and
its gradient two such products. torchvision's CPU kernel visits every sample of every channel one by one, on one thread,
and its backward pass was a quarter of a training step.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from detectron2.layers import ROIAlign
from detectron2.modeling.poolers import ROIPooler, assign_boxes_to_levels, convert_boxes_to_pooler_format
from detectron2.structures import Boxes
from torch import nn

_AT_ONCE = 128
"""RoIs of equal width in one product: what stays in the cache."""


class MatrixROIPooler(nn.Module):
    """detectron2's `ROIPooler` with RoIAlign by `roi_align` on a CPU; on other devices the pooler itself."""

    def __init__(self, pooler: ROIPooler) -> None:
        super().__init__()
        self.pooler = pooler

    @staticmethod
    def can_replace(pooler: nn.Module) -> bool:
        """Whether a module is a pooler that this one computes."""
        return type(pooler) is ROIPooler and all(type(level) is ROIAlign for level in pooler.level_poolers)

    def forward(self, x: list[torch.Tensor], box_lists: list[Boxes]) -> torch.Tensor:
        """Features (N, C, H, W) of each level and boxes of each image to (M, C, bins, bins), M boxes in all."""
        pooler = self.pooler
        if x[0].device.type != "cpu" or not box_lists or not sum(len(boxes) for boxes in box_lists):
            return pooler(x, box_lists)
        if len(x) == 1:
            levels = torch.zeros(sum(len(boxes) for boxes in box_lists), dtype=torch.int64)
        else:
            levels = assign_boxes_to_levels(
                box_lists, pooler.min_level, pooler.max_level, pooler.canonical_box_size, pooler.canonical_level
            )
        first = pooler.level_poolers[0]
        return roi_align(
            x,
            convert_boxes_to_pooler_format(box_lists),
            levels,
            scales=[level.spatial_scale for level in pooler.level_poolers],
            bins=pooler.output_size,
            sampling_ratio=first.sampling_ratio,
            aligned=first.aligned,
        )


def roi_align(
    features: Sequence[torch.Tensor],
    rois: torch.Tensor,
    levels: torch.Tensor,
    *,
    scales: Sequence[float],
    bins: tuple[int, int],
    sampling_ratio: int,
    aligned: bool,
) -> torch.Tensor:
    """torchvision's RoIAlign of RoIs on the levels of a pyramid, differentiable with respect to the features.

    - `features`: for each level (N, C, H, W); `scales`: cells of the level per pixel of the input.
    - `rois` (M, 5): place in the batch, x0, y0, x1, y1 in input pixels; `levels` (M,): the level of each.
    - Returns (M, C, bins[0], bins[1]), in the features' type, computed in at least single precision.
    """
    # As in torchvision, reduced precision ends here and begins again after it.
    precision = torch.promote_types(features[0].dtype, torch.float32)
    inputs = [feature.to(precision).contiguous(memory_format=torch.channels_last) for feature in features]
    grids = [
        _grid(rois.to(precision), levels == level, scale, feature.shape[2:], bins, sampling_ratio, aligned)
        for level, (feature, scale) in enumerate(zip(inputs, scales, strict=True))
    ]
    with torch.autocast(rois.device.type, enabled=False):
        return _RoIAlign.apply(grids, len(rois), *inputs).to(features[0].dtype)


@dataclass(frozen=True)
class _Grid:
    """The RoIs of one level: indices (R,), weights of rows (R, bins, H) and columns (R, bins, W), and for each RoI the
    place in the batch and the cells that it touches: y0, y1, x0, x1 (exclusive ends)."""

    index: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor
    window: list[list[int]]


def _grid(
    rois: torch.Tensor,
    chosen: torch.Tensor,
    scale: float,
    shape: Sequence[int],
    bins: tuple[int, int],
    sampling_ratio: int,
    aligned: bool,
) -> _Grid:
    index = torch.nonzero(chosen).squeeze(1)
    boxes = rois[index]
    corners = boxes[:, 1:] * scale - (0.5 if aligned else 0.0)
    sizes = corners[:, 2:] - corners[:, :2]
    if not aligned:
        sizes = sizes.clamp(min=1.0)
    columns, x0, x1 = _weights(corners[:, 0], sizes[:, 0], bins[1], shape[1], sampling_ratio)
    rows, y0, y1 = _weights(corners[:, 1], sizes[:, 1], bins[0], shape[0], sampling_ratio)
    window = torch.stack([boxes[:, 0].long(), y0, y1, x0, x1], dim=1).tolist()
    return _Grid(index, rows, columns, window)


def _weights(
    start: torch.Tensor, size: torch.Tensor, bins: int, length: int, sampling_ratio: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Weights (R, bins, length) of an axis' cells for each bin, and the first and the end (exclusive) of those used.

    As torchvision: `sampling_ratio` samples a bin, or as many as the bin is long, rounded up; a sample more than a cell
    outside counts nothing, others outside count as on the border.
    """
    bin_size = size / bins
    count = bin_size.ceil().clamp(min=0) if sampling_ratio <= 0 else torch.full_like(size, sampling_ratio)
    most = max(int(count.max()), 1) if len(count) else 1
    bin_index, sample = torch.arange(bins, dtype=size.dtype), torch.arange(most, dtype=size.dtype)
    where = (
        start[:, None, None]
        + (bin_index[:, None] * bin_size[:, None, None])
        + (sample + 0.5) * (bin_size / count.clamp(min=1))[:, None, None]
    )
    used = (sample < count[:, None, None]) & (where >= -1.0) & (where <= length)
    where = where.clamp(min=0.0, max=length - 1)
    low = where.long()
    high = (low + 1).clamp(max=length - 1)
    share = used.to(size.dtype) / count.clamp(min=1)[:, None, None]
    upper = (where - low) * share
    weights = size.new_zeros((len(size), bins, length))
    weights.scatter_add_(2, low, share - upper)
    weights.scatter_add_(2, high, upper)
    first = torch.where(used, low, length).amin(dim=(1, 2))
    end = torch.where(used, high + 1, 0).amax(dim=(1, 2))
    return weights, torch.minimum(first, end), end


class _RoIAlign(torch.autograd.Function):
    """features of each level, channels last -> (M, C, bins, bins). Linear, so nothing but the weights is kept."""

    @staticmethod
    def forward(ctx: Any, grids: Sequence[_Grid], count: int, *features: torch.Tensor) -> torch.Tensor:
        ctx.grids, ctx.shapes = grids, [feature.shape for feature in features]
        channels = features[0].shape[1]
        bins = grids[0].rows.shape[1], grids[0].columns.shape[1]
        result = features[0].new_zeros((count, *bins, channels))
        for grid, feature in zip(grids, features, strict=True):
            cells = feature.permute(0, 2, 3, 1)
            for members, width, columns in _of_equal_width(grid):
                partial = cells.new_empty((len(members), bins[0], width * channels))
                for place, roi in enumerate(members):
                    torch.mm(_row_weights(grid, roi), _window(cells, grid.window[roi]), out=partial[place])
                pooled = torch.matmul(columns[:, None], partial.view(len(members), bins[0], width, channels))
                result[grid.index[members]] = pooled
        return result.permute(0, 3, 1, 2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gradient = gradient.permute(0, 2, 3, 1)
        results = []
        for grid, shape in zip(ctx.grids, ctx.shapes, strict=True):
            number, channels, height, width = shape
            cells = gradient.new_zeros((number, height, width, channels))
            for members, columns_used, columns in _of_equal_width(grid):
                chosen = gradient[grid.index[members]]
                partial = torch.matmul(columns.transpose(1, 2)[:, None], chosen)
                partial = partial.view(len(members), -1, columns_used * channels)
                for place, roi in enumerate(members):
                    target = _window(cells, grid.window[roi])
                    torch.addmm(target, _row_weights(grid, roi).t(), partial[place], out=target)
            results.append(cells.permute(0, 3, 1, 2))
        return None, None, *results


def _of_equal_width(grid: _Grid) -> Iterator[tuple[list[int], int, torch.Tensor]]:
    """Groups of RoIs that touch equally many columns: their places in the grid, that number, and their columns' weights
    (group, bins, width). RoIs that touch nothing are in none."""
    widths = [x1 - x0 if y1 > y0 else 0 for _, y0, y1, x0, x1 in grid.window]
    by_width = sorted((roi for roi, width in enumerate(widths) if width > 0), key=lambda roi: (widths[roi], roi))
    for width, group in itertools.groupby(by_width, key=lambda roi: widths[roi]):
        rois = list(group)
        for members in (rois[i : i + _AT_ONCE] for i in range(0, len(rois), _AT_ONCE)):
            first = torch.tensor([grid.window[roi][3] for roi in members])
            places = (first[:, None] + torch.arange(width))[:, None].expand(-1, grid.columns.shape[1], -1)
            yield members, width, grid.columns[members].gather(2, places)


def _window(cells: torch.Tensor, window: Sequence[int]) -> torch.Tensor:
    """The cells (N, H, W, C) that an RoI touches, as a view (rows, columns * C)."""
    image, y0, y1, x0, x1 = window
    channels, row = cells.shape[3], cells.stride(1)
    first = cells.storage_offset() + image * cells.stride(0) + y0 * row + x0 * channels
    return cells.as_strided((y1 - y0, (x1 - x0) * channels), (row, 1), first)


def _row_weights(grid: _Grid, roi: int) -> torch.Tensor:
    """The weights (bins, rows) of the rows that an RoI touches, as a view."""
    _, y0, y1, _, _ = grid.window[roi]
    bins, height = grid.rows.shape[1:]
    return grid.rows.as_strided((bins, y1 - y0), (height, 1), roi * bins * height + y0)
