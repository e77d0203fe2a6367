"""Aligns bodies at rest with the last frame by rendering them.

The edges of an upright box fall on the renderer's grid of half pixels, and pixels between two touching hues are mixed:
the tracked centre is up to half a pixel difference, by the same amount in all frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.looks.known_looks import draw
from physbench.world.camera import PLANE_AXES

Array = NDArray[np.float64]

SEARCH_RADII = (0.6, 0.3)  # px to either side, round by round
TRIALS_PER_ROUND = 25  # positions


def align_to_frame(view: Clip, states: Array, bodies: Sequence[int]) -> None:
    """Move resting bodies sideways, in states (N, 13), so that renderings differ least from the last frame.

    Of positions with equal renderings, the middle is taken.
    """
    side = PLANE_AXES[view.scene.camera.view][0]
    frame = view.frames[-1].astype(np.int64)
    for most in SEARCH_RADII:
        for index in bodies:
            shifts = np.linspace(-most, most, TRIALS_PER_ROUND) / view.pixels_per_metre
            trials = np.repeat(states[None], TRIALS_PER_ROUND, axis=0)
            trials[:, index, side] += shifts
            rendered = draw(view.scene, np.zeros(TRIALS_PER_ROUND), trials, view.spec).frames
            difference = np.abs(rendered - frame).sum(axis=(1, 2, 3))
            states[index, side] += float(shifts[difference == difference.min()].mean())
