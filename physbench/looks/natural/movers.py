"""What is drawn on top of a stage: bodies that move or vanish, and balls wherever they are, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from physbench.errors import UsageError
from physbench.looks.natural.holders import holder_at, is_holder, withdraws
from physbench.looks.natural.light_blocking import BallBlocker, Blocker, BoxBlocker, CylinderBlocker
from physbench.looks.natural.stage import Stage, body_albedo, drawn_half, rgb_albedo, stays
from physbench.world.camera import looking
from physbench.world.geometry import rotate
from physbench.world.meshes import FLAT_HALF_DEPTH
from physbench.world.scene import Body, Scene, Vector
from physbench.world.silhouettes import shown

Float = NDArray[np.floating]
LEVEL_COSINE = 1 - 1e-6  # cosine of the tilt up to which a plane counts as level
PATH_TRACE_ENVIRONMENT = "PHYSBENCH_PATH_TRACE"  # 1: scenes with planes that compositing refuses are path-traced


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
    deep: Float  # (3,) m from its centre to the middle of what blocks light: flat ones reach backwards from their front
    casts: float = 1.0  # share of its shadow and of the light that it sends back that is drawn
    behind: bool = False  # all other bodies, wherever it is: a holder that withdraws

    @cached_property
    def blockers(self) -> tuple[Blocker, ...]:
        """What it is to light; nothing where it casts no shadow."""
        if not self.casts:
            return ()
        if self.body.shape == "sphere":
            return (BallBlocker(self.centre, self.body.size[0], self.casts),)
        if self.body.shape == "box":
            return (BoxBlocker(self.centre + self.deep, self.body.size, self.turn, self.casts),)
        radius, length = self.body.size
        return (CylinderBlocker(self.centre + self.deep, radius, length / 2, self.turn, self.casts),)


def drawable(scene: Scene) -> list[int]:
    """Indices of the bodies that are drawn on top of the stage. Raises UsageError where one cannot be."""
    for index, reason in refused(scene).items():
        raise UsageError(
            f"Body '{scene.bodies[index].name}' cannot be drawn in the look natural: {reason}, use --look plain, or "
            f"have the scene path-traced, which takes seconds a frame: {PATH_TRACE_ENVIRONMENT}=1."
        )
    in_sky = scene.camera.view == "top" and not any(_is_ground(body) for body in scene.bodies)
    return [index for index, body in enumerate(scene.bodies) if body.drawn and _moves_or_stands_alone(body, in_sky)]


def _moves_or_stands_alone(body: Body, in_sky: bool) -> bool:
    """Whether a body is no part of a stage."""
    return body.shape != "plane" and (in_sky or not stays(body) or body.shape != "box" or body.hue is not None)


def refused(scene: Scene) -> dict[int, str]:
    """Planes that compositing does not draw, with the reason and what can be done: a stage has one level ground."""
    ground = next((index for index, body in enumerate(scene.bodies) if _is_ground(body)), None)
    planes = [index for index, body in enumerate(scene.bodies) if body.drawn and body.shape == "plane"]
    return {index: _why_not_ground(scene.bodies[index]) for index in planes if index != ground}


def _is_ground(body: Body) -> bool:
    return body.shape == "plane" and body.drawn and stays(body) and body.hue is None and _is_level(body)


def _is_level(plane: Body) -> bool:
    turned = rotate(np.asarray(plane.orientation, dtype=np.float64), np.array([0.0, 0.0, 1.0]))
    return bool(turned[2] >= LEVEL_COSINE)


def _why_not_ground(plane: Body) -> str:
    if not stays(plane):
        return "it is a plane that moves or vanishes. Make it a box"
    if not _is_level(plane):
        return "it is a plane that is not level. Make it a box"
    if plane.hue is not None:
        return "it is a plane with a hue, and ground has none. Make it a box, or leave the hue out"
    return "it is a second plane, and a set has one ground. Make it a box, or drawn=False"


def movers_at(
    scene: Scene,
    stage: Stage,
    indices: list[int],
    time: float,
    states: Float,
    colours: Mapping[int, Vector] = MappingProxyType({}),
) -> list[Mover]:
    """The bodies that are there at `time` s, those that withdraw last; states: (N, 13).

    colours: RGB (0..1) of bodies by index, where it is not that of their hue.
    """
    found: list[Mover] = []
    leaving: list[Mover] = []
    for index in indices:
        body = scene.bodies[index]
        if is_holder(body):
            holder = holder_at(scene, stage, index, time)
            if holder is not None:
                (leaving if withdraws(body, time) else found).append(_holder(index, holder, withdraws(body, time)))
            continue
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
        thin = body.flat and body.shape != "sphere"
        deep = looking(scene.camera) * (_depth(body) / 2 - FLAT_HALF_DEPTH if thin else 0.0)
        albedo = rgb_albedo(colours[index]) if index in colours else body_albedo(body)
        found.append(Mover(index, body, centre, turn, albedo, half, shines, deep))
    return found + leaving


def poses(movers: Sequence[Mover]) -> tuple[object, ...]:
    """What decides how bodies look in a frame, in a form that can be compared."""
    return tuple(
        (mover.index, mover.centre.tobytes(), _seen_turn(mover).tobytes(), mover.half, mover.behind) for mover in movers
    )


def _seen_turn(mover: Mover) -> Float:
    """How a body is turned, as far as it is seen."""
    return np.zeros(4) if mover.body.shape == "sphere" else mover.turn


def _holder(index: int, body: Body, behind: bool) -> Mover:
    centre, turn = np.array(body.position), np.array(body.orientation)
    x, y, z = body.size
    return Mover(index, body, centre, turn, body_albedo(body), (x, y, z), False, np.zeros(3), behind=behind)


def _depth(body: Body) -> float:
    """Length (m) of a flat body along the way in which the camera looks."""
    return body.size[1] if body.shape == "cylinder" else 2 * body.size[1]
