"""How much of a lamp and of the sky bodies hide, in closed form.

Balls: the lamp and the ball are discs on the sphere of directions, whose overlap is that of two circles; a ball hides
cos * sin^2 of the sky, the form factor of a disc. Boxes: their outline towards the lamp is cut by three pairs of
parallel edges, each of which hides a part of the lamp's disc; the sky that they hide is Lambert's sum over the edges of
their faces (https://en.wikipedia.org/wiki/View_factor).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.looks.natural.polygon_edges import edge_terms
from physbench.looks.natural.stage import Lamp
from physbench.looks.natural.vectors import box_axes, cross, dot, length, planes

Float = NDArray[np.floating]
PENUMBRA = 0.2  # m by which the shadow of a box is wider at most, per m behind it
FACE_GAP = 1e-4  # m before a face of a box, from where on it hides a part of the sky
SINGLE_ERROR = 5e-5  # m, more than distances of single precision are off
STRIP = 1 << 14  # points that are looked at together: what is computed of them stays in the processor's cache


@dataclass(frozen=True, eq=False)
class BallBlocker:
    """A ball in the way of light."""

    centre: Float  # (3,) m
    radius: float  # m
    strength: float = 1.0  # share of the light that it hides in truth


@dataclass(frozen=True, eq=False)
class BoxBlocker:
    """A box in the way of light."""

    centre: Float  # (3,) m
    half: Sequence[float]  # m
    turn: Float  # (4,)
    strength: float = 1.0  # share of the light that it hides in truth


Blocker = BallBlocker | BoxBlocker


def lamp_share_hidden(blocker: Blocker, points: Float, lamp: Lamp) -> Float:
    """Share (...) of the lamp that a body hides from points (..., 3), 0..1."""
    hidden = np.zeros(points.shape[:-1], dtype=points.dtype)
    near = _near_shadow(blocker, points, lamp)
    if near.any() and isinstance(blocker, BallBlocker):
        hidden[near] = _lamp_behind_ball(blocker, points[near], lamp)
    elif near.any() and isinstance(blocker, BoxBlocker):
        hidden[near] = _lamp_behind_box(blocker, points[near], lamp)
    return blocker.strength * hidden


def _near_shadow(blocker: Blocker, points: Float, lamp: Lamp) -> NDArray[np.bool_]:
    """Points (...) from which a body may hide some of the lamp: all of these, and not many more."""
    shape = points.shape[:-1]
    places = planes(points).T
    to_body = blocker.centre.astype(points.dtype) - places
    to_lamp = np.asarray(lamp.position, dtype=points.dtype) - places
    body2, lamp2 = dot(to_body, to_body), dot(to_lamp, to_lamp)
    ahead = dot(to_body, to_lamp) / np.sqrt(lamp2)
    if isinstance(blocker, BallBlocker):  # sin(a + b) <= sin(a) + sin(b)
        reach = blocker.radius + lamp.radius * np.sqrt(body2 / lamp2)
    else:
        radius = float(np.linalg.norm(np.asarray(blocker.half)))
        reach = radius + PENUMBRA * np.maximum(ahead + radius, 0.0)
    slack = 1e-3 * (1 + body2)  # more than what rounding does
    return np.asarray((body2 - ahead * ahead < reach * reach + slack).reshape(shape))


def sky_share_hidden(blocker: Blocker, points: Float, normals: Float) -> Float:
    """Share (...) of the light from all directions that a body keeps from points (..., 3) with normals (..., 3)."""
    if isinstance(blocker, BallBlocker):
        return blocker.strength * _sky_behind_ball(blocker, points, normals)
    return blocker.strength * _sky_behind_box(blocker, points, normals)


def lamp_light(points: Float, normals: Float, lamp: Lamp) -> Float:
    """Irradiance over pi (...) by the lamp where nothing hides it."""
    to_lamp = np.asarray(lamp.position, dtype=points.dtype) - points
    square = dot(to_lamp, to_lamp)
    sine = lamp.radius / np.sqrt(square)
    cosine = dot(to_lamp, normals) / np.sqrt(square)
    return np.asarray(lamp.radiance * sine**2 * risen(cosine, sine))


def risen(cosine: Float, sine: Float) -> Float:
    """Mean cosine over a disc of directions that may be cut by the horizon; sine: of its angular radius."""
    x = np.clip(cosine / sine, -1.0, 1.0)
    # Integral of (x + s) over the chords of a unit disc that lie above the horizon.
    part = x * (np.arcsin(x) + np.pi / 2) / np.pi + np.sqrt(1 - x * x) * (2 + x * x) / (3 * np.pi)
    return np.asarray(np.where(cosine > sine, cosine, np.maximum(part, 0.0) * sine))


def _lamp_behind_ball(ball: BallBlocker, points: Float, lamp: Lamp) -> Float:
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


def circle_overlap(apart: Float, small: Float, big: Float) -> Float:
    """Share (...) of the area of circles of radius `small` that circles of radius `big` cover, `apart` between."""
    d = np.maximum(apart, 1e-6)
    a = np.clip((d * d + small * small - big * big) / (2 * d * small), -1.0, 1.0)
    b = np.clip((d * d + big * big - small * small) / (2 * d * big), -1.0, 1.0)
    root = np.maximum((small + big) ** 2 - d * d, 0) * np.maximum(d * d - (small - big) ** 2, 0)
    area = small * small * np.arccos(a) + big * big * np.arccos(b) - 0.5 * np.sqrt(root)
    return np.asarray(np.clip(area / (np.pi * small * small), 0.0, 1.0))


def _sky_behind_ball(ball: BallBlocker, points: Float, normals: Float) -> Float:
    to_ball = ball.centre.astype(points.dtype) - points
    square = dot(to_ball, to_ball)
    cosine = dot(to_ball, normals) / np.sqrt(square)
    sine = np.minimum(ball.radius / np.sqrt(square), 1.0)
    return np.asarray(sine**2 * risen(cosine, sine))


def _lamp_behind_box(box: BoxBlocker, points: Float, lamp: Lamp) -> Float:
    axes = box_axes(box.turn).astype(points.dtype)  # (3, 3), rows
    half = np.asarray(box.half, dtype=points.dtype)
    to_lamp = np.asarray(lamp.position, dtype=points.dtype) - points
    distance = np.sqrt(dot(to_lamp, to_lamp))
    light = to_lamp / distance[..., None]
    to_box = box.centre.astype(points.dtype) - points
    ahead = dot(to_box, light)
    slope = light @ axes.T
    reach = dot(half, np.abs(slope))
    hidden = np.where(ahead + reach > 1e-3, 1.0, 0.0).astype(points.dtype)
    near = hidden > 0
    across = to_box - ahead[..., None] * light
    # Light that leaves a face outwards never meets the box, though the line behind it may.
    place = -(to_box @ axes.T)
    for i in range(3):
        near &= ~((np.abs(place[..., i]) > half[i] - 2e-3) & (place[..., i] * slope[..., i] > 0))
    near &= dot(across, across) < (np.linalg.norm(half) + PENUMBRA * np.maximum(ahead + reach, 0)) ** 2
    hidden[~near] = 0.0
    if not near.any():
        return hidden
    light, to_box, ahead = light[near], to_box[near], ahead[near]
    spread = lamp.radius / distance[near]
    share = np.ones(len(light), dtype=points.dtype)
    for i in range(3):
        share *= _between_edges(i, axes, half, light, to_box, ahead, spread)
    hidden[near] = share
    return hidden


def _between_edges(i: int, axes: Float, half: Float, light: Float, to_box: Float, ahead: Float, spread: Float) -> Float:
    """Share (P,) of the lamp between the two edges of the outline that are parallel to axis i of a box.

    light: (P, 3) towards the lamp; to_box: (P, 3) m from a point to the middle of the box, `ahead` (P,) of it along the
    light; spread: (P,) radius of the lamp's cone per metre.
    """
    normal = cross(light, axes[i])
    slant = length(normal)
    normal = normal / np.maximum(slant, 1e-6)[:, None]
    sides = normal @ axes.T
    sides[:, i] = 0.0
    width = np.abs(sides) @ half
    offset = dot(to_box, normal)
    slope = light @ axes.T  # (P, 3)
    rise = dot(half * np.sign(sides), slope)
    edge = axes[i] - slope[:, i : i + 1] * light  # the edge as the lamp sees it
    corner = (half * np.sign(sides)) @ axes  # from the middle of the box to the middle of the upper edge
    bounds = []
    for sign in (1.0, -1.0):
        # Where the ray passes the edge decides how wide the penumbra is: near the ground it is sharp.
        passed = -dot(to_box + sign * corner, edge) / np.maximum(slant, 1e-6) ** 2
        along = ahead + sign * rise + np.clip(passed, -half[i], half[i]) * slope[:, i]
        blur = np.maximum(spread * np.maximum(along, 1e-3), 1e-4)
        bounds.append(_chord((offset + sign * width) / blur))
    return np.where(slant < 1e-3, 1.0, np.clip(bounds[0] - bounds[1], 0.0, 1.0)).astype(light.dtype)


def _chord(x: Float) -> Float:
    """Share of a unit disc on the lower side of x."""
    x = np.clip(x, -1.0, 1.0)
    return np.asarray(0.5 + (x * np.sqrt(1 - x * x) + np.arcsin(x)) / np.pi)


def _sky_behind_box(box: BoxBlocker, points: Float, normals: Float) -> Float:
    """Lambert's sum over the edges of the faces that a point sees."""
    axes = box_axes(box.turn).astype(points.dtype)
    half = np.asarray(box.half, dtype=points.dtype)
    centre = box.centre.astype(points.dtype)
    places, facing = planes(points), planes(normals)
    total = np.zeros(places.shape[1], dtype=points.dtype)
    for start in range(0, len(total), STRIP):
        strip = slice(start, start + STRIP)
        place, normal = places[:, strip], facing[:, strip]
        from_centre = place - centre[:, None]
        for i in range(3):
            j, k = (i + 1) % 3, (i + 2) % 3
            along = dot(from_centre.T, axes[i])
            ends = along.min(), along.max()
            for sign in (1.0, -1.0):
                least, most = sorted(sign * end - half[i] for end in ends)
                if most < FACE_GAP - SINGLE_ERROR:
                    continue
                middle = centre + sign * half[i] * axes[i]
                a, b = half[j] * axes[j], sign * half[k] * axes[k]
                corners = np.stack([middle - a - b, middle + a - b, middle + a + b, middle - a + b])
                if least > FACE_GAP + SINGLE_ERROR:
                    total[strip] += _polygon(corners, place, normal)
                    continue
                outside = np.flatnonzero(dot(place.T - middle, sign * axes[i]) > FACE_GAP)
                if len(outside):
                    some = _polygon(corners, place.take(outside, axis=1), normal.take(outside, axis=1))
                    total[start + outside] += some
    return np.asarray(np.clip(total, 0.0, 1.0).reshape(points.shape[:-1]))


def _polygon(corners: Float, points: Float, normals: Float) -> Float:
    """Form factor (P,) of a polygon seen from its front; corners (K, 3), counter-clockwise; the others (3, P)."""
    terms = np.empty((3, len(corners), points.shape[1]), dtype=points.dtype)
    least = points.dtype.type(1e-6)
    edge_terms(corners, np.ascontiguousarray(points), np.ascontiguousarray(normals), least, terms)
    sine, parts, weight = terms
    np.arctan2(sine, parts, out=parts)
    parts *= weight
    parts /= np.maximum(sine, least, out=sine)
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return np.asarray(np.maximum(total / (2 * np.pi), 0.0))
