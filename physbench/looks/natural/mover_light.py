"""The light that bodies send to the camera, and to what stands around them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from physbench.looks.natural.gathered_light import light_left, terms
from physbench.looks.natural.light_blocking import Blocker, BoxBlocker, lamp_light
from physbench.looks.natural.movers import Mover
from physbench.looks.natural.stage import Stage
from physbench.looks.natural.textures import octaves
from physbench.looks.natural.vectors import dot, length
from physbench.world.geometry import unrotate

Float = NDArray[np.floating]
GLOSS = 0.30  # roughness of what moves, of a microfacet surface
MIRRORED = 0.035  # share of light that it reflects head-on
GRAIN = 0.07  # share by which the paint of boxes varies
LIMB = 0.45  # how much darker a star is at its edge


def ball_light(
    ball: Mover, points: Float, normals: Float, to_eye: Float, light: Float, stage: Stage, ways: Sequence[Blocker]
) -> Float:
    """Linear RGB (P, 3) of points of a ball; light: (16, 3) from `gathered`; ways: what is in the lamp's way."""
    facing = np.clip(dot(normals, to_eye), 0.0, 1.0)
    albedo = np.asarray(ball.albedo)
    if ball.shines:
        return np.asarray(albedo * (1 - LIMB * (1 - facing))[:, None])
    lamp = lamp_light(points, normals, stage.key)
    left, _ = light_left(points, normals, stage, ways, len(ways))
    around = np.maximum(terms(normals) @ light, 0.0)
    mirror = _mirror(points, normals, to_eye, stage) * left
    fresnel = MIRRORED + (1 - MIRRORED) * 0.5 * (1 - facing) ** 5
    reflected = 2 * normals * facing[:, None] - to_eye
    gloss = np.maximum(terms(reflected) @ light, 0.0) * (fresnel * (1 - GLOSS))[:, None]
    return np.asarray(albedo * (1 - MIRRORED) * ((lamp * left)[:, None] + around) + mirror[:, None] + gloss)


def flat_light(
    mover: Mover, points: Float, normals: Float, stage: Stage, ways: Sequence[Blocker], glow: Float
) -> Float:
    """Linear RGB (P, 3) of points of a box or cylinder; glow: (3,) what the ground sends up."""
    lamp = lamp_light(points, normals, stage.key)
    left, sky = light_left(points, normals, stage, ways, 0)
    below = (1 - normals[:, 2]) / 2
    around = stage.sky * (1 - below) * sky
    light = (lamp * left + around)[:, None] + below[:, None] * glow * sky[:, None]
    return np.asarray(painted_albedo(mover, points, normals) * light)


def painted_albedo(mover: Mover, points: Float, normals: Float) -> Float:
    """Albedo (P, 3) with the grain of the paint of points (P, 3) m of a box or cylinder with normals (P, 3)."""
    local = unrotate(mover.turn, points - mover.centre)
    side = np.abs(unrotate(mover.turn, normals)).argmax(axis=-1)
    u = np.where(side == 0, local[:, 1], local[:, 0])
    v = np.where(side == 2, local[:, 1], local[:, 2])
    seed = 1000 + mover.index
    grain = octaves(seed, u * 1.5, v * 14, 1.0, 3, 0.6) + 0.4 * octaves(seed + 5, u * 20, v * 20, 1.0, 2)
    return np.asarray(np.asarray(mover.albedo) * (1 + GRAIN * grain)[:, None])


def _mirror(points: Float, normals: Float, to_eye: Float, stage: Stage) -> Float:
    """The highlight (P,): a lamp in a rough mirror (GGX), whose width adds to the roughness."""
    way = np.asarray(stage.key.position) - points
    distance = length(way)
    way /= distance[:, None]
    sine = stage.key.radius / distance
    half = way + to_eye
    half /= length(half)[:, None]
    lit = np.clip(dot(normals, way), 0.0, 1.0)
    facing = np.clip(dot(normals, to_eye), 0.05, 1.0)
    peak = np.clip(dot(normals, half), 0.0, 1.0)
    alpha2 = GLOSS**2 + 0.25 * sine**2
    spread = alpha2 / (np.pi * (peak**2 * (alpha2 - 1) + 1) ** 2)
    fresnel = MIRRORED + (1 - MIRRORED) * (1 - np.clip(dot(half, to_eye), 0, 1)) ** 5
    k = GLOSS / 2  # of Schlick's shadowing
    shade = 1 / ((lit * (1 - k) + k) * (facing * (1 - k) + k) * 4)
    return np.asarray(np.pi * stage.key.radiance * sine**2 * lit * spread * fresnel * shade)


def sent_out(mover: Mover, light: Float | None, points: Float, stage: Stage) -> Float:
    """Mean radiance (P, 3) that a body sends to points around it; what is no ball sends grey light.

    A coloured rim around a box has chroma, which moves what is tracked of it by up to .7 px at any size.
    """
    albedo = np.asarray(mover.albedo)
    if light is None:
        return np.full(points.shape, albedo.mean() * (0.5 * stage.sky + 0.25))
    way = points - mover.centre
    way = way / length(way)[:, None]
    to_lamp = np.asarray(stage.key.position) - mover.centre
    head_on = lamp_light(mover.centre[None], (to_lamp / np.linalg.norm(to_lamp))[None], stage.key)[0]
    angle = np.arccos(np.clip(dot(way, to_lamp) / np.linalg.norm(to_lamp), -1.0, 1.0))
    phase = 2 / 3 * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / np.pi  # of a matt ball
    return np.asarray(albedo * ((head_on * phase)[:, None] + np.maximum(light[0] + way @ light[1:4], 0.0)))


def block_ways(stage: Stage) -> tuple[BoxBlocker, ...]:
    """The boxes of a stage as they block light."""
    return tuple(BoxBlocker(np.asarray(block.centre), block.half, np.asarray(block.turn)) for block in stage.blocks)
