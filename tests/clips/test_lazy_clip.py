"""A stored clip unpacks its frames when they are asked for, and is otherwise as it was made."""

from __future__ import annotations

import pickle
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from physbench.clips.clip import Clip, LazyClip, Row
from physbench.clips.generate import make_clip
from physbench.clips.store import ClipStore
from physbench.world.scene import RenderSpec

ROW, SPEC = Row("falling/projectile-v1", "test", 3), RenderSpec(32, 48, 15.0)


@pytest.fixture(scope="module")
def made() -> Clip:
    return make_clip(ROW, SPEC)


@pytest.fixture
def stored(made: Clip, tmp_path: Path) -> Clip:
    store = ClipStore(tmp_path)
    store.put(made)
    return store.get(ROW, SPEC)


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
