"""Scenes that no law moves are refused, with the reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.clips.suite import find_suite
from physbench.laws.scene_law import scene_law, scene_law_or_none
from physbench.laws.support_check import Unsupported
from physbench.world.scene import Body, Camera, CentralGravity, Impulse, Outcome, Scene, Waypoint

FRONT, TOP = Camera("front", (0.0, 0.0, 1.0)), Camera("top", (0.0, 0.0, 0.0))
DOWN = (0.0, 0.0, -9.81)
FLOOR = Body("floor", "plane", (), "fixed", (0.0, 0.0, 0.0), friction=1.0)
TABLE = Body("table", "plane", (), "fixed", (0.0, 0.0, -0.3), friction=1.0)
WALL = Body("wall", "box", (0.1, 0.5, 1.0), "fixed", (2.0, 0.0, 0.5), friction=1.0)
BALL = Body("ball", "sphere", (0.3,), "moving", (0.0, 0.0, 1.0), hue=0)
OTHER = Body("other", "sphere", (0.3,), "moving", (1.0, 0.0, 1.0), hue=1)
FLAT = Body("ball", "sphere", (0.3,), "moving", (0.0, 0.0, 0.0), hue=0, friction=0.5)
CUBE = Body("cube", "box", (0.3, 0.3, 0.3), "moving", (0.0, 0.0, 0.3), hue=0, flat=True)
STEP = Body("step", "box", (0.5, 0.5, 0.1), "fixed", (1.5, 0.0, 0.1))
SHELF = Body("shelf", "box", (0.5, 0.5, 0.1), "fixed", (1.5, 0.0, 0.55))
TURNED = (0.0, 0.0, 0.1736, 0.9848)


def front(*bodies: Body, **more: object) -> Scene:
    return Scene(bodies, FRONT, gravity=DOWN, **more)  # type: ignore[arg-type]


def table(*bodies: Body, **more: object) -> Scene:
    return Scene(bodies, TOP, gravity=DOWN, **more)  # type: ignore[arg-type]


def orbit(*bodies: Body, fields: tuple[CentralGravity, ...]) -> Scene:
    return Scene(bodies, FRONT, fields=fields)


STAR = Body("star", "sphere", (0.2,), "fixed", (0.0, 0.0, 1.0), hue=2, collides=False)
FIELD = (CentralGravity("star", 2.0),)

CASES = {
    "nothing moves": front(FLOOR),
    "vanishes": front(replace(BALL, until=1.0), FLOOR),
    "held for longer": front(replace(BALL, release=0.5), OTHER, FLOOR),
    "moves along the view": front(replace(BALL, velocity=(0.0, 0.5, 0.0)), FLOOR),
    "pushed along the view": front(BALL, FLOOR, impulses=(Impulse(1.0, "ball", (0.0, 1.0, 0.0)),)),
    "spins about an axis": front(replace(BALL, spin=(3.0, 0.0, 0.0), friction=0.5), FLOOR),
    "a spin that is not that of rolling": front(replace(BALL, velocity=(1.0, 0.0, 0.0), friction=0.5), FLOOR),
    "a box that turns": front(replace(CUBE, spin=(0.0, 1.0, 0.0)), FLOOR),
    "does not begin flat on a face": front(replace(CUBE, position=(0.0, 0.0, 1.0)), FLOOR),
    "so rough a face": front(replace(CUBE, friction=1.2), FLOOR),
    "boxes that meet others": front(CUBE, OTHER, FLOOR),
    "neither a ball nor a disc nor a cube": front(replace(CUBE, size=(0.3, 0.3, 0.4)), FLOOR),
    "not seen from its end": front(replace(CUBE, shape="cylinder", size=(0.3, 0.6)), FLOOR),
    "beside the plane of motion": front(BALL, Body("peg", "sphere", (0.3,), "fixed", (0.0, 0.25, 0.0))),
    "ball would meet wall beside": front(BALL, replace(WALL, position=(2.0, 0.7, 0.5))),
    "ball and other would meet beside": front(BALL, replace(OTHER, position=(1.0, 0.2, 1.0))),
    "onto a step": front(BALL, FLOOR, STEP),
    "a corner of shelf": front(BALL, FLOOR, SHELF),
    "moves or vanishes": front(BALL, FLOOR, replace(WALL, role="kinematic", path=(Waypoint(0.0, (2.0, 0.0, 0.5)),))),
    "an obstacle and a cylinder": front(BALL, FLOOR, replace(WALL, shape="cylinder", size=(0.3, 1.0))),
    "stands askew": front(BALL, FLOOR, replace(WALL, orientation=TURNED)),
    "does not lie on the table": table(replace(FLAT, position=(0.0, 0.0, 0.2)), TABLE),
    "falls through the table": table(replace(FLAT, collides=False), FLAT, TABLE),
    "does not begin rolling": table(replace(FLAT, velocity=(1.0, 0.0, 0.0)), TABLE),
    "hop when they meet": table(FLAT, replace(OTHER, position=(1.0, 0.0, 0.0), size=(0.4,)), TABLE),
    "own spin presses it": table(FLAT, TABLE, replace(WALL, position=(2.0, 0.0, 0.0), restitution=0.0)),
    "nothing carries": table(FLAT),
    "does not press onto the table": Scene((FLAT, TABLE), TOP, gravity=(0.5, 0.0, -9.81)),
    "in a field is not a ball": orbit(CUBE, STAR, fields=FIELD),
    "something fixed": orbit(BALL, replace(STAR, collides=True), fields=FIELD),
    "moves on rails": orbit(BALL, replace(STAR, role="kinematic"), fields=FIELD),
}  # fmt: skip


@pytest.mark.parametrize("reason", CASES)
def test_a_scene_outside_of_the_model_is_refused_in_words(reason: str) -> None:
    scene = replace(CASES[reason], outcomes=(Outcome("hangs", None),))  # so that no law of last resort is asked
    assert scene_law_or_none(scene, 0.0) is None
    with pytest.raises(Unsupported) as caught:
        scene_law(scene, 0.0)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "scene",
    [
        front(BALL, FLOOR, WALL),
        front(replace(BALL, spin=(3.0, 0.0, 0.0)), FLOOR),  # it rubs against nothing
        front(replace(CUBE, friction=0.5), FLOOR),
        front(replace(BALL, collides=False), FLOOR, STEP),
        table(FLAT, TABLE, replace(WALL, position=(2.0, 0.0, 0.0), restitution=0.9)),
        orbit(BALL, STAR, fields=FIELD),
        orbit(BALL, OTHER, STAR, fields=FIELD),
        orbit(BALL, OTHER, fields=(CentralGravity("ball", 2.0),)),
        replace(orbit(BALL, STAR, fields=FIELD), gravity=DOWN),
    ],
)
def test_what_is_next_to_it_is_covered(scene: Scene) -> None:
    scene_law(scene, 0.0)


def test_of_the_tasks_only_boxes_that_turn_and_a_seesaw_have_no_law() -> None:
    refused = {}
    for task in sorted({row.task for suite in ("full", "actions") for row in find_suite(suite).rows}):
        for split in ("test", "ood"):
            for seed in range(2):
                try:
                    scene_law(make_scene(Row(task, split, seed)), -0.4)  # type: ignore[arg-type]
                except Unsupported as error:
                    refused[task] = str(error)
    assert refused == {
        "collisions/domino-v1": "boxes that meet others turn and tip",
        "falling/overhang-v2": "block is a box that is neither a ball nor a disc nor a cube",
        "falling/seesaw-v1": "no law covers a scene with Hinge",
        "falling/stack-v1": "boxes that meet others turn and tip",
    }
