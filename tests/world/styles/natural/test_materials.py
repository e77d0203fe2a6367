"""Materials: the door of a hall, where it belongs and nowhere else; noise that is looked up is that computed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.clips.suite import find_suite
from physbench.world.scene import Camera, RenderSpec, Scene
from physbench.world.styles.natural import materials
from physbench.world.styles.natural.materials import DOOR, painted, with_door
from physbench.world.styles.natural.mitsuba_scene import layer_key
from physbench.world.styles.natural.rays import see, textured_albedo, view_directions
from physbench.world.styles.natural.stage import Door, Material, Stage, StageBox, displayed, stage_of

AROUND = DOOR.frame + DOOR.shade  # m
WIDE = RenderSpec(704, 1280, 16.0, "natural")
SMALL = RenderSpec(64, 116, 16.0, "natural")  # as wide
TASKS = sorted({row.task for row in find_suite("core").rows})
ON_FLOORS = ("drop-bounce", "projectile", "stack", "screen-pass", "screen-stop", "screen-swap")


def hall(seed: int = 1, task: str = "falling/projectile-v1") -> tuple[Scene, Stage]:
    scene = make_scene(Row(task, "test", seed))
    return scene, stage_of(scene)


@pytest.mark.parametrize("task", TASKS)
def test_a_wide_picture_of_a_hall_has_a_door_where_the_floor_is_seen(task: str) -> None:
    scene, stage = hall(0, task)
    assert (with_door(stage, scene.camera, WIDE).door is not None) == (task.split("/")[1][:-3] in ON_FLOORS)
    for height, width in ((704, 704), (1280, 704), (704, 900)):
        assert with_door(stage, scene.camera, RenderSpec(height, width, 16.0)) is stage


def test_the_door_stands_on_the_floor_beside_what_square_pictures_show() -> None:
    sides = set()
    for seed in range(12):
        scene, stage = hall(seed)
        door = with_door(stage, scene.camera, WIDE).door
        assert door is not None and stage.floor is not None
        assert door.foot == stage.floor.level
        middle = door.left + DOOR.leaf[0] / 2 - scene.camera.center[0]
        away = (20 + 2) / 20  # the wall is 2 m behind the plane of motion
        near, far = abs(middle) - DOOR.leaf[0] / 2 - AROUND, abs(middle) + DOOR.leaf[0] / 2 + AROUND
        assert 2.56 * away < near and far < 2.56 * away * 1280 / 704
        sides.add(np.sign(middle))
    assert sides == {-1.0, 1.0}


def test_only_the_widened_part_of_a_picture_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("physbench.world.styles.natural.mitsuba_scene.variant_names", lambda: "any")
    scene, stage = hall()
    seen = see(stage, scene.camera, view_directions(scene.camera, SMALL))
    without = textured_albedo(stage, scene.camera, seen)
    furnished = with_door(stage, scene.camera, SMALL)
    changed = textured_albedo(furnished, scene.camera, seen) != without
    columns = np.flatnonzero(changed.any(axis=(0, 2)))
    assert len(columns) > 8 and not ((columns >= 26) & (columns < 90)).any()
    assert layer_key(stage, scene.camera, SMALL) != layer_key(furnished, scene.camera, SMALL)


def test_a_box_of_the_scene_keeps_the_door_away() -> None:
    scene, stage = hall()
    door = with_door(stage, scene.camera, WIDE).door
    assert door is not None
    side = np.sign(door.left - scene.camera.center[0])

    def box(sign: float) -> StageBox:
        place = (scene.camera.center[0] + sign * 3.5, 0.0, 0.5)
        return StageBox(place, (1.0, 0.2, 0.5), (0.0, 0.0, 0.0, 1.0), Material((0.5, 0.5, 0.5)))

    other = with_door(replace(stage, blocks=(box(side),)), scene.camera, WIDE).door
    assert other is not None and np.sign(other.left - scene.camera.center[0]) == -side
    assert with_door(replace(stage, blocks=(box(1.0), box(-1.0))), scene.camera, WIDE).door is None


@pytest.mark.parametrize("handle", [-1, 1])
def test_the_door_is_no_body_and_no_screen(handle: int) -> None:
    """It has no hue, nothing as dark as a screen in half of the light, and is seen against the wall."""
    door = Door(0.0, 0.0, handle, 5)
    u, v = np.meshgrid(np.linspace(-0.5, 1.4, 400), np.linspace(-0.3, 2.6, 600))
    wall = np.full((u.size, 3), 0.7)
    albedo = painted(door, wall, u.ravel(), v.ravel())
    levels = displayed(albedo).reshape(*u.shape, 3).astype(int)
    assert np.ptp(levels, axis=-1).max() <= 8
    assert displayed(albedo / 2).min() > 82 and levels.min() > 110
    leaf = (np.abs(u - 0.45) < 0.4) & (np.abs(v - 1.0) < 0.9)
    assert abs(levels[leaf].mean() - displayed(np.array(0.7))) > 20
    far = (v > DOOR.leaf[1] + AROUND) | ((v > 0) & ((u < -AROUND) | (u > DOOR.leaf[0] + AROUND)))
    assert far.any() and (albedo.reshape(*u.shape, 3)[far] == 0.7).all()


def test_no_wall_has_no_door() -> None:
    camera = Camera("front", (0.0, 0.0, 1.0))
    stage = stage_of(make_scene(Row("collisions/head-on-v1", "test", 0)))
    assert with_door(stage, camera, WIDE) is stage


def test_cells_that_many_places_share_are_looked_up() -> None:
    rng = np.random.default_rng(0)
    i, j = rng.integers(-40, 40, (2, 300, 300))
    table, at, _ = materials._table(7, i, j)
    assert table is not None and len(table) < i.size
    np.testing.assert_array_equal(table[at], materials._hash(7, i, j))
    np.testing.assert_array_equal(materials.hashed(7, i, j), materials._hash(7, i, j))


@pytest.mark.parametrize("scale", [3.0, 1e5])  # cells that many places share, and that none do
def test_noise_is_that_of_the_corners_of_its_cell(scale: float) -> None:
    u, v = np.random.default_rng(1).uniform(-scale, scale, (2, 2000))
    a, b = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    x, y = (w * w * (3 - 2 * w) for w in (u - a, v - b))
    corner = {(k, m): materials._hash(3, a + k, b + m) for k in (0, 1) for m in (0, 1)}
    low = corner[0, 0] * (1 - x) + corner[1, 0] * x
    high = corner[0, 1] * (1 - x) + corner[1, 1] * x
    np.testing.assert_array_equal(materials.value_noise(3, u, v), 2 * (low * (1 - y) + high * y) - 1)


def test_places_of_no_pixel_have_no_noise() -> None:
    assert materials.value_noise(3, np.empty(0), np.empty(0)).shape == (0,)
