"""The gravity that a prediction shows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from physbench.clips.clip import Clip
from physbench.laws.closed_form import Constant
from physbench.rollout.store import Rollout
from physbench.score.motion import SPAN, BodyMotion, FreeSegment
from physbench.score.protocol import Reading, no_gravity, scorer
from physbench.support.arrays import Array
from physbench.track.tracks import Tracks
from physbench.world.camera import plane_from_world


@scorer(
    id="laws/gravity",
    unit="m/s2",
    better="neither",
    noise_floor="ground truth reads 9.80 to 9.82 where 9.81 is right (64 px, 15 frames/s; middle 90 % of 32 clips)",
    source="x(t) = x0 + v t + a t^2 / 2; Galilei 1638, Discorsi, fourth day",
    phrase={"": "gravity {}", "sideways": "sideways pull {}"},
    seen={"": ("things fall too slowly", "things fall too fast"), "sideways": ("", "things fall at a slant")},
    breaks_at=0.3,
    needs_constants=("",),
    roles={"": "shown-gravity"},
    needs=("motions", "free_segments"),
    precheck=no_gravity,
)
def gravity(
    clip: Clip,
    rollout: Rollout,
    tracks: Tracks,
    *,
    motions: tuple[BodyMotion, ...],
    free_segments: Mapping[int, tuple[FreeSegment, ...]],
) -> Reading | dict[str, Reading]:
    """Acceleration along the scene's gravity of the balls in free flight, in m/s2; right is the scene's own value.

    A parabola with free acceleration is fitted to the predicted frames of every segment between contacts that spans at
    least 0.3 s and shows at least five positions; the accelerations are averaged, weighted by how well each segment
    determines its own. Without limits; neither direction is better by itself. Outside every mean.

    Further readings: sideways (m/s2), the size of the part across the scene's gravity.
    """
    pull = plane_from_world(clip.scene.camera, np.asarray(clip.scene.gravity, dtype=np.float64))
    falling = [
        body
        for body in motions
        if isinstance(body.law, Constant)
        and body.law.normal is None
        and clip.scene.bodies[body.index].shape == "sphere"
    ]
    if not falling:
        return Reading(None, "not applicable", "nothing falls in this scene")
    total, weights = np.zeros(2), 0.0
    for body in falling:
        for segment in free_segments[body.column]:
            known = np.isfinite(body.position[segment.frames, 0]) & ~segment.ambiguous
            frames = segment.frames[known & (segment.frames >= tracks.context)]
            if segment.touching or len(frames) < 5 or tracks.times[frames[-1]] - tracks.times[frames[0]] < SPAN.fit:
                continue
            acceleration, weight = fitted_acceleration(tracks.times[frames], body.position[frames])
            total += weight * acceleration
            weights += weight
    if weights == 0:
        return Reading(None, "not applicable", "no segment of 0.3 s between contacts is seen")
    acceleration = total / weights
    down = pull / np.linalg.norm(pull)
    return {
        "": Reading(float(acceleration @ down)),
        "sideways": Reading(float(abs(acceleration[0] * down[1] - acceleration[1] * down[0]))),
    }


def fitted_acceleration(times: Array, position: Array) -> tuple[Array, float]:
    """Acceleration (...) of the parabola through positions (n, ...) at times (n,) s, and its weight, 1 / variance."""
    dt = times - times.mean()
    design = np.stack([np.ones_like(dt), dt, dt**2 / 2], axis=-1)
    acceleration = np.linalg.lstsq(design, position, rcond=None)[0][2]
    return acceleration, float(1 / np.linalg.inv(design.T @ design)[2, 2])
