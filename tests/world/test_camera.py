"""Metres to pixels and back; moving cameras: poses, homographies and the areas of what they show."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from physbench.clips.action_space import CAMERA_POSE
from physbench.clips.clip import Row
from physbench.clips.generate import make_scene, render_spec
from physbench.support.arrays import Array
from physbench.support.errors import UsageError
from physbench.world import drawing
from physbench.world.camera import (
    MovingSight,
    area_weights,
    ball_sight,
    camera_matrices,
    depth_axis,
    depth_scale,
    eye,
    foot,
    homographies,
    in_picture,
    in_view,
    least_scale,
    lens,
    looking,
    mapped,
    moving_sight,
    picture_width,
    pictured,
    pixels_per_metre,
    plane_from_px,
    plane_from_world,
    pose_at,
    px_from_plane,
    px_from_world,
    relative_poses,
    stopped,
    world_from_plane,
)
from physbench.world.drawing import render
from physbench.world.scene import Body, Camera, CameraMove, RenderSpec, Scene
from physbench.world.styles.prompt import camera_sentence

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


@pytest.mark.parametrize("camera", NEAR_CAMERAS)
def test_a_plate_is_sheared_as_the_homography_does(camera: Camera) -> None:
    spec, step = RenderSpec(128, 128, 30), 1e-4 * np.array([[1.0, 0.0], [0.0, -1.0]])  # m: to the right, down
    sight = ball_sight(camera, spec, 0.4, camera.center[1])
    assert sight is not None
    for offset in ((0.0, 0.0), (1.0, 1.8), (-1.5, -1.8)):
        point = plane_from_world(camera, np.asarray(camera.center)) + np.array(offset)
        sides = px_from_plane(camera, spec, point + step) - px_from_plane(camera, spec, point - step)  # rows
        shear = sides.T / np.sqrt(np.linalg.det(sides))
        np.testing.assert_allclose(sight.plate_shear(px_from_plane(camera, spec, point)), shear, atol=1e-6)


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


SPEC = RenderSpec(128, 128, 10.0)
MIDDLE = np.array([64.0, 64.0])
MOVES = ("pan", "tilt", "roll", "dolly", "orbit", "shake")


def camera(view: str = "front", **moves: float) -> Camera:
    path = tuple(CameraMove(kind, size, begin=0.0, end=2.0) for kind, size in moves.items())  # type: ignore[arg-type]
    return Camera(view, (0.3, 0.0, 1.0), distance=5.0, tilt=0.2, path=path)  # type: ignore[arg-type]


def seen(camera: Camera, time: float, points: Array) -> Array:
    """World points (N, 3) m in the picture (N, 2) px, by the pose alone."""
    pose = pose_at(camera, time)
    away = (points - pose.eye) @ pose.axes.T
    return np.asarray((away @ lens(camera, SPEC).T)[:, :2] / away[:, 2:])


@pytest.mark.parametrize("view", ["front", "top"])
@pytest.mark.parametrize("kind", MOVES)
def test_a_homography_takes_places_in_the_plane_where_the_moved_camera_shows_them(view: str, kind: str) -> None:
    moving = camera(view, **{kind: 0.15})
    flat = np.random.default_rng(0).uniform(-2, 2, (20, 2))
    at_rest = px_from_plane(moving, SPEC, flat)
    matrix = homographies(moving, SPEC, np.array([-1.0, 1.3]))
    moved = seen(moving, 1.3, world_from_plane(moving, flat))
    assert np.allclose(mapped(matrix[1], at_rest), moved)
    if kind != "shake":  # which trembles all the time
        assert np.allclose(mapped(matrix[0], at_rest), at_rest)
        assert np.abs(moved - at_rest).max() > 0.5


def test_a_camera_that_only_turns_shows_everything_by_one_homography() -> None:
    moving = camera(pan=0.1, tilt=-0.05, roll=0.08)
    points = np.random.default_rng(1).uniform(-1, 1, (20, 3)) + np.array([0.3, 1.0, 1.0])
    matrix = homographies(moving, SPEC, np.array([2.0]))[0]
    assert np.allclose(mapped(matrix, px_from_world(moving, SPEC, points)), seen(moving, 2.0, points))


def test_each_move_goes_where_its_name_says() -> None:
    focal = lens(camera(pan=0.1), SPEC)[0, 0]

    def at(point: Array = MIDDLE, **moves: float) -> Array:
        return mapped(homographies(camera(**moves), SPEC, np.array([2.0]))[0], point) - MIDDLE

    assert np.allclose(at(pan=0.1), (-focal * math.tan(0.1), 0))  # to the right: things go to the left
    assert np.allclose(at(tilt=0.1), (0, -focal * math.tan(0.1)))
    beside = MIDDLE + np.array([10.0, 0.0])
    assert np.allclose(at(beside, roll=0.1), (10 * math.cos(0.1), -10 * math.sin(0.1)))
    assert at(beside, dolly=1.0)[0] == pytest.approx(10 * 5 / 4)
    assert np.allclose(at(orbit=0.1), 0, atol=1e-9)
    assert pose_at(camera(orbit=0.1), 2.0).eye[0] > 0.3 + 0.4
    above = camera("top", orbit=0.1)
    assert pose_at(above, 2.0).eye[0] > 0.3 + 0.05 and pose_at(above, 2.0).eye[2] == pytest.approx(
        pose_at(above, 0.0).eye[2]
    )


def test_moves_ramp_sway_and_add_up() -> None:
    ramp, sway = CameraMove("dolly", 2.0, 1.0, 3.0), CameraMove("dolly", 0.5, period=4.0)
    still = replace(camera(), path=())
    ahead = pose_at(still, 0.0).axes[2]

    def along(time: float, *path: CameraMove) -> float:
        return float((pose_at(replace(still, path=path), time).eye - pose_at(still, time).eye) @ ahead)

    assert [along(t, ramp) for t in (0.0, 2.0, 9.0)] == pytest.approx([0.0, 1.0, 2.0])
    assert along(1.0, sway) == pytest.approx(0.5) and along(2.0, ramp, sway) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="an end after its begin"):
        CameraMove("pan", 1.0, 2.0, 2.0)


def test_a_stopped_camera_stands_where_it_was() -> None:
    moves = (CameraMove("pan", 0.3), CameraMove("orbit", 1.2, 0.0, 2.0), CameraMove("shake", 0.02))
    camera = Camera("top", (0.5, 0.0, 0.4), path=moves)
    wanted = pose_at(camera, 1.3)
    for time in (-1.0, 0.0, 4.0):
        pose = pose_at(stopped(camera, 1.3), time)
        assert np.array_equal(pose.eye, wanted.eye) and np.array_equal(pose.axes, wanted.axes)


def test_what_is_behind_a_camera_is_nowhere() -> None:
    matrix = homographies(camera(pan=1.5), SPEC, np.array([2.0]))[0]
    places = np.array([[0.0, 64.0], [64.0, 64.0]])
    assert np.isnan(mapped(matrix, places)[0]).all()
    assert not in_picture(matrix, SPEC, places).any()


def test_area_weights_are_those_of_the_picture_at_rest() -> None:
    matrix = homographies(camera(pan=0.1, dolly=1.0), SPEC, np.array([2.0]))[0]
    back = np.linalg.inv(matrix)
    weight = area_weights(back, SPEC, 2)
    rest = np.random.default_rng(2).uniform(0, 128, (40000, 2))
    shown = in_picture(matrix, SPEC, rest).mean() * 128**2  # all of it lies in the picture at rest
    inside = in_picture(back, SPEC, np.stack(np.meshgrid(np.arange(256), np.arange(256)), -1) / 2 + 0.25)
    assert weight.sum() == pytest.approx(shown, rel=0.02) and ((weight > 0) == inside).all()


def test_a_body_has_the_area_that_the_camera_at_rest_would_see() -> None:
    ball = Body("ball", "sphere", (0.4,), "moving", (1.0, 0.0, 1.0), hue=0)
    states = np.zeros((3, 1, 13))
    states[..., :3], states[..., 6] = ball.position, 1.0
    scene = Scene((ball,), camera(pan=0.5))
    picture = render(scene, np.array([0.0, 1.0, 2.0]), states, SPEC)
    assert picture.visible_area[:2, 0] == pytest.approx(picture.full_area[:2, 0], rel=0.02)
    right = render(replace(scene, camera=camera(pan=-1.0)), np.array([2.0]), states[:1], SPEC)
    assert right.visible_area[0, 0] == 0 and right.full_area[0, 0] > 0


@pytest.mark.parametrize(
    ("view", "tilt", "move"), [("top", 0.5, "orbit"), ("front", 0.2, "orbit"), ("front", 0.0, "dolly")]
)
def test_a_ball_before_an_eye_that_moves_has_the_outline_of_its_cone(view: str, tilt: float, move: str) -> None:
    path = (CameraMove(move, -1.2, 0.0, 2.0),)  # type: ignore[arg-type]
    moving = Camera(view, (0.3, 0.0, 1.0), distance=6.0, tilt=tilt, path=path)  # type: ignore[arg-type]
    times, radius = np.array([0.0, 1.0, 2.0]), 0.45
    middle = world_from_plane(moving, np.array([[0.9, 1.2]]) if view == "front" else np.array([[0.9, 0.8]]))[0]
    framing = homographies(moving, SPEC, times)
    sight = moving_sight(moving, SPEC, radius, float(middle[depth_axis(moving)]), times, framing)
    assert isinstance(sight, MovingSight)
    place = np.repeat(px_from_world(moving, SPEC, middle[None]), 3, axis=0)
    angle = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
    for n, time in enumerate(times):
        away = middle - pose_at(moving, float(time)).eye
        far = np.linalg.norm(away)
        one = np.cross(away, [0.0, 0.6, 0.8])
        one /= np.linalg.norm(one)
        other = np.cross(away / far, one)
        # The rays that touch a ball meet it in a circle (closed form).
        circle = middle - away * (radius / far) ** 2
        rim = circle + radius * math.sqrt(1 - (radius / far) ** 2) * (
            np.cos(angle)[:, None] * one + np.sin(angle)[:, None] * other
        )
        x, y = pictured(moving, SPEC, times[[n]], rim[None])[0].T
        cross = x * np.roll(y, -1) - np.roll(x, -1) * y
        area = cross.sum() / 2
        centre = np.array([((z + np.roll(z, -1)) * cross).sum() / 6 / area for z in (x, y)])
        assert sight.area(place)[n] == pytest.approx(abs(area), rel=1e-5)
        assert sight.centre(np.repeat(centre[None], 3, axis=0))[n] == pytest.approx(place[n], abs=1e-3)
        half, light = sight.axes(place)
        rim_radii = np.linalg.norm(np.linalg.inv(half)[n] @ (np.stack([x, y]) - centre[:, None]), axis=0)
        assert rim_radii == pytest.approx(1, abs=0.05) and np.linalg.norm(light[n]) <= 1
        z = (x - centre[0] + 1j * (y - centre[1])) / math.sqrt(abs(area) / np.pi)
        after = np.roll(z, -1)
        second = (cross * (z**2 + z * after + after**2)).sum() / 6 / cross.sum()
        assert second == pytest.approx(complex(*sight.two_fold(place)[n]), abs=1e-3)


def test_full_areas_before_an_eye_that_moves_are_those_that_are_seen() -> None:
    path = (CameraMove("orbit", math.pi, 0.0, 4.0),)
    ball = Body("ball", "sphere", (0.45,), "moving", (1.2, -0.8, 0.0), hue=0)
    plate = Body("box", "box", (0.5, 0.3, 0.2), "moving", (-1.2, 0.6, 0.3), hue=2)
    middle = replace(ball, name="middle", position=(0.0, 0.0, 0.0), hue=1)
    scene = Scene((ball, plate, middle), Camera("top", (0.0, 0.0, 0.0), distance=6.0, tilt=0.5, path=path))
    states = np.zeros((5, 3, 13))
    states[..., 6] = 1.0
    states[:, 0, :3], states[:, 1, :3] = ball.position, plate.position
    states[:, 0, 2] = np.linspace(-0.3, 0.6, 5)  # out of the plane of motion, too
    picture = render(scene, np.linspace(0, 4, 5), states, RenderSpec(256, 256, 10.0))
    assert picture.visible_area == pytest.approx(picture.full_area, rel=0.02)
    assert np.ptp(picture.full_area[:, 0]) > 0.1 * picture.full_area[0, 0]


def test_balls_before_a_moving_camera_are_drawn_as_if_their_meshes_were_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a turn: what is left out for a camera at rest would be seen."""
    path = (CameraMove("orbit", math.pi, 0.0, 4.0),)
    ball = Body("ball", "sphere", (0.45,), "moving", (1.2, -0.8, 0.0), hue=0)
    scene = Scene((ball,), Camera("top", (0.0, 0.0, 0.0), distance=6.0, tilt=0.5, path=path))
    states = np.zeros((9, 1, 13))
    states[..., 6], states[:, 0, :3] = 1.0, ball.position
    drawn = [render(scene, np.linspace(0, 4, 9), states, RenderSpec(64, 64, 10.0)).frames]
    for angle in (math.pi, 0.0):
        monkeypatch.setattr(drawing, "widest_angle_from", lambda *_, angle=angle: angle)
        drawn.append(render(scene, np.linspace(0, 4, 9), states, RenderSpec(64, 64, 10.0)).frames)
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()


