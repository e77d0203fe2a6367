"""overhang: PyBullet against statics, and the questions about the end."""

from __future__ import annotations

import numpy as np
import pytest
from slow_cases import others_slow

from physbench.clips.clip import Row, Split
from physbench.clips.generate import make_params, make_scene
from physbench.clips.task import SPLITS
from physbench.tasks.falling import STACK, Overhang, overhang_margin
from physbench.world.bullet import simulate
from physbench.world.scene import WINDOW

TIMES = np.arange(-40, 81) / 20  # s


@pytest.mark.parametrize("split", others_slow(SPLITS, 1))
def test_a_block_stays_if_its_centre_of_mass_lies_over_the_pedestal(split: Split) -> None:
    """It falls exactly if its middle is beyond the edge, over that edge; in the last second it all but rests."""
    ends = set()
    for seed in range(8):
        row = Row(Overhang.id, split, seed)
        p, scene = make_params(row), make_scene(row)
        states = simulate(scene, 2 * TIMES).states[:, 0]
        margin, fell = overhang_margin(p), p["pedestal_height"] - states[:, 2].min() + p["height"]
        assert abs(margin) >= STACK.edge_distance
        assert (fell > 0.3) == (margin < 0), (split, seed)
        if margin > 0:
            assert np.ptp(states[:, :3], axis=0).max() < 0.02, "it stays where it is"
        else:
            assert (states[-1, 0] - states[0, 0]) * p["offset"] > 0, "over the edge over which it sticks out"
        late = states[2 * TIMES > 3.0, 0:3:2]  # what is seen: x and z
        assert np.ptp(late, axis=0).max() < 0.1, "all but at rest at the end"
        assert np.abs(states[:, 0]).max() + p["height"] <= WINDOW / 2
        ends.add(margin < 0)
    assert ends == {True, False}


def test_half_of_the_blocks_fall() -> None:
    falls = [overhang_margin(make_params(Row(Overhang.id, "test", seed))) < 0 for seed in range(200)]
    assert 0.4 < np.mean(falls) < 0.6
