"""Bodies that scenes are made of: balls, floors, tables, walls, screens, and what holds a body until its release.

Lengths in m. A scene seen from the front lies in the plane y = 0 with z up, one seen from the top in the plane z = 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from physbench.world.scene import (
    FLOOR_GREY,
    HISTORY,
    PHYSICS_HZ,
    SCREEN_GREY,
    WINDOW,
    Body,
    Camera,
    Quaternion,
    Scene,
    Vector,
    Waypoint,
    ramp,
    sphere_mass,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from physbench.support.arrays import Array

HOLDER_GAP = 0.06  # m from the surface of a held ball to the middle of the block after it
SCREEN_HALF_DEPTH = 0.05  # m
UPRIGHT: Quaternion = (0.0, 0.0, 0.0, 1.0)


def turned_from_top(angle: float) -> Quaternion:
    """Orientation that is turned by `angle` rad, counter-clockwise as seen from the top."""
    return 0.0, 0.0, math.sin(angle / 2), math.cos(angle / 2)


def turned_from_front(angle: float) -> Quaternion:
    """Orientation that is turned by `angle` rad, counter-clockwise as seen from the front."""
    return 0.0, math.sin(-angle / 2), 0.0, math.cos(angle / 2)


def ball(
    name: str,
    radius: float,
    position: Vector,
    hue: float,
    *,
    velocity: Vector = (0.0, 0.0, 0.0),
    spin: Vector = (0.0, 0.0, 0.0),
    restitution: float = 1.0,
    friction: float = 0.0,
    release: float | None = None,
) -> Body:
    """A ball that moves, with the mass of its size.

    Args:
        name: Of the body.
        radius: m.
        position: m, at the start; that in which it is held, if it has a release.
        hue: Index into the palette.
        velocity: m/s, at the start or at the release.
        spin: rad/s, likewise; (0, v / radius, 0) is that of rolling along x with v m/s.
        restitution: A pair of bodies has the product of both.
        friction: A pair of bodies has the product of both.
        release: s; None if nothing holds the ball.
    """
    return Body(
        name,
        "sphere",
        (radius,),
        "moving",
        position,
        velocity=velocity,
        spin=spin,
        hue=int(hue),
        mass=sphere_mass(radius),
        restitution=restitution,
        friction=friction,
        release=release,
    )


def floor(grey: float = FLOOR_GREY, friction: float = 1.0) -> Body:
    """The floor of a scene seen from the front, at z = 0.

    Its restitution and, by default, its friction are 1: a pair has the product, so that those of the other body count.
    """
    return Body("floor", "plane", (), "fixed", (0.0, 0.0, 0.0), grey=grey, friction=friction)


def table(height: float = -0.8) -> Body:
    """A table under a scene seen from the top that is only drawn: nothing touches it. height: z of its surface, m."""
    return Body("table", "plane", (), "fixed", (0.0, 0.0, height), grey=FLOOR_GREY, collides=False)


def wall(
    name: str,
    half_extents: Vector,
    position: Vector,
    orientation: Quaternion = UPRIGHT,
    *,
    grey: float = SCREEN_GREY,
    restitution: float = 1.0,
    friction: float = 0.0,
) -> Body:
    """A fixed box that bodies collide with: a wall, a kerb, a cushion, a pedestal. position: of its middle."""
    return Body(
        name,
        "box",
        half_extents,
        "fixed",
        position,
        orientation,
        grey=grey,
        restitution=restitution,
        friction=friction,
    )


@dataclass(frozen=True)
class CurveLayout:
    """Bounds of the boxes of which a curved board is laid."""

    turn: float = 0.03  # rad from box to box, if nothing else is asked for
    longest: float = 0.5  # m, of a box
    grid: float = 1e-6  # m to which the ends of boxes are rounded, so that machines lay them alike
    most: int = 1000  # boxes


CURVE = CurveLayout()


def curve(
    name: str,
    points: Sequence[tuple[float, float]],
    *,
    joint: float = CURVE.turn,
    thickness: float = 0.2,
    depth: float = 0.5,
    grey: float = 0.38,
    restitution: float = 0.0,
    friction: float = 1.0,
) -> tuple[Body, ...]:
    """A curved board seen from the front, on which bodies roll or slide: a bowl, a hill, a loop, a ski jump.

    It is a row of fixed boxes whose tops meet, each turned by at most `joint` from the one before. A body without
    restitution that goes over a joint of a hollow loses its speed across the next box: of its kinetic energy the share
    sin^2(joint). A hollow that turns by T rad in all takes less than T x joint, and the steps of the simulation take
    T x speed x 1/1200 s / radius besides; a hump takes nothing. With restitution bodies hop at joints, at 1 off the
    board.

    Args:
        name: Of the board; its boxes are numbered.
        points: (x, z) m, four or more, through which it goes as a cubic spline. Its upper side is on the left of the
            way from the first one to the last: a bowl goes to the right.
        joint: rad.
        thickness: m, of what is seen.
        depth: m, half of what carries things across the plane of motion, y = 0.
        grey: Of all its boxes.
        restitution: A pair of bodies has the product of both.
        friction: A pair of bodies has the product of both.

    Raises ValueError where points are fewer than four, not finite or twice in a row, for sizes that no board has, and
    where it would take more than 1000 boxes.
    """
    from scipy.interpolate import CubicSpline

    for word, value, usable in (
        ("a thickness above 0 m", thickness, thickness > 0),
        ("a depth above 0 m", depth, depth > 0),
        ("a grey from 0 to 1", grey, 0 <= grey <= 1),
        ("a restitution from 0 on", restitution, restitution >= 0),
        ("a friction from 0 on", friction, friction >= 0),
        ("a joint above 0 rad", joint, joint > 0),
    ):
        if not usable or not math.isfinite(value):
            raise ValueError(f"{name or 'curve'}: expected {word}, got {value!r}.")
    try:
        given = np.asarray(list(points), dtype=np.float64)
    except (TypeError, ValueError):
        given = np.empty(0)
    if given.ndim != 2 or given.shape[1] != 2 or len(given) < 4 or not np.isfinite(given).all():
        raise ValueError(f"{name}: expected four or more points (x, z) in m, got {points!r}.")
    apart = np.linalg.norm(np.diff(given, axis=0), axis=1)
    if apart.min() == 0:
        raise ValueError(f"{name}: expected points that differ from the one before, got {points!r}.")
    ends = np.concatenate([[0.0], apart.cumsum()])
    way = np.linspace(0.0, ends[-1], 20 * len(given) + 2000)  # fine beside a box
    spline = CubicSpline(ends, given)
    slope = spline(way, 1)
    heading = np.unwrap(np.arctan2(slope[:, 1], slope[:, 0]))
    parts = np.maximum(np.abs(np.diff(heading)) / joint, np.diff(way) / CURVE.longest)
    count = np.concatenate([[0.0], parts.cumsum()])  # boxes up to each place
    if count[-1] > CURVE.most:
        raise ValueError(
            f"{name}: expected a board of at most {CURVE.most} boxes, got {count[-1]:.0f}: take a larger joint than "
            f"{joint:g} rad, or a shorter or less bent way."
        )
    places = np.interp(np.linspace(0.0, count[-1], math.ceil(count[-1]) + 1), count, way)
    corners = (np.round(spline(places) / CURVE.grid) * CURVE.grid).tolist()
    boxes = []
    for k, ((x, z), (end_x, end_z)) in enumerate(pairwise(corners), 1):
        length, angle = math.hypot(end_x - x, end_z - z), math.atan2(end_z - z, end_x - x)
        boxes.append(
            ramp(
                f"{name} {k}",
                (x, z),
                angle,
                length,
                thickness=thickness,
                depth=depth,
                grey=grey,
                restitution=restitution,
                friction=friction,
            )
        )
    return tuple(boxes)


MARK_SPACING, MARK_SIZE = 1.6, 0.14  # m; at 4 frames/s belts up to 3.2 m/s show which way they move. Half its side


def belt(
    half_extents: Vector,
    position: Vector,
    speed: float,
    horizon: float,
    *,
    grey: float = SCREEN_GREY,
    mark_grey: float = 0.62,
    restitution: float = 1.0,
    friction: float = 1.0,
) -> tuple[Body, ...]:
    """A belt seen from the front whose surface moves by `speed` m/s to the right, and the marks that show it.

    position: of its middle. horizon: s, of the scene. The marks run over its front, from one end to the other and in
    from out of view: a belt reaches beyond the window on both sides.
    """
    reach, way, side = half_extents[0], speed * (HISTORY + horizon), math.copysign(1.0, speed)
    size = (MARK_SIZE, half_extents[1], MARK_SIZE)
    marks = []
    for k in range(math.ceil((2 * reach + abs(way)) / MARK_SPACING)):
        end = position[0] + side * (k * MARK_SPACING - reach)  # the first one comes in last
        path = [Waypoint(t, (x, *position[1:])) for t, x in ((-HISTORY, end - way), (horizon, end))]
        marks.append(
            Body(
                f"mark {k + 1}",
                "box",
                size,
                "kinematic",
                path[0].position,
                grey=mark_grey,
                collides=False,
                flat=True,
                path=tuple(path),
            )
        )
    carrier = Body(
        "belt",
        "box",
        half_extents,
        "fixed",
        position,
        grey=grey,
        restitution=restitution,
        friction=friction,
        surface=(speed, 0.0, 0.0),
    )
    return carrier, *marks


def holder(
    name: str,
    half_extents: Vector,
    position: Vector,
    release: float,
    orientation: Quaternion = UPRIGHT,
    *,
    grey: float = 0.38,
) -> Body:
    """A grey box that carries or backs a held body, touches nothing, and vanishes at the release (s)."""
    return Body(name, "box", half_extents, "kinematic", position, orientation, grey=grey, collides=False, until=release)


def shelf(name: str, x: float, top: float, release: float, half_width: float = 0.2) -> Body:
    """The holder on which a body rests until its release, seen from the front. top: z of its upper side, m."""
    return holder(name, (half_width, 0.2, 0.05), (x, 0.0, top - 0.05), release)


def held(body: Body, name: str, *, speed: float | None = None, heading: float | None = None) -> Body:
    """The holder that backs a ball on a table seen from the top, where the ball does not move off to.

    speed (m/s) and heading (rad) are those of the ball's velocity, for a scene that knows them more exactly. A ball at
    rest moves off to no side: of it `heading` says where from the holder it lies.

    Raises ValueError where the ball is at rest and has no heading, or has no release.
    """
    (x, y, _), (vx, vy, _), radius = body.position, body.velocity, body.radius
    if body.release is None:
        raise ValueError(f"{body.name} is not held: it has no release. Give it one, or leave its holder out.")
    if vx == vy == 0:
        if heading is None:
            raise ValueError(
                f"{body.name} is at rest: a holder stands where a ball does not move off to. Leave it out, as nothing "
                "moves a ball that rests on a table, or give heading=, in rad."
            )
        vx, vy, speed = math.cos(heading), math.sin(heading), 1.0
    back = (radius + HOLDER_GAP) / (math.hypot(vx, vy) if speed is None else speed)
    turned = turned_from_top(math.atan2(vy, vx) if heading is None else heading)
    return holder(name, (0.05, 0.55 * radius, 0.2), (x - back * vx, y - back * vy, 0.0), body.release, turned)


def screen(name: str, half_width: float, x: float, height: float, face: float) -> Body:
    """A screen that stands on the floor and touches nothing, seen from the front.

    It stands nearer to the camera than the plane of motion, and looks larger: see `nearer_scale`.

    Args:
        name: Of the body.
        half_width: m.
        x: Of its middle, m.
        height: m.
        face: y of the side that the camera sees, m, below 0.
    """
    size, position = (half_width, SCREEN_HALF_DEPTH, height / 2), (x, face + SCREEN_HALF_DEPTH, height / 2)
    return Body(name, "box", size, "fixed", position, grey=SCREEN_GREY, collides=False)


def darkness(camera: Camera, off: float, on: float, horizon: float) -> Body:
    """The light that goes out at `off` s and on at `on` s in a scene seen from the front: black, it hides everything.

    It is a screen before the whole picture, on the grid of physics steps: what holds of screens holds of it.
    """
    darkness_y = -1.5  # m, where it is, before all else
    (x, _, z), first, last = camera.center, round(off * PHYSICS_HZ), round(on * PHYSICS_HZ)
    over, away = (x, darkness_y, z), (x + 100.0, darkness_y, z)  # 100 m away while the light is on
    moments = (
        -HISTORY,
        (first - 1) / PHYSICS_HZ,
        first / PHYSICS_HZ,
        (last - 1) / PHYSICS_HZ,
        last / PHYSICS_HZ,
        horizon,
    )
    path = tuple(map(Waypoint, moments, (away, away, over, over, away, away)))
    # m, half extents: pictures of 2 : 1 show less
    return Body("darkness", "box", (6.0, 0.05, 4.0), "kinematic", away, grey=0.0, collides=False, path=path)


def is_darkness(body: Body) -> bool:
    """True if a body hides the whole picture where it is: it is larger than any window."""
    return body.shape == "box" and bool(body.path) and min(body.size[0], body.size[2]) > WINDOW / 2


DARK = 0.34  # grey up to which a box is a screen


def is_screen(body: Body) -> bool:
    """True if a body may hide others: a dark box that stands, or follows a path."""
    dark = body.hue is None and body.grey <= DARK
    return dark and body.shape == "box" and body.role != "moving" and body.until is None and body.drawn


def grey_moves(scene: Scene) -> bool:
    """True if something without a hue moves that is no screen: marks of a belt, a plank, a rod, a thruster's jet."""
    grey = (body for body in scene.bodies if body.hue is None and body.drawn and body.until is None)
    moving = any((body.path or body.role == "moving") and not is_screen(body) for body in grey)
    return moving or bool(scene.thrusts or scene.links)


def is_among_stars(scene: Scene) -> bool:
    """True if nothing lies below a scene that is seen from above: the natural look shows a night sky there."""
    return scene.camera.view == "top" and not any(body.shape == "plane" and body.drawn for body in scene.bodies)


def darkness_over(scene: Scene, states: Array) -> NDArray[np.intp]:
    """Index of the body that hides the whole picture at states (T, N, 13), (T,); -1 while the light is on."""
    hiding = np.full(len(states), -1)
    for i, body in enumerate(scene.bodies):
        if is_darkness(body):
            hiding[np.abs(states[:, i, 0] - scene.camera.center[0]) < body.size[0] - scene.camera.width / 2] = i
    return hiding


def nearer_scale(camera: Camera, y: float) -> float:
    """Length at depth `y` m over the length in the plane of motion that looks the same from the front."""
    return (camera.distance + y) / camera.distance
