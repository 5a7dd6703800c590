"""What changes between detections of the same network in two precisions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def changes(single: Any, reduced: Any) -> dict[str, Any]:
    """Share of single precision's boxes with a score above 0.5 that have no counterpart of IoU 0.9 in the other, and of
    the counterparts' keypoints that moved by more than 1 % of the box's longer side."""
    from detectron2.structures import Boxes, pairwise_iou

    boxes = lost = points = moved = 0
    for image in range(len(single.image_ids)):
        ours = single.select((single.image_index == image) & (single.scores > 0.5))
        theirs = reduced.select(reduced.image_index == image)
        boxes += len(ours)
        if not len(ours) or not len(theirs):
            lost += len(ours)
            continue
        overlap, partner = pairwise_iou(Boxes(torch.from_numpy(ours.boxes)), Boxes(torch.from_numpy(theirs.boxes))).max(
            dim=1
        )
        kept = (overlap >= 0.9).numpy()
        lost += int((~kept).sum())
        longer = (ours.boxes[:, 2:] - ours.boxes[:, :2]).max(axis=1)[kept]
        distance = np.abs(ours.keypoints[kept, :, :2] - theirs.keypoints[partner.numpy()[kept], :, :2]).max(axis=2)
        points += distance.size
        moved += int((distance > 0.01 * longer[:, None]).sum())
    return {
        "boxes": boxes,
        "share_of_boxes_changed": lost / boxes if boxes else None,
        "keypoints": points,
        "share_of_keypoints_moved": moved / points if points else None,
    }
