"""Orbits: law of force, Kepler's third law, areal velocity and energy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from physbench.clips.clip import Clip
from physbench.laws.closed_form import Orbit
from physbench.rollout.store import Rollout
from physbench.score.motion import MIN_ORBIT_FRAMES, MIN_RADIUS, MOMENTS_PER_FRAME, BodyMotion
from physbench.score.protocol import Reading, scorer
from physbench.support.arrays import Array
from physbench.track.tracks import Tracks, known_runs, smooth_velocity, upsampled
from physbench.world.camera import plane_from_world

# The law of force that a predicted orbit implies.


@dataclass(frozen=True)
class ForceLimits:
    """Forces that an orbit tells."""

    width: float = 0.8  # s, of the weights
    min_range: float = 0.1  # of ln r between the 5th and 95th percentile; less does not tell an exponent
    min_force: float = 0.05  # of the true acceleration; less is no force
    min_share: float = 0.5  # of the accelerations that a force along one direction explains
    exponents: tuple[float, float] = (-6.0, 4.0)  # that are looked for


FORCE = ForceLimits()


READINGS = {"": "1", "direction": "deg", "strength": "1", "share": "1"}  # with their units

Complex = NDArray[np.complex128]


@scorer(
    id="laws/force-law",
    better="neither",
    noise_floor="ground truth of closed orbits reads -2.018 to -1.998, direction below 0.04 degrees (64 px, "
    "15 frames/s), -2.002 to -1.999 and 0.01 (128 px; middle 90 % of 16 clips); of flybys -2.04 to -1.97, below "
    "0.2 degrees (64 px)",
    source="implied force law: Vafa et al. 2025, arXiv:2507.06952; weak form: Messenger and Bortz, arXiv:2005.04339",
    phrase="attraction changing with distance as r^{}",
    seen=("far bodies are pulled too little", "far bodies are pulled too hard"),
    breaks_at=0.3,
    needs=("motions",),
)
def force_law(clip: Clip, rollout: Rollout, tracks: Tracks, *, motions: tuple[BodyMotion, ...]) -> dict[str, Reading]:
    """Exponent p of the force |a| = k r^p that the predicted orbits imply; Newton's is -2.

    No law is assumed: for smooth weights w of 0.8 s, one around every predicted frame, integral(w'' x dt) is the mean
    acceleration without differentiating the track. p, k and one angle between force and centre are fitted to all of
    them, integral(w'' x dt) = k integral(w r^p u dt) with u at this angle to the direction of the centre. -6 to 4;
    mean over the bodies on an orbit. Neither direction is better by itself. Outside every mean. Not applicable where r
    varies too little to tell, and where the best p lies outside.

    Further readings: direction (deg), the angle between the force and the centre, 0 where the force is central, 180
    where it pushes away; strength, the force over the true one at the mean distance, right is 1; share, how much of
    the accelerations (squared) such a force explains.
    """
    orbiting = [(body.law, body.position) for body in motions if isinstance(body.law, Orbit)]
    if not orbiting:
        return {"": Reading(None, "not applicable", "nothing is on an orbit in this scene")}
    bodies = [_implied(tracks, position, law) for law, position in orbiting]
    return {key: _mean([body[key] for body in bodies], unit) for key, unit in READINGS.items()}


def _mean(values: list[tuple[float, str]], unit: str) -> Reading:
    """Mean over bodies of (value, reason); none where one has none."""
    reason = next((reason for _, reason in values if reason), "")
    if reason:
        return Reading(None, "not applicable", reason, unit)
    return Reading(float(np.mean([value for value, _ in values])), unit=unit)


def _arcs(tracks: Tracks, position: Array, law: Orbit) -> list[Complex]:
    """Predicted path from the source, in fine steps, for each run of frames long enough for one weight."""
    predicted = position.copy()
    predicted[: tracks.context] = np.nan
    least = max(MIN_ORBIT_FRAMES, 2 * _half(_step(tracks)) + 1)
    return [
        upsampled(position[run] - np.asarray(law.source), MOMENTS_PER_FRAME) @ np.array([1, 1j])
        for run in known_runs(predicted)
        if len(run) >= least
    ]


def _step(tracks: Tracks) -> float:
    """Time from frame to frame, s."""
    return float(tracks.times[1] - tracks.times[0])


def _half(step: float, width: float = FORCE.width) -> int:
    """Frames to each side of the middle of a weight."""
    return max(2, round(width / 2 / step))


def _summed(values: Complex, weight: Array) -> Complex:
    """Sums (n - 2 half,) of values on the fine moments of n frames, weighted around each frame."""
    return np.asarray(np.lib.stride_tricks.sliding_window_view(values, len(weight))[::MOMENTS_PER_FRAME] @ weight)


def weak_weights(step: float, width: float = FORCE.width) -> tuple[Array, Array]:
    """(1 - u^2)^4 and its second derivative (1/s2), as weights of sums over fine moments of frames `step` s apart."""
    half = _half(step, width)
    u = np.linspace(-1, 1, 2 * half * MOMENTS_PER_FRAME + 1)
    bump, curve = (1 - u**2) ** 4, 8 * (1 - u**2) ** 2 * (7 * u**2 - 1)
    seconds = half * step
    return bump / bump.sum(), curve / bump.sum() / seconds**2


def _implied(tracks: Tracks, position: Array, law: Orbit) -> dict[str, tuple[float, str]]:
    """Value and reason of each reading, for one body."""
    arcs = _arcs(tracks, position, law)
    if not arcs:
        return dict.fromkeys(READINGS, (np.nan, "too little of the orbit is seen"))
    weight, curve = weak_weights(_step(tracks))
    acceleration = np.concatenate([_summed(arc, curve) for arc in arcs])
    log_radius = [np.log(np.maximum(np.abs(arc), MIN_RADIUS)) for arc in arcs]
    towards = [-arc / np.exp(radius) for arc, radius in zip(arcs, log_radius, strict=True)]
    everywhere = np.concatenate(log_radius)
    middle = float(np.mean(everywhere))

    def fitted(p: float) -> tuple[complex, float]:
        """Force at the mean distance, as a complex number to the centre's direction, and the share it misses."""
        along = np.concatenate(
            [_summed(u * np.exp(p * (r - middle)), weight) for u, r in zip(towards, log_radius, strict=True)]
        )
        force = complex(np.vdot(along, acceleration) / np.vdot(along, along).real)
        total = float(np.sum(np.abs(acceleration) ** 2))
        return force, float(np.sum(np.abs(acceleration - force * along) ** 2)) / max(total, 1e-12)

    best = minimize_scalar(lambda p: fitted(p)[1], bounds=FORCE.exponents, method="bounded", options={"xatol": 1e-4})
    force, missed = fitted(float(best.x))
    true = law.mu * np.exp(-2 * middle)
    none = "" if abs(force) >= FORCE.min_force * true else "the prediction shows no force"
    if not none and 1 - missed < FORCE.min_share:
        none = "no force at one angle to the centre explains the prediction"
    low, high = np.percentile(everywhere, [5, 95])
    narrow = none or ("" if high - low >= FORCE.min_range else "the distance to the centre varies too little")
    if not narrow and min(abs(best.x - edge) for edge in FORCE.exponents) < 0.01:  # it would say where the search ends
        narrow = f"the best exponent lies outside of {FORCE.exponents[0]:g} to {FORCE.exponents[1]:g}"
    return {
        "": (np.nan if narrow else float(best.x), narrow),
        "direction": (np.nan if none else float(np.degrees(abs(np.angle(force)))), none),
        "strength": (abs(force) / true, ""),
        "share": (max(1 - missed, 0.0), ""),
    }


