"""A trace of shadowing holds what the report draws."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest

from physbench.clips.clip import Clip
from physbench.shadowing import Shadowing, shadow
from physbench.shadowing.shadow import KEPT_WINDOW, load_trace, save_trace, trace
from physbench.support.errors import UsageError
from physbench.track.tracks import Tracks

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
