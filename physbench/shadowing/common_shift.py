"""A small shift that all bodies share, where no scenery tells it from a camera's.

A picture that trembles or sits by a px elsewhere moves every body alike. Scenery shows that, and it is taken off before
anything is judged. On bare ground nothing does, and a floor shows no shift along it. There what all bodies of a frame
have in common is free, up to MOST_FREE px, and less for a lone body, of which everything is common.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.shadowing.placed_bodies import PlacedBodies

Array = NDArray[np.float64]

MOST_FREE = 1.5  # px that bodies may share
MOST_FREE_ALONE = 0.06  # diameters of a body that is seen alone


def without_common_shift(clip: Clip, seen: PlacedBodies, lawful: Array) -> PlacedBodies | None:
    """The placed bodies without what their distances from a lawful motion have in common.

    Args:
        clip: Ground truth.
        seen: The bodies as they are placed.
        lawful: (T, N, 2) m, a lawful motion that is near all of them; NaN where there is none.

    Returns:
        None where scenery shows every shift, or nothing is common.
    """
    free = seen.unshown
    if free is None:
        return None
    rest = (seen.position - lawful) @ free.T  # (T, N, D)
    known = np.asarray(np.isfinite(rest).all(axis=-1))
    rest = np.where(known[..., None], rest, 0.0)
    least = np.where(known[..., None], np.abs(rest), np.inf).min(axis=1)
    up = (known[..., None] & (rest > 0)).any(axis=1)
    down = (known[..., None] & (rest < 0)).any(axis=1)
    common = np.where(up & ~down, least, np.where(down & ~up, -least, 0.0))  # (T, D) m
    alone = np.where(known, seen.diameter, 0.0).sum(axis=1) * MOST_FREE_ALONE
    most = np.where(known.sum(axis=1) > 1, np.inf, alone).clip(max=MOST_FREE / clip.pixels_per_metre)
    size = np.linalg.norm(common, axis=-1)
    common *= np.where(size > most, most / np.maximum(size, 1e-12), 1.0)[:, None]
    common[seen.times <= 1e-9] = 0.0  # the context is given
    if not common.any():
        return None
    return replace(seen, position=seen.position - (common @ free)[:, None])
