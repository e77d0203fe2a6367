"""What holds bodies until their release: arms out of the wall and posts out of the floor, which withdraw into them.

In the plain look a holder vanishes in one frame. Here it reaches back to the wall or down to the floor. Where time is
left before the hand-over it gives the body a push, if the body moves off from it, and is drawn in after the release;
else it is drawn in before. So pictures from the hand-over on show no holder that is gone by then. One that stays longer
is drawn in after it has let go, since until then it may still carry or stop something. Nothing but the picture knows of
it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from physbench.looks.natural.stage import Stage, Surface
from physbench.world.camera import eye
from physbench.world.geometry import rotate
from physbench.world.scene import Body, Camera, Scene

Array = NDArray[np.float64]

WITHDRAWAL = 0.3  # s that a holder takes to withdraw
PUSH_TIME = 0.05  # s for which it moves along with a body that flies or rolls off from it
STANDS = 0.02  # m above the floor, up to which a holder stands on it
SQUARE = 0.999  # cosine between a side of a holder and the surface that it comes out of


def is_holder(body: Body) -> bool:
    """Whether a body holds another one in a way that this module draws: a grey box at rest, until it vanishes."""
    still = body.role != "moving" and not body.path
    return still and body.until is not None and body.shape == "box" and body.hue is None


def holder_at(scene: Scene, stage: Stage, index: int, time: float) -> Body | None:
    """A holder with the place and size that it has in the picture at `time` s, None where it is gone."""
    body = scene.bodies[index]
    assert body.until is not None
    starts = body.until if _lets_go_first(body) else body.until - WITHDRAWAL
    since = time - starts
    if since > WITHDRAWAL - 1e-9:
        return None
    share = max(since, 0.0) / WITHDRAWAL
    if _lets_go_first(body):
        push = np.asarray(_pushed(scene, body)) * min(max(since, 0.0), PUSH_TIME)
        body = replace(body, position=_vector(np.asarray(body.position) + push))
    surface = _root(stage, body)
    return _receded(body, scene.camera, share) if surface is None else _drawn_in(body, surface, share)


def withdraws(body: Body, time: float) -> bool:
    """Whether a holder is on its way out of the picture at `time` s: it is drawn behind all bodies then."""
    return body.until is not None and time > body.until - (1e-9 if _lets_go_first(body) else WITHDRAWAL)


def _lets_go_first(body: Body) -> bool:
    """Whether a holder stays for its body's release: unless it must go sooner to be out of the first picture after."""
    return body.until is not None and not -WITHDRAWAL < body.until <= 0


def _pushed(scene: Scene, holder: Body) -> Array:
    """Velocity (3,) m/s of the body that a holder lets go, 0 where that does not move off from it."""
    let_go = [body for body in scene.bodies if body.release == holder.until]
    ways = [np.asarray(body.position) - np.asarray(holder.position) for body in let_go]
    if not ways:
        return np.zeros(3)
    nearest = int(np.argmin([np.linalg.norm(way) for way in ways]))
    velocity = np.asarray(let_go[nearest].velocity)
    return velocity if velocity @ ways[nearest] > 0 else np.zeros(3)


def _root(stage: Stage, body: Body) -> Surface | None:
    """What a holder comes out of: the floor if it stands there, else the wall."""
    floor = stage.floor
    if floor is not None:
        lowest = body.position[2] - _reach(body, floor)[1]
        if stage.kind == "table" or lowest < floor.level + STANDS:
            return floor
    return stage.wall


def _reach(body: Body, surface: Surface) -> tuple[int, float]:
    """The axis of a box that points out of a surface best, and how far (m) the box reaches from its middle that way."""
    along = np.abs(rotate(np.array(body.orientation), np.eye(3)) @ surface.normal)
    return int(along.argmax()), float(along @ np.asarray(body.size))


def _drawn_in(body: Body, surface: Surface, share: float) -> Body | None:
    """A box that reaches from a surface to where its far side was, less a share of its length; None if nothing is left.

    One that stands obliquely is moved as it is.
    """
    axis, reach = _reach(body, surface)
    normal, centre = surface.normal, np.asarray(body.position)
    root = surface.level * float(normal.sum())
    tip = float(centre @ normal) + reach
    left = (tip - root) * (1 - share)
    if left <= 0:
        return None
    if reach > body.size[axis] / SQUARE:
        return replace(body, position=_vector(centre + (left + root - tip) * normal))
    size = list(body.size)
    size[axis] = left / 2
    centre = centre + (root + left / 2 - centre @ normal) * normal
    return replace(body, position=_vector(centre), size=tuple(size))


def _receded(body: Body, camera: Camera, share: float) -> Body:
    """A box that flies off along the line of sight, where there is nothing to go into: its picture shrinks evenly."""
    from_eye = np.asarray(body.position) - eye(camera)
    return replace(body, position=_vector(eye(camera) + from_eye / (1 - share)))


def _vector(point: Array) -> tuple[float, float, float]:
    x, y, z = point.tolist()
    return x, y, z
