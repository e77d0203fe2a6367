"""Clips of the `train` split as training data."""
