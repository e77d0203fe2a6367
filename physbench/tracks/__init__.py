"""Finds every object in every frame: calibration, segmentation, tracking."""
