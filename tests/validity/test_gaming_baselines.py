"""Gaming baselines do what they say and know nothing of the future."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.validity.gaming_baselines import GAMING_BASELINES, accelerate, moving_bodies, straight, turn
from physbench.validity.violations import Inapplicable

Clips = Callable[..., Clip]
Frames = NDArray[np.uint8]

PROJECTILE, HEAD_ON = "falling/projectile-v1", "collisions/head-on-v1"
CONTEXT = 8


def make(clip: Clip, name: str) -> Frames:
    return GAMING_BASELINES[name].make(clip, CONTEXT)


def coloured(frames: Frames) -> NDArray[np.bool_]:
    return np.ptp(frames.astype(int), axis=-1) > 60


def blinded(clip: Clip) -> Clip:
    """The clip with all that follows the hand-over wiped out, also what the scene says of it."""
    frames, states = clip.frames.copy(), clip.states.copy()
    frames[clip.handover + 1 :], states[clip.handover + 1 :] = 0, 0.0
    bodies = tuple(
        replace(
            body,
            until=None if (body.until or 0) > 0 else body.until,
            release=None if (body.release or 0) > 0 else body.release,
            path=tuple(point for point in body.path if point.time <= 0),
        )
        for body in clip.scene.bodies
    )
    impulses = tuple(each for each in clip.scene.impulses if each.time < 0)
    scene = replace(clip.scene, bodies=bodies, impulses=impulses, horizon=0.1, outcomes=(), free=())
    return replace(clip, scene=scene, frames=frames, states=states, contacts=())


@pytest.mark.parametrize("name", GAMING_BASELINES)
@pytest.mark.parametrize("task", [PROJECTILE, pytest.param(HEAD_ON, marks=pytest.mark.slow)])
def test_a_cheat_answers_in_full_and_does_not_look_ahead(clip_of: Clips, task: str, name: str) -> None:
    clip = clip_of(task)
    if name.endswith("drop") and task == HEAD_ON:
        pytest.skip("nothing falls there")
    if name == "truth-straight" and task == HEAD_ON:
        pytest.skip("after a second both balls go straight on")
    frames = make(clip, name)
    assert frames.shape == clip.future().shape and frames.dtype == np.uint8
    assert not np.array_equal(frames, clip.future())
    if name != "truth-straight":  # which shows a second of ground truth
        assert np.array_equal(make(blinded(clip), name), frames)


def test_a_constant_acceleration_is_that_of_free_fall_and_a_circle_is_followed_around_a_star(clip_of: Clips) -> None:
    thrown, orbit = clip_of(PROJECTILE), clip_of("orbits/kepler-v1")
    for clip, function, span, most in ((thrown, accelerate, 0.2, 0.01), (orbit, turn, 0.3, 0.02)):
        ahead = clip.times[clip.handover + 1 :]
        bodies, early = moving_bodies(clip), ahead <= span
        found = function(clip, clip.states[clip.handover], ahead)[early][:, bodies, :3]
        true = clip.states[clip.handover + 1 :][early][:, bodies, :3]
        straight_on = straight(clip, clip.states[clip.handover], ahead)[early][:, bodies, :3]
        assert np.abs(found - true).max() < most < np.abs(straight_on - true).max()


def test_truth_is_shown_for_a_second_and_then_left(clip_of: Clips) -> None:
    clip = clip_of(PROJECTILE)
    frames, first = make(clip, "truth-straight"), round(clip.spec.fps)
    assert np.array_equal(frames[:first], clip.future()[:first])
    assert not np.array_equal(frames[first + 8], clip.future()[first + 8])


def test_what_rests_lies_on_the_floor_from_the_first_frame_on(clip_of: Clips) -> None:
    clip = clip_of(PROJECTILE)
    frames = make(clip, "rest")
    assert (frames == frames[0]).all()
    lowest = np.flatnonzero(coloured(frames[0]).any(axis=1)).max()
    floor = np.flatnonzero((clip.frames[0] != clip.frames[0, 0, 0]).any(axis=(1, 2)))[-1]
    landed = max(np.flatnonzero(coloured(f).any(axis=1)).max() for f in clip.future())
    assert abs(lowest - landed) <= 1 and lowest <= floor


def test_what_leaves_is_soon_gone(clip_of: Clips) -> None:
    for name, first in (("leave", 0), ("straight-leave", 4)):
        frames = make(clip_of(PROJECTILE), name)
        assert not coloured(frames[first + 8 :]).any() and coloured(frames[first]).any()


@pytest.mark.slow
def test_constant_velocity_comes_first(clip_of: Clips) -> None:
    clip = clip_of(PROJECTILE)
    straight = make(clip, "straight")
    for name in (name for name in GAMING_BASELINES if name.startswith(("straight-", "limp"))):
        assert np.array_equal(make(clip, name)[:4], straight[:4])  # 0.3 s at 15 frames/s


def test_the_context_comes_again_and_the_history_comes_backwards(clip_of: Clips) -> None:
    clip = clip_of(PROJECTILE)
    seen = clip.context(CONTEXT)
    assert np.array_equal(make(clip, "loop")[8:16], seen)
    assert np.array_equal(make(clip, "reverse")[0], clip.frames[clip.handover - 1])
    assert np.array_equal(make(clip, "pingpong")[:7], seen[:-1][::-1])


def test_what_follows_constant_velocity_follows_from_what_was_shown(clip_of: Clips) -> None:
    clip = clip_of(PROJECTILE)
    frames, lead = make(clip, "straight-loop"), make(clip, "straight")[:4]
    assert np.array_equal(frames[4:12], np.concatenate([clip.context(4), lead]))
    assert np.array_equal(make(clip, "straight-reverse")[4:7], lead[:3][::-1])
    assert np.array_equal(make(clip, "straight-black")[4:], make(clip, "black")[4:])
    fading = make(clip, "straight-fade")
    assert coloured(fading[4]).any() and not coloured(fading[-1]).any()


def test_where_no_frame_lies_in_the_time_of_constant_velocity_there_is_none(clip_of: Clips) -> None:
    clip = clip_of(PROJECTILE, fps=3.0)
    assert (
        GAMING_BASELINES["straight-rest"].make(clip, 2).shape == GAMING_BASELINES["straight-loop"].make(clip, 2).shape
    )
    assert np.array_equal(GAMING_BASELINES["straight-rest"].make(clip, 2), GAMING_BASELINES["rest"].make(clip, 2))


def test_a_holder_that_will_vanish_is_there_for_a_gaming_baseline(clip_of: Clips) -> None:
    clip = clip_of(PROJECTILE)
    floor = next(body for body in clip.scene.bodies if body.shape == "plane" or body.role == "fixed")
    bodies = tuple(replace(body, until=0.5) if body.name == floor.name else body for body in clip.scene.bodies)
    gone = replace(clip, scene=replace(clip.scene, bodies=bodies))
    assert np.array_equal(make(gone, "rest"), make(clip, "rest"))


def test_nothing_drops_where_nothing_falls(clip_of: Clips) -> None:
    with pytest.raises(Inapplicable, match="straight on"):
        make(clip_of(HEAD_ON), "drop")
