"""Velocities just before and just after a contact, from the track on both sides of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.motion_law import Law
from physbench.scoring.free_segments import BodyMotion, FreeSegment

MAX_SIDE_SPAN = 0.5  # s of the track that are fitted on each side
MIN_SIDE_SPAN = 0.15  # s

Array = NDArray[np.float64]


def states_before_and_after(
    times: Array, body: BodyMotion, moment: float, segments: tuple[FreeSegment, ...]
) -> tuple[Array, Array] | None:
    """Position and velocity of a body just before and just after a contact.

    Fits of the law of motion, or of constant acceleration where there is none, to at most MAX_SIDE_SPAN between this
    contact and the next.

    Args:
        times: (T,) s of the frames.
        body: the body.
        moment: s, of the contact.
        segments: the body's own.

    Returns:
        Two states (4,) in m and m/s; None where a side shows less than MIN_SIDE_SPAN, or only frames further away.
    """
    found = []
    free = [segment for segment in segments if not segment.touching]
    for side in (-1.0, 1.0):
        best: NDArray[np.intp] | None = None
        least = MAX_SIDE_SPAN / 2
        for segment in free:  # the nearest on this side: beyond another contact or impulse the motion is another one
            frames = segment.frames[np.isfinite(body.position[segment.frames, 0]) & ~segment.ambiguous]
            offset = (times[frames] - moment) * side
            frames = frames[(offset > -1e-9) & (offset <= MAX_SIDE_SPAN)]
            if len(frames) and float(np.min(offset[offset > -1e-9])) < least:
                best, least = frames, float(np.min(offset[offset > -1e-9]))
        if best is None or len(best) < 3 or np.ptp(times[best]) < MIN_SIDE_SPAN:
            return None
        found.append(_fit(body.law, times[best] - moment, body.position[best]))
    return found[0], found[1]


def _fit(law: Law | None, dt: Array, position: Array) -> Array:
    """State (4,) at dt = 0."""
    if law is not None:
        return law.fit(dt, position)
    design = np.stack([np.ones_like(dt), dt, dt**2][: 3 if len(dt) > 3 else 2], axis=-1)
    return np.asarray(np.linalg.lstsq(design, position, rcond=None)[0][:2].reshape(4))