def test_the_view_moving_keeps_the_window_whole() -> None:
    scene = make_scene(Row("falling/projectile-v1", "test", 0), "moving")
    half = scene.camera.width / 2
    corners = np.array([scene.camera.center[i] for i in (0, 2)]) + half * np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    matrix = homographies(scene.camera, SPEC, np.arange(-2, 8, 0.05))
    assert in_picture(matrix[:, None], SPEC, px_from_plane(scene.camera, SPEC, corners)).all()
    assert replace(scene, camera=make_scene(Row("falling/projectile-v1", "test", 0)).camera) == make_scene(
        Row("falling/projectile-v1", "test", 0)
    )
    own = replace(scene, camera=replace(scene.camera, path=camera(pan=1.0).path))
    assert in_view(own, "near").camera.path == own.camera.path


def test_a_sentence_says_what_the_camera_does() -> None:
    assert camera_sentence(camera(pan=0.1)) == "The camera pans right."
    assert camera_sentence(camera(pan=-0.1, dolly=1.0, shake=0.1)) == "The camera pans left, moves in and shakes."
    spec = render_spec(64, 10, view="moving")
    assert spec.picture == "moving" and str(spec) == "64x64@10-moving"
    sway = make_scene(Row("falling/projectile-v1", "test", 0), "moving").camera
    assert camera_sentence(sway) == "The camera sways from side to side, nods up and down and rocks."


