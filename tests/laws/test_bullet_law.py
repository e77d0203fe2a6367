"""The law of last resort against the simulator, against closed forms, and what lets it in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from shadow_scenes import problem, truth

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, make_scene, render_spec
from physbench.clips.task import own_ids
from physbench.laws.bullet_law import BulletLaw
from physbench.laws.changes import WorldChange, altered_law
from physbench.laws.scene_law import Intervention, scene_law
from physbench.laws.support_check import Unsupported
from physbench.shadowing import shadow_states
from physbench.shadowing.fit import Arc
from physbench.shadowing.levels import at_levels
from physbench.shadowing.search import SegmentStarts
from physbench.support import plugins
from physbench.validity.task_checks import physics
from physbench.validity.task_checks.check_task import check_task
from physbench.validity.violations.violation_apply import ChangeLaws, ShiftState, simulate_hooked
from physbench.world.ballistic import fly, glide
from physbench.world.bodies import ball
from physbench.world.bullet import initial_states, simulate, simulate_ensemble
from physbench.world.scene import PHYSICS_HZ, Body, Camera, ForceField, Hinge, Impulse, Outcome, Scene, Waypoint

Array = NDArray[np.float64]

FILE = Path(__file__).parents[2] / "examples" / "new_physics.py"
PULLEY = FILE.with_name("pulley.py")
FRONT, DOWN = Camera("front", (0.0, 0.0, 1.5)), (0.0, 0.0, -9.81)
FLOOR = Body("floor", "plane", (), "fixed", (0.0, 0.0, 0.0), friction=1.0)
TIMES = np.arange(1, 46) / 30


@dataclass(frozen=True)
class Pull(ForceField):
    """All that moves is drawn to a point of its plane, as by a spring, from 0 s on."""

    rate: float  # rad/s

    def accelerations(self, scene: Scene, position: Array, velocity: Array, time: float) -> Array:
        return -(self.rate**2) * position * np.array([1.0, 0.0, 1.0]) * (time >= 0)


def tumbling(**more: object) -> Scene:
    """A box that turns as it falls onto a floor."""
    box = Body("box", "box", (0.4, 0.4, 0.25), "moving", (-0.5, 0.0, 1.6), hue=0, restitution=0.5, friction=0.4)
    return Scene((replace(box, velocity=(0.6, 0.0, 0.0), spin=(0.0, 2.0, 0.0)), FLOOR), FRONT, gravity=DOWN, **more)  # type: ignore[arg-type]


def pushed() -> Scene:
    """Two balls of different size that meet under a force of one's own, while a block on rails pushes them."""
    a = Body("a", "sphere", (0.3,), "moving", (-1.0, 0.0, 0.1), hue=0, velocity=(2.0, 0.0, 0.0), restitution=0.9)
    b = Body("b", "sphere", (0.4,), "moving", (0.5, 0.0, 0.0), hue=1, restitution=0.9)
    path = (Waypoint(0.0, (2.2, 0.0, 0.0)), Waypoint(1.0, (1.2, 0.0, 0.0)))
    block = Body("block", "box", (0.2, 0.5, 0.5), "kinematic", (2.2, 0.0, 0.0), path=path)
    return Scene((a, b, block), Camera("front", (0.0, 0.0, 0.0)), fields=(Pull(1.5),))


def swinging() -> Scene:
    """A plank that hangs on a hinge, and a ball that is thrown against it."""
    plank = Body("plank", "box", (0.16, 0.5, 0.9), "moving", (0.0, 0.0, 1.4), hue=0, restitution=0.8)
    thrown = Body("ball", "sphere", (0.4,), "moving", (-1.2, 0.0, 0.4), hue=1, velocity=(2.5, 0.0, 2.0))
    return Scene((plank, thrown), FRONT, gravity=DOWN, fields=(Hinge("plank", (0.0, 0.0, 2.2)),))


def law_of(scene: Scene) -> BulletLaw:
    law = scene_law(scene, 0.0)
    assert isinstance(law, BulletLaw)
    return law


def begin(law: BulletLaw, copies: int = 1) -> list[Intervention]:
    """The declared states of a scene at 0 s."""
    states = law.planar_states(initial_states(law.scene))
    return [Intervention(0, n, "state", np.repeat(state[None], copies, axis=0)) for n, state in enumerate(states)]


