"""Distances from a track, and where they exceed limits, are those that NumPy computes."""

from __future__ import annotations

import numpy as np

from physbench.laws.point_distances import (
    cumulative_squares,
    distances,
    first_beyond,
    largest_share,
    weighted_distances,
    weighted_points,
)

CANDIDATES, FRAMES, BODIES = 4, 30, 3
ARCS = np.array(
    [[0, 0], [2, 7], [1, FRAMES + 5]], dtype=np.int64
)  # body and first frame; the last one begins after all frames


def test_distances_are_those_of_numpy_to_the_last_bit() -> None:
    rng = np.random.default_rng(0)
    position, index = rng.normal(size=(5, 40, 2)), np.sort(rng.choice(40, 17, replace=False)).astype(np.int64)
    point, diameter, weight = rng.normal(size=(17, 2)), rng.uniform(0.1, 1, 17), rng.uniform(1, 500, 17)
    expected = (position[:, index] - point) / diameter[:, None] * weight[:, None]
    found = weighted_distances(position, index, point, diameter, weight, 1e3)
    assert found.tobytes() == expected.reshape(5, -1).tobytes()


def test_what_is_absent_is_as_far_off_as_is_asked() -> None:
    position = np.array([[[np.nan, np.inf], [-np.inf, 2.0]]])
    found = weighted_distances(
        position, np.arange(2, dtype=np.int64), np.zeros((2, 2)), np.ones(2), np.full(2, 3.0), 1e3
    )
    np.testing.assert_array_equal(found, [[1e3, 1e3, -1e3, 6.0]])


def test_points_are_those_with_a_weight() -> None:
    rng = np.random.default_rng(1)
    weight = np.where(rng.uniform(size=(FRAMES, BODIES)) < 0.4, rng.uniform(1, 9, (FRAMES, BODIES)), 0.0)
    track, diameter = rng.normal(size=(FRAMES, BODIES, 2)), rng.uniform(0.1, 1, BODIES)
    expected = np.flatnonzero(weight > 0)
    index, position, size, found = weighted_points(weight, track, diameter)
    np.testing.assert_array_equal(index, expected)
    np.testing.assert_array_equal(position, track.reshape(-1, 2)[expected])
    np.testing.assert_array_equal(size, diameter[expected % BODIES])
    np.testing.assert_array_equal(found, weight.ravel()[expected])
    assert [len(each) for each in weighted_points(np.zeros((FRAMES, BODIES)), track, diameter)] == [0, 0, 0, 0]


def _seen(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances with gaps, where there is a point, and limits."""
    position = rng.normal(size=(CANDIDATES, FRAMES, BODIES, 2))
    position[rng.uniform(size=position.shape[:-1]) < 0.02] = np.nan
    track, diameter = rng.normal(size=(FRAMES, BODIES, 2)), rng.uniform(0.1, 1, BODIES)
    found = distances(position, track, diameter)
    expected = np.linalg.norm(position - track, axis=-1) / diameter
    assert found.tobytes() == expected.tobytes()
    return found, rng.uniform(size=(FRAMES, BODIES)) < 0.8, rng.uniform(5, 60, (FRAMES, BODIES))


def test_the_first_frame_beyond_a_limit_is_that_of_numpy() -> None:
    seen_frames = set()
    for seed in range(40):
        away, known, limit = _seen(np.random.default_rng(seed))
        expected = np.full(CANDIDATES, FRAMES)
        for n, first in ARCS[:2]:
            missed = known[first:, n] & ~(away[:, first:, n] <= limit[first:, n])
            reached = np.where(missed.any(axis=1), first + missed.argmax(axis=1), FRAMES)
            expected = np.minimum(expected, reached)
        np.testing.assert_array_equal(first_beyond(away, known, limit, ARCS), expected)
        seen_frames |= set(expected.tolist())
    assert len(seen_frames) > 5


def test_the_largest_share_of_a_limit_is_that_of_numpy() -> None:
    infinite = 0
    for seed in range(40):
        away, known, limit = _seen(np.random.default_rng(seed))
        for end in (0, 9, FRAMES):
            mask = np.zeros((FRAMES, BODIES), dtype=bool)
            for n, first in ARCS:
                mask[first:end, n] = True
            share = np.where(np.isnan(away), np.inf, away / limit)[:, mask & known].max(axis=1, initial=0.0)
            assert largest_share(away, known, limit, ARCS, end).tobytes() == share.tobytes()
            infinite += int(np.isinf(share).sum())
    assert infinite > 0


def test_normal_equations_are_the_sums_of_numpy() -> None:
    rng = np.random.default_rng(3)
    away, slope, sd = rng.normal(size=(FRAMES, 2)), rng.normal(size=(FRAMES, 2, 4)), rng.uniform(0.1, 1, FRAMES)
    away[4, 1], slope[9, 0, 2], slope[11, 1, 0] = np.nan, np.inf, np.nan
    sure = np.isfinite(away).all(axis=-1) & np.isfinite(slope).all(axis=(-1, -2))
    assert sure.sum() == FRAMES - 3
    parts = np.concatenate([slope, away[..., None]], axis=-1)[sure] * (1 / sd[sure])[:, None, None]
    squares = np.zeros((FRAMES, 5, 5))
    squares[sure] = (parts[..., None] * parts[..., None, :]).sum(axis=1)
    expected = np.concatenate([np.zeros((1, 5, 5)), np.cumsum(squares, axis=0)])
    assert cumulative_squares(away, slope, sd).tobytes() == expected.tobytes()
