"""Whether the camera stands still, as it does in every scene."""

from __future__ import annotations

import numpy as np

from physbench.clips.clip import Clip
from physbench.rollouts.rollout import Rollout
from physbench.scoring.scorer_protocol import Reading, scorer
from physbench.tracks.finite_differences import slope
from physbench.tracks.tracks import Tracks

LEAST_FRAMES = 3  # that tell a speed


@scorer(
    id="drift/camera",
    version=1,
    axis=None,
    unit="%/s",
    better="lower",
    quality=None,
    noise_floor="0 exactly in 272 of 272 true clips of 17 tasks (64 and 128 px, 15 frames/s)",
    source="least-squares line through the similarity that fixed bodies show; Umeyama 1991, doi:10.1109/34.88573",
    phrase={"": "camera pan {}", "zoom": "camera zoom {}"},
    seen={"": ("", "the whole picture slides"), "zoom": ("", "the whole picture grows or shrinks")},
    breaks_at=0.5,
    needs=("tracks", "looks"),
)
def camera(clip: Clip, rollout: Rollout, tracks: Tracks) -> Reading | dict[str, Reading]:
    """How fast a camera moves that should stand still: its pan in per cent of the picture's shorter side a second.

    Fixed bodies show by how much a picture as a whole is shifted, zoomed and turned; a straight line is fitted to each
    over the predicted frames. Lower is better. Positions are read as a camera sees them that stands still, so that a
    pan is no motion of bodies, and costs nothing but what leaves the view with it: it is no physics of the scene.
    Outside every mean. Where nothing fixed is seen, as on bare ground, no camera is known, and nothing is taken off.

    Further readings: zoom (%/s, its size), turn (deg/s, its size), and shake (%, rms of what is left of the shift).
    """
    if tracks.camera is None:
        return Reading(None, "not applicable", "no picture")
    fixed = any(body.role == "fixed" for body in clip.tracked_bodies)
    if not fixed and (tracks.scenery is None or not len(tracks.scenery)):
        return Reading(None, "not applicable", "nothing that stands still is seen")
    part = slice(tracks.context - 1, min(tracks.context + len(rollout.frames), len(tracks.times)))
    times, moved = tracks.times[part], tracks.camera[part]
    if len(times) < LEAST_FRAMES:
        return Reading(None, "not applicable", "too few frames were predicted")
    side = min(clip.spec.height, clip.spec.width) / 100
    speed = np.array([slope(times, column) for column in moved.T])
    middle = times - times.mean()
    rest = moved[:, :2] - moved[:, :2].mean(axis=0) - middle[:, None] * speed[:2]
    return {
        "": Reading(float(np.hypot(*speed[:2])) / side),
        "zoom": Reading(abs(float(speed[2])) * 100),
        "turn": Reading(abs(float(np.degrees(speed[3]))), unit="deg/s"),
        "shake": Reading(float(np.sqrt((rest**2).sum(axis=1).mean())) / side, unit="%"),
    }
