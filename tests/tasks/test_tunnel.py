"""tunnel: PyBullet against Newton's law of restitution behind a screen, and what is seen of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from slow_cases import others_slow

from physbench.clips.clip import Row, Split
from physbench.clips.generate import make_clip, make_params, render_spec
from physbench.clips.task import SPLITS
from physbench.tasks.occlusion import VIEW, Tunnel, tunnel_times
from physbench.world.scene import WINDOW


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_a_hidden_bounce_turns_v_into_minus_e_v(split: Split) -> None:
    for seed in range(3):
        row = Row(Tunnel.id, split, seed)
        p, clip = make_params(row), make_clip(row, render_spec(64, 20))
        side, speed = math.copysign(1.0, p["velocity"]), abs(p["velocity"])
        bounce, out = tunnel_times(p)
        hits = [contact.time for contact in clip.contacts if "wall" in (contact.a, contact.b)]
        assert hits == [pytest.approx(bounce, abs=0.005)], "one bounce"
        way, velocity = side * clip.states[:, 0, 0], side * clip.states[:, 0, 7]
        np.testing.assert_allclose(velocity[clip.times > bounce + 0.01], -p["restitution"] * speed, rtol=0.01)
        after = clip.times > bounce + 0.01
        met = -p["start"] + speed * (bounce - p["release"])
        expected = met - p["restitution"] * speed * (clip.times[after] - bounce)
        np.testing.assert_allclose(way[after], expected, atol=0.02)
        np.testing.assert_allclose(clip.states[:, 0, 2], p["radius"], atol=0.005)
        share = clip.visible_area[:, 0] / np.maximum(clip.full_area[:, 0], 1e-9)
        near_bounce = np.abs(clip.times - bounce) <= 0.1
        assert share[near_bounce].max() < 0.05, "the bounce is not seen"
        hidden = clip.times[(share < 0.05) & (clip.times <= out)]
        assert 0.2 <= hidden[0] <= 1.0 and hidden[0] < bounce < hidden[-1]
        seen = (clip.times >= out + 0.03) & (clip.times <= out + VIEW.after)
        assert out + VIEW.after <= 3.6 and share[seen].min() > 0.95
        assert np.abs(way[clip.times <= out + VIEW.after]).max() + p["radius"] <= WINDOW / 2
