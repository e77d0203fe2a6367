"""Rolls models out over clips: batches, devices, chunks, samples, failures."""
