"""Rays against bodies, and points and normals on them that stand for a pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.looks.natural.movers import Mover
from physbench.looks.natural.vectors import dot, length
from physbench.looks.natural.view_rays import NOTHING_MET, hit_box
from physbench.world.geometry import rotate, unrotate

Float = NDArray[np.floating]
BEVEL = 0.022  # m, of the edges of boxes and cylinders
BEVEL_TILT = 0.75


def hit_mover(mover: Mover, origin: Float, directions: Float) -> tuple[Float, Float]:
    """Distances (...) in lengths of `directions` (..., 3), NOTHING_MET where it is missed, and normals (..., 3)."""
    if mover.body.shape == "sphere":
        return hit_ball(mover.centre, mover.body.size[0], origin, directions)
    if mover.body.shape == "box":
        return hit_box(origin, directions, mover.centre, mover.half, mover.turn)
    return _hit_cylinder(mover, origin, directions)


def hit_ball(centre: Float, radius: float, origin: Float, directions: Float) -> tuple[Float, Float]:
    """Distances and normals as of `hit_mover`; origins (..., 3) outside of the ball."""
    to_ball = centre - origin
    square = dot(directions, directions)
    middle = dot(to_ball, directions) / square
    root = middle**2 - (dot(to_ball, to_ball) - radius**2) / square
    t = middle - np.sqrt(np.maximum(root, 0.0))
    hit = (root > 0) & (t > 1e-6)
    normal = (origin + t[..., None] * directions - centre) / radius
    return np.where(hit, t, NOTHING_MET), normal


def _hit_cylinder(mover: Mover, origin: Float, directions: Float) -> tuple[Float, Float]:
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
    t = np.where(on_cap & (t_cap > 1e-6), t_cap, np.where(on_side & (t_side > 1e-6), t_side, NOTHING_MET))
    cap_normal = np.zeros(d.shape)
    cap_normal[..., 2] = cap
    side_normal = np.concatenate([at_side[..., :2] / radius, np.zeros((*d.shape[:-1], 1))], axis=-1)
    local = np.where((on_cap & (t_cap > 1e-6))[..., None], cap_normal, side_normal)
    return t, rotate(mover.turn, local)


def ball_points(mover: Mover, origin: Float, directions: Float) -> tuple[Float, Float]:
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


def bevelled(mover: Mover, points: Float, normal: Float) -> Float:
    """Normals (P, 3) of a box or cylinder that lean outwards near its edges."""
    local = unrotate(mover.turn, points - mover.centre)
    lean = unrotate(mover.turn, normal)
    facing = np.abs(lean).argmax(axis=-1)
    if mover.body.shape == "cylinder":
        out = np.hypot(local[:, 0], local[:, 1])
        tilt = np.clip(1 - (mover.half[0] - out) / BEVEL, 0, 1) * BEVEL_TILT * (facing == 2)
        lean[:, :2] += tilt[:, None] * local[:, :2] / np.maximum(out, 1e-6)[:, None]
    else:
        for axis in range(3):
            if mover.half[axis] < 2 * BEVEL:
                continue
            tilt = np.clip(1 - (mover.half[axis] - np.abs(local[:, axis])) / BEVEL, 0, 1) * BEVEL_TILT
            lean[:, axis] += np.where(facing == axis, 0.0, tilt * np.sign(local[:, axis]))
    lean /= length(lean)[:, None]
    return rotate(mover.turn, lean)
