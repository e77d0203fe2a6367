"""Blobs that are no body: how small and how long; what the context shows at rest is background."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from kept_clips import kept_clip
from picture_styles import styled
from skimage import measure
from slow_cases import others_slow

from physbench.clips.clip import Clip, Row, Split
from physbench.clips.generate import make_clip, render_spec
from physbench.track.colour import UNKNOWN_HUE
from physbench.track.intruders import _own, background
from physbench.track.tracker import track
from physbench.track.tracks import Tracks
from physbench.validity.lawful_alternatives import filmed
from physbench.world.scene import PALETTE

C, STEPS = 8, 40
CLEAR = (54.0, 47.5)  # px at 64, far from all four balls
SMALLEST = 10.0  # px at 64, diameter
GREY, LIGHT, DARK, MINT, RED = (76, 76, 76), (185, 185, 185), (15, 15, 15), (34, 230, 112), (230, 35, 35)


@pytest.fixture(scope="module")
def four(clip_of: Callable[..., Clip], stages: dict[str, Callable[..., object]]) -> Callable[[int], Clip]:
    made = {size: clip_of(stages["four"](STEPS), size) for size in (64, 128)}
    return made.__getitem__


def painted(
    clip: Clip,
    share: float,
    colour: tuple[int, int, int],
    *,
    moves: tuple[float, float] = (0.0, 0.0),
    shown: slice = slice(12, None),
    at: tuple[float, float] = CLEAR,
) -> np.ndarray:
    """Frames with a disc of a share of the smallest diameter, at a place in px at 64 that moves so many px a frame."""
    size, fine = clip.spec.width, 4
    frames, zoom = clip.frames.copy(), clip.spec.width / 64
    grid = (np.arange(size * fine) + 0.5) / fine
    for t in range(STEPS)[shown]:
        x, y = (zoom * (place + step * (t - 25)) for place, step in zip(at, moves, strict=True))
        disc = (grid - x) ** 2 + (grid[:, None] - y) ** 2 < (share * SMALLEST / 2 * zoom) ** 2
        cover = disc.reshape(size, fine, size, fine).mean((1, 3))[..., None]
        frames[t] = np.rint(frames[t] * (1 - cover) + np.array(colour) * cover)
    return frames


def seen(clip: Clip, frames: np.ndarray, style: str = "") -> float:
    """Share of the frames with the disc in which something is too much."""
    if style:
        frames = np.concatenate([frames[:C], styled(frames[C:], style, clip.spec.fps, 1)])
    tracks = track(clip, C, frames)
    return float(np.mean(tracks.hallucinations[12:] > 0))


@pytest.mark.parametrize(
    ("colour", "size"),
    others_slow(
        itertools.product((GREY, LIGHT, DARK, MINT, RED), (64, 128)),
        lambda case: case in ((GREY, 64), (RED, 64), (GREY, 128)),
    ),
)
def test_a_third_of_the_smallest_body_counts(four: Callable[[int], Clip], size: int, colour: tuple[int, ...]) -> None:
    clip = four(size)
    assert seen(clip, painted(clip, 1 / 3, colour)) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "style", others_slow(("h264-28", "grain-8", "bright-.6", "contrast-10"), lambda style: style == "h264-28")
)
def test_it_counts_under_styles(four: Callable[[int], Clip], style: str) -> None:
    clip = four(128)
    assert seen(clip, painted(clip, 0.4, GREY), style) > 0.9


@pytest.mark.parametrize("sd", (pytest.param(30, marks=pytest.mark.slow), 60))
def test_noise_hides_no_blob_and_makes_none(four: Callable[[int], Clip], sd: float) -> None:
    """Grain of the whole picture, levels: a disc as wide as a body, 90 levels darker, is seen through it."""
    clip = four(64)
    grain = np.random.default_rng(0).normal(0, sd, clip.frames.shape[:3])[..., None]
    grain[:C] = 0
    noisy = (np.rint(each + grain).clip(0, 255).astype(np.uint8) for each in (clip.frames, painted(clip, 1.0, DARK)))
    assert [seen(clip, frames) for frames in noisy] == [0, pytest.approx(1, abs=0.1)]


def test_it_counts_while_it_moves(four: Callable[[int], Clip]) -> None:
    clip = four(128)
    assert seen(clip, painted(clip, 0.4, DARK, moves=(-1.2, 0.1))) > 0.6


@pytest.mark.parametrize("share", (0.1, 1 / 6))
def test_what_is_smaller_is_a_speck(four: Callable[[int], Clip], share: float) -> None:
    clip = four(64)
    assert seen(clip, painted(clip, share, DARK)) == 0


def test_what_flickers_is_none(four: Callable[[int], Clip]) -> None:
    clip = four(64)
    assert seen(clip, painted(clip, 0.5, DARK, shown=slice(20, 22))) == 0
    jumping = clip.frames.copy()
    for t in range(12, STEPS):  # here and there: nothing stays
        at = ((6.0, 48.0), (58.0, 48.0))[t % 2]
        jumping[t] = painted(clip, 0.5, DARK, shown=slice(t, t + 1), at=at)[t]
    assert seen(clip, jumping) == 0


STYLES = ("h264-28", "unsharp-2", "crawl-8", "blur-1.5", "reduce-8", "jitter-.3", "grain-8", "cast-20", "flicker-10")
AT_EDGES = STYLES[:3]  # what changes edges, as of a screen or of one body before another


@pytest.mark.parametrize(
    ("stage", "style"),
    others_slow(
        [
            pytest.param(stage, style, marks=() if style in AT_EDGES else pytest.mark.slow)
            for stage in ("four", "screen", "crossing")
            for style in STYLES
        ],
        3,
    ),
)
def test_styles_make_none(
    clip_of: Callable[..., Clip], stages: dict[str, Callable[..., object]], stage: str, style: str
) -> None:
    clip = clip_of(stages[stage](STEPS), 64)
    assert seen(clip, clip.frames, style) == 0


@pytest.mark.parametrize(
    "motion", others_slow([{"pan": 4.0}, {"zoom": 0.03}, {"roll": 3.0}], lambda motion: "roll" in motion)
)
def test_scenery_that_a_moving_camera_shows_elsewhere_is_none(motion: dict[str, float]) -> None:
    clip = kept_clip("falling/incline-v1")
    frames = filmed(clip.future(), clip.times[clip.handover + 1 :], **motion)
    tracks = track(clip, C, np.concatenate([clip.context(C), frames]))
    assert not tracks.hallucinations.any()


@pytest.mark.parametrize(
    ("style", "task", "size"), [("unsharp-2", "stop", 64), pytest.param("crawl-8", "swap", 128, marks=pytest.mark.slow)]
)
def test_scenery_in_a_style_is_none(style: str, task: str, size: int) -> None:
    clip = kept_clip(f"occlusion/screen-{task}-v1", size=size)
    seed = zlib.crc32(f"{clip.id} {style}".encode())
    tracks = track(clip, C, np.concatenate([clip.context(C), styled(clip.future(), style, 15.0, seed)]))
    assert not tracks.hallucinations.any()


@pytest.mark.parametrize(
    ("task", "split", "seed", "size"),
    [
        ("orbits/thruster-v1", "ood", 0, 64),
        ("falling/conveyor-v1", "ood", 0, 128),
        ("falling/tumble-v1", "test", 1008, 128),
        ("falling/tumble-v1", "test", 1009, 128),
    ],
)
def test_a_jet_a_rod_and_the_marks_of_a_belt_are_none(task: str, split: Split, seed: int, size: int) -> None:
    clip = kept_clip(task, split, seed, size=size, fps=10.0)
    frames = clip.frames[clip.window(C)].copy()
    assert not track(clip, C, frames).hallucinations.any()
    frames[C + 5 :, 4 : 4 + size // 6, -4 - size // 6 : -4] = LIGHT  # far from both
    assert (track(clip, C, frames).hallucinations[C + 6 : -1] == 1).all()


@pytest.mark.parametrize(("colour", "shadowy"), [(GREY, True), (LIGHT, False)])
def test_what_is_dark_beside_a_body_may_be_its_shadow_where_there_are_shadows(
    four: Callable[[int], Clip], colour: tuple[int, int, int], shadowy: bool
) -> None:
    plain = four(64)
    lit = replace(plain, spec=replace(plain.spec, look="natural"))
    body = plain.px_positions()[STEPS // 2, 0]
    radius = float(np.sqrt(plain.full_area[0, plain.tracked[0]] / np.pi))
    beside = (float(body[0]), float(body[1]) - radius - 0.6 * SMALLEST)
    frames = painted(plain, 0.7, colour, at=beside, shown=slice(17, 25))
    assert seen(plain, frames) > 0
    assert seen(lit, frames) == (0 if shadowy else seen(plain, frames))
    assert seen(lit, painted(plain, 0.7, colour)) > 0.5, "far from all bodies there is no shadow"


CONTEXT, FPS = 8, 15.0
TASKS = ("occlusion/screen-pass-v1", "orbits/flyby-v1")
OTHER, AT = (60, 150, 60), (20, 20)  # a hue and a place that no body has


def painted_since(
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
    return track(given, CONTEXT, np.concatenate([given.context(CONTEXT), shown[clip.handover + 1 :]]))


def extra(tracks: Tracks) -> float:
    return float(((tracks.hallucinations > 0) | (tracks.duplicates > 0).any(axis=1))[CONTEXT:].mean())


@pytest.fixture(scope="module", params=TASKS)
def clip(request: pytest.FixtureRequest) -> Clip:
    return make_clip(Row(request.param, "test", 1), render_spec(64, FPS))


@pytest.mark.parametrize("own", (False, True), ids=("another hue", "a body's hue"))
def test_clutter_at_rest_is_background_and_may_go(clip: Clip, own: bool) -> None:
    hue = clip.tracked_bodies[0].hue
    assert hue is not None
    colour = tuple(round(200 * part) for part in PALETTE[hue]) if own else OTHER
    truth = painted_since(clip, colour)
    plain = tracked(clip.frames, clip.frames, clip)
    for shown in (truth, painted_since(clip, colour, until=1.0)):
        found = tracked(truth, shown, clip)
        assert extra(found) == 0
        assert np.allclose(found.position, plain.position, atol=0.1, equal_nan=True)


def test_clutter_that_moves_and_what_appears_are_objects_too_many(clip: Clip) -> None:
    truth = painted_since(clip, OTHER)
    assert extra(tracked(truth, painted_since(clip, OTHER, speed=12.0), clip)) > 0.3
    assert extra(tracked(clip.frames, painted_since(clip, OTHER, since=0.5), clip)) > 0.5


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
