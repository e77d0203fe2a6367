"""Times of frames, against what each rule says in plain numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physbench.models.videos.resample import begins_with_context, frames_at_times, make_resampler, scored_rate


@pytest.mark.parametrize(
    ("rates", "asked", "scored"),
    [
        ([24.0], 24, 24),
        ([23.976], 24, 24),
        ([16.0, 16.0, 24.0], 24, 16),
        ([48.0], 24, 24),
        ([120.0], 24, 24),
        ([29.97], 24, 30),
        ([7.0], 24, 24),
        ([3.0], 15, 15),
        ([], 15, 15),
        ([10.0, 24.0], 24, 24),
    ],
)
def test_the_rate_that_is_scored(rates: list[float], asked: float, scored: float) -> None:
    assert scored_rate(rates, asked) == scored


@settings(deadline=None)
@given(st.integers(5, 60), st.integers(5, 60), st.floats(0, 1))
def test_the_frame_at_a_time_is_the_nearest_one(rate: int, scored: int, lead: float) -> None:
    """Of evenly spaced frames; those behind the end are missing, at most one too few."""
    stream = [(n / rate, 1 / rate, n) for n in range(rate * 2)]
    targets = [lead + k / scored for k in range(1, scored * 3)]
    got = list(frames_at_times(stream, targets, rate))  # type: ignore[arg-type]  # any object is a frame
    for target, frame in zip(targets, got, strict=False):
        assert abs(frame / rate - target) <= 0.5 / rate + 0.003
    last = (rate * 2 - 1) / rate
    there = sum(target <= last + 0.5 / rate for target in targets)
    assert abs(len(got) - there) <= 1


def disc(x: float) -> np.ndarray:
    frame = np.full((32, 32, 3), 128, np.uint8)
    rows, columns = np.mgrid[:32, :32]
    frame[(rows - 16) ** 2 + (columns - x) ** 2 < 16] = (230, 30, 30)
    return frame


def test_several_frames_in_front_are_seen_by_their_first() -> None:
    shown = np.stack([disc(x) for x in (6, 8, 10)])
    assert begins_with_context(disc(6), shown, 0.0, 0.1)
    assert not begins_with_context(disc(12), shown, 0.0, 0.1)


def test_where_nothing_moves_the_length_decides() -> None:
    still = disc(10)
    shown = np.stack([still] * 3)
    assert begins_with_context(still, shown, 0.2, 0.2)
    assert not begins_with_context(still, shown, 0.0, 0.2)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["stretch", "contain", "cover"]),
    st.tuples(st.integers(32, 200), st.integers(32, 200)),
    st.tuples(st.integers(32, 200), st.integers(32, 200)),
)
def test_every_scored_pixel_is_an_average(fit, asked: tuple[int, int], got: tuple[int, int]) -> None:
    """Weights add up to 1, so that a picture of one colour stays so, and a bar is never mixed in."""
    undo = make_resampler(asked, got, asked, fit)
    picture = np.full((*got, 3), 77, np.uint8)
    if fit == "contain":
        scale = min(got[0] / asked[0], got[1] / asked[1])
        for axis in (0, 1):
            bar = int(np.ceil((got[axis] - asked[axis] * scale) / 2 - 1e-9))
            if bar:
                picture[(slice(None),) * axis + (slice(0, bar),)] = 0
                picture[(slice(None),) * axis + (slice(got[axis] - bar, None),)] = 0
    assert (undo(picture) == 77).all()
