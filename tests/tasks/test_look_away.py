"""look-away: the ball rolls on at constant speed while the camera shows nothing of it."""

from __future__ import annotations

import numpy as np
import pytest
from kept_clips import kept_clip

from physbench.clips.clip import Clip, Row, Split
from physbench.clips.generate import make_params, make_scene, render_spec
from physbench.clips.task import HALF_WINDOW
from physbench.rollout.store import Rollout
from physbench.score.score_clip import find_scorers, score_clip
from physbench.support.arrays import Image
from physbench.tasks.occlusion import TURN_TIME, LookAway
from physbench.world.bullet import simulate
from physbench.world.drawing import render

CONTEXT = 8  # frames
TIMES = np.arange(-20, 41) / 10  # s
READINGS = ("consistency/shadowing", "permanence/intact")


@pytest.mark.parametrize(("split", "seed"), [("test", 0), ("test", 1), ("ood", 0)])
def test_the_ball_rolls_on_unseen(split: Split, seed: int) -> None:
    row = Row(LookAway.id, split, seed)
    p, scene = make_params(row), make_scene(row)
    rolled = simulate(scene, TIMES).states
    x = rolled[:, 0, 0]
    free = p["release"] < TIMES
    start = -np.sign(p["velocity"]) * p["start"]
    np.testing.assert_allclose(x[free], start + p["velocity"] * (TIMES[free] - p["release"]), atol=2e-3)
    assert np.abs(x).max() + p["radius"] <= HALF_WINDOW
    times = np.array(
        [p["away_at"], p["away_at"] + TURN_TIME, p["away_at"] + p["away_for"], p["away_at"] + p["away_for"] + TURN_TIME]
    )
    states = np.repeat(rolled[-1:], len(times), axis=0)
    states[:, 0, 0] = np.interp(times, TIMES, x)
    for size in (64, (64, 128)):
        area = render(scene, times, states, render_spec(size, 10)).visible_area[:, 0]
        assert area[1] == area[2] == 0 and min(area[0], area[3]) > 30
    assert f"turns to the {'right' if p['away_to'] > 0 else 'left'}" in scene.prompt


def readings(clip: Clip, future: Image) -> dict[str, float | None]:
    scorers = [scorer for scorer in find_scorers() if scorer.id in READINGS]
    return {row.reading: row.value for row in score_clip(clip, Rollout(clip.id, 0, future), CONTEXT, scorers)[0]}


@pytest.mark.slow
def test_a_ball_that_waits_until_it_is_seen_again_breaks_a_law() -> None:
    clip = kept_clip(LookAway.id)
    true = readings(clip, clip.future())
    assert [true[name] for name in READINGS] == [1.0, 1.0]
    unseen = (clip.visible_share()[:, 0] == 0) & (clip.times > 0)
    states = clip.states.copy()
    states[:, 0, 0] -= np.cumsum(unseen) / clip.spec.fps * make_params(clip.row)["velocity"]
    waits = render(clip.scene, clip.times, states, clip.spec).frames[clip.handover + 1 :]
    consistency = readings(clip, waits)["consistency/shadowing"]
    assert consistency is not None and consistency < 0.75
