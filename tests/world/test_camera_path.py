"""Moving cameras: poses, homographies and the areas of what they show."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from physbench.clips.action_space import CAMERA_POSE
from physbench.clips.clip import Row
from physbench.clips.generate import make_scene, render_spec
from physbench.support.arrays import Array
from physbench.support.errors import UsageError
from physbench.world.camera import (
    MovingSight,
    area_weights,
    camera_matrices,
    depth_axis,
    homographies,
    in_picture,
    in_view,
    lens,
    mapped,
    moving_sight,
    pictured,
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
