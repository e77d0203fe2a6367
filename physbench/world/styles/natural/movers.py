"""Moving bodies over a stage: their pixels, and how much of the lamp and of the sky they hide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from physbench.support.arrays import Real
from physbench.support.errors import UsageError
from physbench.world.camera import normal
from physbench.world.drawing import shown
from physbench.world.geometry import rotate, unrotate
from physbench.world.renderer import DRAWN, axis_across, is_painted, is_plate
from physbench.world.scene import Body, Camera, Scene, Vector
from physbench.world.styles.natural.compiled_shadows import lamp_behind_solid, sky_behind_solid
from physbench.world.styles.natural.rays import CUBE, NOTHING_MET, PRISM, dot, hit_box, length, placed, planes
from physbench.world.styles.natural.stage import (
    FITTING,
    Lamp,
    Stage,
    body_albedo,
    cables,
    drawn_half,
    holder_at,
    is_holder,
    rgb_albedo,
    withdraws,
)

# How much of a lamp and of the sky bodies hide, in closed form.
#
# Balls: the lamp and the ball are discs on the sphere of directions, whose overlap is that of two circles; of the sky a
# ball hides the view factor of a sphere. Boxes hide what their outline covers of the lamp's disc, and of the
# sky Lambert's sum over the edges of their outline. Cylinders are prisms of eight sides.


@dataclass(frozen=True, eq=False)
class BallBlocker:
    """A ball in the way of light."""

    centre: Real  # (3,) m
    radius: float  # m
    strength: float = 1.0  # share of the light that it hides in truth


@dataclass(frozen=True, eq=False)
class BoxBlocker:
    """A box in the way of light."""

    centre: Real  # (3,) m
    half: Sequence[float]  # m
    turn: Real  # (4,)
    strength: float = 1.0  # share of the light that it hides in truth


@dataclass(frozen=True, eq=False)
class CylinderBlocker:
    """A cylinder in the way of light, its axis that of z."""

    centre: Real  # (3,) m
    radius: float  # m
    half_length: float  # m
    turn: Real  # (4,)
    strength: float = 1.0  # share of the light that it hides in truth


Blocker = BallBlocker | BoxBlocker | CylinderBlocker


def lamp_share_hidden(blocker: Blocker, points: Real, lamp: Lamp) -> Real:
    """Share (...) of the lamp that a body hides from points (..., 3), 0..1."""
    if not isinstance(blocker, BallBlocker):
        share = np.empty(points.size // 3, dtype=np.float32)
        position = np.asarray(lamp.position, dtype=np.float32)
        lamp_behind_solid(*_solid(blocker), position, lamp.radius, _in_rows(points), share)
        return blocker.strength * share.reshape(points.shape[:-1])
    hidden = np.zeros(points.shape[:-1], dtype=points.dtype)
    near = _near_shadow(blocker, points, lamp)
    if near.any():
        hidden[near] = _lamp_behind_ball(blocker, points[near], lamp)
    return blocker.strength * hidden


def _near_shadow(ball: BallBlocker, points: Real, lamp: Lamp) -> NDArray[np.bool_]:
    """Points (...) from which a ball may hide some of the lamp: all of these, and not many more."""
    shape = points.shape[:-1]
    places = planes(points).T
    to_body = ball.centre.astype(points.dtype) - places
    to_lamp = np.asarray(lamp.position, dtype=points.dtype) - places
    body2, lamp2 = dot(to_body, to_body), dot(to_lamp, to_lamp)
    ahead = dot(to_body, to_lamp) / np.sqrt(lamp2)
    reach = ball.radius + lamp.radius * np.sqrt(body2 / lamp2)  # sin(a + b) <= sin(a) + sin(b)
    slack = 1e-3 * (1 + body2)  # more than what rounding does
    return np.asarray((body2 - ahead * ahead < reach * reach + slack).reshape(shape))


def sky_share_hidden(blocker: Blocker, points: Real, normals: Real) -> Real:
    """Share (...) of the light from all directions that a body keeps from points (..., 3) with normals (..., 3)."""
    if isinstance(blocker, BallBlocker):
        return blocker.strength * _sky_behind_ball(blocker, points, normals)
    hidden = np.empty(points.size // 3, dtype=np.float32)
    sky_behind_solid(*_solid(blocker), _in_rows(points), _in_rows(normals), hidden)
    return blocker.strength * hidden.reshape(points.shape[:-1])


def lamp_light(points: Real, normals: Real, lamp: Lamp) -> Real:
    """Irradiance over pi (...) by the lamp where nothing hides it."""
    to_lamp = np.asarray(lamp.position, dtype=points.dtype) - points
    square = dot(to_lamp, to_lamp)
    sine = lamp.radius / np.sqrt(square)
    cosine = dot(to_lamp, normals) / np.sqrt(square)
    return np.asarray(lamp.radiance * sine**2 * risen(cosine, sine))


def risen(cosine: Real, sine: Real) -> Real:
    """Mean cosine over a disc of directions that may be cut by the horizon; sine: of its angular radius."""
    x = np.clip(cosine / sine, -1.0, 1.0)
    # Integral of (x + s) over the chords of a unit disc that lie above the horizon.
    part = x * (np.arcsin(x) + np.pi / 2) / np.pi + np.sqrt(1 - x * x) * (2 + x * x) / (3 * np.pi)
    return np.asarray(np.where(cosine > sine, cosine, np.maximum(part, 0.0) * sine))


def _lamp_behind_ball(ball: BallBlocker, points: Real, lamp: Lamp) -> Real:
    to_ball = ball.centre.astype(points.dtype) - points
    to_lamp = np.asarray(lamp.position, dtype=points.dtype) - points
    ball2, lamp2 = dot(to_ball, to_ball), dot(to_lamp, to_lamp)
    cosine = dot(to_ball, to_lamp) / np.sqrt(ball2 * lamp2)
    big = np.arcsin(np.minimum(ball.radius / np.sqrt(ball2), 1.0))
    small = np.arcsin(lamp.radius / np.sqrt(lamp2))
    hidden = np.zeros(points.shape[:-1], dtype=points.dtype)
    near = cosine > np.cos(np.minimum(big + small, np.pi))
    if near.any():
        apart = np.arccos(np.clip(cosine[near], -1.0, 1.0))
        hidden[near] = circle_overlap(apart, small[near], big[near])
    return hidden


def circle_overlap(apart: Real, small: Real, big: Real) -> Real:
    """Share (...) of the area of circles of radius `small` that circles of radius `big` cover, `apart` between."""
    d = np.maximum(apart, 1e-6)
    a = np.clip((d * d + small * small - big * big) / (2 * d * small), -1.0, 1.0)
    b = np.clip((d * d + big * big - small * small) / (2 * d * big), -1.0, 1.0)
    root = np.maximum((small + big) ** 2 - d * d, 0) * np.maximum(d * d - (small - big) ** 2, 0)
    area = small * small * np.arccos(a) + big * big * np.arccos(b) - 0.5 * np.sqrt(root)
    return np.asarray(np.clip(area / (np.pi * small * small), 0.0, 1.0))


def _sky_behind_ball(ball: BallBlocker, points: Real, normals: Real) -> Real:
    to_ball = ball.centre.astype(points.dtype) - points
    square = dot(to_ball, to_ball)
    cosine = np.clip(dot(to_ball, normals) / np.sqrt(square), -1.0, 1.0)
    sine = np.minimum(ball.radius / np.sqrt(square), 1.0)
    return sphere_form_factor(cosine, sine)


def sphere_form_factor(cosine: Real, sine: Real) -> Real:
    """Share (...) of the light from all directions that a sphere keeps from a surface whose horizon may cut it.

    cosine: of the angle between normal and centre; sine: of the sphere's angular radius, at most 1. The view factor of
    a tilted planar element to a sphere, as in Howell, "A catalog of radiation heat transfer configuration factors".
    """
    share = np.where(cosine > 0, sine**2 * cosine, 0.0)
    cut = np.abs(cosine) < sine
    if cut.any():
        c, s = cosine[cut], sine[cut]
        tilt = np.sqrt(np.maximum(1 - c * c, 0.0))  # sine of the angle
        reach = np.sqrt(np.maximum(1 - s * s, 0.0)) / s  # sqrt(h^2 - 1), h = 1 / sine
        y = np.clip(-reach * c / np.maximum(tilt, 1e-12), -1.0, 1.0)
        rim = np.sqrt(1 - y * y)
        share[cut] = (s * s * (c * np.arccos(y) - reach * tilt * rim) + np.arctan2(tilt * rim, reach)) / np.pi
    return np.asarray(share)


def _solid(
    blocker: BoxBlocker | CylinderBlocker,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Corners, planes and edges, as of `sky_behind_solid`."""
    if isinstance(blocker, BoxBlocker):
        return placed(CUBE, blocker.half, blocker.centre, blocker.turn)
    return placed(PRISM, (blocker.radius, blocker.radius, blocker.half_length), blocker.centre, blocker.turn)


