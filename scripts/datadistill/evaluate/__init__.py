"""COCO metrics of models, and the quality of labels against hidden truth."""
