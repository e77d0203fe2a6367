"""Distances between surfaces, against closed forms and against Bullet's own closest points."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physbench.world.bullet import Client, collision_shape
from physbench.world.drawing import apparent_radius, full_area
from physbench.world.geometry import gap, rotate, unrotate
from physbench.world.scene import Body, Camera, Quaternion, RenderSpec, Scene, ramp

TILTED: Quaternion = (0.0, math.sin(0.3), 0.0, math.cos(0.3))


def body(shape: str, *size: float, orientation: Quaternion = (0.0, 0.0, 0.0, 1.0)) -> Body:
    return Body(shape, shape, size, "fixed", (0.0, 0.0, 0.0), orientation)  # type: ignore[arg-type]


def bullet_gap(a: Body, pa: np.ndarray, b: Body, pb: np.ndarray) -> float:
    with Client() as client:
        numbers = []
        for item, place in ((a, pa), (b, pb)):
            numbers.append(
                client.api.createMultiBody(
                    0, collision_shape(client, item), -1, place.tolist(), item.orientation, physicsClientId=client.id
                )
            )
        points = client.api.getClosestPoints(*numbers, 10.0, physicsClientId=client.id)
        return min(point[8] for point in points)


def test_spheres() -> None:
    a, b = body("sphere", 0.4), body("sphere", 0.3)
    assert gap(a, (0, 0, 0), b, (1, 0, 0)) == pytest.approx(0.3)
    assert gap(a, (0, 0, 0), b, (0.5, 0, 0)) == pytest.approx(-0.2)


def test_positions_broadcast() -> None:
    places = np.zeros((5, 2, 3))
    places[..., 2] = np.arange(5)[:, None]
    result = gap(body("sphere", 0.5), places, body("plane"), np.zeros(3))
    assert result.shape == (5, 2)
    np.testing.assert_allclose(result[:, 0], np.arange(5) - 0.5)


@pytest.mark.parametrize("shape", [("sphere", 0.4), ("box", 0.2, 0.3, 0.4), ("cylinder", 0.3, 0.8)])
def test_plane_with_anything(shape: tuple[str, float]) -> None:
    """On a tilted plane: the distance of the centre along the normal less the reach of the body."""
    plane, other = body("plane", orientation=TILTED), body(*shape)
    normal = rotate(TILTED, (0, 0, 1))
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    if shape[0] == "box":
        reach = (corners * shape[1:] @ normal).max()
    elif shape[0] == "sphere":
        reach = 0.4
    else:
        turn = np.linspace(0, 2 * np.pi, 3601)
        rim = np.stack([0.3 * np.cos(turn), 0.3 * np.sin(turn), np.full_like(turn, 0.4)], axis=1)
        reach = max((rim @ normal).max(), (-rim @ normal).max())
    place = np.array([0.3, -0.1, 2.0])
    assert gap(other, place, plane, np.zeros(3)) == pytest.approx(place @ normal - reach, abs=1e-6)
    assert gap(plane, np.zeros(3), other, place) == gap(other, place, plane, np.zeros(3))


@given(st.tuples(*[st.floats(-2, 2)] * 3), st.tuples(*[st.floats(-1, 1)] * 4))
@settings(max_examples=40, deadline=None)
def test_sphere_and_turned_box_as_bullet(place: tuple[float, ...], turn: tuple[float, ...]) -> None:
    length = math.hypot(*turn)
    if length < 0.1:
        return
    q = tuple(x / length for x in turn)
    box = body("box", 0.5, 0.3, 0.2, orientation=q)  # type: ignore[arg-type]
    ball, here = body("sphere", 0.25), np.array(place)
    expected = bullet_gap(ball, here, box, np.zeros(3))
    if expected > 0.0:  # inside, Bullet measures along another axis
        assert gap(ball, here, box, np.zeros(3)) == pytest.approx(expected, abs=2e-3)


def test_sphere_and_cylinder() -> None:
    ball, drum = body("sphere", 0.25), body("cylinder", 0.5, 1.0)
    assert gap(ball, (1.0, 0, 0), drum, (0, 0, 0)) == pytest.approx(0.25)
    assert gap(ball, (0, 0, 1.0), drum, (0, 0, 0)) == pytest.approx(0.25)
    assert gap(ball, (0.8, 0, 0.9), drum, (0, 0, 0)) == pytest.approx(0.5 - 0.25)


def test_boxes_never_too_far() -> None:
    """Along the axes of both boxes the distance is a lower bound; it is exact face to face."""
    a, b = body("box", 0.5, 0.5, 0.5), body("box", 0.3, 0.3, 0.3, orientation=TILTED)
    assert gap(a, (0, 0, 0), body("box", 0.3, 0.3, 0.3), (0, 0, 1.0)) == pytest.approx(0.2)
    for place in np.random.default_rng(0).uniform(-2, 2, (20, 3)):
        true = bullet_gap(a, np.zeros(3), b, place)
        if true > 0:
            assert gap(a, np.zeros(3), b, place) <= true + 2e-3


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(("box", 0.5, 0.4, 0.3), ("box", 0.4, 0.4, 0.35), marks=pytest.mark.slow),
        (("cylinder", 0.4, 0.8), ("box", 0.5, 0.4, 0.3)),
    ],
)
def test_flat_bodies_that_touch_are_found_to_touch(first: tuple[str, float], second: tuple[str, float]) -> None:
    """Turned in the plane of motion only: never further than Bullet finds them, and where they meet as far."""
    rng = np.random.default_rng(0)
    near = 0
    for _ in range(150):
        bodies = []
        for shape in (first, second):
            half = rng.uniform(-1.5, 1.5)
            turn = (0.0, math.sin(half), 0.0, math.cos(half))
            if shape[0] == "cylinder":
                turn = (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5))
            bodies.append(body(*shape, orientation=turn))
        place = np.array([rng.uniform(-1, 1), 0.0, rng.uniform(-1, 1)])
        true, found = bullet_gap(bodies[0], np.zeros(3), bodies[1], place), gap(bodies[0], (0, 0, 0), bodies[1], place)
        assert found <= true + 5e-3
        if true < 0.05:
            near += 1
            assert found > true - (0.06 if true > 0 else 0.01)
    assert near > 20


@pytest.mark.parametrize("view", ["front", "top"])
def test_apparent_radius_is_that_of_the_silhouette(view: str) -> None:
    camera = Camera(view, (0.0, 0.0, 0.0))  # type: ignore[arg-type]
    spec = RenderSpec(128, 128, 15.0)
    turned = (0.2, 0.3, -0.1, math.sqrt(0.86))
    for orientation in ((0.0, 0.0, 0.0, 1.0), turned):
        for shape in (("sphere", 0.45), ("box", 0.5, 0.3, 0.4), ("cylinder", 0.4, 0.9)):
            item = body(*shape, orientation=orientation)
            radius = apparent_radius(item, camera)
            state = np.zeros((1, 13))
            state[:, 3:7] = orientation
            scene = Scene((replace(item, role="moving"),), replace(camera, distance=2000.0))
            area = float(full_area(scene, 0, np.zeros(1), state, spec)[0]) / (128 / scene.camera.width) ** 2
            assert math.pi * radius**2 == pytest.approx(area, rel=4e-3)
    with pytest.raises(ValueError, match="silhouette"):
        apparent_radius(body("plane"), camera)


@given(st.tuples(*[st.floats(-5, 5)] * 3))
def test_unrotate_is_the_inverse(vector: tuple[float, ...]) -> None:
    np.testing.assert_allclose(unrotate(TILTED, rotate(TILTED, vector)), vector, atol=1e-12)


def test_ramp_rises_from_its_foot() -> None:
    board = ramp("board", (-1.0, 0.2), math.radians(20), 2.0)
    top = (-1.0 + 2 * math.cos(math.radians(20)), 0.0, 0.2 + 2 * math.sin(math.radians(20)))
    point = body("sphere", 0.0)
    for place in ((-1.0, 0.0, 0.2), top):
        assert gap(point, place, board, board.position) == pytest.approx(0.0, abs=1e-12)
    normal = np.array([-math.sin(math.radians(20)), 0.0, math.cos(math.radians(20))])
    middle = (np.array([-1.0, 0.0, 0.2]) + np.array(top)) / 2
    assert gap(body("sphere", 0.3), middle + 0.5 * normal, board, board.position) == pytest.approx(0.2)
