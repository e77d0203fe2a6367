"""Blobs that are no body: how small they may be, what they are told from, and how long they must last."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from kept_clips import kept_clip
from picture_styles import styled
from slow_cases import others_slow

from physbench.clips.clip import Clip
from physbench.track.tracker import track
from physbench.validity.lawful_alternatives import filmed

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
