"""What a clip says about itself."""

from __future__ import annotations

import dataclasses

import numpy as np

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip
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
