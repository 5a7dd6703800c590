"""The embedded data set: rendered scenes of people and of objects, in two domains, annotated as in COCO."""

from datadistill.render.clips import render_clips
from datadistill.render.scene import CATEGORIES, SceneSpec, render_images, render_scene

__all__ = ["CATEGORIES", "SceneSpec", "render_clips", "render_images", "render_scene"]
