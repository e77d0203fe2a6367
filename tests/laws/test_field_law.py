"""The law of radial fields and drag: against SciPy, closed forms, PyBullet; truth is lawful, changed worlds are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from shadow_scenes import START, Edit, problem, truth
from slow_cases import others_slow

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, make_params, make_scene, render_spec
from physbench.laws.changes import WorldChange, altered_law
from physbench.laws.scene_law import Intervention, SceneLaw, scene_law
from physbench.laws.support_check import Unsupported
from physbench.shadowing.levels import at_levels
from physbench.tasks.fields import harmonic_state, scatter_states, three_bodies
from physbench.validity.task_checks.clip_protocol import check_causes
from physbench.validity.task_checks.physics import energy_of
from physbench.validity.violations.violation_apply import ChangeLaws, RemoveBody, simulate_hooked
from physbench.validity.violations.violation_plan import StepHook
from physbench.world.bodies import ball
from physbench.world.bullet import simulate
from physbench.world.drawing import render
from physbench.world.scene import HISTORY, PHYSICS_HZ, Body, Camera, CentralGravity, Drag, Outcome, RadialField, Scene

Array = NDArray[np.float64]

HARMONIC, SCATTER, DECAY = "orbits/harmonic-v1", "orbits/scatter-v1", "orbits/decay-v1"
THREE = "orbits/three-body-v1"
ONES = np.ones((1, 2))


def law_of_scene(scene: Scene, since: float = START) -> SceneLaw:
    law = scene_law(scene, since)
    assert law.name == "fields"
    return law


def balls(*places: tuple[float, float], collides: bool = False) -> tuple[Body, ...]:
    made = (ball(f"ball {k}", 0.4, (x, y, 0.0), k) for k, (x, y) in enumerate(places))
    return tuple(replace(each, collides=collides) for each in made)


def star(x: float, y: float) -> Body:
    return Body("star", "sphere", (0.2,), "fixed", (x, y, 0.0), hue=4, collides=False)


TOP = Camera("top", (0.0, 0.0, 0.0))
MEDIUM = Body("gas", "plane", (), "fixed", (0.0, 0.0, -0.8), grey=0.4, collides=False)
SCENES = {
    "one source": Scene((*balls((1.0, 0.3)), star(0.1, -0.2)), TOP, fields=(RadialField("star", 5.0, 1.0),)),
    "a power": Scene((*balls((1.0, 0.3)), star(0.1, -0.2)), TOP, fields=(RadialField("star", 2.0, -0.5),)),
    "two sources, drag": Scene(
        (*balls((1.0, 0.3), (-1.2, 0.1)), star(0.1, -0.2), MEDIUM),
        TOP,
        fields=(RadialField("star", -1.5, -2.0), RadialField("ball 1", 3.0, 0.0), Drag("gas", 0.3)),
    ),
    "three bodies": Scene(
        balls((1.6, 0.0), (-0.8, 1.5), (-0.9, -1.3)),
        TOP,
        fields=tuple(CentralGravity(f"ball {k}", 3.0 + k) for k in range(3)),
    ),
    "seen from the front": Scene(
        (*balls((1.0, 0.0)), star(0.0, 0.0)),
        Camera("front", (0.0, 0.0, 0.0)),
        gravity=(0.0, 0.0, -9.81),
        fields=(RadialField("star", 20.0, 1.0),),
    ),
}


@pytest.mark.parametrize("name", SCENES)
def test_it_agrees_with_scipy(name: str) -> None:
    """With the forces of the scene itself, by another method and to another tolerance."""
    scene = SCENES[name]
    law = law_of_scene(scene)
    axes = [0, 2] if scene.camera.view == "front" else [0, 1]
    everything = np.array([body.position for body in scene.bodies])
    count, rng = len(law.index), np.random.default_rng(0)
    start = np.concatenate([everything[list(law.index)][:, axes], rng.uniform(-1, 1, (count, 2))], axis=-1)

    def slope(time: float, flat: Array) -> Array:
        state, position, velocity = flat.reshape(count, 4), everything.copy(), np.zeros_like(everything)
        position[np.ix_(law.index, axes)], velocity[np.ix_(law.index, axes)] = state[:, :2], state[:, 2:]
        total = sum(field.accelerations(scene, position, velocity, time) for field in scene.fields)
        pull = (np.asarray(total) + np.asarray(scene.gravity))[np.ix_(law.index, axes)]
        return np.concatenate([state[:, 2:], pull], axis=-1).ravel()

    times = np.linspace(0.0, 3.0, 46)
    exact = solve_ivp(slope, (0.0, 3.0), start.ravel(), "DOP853", times, rtol=1e-11, atol=1e-12).y.T
    found = law.simulate(start[None], times, ONES)[0]
    assert np.abs(found - exact.reshape(len(times), count, 4)).max() < 2e-5
    assert (
        np.abs(
            law.acceleration(start[:, :2])
            - slope(0.0, np.where([1, 1, 0, 0], start, 0.0).ravel()).reshape(count, 4)[:, 2:]
        ).max()
        < 2e-2
    )


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_harmonic_is_an_ellipse_about_its_middle(seed: int) -> None:
    row = Row(HARMONIC, "test", seed)
    params, scene, times = make_params(row), make_scene(row), np.arange(-8, 33) / 4
    states, middle = simulate(scene, times).states[:, 0, :2], np.array([params["middle_x"], params["middle_y"]])
    assert np.abs(states - middle - [harmonic_state(params, t)[0] for t in times]).max() < 5e-5
    assert 3 * 2 * np.pi / params["rate"] < scene.horizon


@pytest.mark.parametrize("split", ["test", "ood"])
def test_scatter_is_a_hyperbola_about_its_outer_focus(split: str) -> None:
    row = Row(SCATTER, split, 0)  # type: ignore[arg-type]
    params, scene = make_params(row), make_scene(row)
    times = np.concatenate([[params["release"]], np.arange(0, 41) / 20])
    place = np.array([params["block_x"], params["block_y"]])
    position, velocity = scatter_states(params, times)
    assert np.abs(simulate(scene, times).states[:, 0, :2] - place - position).max() < 5e-5
    distance = np.linalg.norm(position, axis=-1)
    energy = (velocity**2).sum(axis=-1) / 2 + params["push"] / distance
    assert np.ptp(energy) < 1e-9
    assert distance.min() >= params["distance"] - 1e-9


@pytest.mark.slow
def test_decay_loses_areal_velocity_as_the_exponential() -> None:
    row = Row(DECAY, "test", 0)
    params, scene, times = make_params(row), make_scene(row), np.arange(-8, 33) / 4
    states = simulate(scene, times).states
    away = states[:, 0, :2] - states[:, 1, :2]
    # Along the force, which draws to the centre, the velocity of half a step ago has the same moment.
    moment = away[:, 0] * states[:, 0, 8] - away[:, 1] * states[:, 0, 7]
    expected = moment[0] * np.exp(-params["drag"] * (times + HISTORY))
    assert np.abs(moment / expected - 1).max() < 2e-5
    assert np.linalg.norm(away[-1]) < 0.8 * np.linalg.norm(away[0])


@pytest.mark.parametrize("split", ["test", "ood"])
def test_three_bodies_keep_momentum_angular_momentum_and_energy(split: str) -> None:
    """And pass at the hand-over where the task says; there is no closed form of where they are otherwise."""
    row = Row(THREE, split, 0)  # type: ignore[arg-type]
    params, scene, times = make_params(row), make_scene(row), np.arange(-8, 17) / 4
    states = simulate(scene, times).states
    mass = np.array([body.mass for body in scene.bodies])
    pull = np.sum([f.accelerations(scene, states[..., :3], states[..., 7:10], 0.0) for f in scene.fields], axis=0)
    place, velocity = states[..., :2], states[..., 7:9] + pull[..., :2] / (2 * PHYSICS_HZ)
    assert np.abs(np.einsum("n,tna->ta", mass, velocity)).max() < 1e-5 * (mass * np.abs(velocity[..., 0])).sum()
    moment = np.einsum("n,tn->t", mass, place[..., 0] * velocity[..., 1] - place[..., 1] * velocity[..., 0])
    energy = energy_of(scene, states, times)
    assert np.ptp(moment) < 1e-5 * np.abs(moment).max() and np.ptp(energy) < 1e-4 * np.abs(energy).max()
    assert np.abs(place[8] - three_bodies(params)[:, :2]).max() < 1e-4


def hooked(*hooks: StepHook) -> Edit:
    def edit(scene: Scene, times: Array, states: Array) -> Array:
        return simulate_hooked(scene, hooks, np.round(times * PHYSICS_HZ).astype(np.int64))

    return edit


seeds = pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])


@seeds
@pytest.mark.parametrize("task", others_slow([HARMONIC, SCATTER, DECAY, THREE], 1))
def test_truth_is_lawful(task: str, seed: int) -> None:
    assert all(level.explained == 1.0 and not level.breaks for level in at_levels(problem(task, seed)))


@seeds
@pytest.mark.parametrize(
    ("task", "change"),
    others_slow(
        [
            pytest.param(HARMONIC, WorldChange(central_mass=0.95), marks=pytest.mark.slow),
            (HARMONIC, WorldChange(exponent=1.8)),
            pytest.param(SCATTER, WorldChange(central_mass=0.9), marks=pytest.mark.slow),
            pytest.param(SCATTER, WorldChange(exponent=1.5), marks=pytest.mark.slow),
            (DECAY, WorldChange(constants=(("medium_drag", 0.5),))),
            pytest.param(DECAY, WorldChange(central_mass=0.95), marks=pytest.mark.slow),
            pytest.param(THREE, WorldChange(central_mass=0.8), marks=pytest.mark.slow),
        ],
        1,
    ),
)
def test_another_law_is_found(task: str, change: WorldChange, seed: int) -> None:
    smallest = at_levels(problem(task, seed, hooked(ChangeLaws(0.0, change))))[0]
    assert smallest.breaks and smallest.breaks[0].time >= 0
    truth.cache_clear()


def test_changed_worlds_of_the_law_are_those_of_the_simulator() -> None:
    scene, times = make_scene(Row(DECAY, "test", 1)), np.arange(0, 13) / 4
    law = law_of_scene(scene)
    now = simulate(scene, [0.0]).states[0, 0]
    at = np.array([*now[:2], *(now[7:9] + law.acceleration(now[None, :2])[0] / (2 * PHYSICS_HZ)), 0.0, 0.0])
    begin = [Intervention(0, 0, "state", at[None])]
    for change, same in (
        (WorldChange(constants=(("medium_drag", 3.0),)), WorldChange(constants=(("medium_drag", 3.0),))),
        (WorldChange(constants=(("field_strength", 0.8),)), WorldChange(central_mass=0.8)),
    ):
        assert law.can_alter(change)
        steps = np.round(times * PHYSICS_HZ).astype(np.int64)
        run = altered_law(law, change).simulator().run(begin, int(steps[-1]))
        expected = simulate_hooked(scene, [ChangeLaws(0.0, same)], steps)[:, 0, :2]
        assert np.abs(run.positions(steps.astype(np.float64))[0, :, 0] - expected).max() < 5e-3


def test_a_body_that_is_gone_pulls_no_longer() -> None:
    scene = Scene(balls((1.0, 0.0), (-1.0, 0.0)), TOP, fields=(RadialField("ball 1", 4.0, 1.0),))
    states = simulate_hooked(scene, [RemoveBody(0.0, 1)], np.array([0, 300, 600]))
    assert np.ptp(states[:, 0, 7:10], axis=0).max() == 0.0
    assert np.ptp(simulate(scene, [0.0, 0.5]).states[:, 0, 7]) > 0.5


def test_bodies_that_touch_are_not_followed_further() -> None:
    pull = (RadialField("ball 0", 3.0, 0.0), RadialField("ball 1", 3.0, 0.0))
    for collides in (False, True):
        law = law_of_scene(Scene(balls((1.0, 0.0), (-1.0, 0.0), collides=collides), TOP, fields=pull))
        start = np.array([[[1.0, 0.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 0.0]]])
        moved = law.simulate(start, np.array([0.0, 0.5, 1.0]), ONES)[0, :, :, 0]
        assert np.isfinite(moved[1]).all() and np.isnan(moved[2]).all() == collides
        assert law.linked.all()
        over = law.acceleration(np.array([[0.1, 0.0], [-0.1, 0.0]]))  # which tracks may do
        assert over == pytest.approx(np.array([[-3.0, 0.0], [3.0, 0.0]]), abs=0.01)


def test_scenes_that_it_cannot_move_are_refused() -> None:
    scene = SCENES["one source"]
    wall = Body("wall", "box", (0.1, 1.0, 0.2), "fixed", (2.0, 0.0, 0.0))
    with pytest.raises(Unsupported, match="may meet something fixed"):
        scene_law(replace(scene, bodies=(*scene.bodies, wall), outcomes=(Outcome("hangs", None),)), START)
    assert scene_law(replace(scene, bodies=(*scene.bodies, wall)), START).name == "bullet"
    behind = replace(scene.bodies[1], position=(0.1, -0.2, -0.7))
    with pytest.raises(Unsupported, match="lies before or behind what moves"):
        scene_law(replace(scene, bodies=(scene.bodies[0], behind)), START)
    with pytest.raises(ValueError, match=r"RadialField: there is no body named .sta.. Did you mean .?star"):
        replace(scene, fields=(RadialField("sta", 1.0, 1.0),))


@pytest.mark.parametrize(
    "change", [{"drawn": False}, pytest.param({"grey": 0.53, "hue": None}, marks=pytest.mark.slow)]
)
def test_a_force_from_nothing_that_is_seen_is_refused(change: dict[str, object]) -> None:
    clip = make_clip(Row(HARMONIC, "test", 0), render_spec(64, 4))
    assert not list(check_causes(clip))
    block = replace(clip.scene.bodies[1], **change)  # type: ignore[arg-type]
    scene = replace(clip.scene, bodies=(clip.scene.bodies[0], block))
    drawn = render(scene, clip.times, clip.states, clip.spec)
    (finding,) = check_causes(replace(clip, scene=scene, frames=drawn.frames, visible_area=drawn.visible_area))
    assert finding.state == "failed" and "comes from block" in finding.text and finding.shot is not None
