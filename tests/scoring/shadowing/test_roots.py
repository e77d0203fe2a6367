"""Times of touching against closed forms and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physbench.scoring.shadowing.roots import bent_meeting_time, face_time, meeting_time

reals = st.floats(-3, 3, allow_nan=False)


def test_a_fall_takes_the_root_of_twice_the_height_over_gravity() -> None:
    assert face_time(np.array(2.0), np.array(0.0), np.array(-9.81)) == pytest.approx(np.sqrt(4 / 9.81))
    assert face_time(np.array(2.0), np.array(1.0), np.array(0.0)) == np.inf
    assert face_time(np.array(-0.01), np.array(-1.0), np.array(0.0)) == 0.0
    # below the face, on its way out, it comes back
    assert face_time(np.array(0.0), np.array(1.0), np.array(-2.0)) == pytest.approx(1.0)


@settings(max_examples=60, deadline=None)
@given(gap=st.floats(0.01, 3), speed=reals, gain=reals)
def test_faces_are_touched_when_a_fine_look_finds_it(gap: float, speed: float, gain: float) -> None:
    time = float(face_time(np.array(gap), np.array(speed), np.array(gain)))
    moments = np.linspace(0, 8, 4001)
    below = np.flatnonzero(gap + speed * moments + gain * moments**2 / 2 < -1e-3)
    if len(below):
        assert time <= moments[below[0]]
    if time < 100:
        assert gap + speed * time + gain * time**2 / 2 == pytest.approx(0, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(x=st.floats(1.2, 3), y=reals, u=reals, v=reals, a=reals, b=reals)
def test_bent_ways_meet_where_they_look_to(x: float, y: float, u: float, v: float, a: float, b: float) -> None:
    apart, speed, gain = np.array([x, y]), np.array([u, v]), np.array([a, b])
    time = float(bent_meeting_time(apart, speed, gain, 1.0, np.array(2.0)))
    moments = np.linspace(0, 2, 801)[:, None]
    way = np.linalg.norm(apart + moments * speed + moments**2 / 2 * gain, axis=-1)
    if np.isfinite(time):
        place = apart + time * speed + time**2 / 2 * gain
        assert np.linalg.norm(place) <= 1 + 1e-3
        assert (way[moments[:, 0] < time - 0.2] > 1 - 0.2).all()
    else:
        assert way[:: len(way) // 12].min() > 0.9 or way.min() > 0.6
    straight = float(meeting_time(apart, speed, 1.0))
    level = float(bent_meeting_time(apart, speed, np.zeros(2), 1.0, np.array(2.0)))
    if np.isfinite(level):
        assert level == pytest.approx(straight, abs=1e-3)
