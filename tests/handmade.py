"""Tracks made from places instead of pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.track.tracks import Tracks, Visibility
from physbench.world.camera import px_from_plane


def tracks_at(clip: Clip, places: NDArray[np.float64], context: int = 8, noise_px: float = 0.0) -> Tracks:
    """Tracks of all objects, seen in full, at places (T, K, 2) m in the predicted frames; NaN: absent.

    The context is ground truth. noise_px: sd of every coordinate.
    """
    window = clip.window(context)
    position = clip.px_positions()[window].copy()
    position[context:] = px_from_plane(clip.scene.camera, clip.spec, places)
    position += np.random.default_rng(0).normal(0, noise_px, position.shape)
    there = np.isfinite(position[..., 0])
    whole = clip.full_area[window][:, list(clip.tracked)].astype(np.float64)
    many, objects = whole.shape
    return Tracks(
        names=tuple(body.name for body in clip.tracked_bodies),
        times=clip.times[window],
        context=context,
        position=position,
        position_sd=np.where(there, noise_px, np.nan),
        area=np.where(there, whole, 0.0),
        hue=np.where(there, 0.0, np.nan),
        state=np.where(there, Visibility.VISIBLE, Visibility.ABSENT).astype(np.uint8),
        duplicates=np.zeros((many, objects), np.uint8),
        hallucinations=np.zeros(many, np.uint8),
    )


def true_places(clip: Clip) -> NDArray[np.float64]:
    """True places (T, K, 2) m in the predicted frames."""
    return clip.plane_positions()[clip.handover + 1 :].copy()


def times_ahead(clip: Clip) -> NDArray[np.float64]:
    """(T,) s of the predicted frames."""
    return clip.times[clip.handover + 1 :]
