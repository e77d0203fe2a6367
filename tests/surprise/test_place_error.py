"""Surprise in tracks: places of coloured bodies in predicted and in true frames."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from physbench.clips.clip import Clip
from physbench.surprise.clip_films import MOST_PLACE_ERROR, coloured_places, place_error
from physbench.surprise.films import film_of
from physbench.track.colour import colours_of
from physbench.track.tracker import track
from physbench.world.camera import pixels_per_metre

Clips = Callable[..., Clip]
PROJECTILE, BILLIARDS = "falling/projectile-v1", "collisions/billiards-v1"


def diameter(clip: Clip) -> float:
    """px of the first body."""
    return 2 * clip.tracked_bodies[0].size[0] * pixels_per_metre(clip.scene.camera, clip.spec)


def in_view(clip: Clip) -> np.ndarray:
    """Frames in which all of the first body is seen."""
    k = clip.tracked[0]
    return np.flatnonzero(clip.visible_area[:, k] >= 0.999 * clip.full_area[:, k])


@pytest.mark.parametrize("size", [64, 128, pytest.param(512, marks=pytest.mark.slow)])
def test_a_body_is_where_the_tracker_finds_it(clip_of: Clips, size: int) -> None:
    import torch

    clip = clip_of(PROJECTILE, size=size)
    frames = clip.frames[clip.window(4)]
    hue = clip.tracked_bodies[0].hue
    assert hue is not None
    places = coloured_places(frames, colours_of((hue,), torch.device("cpu")), np.ones(1))
    tracked = track(clip, 4, frames).position
    both = np.isfinite(tracked).all(-1) & np.isfinite(places).all(-1)
    assert both.sum() > 20
    assert np.linalg.norm(places - tracked, axis=-1)[both].max() < 0.06 * diameter(clip)


@pytest.mark.parametrize("pixels", [1, 3])
def test_a_prediction_that_is_off_is_wrong_by_so_many_diameters(clip_of: Clips, pixels: int) -> None:
    clip = clip_of(PROJECTILE)
    true = clip.frames[in_view(clip)[:6]]
    assert place_error(clip, true, true) == 0.0
    moved = np.roll(true, pixels, axis=2)
    assert place_error(clip, moved, true) == pytest.approx(pixels / diameter(clip), rel=1e-6)
    assert place_error(clip, true, moved) == place_error(clip, moved, true)


def test_what_is_seen_in_one_alone_counts_most_and_what_is_seen_in_none_nothing(clip_of: Clips) -> None:
    clip = clip_of(PROJECTILE)
    true = clip.frames[in_view(clip)[:6]]
    empty = np.full_like(true, 128)
    assert place_error(clip, empty, true) == place_error(clip, true, empty) == MOST_PLACE_ERROR
    assert place_error(clip, empty, empty) == 0.0
    far = np.roll(true, 32, axis=2)
    assert place_error(clip, far, true) == MOST_PLACE_ERROR


def test_hues_that_are_exchanged_are_bodies_elsewhere(clip_of: Clips) -> None:
    clip = clip_of(BILLIARDS)
    other = film_of(clip, "exchange:1", 4).frames
    late = slice(-3, None)
    error = place_error(clip, clip.frames[late], other[late])
    assert 2 / len(clip.tracked) * 0.9 <= error / MOST_PLACE_ERROR <= 1.0