@pytest.mark.parametrize("make", [tumbling, pushed, swinging])
def test_it_is_the_simulator(make: Callable[[], Scene]) -> None:
    """From the beginning, and from the state of a frame on; a client that has been used begins again as a new one."""
    scene = make()
    law, steps = law_of(scene), TIMES * PHYSICS_HZ
    true = simulate_ensemble(scene, 0.0, initial_states(scene)[None], TIMES)[0][:, list(law.index)][..., [0, 2]]
    simulator = law.simulator()
    found = [simulator.run(begin(law), int(steps[-1])).positions(steps)[0] for _ in range(2)]
    assert np.ptp(true, axis=0).max() > 0.5
    assert np.abs(found[0] - true).max() < 1e-6  # rounding of turns
    assert np.array_equal(found[0], found[1])
    first = simulator.run(begin(law), int(steps[-1]))
    half = np.concatenate([part[0, 0] for part in first.at(steps[9:10])], axis=-1)
    again = [Intervention(int(steps[9]), n, "state", state[None]) for n, state in enumerate(half)]
    later = simulator.run(again, int(steps[-1])).positions(steps[9:])[0]
    assert np.abs(later - true[9:]).max() < 0.01
    assert first.contacts and all(0 < step <= steps[-1] and body >= 0 for step, body, _ in first.contacts)


def test_the_scenes_own_motion_is_that_of_ground_truth_to_the_last_bit() -> None:
    """Through hits, rest and a push, also of what begins at a later frame; a start 1e-9 m off is simulated."""
    a = Body("a", "box", (0.3, 0.3, 0.3), "moving", (0.3, 0.0, 0.3), hue=0, restitution=0.5, friction=0.6)
    b = Body("b", "sphere", (0.3,), "moving", (-0.2, 0.0, 1.9), hue=1, restitution=0.7, friction=0.6, release=0.0)
    scene = Scene((a, b, FLOOR), FRONT, gravity=DOWN, impulses=(Impulse(1.0, "b", (5.0, 0.0, 0.0)),), horizon=1.5)
    law = scene_law(scene, 0.0)
    assert isinstance(law, BulletLaw)
    true, steps = law.planar_states(simulate(scene, TIMES).states), np.round(TIMES * PHYSICS_HZ)
    push = [Intervention(1200, 1, "push", np.array([5.0 / b.mass, 0.0]))]
    assert 1200 in steps  # where a motion begins with the push, too
    for first, pushes in ((0, push), (round(steps[9]), push), (1200, push), (round(steps[-5]), [])):
        own = law.own_motion(first)
        assert own is not None
        states = np.stack([own, own])
        states[1, 1, 0] += 1e-9  # m
        begun = [Intervention(first, n, "state", states[:, n]) for n in range(2)]
        later = steps[steps > first]
        position, velocity, turning = law.simulator().run([*begun, *pushes], int(steps[-1])).at(later)
        kicked = later == 1200  # its state is that after the push
        found = np.concatenate([position, velocity, turning], axis=-1)
        assert np.array_equal(found[0][~kicked], true[-len(later) :][~kicked])
        assert not np.array_equal(found[1], found[0])
    begun = [Intervention(0, n, "state", law.planar_states(simulate(scene, [0.0]).states)[:, n]) for n in range(2)]
    contacts = law.simulator().run([*begun, *push], int(steps[-1])).contacts
    numbers = {"a": 0, "b": 1, "floor": -1}
    logged = [
        (round(each.time * PHYSICS_HZ), *sorted((numbers[each.a], numbers[each.b]), reverse=True))
        for each in simulate(scene, [1.5]).contacts
        if each.time >= 0
    ]
    assert set(contacts) == {(0, 0, -1), (1200, 0, -1), *logged}  # the box rests there, where it begins anew
    assert len(logged) > 1
    assert altered_law(law, WorldChange(gravity=0.8)).own_motion(0) is None


