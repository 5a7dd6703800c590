"""Which task data are annotated for: those whose form leaves no choice (the renderer's scenes, Pascal VOC), and COCO files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SCENE_TASKS = {"people": "keypoints", "objects": "objects"}
VOC_TASK = "objects"


def task_of(coco: Mapping[str, Any]) -> str:
    """The task that a COCO file is for: keypoints where any is labelled, else objects."""
    posed = any(category.get("keypoints") for category in coco.get("categories") or [] if isinstance(category, Mapping))
    labelled = any(
        any((a.get("keypoints") or [])[2::3]) for a in coco.get("annotations") or [] if isinstance(a, Mapping)
    )
    return "keypoints" if posed and labelled else "objects"
