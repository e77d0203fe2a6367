"""Light between bodies and what stands around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from physbench.support.arrays import Real
from physbench.world.geometry import unrotate
from physbench.world.styles.natural import movers
from physbench.world.styles.natural.materials import ball_marks, framed_cloth, octaves
from physbench.world.styles.natural.rays import dot, length, mean_albedo, meet, planes
from physbench.world.styles.natural.stage import Stage, only_hides

# Light that reaches a ball from all directions: from the sky, and from what the lamp and the sky light up around it.
#
# Rays leave it in fixed directions. What they meet sends back its albedo times the light there, shadows included, that
# of the ball itself too: this is why the lower side of a ball on the ground is dark. The light on the ball is then a
# polynomial of the third degree in its normal.

NORMALS, RAYS_PER_NORMAL = 48, 36


def terms(normals: Real) -> Real:
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
    ball: movers.Mover,
    others: Sequence[movers.Mover],
    stage: Stage,
    sky_light: Mapping[int, float],
    blocks: Sequence[movers.BoxBlocker],
) -> Real:
    """Coefficients (16, 3) of `terms` of the irradiance over pi on a ball, without what the lamp sends directly.

    sky_light: irradiance over pi by the sky on each part of the stage; blocks: those of the stage, in the way of light.
    """
    normals, rays, solve = _directions()
    origins = np.repeat((ball.centre + ball.body.size[0] * 1.001 * normals)[:, None], RAYS_PER_NORMAL, axis=1)
    radiance = arriving(origins.reshape(-1, 3), rays.reshape(-1, 3), ball, others, stage, sky_light, blocks)
    mean = radiance.reshape(NORMALS, RAYS_PER_NORMAL, 3).mean(axis=1)
    return np.asarray(solve @ mean)


def arriving(
    origins: Real,
    rays: Real,
    ball: movers.Mover,
    others: Sequence[movers.Mover],
    stage: Stage,
    sky_light: Mapping[int, float],
    blocks: Sequence[movers.BoxBlocker],
) -> Real:
    """Radiance (R, 3) that comes along rays.

    A body whose shadow is drawn in part is met in part: the rest of the light comes from what lies behind it.
    """
    radiance = np.full((len(rays), 3), stage.sky)
    depth, part, normal = meet(stage, origins, rays)
    hits = [movers.hit_mover(other, origins, rays) for other in others]
    away = np.array([t for t, _ in hits]).reshape(len(others), len(rays))
    order = np.argsort(away, axis=0, kind="stable")  # the nearest first
    sent, left = np.zeros_like(radiance), np.ones(len(rays))  # left: share of the light that comes from farther away
    for place in range(len(others)):
        for number, (t, facing) in enumerate(hits):
            met = (order[place] == number) & (t < depth) & (left > 0)
            if met.any():
                points = origins[met] + t[met, None] * rays[met]
                light = 0.85 * movers.lamp_light(points, facing[met], stage.key) + 0.7 * stage.sky
                share = others[number].casts
                sent[met] += (left[met] * share * light)[:, None] * np.asarray(others[number].albedo)
                left[met] *= 1 - share
    met = (part >= 0) & (left > 0)
    if met.any():
        points = origins[met] + depth[met, None] * rays[met]
        blockers: list[movers.Blocker] = [*blocks, *(blocker for each in (ball, *others) for blocker in each.blockers)]
        lamp, sky = light_left(points, normal[met], stage, blockers, len(blocks))
        base = np.array([sky_light[number] for number in range(len(stage.surfaces) + len(stage.blocks))])
        parts = part[met]
        light = movers.lamp_light(points, normal[met], stage.key) * lamp + base[parts] * sky
        radiance[met] = mean_albedo(stage, parts, points) * light[:, None]
    return np.asarray(sent + left[:, None] * radiance)


def light_left(
    points: Real, normals: Real, stage: Stage, blockers: Sequence[movers.Blocker], fixed: int
) -> tuple[Real, Real]:
    """Shares (P,) of the lamp's light and of the sky's that are left; the first `fixed` blockers hide only the lamp."""
    lamp, hidden = np.ones(len(points)), np.zeros(len(points))
    points, normals = planes(points).T, planes(normals).T
    for number, blocker in enumerate(blockers):
        lamp *= 1 - movers.lamp_share_hidden(blocker, points, stage.key)
        if number >= fixed:
            hidden += movers.sky_share_hidden(blocker, points, normals)
    return lamp, 1 - np.minimum(hidden, 1.0)


@cache
def _directions() -> tuple[Real, Real, Real]:
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


def fibonacci_sphere(count: int) -> Real:
    """Unit vectors (count, 3), spread evenly."""
    k = np.arange(count) + 0.5
    z = 1 - 2 * k / count
    angle = k * np.pi * (3 - np.sqrt(5))
    return np.stack([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z], axis=-1)


GLOSS = 0.30  # roughness of what moves, of a microfacet surface
MIRRORED = 0.035  # share of light that it reflects head-on


def ball_light(
    ball: movers.Mover,
    points: Real,
    normals: Real,
    to_eye: Real,
    light: Real,
    stage: Stage,
    ways: Sequence[movers.Blocker],
) -> Real:
    """Linear RGB (P, 3) of points of a ball; light: (16, 3) from `gathered`; ways: what is in the lamp's way."""
    facing = np.clip(dot(normals, to_eye), 0.0, 1.0)
    albedo = np.asarray(ball.albedo)
    if ball.shines:
        bright = 1.35 - 0.5 * (1 - facing)  # a star is darker at its edge
        return np.asarray(albedo * bright[:, None] + 0.06 * (facing**3)[:, None])
    if stage.kind != "sky":  # planets have no seams
        albedo = albedo * ball_marks(ball.index, unrotate(ball.turn, normals))[:, None]
    lamp = movers.lamp_light(points, normals, stage.key)
    left, _ = light_left(points, normals, stage, ways, len(ways))
    around = np.maximum(terms(normals) @ light, 0.0)
    mirror = _mirror(points, normals, to_eye, stage) * left
    fresnel = MIRRORED + (1 - MIRRORED) * 0.5 * (1 - facing) ** 5
    reflected = 2 * normals * facing[:, None] - to_eye
    gloss = np.maximum(terms(reflected) @ light, 0.0) * (fresnel * (1 - GLOSS))[:, None]
    return np.asarray(albedo * (1 - MIRRORED) * ((lamp * left)[:, None] + around) + mirror[:, None] + gloss)