def test_a_ball_swings_as_hooke_says_and_many_candidates_at_once() -> None:
    ball = Body("ball", "sphere", (0.4,), "moving", (0.0, 0.0, 0.0), hue=0)
    law = law_of(Scene((ball,), Camera("front", (0.0, 0.0, 0.0)), fields=(Pull(2.0),)))
    speed = np.linspace(-2.0, 2.0, 5)
    states = np.zeros((5, 6))
    states[:, 2] = speed
    factors = np.array([[1.0, 1.0], [1.0, 0.81], [0.81, 1.0], [0.9, 0.9], [1.0, 1.0]])
    found = law.simulator(factors).run([Intervention(0, 0, "state", states)], 1800).positions(TIMES * PHYSICS_HZ)
    rate = 2.0 * np.sqrt(factors.prod(axis=1))[:, None]
    assert np.abs(found[:, :, 0, 0] - speed[:, None] / rate * np.sin(rate * TIMES)).max() < 2e-3
    weak = altered_law(law, WorldChange(constants=(("field_strength", 0.81),)))
    other = weak.simulator().run([Intervention(0, 0, "state", states[1:2])], 1800).positions(TIMES * PHYSICS_HZ)
    assert np.abs(other[0] - found[1]).max() < 1e-9
    later = law_of(replace(law.scene, fields=(Pull(1.8),)))  # as a changed world of a user's makes it
    slow = altered_law(law, WorldChange(), later=later)
    other = slow.simulator().run([Intervention(0, 0, "state", states[1:2])], 1800).positions(TIMES * PHYSICS_HZ)
    assert np.abs(other[0] - found[1]).max() < 1e-3
    assert not law.linked.any()


def test_what_is_absent_meets_nothing_and_a_push_is_given_once() -> None:
    law = law_of(replace(pushed(), bodies=pushed().bodies[:2], fields=(Pull(1e-3),)))
    changes = [begin(law)[0], Intervention(600, 0, "push", np.array([0.0, 1.0]))]
    trajectory = law.simulator().run(changes, 1200)
    position = trajectory.positions(np.array([0.0, 600.0, 1200.0]))[0]
    assert np.isnan(position[:, 1]).all() and not trajectory.contacts
    assert np.allclose(position[:, 0], [[-1.0, 0.1], [0.0, 0.1], [1.0, 0.6]], atol=2e-3)


def test_friction_and_restitution_of_a_changed_world_are_those_of_a_changed_scene() -> None:
    scene = tumbling()
    law = law_of(scene)
    change = WorldChange(gravity=0.8, restitution=0.49, friction=0.25)
    assert law.can_alter(change) and not law.can_alter(WorldChange(constants=(("field_strength", 2.0),)))
    bodies = tuple(replace(b, restitution=0.7 * b.restitution, friction=0.5 * b.friction) for b in scene.bodies)
    other = law_of(replace(scene, bodies=bodies, gravity=(0.0, 0.0, -9.81 * 0.8)))
    steps = TIMES * PHYSICS_HZ
    found = altered_law(law, change).simulator().run(begin(law), 1800).positions(steps)
    assert np.abs(found - other.simulator().run(begin(law), 1800).positions(steps)).max() < 1e-9
    assert np.abs(found - law.simulator().run(begin(law), 1800).positions(steps)).max() > 0.05


def test_it_is_not_asked_where_a_scene_declares_outcomes_or_leaves_its_plane() -> None:
    with pytest.raises(Unsupported, match="neither a ball nor a disc nor a cube"):
        scene_law(tumbling(outcomes=(Outcome("falls", "box"),)), 0.0)
    askew = replace(FLOOR, orientation=(0.3, 0.0, 0.0, 0.954))
    with pytest.raises(Unsupported):
        scene_law(Scene((tumbling().bodies[0], askew), FRONT, gravity=DOWN), 0.0)
    assert scene_law(make_scene(Row("falling/roll-off-v1", "test", 0)), -0.4).name == "planar"


def test_ground_truth_lets_it_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """One clip of two that breaks is enough to be refused, however little it breaks."""
    monkeypatch.setattr("physbench.clips.generate.make_scene", lambda row, view="far": tumbling(horizon=1.0))
    clip = make_clip(Row("falling/incline-v1", "test", 0), render_spec(64, 4.0))
    for lawful, state in (((True, True), "ok"), ((True, False), "failed")):
        answers = iter([physics.Misfit(clip, 0.99, each, 0.5, "box", "") for each in lawful])
        monkeypatch.setattr(physics, "misfit", lambda clip, context, answers=answers: next(answers))
        (finding,) = physics.check_shadowing([clip, clip], 3)
        assert finding.state == state and f"{sum(lawful)} of 2 clips" in finding.text and "bullet" in finding.text
        assert state == "ok" or "`outcomes`, as `stack` does" in finding.remedy


