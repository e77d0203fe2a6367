"""Distances between the surfaces of bodies, in numpy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from physbench.support.arrays import Array
from physbench.world.scene import Body


def rotate(quaternion: ArrayLike, vectors: ArrayLike) -> Array:
    """Turn vectors (..., 3) by unit quaternions x, y, z, w (..., 4); both broadcast."""
    q, v = np.asarray(quaternion, dtype=np.float64), np.asarray(vectors, dtype=np.float64)
    # Coordinate by coordinate: np.cross takes three times as long for a few vectors.
    x, y, z, w = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    a, b, c = v[..., 0], v[..., 1], v[..., 2]
    p, q, r = 2 * (y * c - z * b), 2 * (z * a - x * c), 2 * (x * b - y * a)
    turned = a + w * p + (y * r - z * q), b + w * q + (z * p - x * r), c + w * r + (x * q - y * p)
    return np.stack(turned, axis=-1)


def unrotate(quaternion: ArrayLike, vectors: ArrayLike) -> Array:
    """Turn vectors (..., 3) back: the inverse of `rotate`."""
    q = np.asarray(quaternion, dtype=np.float64)
    return rotate(q * np.array([-1.0, -1.0, -1.0, 1.0]), vectors)


def cross(a: Array, b: Array) -> Array:
    """Vector product (..., 3), the same bits as `np.cross`, which takes twice as long for a few vectors."""
    (x, y, z), (u, v, w) = ((each[..., 0], each[..., 1], each[..., 2]) for each in (a, b))
    return np.stack([y * w - z * v, z * u - x * w, x * v - y * u], axis=-1)


def product(a: Array, b: Array) -> Array:
    """Product of quaternions x, y, z, w (..., 4)."""
    u, s, v, t = a[..., :3], a[..., 3:], b[..., :3], b[..., 3:]
    return np.concatenate([s * v + t * u + cross(u, v), s * t - (u * v).sum(axis=-1, keepdims=True)], axis=-1)


def gap(a: Body, pa: ArrayLike, b: Body, pb: ArrayLike) -> Array:
    """Distance in m between the surfaces of two bodies with centres at pa, pb (..., 3); negative: depth of overlap.

    Both are turned as `Body.orientation` says. Exact for a sphere and anything and for a plane and anything; two boxes
    or cylinders are compared along the axes of both, the line of centres and from a cylinder to the nearest point of a
    box, which never exceeds the true distance, and is that of faces that meet faces, edges or cylinders.
    """
    pa, pb = np.asarray(pa, dtype=np.float64), np.asarray(pb, dtype=np.float64)
    if a.shape == "plane" and b.shape == "plane":
        raise ValueError("Two planes have no distance.")
    if a.shape == "plane" or (b.shape == "sphere" and a.shape != "sphere"):
        a, pa, b, pb = b, pb, a, pa
    if b.shape == "plane":
        normal = rotate(b.orientation, (0.0, 0.0, 1.0))
        return np.asarray(((pa - pb) * normal).sum(axis=-1) - _reach(a, -normal))
    if a.shape == "sphere":
        return np.asarray(_from_point(b, unrotate(b.orientation, pa - pb)) - a.size[0])
    return _separation(a, pa, b, pb)


def _reach(body: Body, direction: Array) -> Array:
    """Reach (...) m of a body from its centre along unit vectors (..., 3) of the world."""
    if body.shape == "sphere":
        return np.full(direction.shape[:-1], body.size[0])
    local = unrotate(body.orientation, direction)
    if body.shape == "box":
        return np.asarray((np.abs(local) * np.array(body.size)).sum(axis=-1))
    across = np.hypot(local[..., 0], local[..., 1])
    return np.asarray(body.size[0] * across + body.size[1] / 2 * np.abs(local[..., 2]))


def _from_point(body: Body, point: Array) -> Array:
    """Signed distance (...) m of points (..., 3), in the body's own axes, from its surface."""
    if body.shape == "sphere":
        return np.asarray(np.linalg.norm(point, axis=-1) - body.size[0])
    if body.shape == "box":
        beyond = np.abs(point) - np.array(body.size)
    else:
        radial = np.hypot(point[..., 0], point[..., 1]) - body.size[0]
        beyond = np.stack([radial, np.abs(point[..., 2]) - body.size[1] / 2], axis=-1)
    outside = np.linalg.norm(np.maximum(beyond, 0.0), axis=-1)
    return np.asarray(outside + np.minimum(beyond.max(axis=-1), 0.0))


def _separation(a: Body, pa: Array, b: Body, pb: Array) -> Array:
    axes = np.concatenate([rotate(body.orientation, np.eye(3)) for body in (a, b)])
    offset = pb - pa
    length = np.linalg.norm(offset, axis=-1, keepdims=True)
    line = offset / np.maximum(length, 1e-12)
    best = np.asarray((offset * line).sum(axis=-1) - _reach(a, line) - _reach(b, -line))
    for round_, other, away in ((a, b, offset), (b, a, -offset)):  # from a cylinder to the edge of a box
        if round_.shape == "cylinder" and other.shape == "box":
            local = unrotate(other.orientation, -away)
            edge = away + rotate(other.orientation, np.clip(local, -np.array(other.size), np.array(other.size)))
            own = rotate(round_.orientation, (0.0, 0.0, 1.0))
            edge = edge - (edge * own).sum(axis=-1, keepdims=True) * own
            size = np.linalg.norm(edge, axis=-1, keepdims=True)
            edge = np.where(size > 1e-9, edge / np.maximum(size, 1e-9), line)
            best = np.maximum(best, (away * edge).sum(axis=-1) - _reach(round_, edge) - _reach(other, -edge))
    for axis, reach_a, reach_b in zip(axes, _reach(a, axes), _reach(b, axes), strict=True):
        along = np.abs((offset * axis).sum(axis=-1))
        best = np.maximum(best, along - reach_a - reach_b)
    return best
