"""What shows no physics changes no choice beyond its interval: a codec, a colour cast."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from physbench.clips.generate import make_clip
from physbench.clips.video import h264, round_trip
from physbench.result.document import PairShare
from physbench.surprise.ask import read_pair
from physbench.surprise.clip_films import frame_difference
from physbench.surprise.films import POSSIBLE, Image, WindowGrid, film_of, window_grid
from physbench.surprise.pairs import FilmPair, find_pairs
from physbench.surprise.readings import over_kinds
from physbench.world.scene import RenderSpec

SPEC = RenderSpec(64, 64, 10.0)
CONTEXT = 4
CLIPS, KINDS = 4, ("teleport", "gravity")
CAST = np.array([1.0, 0.92, 0.8])  # of red, green and blue: evening light
Films = list[tuple[FilmPair, Image, Image, WindowGrid]]


@pytest.fixture(scope="module")
def films() -> Films:
    """Pairs of jumps and of wrong gravity of some clips, with both films and the times of their frames."""
    pairs = [pair for pair in find_pairs(None, ",".join(KINDS)) if not pair.control]
    rows = list(dict.fromkeys(pair.row for pair in pairs))[:CLIPS]
    found = []
    for row in rows:
        clip = make_clip(row, SPEC)
        for pair in pairs:
            if pair.row == row and pair.size in (0.1, 1.6, 0.75, -1.0):
                found.append((pair, clip, film_of(clip, pair.impossible, CONTEXT).frames))
    return [(pair, clip.frames, other, window_grid(clip, CONTEXT)) for pair, clip, other in found]


def told_apart(films: Films, style: Callable[[Image], Image]) -> PairShare:
    """How many of the pairs an observer tells apart that is surprised by each change of a frame."""
    known: dict[int, np.ndarray] = {}
    readings = []
    for pair, one, other, grid in films:
        for frames in (one, other):
            if id(frames) not in known:
                shown = style(frames)
                known[id(frames)] = np.array(
                    [frame_difference(shown, grid, number) for number in range(len(grid.starts))]
                )
        series = {POSSIBLE: known[id(one)], pair.impossible: known[id(other)]}
        readings.append(read_pair(pair, series, grid.times))
    return over_kinds(readings)


def through_h264(frames: Image) -> Image:
    return round_trip(frames, SPEC.fps, h264(23))


def evening(frames: Image) -> Image:
    return np.rint(frames * CAST).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("style", [through_h264, evening])
def test_a_codec_and_a_colour_cast_change_nothing_beyond_the_interval(films: Films, style) -> None:
    plain, styled = told_apart(films, lambda frames: frames), told_apart(films, style)
    assert plain.accuracy is not None and styled.accuracy is not None
    assert plain.interval is not None and styled.interval is not None
    assert plain.pairs == styled.pairs >= 8 and plain.accuracy > 0.5
    assert plain.interval[0] <= styled.accuracy <= plain.interval[1]
    assert styled.interval[0] <= plain.accuracy <= styled.interval[1]