def test_ground_truth_must_be_found_without_the_scenes_own_motion(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a model must be, which is another one; a model's search may begin with it."""
    block = Body("block", "box", (0.3, 0.3, 0.3), "moving", (0.3, 0.0, 0.3), hue=0, friction=0.6)
    thrown = ball("thrown", 0.3, (-0.54, 0, 2.2), 1, velocity=(0.8, 0, -1), restitution=0.7, friction=0.6, release=-0.4)
    scene = Scene((block, thrown, FLOOR), FRONT, gravity=DOWN, horizon=1.2)
    monkeypatch.setattr("physbench.clips.generate.make_scene", lambda row, view="far": scene)
    clip = make_clip(Row("falling/incline-v1", "test", 0), render_spec(64, 15.0))
    own_arcs, offered = SegmentStarts.own_arcs, list[int]()

    def counted(starts: SegmentStarts) -> list[Arc]:
        arcs = own_arcs(starts)
        offered.append(len(arcs))
        return arcs

    monkeypatch.setattr(SegmentStarts, "own_arcs", counted)
    physics.misfit(clip, 8)
    assert offered and not any(offered)
    offered.clear()
    shadowing = shadow_states(clip, clip.times[clip.window(8)], clip.states[clip.window(8)])
    assert shadowing is not None and shadowing.problem.law.name == "bullet" and not shadowing.levels[0].breaks
    assert offered and set(offered) == {2}


@pytest.mark.slow
def test_the_example_is_lawful_and_what_is_not_is_found() -> None:
    with plugins.temporarily_registered():
        (task,) = own_ids(str(FILE))
        for seed in range(3):
            # A hook acts once.
            kick = ShiftState(0.8, 0, np.zeros(3), np.array([0.0, 0.4, 0.0]), np.zeros(3))
            for change in (None, ChangeLaws(0.0, WorldChange(central_mass=0.9)), kick):

                def edit(scene: Scene, times: Array, states: Array, change: object = change) -> Array:
                    hooks = () if change is None else (change,)
                    return simulate_hooked(scene, hooks, np.round(times * PHYSICS_HZ).astype(np.int64))  # type: ignore[arg-type]

                smallest = at_levels(problem(task, seed, edit), (0.03,))[0]
                assert bool(smallest.breaks) == (change is not None)
        truth.cache_clear()


def test_a_pulley_is_simulated_again_in_long_steps() -> None:
    """A tension is that of the step in which it acts."""
    with plugins.temporarily_registered():
        (task,) = own_ids(str(PULLEY))
        scene = make_scene(Row(task, "test", 0))
    law, steps = scene_law(scene, -0.4), np.arange(0, 3600, 80)
    assert isinstance(law, BulletLaw) and law.stride >= 10 and law.linked.any()
    states = np.repeat(simulate(scene, [-0.4]).states, 2, axis=0)
    states[1, list(law.index), 2] += 0.004  # m, as of a track: the string is too short there
    long, short = glide(scene, states, steps, -0.4, law.stride), fly(scene, states, steps, -0.4)[0]
    assert np.abs(long - short)[..., :3].max() < 2e-3


@pytest.mark.slow
def test_truth_of_a_pulley_is_lawful_and_less_gravity_is_not() -> None:
    with plugins.temporarily_registered():
        (task,) = own_ids(str(PULLEY))
        for change in (None, ChangeLaws(0.0, WorldChange(gravity=0.9))):

            def edit(scene: Scene, times: Array, states: Array, change: object = change) -> Array:
                hooks = () if change is None else (change,)
                return simulate_hooked(scene, hooks, np.round(times * PHYSICS_HZ).astype(np.int64))  # type: ignore[arg-type]

            assert bool(at_levels(problem(task, 0, edit), (0.03,))[0].breaks) == (change is not None)
        truth.cache_clear()


@pytest.mark.slow
def test_a_ball_in_a_bowl_is_lawful_and_less_gravity_is_found() -> None:
    def lighter(scene: Scene, times: Array, states: Array) -> Array:
        hook = ChangeLaws(0.0, WorldChange(gravity=0.9))
        return simulate_hooked(scene, [hook], np.round(times * PHYSICS_HZ).astype(np.int64))

    with plugins.temporarily_registered():
        (task,) = own_ids(str(FILE.with_name("bowl.py")))
        for seed in range(2):
            for edit in (None, lighter):
                smallest = at_levels(problem(task, seed, edit), (0.03,))[0]
                assert bool(smallest.breaks) == (edit is not None)
        truth.cache_clear()


@pytest.mark.slow
def test_the_checker_lets_the_example_in() -> None:
    with plugins.temporarily_registered():
        own_ids(str(FILE))
        report = check_task(str(FILE), clips=2)
        (shadowing,) = (finding for finding in report.findings if finding.check == "shadowing")
        assert report.passed and "3 of 3 clips" in shadowing.text and "the law bullet" in shadowing.text
