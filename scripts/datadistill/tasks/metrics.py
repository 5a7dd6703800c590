"""Names of COCO's metrics, and the constants of its keypoint similarity. Light: Snakemake imports it while it parses."""

from __future__ import annotations

STATS_INDEX: dict[str, dict[str, int]] = {
    # The paper's metrics in the paper's order: Tables 1-3 (keypoints) and 4 (boxes); where pycocotools puts them.
    "keypoints": {"AP": 0, "AP50": 1, "AP75": 2, "APm": 3, "APl": 4},
    "bbox": {"AP": 0, "AP50": 1, "AP75": 2, "APs": 3, "APm": 4, "APl": 5},
}
METRICS: dict[str, tuple[str, ...]] = {iou_type: tuple(index) for iou_type, index in STATS_INDEX.items()}
COCO_SIGMAS: tuple[float, ...] = (
    # The fall-off of each of COCO's 17 keypoints in the object keypoint similarity, nose to right ankle.
    *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
    *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)
