"""The set around bodies: it reaches as far as a picture shows, and hides none of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.world.scene import Body, Camera, RenderSpec, Scene
from physbench.world.styles.natural.mitsuba_scene import surface_reach
from physbench.world.styles.natural.rays import see, view_directions
from physbench.world.styles.natural.stage import PLACE, Stage, floor_out_of_sight, stage_of

BALL = Body("ball", "sphere", (0.3,), "moving", (0.0, 0.0, 1.0), hue=0)
FLOOR = Body("ground", "plane", (), "fixed", (0.0, 0.0, 0.0))
FRONT = Camera("front", (0.0, 0.0, 2.0))
SQUARE, WIDE, TALL = (RenderSpec(*size, 16.0, "natural") for size in ((96, 96), (96, 160), (160, 96)))


def in_picture(scene: Scene, spec: RenderSpec) -> Stage:
    return floor_out_of_sight(stage_of(scene), scene, spec)


@pytest.mark.parametrize("size", [(256, 256), (704, 1280), (1280, 704), (128, 2048), (2048, 128)])
@pytest.mark.parametrize("task", ["falling/incline-v1", "occlusion/screen-pass-v1", "collisions/billiards-v1"])
def test_floor_and_wall_reach_as_far_as_a_picture_shows(task: str, size: tuple[int, int]) -> None:
    """Those of the path tracer end, and what lies beyond them would be black."""
    scene, spec = make_scene(Row(task, "test", 0)), RenderSpec(*size, 16.0, "natural")
    stage, coarse = in_picture(scene, spec), RenderSpec(size[0] // 32, size[1] // 32, 16.0, "natural")
    reach = surface_reach(stage, scene.camera, spec)
    seen = see(stage, scene.camera, view_directions(scene.camera, coarse))
    places = seen.points(scene.camera)[(seen.part >= 0) & (seen.part < len(stage.surfaces))]
    assert np.abs(places - np.asarray(stage.middle)).max() < reach
    assert (reach == PLACE.reach) == (size in ((256, 256), (704, 1280)) or (task, size) == (
        "falling/incline-v1", (1280, 704)) or (task, size) == ("collisions/billiards-v1", (1280, 704)))  # fmt: skip


def test_boxes_at_the_sides_do_not_shorten_floor_and_wall() -> None:
    spec = RenderSpec(128, 1024, 16.0, "natural")
    posts = [Body(f"post {x}", "box", (2.0, 0.3, 9.0), "fixed", (x, 0.0, 0.0), grey=0.5) for x in (-20.0, 20.0)]
    reach = [surface_reach(stage_of(Scene(bodies, FRONT)), FRONT, spec) for bodies in ((FLOOR,), (FLOOR, *posts))]
    assert reach[0] == reach[1] > 20


def test_a_floor_that_is_no_body_lies_below_the_picture() -> None:
    scene = Scene((BALL,), FRONT)
    assert in_picture(scene, SQUARE) == stage_of(scene) == in_picture(scene, WIDE), "it lies below them already"
    for camera in (FRONT, replace(FRONT, width=12.0)):
        tall = replace(scene, camera=camera)
        stage = in_picture(tall, TALL)
        assert set(np.unique(see(stage, camera, view_directions(camera, TALL)).part)) == {1}, "the wall alone"
    ground = Scene((FLOOR, BALL), FRONT)
    assert in_picture(ground, TALL) == stage_of(ground), "a body stays where it is"


def test_the_wall_stands_behind_all_bodies() -> None:
    scene = Scene((FLOOR, BALL, replace(BALL, name="far", position=(1.0, 2.5, 0.3))), FRONT)
    walls = [stage_of(each).surfaces[1].level for each in (scene, replace(scene, bodies=scene.bodies[:2]))]
    assert walls[0] > 2.8 and walls[1] == 2.0


def test_the_set_does_not_depend_on_whether_a_body_is_drawn() -> None:
    """Pictures with a hidden body and without it are compared: nothing else in them may change."""
    table = replace(FLOOR, collides=False, position=(0.0, 0.0, -1.0))
    screen = Body("dark", "box", (0.2, 0.2, 0.2), "moving", (1.0, 0.0, 1.0), grey=0.2)
    far = replace(BALL, name="far", position=(1.0, 2.5, 0.3))
    for scene in (
        Scene((table, BALL), Camera("top", (0.0, 0.0, 0.0))),
        Scene((FLOOR, BALL, screen), FRONT),
        Scene((FLOOR, BALL, far), FRONT),
    ):
        for body in scene.bodies[1:]:
            rest = tuple(replace(each, drawn=False) if each is body else each for each in scene.bodies)
            assert stage_of(replace(scene, bodies=rest)) == stage_of(scene)
