"""The friction that a prediction shows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.dynamics.motion_law import Constant
from physbench.dynamics.rolling_sliding import Slope
from physbench.rollouts.rollout import Rollout
from physbench.scoring.free_segments import MIN_FIT_SPAN, BodyMotion, FreeSegment
from physbench.scoring.not_judged import no_gravity
from physbench.scoring.scorer_protocol import Reading, scorer
from physbench.tracks.tracks import Tracks
from physbench.world.camera import plane_from_world

MIN_FIT_FRAMES = 5
MIN_LENGTH = 0.1  # diameters; less is rest
NO_SLOPE = 1e-9  # m/s2 along the support

Array = NDArray[np.float64]


@scorer(
    id="laws/friction",
    version=1,
    axis=None,
    unit="1",
    better="neither",
    quality=None,
    noise_floor="ground truth reads within 0.001 of 0 on the level, within 0.01 of the ramp's on a slope (64 px, "
    "15 frames/s; 15 clips)",
    source="a = g (sin a - mu cos a); Coulomb 1785, Theorie des machines simples",
    phrase="friction {}",
    seen=("things slide on for too long", "sliding things stop too soon"),
    breaks_at=0.05,
    needs=("motions", "free_segments"),
    precheck=no_gravity,
)
def friction(
    clip: Clip,
    rollout: Rollout,
    tracks: Tracks,
    *,
    motions: tuple[BodyMotion, ...],
    free_segments: Mapping[int, tuple[FreeSegment, ...]],
) -> dict[str, Reading]:
    """Coefficient of friction that the motion of bodies on a support implies; right is what ground truth reads.

    mu = (force of gravity along the path - acceleration along the path) / weight on the support, both per mass and in
    the direction of motion, from parabolas through the track along the support: between contacts, the path up and the
    path down apart, each at least 0.3 s and five frames; weighted by how well each determines its acceleration. A
    sliding body shows the friction between it and the support, a rolling one the smaller friction that rolling needs, k
    / (1 + k) tan a with k = 2/5 for a ball and 1/2 for a cylinder (negative while it moves up), and 0 on the level.
    Without limits; neither direction is better by itself. Outside every mean.

    Further readings: acceleration (m/s2) down the slope, where there is one.
    """
    pull = plane_from_world(clip.scene.camera, np.asarray(clip.scene.gravity, dtype=np.float64))
    carried = [(body, frame) for body in motions if (frame := _frame(body)) is not None]
    if not carried:
        return {"": Reading(None, "not applicable", "nothing stays on a support that is seen from the side")}
    sums = np.zeros(3)  # of weight, weight x friction, weight x acceleration down the slope
    for body, (down, normal) in carried:
        for segment in free_segments[body.column]:
            known = np.isfinite(body.position[segment.frames, 0]) & ~segment.ambiguous
            frames = segment.frames[known & (segment.frames >= tracks.context)]
            if segment.touching:
                continue
            for part in _one_way_parts(tracks.times[frames], body.position[frames] @ down, MIN_LENGTH * body.diameter):
                acceleration, velocity, weight = part
                implied = np.sign(velocity) * (pull @ down - acceleration) / -(pull @ normal)
                sums += weight * np.array([1.0, implied, acceleration])
    if sums[0] == 0:
        return {"": Reading(None, "not applicable", "no path of 0.3 s along the support is seen")}
    readings = {"": Reading(float(sums[1] / sums[0]))}
    if any(abs(pull @ down) > NO_SLOPE for _, (down, _) in carried):
        readings["acceleration"] = Reading(float(sums[2] / sums[0]), unit="m/s2")
    return readings


def _frame(body: BodyMotion) -> tuple[Array, Array] | None:
    """Unit vectors (2,) down the permanent support and away from it; None without one."""
    law = body.law
    if isinstance(law, Slope):
        return -np.asarray(law.along), np.asarray(law.normal)
    if isinstance(law, Constant) and law.normal is not None:
        return np.array([-law.normal[1], law.normal[0]]), np.asarray(law.normal)
    return None


def _one_way_parts(times: Array, along: Array, least: float) -> list[tuple[float, float, float]]:
    """Acceleration m/s2, mean velocity m/s and weight of each part of a path (n,) m that goes in one direction."""
    if len(along) < MIN_FIT_FRAMES:
        return []
    turn = int(np.argmax(np.abs(along - along[0]))) if _turns(along) else len(along) - 1
    found = []
    for part in (slice(0, turn + 1), slice(turn, len(along))):
        t, s = times[part], along[part]
        if len(t) < MIN_FIT_FRAMES or t[-1] - t[0] < MIN_FIT_SPAN - 1e-9 or abs(s[-1] - s[0]) < least:
            continue
        dt = t - t.mean()
        design = np.stack([np.ones_like(dt), dt, dt**2 / 2], axis=-1)
        numbers = np.linalg.lstsq(design, s, rcond=None)[0]
        weight = 1 / np.linalg.inv(design.T @ design)[2, 2]
        found.append((float(numbers[2]), float(s[-1] - s[0]) / float(t[-1] - t[0]), float(weight)))
    return found


def _turns(along: Array) -> bool:
    """Whether a path goes out and returns by more than a hundredth of its length."""
    far = int(np.argmax(np.abs(along - along[0])))
    return bool(abs(along[-1] - along[far]) > 0.01 * abs(along[far] - along[0]))
