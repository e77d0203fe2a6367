"""What orbits conserve: areal velocity and energy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.dynamics.motion_law import Orbit
from physbench.rollouts.rollout import Rollout
from physbench.scoring.free_segments import MIN_ORBIT_FRAMES, MIN_RADIUS, BodyMotion
from physbench.scoring.scorer_protocol import Reading, scorer
from physbench.tracks.finite_differences import known_runs, smooth_velocity
from physbench.tracks.tracks import Tracks
from physbench.world.camera import plane_from_world

Array = NDArray[np.float64]


@scorer(
    id="laws/areal-velocity",
    version=1,
    axis=None,
    unit="1",
    better="neither",
    quality=None,
    noise_floor="ground truth reads 0.999 to 1.001, spread 0.01 to 0.03 (64 px, 15 frames/s; middle 90 % of 32 clips)",
    source="r x v / 2 is constant; Kepler 1609, Astronomia nova, second law",
    needs=("motions",),
)
def areal_velocity(
    clip: Clip, rollout: Rollout, tracks: Tracks, *, motions: tuple[BodyMotion, ...]
) -> Reading | dict[str, Reading]:
    """Areal velocity about the source over that of ground truth at the time, median over the prediction; right is 1.

    A(t) = (r x v) / 2 of each body on an orbit, its velocity from a quintic spline through the track with at most 15
    knots a second. Negative if it goes in the other direction; 0 at rest. Neither direction is better by itself.
    Outside every mean.

    Further readings: spread, the middle 80 % of A(t) over that of ground truth; 0 where Kepler's second law holds.
    """
    return _over_orbits(clip, tracks, motions, "areal")


@scorer(
    id="laws/orbit-energy",
    version=1,
    axis=None,
    unit="1",
    better="neither",
    quality=None,
    noise_floor="ground truth of closed orbits reads 0.997 to 1.002, spread 0.02 to 0.07 (middle 90 % of 5 clips of a "
    "task), of flybys 1.00 to 1.02, spread 0.07 to 0.17 (12 clips; 64 px, 15 frames/s)",
    source="v^2 / 2 - mu / r is constant; Newton 1687, Principia, book I",
    needs=("motions",),
)
def energy(
    clip: Clip, rollout: Rollout, tracks: Tracks, *, motions: tuple[BodyMotion, ...]
) -> Reading | dict[str, Reading]:
    """Energy per mass over that of ground truth at the time, median over the predicted frames; right is 1.

    E(t) = v^2 / 2 - mu / r of each body on an orbit, its velocity from a quintic spline through the track with
    at most 15 knots a second. Where ground truth is bound, the reading is E / E_true; below 0 the body has enough
    energy to escape. Where it is not, and E_true may be near 0, it is 1 + (E - E_true) / K, K the larger of E_true and
    the mean kinetic energy per mass of ground truth in the predicted frames. Neither direction is better by itself.
    Outside every mean.

    Further readings: spread, the middle 80 % of these values over time; 0 where energy is conserved.
    """
    return _over_orbits(clip, tracks, motions, "energy")


def _over_orbits(
    clip: Clip, tracks: Tracks, motions: tuple[BodyMotion, ...], what: str
) -> Reading | dict[str, Reading]:
    orbiting = [body for body in motions if isinstance(body.law, Orbit)]
    if not orbiting:
        return Reading(None, "not applicable", "nothing is on an orbit in this scene")
    values = [_conserved(clip, tracks, body, what) for body in orbiting]
    seen = np.concatenate(values)
    if not len(seen):
        return Reading(None, "not applicable", f"fewer than {MIN_ORBIT_FRAMES} frames in a row show the orbit")
    low, high = np.percentile(seen, [10, 90])
    return {"": Reading(float(np.median(seen))), "spread": Reading(float(high - low))}


def _conserved(clip: Clip, tracks: Tracks, body: BodyMotion, what: str) -> Array:
    """The conserved quantity over its true value, in the predicted frames that show it (n,)."""
    assert isinstance(body.law, Orbit)
    camera, states = clip.scene.camera, clip.states[clip.window(tracks.context), body.index]
    velocity = plane_from_world(camera, states[:, 7:10])
    true = _quantity(body.law, plane_from_world(camera, states[:, :3]), velocity, what)
    scale = true
    if what == "energy":
        kinetic = float(np.mean(np.sum(velocity[tracks.context :] ** 2, axis=-1))) / 2
        scale = np.where(true > 0, np.maximum(true, kinetic), true)
    found = [np.zeros(0)]
    for run in known_runs(body.position):
        frames = run[run >= tracks.context]
        if len(run) < MIN_ORBIT_FRAMES or not len(frames):
            continue
        predicted_velocity = smooth_velocity(body.position[run], 1 / clip.spec.fps)[run >= tracks.context]
        quantity = _quantity(body.law, body.position[frames], predicted_velocity, what)
        found.append(1 + (quantity - true[frames]) / scale[frames])
    return np.concatenate(found)


def _quantity(law: Orbit, position: Array, velocity: Array, what: str) -> Array:
    away = position - np.asarray(law.source)
    if what == "areal":
        return np.asarray((away[:, 0] * velocity[:, 1] - away[:, 1] * velocity[:, 0]) / 2)
    radius = np.maximum(np.linalg.norm(away, axis=-1), MIN_RADIUS)
    return np.asarray(np.sum(velocity**2, axis=-1) / 2 - law.mu / radius)
