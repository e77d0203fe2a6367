"""Times of touching against closed forms and against a fine look."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from physbench.laws.planar_motion import _contact_time, curved_contact_time, face_contact_time, straight_contact_time

COUNT = 2000
MOMENTS = np.linspace(0, 2, 401)

Array = NDArray[np.float64]


def each(function: Callable[..., float], *parts: Array | float) -> Array:
    """A scalar function of every member (M,) of parts (M,), (M, 2) of which the components are handed over, or ()."""
    flat = [one for part in parts for one in (part.T if np.ndim(part) == 2 else [part])]  # type: ignore[union-attr]
    return np.array([function(*row) for row in zip(*(one.tolist() for one in np.broadcast_arrays(*flat)), strict=True)])


def test_a_fall_takes_the_root_of_twice_the_height_over_gravity() -> None:
    assert face_contact_time(2.0, 0.0, -9.81) == pytest.approx(np.sqrt(4 / 9.81))
    assert face_contact_time(2.0, 1.0, 0.0) == np.inf
    assert face_contact_time(-0.01, -1.0, 0.0) == 0.0
    # on its way out of a face it comes back
    assert face_contact_time(0.0, 1.0, -2.0) == pytest.approx(1.0)


def test_faces_are_touched_when_a_fine_look_finds_it() -> None:
    rng = np.random.default_rng(0)
    gap, velocity, acceleration = rng.uniform(0.01, 2, COUNT), rng.uniform(-3, 3, COUNT), rng.uniform(-9, 9, COUNT)
    time = each(face_contact_time, gap, velocity, acceleration)
    found = np.isfinite(time)
    t = time[found]
    assert np.allclose(gap[found] + velocity[found] * t + acceleration[found] * t**2 / 2, 0, atol=1e-9)
    distance = gap + velocity * MOMENTS[:, None] + acceleration * MOMENTS[:, None] ** 2 / 2
    below = (distance < 0).argmax(axis=0)
    seen = (distance < 0).any(axis=0)
    assert (time[seen] <= MOMENTS[below[seen]]).all()
    assert (time[seen] >= MOMENTS[below[seen] - 1]).all()
    assert (time[~seen] > 1.9).all()
    assert 100 < seen.sum() < COUNT - 100


@pytest.mark.parametrize("bend", [0.0, 3.0])
def test_bent_ways_meet_where_a_fine_look_finds_it(bend: float) -> None:
    rng = np.random.default_rng(1)
    apart = rng.uniform(-3, 3, (COUNT, 2))
    apart = apart[np.linalg.norm(apart, axis=-1) > 1.2]
    velocity, acceleration = rng.uniform(-3, 3, apart.shape), bend * rng.uniform(-1, 1, apart.shape)
    time = each(curved_contact_time, apart, velocity, acceleration, 1.0, 2.0)
    t = MOMENTS[:, None, None]
    distance = np.linalg.norm(apart + t * velocity + t**2 / 2 * acceleration, axis=-1)
    deep = distance.min(axis=0) < 1 - 1e-9  # grazes of 0.01 mm count, too
    first = (distance <= 1).argmax(axis=0)
    assert (np.abs(time - MOMENTS[first]) < 0.006)[deep].all()
    assert np.isinf(time[distance.min(axis=0) > 1.0]).all()
    if bend == 0:
        assert np.allclose(time[deep], each(straight_contact_time, apart, velocity, 1.0)[deep], atol=1e-6)


@pytest.mark.parametrize("until", [0.6, 2.0, 50.0])
def test_a_touch_is_found_however_far_is_looked(until: float) -> None:
    """A ball dropped beside a peg grazes it 0.5 s later, and would be through it 30 ms later."""
    fall = 1.0 - np.sqrt(0.4**2 - 0.395**2)
    found = curved_contact_time(0.395, 1.0, 0.0, 0.0, 0.0, -8.0, 0.4, until)
    assert found == pytest.approx(np.sqrt(2 * fall / 8.0), abs=1e-9)


def test_what_is_too_near_already_meets_when_it_comes_back() -> None:
    """Thrown off a corner that it overlaps by a hair, it falls back before it has left it."""
    found = curved_contact_time(0.0, 0.399, 0.0, 0.01, 0.0, -8.0, 0.4, 1.0)
    assert found == pytest.approx(0.01 / 8.0)


def test_no_contact_is_lost_of_ways_that_are_left_out_before_a_root_is_sought() -> None:
    rng = np.random.default_rng(2)
    apart, velocity = rng.uniform(-3, 3, (COUNT, 2)), rng.uniform(-4, 4, (COUNT, 2))
    acceleration, until = rng.uniform(-4, 4, (COUNT, 2)), rng.uniform(0, 2, COUNT)
    sought = each(curved_contact_time, apart, velocity, acceleration, 1.0, until)
    assert np.array_equal(each(_contact_time, apart, velocity, acceleration, 1.0, until), sought)
    assert 100 < np.isfinite(sought).sum() < COUNT - 100
