"""Exchanges of bodies in view, on tracks made by hand and through frames of true clips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from physbench.clips.clip import Clip
from physbench.scorers.axes.permanence import _miss, exchanged
from physbench.track.tracker import track
from physbench.track.tracks import Tracks
from physbench.world.drawing import render

Clips = Callable[..., Clip]
C = 8


def true_tracks(clip: Clip) -> Tracks:
    return track(clip, C, clip.frames[clip.window(C)])


def permuted(tracks: Tracks, order: list[int], first: int, last: int | None = None) -> Tracks:
    position = tracks.position.copy()
    position[first:last] = position[first:last][:, order]
    return replace(tracks, position=position)


@pytest.mark.parametrize("task", ("collisions/billiards-v1", "collisions/head-on-v1", "orbits/kepler-v1"))
def test_lawful_motion_exchanges_nothing(clip_of: Clips, task: str) -> None:
    assert not exchanged(clip_of(task), true_tracks(clip_of(task))).any()


@pytest.mark.parametrize("task", ("collisions/billiards-v1", "orbits/kepler-v1", "orbits/binary-v1"))
def test_from_an_exchange_on_neither_is_itself(clip_of: Clips, task: str) -> None:
    """Also where both come to lie in the frames in which they are not measured, and until they are changed back."""
    clip = clip_of(task)
    tracks = true_tracks(clip)
    order = [1, 0, *range(2, len(tracks.names))]
    swapped = permuted(tracks, order, C + 10, C + 30)
    swapped.position[C + 9 : C + 11] = np.nan
    wrong = np.zeros(tracks.area.shape, dtype=bool)
    wrong[C + 11 : C + 30, :2] = True
    assert np.array_equal(exchanged(clip, swapped), wrong)


def test_three_bodies_that_change_round_are_all_exchanged(clip_of: Clips) -> None:
    clip = clip_of("collisions/billiards-push-v1")
    tracks = true_tracks(clip)
    moved = permuted(tracks, [1, 2, 0, *range(3, len(tracks.names))], C + 10)
    assert exchanged(clip, moved)[C + 10 :, :3].all()


def test_one_body_that_jumps_is_no_exchange(clip_of: Clips) -> None:
    clip = clip_of("collisions/billiards-v1")
    tracks = true_tracks(clip)
    position = tracks.position.copy()
    position[C + 10 :, 0] = position[C + 10 :, 1] + 2.0
    assert not exchanged(clip, replace(tracks, position=position)).any()


def test_what_has_no_velocity_on_either_side_is_no_match(clip_of: Clips) -> None:
    """Each of two bodies is seen once before and once after a jump: nothing tells which went where."""
    tracks = true_tracks(clip_of("collisions/billiards-v1"))
    once = np.array([C])
    assert np.isnan(_miss(tracks, (0, C), (1, C + 3), once, once + 3))


def test_hues_exchanged_at_a_contact_are_seen_in_frames(clip_of: Clips) -> None:
    """Balls of one mass that exchange velocities, too: what comes and goes on is then of one hue."""
    clip = clip_of("collisions/head-on-v1")
    time = next(each.time for each in clip.contacts if each.time > 0)
    bodies = list(clip.scene.bodies)
    first, second = clip.tracked
    bodies[first] = replace(bodies[first], hue=clip.scene.bodies[second].hue)
    bodies[second] = replace(bodies[second], hue=clip.scene.bodies[first].hue)
    late = clip.times > time
    frames = clip.frames.copy()
    scene = replace(clip.scene, bodies=tuple(bodies))
    frames[late] = render(scene, clip.times[late], clip.states[late], clip.spec).frames
    found = exchanged(clip, track(clip, C, frames[clip.window(C)]))
    begun = int(np.flatnonzero(found.any(axis=1))[0])
    assert found[begun:].all() and abs(clip.times[clip.window(C)][begun] - time) < 0.25
