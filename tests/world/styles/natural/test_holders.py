"""Holders in the natural look: they hold as long as in the plain one, and withdraw before anything is predicted."""

from __future__ import annotations

import numpy as np
import pytest

from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.clips.suite import find_suite
from physbench.world.bodies import ball, floor, holder
from physbench.world.bullet import simulate
from physbench.world.scene import Body, Camera, RenderSpec, Scene
from physbench.world.styles.catalogue import draw, draw_still
from physbench.world.styles.natural.movers import drawable, movers_at
from physbench.world.styles.natural.stage import HOLDER, holder_at, is_holder, stage_of, withdraws

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
