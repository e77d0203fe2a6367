"""Zooms that bodies tell by growing together, and bodies that grow alone."""

from __future__ import annotations

import numpy as np
import pytest
from kept_clips import kept_clip

from physbench.clips.clip import Clip
from physbench.track.camera import common_growth, is_shown
from physbench.track.tracker import track
from physbench.validity.lawful_alternatives import filmed
from physbench.validity.sources import show

CONTEXT, FPS = 8, 15.0
TIMES = np.arange(1, 61) / FPS


def errors(clip: Clip, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances from the true places in diameters, where they are seen whole, and the zoom of each frame."""
    tracks = track(clip, CONTEXT, np.concatenate([clip.context(CONTEXT), frames]))
    window = clip.window(CONTEXT)
    off = np.linalg.norm(tracks.position - clip.px_positions()[window], axis=-1)[CONTEXT:]
    off = off / (clip.diameters()[window][CONTEXT:] * clip.pixels_per_metre)
    assert tracks.camera is not None
    return off[clip.visible_share()[window][CONTEXT:] > 0.97], tracks.camera[CONTEXT:, 2]


@pytest.mark.slow
@pytest.mark.parametrize("rate", (0.03, -0.03))
@pytest.mark.parametrize("task", ("orbits/binary-v1", "orbits/kepler-v1", "falling/projectile-v1", "falling/stack-v1"))
def test_bodies_and_what_stands_still_tell_a_zoom(task: str, rate: float) -> None:
    clip = kept_clip(task, size=128, fps=FPS)
    times = clip.times[clip.handover + 1 :]
    off, zoom = errors(clip, filmed(clip.future(), times, zoom=rate))
    assert zoom == pytest.approx(rate * times, abs=0.03)
    assert np.nanpercentile(off, 95) < 0.03


@pytest.mark.parametrize("task", (pytest.param("falling/drop-bounce-v1", marks=pytest.mark.slow), "orbits/binary-v1"))
def test_a_body_that_grows_alone_is_no_zoom(task: str) -> None:
    """Over a floor that stays, and beside another body that does."""
    clip = kept_clip(task, size=128, fps=FPS)
    assert not errors(clip, show(clip, CONTEXT, "size:1.25").frames)[1].any()


def test_a_shared_growth_is_smooth_and_begins_at_none() -> None:
    """Styles draw bodies larger from the start, one by 3 %; noise is 1 %; one body is hidden for a second."""
    rng = np.random.default_rng(0)
    grown = (1 + 0.03 * TIMES[:, None]) * [1.0, 1.03] * (1 + rng.normal(0, 0.01, (60, 2)))
    grown[20:35, 1] = np.nan
    assert common_growth(grown, FPS)[0] == pytest.approx(0.03 * TIMES, abs=0.012)


def test_what_bodies_do_not_share_is_none() -> None:
    rng = np.random.default_rng(0)
    noise = 1 + rng.normal(0, 0.01, (60, 2))
    alone = np.stack([1 - 0.025 * TIMES, np.ones(60)], axis=1)
    assert not common_growth(noise, FPS)[0].any()
    assert not common_growth(alone * noise, FPS)[0].any()
    assert not common_growth(np.full((60, 2), np.nan), FPS)[0].any()


def test_a_zoom_takes_what_stands_still_away_from_the_middle() -> None:
    expected = np.linspace(0, 3, 30)
    assert is_shown(expected + 0.1, expected, False)
    assert not is_shown(np.zeros(30), expected, True)
    assert is_shown(np.full(30, np.nan), expected, True)
