"""Frames that no model should make, and bad input."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from picture_styles import styled
from scipy import ndimage
from slow_cases import others_slow

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, render_spec
from physbench.support.errors import PhysbenchError
from physbench.track import disc_fit, intruders, patches, tracker
from physbench.track.tracker import track
from physbench.track.tracks import Tracks, Visibility
from physbench.world.scene import PALETTE

CONTEXT, STEPS = 8, 20


@pytest.fixture(scope="module")
def clip(stages: dict, clip_of: Callable[..., Clip]) -> Clip:
    return clip_of(stages["four"](STEPS), 64)


def predicted(clip: Clip, frames: np.ndarray | int | tuple) -> np.ndarray:
    """The clip's frames with everything after the context replaced."""
    video = clip.frames.copy()
    video[CONTEXT:] = np.clip(np.round(frames), 0, 255)
    return video


def same(a: Tracks, b: Tracks) -> bool:
    return all(
        np.array_equal(getattr(a, field.name), getattr(b, field.name), equal_nan=True)
        for field in dataclasses.fields(a)
        if isinstance(getattr(a, field.name), np.ndarray)
    )


def garbage(clip: Clip) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shape = clip.frames[CONTEXT:].shape
    blocks = rng.integers(0, 5, (len(clip.frames) - CONTEXT, 8, 8)).repeat(8, 1).repeat(8, 2)
    return {
        "black": np.zeros(shape),
        "white": np.full(shape, 255.0),
        "noise": rng.integers(0, 256, shape).astype(float),
        "blocks": np.array(PALETTE)[blocks] * 225,
        **{f"hue {i}": np.broadcast_to(np.array(hue) * 225, shape) for i, hue in enumerate(PALETTE)},
    }


@pytest.mark.parametrize("kind", ("black", "white", "noise", "hue 4"))
def test_nothing_of_the_scene_is_seen_in(clip: Clip, kind: str) -> None:
    tracks = track(clip, CONTEXT, predicted(clip, garbage(clip)[kind]))
    assert (tracks.state[CONTEXT:] == Visibility.ABSENT).all()
    assert np.isnan(tracks.position[CONTEXT:]).all()
    assert (tracks.area[CONTEXT:] < 0.35 * clip.full_area[CONTEXT:]).all()
    assert (tracks.state[:CONTEXT] == Visibility.VISIBLE).all()


@pytest.mark.parametrize("hue", range(4))
def test_one_hue_is_an_object_out_of_all_proportion(clip: Clip, hue: int) -> None:
    tracks = track(clip, CONTEXT, predicted(clip, garbage(clip)[f"hue {hue}"]))
    assert (tracks.area[CONTEXT:, hue] > 4 * clip.full_area[CONTEXT:, hue]).all()
    assert np.isnan(tracks.position[CONTEXT:]).all()
    assert (np.delete(tracks.state[CONTEXT:], hue, axis=1) == Visibility.ABSENT).all()


def test_blocks_of_all_hues_are_duplicates_and_hallucinations(clip: Clip) -> None:
    tracks = track(clip, CONTEXT, predicted(clip, garbage(clip)["blocks"]))
    assert (tracks.duplicates[CONTEXT:].sum(1) > 2).all()
    assert (tracks.hallucinations[CONTEXT:] > 0).all()


def test_missing_frames_are_absent(clip: Clip) -> None:
    tracks = track(clip, CONTEXT, clip.frames[: CONTEXT + 4])
    assert (tracks.state[: CONTEXT + 4] == Visibility.VISIBLE).all()
    assert (tracks.state[CONTEXT + 4 :] == Visibility.ABSENT).all()
    assert len(tracks.times) == len(tracks.position) == STEPS
    nothing = track(clip, CONTEXT, clip.frames[:CONTEXT])
    assert (nothing.state[CONTEXT:] == Visibility.ABSENT).all()
    assert (track(clip, CONTEXT, clip.frames[:0]).state == Visibility.ABSENT).all()
    longer = np.concatenate([clip.frames, clip.frames[-1:]])
    assert same(track(clip, CONTEXT, longer), track(clip, CONTEXT, clip.frames))


