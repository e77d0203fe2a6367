"""A night sky as a long exposure shows it: a glow of countless stars, and some thousand that stand out.

It is no darker than a third of full light: a tracker takes what is darker for a screen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.looks.natural.srgb import linear
from physbench.looks.natural.textures import octaves
from physbench.world.scene import WINDOW, RenderSpec

SKY_LEVEL = (0.312, 0.357, 0.436)  # display RGB of the sky away from the galaxy
GLOW = 0.34  # how much lighter (linear, relative) the galaxy's band is at its brightest
STAR_LIGHT = 0.008
STARS = 2600  # in the square window


def starry_sky(seed: int, spec: RenderSpec) -> NDArray[np.float32]:
    """Linear RGB (h, w, 3). It is far away: the same stars, however many m the square window shows of a scene."""
    rng = np.random.default_rng(seed)
    scale = WINDOW / min(spec.height, spec.width)
    x, y = np.meshgrid(
        (np.arange(spec.width) + 0.5 - spec.width / 2) * scale, (spec.height / 2 - np.arange(spec.height) - 0.5) * scale
    )
    angle, offset = rng.uniform(0, np.pi), rng.uniform(-0.8, 0.8)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle) - offset
    bent = across + 0.5 * octaves(seed, along, across, 2.4, 4)
    band = np.exp(-((bent / 0.9) ** 2))
    clouds = 0.5 + 0.5 * octaves(seed + 1, x, y, 1.6, 6, 0.6)
    lanes = np.clip(octaves(seed + 2, along * 0.7, bent * 1.6, 0.9, 5, 0.6), 0, 1)
    glow = band * (0.55 + 0.9 * clouds) * (1 - 0.9 * lanes * np.exp(-((bent / 0.45) ** 2)))
    sky = linear(SKY_LEVEL) * (1 + 0.05 * octaves(seed + 3, x, y, 3.0, 3)[..., None])
    warm = np.array([1.04, 1.0, 0.95])
    picture = sky * (1 + 2.2 * GLOW * glow[..., None] * warm)
    return _with_stars(picture, spec, rng, scale).astype(np.float32)


def _with_stars(
    picture: NDArray[np.float64], spec: RenderSpec, rng: np.random.Generator, scale: float
) -> NDArray[np.float64]:
    """Stars of all brightnesses, few bright ones, as small spots: the size of the picture changes none."""
    reach = 4 * WINDOW  # the widest picture shows the stars of the square one, and more
    count = round(STARS * (reach / WINDOW) ** 2)
    place = rng.uniform(-reach / 2, reach / 2, (count, 2))
    strength = 0.00022 * rng.pareto(1.15, count) + 0.0001
    colour = np.array([1.0, 1.0, 1.0]) + np.outer(rng.normal(0, 0.5, count).clip(-1, 1), [0.10, 0.0, -0.12])
    sigma = max(0.0045, 0.42 * scale)  # m
    column, row = place[:, 0] / scale + spec.width / 2, spec.height / 2 - place[:, 1] / scale
    for k in np.flatnonzero((column > -3) & (column < spec.width + 3) & (row > -3) & (row < spec.height + 3)):
        spread = sigma / scale * (1.0 + 0.8 * min(strength[k] / 0.02, 1.0))
        side = int(np.ceil(3.5 * spread))
        left, top = int(column[k]) - side, int(row[k]) - side
        rows = np.arange(max(top, 0), min(top + 2 * side + 1, spec.height))
        columns = np.arange(max(left, 0), min(left + 2 * side + 1, spec.width))
        if not len(rows) or not len(columns):
            continue
        square = (rows[:, None] + 0.5 - row[k]) ** 2 + (columns[None] + 0.5 - column[k]) ** 2
        light = min(strength[k], 0.02) * STAR_LIGHT * np.exp(-square / (2 * spread**2)) / (2 * np.pi * sigma**2)
        picture[np.ix_(rows, columns)] += light[..., None] * colour[k]
    return picture
