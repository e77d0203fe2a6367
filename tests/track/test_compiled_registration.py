"""Compiled registration, against SciPy's interpolation and a picture turned by known angles."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from physbench.support.arrays import Array
from physbench.track.compiled_registration import read_levels, register
from physbench.world.camera import camera_turn, mapped

LENS = np.array([[80.0, 0, 32], [0, 80, 32], [0, 0, 1]])


def grey(place: Array) -> Array:
    """Levels of a smooth picture at places (..., 2) px."""
    x, y = place[..., 0], place[..., 1]
    return np.asarray(120 + 60 * np.sin(0.21 * x + 0.1 * y) + 40 * np.cos(0.17 * y - 0.05 * x))


def level() -> Array:
    rows, columns = np.mgrid[0:64, 0:64]
    values = grey(np.stack([columns, rows], axis=-1) + 0.5)
    down, right = np.gradient(values)
    return np.stack([values, right, down, np.ones((64, 64))], axis=-1)


def test_levels_between_pixels_are_scipys() -> None:
    values, place = level(), np.random.default_rng(0).uniform(-5, 70, (200, 2))
    place[0] = np.nan
    value, slope, known = read_levels(values, place, 2.0, 0.7)
    x, y = place.T
    assert np.array_equal(known, (x > 2) & (x < 62) & (y > 2) & (y < 62))
    found = np.column_stack([value, slope])[known]
    wanted = [map_coordinates(values[..., n], (place - 0.5)[known].T[::-1], order=1) for n in range(3)]
    assert found == pytest.approx(np.transpose(wanted), abs=1e-9)


def test_a_turn_and_a_zoom_are_found() -> None:
    true = np.array([0.01, -0.008, 0.03, 0.02])
    rows, columns = np.mgrid[6:58:2, 6:58:2]
    rest = np.stack([columns, rows], axis=-1).reshape(-1, 2).astype(np.float64)
    deviation = LENS @ np.diag([1 + true[3], 1 + true[3], 1.0]) @ camera_turn(*true[:3]) @ np.linalg.inv(LENS)
    wanted = 0.9 * grey(mapped(deviation, rest)) + 5  # less contrast, and brighter
    limits = (60, 12, 0.005, 1.0, 2.0, 0.7)
    nothing = np.zeros(4)
    found, agreed = register(
        level(), rest, wanted, np.ones(len(rest)), LENS, nothing, nothing, np.ones(4), 1.0, *limits
    )
    assert found == pytest.approx(true, abs=3e-4) and agreed > 0.95
    few = register(level(), rest[:59], wanted[:59], np.ones(59), LENS, nothing, nothing, np.ones(4), 1.0, *limits)
    assert few[1] < 0