def _in_rows(vectors: Real) -> NDArray[np.float32]:
    """Vectors (..., 3) as (3, P) of single precision."""
    return planes(vectors).astype(np.float32, copy=False)


PATH_TRACE_ENVIRONMENT = "PHYSBENCH_PATH_TRACE"  # 1: scenes with planes that compositing refuses are path-traced


@dataclass(frozen=True, eq=False)
class Mover:
    """A body in one frame."""

    index: int  # in Scene.bodies
    body: Body
    centre: Real  # (3,) m
    turn: Real  # (4,)
    albedo: Vector  # linear RGB
    half: Vector  # m; a ball's radius thrice, of a cylinder its radius, its radius and half its length; as it is seen
    shines: bool  # by itself: a star
    deep: Real  # (3,) m from its centre to the middle of what blocks light: flat ones reach backwards from their front
    casts: float = 1.0  # share of its shadow and of the light that it sends back that is drawn
    behind: bool = False  # all other bodies, wherever it is: a holder that withdraws
    backs: bool = False  # what lies behind the front of this body, and is no part of what is tracked of it

    @cached_property
    def blockers(self) -> tuple[Blocker, ...]:
        """Blockers of light; none where it casts no shadow."""
        if not self.casts:
            return ()
        if self.body.shape == "sphere":
            return (BallBlocker(self.centre, self.body.size[0], self.casts),)
        if self.body.shape == "box":
            return (BoxBlocker(self.centre + self.deep, self.body.size, self.turn, self.casts),)
        radius, length = self.body.size  # a hollow one casts the shadow of a full one
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
    """True if a body is no part of a stage."""
    return body.shape != "plane" and (in_sky or not body.stays or body.shape != "box" or body.hue is not None)