def test_one_context_frame(clip: Clip) -> None:
    tracks = track(clip, 1, clip.frames[clip.window(1)])
    assert (tracks.state == Visibility.VISIBLE).all()
    assert np.abs(tracks.position - clip.px_positions()[clip.window(1)]).max() < 0.12


def test_object_that_the_context_does_not_show(stages: dict, clip_of: Callable[..., Clip]) -> None:
    stage = stages["four"](STEPS)
    stage.balls[1] = dataclasses.replace(stage.balls[1], shown=np.arange(STEPS) >= 12)
    clip = clip_of(stage, 64)
    tracks = track(clip, CONTEXT, clip.frames)
    assert (tracks.state[:12, 1] == Visibility.OCCLUDED).all()
    assert (tracks.state[12:, 1] == Visibility.VISIBLE).all()
    assert np.abs(tracks.area[12:, 1] / clip.full_area[12:, 1] - 1).max() < 0.05


CHANGES = {
    "darker": lambda x: x * 0.7,
    "brighter": lambda x: x * 1.3,
    "pale": lambda x: (x + x.mean(-1, keepdims=True)) / 2,
    "cast": lambda x: x + np.array([20, 0, -15]),
    "gamma": lambda x: 255 * (x / 255) ** 1.3,
    "checkerboard": lambda x: (
        x + ((np.indices(x.shape[1:3]).sum(0) % 2) * 40 - 20)[None, :, :, None] * np.array([1, -1, 1])
    ),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_colours_that_are_off_move_nothing(clip: Clip, kind: str) -> None:
    frames = predicted(clip, CHANGES[kind](clip.frames[CONTEXT:].astype(float)))
    tracks = track(clip, CONTEXT, frames)
    assert (tracks.state == Visibility.VISIBLE).all()
    assert np.abs(tracks.position - clip.px_positions()).max() < 0.25
    assert not tracks.duplicates.any()
    assert not tracks.hallucinations.any()


@pytest.mark.parametrize("gains", ((1.02, 1.0, 0.97), (0.96, 1.0, 1.04)))
def test_a_white_balance_moves_no_cylinder(gains: tuple[float, float, float]) -> None:
    """It tints a bright ramp more than the ground behind it."""
    rolling = make_clip(Row("falling/incline-v1", "test", 900), render_spec(64, 15))  # a cylinder on a ramp of 0.91
    assert rolling.tracked_bodies[0].shape == "cylinder"
    frames = predicted(rolling, rolling.frames[CONTEXT:].astype(float) * gains)
    tinted, true = (track(rolling, CONTEXT, each).position for each in (frames, rolling.frames))
    assert np.array_equal(np.isnan(tinted), np.isnan(true))
    assert np.nanmax(np.abs(tinted - true)) < 0.2  # px of 9


@pytest.mark.parametrize("name", ("unsharp-1", "unsharp-2"))
@pytest.mark.parametrize(
    ("stage", "size"), others_slow((("four", 64), ("four", 128), ("screen", 128), ("crossing", 128)), 1)
)
def test_the_rim_of_a_sharpened_picture_is_no_object(
    stages: dict, clip_of: Callable[..., Clip], stage: str, size: int, name: str
) -> None:
    sharp_clip = clip_of(stages[stage](STEPS), size)
    frames = np.concatenate([sharp_clip.frames[:CONTEXT], styled(sharp_clip.frames[CONTEXT:], name, 15.0, 0)])
    tracks = track(sharp_clip, CONTEXT, frames)
    assert not tracks.hallucinations.any() and not tracks.duplicates.any()
    plain = track(sharp_clip, CONTEXT, sharp_clip.frames)
    assert np.isin(tracks.state, (Visibility.ABSENT,)).sum() == 0
    whole = sharp_clip.visible_share() > 0.98
    assert np.abs(tracks.area / sharp_clip.full_area - 1)[whole].max() < 0.08
    off = np.abs(tracks.position - sharp_clip.px_positions())
    assert np.isfinite(off[np.isfinite(plain.position)]).mean() > 0.9
    assert np.nanmax(off) < 0.3


@pytest.mark.parametrize(("blur", "noise", "sd"), ((2, 8, 0.12), (1, 8, 0.12), (0, 25, 0.25)))
def test_blur_and_noise(clip: Clip, blur: float, noise: float, sd: float) -> None:
    blurred = ndimage.gaussian_filter(clip.frames[CONTEXT:].astype(float), (0, blur, blur, 0))
    frames = predicted(clip, blurred + np.random.default_rng(1).normal(0, noise, blurred.shape))
    tracks = track(clip, CONTEXT, frames)
    off = (tracks.position - clip.px_positions())[CONTEXT:]
    assert np.isfinite(off).mean() > 0.97
    assert np.nanstd(off) < sd
    assert np.abs(np.nanmean(off, (0, 1))).max() < 0.05
    # The declared uncertainty holds: errors are about as large.
    declared = tracks.position_sd[CONTEXT:, :, None]
    assert 0.1 < np.nanmean((off / declared) ** 2) < 4
    assert np.abs(np.nanmedian(tracks.area[CONTEXT:] / clip.full_area[CONTEXT:]) - 1) < 0.05
    assert not tracks.duplicates.any()
    assert not tracks.hallucinations.any()
    assert (tracks.state == Visibility.VISIBLE).all()


@pytest.mark.parametrize("shape", ((64, 96), (50, 70), (96, 64), (32, 32)))
def test_any_size(clip: Clip, shape: tuple[int, int]) -> None:
    """Cut or padded pictures: nothing depends on 64 px, and the border is where the picture ends."""
    height, width = shape
    frames = np.full((STEPS, height, width, 3), 127, dtype=np.uint8)
    frames[:, : min(64, height), : min(64, width)] = clip.frames[:, :height, :width]
    visible = np.where(clip.px_positions().max(-1) < min(shape) - 8, clip.full_area, 0).astype(np.float32)
    other = dataclasses.replace(
        clip, frames=frames, spec=dataclasses.replace(clip.spec, height=height, width=width), visible_area=visible
    )
    tracks = track(other, CONTEXT, frames)
    off = np.abs(tracks.position - clip.px_positions())  # the same pixels
    assert np.nanmax(off[visible > 0]) < 0.15
    assert np.isfinite(off[visible > 0]).all()


@pytest.mark.slow
def test_large_pictures_are_tracked_smaller(stages: dict, clip_of: Callable[..., Clip]) -> None:
    clip = clip_of(stages["crossing"](12), 512)
    tracks = track(clip, CONTEXT, clip.frames)
    off = np.linalg.norm(tracks.position - clip.px_positions(), axis=-1)
    assert np.nanmax(off[clip.visible_share() > 0.5]) < 1.0  # of 512 px
    whole = clip.visible_share() > 0.95
    assert np.abs(tracks.area[whole] / clip.full_area[whole] - 1).max() < 0.06


def test_boxes_are_placed_by_coverage_and_dropped_where_cut(clip: Clip) -> None:
    half = 6.0
    body = dataclasses.replace(clip.scene.bodies[0], shape="box", size=(half * 0.08, half * 0.08, half * 0.08))
    scene = dataclasses.replace(clip.scene, bodies=(body,))
    frames = np.full((STEPS, 64, 64, 3), 127, dtype=np.uint8)
    x = 4 + 2 * np.arange(STEPS)
    for t, left in enumerate(x):
        frames[t, 20:32, max(left - 8, 0) : left + 4] = np.round(np.array(PALETTE[0]) * 240)
        frames[t, 20:32, max(left - 8, 0) : max(left - 4, 0)] = np.round(np.array(PALETTE[0]) * 180)  # a darker face
    area = np.full((STEPS, 1), 144.0, dtype=np.float32)
    visible = np.array([[12.0 * min(12, left + 4)] for left in x], dtype=np.float32)
    boxes = dataclasses.replace(
        clip, scene=scene, frames=frames, states=clip.states[:, :1], full_area=area, visible_area=visible
    )
    tracks = track(boxes, CONTEXT, frames)
    inside = x - 8 >= 0  # all of it, from the very border on
    assert np.abs(tracks.position[inside, 0] - np.stack([x[inside] - 2, np.full(inside.sum(), 26)], -1)).max() < 0.2
    assert np.isnan(tracks.position[~inside, 0]).all()
    assert (tracks.state[~inside, 0] == Visibility.CLIPPED).all()


def test_bad_input_is_said(clip: Clip) -> None:
    with pytest.raises(PhysbenchError, match="expected frames"):
        track(clip, CONTEXT, clip.frames[:, :32])
    with pytest.raises(PhysbenchError, match="uint8"):
        track(clip, CONTEXT, clip.frames.astype(np.float32))
    twins = dataclasses.replace(clip.scene, bodies=(clip.scene.bodies[0], *clip.scene.bodies[:3]))
    with pytest.raises(PhysbenchError, match="hue"):
        track(dataclasses.replace(clip, scene=twins), CONTEXT, clip.frames)


def test_nothing_to_track(clip: Clip) -> None:
    empty = dataclasses.replace(clip, scene=dataclasses.replace(clip.scene, bodies=()))
    empty = dataclasses.replace(
        empty, states=clip.states[:, :0], full_area=clip.full_area[:, :0], visible_area=clip.visible_area[:, :0]
    )
    tracks = track(empty, CONTEXT, clip.frames)
    assert tracks.position.shape == (STEPS, 0, 2)


def test_the_same_in_every_batch_thread_and_form(
    stages: dict, clip_of: Callable[..., Clip], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = clip_of(stages["crossing"](30), 64)
    rng = np.random.default_rng(2)
    frames = clip.frames.copy()
    noisy = frames[20:].astype(float) + rng.normal(0, 20, frames[20:].shape)
    frames[20:] = np.clip(np.round(noisy), 0, 255)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    first = track(clip, CONTEXT, frames)
    assert same(first, track(clip, CONTEXT, torch.from_numpy(frames)))
    read_only = frames.copy()
    read_only.flags.writeable = False
    assert same(first, track(clip, CONTEXT, read_only))
    assert same(first, track(clip, CONTEXT, np.asfortranarray(frames)))
    torch.set_num_threads(2)
    try:
        assert same(first, track(clip, CONTEXT, frames))
    finally:
        torch.set_num_threads(threads)
    for size in (20_000, 60_000):
        monkeypatch.setitem(tracker.CHUNK_BYTES, "cpu", size)
        monkeypatch.setattr(patches, "BATCH_PIXELS", size // 20)
        monkeypatch.setattr(disc_fit, "BATCH_PIXELS", size // 20)
        assert same(first, track(clip, CONTEXT, frames))


def test_a_copy_of_the_frames_is_tracked(clip: Clip) -> None:
    frames = predicted(clip, garbage(clip)["noise"])
    before = frames.copy()
    track(clip, CONTEXT, frames)
    assert np.array_equal(before, frames)


def test_what_depends_on_the_clip_alone_is_looked_for_once(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, find = [], intruders.surroundings
    monkeypatch.setattr(intruders, "surroundings", lambda *arguments: asked.append(1) or find(*arguments))
    fresh = dataclasses.replace(clip)
    first = track(fresh, CONTEXT, clip.frames)
    assert same(first, track(fresh, CONTEXT, clip.frames)) and len(asked) == 1
    track(fresh, CONTEXT - 1, clip.frames[1:])  # another window shows other frames of ground truth
    assert len(asked) == 2


@pytest.mark.parametrize("style", ("unsharp-1", "grain-8", "h264-28"))
def test_a_place_behind_a_screen_is_as_uncertain_as_it_says(
    stages: dict, clip_of: Callable[..., Clip], style: str
) -> None:
    """Sharpening and grain move no fitted disc: its place counts. A codec does at 64 px, and its places say so."""
    clip = clip_of(stages["screen"](60), 64)
    frames = np.concatenate([clip.frames[:CONTEXT], styled(clip.frames[CONTEXT:], style, 15.0, 0)])
    tracks, share = track(clip, CONTEXT, frames), clip.visible_share()[:, 0]
    part = np.flatnonzero((share > 0.6) & (share < 0.95) & (np.arange(60) >= CONTEXT))
    off = np.linalg.norm(tracks.position[part, 0] - clip.px_positions()[part, 0], axis=-1)
    sd = tracks.position_sd[part, 0]
    assert len(part) > 4 and np.isfinite(off).mean() > 0.8
    assert np.nanmax(off / sd) < 4
    if style == "h264-28":
        assert np.nanmedian(sd) > 0.1
    else:
        assert np.nanmax(sd) < 0.015 * np.sqrt(clip.full_area[0, 0] / np.pi) * 2
