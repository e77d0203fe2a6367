"""Strings: they pull as closed forms say, never push, jerk inelastically, and are drawn as long as they are."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from physbench.support.arrays import Array
from physbench.validity.task_checks.check_task import check_scene
from physbench.world import ballistic
from physbench.world.ballistic import accelerations
from physbench.world.bodies import ball
from physbench.world.bullet import initial_states, simulate, simulate_ensemble
from physbench.world.links import LINK, with_links
from physbench.world.scene import PHYSICS_STEP, Body, Camera, Rod, Scene, String, Vector

G = 9.81
EVERY_STEP = np.arange(-2400, -1200) / 1200  # s, one second from the start on
TIMES = np.arange(-40, -19) / 20


def knob(name: str, x: float, z: float) -> Body:
    return Body(name, "sphere", (0.1,), "fixed", (x, 0.0, z), grey=0.3, collides=False)


def bob(name: str, radius: float, x: float, z: float, velocity: Vector = (0.0, 0.0, 0.0)) -> Body:
    return replace(ball(name, radius, (x, 0.0, z), 0 if name == "a" else 1, velocity=velocity), collides=False)


def scene_of(*fields: Rod | String, bodies: tuple[Body, ...], gravity: float = G) -> Scene:
    return Scene(bodies, Camera("front", (0.0, 0.0, 2.2)), gravity=(0.0, 0.0, -gravity), fields=fields)


def atwood() -> tuple[Scene, float]:
    """A light and a heavy ball that hang over two pulleys, and how fast the light one is drawn up, m/s2."""
    a, b = bob("a", 0.40, -1.0, 1.0), bob("b", 0.46, 1.0, 3.0)
    string = String("a", "b", 3.0 + 2.0 + 1.0, ("left", "right"))
    scene = scene_of(string, bodies=(a, b, knob("left", -1.0, 4.0), knob("right", 1.0, 4.0)))
    return scene, G * (b.mass - a.mass) / (b.mass + a.mass)


def test_an_atwood_machine() -> None:
    scene, rate = atwood()
    states, t = simulate(scene, TIMES).states, TIMES + 2
    assert states[:, 0, 9] == pytest.approx(rate * t, rel=1e-9, abs=1e-12)
    assert states[:, 1, 9] == pytest.approx(-rate * t, rel=1e-9, abs=1e-12)
    # Semi-implicit Euler is ahead by a t h / 2: half of it, 0.6 mm after a second, with half the step.
    for refine in (1, 2):
        ahead = simulate(scene, TIMES, refine=refine).states[:, 0, 2] - (1.0 + rate * t**2 / 2)
        assert ahead == pytest.approx(rate * t * PHYSICS_STEP / refine / 2, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize(("friction", "within"), [(0.0, 1e-3), (0.3, 0.15)])
def test_a_block_on_a_table_is_drawn_by_a_weight(friction: float, within: float) -> None:
    """The solver's friction is 0.27 to 0.30 here, as of a block without a string: it rocks on its corners."""
    block = Body("a", "box", (0.4, 0.4, 0.4), "moving", (-2.0, 0.0, 0.4), hue=0, friction=friction)
    floor = Body("floor", "plane", (), "fixed", (0.0, 0.0, 0.0), friction=1.0)
    weight = bob("b", 0.4, 2.0, -1.0)
    scene = scene_of(String("a", "b", 5.4, "pulley"), bodies=(block, weight, floor, knob("pulley", 2.0, 0.4)))
    rate = G * (weight.mass - friction * block.mass) / (weight.mass + block.mass)
    states, t = simulate(scene, TIMES).states, TIMES + 2
    assert states[:, 0, 0] + 2.0 == pytest.approx(rate * t * (t + PHYSICS_STEP) / 2, rel=within, abs=3e-3)
    length = (2.0 - states[:, 0, 0]) + (0.4 - states[:, 1, 2])
    assert np.abs(length - 5.4).max() < 3e-4