def refused(scene: Scene) -> dict[int, str]:
    """Planes that compositing does not draw, with the reason and what can be done: a stage has one level ground."""
    ground = next((index for index, body in enumerate(scene.bodies) if _is_ground(body)), None)
    planes = [index for index, body in enumerate(scene.bodies) if body.drawn and body.shape == "plane"]
    return {index: _why_not_ground(scene.bodies[index]) for index in planes if index != ground}


def _is_ground(body: Body) -> bool:
    return body.shape == "plane" and body.drawn and body.stays and body.hue is None and _is_level(body)


def _is_level(plane: Body) -> bool:
    turned = rotate(np.asarray(plane.orientation, dtype=np.float64), np.array([0.0, 0.0, 1.0]))
    return bool(turned[2] >= 1 - 1e-6)  # its tilt is none


def _why_not_ground(plane: Body) -> str:
    if not plane.stays:
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
    states: Real,
    colours: Mapping[int, Vector] = MappingProxyType({}),
) -> list[Mover]:
    """The bodies that are there at `time` s, those that withdraw last; states: (N, 13).

    colours: RGB (0..1) of bodies by index, where it is not that of their hue.
    """
    movers: list[Mover] = []
    leaving: list[Mover] = []
    for index in indices:
        body = scene.bodies[index]
        if is_holder(body):
            holder = holder_at(scene, stage, index, time)
            if holder is not None:
                (leaving if withdraws(body, time) else movers).append(_holder(index, holder, withdraws(body, time)))
            continue
        if not shown(body, time):
            continue
        half: Vector
        thin = is_plate(body, scene.camera)
        if body.shape == "sphere":
            half = (body.size[0],) * 3
        elif body.shape == "box":
            half = drawn_half(body, scene)
        else:
            length = min(body.size[1] / 2, DRAWN.flat_half_depth) if thin else body.size[1] / 2
            half = (body.size[0], body.size[0], length)
        shines = stage.kind == "sky" and body.stays
        centre, turn = np.array(states[index, :3]), np.array(states[index, 3:7])
        deep = normal(scene.camera) * (_depth(body, scene.camera) / 2 - DRAWN.flat_half_depth if thin else 0.0)
        albedo = rgb_albedo(colours[index]) if index in colours else body_albedo(body, stage.kind)
        casts = 0.0 if is_painted(body) else 1.0
        movers.append(Mover(index, body, centre, turn, albedo, half, shines, deep, casts))
        hung = replace(body, grey=FITTING.level)
        leaving += [
            Mover(index, hung, place, turn, steel, size, False, np.zeros(3), casts=0.0, behind=True, backs=True)
            for place, size, steel in cables(body, centre)
        ]
        if scene.camera.tilt and thin and _depth(body, scene.camera) > 2 * DRAWN.flat_half_depth:
            movers.append(_backing(movers[-1], scene.camera))
    return movers + leaving


