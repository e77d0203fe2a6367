"""Motions of a camera from what edges of scenery show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, render_spec
from physbench.track.camera import Design
from physbench.track.fixed_edges import EdgeReading, fixed_edges


@pytest.fixture(scope="module")
def design() -> tuple[Design, np.ndarray]:
    """What a floor and a screen show, and which pieces tell of a shift sideways."""
    edges = fixed_edges(make_clip(Row("occlusion/screen-pass-v1", "test", 1), render_spec(64, 2.0)))
    assert edges is not None
    return Design(edges), np.abs(edges.normal[:, 0]) > 0.5


def seen(shift: np.ndarray) -> EdgeReading:
    return EdgeReading(np.ones((1, len(shift))), shift[None], np.zeros((1, len(shift))))


@pytest.mark.parametrize("sizes", (1.0, 1.1))
def test_a_shift_stays_where_its_only_edges_are_hidden(design: tuple[Design, np.ndarray], sizes: float) -> None:
    """Whether bodies confirm a zoom that is seen, or deny it."""
    known, sideways = design
    shift = known.columns @ np.array([3.0, 2.0, 0.1 * known.reach, 0.0])
    near = np.zeros_like(shift)[None]
    past = np.array([3.0, 2.0, 0.0, 0.0])
    found, told = known.fit(seen(shift), sideways[None], np.array([sizes]), np.zeros((1, 4)), near, past)
    assert told.all() and found[0, 0] == pytest.approx(3.0, abs=0.3)


def test_what_is_seen_is_followed(design: tuple[Design, np.ndarray]) -> None:
    known, sideways = design
    moved = np.array([1.5, -0.5, 0.0, 0.0])
    found, told = known.fit(
        seen(known.columns @ moved), np.zeros((1, len(sideways)), dtype=bool), np.ones(1), np.zeros((1, 4))
    )
    assert told.all() and found[0] == pytest.approx(moved, abs=0.05)


def test_a_shift_that_frames_do_not_show_lies_between_those_of_frames_that_do(
    design: tuple[Design, np.ndarray],
) -> None:
    """An even pan goes on behind a body, and is as sure as that; one that trembles is not."""
    known, sideways = design
    rng = np.random.default_rng(0)
    hidden = np.zeros((40, len(sideways)), dtype=bool)
    hidden[15:20] = hidden[:3] = sideways
    for trembles in (0.0, 0.6):
        true = np.zeros((40, 4))
        true[:, 0] = 0.2 * np.arange(1, 41) + rng.normal(0, trembles, 40)
        held = true.copy()
        held[15:20, 0], held[:3, 0] = true[14, 0], 0.0
        off = EdgeReading(np.ones(hidden.shape), (true - held) @ known.columns.T, np.zeros(hidden.shape))
        found, sd = known.between(held, off, hidden)
        assert (sd[~hidden.any(axis=1)] == 0).all()
        assert sd[15:20] == pytest.approx(np.full(5, trembles * np.sqrt(1.5)), abs=0.05 + 0.3 * trembles)
        assert np.abs(found - true)[:, 0].max() < 0.1 + 3.5 * trembles
        assert (found[~hidden.any(axis=1)] == held[~hidden.any(axis=1)]).all()


def test_nothing_is_put_between_where_a_direction_is_hardly_ever_shown(design: tuple[Design, np.ndarray]) -> None:
    known, sideways = design
    hidden = np.broadcast_to(sideways, (40, len(sideways)))
    held = np.ones((40, 4))
    still = EdgeReading(np.ones(hidden.shape), np.zeros(hidden.shape), np.zeros(hidden.shape))
    found, sd = known.between(held, still, hidden)
    assert (found == held).all() and not sd.any()


@pytest.mark.parametrize("converge", (True, False))
def test_edges_that_only_converge_show_no_shift_along_them(design: tuple[Design, np.ndarray], converge: bool) -> None:
    """Sides of a post, two degrees from parallel, which a shadow moves by .3 px each towards the other."""
    post = np.flatnonzero(design[1])
    edges = replace(design[0].edges, converge=converge)
    known = Design(edges)
    left = known.edges.normal[:, 0] > 0
    known.columns[post, 1] = np.where(left, -0.035, 0.0)[post]
    known.columns[:, 2:] = 0.0
    moved = known.columns @ np.array([2.0, 0.0, 0.0, 0.0]) + 0.3
    hidden = ~design[1][None]
    found, told = known.fit(seen(moved), hidden, np.ones(1), np.zeros((1, 4)), np.zeros_like(moved)[None])
    assert told.all() and found[0, 0] == pytest.approx(2.0, abs=0.5)
    assert abs(found[0, 1]) < 0.1 if converge else abs(found[0, 1]) > 2
