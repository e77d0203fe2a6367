"""Rays against boxes: those that pass far from one are left out, and nothing else changes."""

import numpy as np
import pytest

from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.world.geometry import rotate
from physbench.world.scene import RenderSpec
from physbench.world.styles.natural.frames import _fine_albedo
from physbench.world.styles.natural.rays import (
    NOTHING_MET,
    hit_box,
    mean_albedo,
    near_edges,
    rays_within,
    see,
    spread_rays,
    textured_albedo,
    view_directions,
)
from physbench.world.styles.natural.stage import stage_of


@pytest.mark.parametrize("turned", [False, True])
def test_rays_meet_a_box_where_sampled_points_of_it_lie(turned: bool) -> None:
    """A ray towards a point of the surface that faces its beginning meets the box there."""
    rng = np.random.default_rng(2)
    turn = np.array([0.3, -0.2, 0.5, 0.0]) if turned else np.array([0.0, 0.0, 0.0, 1.0])
    turn[3] = np.sqrt(1 - (turn[:3] ** 2).sum())
    half, centre = (0.5, 0.2, 0.8), np.array([0.4, 3.0, -0.3])
    local = rng.uniform(-1, 1, (400, 3)) * half
    axis = rng.integers(0, 3, 400)
    side = rng.choice([-1.0, 1.0], 400)
    local[np.arange(400), axis] = side * np.asarray(half)[axis]
    normal = rotate(turn, side[:, None] * np.eye(3)[axis])
    points = rotate(turn, local) + centre
    origin = points + normal + 0.3 * rng.normal(size=(400, 3))
    facing = ((origin - points) * normal).sum(-1) > 0.1
    t, found = hit_box(origin[facing], (points - origin)[facing], centre, half, turn)
    np.testing.assert_allclose(t, 1.0, rtol=1e-9)
    np.testing.assert_allclose(found, normal[facing], atol=1e-12)


def test_rays_that_miss_meet_nothing() -> None:
    directions = np.array([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0], [5.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    t, normal = hit_box(np.zeros(3), directions, (0.0, 3.0, 0.0), (0.5, 0.5, 0.5), (0.0, 0.0, 0.0, 1.0))
    np.testing.assert_array_equal(t, [2.5, *[NOTHING_MET] * 3])
    np.testing.assert_array_equal(normal, [[0, -1, 0], *[[0, 0, 0]] * 3])


def test_rays_within_pixels_are_those_of_the_whole_picture() -> None:
    camera, spec = make_scene(Row("falling/incline-v1", "test", 0)).camera, RenderSpec(48, 64, 15.0)
    rows, columns = np.array([0, 47, 20]), np.array([63, 0, 11])
    whole = view_directions(camera, spec, 2).reshape(48, 2, 64, 2, 3)
    np.testing.assert_array_equal(rays_within(camera, spec, 2, rows, columns), whole[rows, :, columns].reshape(3, 4, 3))


def test_spread_rays_fill_a_pixel_evenly_each_at_a_height_of_its_own() -> None:
    camera, spec = make_scene(Row("falling/projectile-v1", "test", 0)).camera, RenderSpec(48, 64, 15.0)
    pixel = np.array([5]), np.array([9])
    spread = spread_rays(camera, spec, 3, *pixel)[0]
    corners = rays_within(camera, spec, 2, *pixel)[0]
    np.testing.assert_allclose(spread.mean(axis=0), corners.mean(axis=0), atol=1e-12)
    heights = np.unique(spread[:, 2].round(12))
    step = np.ptp(corners[:, 2]) * 2 / 9  # the middles of halves lie half a pixel apart
    np.testing.assert_allclose(np.diff(heights), step)
    assert len(heights) == 9 and len(np.unique(spread[:, 0].round(12))) == 3


def test_materials_mix_in_a_pixel_by_the_share_that_each_covers() -> None:
    """Near to one of many rays, so that light beside a dark screen is not taken for many times of what it is."""
    scene, spec = make_scene(Row("occlusion/screen-swap-v1", "test", 1)), RenderSpec(48, 48, 15.0, "natural")
    stage, camera = stage_of(scene), scene.camera
    parts = see(stage, camera, view_directions(camera, spec, 3)).part
    many = textured_albedo(stage, camera, see(stage, camera, view_directions(camera, spec, 16)))
    exact = many.reshape(48, 16, 48, 16, 3).mean(axis=(1, 3))
    off = np.abs(_fine_albedo(stage, camera, spec, 3, parts) - exact).max(axis=-1)
    edges = near_edges(see(stage, camera, view_directions(camera, spec)).part)
    assert off[edges].max() < 0.05


@pytest.mark.parametrize("task", ["falling/incline-v1", "occlusion/screen-pass-v1", "collisions/billiards-v1"])
def test_only_pixels_near_edges_show_two_parts(task: str) -> None:
    """Which lets the rest take the part that their middle shows."""
    scene, spec = make_scene(Row(task, "test", 3)), RenderSpec(96, 128, 15.0)
    stage = stage_of(scene)
    coarse = see(stage, scene.camera, view_directions(scene.camera, spec)).part
    fine = see(stage, scene.camera, view_directions(scene.camera, spec, 2)).part.reshape(96, 2, 128, 2)
    mixed = (fine != coarse[:, None, :, None]).any(axis=(1, 3))
    assert mixed.any() and not (mixed & ~near_edges(coarse)).any()


@pytest.mark.parametrize("task", ["falling/projectile-v1", "occlusion/screen-swap-v1"])
def test_light_is_traced_with_the_mean_of_what_is_painted(task: str) -> None:
    """Floors are darker before the plane of motion, and bricks have dark joints: light that they send tells of both."""
    scene = make_scene(Row(task, "test", 1))
    stage, spec = stage_of(scene), RenderSpec(256, 256, 15.0)
    seen = see(stage, scene.camera, view_directions(scene.camera, spec))
    points, painted = seen.points(scene.camera), textured_albedo(stage, scene.camera, seen)
    mean, before = mean_albedo(stage, seen.part, points), points[..., 1] < 0
    for number, surface in enumerate(stage.surfaces):
        here = (seen.part == number) & (before | (surface.axis == 1))
        assert here.sum() > 1000
        ratio = mean[here].mean(axis=0) / painted[here].mean(axis=0)
        assert np.abs(ratio - 1).max() < 0.03, "clouds that are larger than the picture are left"