def _backing(front: Mover, camera: Camera) -> Mover:
    """The rest of a box or cylinder before a camera that looks down: behind its front, which alone has the hue.

    The front is read as a plate in the plane of motion. Sides of its hue would move its centroid.
    """
    depth, half = _depth(front.body, camera), list(front.half)
    half[axis_across(front.body, camera)] = depth / 2 - DRAWN.flat_half_depth
    # Light grey, of a body of which the front alone has a hue
    body = front.body if front.body.hue is None else replace(front.body, hue=None, grey=0.68)
    x, y, z = half
    back = replace(front, body=body, centre=front.centre + normal(camera) * depth / 2, albedo=body_albedo(body))
    return replace(back, half=(x, y, z), deep=np.zeros(3), casts=0.0, backs=True)


def poses(movers: Sequence[Mover]) -> tuple[object, ...]:
    """Poses that decide how bodies look in a frame, in a form that can be compared."""
    return tuple(
        (mover.index, mover.centre.tobytes(), _seen_turn(mover).tobytes(), mover.half, mover.behind) for mover in movers
    )


def _seen_turn(mover: Mover) -> Real:
    """Turn of a body, as far as it is seen: a star has no marks."""
    return np.zeros(4) if mover.shines else mover.turn


def _holder(index: int, body: Body, behind: bool) -> Mover:
    centre, turn = np.array(body.position), np.array(body.orientation)
    x, y, z = body.size
    return Mover(index, body, centre, turn, body_albedo(body), (x, y, z), False, np.zeros(3), behind=behind)


def _depth(body: Body, camera: Camera) -> float:
    """Length (m) of a flat body across the plane of motion."""
    return body.size[1] if body.shape == "cylinder" else 2 * body.size[axis_across(body, camera)]


# Rays against bodies, and points and normals on them that stand for a pixel.


def hit_mover(mover: Mover, origin: Real, directions: Real) -> tuple[Real, Real]:
    """Distances (...) in lengths of `directions` (..., 3), NOTHING_MET where it is missed, and normals (..., 3)."""
    if mover.body.shape == "sphere":
        return hit_ball(mover.centre, mover.body.size[0], origin, directions)
    if mover.body.shape == "box":
        return hit_box(origin, directions, mover.centre, mover.half, mover.turn)
    return _hit_cylinder(mover, origin, directions)


def distances_to(mover: Mover, origin: Real, directions: Real) -> Real:
    """Distances (...) as of `hit_mover`."""
    if mover.body.shape == "sphere":
        return ball_distances(mover.centre, mover.body.size[0], origin, directions)
    return hit_mover(mover, origin, directions)[0]


def ball_distances(centre: Real, radius: float, origin: Real, directions: Real) -> Real:
    """Distances as of `hit_mover`; origins (..., 3) outside of the ball."""
    to_ball = centre - origin
    square = dot(directions, directions)
    middle = dot(to_ball, directions) / square
    root = middle**2 - (dot(to_ball, to_ball) - radius**2) / square
    t = middle - np.sqrt(np.maximum(root, 0.0))
    return np.where((root > 0) & (t > 1e-6), t, NOTHING_MET)


def hit_ball(centre: Real, radius: float, origin: Real, directions: Real) -> tuple[Real, Real]:
    """Distances and normals as of `hit_mover`; origins (..., 3) outside of the ball."""
    t = ball_distances(centre, radius, origin, directions)
    return t, (origin + t[..., None] * directions - centre) / radius


