"""follow: a projectile that the camera keeps in the middle is read relative to the room."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from kept_clips import kept_clip

from physbench.clips.clip import Clip, Row, Split
from physbench.clips.generate import make_params, make_scene, render_spec
from physbench.clips.task import HALF_WINDOW
from physbench.rollout.store import Rollout
from physbench.score.score_clip import find_scorers, score_clip
from physbench.support.arrays import Image
from physbench.tasks.moving_camera import Follow
from physbench.validity.measure import measure_one
from physbench.world.bullet import simulate
from physbench.world.camera import homographies, mapped, pose_at, px_from_world
from physbench.world.drawing import render

CONTEXT = 8  # frames
TIMES = np.arange(-20, 41) / 10  # s
SPEC = render_spec(128, 10)
READINGS = ("consistency/shadowing", "permanence/intact", "drift/camera")


@pytest.mark.parametrize(("split", "seed"), [("test", 0), ("test", 1), ("ood", 0)])
def test_the_camera_keeps_the_ball_in_the_middle(split: Split, seed: int) -> None:
    row = Row(Follow.id, split, seed)
    p, scene = make_params(row), make_scene(row)
    x = simulate(scene, TIMES).states[:, 0, :3]
    free = p["release"] < TIMES
    start = -math.copysign(p["start_x"], p["velocity_x"])
    np.testing.assert_allclose(x[free, 0], start + p["velocity_x"] * (TIMES[free] - p["release"]), atol=2e-3)
    assert np.abs(x[:, 0]).max() + p["radius"] <= HALF_WINDOW and np.ptp(x[:, 0]) > 2
    places = mapped(homographies(scene.camera, SPEC, TIMES), px_from_world(scene.camera, SPEC, x))
    assert np.abs(places[:, 0] / SPEC.width - 0.5).max() < 0.06
    ahead = np.array([pose_at(scene.camera, time).axes[2] for time in TIMES])
    speed = np.degrees(np.arccos(np.clip((ahead[1:] * ahead[:-1]).sum(axis=1), -1, 1))) * 10
    assert 4 < speed.max() < 12, "degrees/s"
    assert "The camera turns with the ball" in scene.prompt and "tatic" not in scene.prompt


def readings(clip: Clip, future: Image) -> list[float]:
    scorers = [scorer for scorer in find_scorers() if scorer.id in READINGS]
    values = {row.reading: row.value for row in score_clip(clip, Rollout(clip.id, 0, future), CONTEXT, scorers)[0]}
    return [float(values[name] or 0.0) for name in READINGS]


@pytest.mark.slow
def test_bodies_are_read_relative_to_the_room() -> None:
    clip = kept_clip(Follow.id, size=128, fps=10)
    consistency, permanence, pan = readings(clip, clip.future())
    assert (consistency, permanence) == (1.0, 1.0) and pan < 0.2
    now, window = clip.handover, clip.times[clip.handover + 1 :]
    states = clip.states[now + 1 :].copy()
    pose = [move for move in clip.scene.camera.path if move.begin < 0]
    still = replace(clip.scene, camera=replace(clip.scene.camera, path=tuple(pose)))
    consistency, permanence, pan = readings(clip, render(still, window, states, clip.spec).frames)
    # Its last frames leave out the ball, which the camera of the clip would show.
    assert consistency > 0.95 and 0.9 < permanence < 1 and pan > 3, "a camera that stops following costs no physics"
    states[:, 0, 0] = clip.states[now, 0, 0]
    consistency, permanence, pan = readings(clip, render(still, window, states, clip.spec).frames)
    assert consistency < 0.7 and permanence > 0.95, "a ball that keeps its place before a room that stands still"
    scorers = [scorer for scorer in find_scorers() if scorer.id in READINGS]
    light = {read.reading: read.value for read in measure_one(clip, CONTEXT, "gravity:0.9", scorers).reads}
    assert light[READINGS[0]] is not None and light[READINGS[0]] < 0.9
