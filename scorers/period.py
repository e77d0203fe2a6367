"""Kepler's third law."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.dynamics.motion_law import Orbit
from physbench.rollouts.rollout import Rollout
from physbench.scoring.free_segments import MIN_ORBIT_FRAMES, MIN_RADIUS, MOMENTS_PER_FRAME, BodyMotion
from physbench.scoring.scorer_protocol import Reading, scorer
from physbench.tracks.finite_differences import known_runs, upsampled
from physbench.tracks.tracks import Tracks

Array = NDArray[np.float64]


@scorer(
    id="laws/period",
    version=1,
    axis=None,
    unit="1",
    better="neither",
    quality=None,
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
    found = [turn for law, position in orbiting if (turn := _turn(tracks, position, law)) is not None]
    if len(found) < len(orbiting):
        return {"": Reading(None, "not applicable", "a body does not go around once in what is seen of it")}
    ratios = [
        law.mu * time**2 / (4 * np.pi**2 * axis**3) for (law, _), (time, axis) in zip(orbiting, found, strict=True)
    ]
    time, axis = np.mean(found, axis=0)
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
