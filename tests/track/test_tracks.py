"""Tracks of states are exact, and a body that is not where it could be seen has no place."""

from __future__ import annotations

import numpy as np
import pytest

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip
from physbench.track.tracks import FARTHEST, Visibility, resting, state_tracks
from physbench.world.scene import RenderSpec


@pytest.fixture(scope="module")
def clip() -> Clip:
    return make_clip(Row("falling/projectile-v1", "test", 0), RenderSpec(64, 64, 15.0))


def truth(clip):
    return clip.states[clip.handover + 1 :, list(clip.tracked)].copy()


def test_true_states_are_where_the_camera_sees_them(clip) -> None:
    tracks = state_tracks(clip, 8, truth(clip))
    assert np.array_equal(tracks.position, clip.px_positions()[clip.window(8)])
    assert (tracks.position_sd == 0).all() and (tracks.state == Visibility.VISIBLE).all()
    assert not tracks.duplicates.any() and not tracks.hallucinations.any()
    assert tracks.context == 8 and len(tracks.times) == 8 + clip.horizon
    assert repr(tracks) == f"Tracks({tracks.names[0]}; {8 + clip.horizon} frames, 8 of them context)"


def test_a_body_out_of_its_plane_has_no_place_and_one_far_away_is_absent(clip) -> None:
    states = truth(clip)
    states[10, 0, 1] += 0.3  # towards the camera
    states[11, 0, 1] += 0.01
    states[12, 0, 0] += 2 * FARTHEST
    states[13, 0, 2] = np.nan
    tracks = state_tracks(clip, 8, states)
    known = np.isfinite(tracks.position[8:, 0, 0])
    assert np.flatnonzero(~known).tolist() == [10, 12, 13]
    assert np.flatnonzero(tracks.state[8:, 0] == Visibility.ABSENT).tolist() == [12, 13]
    assert np.allclose(tracks.position[8 + 11], clip.px_positions()[clip.window(8)][8 + 11])  # depth moves nothing


def test_missing_moments_are_absent(clip) -> None:
    tracks = state_tracks(clip, 8, truth(clip)[:5])
    assert (tracks.state[8 + 5 :] == Visibility.ABSENT).all() and (tracks.state[: 8 + 5] == Visibility.VISIBLE).all()
    nothing = state_tracks(clip, 8, truth(clip)[:0])
    assert np.isfinite(nothing.position[:8]).all() and np.isnan(nothing.position[8:]).all()


@pytest.mark.parametrize("fps", [10, 15, 30])
def test_what_turns_back_slowly_does_not_rest_and_what_stops_does(fps: int) -> None:
    times = np.arange(4 * fps + 1) / fps
    since = np.stack([times - 2.0, np.zeros(len(times))], axis=-1)[:, None]
    turns, stops = np.abs(since), np.minimum(since, 0.0)
    assert resting(times, 0.09 * turns, 0.1, 0.3).all()
    assert not resting(times, 0.16 * turns, 0.1, 0.3).any()
    rests = resting(times, 0.3 * stops, 0.1, 0.3)[:, 0]
    assert not rests[times < 2.0 - 1e-9].any() and rests[times > 2.15].all()
