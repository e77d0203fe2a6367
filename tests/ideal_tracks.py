"""A fixture: tracks made from exact states instead of pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.track.tracks import Tracks, Visibility

NOISE_PX = 0.03


@pytest.fixture(scope="session")
def ideal() -> Callable[..., Tracks]:
    """ideal(clip, context=8, px=None, seen=None): what a perfect tracker with 0.03 px of noise would say.

    px (C + T, K, 2): positions; None: the true ones. seen (C + T, K): what is visible; None: what truly is.
    """

    def tracks(
        clip: Clip, context: int = 8, px: NDArray[np.float64] | None = None, seen: NDArray[np.bool_] | None = None
    ) -> Tracks:
        window = clip.window(context)
        position = (clip.px_positions()[window] if px is None else px).copy()
        position += np.random.default_rng(0).normal(0, NOISE_PX, position.shape)
        share = clip.visible_share()[window]
        whole = clip.full_area[window][:, list(clip.tracked)].astype(np.float64)
        shown = share >= 0.25 if seen is None else seen
        position[~(shown & ((share >= 0.5) | (px is not None)))] = np.nan
        state = np.where(shown, Visibility.VISIBLE, np.where(share < 0.25, Visibility.OCCLUDED, Visibility.ABSENT))
        many, objects = shown.shape
        return Tracks(
            names=tuple(body.name for body in clip.tracked_bodies),
            times=clip.times[window],
            context=context,
            position=position,
            position_sd=np.full((many, objects), NOISE_PX),
            area=np.where(shown, whole * (share if px is None else 1), 0.0),
            hue=np.where(shown, 0.0, np.nan),
            state=state.astype(np.uint8),
            duplicates=np.zeros((many, objects), np.uint8),
            hallucinations=np.zeros(many, np.uint8),
        )

    return tracks
