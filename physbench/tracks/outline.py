"""Shapes that no blur changes: what the cumulants of a blob say of its outline, and how far that is from its own.

A blurred picture is the sharp one convolved with a kernel, and cumulants add up in a convolution. A kernel that is
alike in all directions has none of the harmonics below, so that blur, sharpening and the filters of codecs leave them
as they are, however strong. With z = x + iy from the centroid, brackets for means weighted by chroma, and R the radius
of the disc of the body's area:

    two-fold    <z^2> / R^2                                  0 of a disc, 0.133 of an ellipse of 1.3 : 1
    three-fold  <z^3> / R^3                                  0 of a disc, 0.376 of an equilateral triangle
    four-fold   (<z^4> - 3 <z^2>^2) / R^4                    0 of a disc, 0.164 of a square

Their sizes do not change when the body turns.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from torch import Tensor

Float = NDArray[np.float64]
Flags = NDArray[np.bool_]

HARMONICS = ("two_x", "two_y", "three", "four")  # columns; the first with its direction, of the others the size
# What counts as another shape: an ellipse of 1.3 : 1 instead of a disc, half a triangle, a square.
HARMONIC_UNITS = np.array([0.133, 0.188, 0.164])
SHUTTERS = np.linspace(0.0, 1.0, 5)  # shares of the time between frames for which a frame may be exposed
GHOSTS = np.linspace(0.1, 0.4, 4)  # shares of a frame that may show the one before
OTHER_SHAPE = 0.5  # of these units
OTHER_SHAPE_PX = 4.6  # px of radius times these units, that a codec may make: more than OTHER_SHAPE of balls below 9 px
NOISE_REACH = 30.0  # px over the radius: so many standard deviations of noise are added; that of codecs goes together
MOST_NOISE_SD = 0.1  # of these units, that noise makes; what is less certain is not judged
LEAST_RADIUS = 3.5  # px; smaller bodies have no shape
WHOLE_ALONE = (0.75, 1.3)  # of its area; what is smaller or larger is told by its size
WHOLE_BESIDE = (0.96, 1.06)  # the same where something is beside it, which may hide a part


def harmonics(weight: Tensor, radius: float) -> Tensor:
    """Harmonics (M, 4) float64, see HARMONICS, of blobs with whole weights (M, P, Q), of bodies of `radius` px.

    All sums are of whole numbers below 2^53: they come out alike in any order.
    """
    tall, wide = weight.shape[1:]
    across, down = (torch.arange(n, device=weight.device, dtype=torch.float64) - n // 2 for n in (wide, tall))
    powers = [torch.stack([axis**p for p in range(5)], dim=1) for axis in (across, down)]
    raw = powers[1].T @ (weight.to(torch.float64) @ powers[0])  # (M, 5, 5): powers of y, powers of x
    total = raw[:, 0, 0]
    mean = raw / torch.where(total > 0, total, 1.0)[:, None, None]
    x, y = mean[:, 0, 1], mean[:, 1, 0]
    # <z^n> about the origin, then about the centroid: a polynomial in z alone shifts by the binomial theorem.
    about = [_complex_moment(mean, n) for n in range(5)]
    back = _powers(torch.complex(-x, -y))
    two, three, four = (
        torch.stack([math.comb(n, j) * about[j] * back[n - j] for j in range(n + 1)]).sum(0) for n in (2, 3, 4)
    )
    four = four - 3 * two * two
    return torch.stack([two.real / radius**2, two.imag / radius**2, three.abs() / radius**3, four.abs() / radius**4], 1)


def _complex_moment(mean: Tensor, n: int) -> Tensor:
    """Mean (M,) of (x + iy)^n, from means (M, 5, 5) of y^q x^p."""
    return torch.stack([math.comb(n, q) * 1j**q * mean[:, q, n - q] for q in range(n + 1)]).sum(0)


def _powers(z: Tensor) -> list[Tensor]:
    """Powers 0 to 4 of complex numbers (M,)."""
    square = z * z
    return [torch.ones_like(z), z, square, square * z, square * square]


def deviation(seen: Float, own: Float, moved: Float, radius: float) -> Float:
    """How far outlines are from a body's own (N,): 1 is another shape, see HARMONIC_UNITS.

    seen (N, 4): harmonics; own (3,): sizes of its own. moved (N, 2) px: its motion from one frame to the next, NaN
    where it is not known. What a shutter that is open for a part of that time makes of it is no other shape: a streak
    of length L adds L^2 / 12 to the two-fold harmonic, in its direction. Nor is a body with a pale copy of where it was
    a frame before.
    """
    step = np.nan_to_num(moved[:, 0] + 1j * moved[:, 1]) / radius
    far = np.abs(step)
    pair = GHOSTS * (1 - GHOSTS)  # cumulants of two points, with the weights of a body and of its ghost
    spread = np.concatenate([SHUTTERS**2 / 12, pair])[:, None]
    skew = np.concatenate([np.zeros(len(SHUTTERS)), pair * (1 - 2 * GHOSTS)])[:, None]
    peak = np.concatenate([np.zeros(len(SHUTTERS)), pair * np.abs(1 - 6 * pair)])[:, None]
    two = np.abs(np.abs(seen[:, 0] + 1j * seen[:, 1] - spread * step**2) - own[0])
    three, four = np.abs(seen[:, 2] - own[1] - skew * far**3), np.abs(seen[:, 3] - own[2] - peak * far**4)
    off = np.stack([two, three, four], axis=-1)  # (S + G, N, 3)
    return np.asarray(np.linalg.norm(off / HARMONIC_UNITS, axis=-1).min(axis=0))


def noise_sd(noise: Float, mass: Float, region: Float, radius: float) -> Float:
    """Standard deviation (N,) of the deviation that white noise of some levels makes in regions of some px."""
    reach = np.sqrt(region / np.pi) / radius
    of_harmonic = [np.sqrt(2 * np.pi / (2 * n + 2)) * reach ** (n + 1) * radius for n in (2, 3, 4)]
    spread = np.linalg.norm(np.stack(of_harmonic, axis=-1) / HARMONIC_UNITS, axis=-1)
    return np.asarray(noise / np.maximum(mass, 1e-9) * spread)


def shape_change(
    seen: Float, sd: Float, place: Float, whole: Flags, learnt: Flags, sphere: bool, radius: float, window: int
) -> Float:
    """How far the shape of a body is from its own (N,): above 1 it is another one; NaN where that is not judged.

    seen (N, 4): harmonics, with the sd (N,) that noise makes of their deviation; place (N, 2) px. whole (N,): frames
    that show all of it. learnt (N,): those of them that show its own shape; without any, a ball is a disc and nothing
    else is judged. A median over `window` judged frames keeps what lasts.
    """
    change = np.full(len(seen), np.nan)
    sizes = np.stack([np.hypot(seen[:, 0], seen[:, 1]), seen[:, 2], seen[:, 3]], axis=1)
    judged = np.flatnonzero(whole & (sd < MOST_NOISE_SD))
    if radius < LEAST_RADIUS or not len(judged) or not (learnt.any() or sphere):
        return change
    own = np.median(sizes[learnt], axis=0) if learnt.any() else np.zeros(3)
    moved = np.gradient(place, axis=0) if len(place) > 1 else np.full(place.shape, np.nan)
    least = max(OTHER_SHAPE, OTHER_SHAPE_PX / radius)
    off = deviation(seen, own, moved, radius) / (least + NOISE_REACH / radius * sd)
    # As a column: rows longer than the data overrun memory in scipy 1.15's filter of one axis (scipy issue 22250).
    change[judged] = median_filter(off[judged, None], (window, 1), mode="nearest")[:, 0]
    return change
