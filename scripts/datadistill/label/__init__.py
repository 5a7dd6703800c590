"""Models -> predictions, their ensemble, thresholds and label sets."""