def test_a_block_and_tackle() -> None:
    """The pulley hangs on the string itself: its block falls half as far as the weight rises."""
    block, weight = bob("b", 0.6, 0.0, 2.0), bob("a", 0.42, 1.0, 1.0)
    bodies = (block, weight, knob("hook", 0.0, 4.0), replace(knob("top", 0.0, 4.0)), knob("side", 1.0, 4.0))
    scene = scene_of(String("hook", "a", 2.0 + 2.0 + 1.0 + 3.0, ("b", "top", "side")), bodies=bodies)
    tension = 3 * G / (4 / block.mass + 1 / weight.mass)
    states, t = simulate(scene, TIMES).states, TIMES + 2
    assert states[:, 0, 9] == pytest.approx((2 * tension / block.mass - G) * t, rel=1e-9, abs=1e-12)
    assert states[:, 1, 9] == pytest.approx((tension / weight.mass - G) * t, rel=1e-9, abs=1e-12)


def thrown() -> Scene:
    """A ball that is thrown up from beside its hook, on a slack string of 1.9 m."""
    return scene_of(String("hook", "a", 1.9), bodies=(bob("a", 0.4, 1.2, 1.8, (2.0, 0.0, 5.0)), knob("hook", 0.0, 2.4)))


def test_a_slack_string_lets_a_ball_fly_until_it_is_taut_and_takes_the_speed_along_it() -> None:
    states = simulate(thrown(), EVERY_STEP).states[:, 0]
    away, velocity, t = states[:, :3] - [0.0, 0.0, 2.4], states[:, 7:10], EVERY_STEP + 2
    far = np.linalg.norm(away, axis=-1)
    taut = int(np.argmax(far > 1.9 - 1e-9))
    assert 0.2 < t[taut] < 0.9 and far.max() < 1.9 + 1e-9
    parabola = np.stack([1.2 + 2 * t, 1.8 + 5 * t - G * t * (t + PHYSICS_STEP) / 2], axis=-1)
    assert np.abs(states[:taut, [0, 2]] - parabola[:taut]).max() < 1e-9
    along = away / far[:, None]
    before, after = velocity[taut - 1], velocity[taut + 1]
    assert before @ along[taut] > 1.0 and after @ along[taut] == pytest.approx(0.0, abs=0.02)
    across = np.array([along[taut, 2], 0.0, -along[taut, 0]])
    assert after @ across == pytest.approx(before @ across, abs=0.02)
    assert far[taut : taut + 2] == pytest.approx(1.9, abs=1e-9)


def test_energy_never_rises() -> None:
    scene, kick = atwood()[0], (0.4, 0.0, 4.0)
    scene = replace(scene, bodies=(scene.bodies[0], replace(scene.bodies[1], velocity=kick), *scene.bodies[2:]))
    for tried in (thrown(), scene):
        states = simulate(tried, np.arange(-2400, 0) / 1200).states
        energy = np.zeros(len(states))
        for i, body in enumerate(tried.bodies):
            if body.role == "moving":
                # The velocity of a step's middle: that of half a step ago is ahead by g h / 2 in flight.
                square = (states[:-1, i, 7:10] * states[1:, i, 7:10]).sum(axis=-1)
                energy[:-1] += body.mass * (square / 2 + G * states[:-1, i, 2])
        risen = energy[:-1] - np.minimum.accumulate(energy[:-1])
        assert risen.max() < 0.5, "J, of 360 and more: what a step of the integrator leaves"
        assert energy[0] - energy[-2] > 30.0, "J; a jerk takes some of it"


def test_a_jerk_keeps_the_momentum_of_both_and_their_tension_is_no_push() -> None:
    a, b = bob("a", 0.4, 0.0, 2.0, (0.0, 0.0, 1.0)), bob("b", 0.5, 0.6, 2.0, (2.0, 0.0, 0.0))
    scene = scene_of(String("a", "b", 1.0), bodies=(a, b), gravity=0.0)
    states = simulate(scene, EVERY_STEP).states
    momentum = a.mass * states[:, 0, 7:10] + b.mass * states[:, 1, 7:10]
    assert np.ptp(momentum, axis=0).max() < 1e-9
    gained = np.diff(states[:, 0, 7:10], axis=0)
    pulled = np.linalg.norm(gained, axis=-1) > 1e-12
    way = states[:-1, 1, :3] - states[:-1, 0, :3]
    assert pulled.any() and not pulled[: int(np.argmax(pulled))].any()
    assert ((gained * way).sum(axis=-1)[pulled] > 0).all()
    turning = (a.mass * np.cross(states[:, 0, :3], states[:, 0, 7:10])).sum(axis=-1) + (
        b.mass * np.cross(states[:, 1, :3], states[:, 1, 7:10])
    ).sum(axis=-1)
    assert np.ptp(turning) < 1e-9 * np.abs(turning).max() + 2e-2


