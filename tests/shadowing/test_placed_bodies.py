"""Where bodies are placed: the start of a motion is as free after every number of context frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from physbench.clips.clip import Clip
from physbench.shadowing import shadow
from physbench.shadowing.observed_motion import from_tracks
from physbench.shadowing.shadow import place_bodies, scene_law_of
from physbench.track.tracker import track
from physbench.track.tracks import Tracks
from physbench.validity.violations import find_acts, violate
from physbench.world.camera import px_from_world

ClipOf = Callable[..., Clip]
Ideal = Callable[..., Tracks]

WALL = "collisions/wall-bounce-v1"
CONTEXTS = (2, 4, 8, 16)


def kicked(clip: Clip, context: int, ideal: Ideal) -> Tracks:
    """Tracks of ground truth in which a ball gains 0.5 m/s."""
    tracks = ideal(clip, context)
    world = violate(clip.scene, find_acts("kick:0.5"), clip.id)
    states = world.states(clip.times)[clip.window(context)][:, list(clip.tracked), :3]
    noise = tracks.position - clip.px_positions()[clip.window(context)]
    return replace(tracks, position=px_from_world(clip.scene.camera, clip.spec, states) + noise)


def test_the_same_wrong_future_reads_the_same_after_every_video(clip_of: ClipOf, ideal: Ideal) -> None:
    """Up to two steps of the grid of tolerances: searches end elsewhere for other places."""
    clip = clip_of(WALL, seed=1)
    found = [shadow(clip, kicked(clip, context, ideal)) for context in CONTEXTS]
    sizes = [each.strength for each in found if each is not None]
    assert len(sizes) == len(CONTEXTS)
    assert min(sizes) > 0.1 and max(sizes) / min(sizes) < 1.45
    truths = [shadow(clip, ideal(clip, context)) for context in CONTEXTS]
    assert all(each is not None and each.quality == 1.0 for each in truths)


def test_a_short_context_leaves_a_start_as_much_freedom_as_a_long_one(clip_of: ClipOf, ideal: Ideal) -> None:
    clip = clip_of(WALL)
    model = scene_law_of(clip)
    assert model is not None
    firsts, shares = [], []
    for context in CONTEXTS:
        placed = place_bodies(clip, ideal(clip, context), model)
        known = np.flatnonzero(placed.moments >= -0.5 - 1e-9)[0]
        firsts.append(placed.moments[known])
        shares.append(placed.tolerance_share[known, 0])
        assert np.array_equal(placed.moments[known + 1 :], placed.times[known + 1 :])
    assert firsts == pytest.approx([firsts[-1]] * len(CONTEXTS), abs=1e-3)
    assert shares == pytest.approx([shares[-1]] * len(CONTEXTS), abs=1e-3)


@pytest.mark.slow
def test_an_image_gets_no_history(clip_of: ClipOf, ideal: Ideal) -> None:
    clip = clip_of(WALL)
    model = scene_law_of(clip)
    assert model is not None
    placed = place_bodies(clip, ideal(clip, 1), model)
    assert placed.moments[0] == placed.times[0] == 0.0
    assert placed.first_velocity is None
    assert np.array_equal(placed.position, from_tracks(clip, ideal(clip, 1), model).position, equal_nan=True)


def test_a_blurred_picture_that_stands_still_reads_as_a_sharp_one(clip_of: ClipOf) -> None:
    """Where ground truth rests is told by its own tracks; those of the blurred picture are half as sure."""
    clip = clip_of("collisions/cradle-v1", seed=2)
    model = scene_law_of(clip)
    assert model is not None
    rests, qualities, sds = [], [], []
    for blur in (0.0, 2.0):  # px
        last = gaussian_filter(clip.frames[clip.handover].astype(float), (blur, blur, 0)).round().astype(np.uint8)
        tracks = track(clip, 8, np.concatenate([clip.context(8), np.repeat(last[None], clip.horizon, axis=0)]))
        rests.append(from_tracks(clip, tracks, model).rests)
        shadowing = shadow(clip, tracks)
        assert shadowing is not None
        qualities.append(shadowing.quality)
        sds.append(np.nanmedian(tracks.position_sd[8:]))
    assert sds[1] > 1.5 * sds[0]
    assert np.array_equal(*rests) and rests[0][8:].any() and not rests[0][8:].all()
    assert qualities[1] == pytest.approx(qualities[0], abs=0.02)
