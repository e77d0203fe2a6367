"""walk-round: what rests keeps its place while the camera goes half round it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from kept_clips import kept_clip

from physbench.clips.clip import Clip, Row, Split
from physbench.clips.generate import make_params, make_scene, render_spec
from physbench.rollout.store import Rollout
from physbench.score.score_clip import find_scorers, score_clip
from physbench.support.arrays import Image
from physbench.tasks.moving_camera import WalkRound, walk_ways
from physbench.track.tracker import track
from physbench.world.bullet import simulate
from physbench.world.camera import homographies, in_picture, mapped, pose_at, px_from_world
from physbench.world.drawing import render

CONTEXT = 8  # frames
PACE = make_params(Row(WalkRound.id, "test", 0))["pace"]  # rad/s, of the kept clip
TIMES = np.arange(-20, 41) / 10  # s
SPEC = render_spec(128, 10)
READINGS = ("consistency/shadowing", "permanence/intact", "drift/camera.turn")


@pytest.mark.parametrize(("split", "seed"), [("test", 0), ("test", 1), ("ood", 0)])
def test_the_camera_goes_half_round_three_balls(split: Split, seed: int) -> None:
    row = Row(WalkRound.id, split, seed)
    p, scene = make_params(row), make_scene(row)
    states = simulate(scene, TIMES).states[:, :3, :3]
    glide, after, hit = walk_ways(p)
    late = p["meeting"] < TIMES
    since = (TIMES - p["meeting"])[late, None]
    np.testing.assert_allclose(states[late, 0, :2], after.start + since * after.velocity, atol=0.03)
    np.testing.assert_allclose(states[late, 1, :2], hit.start + since * hit.velocity, atol=0.03)
    early = (p["release"] < TIMES) & ~late
    since = (TIMES - p["release"])[early, None]
    np.testing.assert_allclose(states[early, 0, :2], glide.start + since * np.array(glide.velocity), atol=0.03)
    np.testing.assert_allclose(states[:, 2, :2], np.tile((p["rest_x"], p["rest_y"]), (len(TIMES), 1)), atol=1e-6)
    framing = homographies(scene.camera, SPEC, TIMES)[:, None]
    assert in_picture(framing, SPEC, px_from_world(scene.camera, SPEC, states)).all()
    eyes = np.array([pose_at(scene.camera, time).eye for time in (0.0, 2.0, 4.0)])
    assert np.allclose(eyes[:, 2], 10 * np.cos(np.radians(25))) and np.linalg.norm(eyes[2] - eyes[0]) > 8
    side = "right" if p["pace"] > 0 else "left"
    assert f"circles the table to the {side}" in scene.prompt
    right = pose_at(scene.camera, 0.0).axes[0]
    assert ((eyes[1] - eyes[0]) @ right > 0) == (side == "right")


def test_truth_is_located_from_every_side() -> None:
    clip = kept_clip(WalkRound.id, size=128, fps=10)
    window = clip.window(CONTEXT)
    tracks = track(clip, CONTEXT, clip.frames[window])
    off = np.linalg.norm(tracks.position - clip.px_positions()[window], axis=-1)
    assert np.isfinite(off).mean() > 0.95 and np.nanmax(off) < 0.3, "px, of balls of 21 px"
    assert np.nanmax(np.abs(tracks.area / clip.full_area[window][:, list(clip.tracked)] - 1)) < 0.06


def readings(clip: Clip, future: Image) -> list[float]:
    scorers = [scorer for scorer in find_scorers() if scorer.id in (*READINGS[:2], "drift/camera")]
    values = {row.reading: row.value for row in score_clip(clip, Rollout(clip.id, 0, future), CONTEXT, scorers)[0]}
    assert "drift/camera.followed" not in values, "a camera that walks does not turn alone"
    return [float(values[name] or 0.0) for name in READINGS]


@pytest.mark.slow
def test_what_does_not_keep_its_place_on_the_table_breaks() -> None:
    clip = kept_clip(WalkRound.id, size=128, fps=10)
    assert readings(clip, clip.future()) == [1.0, 1.0, pytest.approx(0.0, abs=1e-3)]
    now, scene = clip.handover, clip.scene
    window, states = clip.times[now + 1 :], clip.states[now + 1 :].copy()
    slow = tuple(replace(move, size=0.96 * move.size) for move in scene.camera.path)
    future = render(replace(scene, camera=replace(scene.camera, path=slow)), window, states, clip.spec).frames
    consistency, permanence, turned = readings(clip, future)
    lag = 0.04 * np.degrees(abs(PACE))  # degrees/s
    assert consistency > 0.9 and permanence > 0.9 and abs(turned) == pytest.approx(lag, rel=0.2), (
        "a camera that lags costs no physics"
    )
    # The third ball turns with the camera for a tenth of its way: it moves on the table without a cause.
    angle = 0.1 * PACE * window
    x, y = states[:, 2, 0].copy(), states[:, 2, 1].copy()
    states[:, 2, 0], states[:, 2, 1] = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
    consistency, permanence, _ = readings(clip, render(scene, window, states, clip.spec).frames)
    assert consistency < 0.9 and permanence > 0.9
    still = np.repeat(clip.context(1), len(window), axis=0)
    assert readings(clip, still)[0] < 0.2


def test_places_in_the_frames_are_where_the_homography_takes_them() -> None:
    clip = kept_clip(WalkRound.id, size=128, fps=10)
    framing = homographies(clip.scene.camera, clip.spec, clip.times[[-1]])[0]
    x, y = mapped(framing, clip.px_positions()[-1, 2]).round().astype(int)
    red, green, blue = (int(level) for level in clip.frames[-1, y, x])
    assert max(red, green, blue) - min(red, green, blue) > 60, "the hue of the third ball"
