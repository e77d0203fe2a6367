"""`orbits/binary-v1` against Kepler's and Newton's laws, and the law that its scorers use."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from physbench.clips.clip import Clip, Row, Split
from physbench.clips.generate import make_clip, make_params, make_scene, render_spec
from physbench.laws.closed_form import Orbit, law_of
from physbench.score.predictability import MEMBERS, ensemble_positions, ensemble_states
from physbench.tasks.orbits import BINARY_GAP, Binary, relative_state, shares, strengths
from physbench.world.bullet import initial_states, simulate, simulate_ensemble
from physbench.world.scene import HISTORY

HZ = 100
MOMENTS = np.arange(-2 * HZ, 8 * HZ + 1) / HZ
rows = pytest.mark.parametrize(
    "row",
    [Row(Binary.id, "test", 0), pytest.param(Row(Binary.id, "ood", 0), marks=pytest.mark.slow)],
    ids=["test", "ood"],
)


@lru_cache
def flight(row: Row) -> np.ndarray:
    """States (T, 2, 13) at MOMENTS."""
    scene = make_scene(row)
    return simulate_ensemble(scene, -HISTORY, initial_states(scene)[None], MOMENTS)[0]


@lru_cache
def clip_of(split: Split = "test") -> Clip:
    return make_clip(Row(Binary.id, split, 0), render_spec(64, 15))


@pytest.mark.parametrize(
    "row", [Row(Binary.id, "test", 0), pytest.param(Row(Binary.id, "ood", 0), marks=pytest.mark.slow)]
)
def test_the_orbit_is_that_of_kepler(row: Row) -> None:
    p, s = make_params(row), flight(row)
    truth = np.array([relative_state(p, time)[0] for time in MOMENTS])
    off = np.linalg.norm(s[:, 0, :2] - s[:, 1, :2] - truth, axis=-1)
    assert off[MOMENTS <= 0].max() < 0.1 and off.max() < 0.4  # first order in the step of 1/1200 s


@rows
def test_the_third_law_holds(row: Row) -> None:
    """T^2 = 4 pi^2 a^3 / (mu_a + mu_b), from the turns of the line between both."""
    p, s = make_params(row), flight(row)
    away = s[:, 0, :2] - s[:, 1, :2]
    angle = np.unwrap(np.arctan2(away[:, 1], away[:, 0])) * p["sense"]
    turns = int((angle[-1] - angle[0]) // (2 * np.pi))
    period = (np.interp(angle[0] + 2 * np.pi * turns, angle, MOMENTS) - MOMENTS[0]) / turns
    assert period == pytest.approx(2 * np.pi * np.sqrt(p["semi_axis"] ** 3 / sum(strengths(p))), rel=5e-3)
    assert 3 * period <= 8.0
    distance = np.linalg.norm(away, axis=-1)
    assert distance.max() == pytest.approx(p["semi_axis"] * (1 + p["eccentricity"]), rel=0.01)
    assert distance.min() == pytest.approx(p["semi_axis"] * (1 - p["eccentricity"]), rel=0.01)
    assert distance.min() >= p["radius_a"] + p["radius_b"] + BINARY_GAP - 5e-3


@rows
def test_momentum_and_areal_velocity_are_conserved(row: Row) -> None:
    p, s, scene = make_params(row), flight(row), make_scene(row)
    mass = np.array([body.mass for body in scene.bodies])
    np.testing.assert_allclose((mass[:, None] * s[:, :, 7:9]).sum(axis=1) / mass.sum(), 0, atol=1e-9)
    barycentre = (mass[:, None] * s[:, :, :2]).sum(axis=1) / mass.sum()
    np.testing.assert_allclose(barycentre, np.tile([p["middle_x"], p["middle_y"]], (len(s), 1)), atol=1e-9)
    assert mass[0] / mass[1] == pytest.approx(strengths(p)[0] / strengths(p)[1])
    for body in range(2):
        away, velocity = s[:, body, :2] - barycentre, s[:, body, 7:9]
        areal = away[:, 0] * velocity[:, 1] - away[:, 1] * velocity[:, 0]
        np.testing.assert_allclose(areal, areal[0], rtol=1e-6)  # exact for this integrator
        assert np.sign(areal[0]) == p["sense"]


def test_bullet_agrees_with_the_flight_in_numpy() -> None:
    row = Row(Binary.id, "test", 0)
    moments = MOMENTS[: HZ + 1 : 20]
    bullet = simulate(make_scene(row), moments).states
    np.testing.assert_allclose(bullet[..., :3], flight(row)[: HZ + 1 : 20, :, :3], atol=1e-9)


def test_the_law_of_both_is_an_orbit_about_the_barycentre() -> None:
    clip, p = clip_of(), make_params(clip_of().row)
    mu = strengths(p)
    for body in range(2):
        law = law_of(clip, body)
        assert isinstance(law, Orbit)
        np.testing.assert_allclose(law.source, (p["middle_x"], p["middle_y"]), atol=1e-9)
        here, other = clip.states[0, body, :2], clip.states[0, 1 - body, :2]
        pull = mu[1 - body] * (other - here) / np.linalg.norm(other - here) ** 3
        np.testing.assert_allclose(law.acceleration(here), pull, rtol=1e-9)
        assert law.mu == pytest.approx(mu[1 - body] ** 3 / sum(mu) ** 2)
        assert np.linalg.norm(here - law.source) == pytest.approx(
            abs(shares(p)[body]) * np.linalg.norm(other - here), rel=1e-6
        )


def test_there_is_no_such_law_where_the_barycentre_moves_or_forces_do_not_cancel() -> None:
    clip = clip_of()
    drifting = clip.states.copy()
    drifting[:, :, 7] += 0.1
    assert law_of(replace(clip, states=drifting), 0) is None
    a, b = clip.scene.fields
    uneven = replace(clip.scene, fields=(a, replace(b, mu=2 * b.mu)))
    assert law_of(replace(clip, scene=uneven), 0) is None


def test_the_ensemble_feels_the_pull_of_both() -> None:
    """The members' barycentres move on, each in a straight line, as in the simulation."""
    whole = clip_of()
    early = slice(0, whole.handover + 10)
    clip = replace(whole, times=whole.times[early], states=whole.states[early])
    mass = np.array([body.mass for body in clip.scene.bodies])
    barycentre = np.einsum("n,mtnk->mtk", mass / mass.sum(), ensemble_positions(clip, 8)[..., :2])
    assert len(barycentre) == MEMBERS and np.ptp(barycentre[:, -1], axis=0).min() > 1e-3
    steps = np.diff(barycentre, axis=1)
    np.testing.assert_allclose(steps, np.broadcast_to(steps[:, :1], steps.shape), atol=1e-6)
    found, ahead = ensemble_positions(clip, 8)[:4], clip.times[clip.handover + 1 :]
    simulated = simulate_ensemble(clip.scene, 0.0, ensemble_states(clip, 8)[:4], ahead)[..., :3]
    np.testing.assert_allclose(found, simulated, atol=5e-3)
