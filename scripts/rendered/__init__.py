"""The embedded data set: rendered scenes of people and of objects, in two domains, annotated as in COCO."""

SCENE_TASKS = {"people": "keypoints", "objects": "objects"}
"""The task that each kind of scene is annotated for."""
