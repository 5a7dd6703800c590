"""COCO's keypoints, and the constants of its keypoint similarity. Light: Snakemake imports them while it parses."""

from __future__ import annotations

COCO_KEYPOINTS: tuple[str, ...] = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle"),
)

COCO_SIGMAS: tuple[float, ...] = (
    # The fall-off of each of COCO's 17 keypoints in the object keypoint similarity, nose to right ankle.
    *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
    *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)
