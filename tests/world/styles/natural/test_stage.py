"""The set around bodies: it reaches as far as a picture shows and hides none; holders, and screens as things."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from slow_cases import others_slow

from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.clips.suite import find_suite
from physbench.track.colour import HUED
from physbench.track.patches import SCREEN_BRIGHTNESS
from physbench.world.bodies import ball, floor, holder, is_screen
from physbench.world.bullet import simulate
from physbench.world.camera import in_view
from physbench.world.drawing import Rendered
from physbench.world.scene import BACKGROUND_GREY, Body, Camera, RenderSpec, Scene
from physbench.world.styles.catalogue import draw, draw_still
from physbench.world.styles.natural import movers, stage
from physbench.world.styles.natural.mitsuba_scene import surface_reach
from physbench.world.styles.natural.movers import drawable, movers_at
from physbench.world.styles.natural.rays import see, view_directions
from physbench.world.styles.natural.stage import (
    FITTING,
    HOLDER,
    PLACE,
    Stage,
    bodies_of_parts,
    floor_out_of_sight,
    holder_at,
    is_holder,
    stage_of,
    withdraws,
)

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


SPEC = RenderSpec(96, 96, 15.0, "natural")
TASKS = sorted({row.task for name in ("full", "actions") for row in find_suite(name).rows})


def holders(scene: Scene) -> list[int]:
    return [index for index, body in enumerate(scene.bodies) if is_holder(body)]


def drawn(scene: Scene, index: int, time: float) -> Body:
    found = holder_at(scene, stage_of(scene), index, time)
    assert found is not None
    return found


@pytest.mark.parametrize("task", TASKS)
def test_no_picture_from_the_hand_over_on_shows_a_holder(task: str) -> None:
    scene = make_scene(Row(task, "test", 0))
    stage, indices = stage_of(scene), drawable(scene)
    states = np.array([[*body.position, *body.orientation, *([0.0] * 6)] for body in scene.bodies])
    for time in (0.0, 0.05, scene.horizon):
        there = {mover.index for mover in movers_at(scene, stage, indices, time, states)}
        assert there == set(indices) - set(holders(scene))
    for index in holders(scene):
        until = scene.bodies[index].until
        assert until is not None and holder_at(scene, stage, index, until - HOLDER.withdrawal) is not None
        assert not withdraws(scene.bodies[index], until - HOLDER.withdrawal)


@pytest.mark.parametrize(
    ("task", "axis"),
    [("falling/drop-bounce-v1", 1), ("falling/stack-v1", 2), ("falling/incline-v1", 1), ("collisions/billiards-v1", 2)],
)
def test_a_holder_reaches_out_of_wall_or_floor_and_is_drawn_in_evenly(task: str, axis: int) -> None:
    scene = make_scene(Row(task, "test", 1))
    stage, index = stage_of(scene), holders(scene)[0]
    body, surface = scene.bodies[index], next(each for each in stage.surfaces if each.axis == axis)
    assert body.until is not None
    out = 1.0 if axis == 2 else -1.0
    held = drawn(scene, index, body.until - 1.0)
    tip = body.position[axis] + out * body.size[axis]
    assert held.position[axis] + out * held.size[axis] == pytest.approx(tip), "its far side is where it was"
    first = body.until if body.until < 0 else -HOLDER.withdrawal
    assert drawn(scene, index, first) == held
    for share in (0.25, 0.5, 0.9):
        now = drawn(scene, index, first + share * HOLDER.withdrawal)
        assert now.size[axis] == pytest.approx((1 - share) * held.size[axis])
        assert now.position[axis] - out * now.size[axis] == pytest.approx(surface.level), "it goes into the surface"
    assert holder_at(scene, stage, index, first + HOLDER.withdrawal) is None


def test_who_flies_or_rolls_off_is_pushed_and_who_only_falls_or_comes_along_is_not() -> None:
    scene = make_scene(Row("falling/projectile-v1", "test", 1))
    (index,), velocity = holders(scene), np.array(scene.bodies[0].velocity)
    until = scene.bodies[index].until
    assert until is not None

    def way(scene: Scene, since: float) -> np.ndarray:
        start, now = (np.array(drawn(scene, index, until + t).position) for t in (0.0, since))
        return (now - start) * [1, 0, 1]

    assert (
        np.allclose(way(scene, HOLDER.push_time / 2), velocity * HOLDER.push_time / 2) and np.abs(velocity).max() > 0.5
    )
    assert np.allclose(way(scene, 4 * HOLDER.push_time), velocity * HOLDER.push_time)
    towards = [Body(**{**vars(body), "velocity": (0.0, 0.0, -1.0)}) for body in scene.bodies]
    for bodies in (towards, [Body(**{**vars(body), "velocity": (0.0, 0.0, 0.0)}) for body in scene.bodies]):
        assert not way(Scene(tuple(bodies), scene.camera), HOLDER.push_time).any()


def test_a_holder_that_withdraws_covers_no_body_and_has_no_area() -> None:
    """In the sky, which is drawn without Mitsuba: it flies off along the line of sight, behind the body."""
    held = ball("ball", 0.5, (0.0, 0.0, 0.0), 0, release=-1.0)
    scene = Scene((holder("block", (0.1, 0.3, 0.1), (0.0, 0.6, 1.0), -1.0), held), Camera("top", (0.0, 0.0, 0.0)))
    times = [-1.1, -1 + 0.5 * HOLDER.withdrawal, -1 + HOLDER.withdrawal]
    picture = draw(scene, times, simulate(scene, np.array(times)).states, SPEC)
    covered = picture.full_area[:, 1] - picture.visible_area[:, 1]
    assert covered[0] > 10 and np.abs(covered[1:]).max() < 2
    assert picture.visible_area[0, 0] > 30 and not picture.visible_area[1:, 0].any()
    above = [np.abs(each[:38].astype(int) - draw_still(scene, SPEC)[:38]).max(axis=-1) > 8 for each in picture.frames]
    seen = [mask.sum() for mask in above]
    assert seen[0] > 1.5 * seen[1] > 8 and not seen[2]


def test_what_vanishes_after_the_hand_over_stays_as_long_as_it_stops_bodies() -> None:
    gate = Body("gate", "box", (0.1, 0.2, 0.5), "kinematic", (0.0, 0.0, 0.5), grey=0.5, until=1.0)
    scene = Scene((floor(), gate), Camera("front", (0.0, 0.0, 1.0)))
    assert gate.collides and drawn(scene, 1, 0.95) == drawn(scene, 1, 0.0) and not withdraws(gate, 0.95)
    assert drawn(scene, 1, 1 + HOLDER.withdrawal / 2).size[2] == pytest.approx(gate.size[2] / 2)
    assert (
        withdraws(gate, 1 + HOLDER.withdrawal / 2)
        and holder_at(scene, stage_of(scene), 1, 1 + HOLDER.withdrawal) is None
    )


SCREEN_SPEC = RenderSpec(128, 128, 15.0, "natural:shutter=0")
LIMIT = SCREEN_BRIGHTNESS * 255 * BACKGROUND_GREY  # a tracker takes what is darker for a screen
STANDING = ("occlusion/screen-pass-v1", "occlusion/screen-swap-v1", "occlusion/screen-stop-v1")


def scene_of(task: str, view: str = "far") -> Scene:
    return in_view(make_scene(Row(task, "test", 1)), view)


def drawn_view(scene: Scene, times: list[float], view: str) -> Rendered:
    return draw(scene, times, simulate(scene, times).states, replace(SCREEN_SPEC, view=view))


@pytest.mark.parametrize("task", STANDING)
def test_a_screen_stands_on_two_feet_that_are_no_bodies(task: str) -> None:
    scene = scene_of(task)
    set_, (screen,) = stage_of(scene), [body for body in scene.bodies if is_screen(body)]
    feet = [block for block in set_.blocks if not block.blocks_light]
    assert len(feet) == 2 and bodies_of_parts(scene, set_)[-2:] == [-1, -1]
    assert len(bodies_of_parts(scene, set_)) == len(set_.surfaces) + len(set_.blocks)
    for foot, side in zip(feet, (-1, 1), strict=True):
        assert foot.centre[2] - foot.half[2] == pytest.approx(0.0)
        assert foot.centre[1] + foot.half[1] == pytest.approx(screen.position[1] - screen.size[1])
        assert 0 < side * (foot.centre[0] - screen.position[0]) < screen.size[0] - foot.half[0]
    for other in (replace(screen, collides=True), replace(screen, size=(0.1, *screen.size[1:]))):
        bodies = tuple(other if body is screen else body for body in scene.bodies)
        assert all(block.blocks_light for block in stage_of(replace(scene, bodies=bodies)).blocks), "a post has none"
    hanging = replace(screen, position=(*screen.position[:2], screen.position[2] + 0.5))
    others = tuple(hanging if body is screen else body for body in scene.bodies)
    assert all(block.blocks_light for block in stage_of(replace(scene, bodies=others)).blocks)


def test_a_plate_that_moves_up_or_down_hangs_on_cables() -> None:
    scene = scene_of("occlusion/screen-lift-v1")
    (plate,) = [body for body in scene.bodies if is_screen(body)]
    found = stage.cables(plate, np.array([0.3, -0.8, 2.0]))
    for (centre, half, _), side in zip(found, (-1, 1), strict=True):
        assert centre[2] - half[2] == pytest.approx(2.0 + plate.size[2])
        assert side * (centre[0] - 0.3) == pytest.approx(plate.size[0] - FITTING.from_side)
    aside = tuple(replace(each, position=(9.0 * each.time, 0.0, 1.0)) for each in plate.path)
    assert not stage.cables(replace(plate, path=aside), np.zeros(3)) and not stage.cables(scene.bodies[0], np.zeros(3))


@pytest.mark.usefixtures("evenly_lit")
@pytest.mark.parametrize("task", others_slow(["occlusion/screen-lift-v1", *STANDING], 2))
@pytest.mark.parametrize("view", ["far", "near"])
def test_fittings_hide_no_body(monkeypatch: pytest.MonkeyPatch, task: str, view: str) -> None:
    scene, times = scene_of(task, view), [-0.4, 0.0, 0.4, 0.8, 1.2, 2.0]
    with_them = drawn_view(scene, times, view)
    monkeypatch.setattr(stage, "_feet", lambda scene, body: ())
    monkeypatch.setattr(movers, "cables", lambda body, centre: [])
    without = drawn_view(scene, times, view)
    kept = [i for i, body in enumerate(scene.bodies) if body.shape != "plane" and not is_screen(body)]
    assert np.array_equal(with_them.visible_area[:, kept], without.visible_area[:, kept])
    screens = [i for i, body in enumerate(scene.bodies) if is_screen(body)]
    assert np.allclose(with_them.visible_area[:, screens], without.visible_area[:, screens], rtol=0.02)
    changed = (np.abs(with_them.frames.astype(int) - without.frames) > 3).any(axis=-1)
    assert 10 < changed.sum() / len(times) < 0.03 * 128 * 128
    seen = with_them.frames[changed].astype(int)
    assert np.ptp(seen, axis=-1).max() < HUED, "they have no hue"
    assert (seen.max(axis=-1) < LIMIT).mean() < 0.25, "and are no screens, but for their edges before one"


@pytest.mark.usefixtures("evenly_lit")
@pytest.mark.parametrize("task", ["occlusion/screen-lift-v1", "occlusion/screen-pass-v1"])
def test_a_framed_cloth_is_dark_throughout_and_has_a_frame(monkeypatch: pytest.MonkeyPatch, task: str) -> None:
    monkeypatch.setattr(stage, "_feet", lambda scene, body: ())
    scene = scene_of(task)
    (number,) = (i for i, body in enumerate(scene.bodies) if is_screen(body))
    picture = drawn_view(scene, [0.0], "far")
    frame, area = picture.frames[0].max(axis=-1), picture.visible_area[0, number]
    dark = frame < LIMIT
    assert dark.sum() == pytest.approx(area, rel=0.06)
    assert frame[dark].std() > 5


@pytest.mark.parametrize(
    ("task", "seed"), [("collisions/head-on-v1", 6), ("collisions/head-on-v1", 11), ("occlusion/screen-pass-v1", 7)]
)
def test_tints_of_floor_and_wall_are_read_as_no_hue(task: str, seed: int) -> None:
    """The strongest of 112 clips of `test`: a tint a third stronger passed the limit in 9 of them."""
    pytest.importorskip("mitsuba")
    scene = make_scene(Row(task, "test", seed))
    bare = replace(scene, bodies=tuple(body for body in scene.bodies if body.hue is None), outcomes=())
    picture = draw_still(bare, RenderSpec(64, 64, 15.0, "natural")).astype(int)
    assert 12 < np.ptp(picture, axis=-1).max() < HUED - 1
