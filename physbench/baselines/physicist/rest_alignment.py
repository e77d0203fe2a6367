"""Where a body that rests must be for a picture of it to be the frame.

The edges of a box that stands upright fall on the renderer's grid of half pixels, and between two hues that touch there
are mixed pixels: the middle of what is seen of it is up to half a pixel off, the same in all frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.world.camera import PLANE_AXES
from physbench.world.rendering import render

Array = NDArray[np.float64]

SEARCH_RADII = (0.6, 0.3)  # px to either side that are tried
TRIALS_PER_ROUND = 25  # places in a round


def align_to_frame(view: Clip, states: Array, bodies: Sequence[int]) -> None:
    """Move bodies that rest sideways, in states (N, 13), so that pictures of them differ least from the last frame.

    Pictures of places between which nothing changes are alike: of those the middle is taken.
    """
    side = PLANE_AXES[view.scene.camera.view][0]
    frame = view.frames[-1].astype(np.int64)
    for most in SEARCH_RADII:
        for index in bodies:
            shifts = np.linspace(-most, most, TRIALS_PER_ROUND) / view.pixels_per_metre
            trials = np.repeat(states[None], TRIALS_PER_ROUND, axis=0)
            trials[:, index, side] += shifts
            shown = render(view.scene, np.zeros(TRIALS_PER_ROUND), trials, view.spec).frames
            off = np.abs(shown - frame).sum(axis=(1, 2, 3))
            states[index, side] += float(shifts[off == off.min()].mean())