def test_copies_of_a_scene_are_moved_alike() -> None:
    scene = thrown()
    copies = np.repeat(initial_states(scene)[None], 2, axis=0)
    copies[1, 0, 7] = 2.3
    moved = simulate_ensemble(scene, -2.0, copies, TIMES)
    assert np.abs(moved[0] - simulate(scene, TIMES).states).max() < 1e-9
    other = replace(scene, bodies=(replace(scene.bodies[0], velocity=(2.3, 0.0, 5.0)), *scene.bodies[1:]))
    assert np.abs(moved[1] - simulate(other, TIMES).states).max() < 1e-9


def test_rods_and_strings_pull_together() -> None:
    """A taut string on a ball that swings on a rod is the second rod of a double pendulum."""
    bodies = (bob("a", 0.4, 1.0, 2.4), bob("b", 0.3, 2.0, 2.4), knob("hook", 0.0, 2.4))
    rods = scene_of(Rod("hook", "a", 1.0), Rod("a", "b", 1.0), bodies=bodies)
    mixed = scene_of(Rod("hook", "a", 1.0), String("a", "b", 1.0), bodies=bodies)
    strings = scene_of(String("hook", "a", 1.0), String("a", "b", 1.0), bodies=bodies)
    expected = simulate(rods, TIMES[:10]).states
    for scene in (mixed, strings):
        assert np.abs(simulate(scene, TIMES[:10]).states - expected).max() < 1e-6


def test_strings_that_hold_a_ball_thrice_hold_it() -> None:
    hooks = (knob("left", -1.0, 3.4), knob("middle", 0.0, 3.4), knob("right", 1.0, 3.4))
    side = float(np.hypot(1.0, 1.4))
    fields = (String("left", "a", side), String("middle", "a", 1.4), String("right", "a", side))
    states = simulate(scene_of(*fields, bodies=(bob("a", 0.4, 0.0, 2.0), *hooks)), TIMES).states
    assert np.abs(states[:, 0, :3] - [0.0, 0.0, 2.0]).max() < 1e-6


def test_a_string_that_is_too_long_is_not_shortened_at_once() -> None:
    scene = scene_of(String("hook", "a", 1.0), bodies=(bob("a", 0.4, 0.0, 1.39), knob("hook", 0.0, 2.4)))
    (up,) = accelerations(scene, scene.fields, initial_states(scene), 0.0)[:1, 2]
    assert PHYSICS_STEP * (up - G) == pytest.approx(0.005, rel=1e-3)
    assert simulate(scene, [-2.0, -0.5, 0.0]).states[:, 0, 2] == pytest.approx([1.39, 1.3975, 1.4], abs=1e-4)


def test_a_string_ends_where_its_pulley_vanishes() -> None:
    scene = atwood()[0]
    *bodies, right = scene.bodies
    cut = replace(scene, bodies=(*bodies, replace(right, until=-1.5)))
    fall = simulate(cut, TIMES).states[:, 0, 9]
    assert np.diff(fall[TIMES > -1.4]) == pytest.approx(-G / 20, abs=1e-9)


