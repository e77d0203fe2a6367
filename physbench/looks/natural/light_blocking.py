"""How much of a lamp and of the sky bodies hide, in closed form.

Balls: the lamp and the ball are discs on the sphere of directions, whose overlap is that of two circles; of the sky a
ball hides the view factor of a sphere. Boxes hide what their outline covers of the lamp's disc, and of the
sky Lambert's sum over the edges of their outline. Cylinders are prisms of eight sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.looks.natural.compiled_shadows import lamp_behind_solid, sky_behind_solid
from physbench.looks.natural.solids import CUBE, PRISM, placed
from physbench.looks.natural.stage import Lamp
from physbench.looks.natural.vectors import dot, planes

Float = NDArray[np.floating]


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


@dataclass(frozen=True, eq=False)
class CylinderBlocker:
    """A cylinder in the way of light, its axis that of z."""

    centre: Float  # (3,) m
    radius: float  # m
    half_length: float  # m
    turn: Float  # (4,)
    strength: float = 1.0  # share of the light that it hides in truth


Blocker = BallBlocker | BoxBlocker | CylinderBlocker


def lamp_share_hidden(blocker: Blocker, points: Float, lamp: Lamp) -> Float:
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


def _near_shadow(ball: BallBlocker, points: Float, lamp: Lamp) -> NDArray[np.bool_]:
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


def sky_share_hidden(blocker: Blocker, points: Float, normals: Float) -> Float:
    """Share (...) of the light from all directions that a body keeps from points (..., 3) with normals (..., 3)."""
    if isinstance(blocker, BallBlocker):
        return blocker.strength * _sky_behind_ball(blocker, points, normals)
    hidden = np.empty(points.size // 3, dtype=np.float32)
    sky_behind_solid(*_solid(blocker), _in_rows(points), _in_rows(normals), hidden)
    return blocker.strength * hidden.reshape(points.shape[:-1])


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
    cosine = np.clip(dot(to_ball, normals) / np.sqrt(square), -1.0, 1.0)
    sine = np.minimum(ball.radius / np.sqrt(square), 1.0)
    return sphere_form_factor(cosine, sine)


def sphere_form_factor(cosine: Float, sine: Float) -> Float:
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


def _in_rows(vectors: Float) -> NDArray[np.float32]:
    """Vectors (..., 3) as (3, P) of single precision."""
    return planes(vectors).astype(np.float32, copy=False)
