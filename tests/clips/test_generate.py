"""Clips are pure functions of row and render spec."""

from __future__ import annotations

import numpy as np
import pytest

from physbench.clips.clip import Row
from physbench.clips.generate import grid_states, make_clip, make_scene, render_spec, state_hash
from physbench.support.errors import UsageError

ROW = Row("falling/projectile-v1", "test", 7)


def test_clip_is_deterministic_and_states_do_not_depend_on_the_spec() -> None:
    slow, again = (make_clip(ROW, render_spec(32, 10)) for _ in range(2))
    for name in ("frames", "states", "visible_area", "full_area", "times"):
        assert np.array_equal(getattr(slow, name), getattr(again, name)), name
    fast = make_clip(ROW, render_spec((32, 48), 24))
    assert fast.frames.shape == (145, 32, 48, 3) and slow.frames.shape == (61, 32, 32, 3)
    assert slow.state_hash == fast.state_hash == state_hash(grid_states(make_scene(ROW)))
    assert slow.contacts == fast.contacts
    # every fifth frame at 10/s and every twelfth at 24/s are the same instants
    np.testing.assert_array_equal(slow.states[::5], fast.states[::12])
    assert slow.times[slow.handover] == 0 and slow.horizon == 40
    other = make_clip(Row(ROW.task, ROW.split, 8), render_spec(32, 10))
    assert other.state_hash != slow.state_hash


def test_state_hash_sees_micrometres_and_not_rounding_noise() -> None:
    states = np.zeros((3, 2, 13))
    states[..., 0] = 0.25
    base = state_hash(states)
    assert state_hash(states + 1e-9) == base
    moved, turned = states.copy(), states.copy()
    moved[1, 0, 7] += 2e-6
    turned[1, 0, 4] += 1.0  # orientation is not seen
    assert state_hash(moved) != base and state_hash(turned) == base
    assert state_hash(-np.zeros((1, 1, 13))) == state_hash(np.zeros((1, 1, 13)))


@pytest.mark.parametrize(("size", "fps"), [(8, 15), (4096, 15), (64, 7), (64, 0), (64, 120)])
def test_render_spec_is_checked(size: int, fps: float) -> None:
    with pytest.raises(UsageError, match=r"Use (64|1, 2, 3, 4, 5)"):
        render_spec(size, fps)


def test_a_rate_is_one_rate_as_a_whole_number_too() -> None:
    assert repr(render_spec(64, 30)) == repr(render_spec(64, 30.0))  # the key of a stored clip is made of it


def test_unknown_task() -> None:
    with pytest.raises(UsageError, match="Did you mean falling/projectile-v1"):
        make_scene(Row("falling/projectil-v1", "test", 0))
