"""falling/stack: statics decides what falls, the simulation agrees, and what could not be known is not drawn."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from slow_cases import others_slow

from physbench.clips.clip import Row, Split
from physbench.clips.generate import make_params, make_scene
from physbench.clips.task import SPLITS
from physbench.tasks.falling import MAX_BLOCKS, STACK, Stack, loaded_margins, support_margins
from physbench.world.bullet import simulate, simulate_ensemble
from physbench.world.drawing import apparent_radius
from physbench.world.scene import PHYSICS_HZ, WINDOW

TASK = Stack()
AHEAD = np.arange(0, 4 * PHYSICS_HZ + 1, 240) / PHYSICS_HZ


def falls(row: Row) -> bool:
    return min(support_margins(make_params(row))) < 0


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_the_simulation_agrees_with_statics(split: Split) -> None:
    for seed in range(2):
        row = Row(TASK.id, split, seed)
        many = int(make_params(row)["blocks"])
        states = simulate(make_scene(row), AHEAD).states[:, :many]
        moved = np.linalg.norm(states[-1, :, :3] - states[0, :, :3], axis=-1)
        assert moved[-1] > 0.5 if falls(row) else moved.max() < 0.02
        assert np.abs(states[..., 1]).max() < 0.25, "it falls in the plane of motion"
        assert np.abs(states[..., 0]).max() < WINDOW / 2 - 0.2, "the kerbs keep it in view"
        assert np.linalg.norm(states[-1, :, 7:10], axis=-1).max() < 0.2, "all is over"


@pytest.mark.slow
@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_outcomes_are_those_of_neighbouring_towers(split: Split) -> None:
    """Towers shifted by 2 mm, which is what 64 px show, fall alike."""
    rng = np.random.default_rng(0)
    same = []
    for seed in range(12):
        row = Row(TASK.id, split, seed)
        scene, many = make_scene(row), int(make_params(row)["blocks"])
        states = np.repeat(simulate(scene, [0.0]).states, 8, axis=0)
        states[1:, :many, 0] += rng.normal(0, 0.002, (7, many))
        ends = simulate_ensemble(scene, 0.0, states, AHEAD)[:, -1, :many]
        fallen = np.linalg.norm(states[:, :many, :3] - ends[..., :3], axis=-1) > 0.25
        assert fallen.any(axis=1).all() == falls(row)
        same.append(fallen == fallen[0])
    assert np.concatenate([one.ravel() for one in same]).mean() > 0.97


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_towers_are_decided_and_wide_enough_to_see(split: Split) -> None:
    fallen, counts = [], []
    for seed in range(150):
        p = make_params(Row(TASK.id, split, seed))
        scene, margins, many = TASK.scene(p), support_margins(p), int(p["blocks"])
        assert len(margins) == many - 1 and min(abs(margin) for margin in margins) >= STACK.edge_distance
        assert all(margin >= STACK.edge_distance for margin in loaded_margins(p))
        blocks = scene.bodies[:many]
        for below, above in itertools.pairwise(blocks):
            assert above.position[2] - above.size[2] == pytest.approx(below.position[2] + below.size[2])
            assert (
                below.size[0] + above.size[0] - abs(above.position[0] - below.position[0]) >= STACK.least_support - 1e-9
            )
        assert all(abs(block.position[0]) + block.size[0] <= STACK.outermost + 1e-9 for block in blocks)
        assert all(apparent_radius(block, scene.camera) >= 0.4 for block in blocks)
        assert len({block.hue for block in blocks}) == many
        assert [one.question for one in scene.outcomes] == ["falls"] * (many - 1) + ["falls left"] * (many - 1) + [
            "hangs"
        ]
        fallen.append(min(margins) < 0)
        counts.append(many)
    assert 0.4 < np.mean(fallen) < 0.7
    assert all(0.2 < np.mean(np.array(counts) == many) < 0.47 for many in range(2, MAX_BLOCKS + 1))


def test_a_tower_of_two_against_archimedes() -> None:
    p = {**make_params(Row(TASK.id, "test", 0)), "blocks": 2, "width_1": 0.5, "width_2": 0.46, "offset_2": 0.44}
    assert support_margins(p) == pytest.approx([0.06])
    assert support_margins({**p, "offset_2": -0.57}) == pytest.approx([-0.07])
    three = {**p, "blocks": 3, "width_3": 0.46, "height_2": 0.3, "height_3": 0.3, "offset_3": 0.2}
    # the two upper ones are alike: their middle is 0.54 beyond that of the lowest, whose edge is at 0.5
    assert support_margins(three) == pytest.approx([-0.04, 0.26])