def _hit_cylinder(mover: Mover, origin: Real, directions: Real) -> tuple[Real, Real]:
    radius, _, half = mover.half
    o = unrotate(mover.turn, np.asarray(origin) - mover.centre)
    d = unrotate(mover.turn, directions)
    with np.errstate(divide="ignore", invalid="ignore"):
        cap = -np.sign(d[..., 2])
        t_cap = (cap * half - o[..., 2]) / d[..., 2]
        at_cap = o + t_cap[..., None] * d
        on_cap = dot(at_cap[..., :2], at_cap[..., :2]) <= radius**2
        a = dot(d[..., :2], d[..., :2])
        b = dot(o[..., :2], d[..., :2])
        root = b * b - a * (dot(o[..., :2], o[..., :2]) - radius**2)
        t_side = (-b - np.sqrt(np.maximum(root, 0))) / a
        at_side = o + t_side[..., None] * d
        on_side = (root > 0) & (np.abs(at_side[..., 2]) <= half)
        hole = on_cap & (dot(at_cap[..., :2], at_cap[..., :2]) < (mover.body.bore * radius) ** 2)
        # Into a hole a ray meets the wall of it from within, or nothing.
        inner = b * b - a * (dot(o[..., :2], o[..., :2]) - (mover.body.bore * radius) ** 2)
        t_wall = (-b + np.sqrt(np.maximum(inner, 0))) / a
        at_wall = o + t_wall[..., None] * d
    on_wall = hole & (np.abs(at_wall[..., 2]) <= half)
    on_cap &= ~hole
    t_outer = np.where(on_side & ~hole & (t_side > 1e-6), t_side, NOTHING_MET)
    t = np.where(on_cap & (t_cap > 1e-6), t_cap, np.where(on_wall & (t_wall > 1e-6), t_wall, t_outer))
    cap_normal = np.zeros(d.shape)
    cap_normal[..., 2] = cap
    side_normal = np.concatenate([at_side[..., :2] / radius, np.zeros((*d.shape[:-1], 1))], axis=-1)
    side_normal[on_wall, :2] = -at_wall[on_wall, :2] / (mover.body.bore * radius)
    local = np.where((on_cap & (t_cap > 1e-6))[..., None], cap_normal, side_normal)
    return t, rotate(mover.turn, local)


def ball_points(mover: Mover, origin: Real, directions: Real) -> tuple[Real, Real]:
    """Points and normals (P, 3) of a ball that rays (P, 3) meet; of its outline where they just miss it."""
    radius = mover.body.size[0]
    t, normal = hit_ball(mover.centre, radius, origin, directions)
    missed = t >= NOTHING_MET
    if missed.any():
        d = directions[missed]
        along = dot(mover.centre - origin, d) / dot(d, d)
        nearest = origin + along[:, None] * d - mover.centre
        normal[missed] = nearest / length(nearest)[:, None]
    return mover.centre + radius * normal, normal


def bevelled(mover: Mover, points: Real, normal: Real) -> Real:
    """Normals (P, 3) of a box or cylinder that lean outwards near its edges."""
    local = unrotate(mover.turn, points - mover.centre)
    lean = unrotate(mover.turn, normal)
    facing = np.abs(lean).argmax(axis=-1)
    bevel = 0.022  # m, of the edges of boxes and cylinders
    bevel_tilt = 0.75
    if mover.body.shape == "cylinder":
        out = np.hypot(local[:, 0], local[:, 1])
        tilt = np.clip(1 - (mover.half[0] - out) / bevel, 0, 1) * bevel_tilt * (facing == 2)
        lean[:, :2] += tilt[:, None] * local[:, :2] / np.maximum(out, 1e-6)[:, None]
    else:
        for axis in range(3):
            if mover.half[axis] < 2 * bevel:
                continue
            tilt = np.clip(1 - (mover.half[axis] - np.abs(local[:, axis])) / bevel, 0, 1) * bevel_tilt
            lean[:, axis] += np.where(facing == axis, 0.0, tilt * np.sign(local[:, axis]))
    lean /= length(lean)[:, None]
    return rotate(mover.turn, lean)
