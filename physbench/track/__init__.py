"""Finds every object in every frame of a video: calibration, segmentation, tracking.

- `tracker.track(clip, context, frames)`: from frames to `Tracks`, by `colour`, `blobs`, `patches` and `disc_fit`.
- `camera`, `scenery`, `fixed_edges`: what should stand still. `intruders`: blobs that nothing explains.
- `tracks`: `Tracks`, `Visibility`; on disk, from predicted states, and velocities without a law of motion.
- `visibility`: when each object should be visible, from ground truth, and when the tracker saw it.
"""

from physbench.track.tracks import Tracks, Visibility

__all__ = ["Tracks", "Visibility"]
