"""Places that are off by chance: noise in every frame of its own, and its sum."""

from __future__ import annotations

import numpy as np

from physbench.validation.violations.candidate_events import CandidateEvents
from physbench.validation.violations.violation_plan import Array, Bend

GRID_HZ = 60.0  # draws a second, the same at every rate of frames that divides it


def frame_noise(candidates: CandidateEvents, rng: np.random.Generator) -> Array:
    """Independent Gaussian noise (M, G, 2) of sd 1 of the moving bodies, on a grid of GRID_HZ from the hand-over on."""
    grid = round(candidates.scene.horizon * GRID_HZ) + 1
    return rng.normal(size=(len(candidates.moving), grid, 2))


def shifted(candidates: CandidateEvents, off: Array) -> tuple[tuple[str, Bend], ...]:
    """Bends that show moving bodies off their places after the hand-over, by (M, G, 2) diameters in the plane."""
    found = []
    for index, diameters in zip(candidates.moving, off, strict=True):
        metres = diameters * candidates.diameter(index)

        def bend(times: Array, states: Array, path: Array = metres) -> Array:
            at = np.minimum(np.ceil(times * GRID_HZ - 1e-6).astype(np.int64), len(path) - 1)
            states = states.copy()
            later = times > 1e-9
            for k, axis in enumerate(candidates.axes):
                states[later, axis] += path[at[later], k]
            return states

        found.append((candidates.scene.bodies[index].name, bend))
    return tuple(found)
