"""domino: PyBullet against a block that turns about its edge, and which blocks of a row it takes along."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from physbench.clips.clip import Row, Split
from physbench.clips.generate import make_params, make_scene
from physbench.score.outcomes import END
from physbench.tasks.collisions import Domino, domino_gaps
from physbench.world.bullet import simulate, simulate_ensemble
from physbench.world.drawing import apparent_radius
from physbench.world.scene import WINDOW

TIMES = np.arange(0, 201) / 50  # s


def fall_times(scene_states: np.ndarray, radius: float) -> np.ndarray:
    """Times s (N,) at which blocks (T, N, 3) m are `END.fallen` away from their start; NaN for those that never are."""
    away = np.linalg.norm(scene_states - scene_states[:1], axis=-1) > 2 * END.fallen * radius
    return np.where(away.any(axis=0), TIMES[away.argmax(axis=0)], np.nan)


@pytest.mark.parametrize(("split", "seed"), [("test", 903), ("test", 4), ("ood", 1)])
def test_blocks_fall_in_turn_up_to_the_wide_gap(split: Split, seed: int) -> None:
    row = Row(Domino.id, split, seed)
    p, scene = make_params(row), make_scene(row)
    many, tall = int(p["blocks"]), 2 * p["height"]
    simulation = simulate(scene, TIMES)
    place = simulation.states[:, :many, :3]
    fell = fall_times(place, apparent_radius(scene.bodies[1], scene.camera))
    reached = list(itertools.accumulate((gap < tall for gap in domino_gaps(p)), lambda a, b: a and b, initial=True))
    assert (~np.isnan(fell)).tolist() == reached
    assert (np.diff(fell[reached]) > 0).all() and fell[reached].max() < 2.4, "one after the other"
    assert np.abs(place[:, ~np.array(reached)] - place[:1, ~np.array(reached)]).max(initial=0) < 0.005
    assert np.ptp(place[TIMES > 3], axis=0).max() < 0.01, "all is over"
    assert np.abs(place[..., 1]).max() < 0.1 and np.abs(place[..., 0]).max() + p["height"] <= WINDOW / 2 + 0.5
    # The first block turns about its edge until it hits: a'' = (m g r / I) sin(a - b).
    met = [hit.time for hit in simulation.contacts if "floor" not in (hit.a, hit.b)]
    hit = min([*met, 0.6])
    r, b = math.hypot(p["width"], p["height"]), math.atan(p["width"] / p["height"])
    free = hit - 0.01 > TIMES
    turned = solve_ivp(
        lambda _, y: [y[1], 0.75 * p["gravity"] / r * math.sin(y[0] - b)],
        (0, hit),
        [p["angle"], 0.0],
        t_eval=TIMES[free],
        rtol=1e-8,
    ).y[0]
    lean = 2 * np.arctan2(np.abs(simulation.states[free, 0, 4]), simulation.states[free, 0, 6])
    np.testing.assert_allclose(lean, turned, atol=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("split", ["test", "ood"])
def test_as_many_blocks_fall_as_are_declared(split: Split) -> None:
    """A first block that falls too short a way would only lean on the second one."""
    for seed in range(40):
        row = Row(Domino.id, split, seed)
        p, scene = make_params(row), make_scene(row)
        many, times = int(p["blocks"]), TIMES[::5]
        away = np.ptp(simulate(scene, times).states[:, :many, :3], axis=0).max(axis=-1)
        fallen = away > 2 * END.fallen * apparent_radius(scene.bodies[0], scene.camera)
        assert fallen.tolist() == [i < p["falling"] for i in range(many)]


@pytest.mark.slow
@pytest.mark.parametrize("split", ["test", "ood"])
def test_neighbouring_rows_fall_alike(split: Split) -> None:
    """Rows whose blocks stand 2 mm elsewhere, which is what 64 px show: which fall, and when."""
    rng = np.random.default_rng(0)
    for seed in range(6):
        row = Row(Domino.id, split, seed)
        scene, many = make_scene(row), int(make_params(row)["blocks"])
        states = np.repeat(simulate(scene, [0.0]).states, 6, axis=0)
        states[1:, :many, 0] += rng.normal(0, 0.002, (5, many))
        found = simulate_ensemble(scene, 0.0, states, TIMES)[:, :, :many, :3]
        radius = apparent_radius(scene.bodies[1], scene.camera)
        fell = np.array([fall_times(each, radius) for each in found])
        assert (np.isnan(fell) == np.isnan(fell[0])).all()
        assert np.nanmax(np.ptp(fell, axis=0)) <= END.fall_time / 2


def test_half_of_the_rows_stop() -> None:
    drawn = [make_params(Row(Domino.id, "test", seed)) for seed in range(100)]
    assert 0.35 < np.mean([p["falling"] < p["blocks"] for p in drawn]) < 0.65
    assert {(int(p["blocks"]), int(p["falling"])) for p in drawn} == {(3, 2), (3, 3), (4, 2), (4, 3), (4, 4)}
