"""Noise of textures: numbers that are looked up are those that are computed."""

import numpy as np
import pytest

from physbench.world.styles.natural import materials


def test_cells_that_many_places_share_are_looked_up() -> None:
    rng = np.random.default_rng(0)
    i, j = rng.integers(-40, 40, (2, 300, 300))
    table, at, _ = materials._table(7, i, j)
    assert table is not None and len(table) < i.size
    np.testing.assert_array_equal(table[at], materials._hash(7, i, j))
    np.testing.assert_array_equal(materials.hashed(7, i, j), materials._hash(7, i, j))


@pytest.mark.parametrize("scale", [3.0, 1e5])  # cells that many places share, and that none do
def test_noise_is_that_of_the_corners_of_its_cell(scale: float) -> None:
    u, v = np.random.default_rng(1).uniform(-scale, scale, (2, 2000))
    a, b = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    x, y = (w * w * (3 - 2 * w) for w in (u - a, v - b))
    corner = {(k, m): materials._hash(3, a + k, b + m) for k in (0, 1) for m in (0, 1)}
    low = corner[0, 0] * (1 - x) + corner[1, 0] * x
    high = corner[0, 1] * (1 - x) + corner[1, 1] * x
    np.testing.assert_array_equal(materials.value_noise(3, u, v), 2 * (low * (1 - y) + high * y) - 1)


def test_places_of_no_pixel_have_no_noise() -> None:
    assert materials.value_noise(3, np.empty(0), np.empty(0)).shape == (0,)
