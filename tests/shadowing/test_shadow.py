"""Shadowing of tracks of pictures, and of states without the camera; its trace holds what the report draws."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest

from physbench.clips.clip import Clip
from physbench.shadowing import Shadowing, shadow, shadow_states, why_not
from physbench.shadowing.shadow import KEPT_WINDOW, load_trace, save_trace, trace
from physbench.support.errors import UsageError
from physbench.track.tracker import track
from physbench.track.tracks import Tracks

CONTEXT = 6


@pytest.mark.parametrize("task", ["falling/projectile-v1", "occlusion/screen-swap-v1", "orbits/binary-v1"])
def test_pictures_of_truth_are_lawful(clip_of: Callable[..., Clip], task: str) -> None:
    clip = clip_of(task)
    found = shadow(clip, track(clip, CONTEXT, clip.frames[clip.window(CONTEXT)]))
    assert found is not None
    assert found.explained == pytest.approx(1.0, abs=1e-6)
    assert found.shadowed == pytest.approx(1.0, abs=1e-6)
    assert found.jitter < 0.02
    assert found.handover_discontinuity == (0.0, 0.0)


@pytest.mark.parametrize("task", ["falling/projectile-v1", "collisions/head-on-v1"])
def test_a_frozen_picture_is_not(clip_of: Callable[..., Clip], task: str) -> None:
    clip = clip_of(task)
    frames = clip.frames[clip.window(CONTEXT)].copy()
    frames[CONTEXT:] = frames[CONTEXT - 1]
    found = shadow(clip, track(clip, CONTEXT, frames))
    assert found is not None
    assert found.explained < 0.15
    assert found.shadowed < 0.15


def test_lift_freeze_is_lawful_where_truth_rests(clip_of: Callable[..., Clip], ideal: Callable[..., Tracks]) -> None:
    clip = clip_of("occlusion/screen-lift-v1")
    found = shadow(clip, ideal(clip, CONTEXT))
    assert found is not None
    assert found.quality == 1.0


@pytest.mark.slow
def test_another_gravity_is_forgiven_only_where_nothing_shows_it(
    clip_of: Callable[..., Clip], ideal: Callable[..., Tracks]
) -> None:
    """Truth seen as if gravity were 0.8 of it: heights are kept, the clock runs slower."""
    clip = clip_of("falling/drop-bounce-v1")

    def slow(context: int) -> Tracks:
        window = clip.window(context)
        px = clip.px_positions()[window].copy()
        at = np.interp(clip.times[window] * np.sqrt(0.8), clip.times, np.arange(len(clip.times)))
        every = clip.px_positions()[:, 0]
        x = np.arange(len(every))
        px[context:, 0] = np.stack([np.interp(at[context:], x, every[:, axis]) for axis in (0, 1)], axis=-1)
        return ideal(clip, context, px)

    strict, lenient, shown = shadow(clip, slow(1)), shadow(clip, slow(1), free=True), shadow(clip, slow(6), free=True)
    assert strict is not None
    assert lenient is not None
    assert shown is not None
    assert strict.factor == shown.factor == 1.0
    assert lenient.factor == pytest.approx(0.8, abs=0.1)
    assert lenient.explained > strict.explained


def test_states_are_shadowed_without_the_camera(clip_of: Callable[..., Clip]) -> None:
    clip = clip_of("collisions/head-on-v1")
    times, states = clip.times[clip.window(CONTEXT)], clip.states[clip.window(CONTEXT)]
    found = shadow_states(clip, times, states)
    assert found is not None
    assert found.quality == 1.0
    lifted = states.copy()
    lifted[CONTEXT + 10 :, 0, 2] += 0.5  # towards the viewer: no picture shows it
    off = shadow_states(clip, times, lifted)
    assert off is not None
    assert off.explained < 0.8


def test_no_law_moves_towers(clip_of: Callable[..., Clip], ideal: Callable[..., Tracks]) -> None:
    clip = clip_of("falling/stack-v1")
    assert shadow(clip, ideal(clip, CONTEXT)) is None
    assert why_not(clip)
    assert why_not(clip_of("collisions/head-on-v1")) is None


@pytest.mark.parametrize("task", ["orbits/binary-v1", "collisions/billiards-v1", "falling/projectile-v1"])
def test_what_explodes_is_lawful_up_to_there(clip_of: Callable[..., Clip], task: str) -> None:
    """Candidates that are fitted to it leave all bounds with it, and are dropped."""
    clip = clip_of(task)
    times, states = clip.times[clip.window(CONTEXT)], clip.states[clip.window(CONTEXT)].copy()
    first = int(np.searchsorted(times, 1.0))
    states[first:] *= 10.0 ** np.minimum(8.0 * np.arange(len(times) - first), 60.0)[:, None, None]
    found = shadow_states(clip, times, states)
    assert found is not None
    assert (found.explained + found.shadowed) / 2 == pytest.approx(1.0 / clip.scene.horizon, abs=0.02)
    assert found.strength == 2.0


Clips, Ideal = Callable[..., Clip], Callable[..., Tracks]
C = 8


@pytest.fixture(scope="module")
def clip(clip_of: Clips) -> Clip:
    return clip_of("collisions/head-on-v1", size=128, fps=30.0)


@pytest.fixture(scope="module")
def jumping(clip: Clip, ideal: Ideal) -> Tracks:
    """The first ball is 0.4 diameters higher from 1 s on."""
    px = clip.px_positions()[clip.window(C)]
    px[clip.times[clip.window(C)] > 1.0, 0, 1] -= 0.4 * clip.diameters()[0, 0] * clip.pixels_per_metre
    return ideal(clip, px=px, seen=np.ones(px.shape[:2], bool))


@pytest.fixture(scope="module")
def jumped(clip: Clip, jumping: Tracks) -> Shadowing:
    found = shadow(clip, jumping)
    assert found is not None
    return found


def test_a_way_that_cannot_be_drawn_ends_nothing(
    clip: Clip, jumping: Tracks, jumped: Shadowing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("odd")

    found = trace(clip, jumping, jumped)
    assert found is not None and len(found.rung)
    monkeypatch.setattr(sys.modules[trace.__module__], "lawful_path", broken)
    bare = trace(clip, jumping, jumped)
    assert bare is not None and np.isnan(bare.lawful).all()
    np.testing.assert_array_equal(bare.time, found.time)


def test_truth_has_a_trace_without_breaks(clip: Clip, ideal: Ideal) -> None:
    tracks = ideal(clip)
    assert trace(clip, tracks, None) is None  # nobody asked for shadowing
    found = trace(clip, tracks, shadow(clip, tracks))
    assert found is not None
    assert len(found.rung) == 0 and found.due.any(axis=0).all() and not found.due[:C].any()
    assert np.all(found.explained[found.due] == 1) and np.isnan(found.explained[~found.due]).all()
    assert found.columns.tolist() == [0, 1]


def test_the_lawful_way_around_a_break_is_that_without_the_jump(clip: Clip, jumping: Tracks, jumped: Shadowing) -> None:
    found = trace(clip, jumping, jumped)
    assert found is not None
    assert [int((found.rung == r).sum()) for r in range(len(found.rungs))] == [
        len(rung.breaks) for rung in jumped.levels
    ]
    first = found.distinct()[0]
    assert found.rung[first] == 2
    assert found.body[first] == 0 and found.time[first] == pytest.approx(1.0, abs=0.1)
    assert found.jump[first] == pytest.approx(0.4, abs=0.1)
    reach = round(KEPT_WINDOW * clip.spec.fps)
    frames = found.moment(first) + np.arange(-reach, reach + 1)
    true = clip.px_positions()[clip.window(C)][frames, 0]
    diameter = clip.diameters()[0, 0] * clip.pixels_per_metre
    assert np.abs(found.lawful[first] - true).max() < 0.15 * diameter
    assert np.abs(jumping.position[frames, 0] - true).max() > 0.35 * diameter


def test_it_is_stored_as_it_is_and_small(clip: Clip, jumping: Tracks, jumped: Shadowing, tmp_path) -> None:  # type: ignore[no-untyped-def]
    found = trace(clip, jumping, jumped)
    assert found is not None
    path = tmp_path / "one.npz"
    save_trace(path, found)
    again = load_trace(path)
    assert again is not None
    for name, array in vars(found).items():
        assert np.array_equal(array, getattr(again, name), equal_nan=array.dtype.kind == "f"), name
    assert path.stat().st_size < 8000
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UsageError, match="Resume the run"):
        load_trace(path)
    assert load_trace(tmp_path / "none.npz") is None