def test_poses_are_those_of_the_camera_at_the_hand_over() -> None:
    """Against SciPy's rotations about the camera's own axes, and where a point lies in front of the moved camera."""
    moving = camera(pan=0.4, tilt=-0.2, roll=0.1, dolly=0.5, orbit=0.3)
    begun = replace(moving, path=tuple(replace(move, begin=-1.0, end=3.0) for move in moving.path))
    times = np.array([-1.0, 0.0, 2.5])
    poses = relative_poses(begun, times)
    assert poses.shape == (3, 6) and np.abs(poses[1]).max() < 1e-9 and np.abs(poses[2]).min() > 0.01
    matrices, first = camera_matrices(poses), pose_at(begun, 0.0)
    for matrix, (pan, tilt, roll), time in zip(matrices, poses[:, :3], times, strict=True):
        expected = Rotation.from_euler("YXZ", (pan, -tilt, roll), degrees=True).as_matrix()
        assert np.allclose(matrix[:, :3], expected)
        pose, point = pose_at(begun, float(time)), np.array([0.7, 3.0, 1.2])
        before, now = first.axes @ (point - first.eye), pose.axes @ (point - pose.eye)
        assert np.allclose(matrix @ np.append(now, 1.0), before)
    with pytest.raises(UsageError, match=r"poses of shape \(T, 6\), got \(6,\)"):
        camera_matrices(np.zeros(6))


