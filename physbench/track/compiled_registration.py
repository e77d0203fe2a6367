"""Registration of a picture with points of another one, by pan, tilt, roll and zoom of a camera: compiled."""

from __future__ import annotations

import math

import numpy as np

from physbench.support.arrays import Array, Mask
from physbench.world.compiled import borrowing, compiled, kernel


@borrowing
def _read(level: Array, x: float, y: float, border: float, clear: float) -> tuple[float, float, float, bool]:
    """Grey level at a place, its slopes to the right and down, and whether they are known; 0 where they are not."""
    high, wide = level.shape[0], level.shape[1]
    if not (x > border and x < wide - border and y > border and y < high - border):
        return 0.0, 0.0, 0.0, False
    x, y = x - 0.5, y - 0.5
    column, row = math.floor(x), math.floor(y)
    x, y = x - column, y - row
    here, right, down, both = (1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x
    one, other = level[row], level[row + 1]
    grey = one[column, 0] * here + one[column + 1, 0] * right + other[column, 0] * down + other[column + 1, 0] * both
    across = one[column, 1] * here + one[column + 1, 1] * right + other[column, 1] * down + other[column + 1, 1] * both
    along = one[column, 2] * here + one[column + 1, 2] * right + other[column, 2] * down + other[column + 1, 2] * both
    plain = one[column, 3] * here + one[column + 1, 3] * right + other[column, 3] * down + other[column + 1, 3] * both
    return grey, across, along, plain > clear


@kernel("(float64[:,:,::1], float64[:,::1], float64, float64)")
def read_levels(level: Array, place: Array, border: float, clear: float) -> tuple[Array, Array, Mask]:
    """Grey levels (P,), their slopes (P, 2) in levels a px and what is known (P,) at places (P, 2) px.

    Args:
        level: (H, W, 4) grey level, its slopes to the right and down, share that has no hue.
        place: (P, 2) px, NaN of what is nowhere.
        border: px of the picture's border that tell nothing.
        clear: Share that must have no hue.
    """
    value, slope, known = np.empty(len(place)), np.empty((len(place), 2)), np.empty(len(place), np.bool_)
    for p in range(len(place)):
        value[p], slope[p, 0], slope[p, 1], known[p] = _read(level, place[p, 0], place[p, 1], border, clear)
    return value, slope, known


@compiled
def _solve(matrix: Array, right: Array) -> None:
    """Set `right` (N,) to the solution of a positive definite system (N, N), which is used up."""
    count = len(right)
    for i in range(count):
        for j in range(i + 1, count):
            share = matrix[j, i] / matrix[i, i]
            for k in range(i, count):
                matrix[j, k] -= share * matrix[i, k]
            right[j] -= share * right[i]
    for i in range(count - 1, -1, -1):
        for k in range(i + 1, count):
            right[i] -= matrix[i, k] * right[k]
        right[i] /= matrix[i, i]


@borrowing
def _rests(away: Array, change: Array, focal: float, still: float) -> bool:
    """True if a change (6,) of the values moves no point (P, 2) px from the middle by `still` px."""
    for p in range(len(away)):
        x, y = away[p, 0], away[p, 1]
        right = -change[0] * (focal + x * x / focal) - change[1] * x * y / focal + change[2] * y + change[3] * x
        down = -change[0] * x * y / focal - change[1] * (focal + y * y / focal) - change[2] * x + change[3] * y
        if not (abs(right) < still and abs(down) < still):
            return False
    return True


@compiled
def _scale(off: Array, least: float) -> float:
    """1.5 times the median of absolute differences (P,), `least` at least."""
    near = 0
    for p in range(len(off)):
        near += abs(off[p]) < 0.6 * least
    if 2 * near > len(off) + 1:  # a median takes long
        return least
    return max(least, 1.5 * float(np.median(np.abs(off))))


@kernel(
    "(float64[:,:,::1], float64[:,::1], float64[::1], float64[::1], float64[:,::1], float64[::1], float64[::1],"
    " float64[::1], float64, int64, int64, float64, float64, float64, float64)"
)
def register(
    level: Array,
    rest: Array,
    wanted: Array,
    slope2: Array,
    lens: Array,
    guess: Array,
    start: Array,
    prior: Array,
    factor: float,
    least: int,
    passes: int,
    still: float,
    least_scale: float,
    border: float,
    clear: float,
) -> tuple[Array, float]:
    """Pan, tilt, roll in rad and zoom (4,) with which a picture shows the wanted levels best.

    Gauss and Newton's steps with the weights of what agrees, contrast and brightness free.

    Args:
        level: (H, W, 4) of the picture, see `read_levels`.
        rest: (P, 2) px of points as a camera shows them that has none of the four.
        wanted: (P,) their grey levels.
        slope2: (P,) squares of their slopes, levels a px.
        lens: (3, 3) from directions in the camera's axes to px.
        guess: (4,) what is expected, with an sd of `prior`.
        start: (4,) where to begin.
        prior: (4,) sd.
        factor: px for a px of `level`.
        least: Points that the picture must show.
        passes: At most.
        still: px; the last pass moves no point further.
        least_scale: Levels from which on a difference counts less.
        border, clear: See `read_levels`.

    Returns:
        The four values, and the share of `slope2` that agrees to a px; -1 where too few points are shown.
    """
    count, focal, middle_x, middle_y = len(rest), lens[0, 0], lens[0, 2], lens[1, 2]
    values, contrast, brightness = start.copy(), 1.0, 0.0
    row, off, away = np.empty((count, 6)), np.empty(count), np.empty((count, 2))
    point, normal, change = np.empty(count, np.int64), np.empty((6, 6)), np.empty(6)
    weight, ray = np.empty(count), np.empty((count, 2))
    for p in range(count):
        ray[p, 0], ray[p, 1] = (rest[p, 0] - middle_x) / focal, (rest[p, 1] - middle_y) / focal
    for n in range(passes):
        pan, tilt, roll, size = values[0], values[1], values[2], focal * (1 + values[3])
        cos_pan, sin_pan, cos_tilt, sin_tilt = math.cos(pan), math.sin(pan), math.cos(tilt), math.sin(tilt)
        cos_roll, sin_roll = math.cos(roll), math.sin(roll)
        shown = 0
        for p in range(count):
            # of its direction: to the right, down and ahead, after a pan, a tilt and a roll (`camera_turn`)
            panned, ahead = cos_pan * ray[p, 0] - sin_pan, sin_pan * ray[p, 0] + cos_pan
            tilted, ahead = cos_tilt * ray[p, 1] - sin_tilt * ahead, sin_tilt * ray[p, 1] + cos_tilt * ahead
            if not ahead > 0:
                continue
            x = size * (cos_roll * panned + sin_roll * tilted) / ahead
            y = size * (cos_roll * tilted - sin_roll * panned) / ahead
            grey, across, along, known = _read(level, (x + middle_x) / factor, (y + middle_y) / factor, border, clear)
            if known:
                across, along = contrast / factor * across, contrast / factor * along
                row[shown, 0] = -across * (focal + x * x / focal) - along * x * y / focal
                row[shown, 1] = -across * x * y / focal - along * (focal + y * y / focal)
                row[shown, 2] = across * y - along * x
                row[shown, 3] = across * x + along * y
                row[shown, 4], row[shown, 5] = grey, 1.0
                off[shown] = wanted[p] - contrast * grey - brightness
                away[shown, 0], away[shown, 1], point[shown] = x, y, p
                shown += 1
        if shown < least:
            return values, -1.0
        scale = _scale(off[:shown], least_scale)
        for p in range(shown):
            weight[p] = 1 / (1 + (off[p] / scale) ** 2) ** 2
        for i in range(6):
            right, a, b, c, d, e, f = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0  # in registers
            for p in range(shown):
                part = weight[p] * row[p, i]
                right += part * off[p]
                a += part * row[p, 0]
                b += part * row[p, 1]
                c += part * row[p, 2]
                d += part * row[p, 3]
                e += part * row[p, 4]
                f += part * row[p, 5]
            change[i] = right
            normal[i, 0], normal[i, 1], normal[i, 2], normal[i, 3], normal[i, 4], normal[i, 5] = a, b, c, d, e, f
        for i in range(6):
            for j in range(i):
                normal[j, i] = normal[i, j]
            sure = 1 / prior[i] ** 2 if i < 4 else 1e-6
            normal[i, i] += sure
            if i < 4:
                change[i] -= sure * (values[i] - guess[i])
        _solve(normal, change)
        values += change[:4]
        contrast, brightness = contrast + change[4], brightness + change[5]
        if n == passes - 1 or _rests(away[:shown], change, focal, still):
            break
    total, good = 0.0, 0.0
    for p in range(shown):
        total += slope2[point[p]]
        if abs(off[p]) < max(least_scale, math.sqrt(slope2[point[p]])):  # levels: a px
            good += slope2[point[p]]
    return values, good / max(total, 1e-9)
