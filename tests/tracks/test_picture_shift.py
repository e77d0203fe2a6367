"""The shift of a whole picture, against shifts of known size."""

from __future__ import annotations

import numpy as np
import pytest

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, render_spec
from physbench.tracks.picture_shift import scenery, shifts
from physbench.tracks.tracker import track
from physbench.validation.picture_styles import jitter, styled

CONTEXT = 8


def ground(size: int = 64) -> np.ndarray:
    """Still frames (1, H, W, 3): a floor and a wall on grey ground, with edges between pixels."""
    picture = np.full((1, size, size, 3), 128.0)
    picture[:, 48] = 120
    picture[:, 49:] = 112
    picture[:, :, 9] = 100
    picture[:, :, :9] = 80
    return picture.astype(np.uint8)


def read(frames: np.ndarray, truth: np.ndarray) -> np.ndarray:
    still = scenery(np.repeat(truth, 2, axis=0), np.zeros(truth.shape[1:3], dtype=bool))
    assert still is not None
    return shifts(frames.reshape(len(frames), -1, 3)[:, still.at], still)


@pytest.mark.parametrize("name", ("", "bright-.6", "grain-8", "blur-1.5", "unsharp-1"))
def test_shifts_of_known_size(name: str) -> None:
    truth = ground()
    moved = jitter(truth.repeat(40, 0), 15.0, np.random.default_rng(0), sd=0.3)
    true = np.random.default_rng(0).normal(0, 0.3, (40, 2))[:, ::-1]
    frames = styled(moved, name, 15.0, 1) if name else moved
    off = read(frames, truth) - true
    before, after = np.sqrt((true**2).mean()), np.sqrt((off**2).mean())
    print(f"\n{name or 'plain'}: {before:.3f} px, {after:.3f} px left")
    assert after < 0.6 * before if name in ("", "bright-.6", "unsharp-1") else after <= before


@pytest.mark.parametrize("name", ("h264-28", "grain-8", "crawl-8", "blur-1.5", "bright-1.4", "reduce-8", "wobble-.3"))
def test_other_styles_are_no_shift(name: str) -> None:
    truth = ground()
    assert np.abs(read(styled(truth.repeat(20, 0), name, 15.0, 0), truth)).max() < 0.15


def test_bare_ground_shows_no_shift() -> None:
    bare = np.full((2, 64, 64, 3), 128, dtype=np.uint8)
    assert scenery(bare, np.zeros((64, 64), dtype=bool)) is None


def test_a_floor_shows_no_shift_along_it() -> None:
    truth = ground()
    truth[:, :, :10] = truth[:, :, 10:11]
    moved = jitter(truth.repeat(20, 0), 15.0, np.random.default_rng(0), sd=0.3)
    true = np.random.default_rng(0).normal(0, 0.3, (20, 2))[:, ::-1]
    found = read(moved, truth)
    assert np.abs(found[:, 0]).max() < 0.02
    assert np.abs(found[:, 1] - true[:, 1]).mean() < 0.1


def test_a_large_shift_is_left() -> None:
    truth = ground()
    assert (read(np.roll(truth, 4, axis=1), truth) == 0).all()


def clip_of(task: str) -> Clip:
    return make_clip(Row(task, "test", 0), render_spec(128, 10.0))


@pytest.mark.parametrize("task", ("collisions/billiards-v1", "occlusion/screen-pass-v1", "orbits/flyby-v1"))
def test_bodies_do_not_tremble_with_the_picture(task: str) -> None:
    clip = clip_of(task)
    window = clip.window(CONTEXT)
    true, share = clip.px_positions()[window][CONTEXT:], clip.visible_share()[window][CONTEXT:]
    frames = np.concatenate([clip.context(CONTEXT), styled(clip.future(), "jitter-.3", clip.spec.fps, 0)])
    off = (track(clip, CONTEXT, frames).position[CONTEXT:] - true)[share > 0.98]
    assert np.isfinite(off).all()
    assert np.sqrt((off**2).mean()) < 0.12  # .3 px without it
    plain = track(clip, CONTEXT, clip.frames[window]).position[CONTEXT:]
    assert np.nanmax(np.abs((plain - true)[share > 0.98])) < 0.35
