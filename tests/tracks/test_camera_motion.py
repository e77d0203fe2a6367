"""Motions of a camera from what edges of scenery show."""

from __future__ import annotations

import numpy as np
import pytest

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, render_spec
from physbench.tracks.camera_motion import Design
from physbench.tracks.fixed_edges import EdgeReading, fixed_edges


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
