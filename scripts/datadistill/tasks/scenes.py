"""Which task the renderer's scenes are annotated for."""

from __future__ import annotations

SCENE_TASKS = {"people": "keypoints", "objects": "objects"}
