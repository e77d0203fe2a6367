"""Light that reaches a ball from all directions: from the sky, and from what the lamp and the sky light up around it.

Rays leave it in fixed directions. What they meet sends back its albedo times the light there, shadows included, that of
the ball itself too: this is why the lower side of a ball on the ground is dark. The light on the ball is then a
polynomial of the third degree in its normal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from physbench.looks.natural.light_blocking import Blocker, BoxBlocker, lamp_light, lamp_share_hidden, sky_share_hidden
from physbench.looks.natural.mover_pixels import hit_mover
from physbench.looks.natural.movers import Mover
from physbench.looks.natural.stage import Stage
from physbench.looks.natural.vectors import length, planes
from physbench.looks.natural.view_rays import mean_albedo, meet

Float = NDArray[np.floating]
NORMALS, RAYS_PER_NORMAL = 48, 36


def terms(normals: Float) -> Float:
    """The polynomials (..., 16) of unit vectors (..., 3): spherical harmonics up to the third degree, unscaled."""
    x, y, z = normals[..., 0], normals[..., 1], normals[..., 2]
    one = np.ones_like(x)
    return np.stack(
        [
            one, x, y, z, x * y, y * z, z * x, x * x - y * y, 3 * z * z - 1,
            y * (3 * x * x - y * y), x * y * z, y * (5 * z * z - 1), z * (5 * z * z - 3), x * (5 * z * z - 1),
            z * (x * x - y * y), x * (x * x - 3 * y * y),
        ],
        axis=-1,
    )  # fmt: skip


def gathered(
    ball: Mover, others: Sequence[Mover], stage: Stage, sky_light: Mapping[int, float], blocks: Sequence[BoxBlocker]
) -> Float:
    """Coefficients (16, 3) of `terms` of the irradiance over pi on a ball, without what the lamp sends directly.

    sky_light: irradiance over pi by the sky on each part of the stage; blocks: those of the stage, in the way of light.
    """
    normals, rays, solve = _directions()
    origins = np.repeat((ball.centre + ball.body.size[0] * 1.001 * normals)[:, None], RAYS_PER_NORMAL, axis=1)
    radiance = arriving(origins.reshape(-1, 3), rays.reshape(-1, 3), ball, others, stage, sky_light, blocks)
    mean = radiance.reshape(NORMALS, RAYS_PER_NORMAL, 3).mean(axis=1)
    return np.asarray(solve @ mean)


def arriving(
    origins: Float,
    rays: Float,
    ball: Mover,
    others: Sequence[Mover],
    stage: Stage,
    sky_light: Mapping[int, float],
    blocks: Sequence[BoxBlocker],
) -> Float:
    """Radiance (R, 3) that comes along rays.

    A body whose shadow is drawn in part is met in part: the rest of the light comes from what lies behind it.
    """
    radiance = np.full((len(rays), 3), stage.sky)
    depth, part, normal = meet(stage, origins, rays)
    hits = [hit_mover(other, origins, rays) for other in others]
    away = np.array([t for t, _ in hits]).reshape(len(others), len(rays))
    order = np.argsort(away, axis=0, kind="stable")  # the nearest first
    sent, left = np.zeros_like(radiance), np.ones(len(rays))  # left: share of the light that comes from farther away
    for place in range(len(others)):
        for number, (t, facing) in enumerate(hits):
            met = (order[place] == number) & (t < depth) & (left > 0)
            if met.any():
                points = origins[met] + t[met, None] * rays[met]
                light = 0.85 * lamp_light(points, facing[met], stage.key) + 0.7 * stage.sky
                share = others[number].casts
                sent[met] += (left[met] * share * light)[:, None] * np.asarray(others[number].albedo)
                left[met] *= 1 - share
    met = (part >= 0) & (left > 0)
    if met.any():
        points = origins[met] + depth[met, None] * rays[met]
        blockers: list[Blocker] = [*blocks, *(blocker for each in (ball, *others) for blocker in each.blockers)]
        lamp, sky = light_left(points, normal[met], stage, blockers, len(blocks))
        base = np.array([sky_light[number] for number in range(len(stage.surfaces) + len(stage.blocks))])
        parts = part[met]
        light = lamp_light(points, normal[met], stage.key) * lamp + base[parts] * sky
        radiance[met] = mean_albedo(stage, parts, points) * light[:, None]
    return np.asarray(sent + left[:, None] * radiance)


def light_left(
    points: Float, normals: Float, stage: Stage, blockers: Sequence[Blocker], fixed: int
) -> tuple[Float, Float]:
    """Shares (P,) of the lamp's light and of the sky's that are left; the first `fixed` blockers hide only the lamp."""
    lamp, hidden = np.ones(len(points)), np.zeros(len(points))
    points, normals = planes(points).T, planes(normals).T
    for number, blocker in enumerate(blockers):
        lamp *= 1 - lamp_share_hidden(blocker, points, stage.key)
        if number >= fixed:
            hidden += sky_share_hidden(blocker, points, normals)
    return lamp, 1 - np.minimum(hidden, 1.0)


@cache
def _directions() -> tuple[Float, Float, Float]:
    """Normals (N, 3), rays (N, R, 3) around each as often as their cosine, and the matrix (16, N) of the fit."""
    normals = fibonacci_sphere(NORMALS)
    k = np.arange(RAYS_PER_NORMAL) + 0.5
    radius, angle = np.sqrt(k / RAYS_PER_NORMAL), k * np.pi * (3 - np.sqrt(5))
    disc = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.sqrt(1 - radius**2)], axis=-1)
    helper = np.where(np.abs(normals[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    first = np.cross(helper, normals)
    first /= length(first)[:, None]
    frames = np.stack([first, np.cross(normals, first), normals], axis=1)
    return normals, np.einsum("rk,nkc->nrc", disc, frames), np.linalg.pinv(terms(normals))


def fibonacci_sphere(count: int) -> Float:
    """Unit vectors (count, 3), spread evenly."""
    k = np.arange(count) + 0.5
    z = 1 - 2 * k / count
    angle = k * np.pi * (3 - np.sqrt(5))
    return np.stack([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z], axis=-1)
