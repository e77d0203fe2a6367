"""The natural look before a near camera that looks down: places, areas and sides of bodies, floor, wall and door."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, make_scene, render_spec
from physbench.track.fixed_edges import fixed_edges
from physbench.world.bullet import initial_states, simulate
from physbench.world.camera import cone_sight, depth_axis, eye, in_view, normal, px_from_world
from physbench.world.renderer import DRAWN
from physbench.world.scene import Body, Camera, RenderSpec, Scene
from physbench.world.styles.catalogue import draw, wall_behind
from physbench.world.styles.natural.materials import DOOR, with_door
from physbench.world.styles.natural.movers import drawable, hit_ball, movers_at
from physbench.world.styles.natural.rays import NOTHING_MET, see, view_directions
from physbench.world.styles.natural.stage import FRONT as DARKER
from physbench.world.styles.natural.stage import floor_out_of_sight, stage_of

SPEC = RenderSpec(96, 96, 15.0, "natural", "near")
BALL = Body("ball", "sphere", (0.3,), "moving", (0.0, 0.0, 1.0), hue=0)
FRONT = Camera("front", (0.0, 0.0, 2.0))


def near(task: str, seed: int = 1) -> Scene:
    return in_view(make_scene(Row(task, "test", seed)), "near")


@pytest.mark.parametrize("task", ["falling/projectile-v1", "collisions/billiards-v1"])
def test_rays_go_through_the_middles_of_pixels(task: str) -> None:
    camera, spec = near(task).camera, RenderSpec(40, 56, 15.0)
    points = eye(camera) + 3.0 * view_directions(camera, spec)
    rows, columns = np.mgrid[:40, :56] + 0.5
    np.testing.assert_allclose(px_from_world(camera, spec, points), np.stack([columns, rows], axis=-1), atol=1e-9)


def test_the_outline_of_a_ball_is_the_ellipse_of_its_cone() -> None:
    """Its centre lies out of that of the ball by 1 / (1 - (radius / depth)^2); its area is pi times its half axes."""
    camera, fine = near("falling/projectile-v1").camera, 12
    centre = np.array([1.6, 0.0, camera.center[2] + 1.5])
    met = hit_ball(centre, 0.45, eye(camera), view_directions(camera, SPEC, fine))[0] < NOTHING_MET
    rows, columns = np.nonzero(met)
    sight, place = cone_sight(camera, SPEC, 0.45, 0.0), px_from_world(camera, SPEC, centre)
    outline = np.asarray(sight.middle) + (place - np.asarray(sight.middle)) / (1 - sight.square(place))
    assert np.hypot(*(outline - place)) > 0.2, "else this test shows nothing"
    np.testing.assert_allclose([(columns.mean() + 0.5) / fine, (rows.mean() + 0.5) / fine], outline, atol=0.02)
    assert met.sum() / fine**2 == pytest.approx(float(sight.area(place)), rel=0.005)


@pytest.mark.usefixtures("evenly_lit")
@pytest.mark.parametrize("task", ["falling/stack-v1", "occlusion/screen-pass-v1", "collisions/billiards-v1"])
def test_bodies_have_the_areas_of_the_plain_look(task: str) -> None:
    scene, times = near(task), [0.0, 1.0]
    states = simulate(scene, np.array(times)).states
    plain, natural = (draw(scene, times, states, RenderSpec(96, 96, 15.0, look)) for look in ("plain", "natural"))
    keep = [i for i, body in enumerate(scene.bodies) if body.shape != "plane" and body.until is None]
    np.testing.assert_allclose(natural.visible_area[:, keep], plain.visible_area[:, keep], rtol=0.04, atol=3)
    tracked = list(scene.tracked)
    np.testing.assert_array_equal(natural.full_area[:, tracked], plain.full_area[:, tracked])


def test_a_tracked_box_has_its_hue_in_front_and_grey_sides_as_deep_as_it_is() -> None:
    scene = near("falling/stack-v1")
    movers = movers_at(scene, stage_of(scene), drawable(scene), 2.0, initial_states(scene))
    backs = {mover.index: mover for mover in movers if mover.backs}
    assert set(backs) == set(scene.tracked)
    ahead = normal(scene.camera)
    for mover in movers:
        if mover.index in backs and not mover.backs:
            back, depth = backs[mover.index], 2 * mover.body.size[1]
            assert back.body.hue is None and not back.blockers and mover.blockers
            assert mover.half[1] + back.half[1] == pytest.approx(depth / 2)
            begins = (back.centre - mover.centre) @ ahead - back.half[1]
            assert begins == pytest.approx(mover.half[1]) == DRAWN.flat_half_depth
    far = make_scene(Row("falling/stack-v1", "test", 1))
    assert not any(m.backs for m in movers_at(far, stage_of(far), drawable(far), 2.0, initial_states(far)))


@pytest.mark.usefixtures("evenly_lit")
def test_sides_of_a_box_are_seen_above_its_front_and_have_no_hue() -> None:
    box = Body("box", "box", (0.5, 0.5, 0.4), "moving", (0.0, 0.0, 0.4), hue=2, flat=True)
    scene = in_view(Scene((Body("floor", "plane", (), "fixed", (0.0, 0.0, 0.0)), box), FRONT), "near")
    states = initial_states(scene)[None]
    with_box, without = (
        draw(s, [0.0], states[:, : len(s.bodies)], SPEC).frames[0].astype(float)
        for s in (scene, Scene(scene.bodies[:1], scene.camera))
    )
    changed = np.abs(with_box - without).max(axis=-1) > 12
    column = int(px_from_world(scene.camera, SPEC, np.array(box.position))[0])
    front = px_from_world(scene.camera, SPEC, np.array([[0.0, 0.0, 0.8], [0.0, 0.0, 0.0]]))[:, 1]
    back = px_from_world(scene.camera, SPEC, np.array([0.0, 1.0, 0.8]))[1]
    chroma = np.ptp(with_box, axis=-1)[:, column] > 60
    assert chroma[int(front[0]) + 1 : int(front[1])].all()
    assert not chroma[: int(front[0]) - 1].any()
    assert back < front[0] - 3 and changed[int(back) + 1 : int(front[0]) - 1, column].all()


def test_the_floor_is_even_and_a_wall_of_no_floor_fills_the_picture() -> None:
    scene = near("falling/projectile-v1")
    floor, straight = stage_of(scene).floor, stage_of(make_scene(Row("falling/projectile-v1", "test", 1))).floor
    assert floor is not None and straight is not None
    assert floor.material.front == 1.0 and straight.material.front == DARKER
    bare = in_view(Scene((BALL,), FRONT), "near")
    for size in ((96, 96), (96, 160), (170, 96)):
        spec = RenderSpec(*size, 16.0, "natural", "near")
        stage = floor_out_of_sight(stage_of(bare), bare, spec)
        assert set(np.unique(see(stage, bare.camera, view_directions(bare.camera, spec)).part)) == {1}
    steep = floor_out_of_sight(stage_of(bare), bare, RenderSpec(768, 48, 16.0, "natural", "near")).floor
    assert steep is not None and -2000 < steep.level < 0, "of lowest rays that meet no wall"


def test_a_wide_picture_has_a_whole_door_beside_the_square() -> None:
    wide, scene = RenderSpec(352, 640, 16.0, "natural", "near"), near("falling/projectile-v1")
    stage = with_door(stage_of(scene), scene.camera, wide)
    assert stage.door is not None and stage.wall is not None
    left, right = stage.door.left - DOOR.frame, stage.door.left + DOOR.leaf[0] + DOOR.frame
    feet = np.array([[x, stage.wall.level, stage.door.foot + z] for x in (left, right) for z in (0.0, DOOR.leaf[1])])
    x, y = px_from_world(scene.camera, wide, feet).T
    assert x.min() > 0 and x.max() < 640 and y.max() < 352
    assert x.max() < 320 - 176 or x.min() > 320 + 176


@pytest.mark.usefixtures("evenly_lit")
def test_the_foot_of_the_wall_is_an_edge_that_the_tracker_reads() -> None:
    clip = make_clip(Row("falling/projectile-v1", "test", 1), render_spec(128, 2.0, "plain", "near"))
    spec = RenderSpec(128, 128, 2.0, "natural", "near")
    frames_of_look = draw(clip.scene, clip.times, clip.states, spec).frames
    seen = fixed_edges(replace(clip, spec=spec, frames=frames_of_look))
    wall = wall_behind(clip.scene, "natural")
    assert seen is not None and wall is not None and wall_behind(clip.scene, "plain") is None
    floor = next(body for body in clip.scene.bodies if body.shape == "plane")
    row = px_from_world(clip.scene.camera, spec, np.array([0.0, wall, floor.position[2]]))[1]
    np.testing.assert_allclose(seen.middle[:, 1] * seen.factor, row, atol=0.6)  # that of whole px
    assert len(seen.middle) > 5 and depth_axis(clip.scene.camera) == 1


def test_a_pedestal_that_ends_below_the_far_picture_stands_on_the_floor() -> None:
    for view, spec in ((view, RenderSpec(96, 96, 16.0, "natural", view)) for view in ("far", "near", "moving")):
        scene = in_view(make_scene(Row("occlusion/screen-lift-v1", "test", 0)), view)
        stage = floor_out_of_sight(stage_of(scene), scene, spec)
        (pedestal,) = stage.blocks
        body = scene.bodies[scene.index("pedestal")]
        top, foot = (pedestal.centre[2] + side * pedestal.half[2] for side in (1, -1))
        assert stage.floor is not None and top == pytest.approx(body.position[2] + body.size[2])
        assert foot == pytest.approx(body.position[2] - body.size[2] if view == "far" else stage.floor.level)