@pytest.mark.parametrize("bends", [0, 1])
def test_a_string_is_drawn_as_long_as_it_is(bends: int) -> None:
    """Straight where it is taut, in a sag of its length where it is slack, from body to body."""
    ends = np.array([[[-0.8, 0.0, 1.0]], [[0.9, 0.0, 2.2]], [[0.0, 0.0, 2.4 - 1.9]], [[0.3, 0.0, 3.0]]])
    if bends:
        bodies = (bob("a", 0.4, -1.0, 2.0), bob("b", 0.4, 1.0, 2.0), knob("hook", 0.0, 2.4))
        scene = scene_of(String("a", "b", 2 * float(np.hypot(1.0, 1.0)), "hook"), bodies=bodies)
        states = np.repeat(initial_states(scene)[None], 2, axis=0)
        states[0, :2, :3] = [[-1.0, 0.0, 1.4], [1.0, 0.0, 1.4]]  # taut, then slack
    else:
        scene = thrown()
        states = np.repeat(initial_states(scene)[None], len(ends), axis=0)
        states[:, :1, :3] = ends
    whole, posed = with_links(scene, states, np.zeros(len(states)))
    count, path = len(scene.bodies), [scene.index(name) for name in scene.links[0].sources]
    assert len(whole.bodies) - count == (1 + bends) * LINK.string_pieces and not whole.fields
    width = scene.links[0].length / LINK.string_pieces
    assert {body.size[0] for body in whole.bodies[count:]} == {width / 2}
    for k, state in enumerate(posed):
        begins, finishes = pieces(state[count:], width)
        shown = np.concatenate([begins, finishes])
        places = states[k, path][:, [0, 2]]
        for place in places:
            assert np.linalg.norm(shown - place, axis=-1).min() < 0.02
        gaps = np.linalg.norm(begins[1:] - finishes[:-1], axis=-1)
        straight = float(np.linalg.norm(np.diff(places, axis=0), axis=-1).sum())
        taut = straight > scene.links[0].length - 1e-6
        if not bends:
            assert np.median(gaps) < 0.01, "pieces meet"
            assert taut == (np.abs(shown[:, 0]).max() < 1e-6) or k != 2
        lowest = shown[:, 1].min()
        assert (lowest > places[:, 1].min() - 1e-6) if taut else (lowest < places[:, 1].min() - 0.1) or bends


def pieces(states: Array, width: float) -> tuple[Array, Array]:
    """Ends (P, 2) m, x and z, of boxes of a width m."""
    angle = -2 * np.arctan2(states[:, 4], states[:, 6])
    step = width / 2 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return states[:, [0, 2]] - step, states[:, [0, 2]] + step


def test_a_string_between_bodies_that_are_too_far_apart_is_refused_and_a_slack_one_is_not() -> None:
    def said(length: float) -> list[str]:
        scene = replace(thrown(), fields=(String("hook", "a", length),), prompt="A ball is thrown.")
        return [each.text for each in check_scene(scene) if each.state == "failed"]

    assert said(1.9) == [] and said(1.2) == ["the string from hook to a is 1.200 m long, not 1.342 m"]


def test_what_is_no_string_is_refused() -> None:
    for wrong in (("a", "a", 1.0), ("a", "b", 1.0, "b"), ("a", "b", 1.0, ("p", "p"))):
        with pytest.raises(ValueError, match="expected that it comes to each body once"):
            String(*wrong)
    for length in (0.0, -1.0, math.nan, math.inf, "2", True):
        with pytest.raises(ValueError, match="expected a length above 0 m, got"):
            String("a", "b", length)  # type: ignore[arg-type]
    for over in (3, None, (1,)):
        with pytest.raises(ValueError, match="expected names of bodies"):
            String("a", "b", 1.0, over)  # type: ignore[arg-type]
    assert String("a", "b", 1.0, ["p"]) == String("a", "b", 1.0, "p")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no body named 'puley'"):
        replace(atwood()[0], fields=(String("a", "b", 6.0, "puley"),))


def test_one_string_compiled_is_as_several_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In random states, slack and taut, over no body, one and two."""
    numbers = np.random.default_rng(5)
    for over in ((), ("p",), ("p", "q")):
        bodies = (bob("a", 0.4, 0.0, 0.0), bob("b", 0.45, 0.0, 0.0), knob("p", 0.0, 0.0), knob("q", 0.0, 0.0))
        scene = scene_of(string := String("a", "b", 4.0, over=over), bodies=bodies)
        states = numbers.normal(size=(200, 4, 13))
        states[:, 2:, 7:10] = 0.0
        compiled = accelerations(scene, scene.fields, states, 0.0)
        held = ballistic._Links(scene, [string])._held(0.0)
        assert held is not None and held.alone is not None
        with monkeypatch.context() as patch:
            patch.setattr(ballistic._Links, "_held", lambda self, time, held=held: replace(held, alone=None))
            written = accelerations(scene, scene.fields, states, 0.0)
        pulled = np.abs(written).max(axis=(1, 2)) > 0
        assert 0 < pulled.sum() < len(pulled)
        np.testing.assert_allclose(compiled, written, rtol=1e-5, atol=1e-5)
