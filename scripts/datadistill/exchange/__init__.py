"""Label sets to and from the tools that people correct them with, and data sets in other formats."""
