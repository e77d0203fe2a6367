"""What the context shows at rest in a hue is background; what moves, or appears elsewhere, is an object too many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from skimage import measure

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, render_spec
from physbench.track.colour import UNKNOWN_HUE
from physbench.track.intruders import _own, background
from physbench.track.tracker import track
from physbench.track.tracks import Tracks
from physbench.world.scene import PALETTE

C, FPS = 8, 15.0
TASKS = ("occlusion/screen-pass-v1", "orbits/flyby-v1")
OTHER, AT = (60, 150, 60), (20, 20)  # a hue and a place that no body has


def painted(
    clip: Clip, colour: tuple[float, ...], since: float = -9.0, until: float = 9.0, speed: float = 0.0
) -> np.ndarray:
    """The clip's frames with a disc of 5 px in radius from `since` to `until` s; `speed` px/s from 0.5 s on."""
    frames = clip.frames.copy()
    rows, columns = np.mgrid[: frames.shape[1], : frames.shape[2]]
    for frame, time in zip(frames, clip.times, strict=True):
        if since <= time <= until:
            along = AT[0] + speed * max(0.0, float(time) - 0.5)
            frame[(columns - along) ** 2 + (rows - AT[1]) ** 2 < 30] = colour
    return frames


def tracked(truth: np.ndarray, shown: np.ndarray, clip: Clip) -> Tracks:
    """Of frames that are shown after a context that shows what is true."""
    given = replace(clip, frames=truth)
    return track(given, C, np.concatenate([given.context(C), shown[clip.handover + 1 :]]))


def extra(tracks: Tracks) -> float:
    return float(((tracks.hallucinations > 0) | (tracks.duplicates > 0).any(axis=1))[C:].mean())


@pytest.fixture(scope="module", params=TASKS)
def clip(request: pytest.FixtureRequest) -> Clip:
    return make_clip(Row(request.param, "test", 1), render_spec(64, FPS))


@pytest.mark.parametrize("own", (False, True), ids=("another hue", "a body's hue"))
def test_clutter_at_rest_is_background_and_may_go(clip: Clip, own: bool) -> None:
    hue = clip.tracked_bodies[0].hue
    assert hue is not None
    colour = tuple(round(200 * part) for part in PALETTE[hue]) if own else OTHER
    truth = painted(clip, colour)
    plain = tracked(clip.frames, clip.frames, clip)
    for shown in (truth, painted(clip, colour, until=1.0)):
        found = tracked(truth, shown, clip)
        assert extra(found) == 0
        assert np.allclose(found.position, plain.position, atol=0.1, equal_nan=True)


def test_clutter_that_moves_and_what_appears_are_objects_too_many(clip: Clip) -> None:
    truth = painted(clip, OTHER)
    assert extra(tracked(truth, painted(clip, OTHER, speed=12.0), clip)) > 0.3
    assert extra(tracked(clip.frames, painted(clip, OTHER, since=0.5), clip)) > 0.5


def maps(*boxes: tuple[int, int, int, int, int]) -> np.ndarray:
    """Four frames of 32 x 32: (label, row, column, side, px a frame to the right)."""
    found = np.zeros((4, 32, 32), dtype=np.uint8)
    for label, row, column, side, step in boxes:
        for t, frame in enumerate(found):
            frame[row : row + side, column + t * step : column + t * step + side] |= label
    return found


@pytest.mark.parametrize(
    ("boxes", "visible", "wanted"),
    [
        (((1, 10, 10, 6, 0),), 36, set()),  # a body at rest
        (((1, 10, 10, 6, 1),), 36, set()),  # one that moves slowly
        (((1, 10, 10, 6, 0),), 0, {1}),  # one that should not be seen: clutter
        (((1, 2, 2, 6, 0), (1, 20, 20, 10, 0)), 36, {1}),  # the blob that is as large as the body is the body
        (((1, 2, 2, 6, 3), (1, 20, 20, 6, 0)), 36, {1}),  # so is the one that moves
        (((UNKNOWN_HUE, 20, 20, 6, 0), (1, 2, 2, 6, 0)), 36, {UNKNOWN_HUE}),
        (((UNKNOWN_HUE, 20, 2, 6, 5),), 0, set()),  # what moves is none
    ],
)
def test_the_body_is_no_background(boxes: tuple, visible: int, wanted: set[int]) -> None:  # type: ignore[type-arg]
    labels = maps(*boxes)
    found = background(labels, np.full((4, 1), float(visible)), 1)
    assert set(np.unique(found)) - {0} == wanted
    if len(boxes) > 1 and 1 in wanted:
        assert not found[2:8, 2:8].any() and found[20:26, 20:26].all()


def test_an_object_that_something_parts_keeps_both_pieces() -> None:
    """A post before it leaves two pieces, which together are what should be seen; a third one is clutter."""
    shown = np.zeros((3, 16, 16), dtype=bool)
    shown[:, 4:8, 2:4] = shown[:, 4:8, 6:9] = shown[:, 12:15, 11:14] = True
    own = _own(shown, shown[0], np.full(3, 20.0))
    assert own[4:8, 2:4].all() and own[4:8, 6:9].all() and not own[12:15, 11:14].any()


def test_a_ring_that_moves_slowly_is_no_background_in_any_of_its_pieces() -> None:
    """What of a thin ring never moves lies in pieces; a spot of its hue that nobody tracks is clutter."""
    rows, columns = np.mgrid[:32, :32]
    shown = np.zeros((4, 32, 32), dtype=bool)
    for t, frame in enumerate(shown):
        away = np.hypot(rows - 12, columns - 12 - t)
        frame[(away > 6.5) & (away < 8.5)] = True
    ring = shown.all(axis=0)
    shown[:, 26:29, 26:29] = True
    assert measure.label(ring, connectivity=2).max() > 1
    own = _own(shown, shown.all(axis=0), np.full(4, 94.0))
    assert (own == ring).all()
