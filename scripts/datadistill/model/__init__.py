"""The network: architecture, initial weights, and what extends detectron2."""
