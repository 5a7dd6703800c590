"""From a folder of images and labels of any usual format to a config: what `make init` does."""
