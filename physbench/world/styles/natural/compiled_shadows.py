"""Shadows of convex solids at many points, compiled: they are most of the work on a picture."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.support.arrays import Real
from physbench.world.compiled import compiled, kernel, part

STRIP = 512  # points that are looked at together: what is known of their corners stays in the processor's cache
FACE_GAP = 1e-4  # m before a face of a box, from where on it hides a part of the sky
NEAREST = 1e-6  # m, distance that a corner has at least
HORIZON = -1e-4  # sine of the height from where on a corner counts as below the horizon
AT_FACE = 2e-3  # m, up to which a point lies on a face
CLOSEST = 1e-3  # m ahead, from where on something hides a lamp


@compiled
def angle_over_sine(cosine: Any) -> Any:
    """An angle over 2 pi times its sine, to .07 %.

    A rational function of Hill and Heitz (2016), "Real-Time Area Lighting: a Journey from Research to Production".
    """
    y = abs(cosine)
    top = np.float32(0.8543985) + (np.float32(0.4965155) + np.float32(0.0145206) * y) * y
    part = top / (np.float32(3.4175940) + (np.float32(4.1616724) + y) * y)
    square = np.float32(1.0) - cosine * cosine
    square = square if square > np.float32(1e-7) else np.float32(1e-7)
    return part if cosine > 0 else np.float32(0.5) / np.sqrt(square) - part


@kernel("(float32[:,::1], float32[:,::1], int64[:,::1], float32[:,::1], float32[:,::1], float32[::1])")
def sky_behind_solid(
    corners: Real, planes: Real, edges: NDArray[np.int64], points: Real, normals: Real, hidden: Real
) -> None:
    """Write the share (P,) of the light from all directions that a convex solid keeps from points: its form factor.

    Lambert's sum over the edges of the outline as a point sees it (https://en.wikipedia.org/wiki/View_factor), cut at
    the horizon of the point.

    Args:
        corners: (K, 3) m.
        planes: (F, 4) of the faces: normal outwards, and m along it from the origin.
        edges: (E, 4): corners where each begins and ends, the faces to its left and its right, seen from outside.
        points: (3, P) m.
        normals: (3, P).
        hidden: Is written to.
    """
    place, normal = np.empty((3, STRIP), dtype=np.float32), np.empty((3, STRIP), dtype=np.float32)
    to_corners = np.empty((len(corners), 3, STRIP), dtype=np.float32)
    faces = np.empty((len(planes), STRIP), dtype=np.float32)
    lowest, highest = np.empty(STRIP, dtype=np.float32), np.empty(STRIP, dtype=np.float32)
    weight = np.empty(STRIP, dtype=np.float32)
    total = np.empty(STRIP, dtype=np.float32)
    for start in range(0, points.shape[1], STRIP):
        count = min(STRIP, points.shape[1] - start)
        place[:, :count], normal[:, :count] = points[:, start : start + count], normals[:, start : start + count]
        _see_faces(planes, place, count, faces)
        _look_at_corners(corners, place, normal, count, to_corners, lowest, highest)
        _sum_outline(edges, to_corners, faces, normal, count, weight, total)
        for p in range(count):
            share = total[p]
            if highest[p] < -HORIZON:
                share = np.float32(0.0)
            elif lowest[p] < HORIZON:
                share = _above_horizon(edges, to_corners[:, :, p], faces[:, p], normal[:, p])
            hidden[start + p] = min(max(share, np.float32(0.0)), np.float32(1.0))


@part
def _see_faces(planes: Real, points: Real, count: int, faces: Real) -> None:
    """Write to faces (F, P) 1 where `count` points (3, P) lie before a face, else 0."""
    x, y, z = points
    for f in range(len(planes)):
        seen = faces[f]
        nx, ny, nz, level = planes[f]
        bound = level + np.float32(FACE_GAP)
        for p in range(count):
            seen[p] = np.float32(1.0) if nx * x[p] + ny * y[p] + nz * z[p] > bound else np.float32(0.0)


@part
def _look_at_corners(
    corners: Real,
    points: Real,
    normals: Real,
    count: int,
    to_corners: Real,
    lowest: Real,
    highest: Real,
) -> None:
    """Write directions (K, 3, P) of length 1 from points (3, P) to corners, and the least and largest sine (P,) of
    their heights."""
    x, y, z = points
    nx, ny, nz = normals
    lowest[:], highest[:] = np.float32(1.0), np.float32(-1.0)
    for k in range(len(corners)):
        ux, uy, uz = to_corners[k]
        cx, cy, cz = corners[k]
        for p in range(count):
            ax, ay, az = cx - x[p], cy - y[p], cz - z[p]
            square = ax * ax + ay * ay + az * az
            square = square if square > np.float32(NEAREST * NEAREST) else np.float32(NEAREST * NEAREST)
            scale = np.float32(1.0) / np.sqrt(square)
            ax, ay, az = ax * scale, ay * scale, az * scale
            ux[p], uy[p], uz[p] = ax, ay, az
            rise = ax * nx[p] + ay * ny[p] + az * nz[p]
            lowest[p] = rise if rise < lowest[p] else lowest[p]
            highest[p] = rise if rise > highest[p] else highest[p]


@part
def _sum_outline(
    edges: NDArray[np.int64],
    to_corners: Real,
    faces: Real,
    normals: Real,
    count: int,
    weight: Real,
    total: Real,
) -> None:
    """Write the sums (P,) over the whole outline; weight: (P,), is written to."""
    nx, ny, nz = normals
    total[:] = np.float32(0.0)
    for e in range(len(edges)):
        begin, end, left, right = edges[e]
        at_left, at_right = faces[left], faces[right]
        some = 0
        for p in range(count):  # an edge is part of the outline where one of its faces is seen
            weight[p] = at_left[p] - at_right[p]
            some |= at_left[p] != at_right[p]
        if not some:
            continue
        ax, ay, az = to_corners[begin]
        bx, by, bz = to_corners[end]
        for p in range(count):
            cosine = ax[p] * bx[p] + ay[p] * by[p] + az[p] * bz[p]
            across = (
                (by[p] * az[p] - bz[p] * ay[p]) * nx[p]
                + (bz[p] * ax[p] - bx[p] * az[p]) * ny[p]
                + (bx[p] * ay[p] - by[p] * ax[p]) * nz[p]
            )
            total[p] += weight[p] * across * angle_over_sine(cosine)


@compiled
def _above_horizon(edges: NDArray[np.int64], to_corners: Real, faces: Real, normal: Real) -> Any:
    """The sum of one point over what of the outline lies above its horizon, and over the arc of the horizon between.

    to_corners: (K, 3) of length 1; faces: (F,), as of `_see_faces`; normal: (3,).
    """
    nx, ny, nz = normal
    total = 0.0
    leave, enter = np.zeros(3), np.zeros(3)
    has_left, has_entered = False, False
    a, b, cut = np.empty(3), np.empty(3), np.empty(3)
    for e in range(len(edges)):
        begin, end, left, right = edges[e]
        if faces[left] == faces[right]:
            continue
        if faces[right] > 0:
            begin, end = end, begin
        a[:], b[:] = to_corners[begin], to_corners[end]
        rise_a = a[0] * nx + a[1] * ny + a[2] * nz
        rise_b = b[0] * nx + b[1] * ny + b[2] * nz
        if rise_a < 0 and rise_b < 0:
            continue
        if (rise_a < 0) != (rise_b < 0):
            cut[:] = a + rise_a / (rise_a - rise_b) * (b - a)
            cut /= math.sqrt(cut[0] * cut[0] + cut[1] * cut[1] + cut[2] * cut[2])
            if rise_a < 0:
                a[:], enter[:], has_entered = cut, cut, True
            else:
                b[:], leave[:], has_left = cut, cut, True
        total += _edge(a, b, nx, ny, nz)
    if has_left and has_entered:
        total += _edge(leave, enter, nx, ny, nz)
    return np.float32(total)


@compiled
def _edge(a: Real, b: Real, nx: float, ny: float, nz: float) -> Any:
    """The term of an edge between directions (3,) of length 1."""
    across = (b[1] * a[2] - b[2] * a[1]) * nx + (b[2] * a[0] - b[0] * a[2]) * ny + (b[0] * a[1] - b[1] * a[0]) * nz
    return across * angle_over_sine(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])


@kernel("(float32[:,::1], float32[:,::1], int64[:,::1], float32[::1], float32, float32[:,::1], float32[::1])")
def lamp_behind_solid(
    corners: Real,
    planes: Real,
    edges: NDArray[np.int64],
    lamp: Real,
    radius: float,
    points: Real,
    hidden: Real,
) -> None:
    """Write the share (P,) of a lamp that a convex solid hides: what its outline covers of the lamp's disc.

    Args:
        corners, planes, edges, points: As of `sky_behind_solid`.
        lamp: (3,) m, its middle.
        radius: m, of the lamp.
        hidden: Is written to.
    """
    middle = np.zeros(3)
    for k in range(len(corners)):
        middle += corners[k] / len(corners)
    bound = 0.0
    for k in range(len(corners)):
        bound = max(bound, math.sqrt(((corners[k] - middle) ** 2).sum()))
    faces, place, outline = np.empty(len(planes)), np.empty((len(corners), 3)), np.empty((len(edges) + 1, 4))
    for p in range(points.shape[1]):
        hidden[p] = 0.0
        x, y, z = points[0, p], points[1, p], points[2, p]
        lx, ly, lz = lamp[0] - x, lamp[1] - y, lamp[2] - z
        distance = math.sqrt(lx * lx + ly * ly + lz * lz)
        lx, ly, lz, spread = lx / distance, ly / distance, lz / distance, radius / distance
        dx, dy, dz = middle[0] - x, middle[1] - y, middle[2] - z
        ahead = dx * lx + dy * ly + dz * lz
        width = bound + spread * max(ahead + bound, 0.0)
        if ahead < -bound or dx * dx + dy * dy + dz * dz - ahead * ahead > width * width:
            continue
        seen, outwards = False, False
        for f in range(len(planes)):
            before = planes[f, 0] * x + planes[f, 1] * y + planes[f, 2] * z - planes[f, 3]
            rise = planes[f, 0] * lx + planes[f, 1] * ly + planes[f, 2] * lz
            faces[f] = 1.0 if before > FACE_GAP else 0.0
            seen |= before > FACE_GAP
            # Light that leaves a face outwards never meets the solid.
            outwards |= before > -AT_FACE and rise > (spread if before > AT_FACE else 0.0)
        if outwards:
            continue
        if not seen:  # it lies in the solid
            hidden[p] = 1.0
            continue
        # The lamp as a disc of radius 1 around (0, 0), and the outline before it.
        scale = 1.0 / math.sqrt(max(lx * lx + ly * ly, 1e-12))
        ux, uy = (-ly * scale, lx * scale) if lx * lx + ly * ly > 1e-12 else (1.0, 0.0)
        vx, vy, vz = uy * lz, -ux * lz, ux * ly - uy * lx  # an outline that is seen from its front runs to the left
        for k in range(len(corners)):
            dx, dy, dz = corners[k, 0] - x, corners[k, 1] - y, corners[k, 2] - z
            place[k, 0] = (dx * ux + dy * uy) / spread
            place[k, 1] = (dx * vx + dy * vy + dz * vz) / spread
            place[k, 2] = dx * lx + dy * ly + dz * lz
        hidden[p] = _covered(edges, faces, place, outline)


@compiled
def _covered(edges: NDArray[np.int64], faces: Real, place: Real, outline: Real) -> float:
    """Share of the disc of radius 1 around (0, 0) that an outline covers.

    faces: (F,), 1 where one is seen; place: (K, 3) of corners: to the right and up, in radii that the disc has at 1 m,
    and ahead, in m; outline: (E + 1, 4), is written to.
    """
    count = 0
    leave, enter = np.zeros(2), np.zeros(2)
    cut = False
    for e in range(len(edges)):
        begin, end, left, right = edges[e]
        if faces[left] == faces[right]:
            continue
        if faces[right] > 0:
            begin, end = end, begin
        ax, ay, az = place[begin]
        bx, by, bz = place[end]
        if az < CLOSEST and bz < CLOSEST:
            continue
        if (az < CLOSEST) != (bz < CLOSEST):
            share, cut = (CLOSEST - az) / (bz - az), True
            cx, cy = (ax + share * (bx - ax)) / CLOSEST, (ay + share * (by - ay)) / CLOSEST
            if az < CLOSEST:
                enter[0], enter[1] = cx, cy
                outline[count] = cx, cy, bx / bz, by / bz
            else:
                leave[0], leave[1] = cx, cy
                outline[count] = ax / az, ay / az, cx, cy
        else:
            outline[count] = ax / az, ay / az, bx / bz, by / bz
        count += 1
    if cut:
        outline[count] = leave[0], leave[1], enter[0], enter[1]
        count += 1
    whole = count > 0
    for k in range(count):
        ax, ay, bx, by = outline[k]
        height = ax * by - ay * bx  # of the line over (0, 0), times the length of the edge
        long = (bx - ax) ** 2 + (by - ay) ** 2
        if height < 0 and height * height >= long:
            return 0.0
        whole &= height > 0 and height * height >= long
    if whole:
        return 1.0
    area = 0.0
    for k in range(count):
        area += _disc_part(outline[k, 0], outline[k, 1], outline[k, 2], outline[k, 3])
    return min(max(area / math.pi, 0.0), 1.0)


@compiled
def _disc_part(ax: float, ay: float, bx: float, by: float) -> float:
    """Area, with a sign, of what the disc of radius 1 around (0, 0) shares with the triangle from there to an edge."""
    dx, dy = bx - ax, by - ay
    long = dx * dx + dy * dy
    along = ax * dx + ay * dy
    root = along * along - long * (ax * ax + ay * ay - 1.0)
    if root <= 0 or long == 0:
        return _sector(ax, ay, bx, by)
    root = math.sqrt(root)
    first, last = (-along - root) / long, (-along + root) / long
    if last <= 0 or first >= 1:
        return _sector(ax, ay, bx, by)
    area = 0.0
    px, py, qx, qy = ax, ay, bx, by
    if first > 0:
        px, py = ax + first * dx, ay + first * dy
        area += _sector(ax, ay, px, py)
    if last < 1:
        qx, qy = ax + last * dx, ay + last * dy
        area += _sector(qx, qy, bx, by)
    return area + (px * qy - py * qx) / 2


@compiled
def _sector(ax: float, ay: float, bx: float, by: float) -> float:
    """Area, with a sign, of the disc of radius 1 between two directions."""
    return math.atan2(ax * by - ay * bx, ax * bx + ay * by) / 2
