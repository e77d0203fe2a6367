"""Tasks with pushes: the protocol of their clips, closed forms, and what a prediction without the push is worth."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import saboteurs as sabotage
from slow_cases import others_slow

from physbench.clips.clip import Row, Split
from physbench.clips.generate import make_clip, make_params, make_scene, render_spec
from physbench.clips.task import SPLITS, builtin_task_ids
from physbench.rollout.store import Rollout
from physbench.score.predictability import predictability_time
from physbench.score.score_clip import find_scorers, score_clip
from physbench.tasks.actions import CHANGED_BY, BilliardsPush, HeadOnPush, KeplerThrust, approach, contact_after_push
from physbench.world.bullet import Simulation, simulate
from physbench.world.scene import PALETTE, Scene

TASKS = builtin_task_ids(actions=True)
SEEDS = range(1)
CONTEXT = 8


@lru_cache
def played(task: str, split: Split, seed: int, pushed: bool = True) -> tuple[Scene, np.ndarray, Simulation]:
    """Scene, times at 20 Hz (T,) s and simulation, with its push or without."""
    scene = make_scene(Row(task, split, seed, "" if pushed else "unpushed"))
    times = np.arange(-40, round(scene.horizon * 20) + 1) / 20
    return scene, times, simulate(scene, times)


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
@pytest.mark.parametrize("task", TASKS)
def test_one_push_that_changes_what_happens(task: str, split: Split) -> None:
    for seed in SEEDS:
        scene, times, simulation = played(task, split, seed)
        (push,) = scene.impulses
        body = scene.index(push.body)
        assert 0 < push.time <= 1.5 and abs(push.time * 20 - round(push.time * 20)) < 1e-9
        assert scene.bodies[body].hue is not None and "push" in scene.prompt
        quiet, _, without = played(task, split, seed, pushed=False)
        assert not quiet.impulses and quiet.prompt == scene.prompt_unpushed and "push" not in quiet.prompt
        assert quiet.bodies == scene.bodies and quiet.prompt.count("Static camera") == 1
        off = np.linalg.norm((simulation.states - without.states)[..., :3], axis=-1)
        assert off[times <= push.time].max() == 0
        assert off[:, body].max() > 2 * scene.bodies[body].radius
        others = [k for k in scene.tracked if scene.bodies[k].role == "moving" and k != body]
        if others:
            assert off[times <= CHANGED_BY + 1.2][:, others].max() > 0.7 * 2 * scene.bodies[others[0]].radius


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_head_on_push_follows_the_closed_form(split: Split) -> None:
    for seed in range(3):
        scene, times, simulation = played(HeadOnPush.id, split, seed)
        params = make_params(Row(HeadOnPush.id, split, seed))
        places, before, pushed = approach(params)
        now = int(np.argmin(np.abs(times)))
        np.testing.assert_allclose(simulation.states[now, :2, :2], places, atol=1e-3)
        np.testing.assert_allclose(simulation.states[now, :2, 7:9], before, atol=1e-6)
        (contact,) = simulation.contacts
        between = (times > params["push"]) & (times < contact.time)
        assert between.any() and 0.25 - 2e-3 <= contact.time <= 0.6 * scene.horizon
        np.testing.assert_allclose(simulation.states[between, 0, 7:9], np.broadcast_to(pushed, (between.sum(), 2)))
        gain = np.subtract(pushed, before[0]) * scene.bodies[0].mass
        np.testing.assert_allclose(gain, scene.impulses[0].impulse[:2], rtol=1e-9)
        np.testing.assert_allclose(simulation.states[-1, :2, 7:9], contact_after_push(params)[1], atol=0.03)
        assert not played(HeadOnPush.id, split, seed, pushed=False)[2].contacts, "without the push they pass"


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_the_pushed_cue_ball_rolls_on(split: Split) -> None:
    """5/7 of what the push adds to its velocity is left once it rolls; nothing is hit before 0.25 s."""
    for seed in SEEDS:
        scene, times, simulation = played(BilliardsPush.id, split, seed)
        params = make_params(Row(BilliardsPush.id, split, seed))
        hits = [contact for contact in simulation.contacts if "table" not in (contact.a, contact.b)]
        assert hits[0].time >= 0.25 - 3e-3
        assert min(c.time for c in hits if "cushion" not in c.a + c.b) <= 0.6 * scene.horizon
        own = min((c.time for c in hits if scene.bodies[0].name in (c.a, c.b)), default=9.0)
        rolls = (times > params["push"] + 0.1) & (times < own)
        expected = BilliardsPush().pushed(params)[1][0]
        if rolls.any():
            np.testing.assert_allclose(simulation.states[rolls, 0, 7:9][0], expected, atol=0.02)
    np.testing.assert_allclose(scene.impulses[0].impulse[:2], BilliardsPush().impulse(params))


@pytest.mark.parametrize("split", others_slow(SPLITS, ("test",)))
def test_the_pushed_planet_follows_another_ellipse(split: Split) -> None:
    for seed in SEEDS:
        scene, times, simulation = played(KeplerThrust.id, split, seed)
        task, params = KeplerThrust(), make_params(Row(KeplerThrust.id, split, seed))
        star = np.array(scene.bodies[1].position[:2])
        np.testing.assert_allclose(star, task.star_position(params), atol=1e-9)
        after = simulation.states[times > params["push"] + 0.01, 0]
        r, v = after[:, :2] - star, after[:, 7:9]
        axis, vector = task.ellipse_after(params)
        found = 1 / (2 / np.linalg.norm(r, axis=-1) - (v**2).sum(-1) / params["mu"])
        np.testing.assert_allclose(np.mean(found), axis, rtol=0.01)
        momentum = r[:, 0] * v[:, 1] - r[:, 1] * v[:, 0]
        e_square = 1 - np.mean(momentum) ** 2 / (params["mu"] * axis)
        assert np.sqrt(max(e_square, 0)) == pytest.approx(np.hypot(*vector), abs=0.03)
        assert np.linalg.norm(r, axis=-1).min() >= params["radius"] + params["star_radius"] + 0.05
        assert np.abs(simulation.states[:, 0, :2]).max() + params["radius"] <= 2.56 + 0.02


@pytest.mark.parametrize(
    "task", [TASKS[1], *(pytest.param(task, marks=pytest.mark.slow) for task in (TASKS[0], TASKS[2]))]
)
def test_truth_is_right_and_to_ignore_the_push_is_wrong(task: str) -> None:
    clip = make_clip(Row(task, "test", 0), render_spec(64, 15))
    table = clip.actions(CONTEXT)
    assert table is not None and table.shape == (CONTEXT + clip.horizon, 6)
    (row,) = np.flatnonzero(table.any(axis=1))
    (push,) = clip.scene.impulses
    shown = clip.times[clip.window(CONTEXT)]
    assert shown[row - 1] <= push.time + 1e-9 < shown[row], "the first frame that shows its effect"
    hue = clip.scene.bodies[clip.scene.index(push.body)].hue
    np.testing.assert_allclose(table[row], [*PALETTE[hue or 0], *push.impulse], rtol=1e-6)

    assert predictability_time(clip, CONTEXT) == clip.scene.horizon, "whoever is told of the push can know"
    quiet = sabotage.picture(clip, sabotage.twin(clip, replace(clip.scene, impulses=())))
    readings = {}
    for name, frames in (("truth", clip.future()), ("quiet", quiet), ("freeze", sabotage.freeze(clip))):
        rows, _ = score_clip(clip, Rollout(clip.id, 0, frames), CONTEXT, find_scorers("drift/accuracy"))
        rows += score_clip(clip, Rollout(clip.id, 0, frames), CONTEXT, find_scorers("consistency/shadowing"))[0]
        readings[name] = {each.reading: each.quality for each in rows if each.quality is not None}
    assert min(readings["truth"].values()) >= 0.98
    assert readings["quiet"]["drift/accuracy"] <= 0.6 and readings["quiet"]["consistency/shadowing"] <= 0.9
    assert readings["freeze"]["consistency/shadowing"] <= 0.1 and readings["freeze"]["drift/accuracy"] <= 0.5
