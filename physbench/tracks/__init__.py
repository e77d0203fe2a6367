"""Finds every object in every frame of a video: calibration, segmentation, tracking.

- `tracker.track(clip, context, frames)`: from frames to `Tracks`; its stages are in `label_maps`, `blobs`, `patches`,
  `colour`, `disc_fit` and `track_states`.
- `state_tracks`: from predicted states to `Tracks`, without a camera.
- `Tracks`, `Visibility`: positions, areas, hues and states of the objects; `tracks_file` stores them.
- `visibility`: when each object should be visible, from ground truth, and when the tracker saw it.
- `finite_differences`: velocities between the frames of a track, without a law of motion.
- `draw_tracks`: tracks drawn on frames.
"""

from physbench.tracks.tracks import Tracks, Visibility

__all__ = ["Tracks", "Visibility"]
