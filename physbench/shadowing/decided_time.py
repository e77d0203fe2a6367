"""What lawful time is worth: little until simple motions have parted from the lawful one, or have been left.

At a tolerance a frame of a body is *decided* once every rival motion (`rival_motions`) has been off by RIVAL_DISTANCE
tolerances. A lawful trajectory whose start is free comes to within a quarter of such a distance (docs/design/
tolerances.md), so that at less a rival might pass for lawful. What is decided depends on the clip alone, not on who is
judged; what is not lawful always counts in full: nothing undecided excuses a break. Where all that is decided is out of
sight, time weighs so only for those who show it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.shadowing.placed_bodies import PlacedBodies

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

RIVAL_DISTANCE = 4.0  # tolerances by which every rival is off where something is decided
UNDECIDED = 0.1  # weight of a lawful frame in which nothing is


def decided(seen: PlacedBodies, tolerance: float) -> Mask:
    """Where the motion of a body is decided (T, N); everywhere, where rivals are not known."""
    if seen.rival_distance is None:
        return np.ones(seen.expected_visible.shape, dtype=bool)
    return np.asarray(seen.rival_distance > RIVAL_DISTANCE * tolerance)


def importance(decisive: Mask, lawful: Mask, due: Mask) -> Array:
    """Weights of frames (T, N).

    Args:
        decisive: Where something is decided; where nothing is in the frames that are due, all weigh the same.
        lawful: Where the motion is lawful and unbroken.
        due: Where ground truth or the prediction shows a body.
    """
    if not (decisive & due).any():
        return np.ones(decisive.shape)
    return np.where(decisive | ~lawful, 1.0, UNDECIDED)


def share_of_level(seen: PlacedBodies, tolerance: float) -> float:
    """Weight of a tolerance: the mean weight of the frames in which ground truth shows a body."""
    due = seen.expected_visible
    return float(np.where(decided(seen, tolerance), 1.0, UNDECIDED)[due].mean()) if due.any() else 1.0
