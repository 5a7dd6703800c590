"""Merging what a network predicts under several transforms: heatmaps of keypoints, and boxes."""
