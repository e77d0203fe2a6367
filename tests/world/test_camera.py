"""Metres to pixels and back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physbench.world.camera import (
    ball_sight,
    depth_axis,
    depth_scale,
    eye,
    foot,
    least_scale,
    looking,
    picture_width,
    pixels_per_metre,
    plane_from_px,
    plane_from_world,
    px_from_plane,
    px_from_world,
    world_from_plane,
)
from physbench.world.scene import Camera, RenderSpec

coordinate = st.floats(-50, 50)


@given(coordinate, coordinate, st.sampled_from(["front", "top"]), st.integers(32, 512), st.integers(32, 512))
def test_there_and_back(u: float, v: float, view: str, height: int, width: int) -> None:
    camera, spec = Camera(view, (0.3, -0.2, 1.7)), RenderSpec(height, width, 30)  # type: ignore[arg-type]
    point = np.array([u, v])
    np.testing.assert_allclose(plane_from_px(camera, spec, px_from_plane(camera, spec, point)), point, atol=1e-9)


def test_window_fills_the_shorter_side() -> None:
    camera = Camera("front", (0.0, 0.0, 2.56))
    for spec in (RenderSpec(64, 64, 30), RenderSpec(64, 128, 30), RenderSpec(128, 64, 30)):
        assert pixels_per_metre(camera, spec) == pytest.approx(12.5)
        corner = np.array([-2.56, 5.12])  # of the square window
        expected = [(spec.width - 64) / 2, (spec.height - 64) / 2]
        np.testing.assert_allclose(px_from_plane(camera, spec, corner), expected, atol=1e-9)


@given(coordinate, coordinate)
def test_perspective_is_true_in_the_plane_of_motion(u: float, v: float) -> None:
    spec = RenderSpec(96, 128, 30)
    for camera, point in (
        (Camera("front", (0.1, 0.5, 2.0)), np.array([u, 0.5, v])),
        (Camera("top", (0.1, 0.5, 2.0)), np.array([u, v, 2.0])),
    ):
        flat = px_from_plane(camera, spec, plane_from_world(camera, point))
        np.testing.assert_allclose(px_from_world(camera, spec, point), flat, atol=1e-9)


def test_nearer_things_are_larger() -> None:
    camera, spec = Camera("front", (0.0, 0.0, 0.0)), RenderSpec(64, 64, 30)
    near = px_from_world(camera, spec, np.array([1.0, -10.0, 0.0]))
    assert near[0] - 32 == pytest.approx(2 * 12.5)


# A near camera that looks down.

NEAR_CAMERAS = [
    Camera(view, (0.3, -0.2, 1.7), distance=5.0, tilt=math.radians(tilt))  # type: ignore[arg-type]
    for view in ("front", "top")
    for tilt in (0, 10, 20)
]
place = st.floats(-2.5, 2.5)


@pytest.mark.parametrize("camera", NEAR_CAMERAS)
@settings(max_examples=20)
@given(place, place, st.floats(-1.0, 1.0))
def test_a_ray_meets_the_plane_where_the_body_is(camera: Camera, u: float, v: float, behind: float) -> None:
    spec, axis = RenderSpec(96, 128, 30), depth_axis(camera)
    world = world_from_plane(camera, plane_from_world(camera, np.asarray(camera.center)) + np.array([u, v]))
    world[axis] += behind
    px = px_from_world(camera, spec, world)
    seen = plane_from_px(camera, spec, px)
    back = foot(camera) + (seen - foot(camera)) * depth_scale(camera, world[axis])
    np.testing.assert_allclose(back, plane_from_world(camera, world), atol=1e-9)


@pytest.mark.parametrize("camera", NEAR_CAMERAS)
def test_the_window_is_in_the_picture(camera: Camera) -> None:
    spec = RenderSpec(128, 128, 30)
    corners = np.array([[u, v] for u in (-2.56, 2.56) for v in (-2.56, 2.56)])
    px = px_from_plane(camera, spec, plane_from_world(camera, np.asarray(camera.center)) + corners)
    assert px.min() >= -1e-9 and px.max() <= 128 + 1e-9
    assert np.isclose(px, 0).any() and np.isclose(px, 128).any()
    angle = math.degrees(2 * math.atan(picture_width(camera) / 2 / camera.distance))
    assert angle == pytest.approx(54.2, abs=0.1 if camera.tilt == 0 else 10)
    assert eye(camera) + 5 * looking(camera) == pytest.approx(np.asarray(camera.center))


@pytest.mark.parametrize("camera", NEAR_CAMERAS)
def test_the_least_scale_is_that_of_the_homography(camera: Camera) -> None:
    """Against the smallest singular value of differences of `px_from_plane`."""
    spec, step = RenderSpec(128, 128, 30), 1e-5
    for offset in np.array([[0.0, 0.0], [2.0, 1.5], [-2.0, -2.2]]):
        point = plane_from_world(camera, np.asarray(camera.center)) + offset
        sides = [px_from_plane(camera, spec, point + sign * step * np.eye(2)) for sign in (1, -1)]
        least = np.linalg.svd((sides[0] - sides[1]) / (2 * step), compute_uv=False).min()
        found = float(least_scale(camera, spec, px_from_plane(camera, spec, point)))
        assert found == pytest.approx(least, rel=1e-6)


@pytest.mark.parametrize("camera", NEAR_CAMERAS)
@pytest.mark.parametrize("offset", [(0.3, 0.1), (2.0, -1.5), (-2.2, 2.2)])
def test_the_outline_of_a_ball_is_the_ellipse_of_its_closed_form(camera: Camera, offset: tuple[float, float]) -> None:
    """Against the images of the circle in which rays from the eye touch a sphere."""
    spec, radius, axis = RenderSpec(256, 256, 30), 0.45, depth_axis(camera)
    centre = world_from_plane(camera, plane_from_world(camera, np.asarray(camera.center)) + np.array(offset))
    centre[axis] += 0.2
    away = eye(camera) - centre
    far = float(np.linalg.norm(away))
    first = np.cross(away, [0.3, 1.0, 0.5])
    first /= np.linalg.norm(first)
    second = np.cross(away, first) / far
    angle = np.linspace(0, 2 * np.pi, 720, endpoint=False)[:, None]
    ring = np.cos(angle) * first + np.sin(angle) * second
    touching = centre + radius**2 / far**2 * away + radius * math.sqrt(1 - radius**2 / far**2) * ring
    outline = px_from_world(camera, spec, touching)
    sight = ball_sight(camera, spec, radius, centre[axis])
    assert sight is not None
    seen = px_from_world(camera, spec, centre)
    middle = (outline.max(axis=0) + outline.min(axis=0)) / 2  # of an ellipse, however it lies
    np.testing.assert_allclose(sight.centre(middle), seen, atol=2e-3)
    along, across = sight.axes(seen)
    from_middle = np.linalg.norm(outline - middle, axis=1)
    np.testing.assert_allclose([from_middle.max(), from_middle.min()], [along, across], rtol=1e-4)
    x, y = outline.T
    area = 0.5 * abs(float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()))
    assert float(sight.area(seen)) == pytest.approx(area, rel=1e-4)
    # Moments of the region within it: of an ellipse a quarter of its squared half axes.
    ray = (seen - 128) / np.linalg.norm(seen - 128)
    two = (along**2 - across**2) / 4 / (along * across)
    expected = two * np.array([ray[0] ** 2 - ray[1] ** 2, 2 * ray[0] * ray[1]])
    np.testing.assert_allclose(sight.two_fold(seen), expected, atol=1e-9)


def test_a_far_ball_is_a_circle() -> None:
    assert ball_sight(Camera("front", (0.0, 0.0, 0.0)), RenderSpec(64, 64, 30), 0.4, 0.0) is None


def test_a_plate_grows_as_the_homography_does() -> None:
    camera, spec = NEAR_CAMERAS[2], RenderSpec(128, 128, 30)
    sight = ball_sight(camera, spec, 0.01, camera.center[1])
    assert sight is not None
    for offset in ((0.0, 0.0), (1.5, 2.0), (-2.0, -2.0)):
        point = plane_from_world(camera, np.asarray(camera.center)) + np.array(offset)
        square = point + 0.005 * math.sqrt(math.pi) * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        x, y = px_from_plane(camera, spec, square).T
        area = 0.5 * abs(float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()))
        assert float(sight.plate_area(px_from_plane(camera, spec, point))) == pytest.approx(area, rel=1e-3)


def test_the_centroid_of_a_plate_lies_off_its_centre() -> None:
    camera, spec, half = NEAR_CAMERAS[2], RenderSpec(128, 128, 30), 0.4
    sight = ball_sight(camera, spec, 2 * half / math.sqrt(math.pi), camera.center[1])
    assert sight is not None
    grid = (np.arange(400) + 0.5) / 400 * 2 - 1
    square = half * np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    for offset in ((0.0, 0.0), (1.0, 1.8), (-1.5, -1.8)):
        point = plane_from_world(camera, np.asarray(camera.center)) + np.array(offset)
        px, centre = px_from_plane(camera, spec, point + square), px_from_plane(camera, spec, point)
        area = sight.plate_area(px)  # as large as that which each point stands for
        centroid = (px * area[:, None]).sum(axis=0) / area.sum()
        assert sight.plate_shift(centre, 1 / 12) == pytest.approx(centroid[1] - centre[1], rel=0.15)
        assert abs(centroid[1] - centre[1]) > 0.1  # px, which is seen
