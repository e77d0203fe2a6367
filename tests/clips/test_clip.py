"""What a clip says about itself, also where its frames are unpacked when they are asked for."""

from __future__ import annotations

import dataclasses
import pickle
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from physbench.clips.clip import Clip, LazyClip, Row
from physbench.clips.generate import make_clip
from physbench.clips.store import ClipStore
from physbench.world.scene import PALETTE, Impulse, RenderSpec

SPEC = RenderSpec(32, 32, 10)


def test_an_action_stands_in_the_row_of_the_first_frame_that_shows_its_effect() -> None:
    clip = make_clip(Row("orbits/kepler-v1", "test", 0), SPEC)
    assert clip.actions(4) is None
    pushes = (Impulse(-1.0, "planet", (9.0, 0.0, 0.0)), Impulse(0.5, "planet", (1.0, 0.0, -2.0)))
    pushed = dataclasses.replace(clip, scene=dataclasses.replace(clip.scene, impulses=pushes))
    table = pushed.actions(4)
    assert table is not None and table.shape == (4 + clip.horizon, 6)
    # The push at -1 s lies before the window. The frame at 0.5 s does not show the one at 0.5 s yet.
    (row,) = np.flatnonzero(table.any(axis=1))
    assert np.isclose(clip.times[clip.window(4)][row], 0.6)
    hue = clip.scene.bodies[clip.scene.index("planet")].hue
    assert hue is not None
    np.testing.assert_allclose(table[row], (*PALETTE[hue], 1.0, 0.0, -2.0), rtol=1e-6)


def test_a_window_is_the_context_and_what_follows_it() -> None:
    clip = make_clip(Row("falling/projectile-v1", "test", 0), SPEC)
    times = clip.times[clip.window(3)]
    np.testing.assert_allclose(times[:4], [-0.2, -0.1, 0.0, 0.1], atol=1e-9)
    assert len(times) == 3 + clip.horizon and np.isclose(times[-1], clip.scene.horizon)
    np.testing.assert_array_equal(clip.frames[clip.window(3)], np.concatenate([clip.context(3), clip.future()]))


def test_places_that_a_caller_changes_stay_those_of_the_clip() -> None:
    """They are computed once a clip; a copy with other states has its own."""
    clip = make_clip(Row("falling/projectile-v1", "test", 0), SPEC)
    before, share = clip.px_positions(), clip.visible_share()
    clip.px_positions()[:], clip.visible_share()[:] = -1.0, -1.0
    np.testing.assert_array_equal(clip.px_positions(), before)
    np.testing.assert_array_equal(clip.visible_share(), share)
    frozen = dataclasses.replace(clip, states=np.broadcast_to(clip.states[:1], clip.states.shape))
    assert not np.ptp(frozen.px_positions(), axis=0).any() and np.ptp(before, axis=0).any()


ROW, STORED_SPEC = Row("falling/projectile-v1", "test", 3), RenderSpec(32, 48, 15.0)


@pytest.fixture(scope="module")
def made() -> Clip:
    return make_clip(ROW, STORED_SPEC)


@pytest.fixture
def stored(made: Clip, tmp_path: Path) -> Clip:
    store = ClipStore(tmp_path)
    store.put(made)
    return store.get(ROW, STORED_SPEC)


def test_it_is_the_clip_that_was_stored(made: Clip, stored: Clip) -> None:
    assert isinstance(stored, LazyClip)
    for each in fields(Clip):
        one, other = getattr(made, each.name), getattr(stored, each.name)
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, other)
            assert other.flags.writeable
        else:
            assert one == other
    assert stored.frames is stored.frames  # unpacked once
    for context in (1, 3, made.handover + 1, made.handover + 9):  # the last: all of the history
        np.testing.assert_array_equal(stored.context(context), made.context(context))
    assert len(made.context(made.handover + 9)) == made.handover + 1


def test_context_and_states_unpack_no_frame_of_the_future(made: Clip) -> None:
    asked: list[int] = []

    def unpack(count: int) -> NDArray[np.uint8]:
        asked.append(count)
        return made.frames[:count]

    known = {each.name: getattr(made, each.name) for each in fields(Clip) if each.name != "frames"}
    clip = LazyClip.of(unpack, **known)
    np.testing.assert_array_equal(clip.plane_positions(), made.plane_positions())
    assert repr(clip) == repr(made) == f"Clip(falling.projectile-v1.test.3, 48x32@15, {len(made.times)} frames)"
    assert clip.prompt == made.prompt and not asked
    for context in (1, 4, made.handover + 1):
        np.testing.assert_array_equal(clip.context(context), made.context(context))
    assert asked == [made.handover + 1]


def test_it_can_be_changed_and_sent_to_another_process(made: Clip, stored: Clip) -> None:
    before = len(pickle.dumps(stored))
    assert stored.frames.size and stored.context(1).size
    assert len(pickle.dumps(stored)) == before < stored.frames.nbytes
    sent = pickle.loads(pickle.dumps(stored))
    np.testing.assert_array_equal(sent.frames, made.frames)
    dark = replace(stored, frames=np.zeros_like(made.frames))
    assert not dark.frames.any() and not dark.context(2).any()
    later = replace(stored, state_hash="other")
    np.testing.assert_array_equal(later.frames, made.frames)
