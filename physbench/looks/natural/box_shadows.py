"""Shadows of a box at many points, compiled: they are most of the work on a picture.

Corner k of a box lies at the signs of its three bits, 1 for the upper half of axis 0, 2 of axis 1, 4 of axis 2.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from physbench.world.compiled import compiled, kernel, part

Array = NDArray[np.floating]

STRIP = 2048  # points that are looked at together: what is known of their corners stays in the processor's cache
FACE_GAP = 1e-4  # m before a face of a box, from where on it hides a part of the sky
NEAREST = 1e-6  # m, distance that a corner has at least
BELOW = -1e-4  # sine of the height from where on a corner counts as below the horizon
PENUMBRA = 0.2  # m by which the shadow of a box is wider at most, per m behind it
AT_FACE = 2e-3  # m, that a point is before a face that sends its light outwards


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


@kernel("(float32[::1], float32[:,::1], float32[::1], float32[:,::1], float32[:,::1], float32[::1])")
def sky_behind_box(centre: Array, axes: Array, half: Array, points: Array, normals: Array, hidden: Array) -> None:
    """Write the share (P,) of the light from all directions that a box keeps from points: its form factor.

    Lambert's sum over the edges of the outline as a point sees it (https://en.wikipedia.org/wiki/View_factor), cut at
    the horizon of the point.

    Args:
        centre: (3,) m.
        axes: (3, 3), one a row.
        half: (3,) m.
        points: (3, P) m.
        normals: (3, P).
        hidden: Is written to.
    """
    corners = _corners(centre, axes, half)
    place, normal = np.empty((3, STRIP), dtype=np.float32), np.empty((3, STRIP), dtype=np.float32)
    to_corners = np.empty((8, 3, STRIP), dtype=np.float32)
    faces = np.empty((6, STRIP), dtype=np.float32)
    lowest = np.empty(STRIP, dtype=np.float32)
    weight = np.empty(STRIP, dtype=np.float32)
    total = np.empty(STRIP, dtype=np.float32)
    for start in range(0, points.shape[1], STRIP):
        count = min(STRIP, points.shape[1] - start)
        place[:, :count], normal[:, :count] = points[:, start : start + count], normals[:, start : start + count]
        _see_faces(centre, axes, half, place, count, faces)
        _look_at_corners(corners, place, normal, count, to_corners, lowest)
        _sum_outline(to_corners, faces, normal, count, weight, total)
        for p in range(count):
            share = total[p]
            if lowest[p] < BELOW:
                share = _above_horizon(to_corners[:, :, p], faces[:, p], normal[:, p])
            hidden[start + p] = min(max(share, np.float32(0.0)), np.float32(1.0))


@compiled
def _corners(centre: Array, axes: Array, half: Array) -> Array:
    """(8, 3) m."""
    found = np.empty((8, 3), dtype=np.float32)
    for k in range(8):
        for c in range(3):
            found[k, c] = centre[c]
            for i in range(3):
                found[k, c] += (half[i] if (k >> i) & 1 else -half[i]) * axes[i, c]
    return found


@part
def _see_faces(centre: Array, axes: Array, half: Array, points: Array, count: int, faces: Array) -> None:
    """Write to faces (6, P) 1 where `count` points (3, P) see the lower and the upper face of an axis, else 0."""
    x, y, z = points
    for i in range(3):
        low, high = faces[2 * i], faces[2 * i + 1]
        shift = axes[i, 0] * centre[0] + axes[i, 1] * centre[1] + axes[i, 2] * centre[2]
        bound = half[i] + np.float32(FACE_GAP)
        for p in range(count):
            along = axes[i, 0] * x[p] + axes[i, 1] * y[p] + axes[i, 2] * z[p] - shift
            low[p] = np.float32(1.0) if -along > bound else np.float32(0.0)
            high[p] = np.float32(1.0) if along > bound else np.float32(0.0)


@part
def _look_at_corners(
    corners: Array, points: Array, normals: Array, count: int, to_corners: Array, lowest: Array
) -> None:
    """Write directions (8, 3, P) of length 1 from points (3, P) to corners, and the least sine (P,) of their height."""
    x, y, z = points
    nx, ny, nz = normals
    lowest[:] = np.float32(1.0)
    for k in range(8):
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


@part
def _sum_outline(to_corners: Array, faces: Array, normals: Array, count: int, weight: Array, total: Array) -> None:
    """Write the sums (P,) over the whole outline; weight: (P,), is written to."""
    nx, ny, nz = normals
    total[:] = np.float32(0.0)
    for i in range(3):
        j, m = (i + 1) % 3, (i + 2) % 3
        for which in range(4):
            upper_j, upper_m = which & 1, which >> 1
            # From the lower to the upper end of axis i one of the two faces lies to the left, seen from outside.
            first = (upper_j << j) | (upper_m << m)
            at_j, at_m = faces[2 * j + upper_j], faces[2 * m + upper_m]
            turn = np.float32(1.0) if upper_j == upper_m else np.float32(-1.0)
            some = np.float32(0.0)
            for p in range(count):
                weight[p] = turn * (at_j[p] - at_m[p])
                some = max(some, abs(weight[p]))
            if some == 0.0:
                continue
            ax, ay, az = to_corners[first]
            bx, by, bz = to_corners[first | (1 << i)]
            for p in range(count):
                cosine = ax[p] * bx[p] + ay[p] * by[p] + az[p] * bz[p]
                across = (
                    (by[p] * az[p] - bz[p] * ay[p]) * nx[p]
                    + (bz[p] * ax[p] - bx[p] * az[p]) * ny[p]
                    + (bx[p] * ay[p] - by[p] * ax[p]) * nz[p]
                )
                total[p] += weight[p] * across * angle_over_sine(cosine)


@compiled
def _above_horizon(to_corners: Array, faces: Array, normal: Array) -> Any:
    """The sum of one point over what of the outline lies above its horizon, and over the arc of the horizon between.

    to_corners: (8, 3) of length 1; faces: (6,), as of `_see_faces`; normal: (3,).
    """
    nx, ny, nz = normal
    total = 0.0
    leave, enter = np.zeros(3), np.zeros(3)
    left, entered = False, False
    a, b, t = np.empty(3), np.empty(3), np.empty(3)
    for i in range(3):
        j, m = (i + 1) % 3, (i + 2) % 3
        for which in range(4):
            upper_j, upper_m = which & 1, which >> 1
            weight = faces[2 * j + upper_j] - faces[2 * m + upper_m]
            weight = weight if upper_j == upper_m else -weight
            if weight == 0.0:
                continue
            first = (upper_j << j) | (upper_m << m)
            last = first | (1 << i)
            if weight < 0:
                first, last = last, first
            for c in range(3):
                a[c], b[c] = to_corners[first, c], to_corners[last, c]
            rise_a = a[0] * nx + a[1] * ny + a[2] * nz
            rise_b = b[0] * nx + b[1] * ny + b[2] * nz
            if rise_a < 0 and rise_b < 0:
                continue
            if (rise_a < 0) != (rise_b < 0):
                share = rise_a / (rise_a - rise_b)
                for c in range(3):
                    t[c] = a[c] + share * (b[c] - a[c])
                t /= math.sqrt(t[0] * t[0] + t[1] * t[1] + t[2] * t[2])
                if rise_a < 0:
                    a[:], enter[:], entered = t, t, True
                else:
                    b[:], leave[:], left = t, t, True
            total += _edge(a, b, nx, ny, nz)
    if left and entered:
        total += _edge(leave, enter, nx, ny, nz)
    return np.float32(total)


@compiled
def _edge(a: Array, b: Array, nx: float, ny: float, nz: float) -> Any:
    """The term of an edge between directions (3,) of length 1."""
    across = (b[1] * a[2] - b[2] * a[1]) * nx + (b[2] * a[0] - b[0] * a[2]) * ny + (b[0] * a[1] - b[1] * a[0]) * nz
    return across * angle_over_sine(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])


@compiled
def _chord(x: float) -> float:
    """Share of a unit disc on the lower side of x."""
    if x <= -1.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    return 0.5 + (x * math.sqrt(1 - x * x) + math.asin(x)) / math.pi


@kernel("(float32[::1], float32[:,::1], float32[::1], float32[::1], float32, float32[:,::1], float32[::1])")
def lamp_behind_box(
    centre: Array, axes: Array, half: Array, lamp: Array, radius: float, points: Array, hidden: Array
) -> None:
    """Write the share (P,) of a lamp that a box hides: what lies between three pairs of parallel edges of its outline.

    Args:
        centre, axes, half, points: As of `sky_behind_box`.
        lamp: (3,) m, its middle.
        radius: m, of the lamp.
        hidden: Is written to.
    """
    bound = math.sqrt(half[0] * half[0] + half[1] * half[1] + half[2] * half[2])
    slope, sides = np.empty(3), np.empty(3)
    for p in range(points.shape[1]):
        hidden[p] = 0.0
        lx, ly, lz = lamp[0] - points[0, p], lamp[1] - points[1, p], lamp[2] - points[2, p]
        bx, by, bz = centre[0] - points[0, p], centre[1] - points[1, p], centre[2] - points[2, p]
        scale = np.float32(1.0) / np.sqrt(lx * lx + ly * ly + lz * lz)
        lx, ly, lz = lx * scale, ly * scale, lz * scale
        ahead = bx * lx + by * ly + bz * lz
        behind = max(ahead + bound, 0.0)
        width = bound + PENUMBRA * behind
        if bx * bx + by * by + bz * bz - ahead * ahead > width * width:
            continue
        reach = 0.0
        for i in range(3):
            slope[i] = lx * axes[i, 0] + ly * axes[i, 1] + lz * axes[i, 2]
            reach += half[i] * abs(slope[i])
        if ahead + reach <= 1e-3:
            continue
        # Light that leaves a face outwards never meets the box, though the line behind it may.
        outwards = False
        for i in range(3):
            place = -(bx * axes[i, 0] + by * axes[i, 1] + bz * axes[i, 2])
            outwards |= abs(place) > half[i] - AT_FACE and place * slope[i] > 0
        if outwards:
            continue
        share = 1.0
        for i in range(3):
            share *= _between_edges(i, axes, half, slope, sides, lx, ly, lz, bx, by, bz, ahead, radius * scale)
            if share == 0.0:
                break
        hidden[p] = share


@compiled
def _between_edges(
    i: int, axes: Array, half: Array, slope: Array, sides: Array,
    lx: float, ly: float, lz: float, bx: float, by: float, bz: float, ahead: float, spread: float,
) -> float:  # fmt: skip
    """Share of the lamp between the two edges of the outline that are parallel to axis i of a box.

    slope: (3,) cosines of the light and the axes; sides: (3,), is written to; l: towards the lamp; b: m from the point
    to the middle of the box, `ahead` of it along the light; spread: radius of the lamp's cone per metre.
    """
    nx = ly * axes[i, 2] - lz * axes[i, 1]
    ny = lz * axes[i, 0] - lx * axes[i, 2]
    nz = lx * axes[i, 1] - ly * axes[i, 0]
    slant = math.sqrt(nx * nx + ny * ny + nz * nz)
    if slant < 1e-3:
        return 1.0
    nx, ny, nz = nx / slant, ny / slant, nz / slant
    width = rise = 0.0
    cx = cy = cz = 0.0  # from the middle of the box to the middle of the upper edge
    for k in range(3):
        if k == i:
            continue
        sides[k] = nx * axes[k, 0] + ny * axes[k, 1] + nz * axes[k, 2]
        signed = half[k] if sides[k] > 0 else (-half[k] if sides[k] < 0 else 0.0)
        width += signed * sides[k]
        rise += signed * slope[k]
        cx, cy, cz = cx + signed * axes[k, 0], cy + signed * axes[k, 1], cz + signed * axes[k, 2]
    offset = bx * nx + by * ny + bz * nz
    ex, ey, ez = axes[i, 0] - slope[i] * lx, axes[i, 1] - slope[i] * ly, axes[i, 2] - slope[i] * lz
    upper = lower = 0.0
    for sign in (1.0, -1.0):
        # Where the ray passes the edge decides how wide the penumbra is: near the ground it is sharp.
        passed = -((bx + sign * cx) * ex + (by + sign * cy) * ey + (bz + sign * cz) * ez) / (slant * slant)
        along = ahead + sign * rise + min(max(passed, -half[i]), half[i]) * slope[i]
        blur = max(spread * max(along, 1e-3), 1e-4)
        bound = _chord((offset + sign * width) / blur)
        if sign > 0:
            upper = bound
        else:
            lower = bound
    return min(max(upper - lower, 0.0), 1.0)
