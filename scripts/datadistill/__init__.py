"""Data distillation for detectors: the library behind the workflow's rules and scripts.

Importing the package, and everything Snakemake needs while it parses, is light: torch and detectron2 are imported inside
the functions that use them.
"""

__version__ = "0.1.0"
