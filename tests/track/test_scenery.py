"""Fixed bodies and the camera, frame by frame, against changes of known size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from kept_clips import kept_clip
from picture_styles import jitter, styled
from scenery_changes import SINCE, floor_vanished, half_vanished, moved, resized, tinted, vanished
from slow_cases import others_slow

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, render_spec
from physbench.track.scenery import without_camera
from physbench.track.tracker import track
from physbench.track.tracks import Tracks, Visibility
from physbench.validity.lawful_alternatives import filmed
from physbench.validity.sources import show

CONTEXT = 8
STYLES = ("", "h264-28", "blur-1.5", "bright-.6", "grain-8", "unsharp-2", "contrast-10")
WALL, SCREEN, FLOOR = "collisions/wall-bounce-v1", "occlusion/screen-pass-v1", "falling/projectile-v1"
LIFT, INCLINE = "occlusion/screen-lift-v1", "falling/incline-v1"


def in_styles(*tasks: str) -> list[Any]:
    """Of the first task in H.264 and blurred; of the others without a style; the rest as slow tests."""
    return [
        pytest.param(
            task, style, marks=() if (style in STYLES[1:3] if task == tasks[0] else not style) else pytest.mark.slow
        )
        for task in tasks
        for style in STYLES
    ]


def clip_of(task: str, size: int = 64) -> Clip:
    return kept_clip(task, size=size, fps=10.0)


def tracked(clip: Clip, frames: np.ndarray, style: str = "") -> Tracks:
    frames = styled(frames, style, clip.spec.fps, 0) if style else frames
    return track(clip, CONTEXT, np.concatenate([clip.context(CONTEXT), frames]))


def lost(clip: Clip, tracks: Tracks) -> np.ndarray:
    """Share of the frames well after a change in which some fixed body is lost."""
    assert tracks.scenery_lost is not None
    return tracks.scenery_lost[tracks.times > SINCE + 0.7].any(axis=1).mean()


def off_diameters(clip: Clip, tracks: Tracks) -> float:
    assert tracks.scenery_off is not None
    return float(tracks.scenery_off.max(initial=0.0) / (clip.diameters()[-1, 0] * clip.pixels_per_metre))


@pytest.mark.parametrize(("task", "style"), in_styles(SCREEN, WALL, LIFT))
def test_truth_keeps_its_scenery_in_any_style(task: str, style: str) -> None:
    clip = clip_of(task)
    tracks = tracked(clip, clip.future(), style)
    assert tracks.scenery is not None and len(tracks.scenery)
    assert tracks.scenery_lost is not None and not tracks.scenery_lost.any()
    assert off_diameters(clip, tracks) < 0.03
    if not style:
        assert tracks.camera is not None and not tracks.camera.any()


def test_a_plank_may_hide_the_post_that_carries_it() -> None:
    clip = kept_clip("falling/seesaw-v1", seed=1009, size=128, fps=10.0)
    kept, gone = (tracked(clip, frames).scenery_lost for frames in (clip.future(), vanished(clip)))
    assert kept is not None and not kept.any()
    assert gone is not None and gone[-1].any()


@pytest.mark.parametrize(("task", "style"), in_styles(SCREEN, WALL, FLOOR, INCLINE))
def test_what_vanishes_is_lost(task: str, style: str) -> None:
    clip = clip_of(task)
    tracks = tracked(clip, vanished(clip), style)
    assert tracks.scenery_lost is not None
    assert not tracks.scenery_lost[tracks.times < SINCE - 0.2].any()
    assert lost(clip, tracks) > 0.9


@pytest.mark.parametrize(
    ("task", "size", "style"),
    [
        pytest.param(
            task, size, style, marks=() if size == 64 and (task == SCREEN) == (style == "h264-28") else pytest.mark.slow
        )
        for task in (SCREEN, "occlusion/screen-stop-v1", "occlusion/screen-swap-v1")
        for size in (64, 128)
        for style in ("", "h264-28", "blur-1.5")
    ],
)
def test_a_floor_that_vanishes_under_a_screen_is_lost(task: str, size: int, style: str) -> None:
    clip = clip_of(task, size)
    tracks = tracked(clip, floor_vanished(clip), style)
    assert tracks.scenery is not None and tracks.scenery_lost is not None
    late = tracks.scenery_lost[tracks.times > SINCE + 0.7].mean(axis=0)
    floor = [clip.scene.bodies[i].shape == "plane" for i in tracks.scenery]
    assert late[floor] > 0.9
    assert not late[np.logical_not(floor)].any()


@pytest.mark.parametrize("style", (pytest.param("", marks=pytest.mark.slow), "h264-28"))
def test_a_plate_that_stays_hides_what_it_hid(style: str) -> None:
    """No law says when a plate moves on: a picture that keeps it, or lets it go late, has lost no scenery."""
    clip = clip_of(LIFT)
    true = clip.future()
    kept = np.repeat(clip.frames[clip.handover][None], len(true), axis=0)
    for frames in (kept, np.concatenate([kept[:20], true[:-20]])):
        assert lost(clip, tracked(clip, frames, style)) == 0.0


@pytest.mark.parametrize("seed", (72000, 72003))
def test_what_comes_out_from_behind_a_screen_tells_an_even_pan(seed: int) -> None:
    """A post that a plate hides at the hand-over, all of it or its upper half, is the only thing that stands still."""
    clip = make_clip(Row(LIFT, "test", seed), render_spec(128, 15.0))
    tracks = tracked(clip, clip.future(), "pan-3")
    assert tracks.camera is not None and tracks.scenery_lost is not None
    assert tracks.camera[CONTEXT:, 0] == pytest.approx(-0.03 * 128 * tracks.times[CONTEXT:], abs=0.1)
    assert not tracks.scenery_lost.any() and not tracks.hallucinations.any()


def test_a_body_that_grows_before_a_camera_that_pans_is_no_zoom() -> None:
    """Both sides of the post move as far, and before a zoom the further one moves further."""
    clip = make_clip(Row(LIFT, "test", 72000), render_spec(128, 15.0))
    tracks = tracked(clip, show(clip, CONTEXT, "size:1.25").frames, "pan-3")
    assert tracks.camera is not None
    assert tracks.camera[-1] == pytest.approx([-0.03 * 128 * tracks.times[-1], 0.0, 0.0, 0.0], abs=0.1)


def test_half_of_a_floor_that_vanishes_is_lost() -> None:
    clip = clip_of(FLOOR)
    assert lost(clip, tracked(clip, half_vanished(clip))) > 0.9


@pytest.mark.parametrize(
    "make",
    others_slow((lambda c: vanished(c, fading=True), tinted, lambda c: resized(c, factor=1.25)), [tinted]),
)
def test_what_fades_turns_red_or_grows_is_lost(make) -> None:  # type: ignore[no-untyped-def]
    clip = clip_of(SCREEN)
    assert lost(clip, tracked(clip, make(clip))) > 0.9


def test_a_red_screen_is_lost_in_a_darker_picture_too() -> None:
    clip = clip_of(SCREEN, 128)
    assert lost(clip, tracked(clip, tinted(clip), "bright-.6")) > 0.9
    assert lost(clip, tracked(clip, clip.future(), "bright-.6")) == 0


@pytest.mark.slow
def test_a_floor_that_sinks_is_the_frame_of_reference() -> None:
    """Nothing else shows where the picture is: the ball rises against it, by as much."""
    clip = clip_of(FLOOR, 128)
    tracks = tracked(clip, moved(clip, diameters=0.08))
    late = tracks.times > SINCE + 0.3
    assert tracks.camera is not None
    down = float(np.median(tracks.camera[late, 1]))  # less than 1.7 px: what is seen is the far edge of the floor
    assert 0.6 < down < 1.7
    true = clip.px_positions()[clip.window(CONTEXT)]
    assert np.nanmedian((tracks.position - true)[late, 0, 1]) == pytest.approx(-down, abs=0.2)


def test_what_moves_against_the_rest_is_off() -> None:
    clip = clip_of("collisions/billiards-v1", 128)
    tracks = tracked(clip, moved(clip, diameters=0.1))
    assert off_diameters(clip, tracks) == pytest.approx(0.1, abs=0.04)
    assert tracks.camera is not None and not tracks.camera.any()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pan", "zoom", "roll"),
    ((5.0, 0.0, 0.0), (0.0, 0.03, 0.0), (0.0, 0.0, 2.0)),  # by default: test_camera, test_intruders
)
def test_a_moving_camera_moves_no_body(pan: float, zoom: float, roll: float) -> None:
    clip = clip_of("collisions/billiards-v1", 128)
    frames = filmed(clip.future(), clip.times[clip.handover + 1 :], pan=pan, zoom=zoom, roll=roll)
    tracks = tracked(clip, frames)
    assert tracks.camera is not None
    early = (tracks.times > 0) & (tracks.times < 1.5)
    times = tracks.times[early]
    assert tracks.camera[early, 0] == pytest.approx(-pan * times, abs=0.5)
    assert tracks.camera[early, 2] == pytest.approx(zoom * times, abs=0.006)
    assert np.abs(tracks.camera[early, 3]) == pytest.approx(np.radians(roll) * times, abs=0.006)
    off = (tracks.position - clip.px_positions()[clip.window(CONTEXT)])[early]
    assert np.nanpercentile(np.abs(off), 95) < 0.6
    assert tracks.scenery_lost is not None and not tracks.scenery_lost[early].any()


@pytest.mark.slow
def test_a_shaking_camera_moves_no_body() -> None:
    """By 1.3 px in each direction: from frame to frame by more than an edge is read at once."""
    clip = clip_of("occlusion/screen-swap-v1", 128)
    tracks = tracked(clip, clip.future(), "shake-1")
    assert tracks.scenery_lost is not None and not tracks.scenery_lost.any()
    off = (tracks.position - clip.px_positions()[clip.window(CONTEXT)])[
        clip.visible_share()[clip.window(CONTEXT)] > 0.97
    ]
    assert np.nanpercentile(np.abs(off), 95) < 0.4


def test_a_camera_is_taken_off_exactly() -> None:
    clip = clip_of(WALL)
    position = np.random.default_rng(0).uniform(0, 64, (1, 5, 2))
    shift, zoom, turn = np.array([3.0, -2.0]), 0.1, 0.05
    away = position - 32
    seen = 32 + shift + (1 + zoom) * away + turn * np.stack([-away[..., 1], away[..., 0]], axis=-1)
    assert without_camera(clip, np.array([[*shift, zoom, turn]]), seen) == pytest.approx(position)


@pytest.mark.parametrize("task", others_slow(("collisions/billiards-v1", SCREEN, "orbits/flyby-v1"), [SCREEN]))
def test_bodies_do_not_tremble_with_the_picture(task: str) -> None:
    clip = clip_of(task, 128)
    frames = jitter(clip.future(), clip.spec.fps, np.random.default_rng(0), sd=0.3)
    window = clip.window(CONTEXT)
    true, share = clip.px_positions()[window][CONTEXT:], clip.visible_share()[window][CONTEXT:]
    off = (tracked(clip, frames).position[CONTEXT:] - true)[share > 0.98]
    assert np.sqrt((off**2).mean()) < 0.15  # .3 px without it


@pytest.mark.slow
def test_a_star_that_jumps_is_the_frame_of_reference() -> None:
    clip = clip_of("orbits/kepler-v1", 128)
    tracks = tracked(clip, moved(clip, diameters=0.3))
    star = next(k for k, body in enumerate(clip.tracked_bodies) if body.role == "fixed")
    true = clip.px_positions()[clip.window(CONTEXT)]
    late = tracks.times > SINCE + 0.1
    jump = 0.3 * clip.diameters()[-1, star] * clip.pixels_per_metre
    off = np.nanmedian((tracks.position - true)[late], axis=0)
    assert np.abs(off[star]).max() < 0.25
    assert off[1 - star, 0] == pytest.approx(-jump, abs=0.3)


def test_frames_that_are_missing_count_once() -> None:
    """Objects are absent in them, so that nothing is gained; scenery is not lost in them too."""
    clip = clip_of(WALL)
    tracks = tracked(clip, clip.future()[:5])
    assert tracks.scenery_lost is not None
    assert not tracks.scenery_lost.any()
    assert (tracks.state[CONTEXT + 5 :] == Visibility.ABSENT).all()


def test_scenery_painted_over_a_body_is_no_excuse() -> None:
    """A second screen hides the ball: it is absent, and what is drawn there changes no fixed body."""
    clip = clip_of(FLOOR)
    frames = clip.future().copy()
    frames[5:, :57] = 77
    tracks = tracked(clip, frames)
    assert (tracks.area[CONTEXT + 6 :, 0] < 5).mean() > 0.8


@pytest.mark.slow
def test_a_shift_stays_where_its_only_edge_is_hidden() -> None:
    """A block comes to lie before the end of a ramp, which alone shows a shift along it."""
    clip = clip_of("falling/incline-v1")
    tracks = tracked(clip, np.roll(clip.future(), 1, axis=2))
    off = np.linalg.norm(tracks.position - clip.px_positions()[clip.window(CONTEXT)], axis=-1)
    assert np.nanmax(off) < 0.15


def test_edges_beside_a_body_are_not_read_where_it_casts_a_shadow() -> None:
    """A darker strip along a wall, as long as the ball is within a radius of it."""
    plain = make_clip(Row(WALL, "test", 5), render_spec(128, 16.0))
    frames = plain.future().copy()
    strip = frames[16:28, 28:64, 71:79]
    strip[np.ptp(strip, axis=-1) < 30] = 70
    found = {}
    for look in ("plain", "natural"):
        tracks = tracked(replace(plain, spec=replace(plain.spec, look=look)), frames)
        assert tracks.scenery_off is not None and tracks.scenery_lost is not None
        found[look] = bool((tracks.scenery_off > 0.5).any() or tracks.scenery_lost.any())
    assert found == {"plain": True, "natural": False}