# Kepler's third law.


@scorer(
    id="laws/period",
    better="neither",
    noise_floor="ground truth reads 0.997 to 1.002 (64 px, 15 frames/s), 0.999 to 1.001 (128 px; 90 % of 16 clips)",
    source="T^2 = 4 pi^2 a^3 / mu; Kepler 1619, Harmonices mundi, third law",
    needs=("motions",),
)
def period(clip: Clip, rollout: Rollout, tracks: Tracks, *, motions: tuple[BodyMotion, ...]) -> dict[str, Reading]:
    """Square of the period over what the semi-major axis asks for, T^2 mu / (4 pi^2 a^3); right is 1.

    T is the median time of all whole turns about the source in the predicted frames, from each moment until the
    direction is the same again; a is the mean of the largest and the smallest distance in such a turn. Mean over the
    bodies on an orbit. 0 upwards; neither direction is better by itself. Outside every mean. Not applicable where
    nothing goes around once.

    Further readings: time (s), the period, and semi-axis (m), both means over the bodies.
    """
    orbiting = [(body.law, body.position) for body in motions if isinstance(body.law, Orbit)]
    if not orbiting:
        return {"": Reading(None, "not applicable", "nothing is on an orbit in this scene")}
    turns = [turn for law, position in orbiting if (turn := _turn(tracks, position, law)) is not None]
    if len(turns) < len(orbiting):
        return {"": Reading(None, "not applicable", "a body does not go around once in what is seen of it")}
    ratios = [
        law.mu * time**2 / (4 * np.pi**2 * axis**3) for (law, _), (time, axis) in zip(orbiting, turns, strict=True)
    ]
    time, axis = np.mean(turns, axis=0)
    return {
        "": Reading(float(np.mean(ratios))),
        "time": Reading(float(time), unit="s"),
        "semi-axis": Reading(float(axis), unit="m"),
    }


