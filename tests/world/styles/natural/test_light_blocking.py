"""The closed forms of shadows against sums over many rays."""

from __future__ import annotations

import numpy as np
import pytest

from physbench.world.scene import Body
from physbench.world.styles.natural import movers
from physbench.world.styles.natural.movers import (
    BallBlocker,
    Blocker,
    BoxBlocker,
    CylinderBlocker,
    Mover,
    hit_mover,
    lamp_light,
    lamp_share_hidden,
    sky_share_hidden,
)
from physbench.world.styles.natural.rays import NOTHING_MET, hit_box
from physbench.world.styles.natural.stage import Lamp

LAMP = Lamp((3.0, -4.0, 14.0), 1.7, 1.0)
TURN = np.array([0.0, np.sin(0.2), 0.0, np.cos(0.2)])
BALL = BallBlocker(np.array([0.2, 0.1, 0.9]), 0.45)
BOX = BoxBlocker(np.array([0.1, 0.0, 0.9]), (0.5, 0.4, 0.25), TURN)
CYLINDER = CylinderBlocker(np.array([0.1, 0.0, 0.9]), 0.45, 0.25, TURN)
RAYS, PLACES = 10_000, 12


def blocked(blocker: Blocker, point: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Which rays (R, 3) from a point meet the body."""
    if isinstance(blocker, BoxBlocker):
        return hit_box(point, directions, blocker.centre, tuple(blocker.half), blocker.turn)[0] < NOTHING_MET
    if isinstance(blocker, CylinderBlocker):
        half = (blocker.radius, blocker.radius, blocker.half_length)
        body = Body("x", "cylinder", (blocker.radius, 2 * blocker.half_length), "moving", (0.0, 0.0, 0.0))
        mover = Mover(0, body, blocker.centre, blocker.turn, (1.0, 1.0, 1.0), half, False, np.zeros(3))
        return hit_mover(mover, point, directions)[0] < NOTHING_MET
    along = directions @ (blocker.centre - point)
    square = ((blocker.centre - point) ** 2).sum() - along**2 / (directions**2).sum(axis=1)
    return (along > 0) & (square < blocker.radius**2)


def on_disc() -> np.ndarray:
    """Points (R, 2) spread evenly over the unit disc along a spiral, each for the same area: far better than chance."""
    k = np.arange(RAYS) + 0.5
    radius, angle = np.sqrt(k / RAYS), k * np.pi * (3 - np.sqrt(5))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def about_up() -> np.ndarray:
    """Directions (R, 3) of the half space about z, weighted by the cosine."""
    disc = on_disc()
    return np.column_stack([disc, np.sqrt(1 - (disc**2).sum(axis=1))])


def places() -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.concatenate([rng.uniform(-2, 2, (PLACES, 2)), np.zeros((PLACES, 1))], axis=1)


@pytest.mark.parametrize(("blocker", "tolerance"), [(BALL, 0.01), (BOX, 0.005), (CYLINDER, 0.02)])
def test_share_of_the_lamp_is_that_of_rays(blocker: Blocker, tolerance: float) -> None:
    rng = np.random.default_rng(2)
    points = places() * [0.6, 0.6, 1] + [-0.3, 0.3, 0]
    expected, disc = [], LAMP.radius * on_disc()
    for point in points:
        way = np.asarray(LAMP.position) - point
        across = np.linalg.qr(np.column_stack([way, rng.normal(size=(3, 2))]))[0][:, 1:]
        expected.append(blocked(blocker, point, way + disc @ across.T).mean())
    found = lamp_share_hidden(blocker, points, LAMP)
    assert np.ptp(expected) > 0.9
    assert np.sqrt(np.mean((found - expected) ** 2)) < tolerance
    assert np.abs(found - expected).max() < 4 * tolerance


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_shadow_falls_where_none_is_looked_for(dtype: type[np.floating]) -> None:
    points = np.random.default_rng(5).uniform(-4, 4, (20_000, 3)).astype(dtype)
    points[:2000] *= dtype(0.2)  # close to the body, and in it
    for lamp in (LAMP, Lamp((0.3, -0.5, 8.0), 2.0, 1.0)):
        everywhere = movers._lamp_behind_ball(BALL, points, lamp)
        assert 0.01 < (everywhere > 0).mean() < 0.7
        assert np.abs(lamp_share_hidden(BALL, points, lamp) - everywhere).max() < 1e-5


@pytest.mark.parametrize("normal", [(0.0, 0.0, 1.0), (0.0, -0.8, 0.6), (1.0, 0.0, 0.0)])
@pytest.mark.parametrize("blocker", [BALL, BOX, CYLINDER])
def test_share_of_the_sky_is_that_of_rays(blocker: Blocker, normal: tuple[float, float, float]) -> None:
    """Also where a body crosses the horizon of a point."""
    first = np.cross(normal, (0.0, 1.0, 0.0))
    first /= np.linalg.norm(first)
    rays = about_up() @ np.stack([first, np.cross(normal, first), normal])
    expected = [blocked(blocker, point, rays).mean() for point in places()]
    normals = np.broadcast_to(np.array(normal), (PLACES, 3))
    assert max(expected) > 0.05
    assert np.abs(sky_share_hidden(blocker, places(), normals) - expected).max() < 0.01


@pytest.mark.parametrize("gap", [0.001, 0.01, 0.05, 0.2, 1.0])
@pytest.mark.parametrize("height", [-0.9, -0.4, 0.0, 0.3, 0.8])
def test_share_of_the_sky_beside_a_ball_is_exact_where_the_horizon_cuts_it(gap: float, height: float) -> None:
    """Of a point beside a ball: by how many radii the centre lies above its horizon, and its gap to the surface."""
    away, normal = BALL.radius * (1 + gap), np.array([0.0, 0.0, 1.0])
    centre = np.array([np.sqrt(away**2 - (height * BALL.radius) ** 2), 0.0, height * BALL.radius])
    ball = BallBlocker(centre, BALL.radius)
    expected = blocked(ball, np.zeros(3), about_up()).mean()
    assert float(sky_share_hidden(ball, np.zeros((1, 3)), normal[None])[0]) == pytest.approx(expected, abs=0.003)


def test_light_of_a_lamp_falls_to_nothing_over_its_width_at_the_horizon() -> None:
    lamp = Lamp((0.0, 0.0, 10.0), 1.0, 100.0)
    tilt = np.deg2rad([0.0, 60.0, 84.3, 90.0, 95.7, 97.0])
    normals = np.stack([np.sin(tilt), 0 * tilt, np.cos(tilt)], axis=1)
    light = lamp_light(np.zeros((6, 3)), normals, lamp)
    assert light[0] == pytest.approx(1.0, rel=0.01) and light[1] == pytest.approx(0.5, rel=0.01)
    disc = np.column_stack([on_disc(), np.full(RAYS, 10.0)])
    cosines = disc @ normals.T / np.linalg.norm(disc, axis=1)[:, None]
    assert np.allclose(light, np.maximum(cosines, 0).mean(axis=0), atol=0.003)
    assert light[-1] == 0.0
