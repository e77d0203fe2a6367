"""What should not change over time, changed by a known amount."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import saboteurs as sabotage
from handmade import times_ahead, tracks_at, true_places
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.protocol import Observation, Reading, Scorer, ScoreRow
from physbench.scorers.diagnostics import conservation
from physbench.scorers.diagnostics.appearance import background, hue, sharpness
from physbench.track.tracks import Tracks

Clips, Read = Callable[..., Clip], Callable[..., dict[str, ScoreRow]]
FALLING, COLLISIONS, ORBITS = "falling/projectile-v1", "collisions/head-on-v1", "orbits/kepler-v1"


def answer(scorer: Scorer, clip: Clip, tracks: Tracks, frames: NDArray[np.uint8] | None = None) -> dict[str, Reading]:
    rollout = Rollout(clip.id, 0, clip.future() if frames is None else frames)
    found = scorer.read(Observation(clip, rollout, tracks))
    return found if isinstance(found, dict) else {"": found}


def straight(clip: Clip, pace: float) -> NDArray[np.float64]:
    """Both balls of COLLISIONS on their ways, never meeting, at `pace` times their speeds."""
    now = clip.states[clip.handover, list(clip.tracked)]
    return now[None, :, :2] + pace * now[None, :, 7:9] * times_ahead(clip)[:, None, None]


@pytest.mark.parametrize("pace", [1.0, 1.2, 0.5])
def test_energy_and_momentum_drift_by_what_the_speeds_change(clip_of: Clips, pace: float) -> None:
    clip = clip_of(COLLISIONS)
    tracks = tracks_at(clip, straight(clip, pace), noise_px=0.03)
    index = list(clip.tracked)
    masses = np.array([clip.scene.bodies[i].mass for i in index])
    momenta = clip.states[clip.handover, index, 7:9] * masses[:, None]
    share = np.linalg.norm(momenta.sum(axis=0)) / np.linalg.norm(momenta, axis=-1).sum()
    assert answer(conservation.energy, clip, tracks)[""].value == pytest.approx(pace**2 - 1, abs=0.03)
    assert answer(conservation.momentum, clip, tracks)[""].value == pytest.approx(abs(pace - 1) * share, abs=0.01)


def test_a_ball_that_slows_down_steadily_loses_energy_steadily(clip_of: Clips) -> None:
    """v = v0 (1 - t / 8 s): the energy at the end of 4 s is a quarter of the first."""
    clip = clip_of("occlusion/screen-pass-v1")
    ball = next(i for i in clip.tracked if clip.scene.bodies[i].role == "moving")
    places, time, speed = true_places(clip), times_ahead(clip), clip.states[clip.handover, ball, 7]
    column = list(clip.tracked).index(ball)
    places[:, column, 0] = clip.states[clip.handover, ball, 0] + speed * (time - time**2 / 16)
    tracks = tracks_at(clip, places)
    found = answer(conservation.energy, clip, tracks)
    size = 9.81 * 2 * clip.scene.bodies[ball].size[0]  # the weight times the diameter
    scale = speed**2 / 2 / size
    energy = (1 - time / 8) ** 2 - 1
    assert found[""].value == pytest.approx(scale * energy[time >= 3].mean(), abs=0.02 * scale)
    assert found["slope"].value == pytest.approx(scale * np.polyfit(time, energy, 1)[0], rel=0.05)


def test_truth_keeps_them(clip_of: Clips, read: Read) -> None:
    for task in (COLLISIONS, "orbits/binary-v1"):
        rows = read(clip_of(task), sabotage.truth(clip_of(task)))
        assert rows["drift/momentum"].value < 0.02
    rows = read(clip_of(ORBITS), sabotage.truth(clip_of(ORBITS)))
    assert abs(rows["drift/energy"].value) < 0.05
    assert rows["drift/momentum"].status == "not applicable"
    falling = read(clip_of(FALLING), sabotage.truth(clip_of(FALLING)))
    assert falling["drift/momentum"].status == "not applicable" and falling["drift/energy"].value < -0.3  # it bounces


def test_the_slope_of_a_hue_that_drifts(clip_of: Clips) -> None:
    clip = clip_of(FALLING)
    tracks = tracks_at(clip, true_places(clip))
    drifting = np.maximum(tracks.times, 0.0)[:, None] * 5.0
    found = answer(hue, clip, replace(tracks, hue=np.broadcast_to(drifting, tracks.hue.shape)))
    assert found["slope"].value == pytest.approx(5.0) and found["last"].value == pytest.approx(17.6, abs=0.3)


@pytest.mark.parametrize("task", [FALLING, COLLISIONS, "occlusion/screen-pass-v1", "occlusion/screen-lift-v1"])
def test_a_background_that_brightens(clip_of: Clips, read: Read, task: str) -> None:
    """By 3 levels a second, and not at all in truth, whatever moves in front of it."""
    clip = clip_of(task)
    rows = read(clip, sabotage.truth(clip))
    assert rows["drift/background"].value == 0 and rows["drift/sharpness"].value == 1
    gain = np.round(3 * times_ahead(clip)).astype(np.uint8)[:, None, None, None]
    found = answer(background, clip, tracks_at(clip, true_places(clip)), np.minimum(clip.future(), 240) + gain)
    assert found["slope"].value == pytest.approx(3, abs=0.15)
    late = times_ahead(clip) >= 0.75 * clip.scene.horizon
    assert found[""].value == pytest.approx(float(gain[late].mean()), abs=0.6)


def test_a_picture_of_one_hue_has_lost_its_background(clip_of: Clips, read: Read) -> None:
    clip = clip_of(FALLING)
    assert read(clip, sabotage.one_hue(clip))["drift/background"].value > 40


@pytest.mark.parametrize("contrast", [0.25, 0.5, 1.0])
def test_half_the_contrast_is_half_as_sharp(clip_of: Clips, contrast: float) -> None:
    clip = clip_of(FALLING)
    frames = np.round(128 + contrast * (clip.future().astype(float) - 128)).astype(np.uint8)
    found = answer(sharpness, clip, tracks_at(clip, true_places(clip)), frames)
    assert found[""].value == pytest.approx(contrast, abs=0.02)


def test_blur_over_time_has_a_slope(clip_of: Clips) -> None:
    clip = clip_of(FALLING)
    contrast = 1 - times_ahead(clip)[:, None, None, None] / 8
    frames = np.round(128 + contrast * (clip.future().astype(float) - 128)).astype(np.uint8)
    found = answer(sharpness, clip, tracks_at(clip, true_places(clip)), frames)
    assert found["slope"].value == pytest.approx(-1 / 8, abs=0.01)
