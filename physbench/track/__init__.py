"""Finds every object in every frame of a video: calibration, segmentation, tracking.

- `tracker.track(clip, context, frames)`: from frames to `Tracks`, by `colour`, `blobs`, `patches` and `disc_fit`.
- `camera`, `scenery`, `fixed_edges`: what should stand still. `intruders`: blobs that nothing explains.
- `tracks`: `Tracks`, `Visibility`; on disk, and from predicted states.
- `visibility`: when each object should be visible, from ground truth, and when the tracker saw it.
- `finite_differences`: velocities between the frames of a track, without a law of motion.
"""

from physbench.track.tracks import Tracks, Visibility

__all__ = ["Tracks", "Visibility"]
