"""What is drawn on top of a stage: bodies that move or vanish, and balls wherever they are, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.errors import UsageError
from physbench.looks.natural.light_blocking import BallBlocker, Blocker, BoxBlocker
from physbench.looks.natural.stage import Stage, Vector, body_albedo, drawn_half, stays
from physbench.world.meshes import FLAT_HALF_DEPTH
from physbench.world.scene import Body, Scene
from physbench.world.silhouettes import shown

Float = NDArray[np.floating]
OCTAGON = 0.4142  # tan 22.5 deg: a disc is about as wide as two crossed boxes of its radius and this much of it


@dataclass(frozen=True, eq=False)
class Mover:
    """A body in one frame."""

    index: int  # in Scene.bodies
    body: Body
    centre: Float  # (3,) m
    turn: Float  # (4,)
    albedo: Vector  # linear RGB
    half: Vector  # m; a ball's radius thrice, of a cylinder its radius, its radius and half its length; as it is seen
    shines: bool  # by itself: a star

    @property
    def blockers(self) -> tuple[Blocker, ...]:
        """What it is to light."""
        if self.body.shape == "sphere":
            return (BallBlocker(self.centre, self.body.size[0]),)
        if self.body.shape == "box":
            return (BoxBlocker(self.centre, self.body.size, self.turn),)
        radius, length = self.body.size
        return (BoxBlocker(self.centre, (0.89 * radius, 0.89 * radius, length / 2), self.turn),)


def drawable(scene: Scene) -> list[int]:
    """Indices of the bodies that are drawn on top of the stage. Raises UsageError where one cannot be."""
    found = []
    for index, body in enumerate(scene.bodies):
        if not body.drawn:
            continue
        if body.shape == "plane":
            if not stays(body):
                raise UsageError(
                    f"Body '{body.name}' cannot be drawn in the look natural: it is a plane that moves or vanishes. "
                    "Make it a box, or use --look plain."
                )
            continue
        if not stays(body) or body.shape != "box" or body.hue is not None:
            found.append(index)
    return found


def movers_at(scene: Scene, stage: Stage, indices: list[int], time: float, states: Float) -> list[Mover]:
    """The bodies that are there at `time` s; states: (N, 13)."""
    found = []
    for index in indices:
        body = scene.bodies[index]
        if not shown(body, time):
            continue
        half: Vector
        if body.shape == "sphere":
            half = (body.size[0],) * 3
        elif body.shape == "box":
            half = drawn_half(body, scene)
        else:
            length = min(body.size[1] / 2, FLAT_HALF_DEPTH) if body.flat else body.size[1] / 2
            half = (body.size[0], body.size[0], length)
        shines = stage.kind == "sky" and stays(body)
        centre, turn = np.array(states[index, :3]), np.array(states[index, 3:7])
        found.append(Mover(index, body, centre, turn, body_albedo(body), half, shines))
    return found
