"""Clips are pure functions of row and render spec."""

from __future__ import annotations

import numpy as np
import pytest
from slow_cases import others_slow

from physbench.clips.clip import Row
from physbench.clips.generate import (
    frames_before,
    grid_states,
    make_clip,
    make_scene,
    past_states,
    render_spec,
    state_hash,
)
from physbench.support.errors import UsageError
from physbench.world.bullet import World
from physbench.world.scene import RenderSpec

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


@pytest.mark.parametrize("task", others_slow(["orbits/kepler-v1", "orbits/binary-v1", "orbits/three-body-v1"]))
def test_what_was_before_the_history_leads_to_it(task: str) -> None:
    """The simulator, begun where the flight was run back to, comes to the first frame."""
    clip = make_clip(Row(task, "test", 0), RenderSpec(32, 32, 24))
    past = past_states(clip, 25)
    assert past is not None
    with World(clip.scene, float(clip.times[0]) - 25 / 24, past[:1], log=False) as world:
        for state in [*past, clip.states[0], clip.states[1]]:
            np.testing.assert_allclose(world.states()[0][:, :3], state[:, :3], atol=1e-7)
            np.testing.assert_allclose(world.states()[0][:, 7:10], state[:, 7:10], atol=1e-7)
            world.advance(world.time + 1 / 24)
    frames = frames_before(clip, 25)
    assert frames.shape == (25, *clip.frames.shape[1:]) and len({frame.tobytes() for frame in frames}) > 12


def test_a_path_comes_straight_and_what_is_held_stays() -> None:
    lifted = make_clip(Row("occlusion/screen-lift-v1", "test", 0), RenderSpec(32, 32, 24))
    past = past_states(lifted, 25)
    assert past is not None
    plate = [*past[:, lifted.scene.index("plate"), 2], *lifted.states[:5, lifted.scene.index("plate"), 2]]
    np.testing.assert_allclose(np.diff(plate), plate[-1] - plate[-2], atol=1e-9)
    assert not np.array_equal(frames_before(lifted, 1), lifted.frames[:1]), "one frame before is another one, too"
    held = make_clip(Row("falling/projectile-v1", "test", 0), RenderSpec(32, 32, 24))
    assert np.array_equal(frames_before(held, 3), held.frames[[0, 0, 0]])


def test_a_past_that_cannot_be_run_back_repeats_the_first_frame() -> None:
    dragged = make_clip(Row("orbits/decay-v1", "test", 0), RenderSpec(32, 32, 24))
    assert past_states(dragged, 25) is None
    assert np.array_equal(frames_before(dragged, 2), dragged.frames[[0, 0]])
