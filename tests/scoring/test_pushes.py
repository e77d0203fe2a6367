"""Pushes as known changes of velocity: closed forms, fits that find them back, and what it costs to ignore one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from physbench.clips.clip import Clip
from physbench.scoring.explanation import explain
from physbench.scoring.motion import Constant, Orbit
from physbench.scoring.pushes import Push, Pushed, known_pushes, with_pushes
from physbench.scoring.stretches import motions
from physbench.tracks.tracks import Tracks
from physbench.world.camera import plane_from_world, px_from_plane
from physbench.world.scene import Scene
from physbench.world.stepping import simulate_ensemble

HEAD_ON, BILLIARDS, THRUST = "collisions/head-on-push-v1", "collisions/billiards-push-v1", "orbits/kepler-thrust-v1"
C = 8
Clips, Ideal = Callable[..., Clip], Callable[..., Tracks]
TIMES = np.linspace(0, 3, 46)
LAWS = [Constant((0.0, -9.81)), Constant((0.0, 0.0)), Orbit((0.1, 0.2), 34.0)]
STATE = np.array([1.3, 0.4, 1.0, 4.0])


def share(clip: Clip, tracks: Tracks) -> float:
    parts = [part for part in explain(clip, tracks) if part.due.any()]
    return float(sum(p.weight[p.due].sum() for p in parts) / sum(p.due.sum() for p in parts))


def played_with(clip: Clip, ideal: Ideal, scene: Scene) -> Tracks:
    """Tracks of a clip that goes on from the hand-over as another scene does."""
    states = simulate_ensemble(scene, 0.0, clip.states[clip.handover][None], clip.times[clip.handover + 1 :])[0]
    plane = plane_from_world(clip.scene.camera, states[:, list(clip.tracked), :3])
    px = clip.px_positions()[clip.window(C)].copy()
    px[C:] = px_from_plane(clip.scene.camera, clip.spec, plane)
    return ideal(clip, px=px, seen=np.all((px > 0) & (px < clip.spec.width), axis=-1))


@pytest.mark.parametrize("law", LAWS)
def test_pushed_motion_goes_on_with_the_new_velocity_and_fits_find_it_back(law: Constant | Orbit) -> None:
    first, second = Push(0.5, np.array([0.0, 0.0, 0.4, -0.3])), Push(1.23, np.array([0.02, 0.01, -0.2, 0.5]))
    pushed = Pushed(law, (first, second))
    path = pushed.propagate(STATE, TIMES)
    np.testing.assert_allclose(path[TIMES <= 0.5], law.propagate(STATE, TIMES[TIMES <= 0.5]), atol=1e-9)
    at = law.propagate(STATE, np.array([0.5]))[0] + first.change
    at = law.propagate(at, np.array([0.73]))[0] + second.change
    late = TIMES > 1.23
    np.testing.assert_allclose(path[late], law.propagate(at, TIMES[late] - 1.23), atol=1e-9)
    found = pushed.fit(TIMES, path[:, :2], STATE + np.array([0.02, -0.02, 0.03, 0.03]))
    np.testing.assert_allclose(found, STATE, atol=2e-3)


@pytest.mark.parametrize("task", [BILLIARDS, THRUST])
def test_known_changes_are_those_of_the_simulation(clip_of: Clips, ideal: Ideal, task: str) -> None:
    clip = clip_of(task)
    (body,) = (body for body in motions(clip, ideal(clip)) if clip.scene.bodies[body.index].name == pushed_of(clip))
    (push,) = known_pushes(clip, body)
    after = push.time + (0.15 if task == BILLIARDS else 0.01)
    start = clip.states[clip.handover]
    times = np.array([push.time, after])
    told, silent = (
        plane_from_world(clip.scene.camera, simulate_ensemble(scene, 0.0, start[None], times)[0, -1, body.index, 7:10])
        for scene in (clip.scene, replace(clip.scene, impulses=()))
    )
    np.testing.assert_allclose(told - silent, push.change[2:], atol=0.03)


def pushed_of(clip: Clip) -> str:
    (action,) = clip.scene.impulses
    return action.body


@pytest.mark.parametrize(("task", "falls_by"), [(HEAD_ON, 0.2), (BILLIARDS, 0.1), (THRUST, 0.6)])
def test_truth_is_explained_and_an_ignored_push_is_not(
    clip_of: Clips, ideal: Ideal, task: str, falls_by: float
) -> None:
    clip = clip_of(task)
    assert share(clip, ideal(clip)) == 1
    assert share(clip, played_with(clip, ideal, replace(clip.scene, impulses=()))) <= 1 - falls_by


def test_what_has_no_closed_form_is_not_known(clip_of: Clips, ideal: Ideal) -> None:
    """A ball that slides for long, a cylinder, a push onto the table."""
    clip = clip_of(BILLIARDS)
    name, table = pushed_of(clip), clip.scene.index("table")
    index = clip.scene.index(name)
    (body,) = (body for body in motions(clip, ideal(clip)) if body.index == index)
    assert len(known_pushes(clip, body)) == 1

    def changed(at: int, **what: object) -> Clip:
        bodies = list(clip.scene.bodies)
        bodies[at] = replace(bodies[at], **what)  # type: ignore[arg-type]
        return replace(clip, scene=replace(clip.scene, bodies=tuple(bodies)))

    assert not known_pushes(changed(table, friction=0.1), body)
    assert not known_pushes(changed(index, shape="cylinder", size=(0.4, 0.4)), body)
    (free,) = known_pushes(changed(table, friction=0.0), body)
    (action,) = clip.scene.impulses
    np.testing.assert_allclose(free.change[2:], np.array(action.impulse[:2]) / clip.scene.bodies[index].mass)
    down = replace(action, impulse=(*action.impulse[:2], -5.0))
    assert not known_pushes(replace(clip, scene=replace(clip.scene, impulses=(down,))), body)


def test_pushes_elsewhere_leave_the_law_as_it_is() -> None:
    law = LAWS[0]
    for moment in (0.95, 2.0, 2.9):
        assert with_pushes(law, (Push(moment, np.ones(4)),), 1.0, 2.0) is law
    assert with_pushes(law, (Push(1.3, np.ones(4)),), 1.0, 2.0) is not law