def _turn(tracks: Tracks, position: Array, law: Orbit) -> tuple[float, float] | None:
    """Period in s and semi-major axis in m, medians over the whole turns of a track."""
    predicted = position.copy()
    predicted[: tracks.context] = np.nan
    dt = float(tracks.times[1] - tracks.times[0]) / MOMENTS_PER_FRAME
    times, axes = [], []
    for run in known_runs(predicted):
        if len(run) < MIN_ORBIT_FRAMES:
            continue
        away = upsampled(position[run] - np.asarray(law.source), MOMENTS_PER_FRAME)
        radius = np.maximum(np.linalg.norm(away, axis=-1), MIN_RADIUS)
        angle = np.unwrap(np.arctan2(away[:, 1], away[:, 0]))
        angle *= np.sign(angle[-1] - angle[0])
        turned = np.maximum.accumulate(angle)
        begins = np.flatnonzero(angle + 2 * np.pi <= turned[-1])
        if not len(begins):
            continue
        ends = np.searchsorted(turned, angle[begins] + 2 * np.pi)
        before = turned[ends - 1]
        part = (angle[begins] + 2 * np.pi - before) / np.maximum(turned[ends] - before, 1e-12)
        times.append((ends - 1 + part - begins) * dt)
        axes.append([(np.max(radius[i:j]) + np.min(radius[i:j])) / 2 for i, j in zip(begins, ends, strict=True)])
    if not times:
        return None
    return float(np.median(np.concatenate(times))), float(np.median(np.concatenate(axes)))


@scorer(
    id="laws/areal-velocity",
    better="neither",
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
    better="neither",
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
    ratios = [np.zeros(0)]
    for run in known_runs(body.position):
        frames = run[run >= tracks.context]
        if len(run) < MIN_ORBIT_FRAMES or not len(frames):
            continue
        predicted_velocity = smooth_velocity(body.position[run], 1 / clip.spec.fps)[run >= tracks.context]
        quantity = _quantity(body.law, body.position[frames], predicted_velocity, what)
        ratios.append(1 + (quantity - true[frames]) / scale[frames])
    return np.concatenate(ratios)


def _quantity(law: Orbit, position: Array, velocity: Array, what: str) -> Array:
    away = position - np.asarray(law.source)
    if what == "areal":
        return np.asarray((away[:, 0] * velocity[:, 1] - away[:, 1] * velocity[:, 0]) / 2)
    radius = np.maximum(np.linalg.norm(away, axis=-1), MIN_RADIUS)
    return np.asarray(np.sum(velocity**2, axis=-1) / 2 - law.mu / radius)
