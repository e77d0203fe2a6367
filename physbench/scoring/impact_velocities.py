"""Velocities just before and just after a contact, from the track on both sides of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.dynamics.motion_law import Law
from physbench.scoring.free_segments import BodyMotion, FreeSegment

WINDOW = 0.5  # s before and after
LEAST_SPAN = 0.15  # s

Array = NDArray[np.float64]


def states_before_and_after(
    times: Array, body: BodyMotion, moment: float, segments: tuple[FreeSegment, ...]
) -> tuple[Array, Array] | None:
    """States (4,) m and m/s of a body at `moment`, from its track before and from its track behind it.

    Fits of the law of motion, or of constant acceleration where there is none, to at most 0.5 s between this contact
    and the next. None where less than 0.15 s of it is seen, or only what lies further away.
    """
    found = []
    free = [segment for segment in segments if not segment.touching]
    for side in (-1.0, 1.0):
        best: NDArray[np.intp] | None = None
        least = WINDOW / 2
        for stretch in free:  # of those on this side the nearest: behind another contact or push it says nothing
            frames = stretch.frames[np.isfinite(body.position[stretch.frames, 0]) & ~stretch.blurred]
            offset = (times[frames] - moment) * side
            frames = frames[(offset > -1e-9) & (offset <= WINDOW)]
            if len(frames) and float(np.min(offset[offset > -1e-9])) < least:
                best, least = frames, float(np.min(offset[offset > -1e-9]))
        if best is None or len(best) < 3 or np.ptp(times[best]) < LEAST_SPAN:
            return None
        found.append(_fit(body.law, times[best] - moment, body.position[best]))
    return found[0], found[1]


def _fit(law: Law | None, dt: Array, position: Array) -> Array:
    """State (4,) at dt = 0."""
    if law is not None:
        return law.fit(dt, position)
    design = np.stack([np.ones_like(dt), dt, dt**2][: 3 if len(dt) > 3 else 2], axis=-1)
    return np.asarray(np.linalg.lstsq(design, position, rcond=None)[0][:2].reshape(4))