def flat_light(
    mover: movers.Mover, points: Real, normals: Real, stage: Stage, ways: Sequence[movers.Blocker], glow: Real
) -> Real:
    """Linear RGB (P, 3) of points of a box or cylinder; glow: (3,) what the ground sends up."""
    lamp = movers.lamp_light(points, normals, stage.key)
    left, sky = light_left(points, normals, stage, ways, 0)
    below = (1 - normals[:, 2]) / 2
    around = stage.sky * (1 - below) * sky
    light = (lamp * left + around)[:, None] + below[:, None] * glow * sky[:, None]
    return np.asarray(painted_albedo(mover, points, normals) * light)


def painted_albedo(mover: movers.Mover, points: Real, normals: Real) -> Real:
    """Albedo (P, 3) with the grain of the paint of points (P, 3) m of a box or cylinder with normals (P, 3)."""
    local = unrotate(mover.turn, points - mover.centre)
    side = np.abs(unrotate(mover.turn, normals)).argmax(axis=-1)
    u = np.where(side == 0, local[:, 1], local[:, 0])
    v = np.where(side == 2, local[:, 1], local[:, 2])
    seed = 1000 + mover.index
    grain = octaves(seed, u * 1.5, v * 14, 1.0, 3, 0.6) + 0.4 * octaves(seed + 5, u * 20, v * 20, 1.0, 2)
    paint = 1 + 0.14 * grain  # of boxes varies by 14 %
    if only_hides(mover.body):
        paint = paint * framed_cloth(seed, np.asarray(mover.half), local, side)
    return np.asarray(np.asarray(mover.albedo) * paint[:, None])


def _mirror(points: Real, normals: Real, to_eye: Real, stage: Stage) -> Real:
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


def sent_out(mover: movers.Mover, light: Real | None, points: Real, stage: Stage) -> Real:
    """Mean radiance (P, 3) that a body sends to points around it; what is no ball sends grey light.

    A coloured rim around a box has chroma, which moves what is tracked of it by up to .7 px at any size.
    """
    albedo = np.asarray(mover.albedo)
    if light is None:
        return np.full(points.shape, albedo.mean() * (0.5 * stage.sky + 0.25))
    way = points - mover.centre
    way = way / length(way)[:, None]
    to_lamp = np.asarray(stage.key.position) - mover.centre
    head_on = movers.lamp_light(mover.centre[None], (to_lamp / np.linalg.norm(to_lamp))[None], stage.key)[0]
    angle = np.arccos(np.clip(dot(way, to_lamp) / np.linalg.norm(to_lamp), -1.0, 1.0))
    phase = 2 / 3 * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / np.pi  # of a matt ball
    return np.asarray(albedo * ((head_on * phase)[:, None] + np.maximum(light[0] + way @ light[1:4], 0.0)))


def block_ways(stage: Stage) -> tuple[movers.BoxBlocker, ...]:
    """The boxes of a stage as they block light."""
    return tuple(
        movers.BoxBlocker(np.asarray(block.centre), block.half, np.asarray(block.turn))
        for block in stage.blocks
        if block.blocks_light
    )
