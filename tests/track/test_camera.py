"""Motions of a camera from what edges of scenery show, and zooms that bodies tell by growing together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from kept_clips import kept_clip

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, render_spec
from physbench.track.camera import CameraMotion, Design, common_growth, is_shown
from physbench.track.fixed_edges import EdgeReading, fixed_edges
from physbench.track.tracker import track
from physbench.validity.lawful_alternatives import filmed
from physbench.validity.sources import show


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


def test_an_even_pan_is_told_by_upright_edges_alone(design: tuple[Design, np.ndarray]) -> None:
    """That show no shift upwards in any frame; one that trembles stays as it was read."""
    known, sideways = design
    hidden = np.repeat(~sideways[None], 40, axis=0)
    hidden[:10] = True
    for trembles in (0.0, 0.6):
        true = np.zeros((40, 4))
        true[:, 0] = 0.2 * np.arange(1, 41) + np.random.default_rng(0).normal(0, trembles, 40)
        read = np.where(np.arange(40)[:, None] < 10, 0.0, true)
        off = EdgeReading(np.ones(hidden.shape), (true - read) @ known.columns.T, np.zeros(hidden.shape))
        found, sd = known.between(read, off, hidden)
        assert found == pytest.approx(read if trembles else true, abs=0.02)
        assert sd == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize("column", (0, 2))
def test_an_even_motion_has_no_jump_and_is_shown(design: tuple[Design, np.ndarray], column: int) -> None:
    """By a shift or a zoom."""
    known, _ = design
    still = EdgeReading(*(np.zeros((40, len(known.columns))) for _ in range(3)))
    motion = CameraMotion(np.zeros((40, 4)), np.ones(40, dtype=bool), np.zeros(40), still)
    even, jump = motion.values.copy(), motion.values.copy()
    even[:, column], jump[20:, column] = 0.1 * np.arange(40), 1.2
    assert replace(motion, values=even).goes_evenly
    assert not replace(motion, values=even, known=np.arange(40) % 3 > 0).goes_evenly
    assert not replace(motion, values=jump).goes_evenly
    assert not motion.goes_evenly


def test_what_shows_no_piece_explains_nothing(design: tuple[Design, np.ndarray]) -> None:
    _, sideways = design
    shape = (3, len(sideways))
    reading = EdgeReading(np.ones(shape), np.where(sideways, 0.5, np.full(shape, np.nan)), np.zeros(shape))
    motion = CameraMotion(np.zeros((3, 4)), np.ones(3, dtype=bool), np.zeros(3), reading)
    assert motion.unexplained(np.zeros(shape, dtype=bool)) == 0.5
    assert motion.unexplained(np.ones(shape, dtype=bool)) == np.inf
    assert replace(motion, known=np.zeros(3, dtype=bool)).unexplained(np.zeros(shape, dtype=bool)) == np.inf


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


CONTEXT, FPS = 8, 15.0
TIMES = np.arange(1, 61) / FPS


def errors(clip: Clip, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances from the true places in diameters, where they are seen whole, and the zoom of each frame."""
    tracks = track(clip, CONTEXT, np.concatenate([clip.context(CONTEXT), frames]))
    window = clip.window(CONTEXT)
    off = np.linalg.norm(tracks.position - clip.px_positions()[window], axis=-1)[CONTEXT:]
    off = off / (clip.diameters()[window][CONTEXT:] * clip.pixels_per_metre)
    assert tracks.camera is not None
    return off[clip.visible_share()[window][CONTEXT:] > 0.97], tracks.camera[CONTEXT:, 2]


@pytest.mark.slow
@pytest.mark.parametrize("rate", (0.03, -0.03))
@pytest.mark.parametrize("task", ("orbits/binary-v1", "orbits/kepler-v1", "falling/projectile-v1", "falling/stack-v1"))
def test_bodies_and_what_stands_still_tell_a_zoom(task: str, rate: float) -> None:
    clip = kept_clip(task, size=128, fps=FPS)
    times = clip.times[clip.handover + 1 :]
    off, zoom = errors(clip, filmed(clip.future(), times, zoom=rate))
    assert zoom == pytest.approx(rate * times, abs=0.03)
    assert np.nanpercentile(off, 95) < 0.03


@pytest.mark.parametrize("task", (pytest.param("falling/drop-bounce-v1", marks=pytest.mark.slow), "orbits/binary-v1"))
def test_a_body_that_grows_alone_is_no_zoom(task: str) -> None:
    """Over a floor that stays, and beside another body that does."""
    clip = kept_clip(task, size=128, fps=FPS)
    assert not errors(clip, show(clip, CONTEXT, "size:1.25").frames)[1].any()


def test_a_shared_growth_is_smooth_and_begins_at_none() -> None:
    """Styles draw bodies larger from the start, one by 3 %; noise is 1 %; one body is hidden for a second."""
    rng = np.random.default_rng(0)
    grown = (1 + 0.03 * TIMES[:, None]) * [1.0, 1.03] * (1 + rng.normal(0, 0.01, (60, 2)))
    grown[20:35, 1] = np.nan
    assert common_growth(grown, FPS)[0] == pytest.approx(0.03 * TIMES, abs=0.012)


def test_what_bodies_do_not_share_is_none() -> None:
    rng = np.random.default_rng(0)
    noise = 1 + rng.normal(0, 0.01, (60, 2))
    alone = np.stack([1 - 0.025 * TIMES, np.ones(60)], axis=1)
    assert not common_growth(noise, FPS)[0].any()
    assert not common_growth(alone * noise, FPS)[0].any()
    assert not common_growth(np.full((60, 2), np.nan), FPS)[0].any()


def test_a_zoom_takes_what_stands_still_away_from_the_middle() -> None:
    expected = np.linspace(0, 3, 30)
    assert is_shown(expected + 0.1, expected, False)
    assert not is_shown(np.zeros(30), expected, True)
    assert is_shown(np.full(30, np.nan), expected, True)
