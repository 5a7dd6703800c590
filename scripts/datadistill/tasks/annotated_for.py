"""Which task data are annotated for whose form leaves no choice: the renderer's scenes, and Pascal VOC."""

from __future__ import annotations

SCENE_TASKS = {"people": "keypoints", "objects": "objects"}
VOC_TASK = "objects"
