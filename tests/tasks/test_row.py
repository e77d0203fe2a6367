"""row: PyBullet against momentum and Newton's law of restitution in a row of equal balls."""

from __future__ import annotations

import math

import numpy as np
import pytest
from slow_cases import others_slow

from physbench.clips.clip import Row, Split
from physbench.clips.generate import make_params, make_scene
from physbench.clips.task import SPLITS
from physbench.tasks.collisions import VIEW_AFTER_ROW, VIEW_UNTIL, BallRow, row_motion
from physbench.world.bullet import simulate
from physbench.world.scene import WINDOW

TIMES = np.arange(-200, 401) / 100  # s


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_the_last_ball_gets_the_speed(split: Split) -> None:
    """((1 + e) / 2)^n of it; each ball before it keeps (1 - e) / 2 of what it got, and momentum stays."""
    for seed in range(4):
        row = Row(BallRow.id, split, seed)
        p, scene = make_params(row), make_scene(row)
        simulation = simulate(scene, TIMES)
        count, e = int(p["row"]) + 1, p["restitution"]
        ahead = np.array([math.cos(p["heading"]), math.sin(p["heading"])])
        _, hits, speeds = row_motion(p)
        found = [contact.time for contact in simulation.contacts]
        assert len(found) == count - 1, "each pair meets once"
        np.testing.assert_allclose(found, hits, atol=0.005)
        assert hits[0] >= 0.25 and hits[-1] <= 2.4
        velocity = simulation.states[-1, :count, 7:9] @ ahead
        got = [p["speed"], *speeds]
        expected = [*((1 - e) / 2 * speed for speed in got[:-1]), got[-1]]
        np.testing.assert_allclose(velocity, expected, atol=0.01)
        assert velocity.sum() == pytest.approx(p["speed"], abs=2e-3), "momentum of equal masses"
        aside = simulation.states[:, :count, :2] @ np.array([-ahead[1], ahead[0]])
        assert np.ptp(aside) < 0.01, "along one line"
        seen = max(hits[-1] + VIEW_AFTER_ROW, VIEW_UNTIL) >= TIMES
        assert np.abs(simulation.states[seen][:, :count, :2]).max() + p["radius"] <= WINDOW / 2


def test_rows_of_two_and_three_are_as_frequent_and_hues_differ() -> None:
    drawn = [make_params(Row(BallRow.id, "test", seed)) for seed in range(60)]
    assert 0.3 < np.mean([p["row"] == 3 for p in drawn]) < 0.7
    for seed in range(20):
        hues = [body.hue for body in make_scene(Row(BallRow.id, "test", seed)).bodies if body.hue is not None]
        assert len(hues) == len(set(hues))