@pytest.mark.parametrize(
    ("kind", "size", "column"), [("pan", 10, 0), ("tilt", 10, 1), ("roll", 10, 2), ("dolly", 1, 5)]
)
def test_each_number_of_a_pose_is_what_its_name_says(kind: str, size: float, column: int) -> None:
    value = size if kind == "dolly" else math.radians(size)
    pose = relative_poses(camera(**{kind: value}), np.array([2.0]))[0]
    assert pose[column] == pytest.approx(size) and np.abs(np.delete(pose, column)).max() < 1e-9
    assert CAMERA_POSE.names[column].split("_")[0] == {"dolly": "ahead"}.get(kind, kind)
    assert not relative_poses(replace(camera(), path=()), np.array([-1.0, 2.0])).any()


def test_poses_of_a_camera_that_goes_on_turning_jump_by_no_circle() -> None:
    path = (CameraMove("orbit", math.radians(400), -2.0, 4.0),)
    round_it = Camera("top", (0.0, 0.0, 0.0), distance=10.0, tilt=math.radians(25), path=path)
    poses = relative_poses(round_it, np.arange(-2, 4, 0.1))
    assert np.abs(np.diff(poses[:, :3], axis=0)).max() < 12 and not poses[20].any()
    assert np.ptp(poses[:, 2]) > 360
    matrices = camera_matrices(poses)
    assert np.allclose(matrices[20], np.eye(3, 4))
