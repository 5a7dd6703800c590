"""The embedded data set: rendered scenes of people and of objects, in two domains, annotated as in COCO."""
