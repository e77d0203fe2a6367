"""`orbits/flyby-v1` against the hyperbola, through the simulation and through the law that its scorers use."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, make_params, make_scene, render_spec
from physbench.clips.task import HALF_WINDOW
from physbench.laws import kepler
from physbench.laws.closed_form import Orbit, law_of
from physbench.tasks.orbits import Flyby, flyby_state
from physbench.world.bullet import simulate

MOMENTS = np.arange(-40, 81) / 20
rows = pytest.mark.parametrize("row", [Row(Flyby.id, split, seed) for split in ("test", "ood") for seed in (0, 1)])


@lru_cache
def flight(row: Row) -> np.ndarray:
    """States (T, 13) of the body at MOMENTS, places from the star."""
    states = simulate(make_scene(row), MOMENTS).states
    return np.concatenate([states[:, 0, :3] - states[:, 1, :3], states[:, 0, 3:]], axis=-1)


@lru_cache
def clip_of(row: Row) -> Clip:
    return make_clip(row, render_spec(64, 15))


def since(time: float) -> np.ndarray:
    return np.asarray(MOMENTS - time >= -1e-9)


def strength(row: Row) -> float:
    p = make_params(row)
    return p["pull"] * p["star_radius"] ** 3


@rows
def test_the_way_is_the_hyperbola(row: Row) -> None:
    p, s = make_params(row), flight(row)
    free = since(p["release"])
    place, _ = flyby_state(p, MOMENTS[free])
    assert np.linalg.norm(s[free, :2] - place, axis=-1).max() < 0.03  # first order in the step of 1/1200 s
    held = s[~free]
    np.testing.assert_allclose(held[:, :3], np.broadcast_to(held[0, :3], held[:, :3].shape), atol=1e-12)


@rows
def test_the_periapsis_is_where_and_when_it_is_said_to_be(row: Row) -> None:
    p, s = make_params(row), flight(row)
    distance = np.linalg.norm(s[:, :2], axis=-1)
    nearest = int(np.argmin(distance))
    assert MOMENTS[nearest] == pytest.approx(p["passage"], abs=0.06) and 0.2 <= p["passage"] <= 0.6 * 4
    assert distance[nearest] == pytest.approx(p["periapsis"], abs=0.02)
    assert distance.min() >= p["radius"] + p["star_radius"] + 0.07
    over = np.abs(s[:, :2] + [p["star_x"], p["star_y"]]).max(axis=-1) + p["radius"] - HALF_WINDOW
    assert over[~since(max(p["passage"] + 0.5, 1.3))].max() <= 0
    gone = over > 0
    assert not gone.any() or gone[np.argmax(gone) :].all()


@rows
def test_energy_is_positive_and_conserved_and_areas_are_equal(row: Row) -> None:
    p, s, mu = make_params(row), flight(row), strength(row)
    s = s[since(p["release"] + 0.01)]
    areal = s[:, 0] * s[:, 8] - s[:, 1] * s[:, 7]
    np.testing.assert_allclose(areal, areal[0], rtol=1e-6)
    assert areal[0] ** 2 == pytest.approx(mu * p["periapsis"] * (1 + p["eccentricity"]), rel=1e-6)
    distance = np.linalg.norm(s[:, :2], axis=-1)
    velocity = s[:, 7:9] + mu * s[:, :2] / distance[:, None] ** 3 / 2400  # it is that of half a step ago
    energy = (velocity**2).sum(axis=-1) / 2 - mu / distance
    expected = mu * (p["eccentricity"] - 1) / (2 * p["periapsis"])
    np.testing.assert_allclose(energy, expected, atol=2e-3 * mu / p["periapsis"])


@pytest.mark.parametrize("eccentricity", [1.1, 1.5, 2.2])
def test_it_is_bent_by_twice_the_arc_sine_of_one_over_e(eccentricity: float) -> None:
    p = {**make_params(Row(Flyby.id, "test", 0)), "eccentricity": eccentricity}
    place, velocity = flyby_state(p, p["passage"] + np.array([-3e4, 3e4]))
    before, after = velocity / np.linalg.norm(velocity, axis=-1, keepdims=True)
    assert np.arccos(before @ after) == pytest.approx(2 * np.arcsin(1 / eccentricity), abs=2e-3)
    assert np.linalg.norm(place, axis=-1).min() > 1e4


@pytest.mark.parametrize("eccentricity", [1.001, 1.1, 1.5, 2.2, 8.0])
def test_the_law_of_orbits_moves_on_hyperbolas(eccentricity: float) -> None:
    """kepler.propagate, by universal variables, against Kepler's equation of the hyperbola."""
    p = {**make_params(Row(Flyby.id, "test", 0)), "eccentricity": eccentricity}
    mu = p["pull"] * p["star_radius"] ** 3
    times = np.linspace(-4, 6, 41)
    states = np.concatenate(flyby_state(p, times), axis=-1)
    for start in (0, 17, 40):
        moved = kepler.propagate(states[start], times - times[start], mu)
        np.testing.assert_allclose(moved, states, atol=1e-7)


@rows
def test_the_law_of_the_scene_explains_the_flight(row: Row) -> None:
    clip, mu = clip_of(row), strength(row)
    law = law_of(clip, 0)
    assert isinstance(law, Orbit) and law.mu == pytest.approx(mu)
    free = clip.times >= (clip.scene.bodies[0].release or 0)
    dt = clip.times[free] - clip.times[free][0]
    path = clip.states[free, 0, :2]
    fitted = law.fit(dt, path, law.fit(dt[:16], path[:16]))
    assert np.abs(law.propagate(fitted, dt)[:, :2] - path).max() < 0.01
    spread = law.covariance(fitted, dt[:8], 2e-3)
    assert np.isfinite(spread).all() and 0 < np.sqrt(np.trace(spread[2:, 2:])) < 0.1
