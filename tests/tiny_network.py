"""The narrowest network that has every part: what tests train and run in seconds."""

from __future__ import annotations

from datadistill.specs import NetworkSpec

TINY = NetworkSpec(
    backbone="R-50",
    norm="BN",
    stem_channels=8,
    res2_channels=16,
    width_per_group=4,
    fpn_channels=16,
    box_head_channels=32,
    keypoint_head_channels=(16,),
    anchor_sizes=(16, 32, 64, 128, 256),
    proposals_train=32,
    proposals_test=32,
    rois_per_image=16,
)
