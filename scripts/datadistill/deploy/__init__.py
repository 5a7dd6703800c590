"""A trained model outside the workflow: on anybody's images, and exported."""
