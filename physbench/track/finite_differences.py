"""Velocities and values between the frames of a track, without a law of motion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physbench.support.arrays import Array, Mask

STILL_TIME = 0.2  # s over which a resting body must not move

Frames = NDArray[np.intp]


def runs(mask: Mask) -> list[Frames]:
    """Indices of each run of True in a mask (T,)."""
    where = np.flatnonzero(mask)
    return [run for run in np.split(where, np.flatnonzero(np.diff(where) > 1) + 1) if len(run)]


def known_runs(path: Array) -> list[Frames]:
    """Indices of each run of known points of a path (T, 2) with NaN."""
    return runs(np.isfinite(path[:, 0]))


def last_known(values: Array) -> Array:
    """Values (T, V), and where one is NaN the last of its column that was known; NaN before the first."""
    at = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(values))[:, None], -1), axis=0)
    return np.where(at >= 0, np.take_along_axis(values, np.maximum(at, 0), axis=0), np.nan)


def upsampled(path: Array, fine: int) -> Array:
    """A path (n, 2), all known, n >= 6, at `fine` moments per frame ((n - 1) fine + 1, 2), by a quintic spline."""
    from scipy.interpolate import make_interp_spline

    at = np.arange(len(path))
    return np.asarray(make_interp_spline(at, path, k=5)(np.arange((len(path) - 1) * fine + 1) / fine))


def parabola_fits(path: Array, dt: float, span: float) -> tuple[Array, Array, Array]:
    """Parabolas through sliding windows of a path, read at the middle of each window.

    The slope of a parabola is known best at its middle, and a constant acceleration does not change it there.

    Args:
        path: (n, 2) m, all known.
        dt: s between two points.
        span: s, length of a window; it holds at least five points, and the whole path where that is shorter.

    Returns:
        The middles as indices (w,) of frames with a fraction, the positions (w, 2) m and the velocities (w, 2) m/s
        there; w = 0 where n < 4.

    >>> t = np.arange(9) / 15
    >>> at, position, velocity = parabola_fits(np.stack([t, 3 * t**2], axis=-1), 1 / 15, 0.4)
    >>> at.tolist(), bool(np.allclose(position[:, 1], 3 * (at / 15) ** 2))
    ([3.0, 4.0, 5.0], True)
    >>> bool(np.allclose(velocity[:, 1], 6 * at / 15))
    True
    """
    n = len(path)
    if n < 4:
        return np.zeros(0), np.zeros((0, 2)), np.zeros((0, 2))
    width = min(n, max(5, 2 * round(span / 2 / dt) + 1))
    offset = (np.arange(width) - (width - 1) / 2) * dt
    design = np.stack([np.ones(width), offset, offset**2], axis=-1)
    windows = np.lib.stride_tricks.sliding_window_view(path, width, axis=0)  # (w, 2, width)
    position, velocity, _ = np.moveaxis(windows @ np.linalg.pinv(design).T, -1, 0)
    return np.asarray(np.arange(n - width + 1) + (width - 1) / 2, dtype=np.float64), position, velocity


def smooth_velocity(path: Array, dt: float) -> Array:
    """Velocity (n, 2) m/s of a path (n, 2) m, all known, n >= 8, from a quintic spline with at most 15 knots a second.

    For motion that no parabola follows for long. There is at most one knot a frame, so that the spline does not follow
    noise.
    """
    from scipy.interpolate import make_lsq_spline

    times = np.arange(len(path)) * dt
    inner = times[3 : -3 : max(1, round((1 / 15) / dt))]  # s between the knots of a smoothing spline
    knots = np.concatenate([[times[0]] * 6, inner, [times[-1]] * 6])
    return np.asarray(make_lsq_spline(times, path, knots, k=5)(times, 1))


def slope(times: Array, values: Array) -> float:
    """Slope per s of a straight line through values (n,) at times (n,) s, n >= 2."""
    away = times - times.mean()
    return float(away @ values / max(float(away @ away), 1e-12))


def resting(times: Array, position: Array, diameter: float, bound: float) -> Mask:
    """Mask (T,) of a path (T, 2) m, NaN allowed, that moves less than `bound` diameters in STILL_TIME."""
    dt = float(times[1] - times[0]) if len(times) > 1 else STILL_TIME
    half = max(1, round(STILL_TIME / 2 / dt))
    at = np.arange(len(times))
    before, after = np.maximum(at - half, 0), np.minimum(at + half, len(times) - 1)
    moved = [
        np.linalg.norm(position[j] - position[i], axis=-1) for i, j in ((before, after), (before, at), (at, after))
    ]
    span = np.maximum((after - before) * dt, 1e-9)
    return np.asarray(np.max(moved, axis=0) * STILL_TIME / span < bound * diameter)  # False where NaN
