"""What lasts is told from what flickers by seconds, at every frame rate; a screen that moves leaves tracks alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from slow_cases import others_slow

from physbench.clips.clip import Clip, Row
from physbench.track.blobs import lasting_frames
from physbench.track.tracker import track
from physbench.track.tracks import Visibility
from physbench.world.bullet import simulate
from physbench.world.camera import px_from_plane
from physbench.world.drawing import render
from physbench.world.scene import HISTORY, SCREEN_GREY, Body, Camera, RenderSpec, Scene, Waypoint, sphere_mass

UNKNOWN = (0.9, 0.5, 0.135)  # a hue between those of the palette


def test_a_fifth_of_a_second_in_frames() -> None:
    assert [lasting_frames(fps) for fps in (4, 10, 15, 20, 30, 60)] == [2, 2, 3, 4, 6, 12]


@pytest.mark.parametrize("fps", others_slow([10, 30, 60], 1))
@pytest.mark.parametrize(("gap", "absent"), [(0.1, False), (0.3, True)])
def test_a_short_gap_is_a_flicker_and_a_longer_one_an_absence(
    clip_of: Callable[..., Clip], stages: dict[str, Callable[..., object]], fps: int, gap: float, absent: bool
) -> None:
    steps, handover = round(1.5 * fps), round(0.5 * fps)
    stage = stages["four"](steps)
    times = (np.arange(steps) - handover) / fps
    clip = clip_of(stage, 64, fps, handover)
    missing = (times > 0.29) & (times < 0.29 + gap)
    stage.balls[0].shown = ~missing  # type: ignore[attr-defined]
    strange = clip_of(stage, 64, fps, handover).frames
    state = track(clip, handover + 1, strange).state[:, 0]
    assert bool((state == Visibility.ABSENT).any()) == absent
    assert not absent or (state[missing] == Visibility.ABSENT).all()


@pytest.mark.parametrize("fps", others_slow([10, 30, 60], 1))
@pytest.mark.parametrize(("length", "counted"), [(0.1, False), (0.3, True)])
def test_a_hallucination_lasts(
    clip_of: Callable[..., Clip],
    stages: dict[str, Callable[..., object]],
    fps: int,
    length: float,
    counted: bool,
) -> None:
    steps, handover = round(1.5 * fps), round(0.5 * fps)
    times = (np.arange(steps) - handover) / fps
    stage = stages["four"](steps)
    stage.balls = stage.balls[:3]  # type: ignore[attr-defined]
    clip = clip_of(stage, 64, fps, handover)
    more = stages["four"](steps)
    more.balls[3].colour = UNKNOWN  # type: ignore[attr-defined]
    more.balls[3].shown = (times > 0.29) & (times < 0.29 + length)  # type: ignore[attr-defined]
    tracks = track(clip, handover + 1, clip_of(more, 64, fps, handover).frames)
    assert bool(tracks.hallucinations.any()) == counted


@pytest.mark.parametrize("size", [64, 128])
def test_a_moving_screen_leaves_tracks_alone(size: int) -> None:
    """It stood where the ball comes by later, and stands where it was before."""
    radius = 0.45
    ball = Body(
        "ball", "sphere", (radius,), "moving", (-1.9, 0, 0), velocity=(0.6, 0, 0), hue=0, mass=sphere_mass(radius)
    )
    path = (Waypoint(0.0, (1.2, -0.85, 0.0)), Waypoint(0.6, (1.2, -0.85, 1.8)), Waypoint(2.5, (-1.0, -0.85, 1.8)))
    screen = Body(
        "screen", "box", (0.5, 0.05, 0.5), "kinematic", path[0].position, grey=SCREEN_GREY, collides=False, path=path
    )
    box = Body("box", "box", (0.4, 0.4, 0.4), "fixed", (1.3, 0, -1.5), hue=3, flat=True)
    scene = Scene((ball, screen, box), Camera("front", (0, 0, 0)))
    spec = RenderSpec(size, size, 15.0)
    times = np.arange(-HISTORY * 15, 46) / 15
    simulation = simulate(scene, times)
    picture = render(scene, times, simulation.states, spec)
    clip = Clip(
        Row("test/screen-v1", "test", 0),
        scene,
        spec,
        times,
        picture.frames,
        simulation.states,
        picture.visible_area,
        picture.full_area,
        (),
    )
    tracks = track(clip, 8, clip.frames[clip.window(8)])
    true = px_from_plane(scene.camera, spec, clip.plane_positions()[clip.window(8)])
    shares = clip.visible_share()[clip.window(8)]
    whole = shares[:, 0] > 0.95
    away = np.linalg.norm(tracks.position - true, axis=-1)
    assert whole.sum() > 40 and np.isfinite(away[whole, 0]).all()
    assert away[whole, 0].max() < 0.15
    assert np.nanmax(away[shares[:, 1] > 0.95, 1]) < 0.3
    still = replace(scene, bodies=(ball, replace(screen, path=()), box))
    assert (track(replace(clip, scene=still), 8, clip.frames[clip.window(8)]).position_sd[whole, 0] > 0.05).any()
