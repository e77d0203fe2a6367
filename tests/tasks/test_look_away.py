"""look-away: the ball meets a wall, by Newton's law of restitution, while the camera shows nothing of either."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from kept_clips import kept_clip

from physbench.clips.clip import Clip, Row, Split
from physbench.clips.generate import make_clip, make_params, make_scene, render_spec
from physbench.clips.task import HALF_WINDOW
from physbench.rollout.store import Rollout
from physbench.score.score_clip import find_scorers, score_clip
from physbench.scorers.diagnostics.appearance import camera
from physbench.tasks.moving_camera import TURN_TIME, LookAway, away_meeting
from physbench.track.tracker import track
from physbench.validity.measure import measure_one
from physbench.validity.violations import candidate_events
from physbench.world.bullet import simulate
from physbench.world.drawing import render

CONTEXT = 8  # frames
TIMES = np.arange(-20, 41) / 10  # s
CONSISTENCY, PERMANENCE, RETURN = "consistency/shadowing", "permanence/intact", "permanence/return"


@pytest.mark.parametrize(("split", "seed"), [("test", 0), ("test", 1), ("ood", 0)])
def test_the_ball_meets_the_wall_unseen(split: Split, seed: int) -> None:
    row = Row(LookAway.id, split, seed)
    p, scene = make_params(row), make_scene(row)
    simulation, meeting = simulate(scene, TIMES), away_meeting(p)
    hits = [contact.time for contact in simulation.contacts if "wall" in (contact.a, contact.b)]
    assert hits == [pytest.approx(meeting, abs=0.005)]
    way = np.sign(p["velocity"]) * simulation.states[:, 0, 0]
    speed, met = abs(p["velocity"]), p["wall"] - p["radius"]
    late = meeting < TIMES
    towards = (p["release"] < TIMES) & ~late
    np.testing.assert_allclose(way[towards], met + speed * (TIMES[towards] - meeting), atol=0.02)
    np.testing.assert_allclose(way[late], met - p["restitution"] * speed * (TIMES[late] - meeting), atol=0.02)
    assert np.abs(way).max() + p["radius"] <= HALF_WINDOW
    away, back = p["away_at"], p["away_at"] + p["away_for"]
    times = np.array([away, away + TURN_TIME, back, back + TURN_TIME])
    states = np.repeat(simulation.states[-1:], len(times), axis=0)
    states[:, 0, 0] = np.interp(times, TIMES, simulation.states[:, 0, 0])
    for size in (64, (64, 128)):
        area = render(scene, times, states, render_spec(size, 10)).visible_area
        assert not area[1:3, [scene.index("ball"), scene.index("wall")]].any() and min(area[[0, 3], 0]) > 30
    assert f"turns to the {'right' if p['away_to'] > 0 else 'left'}" in scene.prompt


def test_violations_know_when_the_camera_shows_the_ball() -> None:
    p, candidates = make_params(Row(LookAway.id, "test", 0)), candidate_events(make_scene(Row(LookAway.id, "test", 0)))
    unseen, whole = candidates.hidden(0), candidates.seen(0)
    away, back = p["away_at"], p["away_at"] + p["away_for"]
    standing = (candidates.times >= away + TURN_TIME) & (candidates.times <= back)
    before = candidates.times <= away
    assert unseen[standing].all() and whole[before].all() and not (unseen & whole).any()
    assert whole[candidates.times >= back + TURN_TIME].all()


def readings(clip: Clip, source: str) -> tuple[float, float, float]:
    """Consistency, permanence and the share of returns of a source."""
    scorers = [scorer for scorer in find_scorers() if scorer.id in (CONSISTENCY, PERMANENCE, RETURN)]
    part = measure_one(clip, CONTEXT, source, scorers)
    values = {read.reading: read.value for read in part.reads}
    consistency, permanence, returned = values[CONSISTENCY], values[PERMANENCE], values[f"{RETURN}.returned"]
    assert part.outcome == "shown" and consistency is not None and permanence is not None and returned is not None
    return consistency, permanence, returned


@pytest.mark.slow
def test_what_happens_to_an_unseen_ball_is_read_when_it_is_back() -> None:
    clip = kept_clip(LookAway.id, size=128, fps=10)
    assert readings(clip, "truth") == (1.0, 1.0, 1.0)
    vanished, hue = readings(clip, "return-never"), readings(clip, "return-hue")
    assert vanished[1] < 0.5 and hue[1] < 0.1 and vanished[2] == hue[2] == 0
    waits, ahead = readings(clip, "return-late:1.0"), readings(clip, "return-early:0.2")
    assert waits[0] < 0.5 and waits[1] > 0.9
    assert ahead[0] < 0.9 and ahead[1] > 0.9 and waits[2] == ahead[2] == 1


def test_a_camera_that_stays_turned_away_loses_the_ball() -> None:
    clip = kept_clip(LookAway.id, size=64, fps=10)
    p, ahead = make_params(clip.row), clip.times[clip.handover + 1 :]
    turned, due = p["away_at"] + TURN_TIME, p["away_at"] + p["away_for"] + TURN_TIME
    frames = clip.future().copy()
    frames[ahead > turned + 0.1] = frames[np.argmax(ahead > turned)]
    scorers = [scorer for scorer in find_scorers() if scorer.id in (CONSISTENCY, PERMANENCE)]
    read, _ = score_clip(clip, Rollout(clip.id, 0, frames), CONTEXT, scorers)
    quality = {each.reading: each.quality for each in read}
    shown = 1 - np.mean(ahead >= due) / (1 - np.mean((ahead > p["away_at"]) & (ahead < due)))  # at most
    assert quality[CONSISTENCY] < 0.2 and quality[PERMANENCE] < shown + 0.1 < 0.7


def test_the_camera_is_read_where_it_has_not_turned_right_away() -> None:
    clip = kept_clip(LookAway.id, size=64, fps=10)
    rollout = Rollout(clip.id, 0, frames=clip.frames[clip.handover + 1 :])
    tracks = track(clip, CONTEXT, clip.frames[clip.window(CONTEXT)])
    away = tracks.camera.copy()
    away[CONTEXT + 10 : CONTEXT + 20] = np.nan  # as of a pan by more than a right angle
    seen = camera.function(clip, rollout, replace(tracks, camera=away))
    assert seen[""].value < 0.05 and seen["followed"].value == pytest.approx(1, abs=0.01)
    away[CONTEXT + 1 :] = np.nan
    assert camera.function(clip, rollout, replace(tracks, camera=away)).status == "not applicable"


def test_a_wall_that_moves_while_nobody_looks_is_off() -> None:
    """Its edges are uncertain as those of ground truth are in the frames of a camera that turns, and no more."""
    clip = make_clip(Row(LookAway.id, "test", 32), render_spec(64, 15))
    wall = clip.scene.index("wall")
    states = clip.states.copy()
    states[clip.times > 1.5, wall, 0] += 0.15
    moved = render(clip.scene, clip.times, states, clip.spec).frames
    for frames, least, most in ((clip.frames, 0.0, 0.0), (moved, 0.5, 3.0)):
        tracks = track(clip, 8, np.concatenate([clip.context(8), frames[clip.handover + 1 :]]))
        assert tracks.scenery_off is not None and least <= tracks.scenery_off[:, -1].max() <= most
