"""Laws and ground truth, on scenes that they do and do not move."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from physbench import Camera, Scene, ball, floor
from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, render_spec
from physbench.score.predictability import Predictability
from physbench.support.arrays import Array
from physbench.validity.task_checks.physics import check_overlap, check_shadowing, check_step, misfit, springs_remedy
from physbench.world.scene import PHYSICS_HZ, Body, Spring

CONTEXT = 8
SPEC = render_spec(64, 15.0)


def table(width: float, velocity: float) -> Scene:
    """A ball rolls along a block of a half width and, from 1.5 m on, over its edge."""
    block = Body("block", "box", (width, 0.5, 0.5), "fixed", (-width + 0.1, 0.0, 0.5), grey=0.45, friction=1.0)
    rolling = ball("ball", 0.4, (-1.4, 0.0, 1.4), 1, velocity=(velocity, 0.0, 0.0), restitution=0.7)
    rolling = replace(rolling, friction=0.5, spin=(0.0, velocity / 0.4, 0.0))
    camera = Camera("front", (0.0, 0.0, 1.8))
    return Scene((rolling, block, replace(floor(), friction=1.0)), camera, gravity=(0.0, 0.0, -3.0), horizon=3.0)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, float], Clip]:
    """The clip of a table, under the name of some task."""

    def make(width: float, velocity: float) -> Clip:
        monkeypatch.setattr("physbench.clips.generate.make_scene", lambda row, view="far": table(width, velocity))
        return make_clip(Row("falling/incline-v1", "test", 0), SPEC)

    return make


def test_a_body_that_turns_about_an_edge_is_named(made: Callable[[float, float], Clip]) -> None:
    found = misfit(made(1.5, 0.6), CONTEXT)
    assert found.quality < 0.95 and found.body == "ball" and found.touched == "an edge of block"
    assert 0.4 < found.time < 1.2  # 1.5 m from 2 s before the hand-over on
    (finding,) = check_shadowing([found.clip], CONTEXT)
    assert (
        finding.state == "failed" and "ball touches an edge of block" in finding.text and "outcomes" in finding.remedy
    )


def test_one_that_stays_on_a_face_is_followed(made: Callable[[float, float], Clip]) -> None:
    (finding,) = check_shadowing([made(3.0, 0.3)], CONTEXT)
    assert finding.state == "ok"


@pytest.mark.parametrize("task", ("falling/drop-bounce-v1", "collisions/billiards-v1", "orbits/kepler-v1"))
def test_the_tasks_of_physbench_are_followed(clip_of: Callable[..., Clip], task: str) -> None:
    found = misfit(clip_of(task), CONTEXT)
    assert found.quality > 0.99 and found.body == ""


def test_a_step_that_decides_is_named_as_long_as_the_context_tells_more(made, monkeypatch: pytest.MonkeyPatch) -> None:
    """What half a step moves counts where the context leaves a place open by less than a tenth of a diameter."""
    clip = made(0.5, 1.0)

    def moved(scene: Scene, times: Array, refine: int) -> SimpleNamespace:
        states = clip.states.copy()
        states[clip.times > 1.0, 0, 0] += 0.3 * clip.diameters()[0, 0]
        return SimpleNamespace(states=states)

    monkeypatch.setattr("physbench.validity.task_checks.physics.simulate", moved)
    for spread, status in ((0.05, "failed"), (0.5, "ok")):
        known = Predictability(float(clip.times[-1]), np.full((clip.horizon, len(clip.tracked)), spread))
        (finding,) = check_step(clip, known)
        assert finding.state == status


MASS = ball("ball", 0.3, (0.0, 0.0, 0.0), 1).mass  # kg


def hanging(*stiffness: float, apart: float = 1.0) -> Scene:
    """Balls in a row on springs that are 1 m long at rest, the first of which hangs on a knob."""
    names = ("knob", *(f"ball{k}" for k in range(len(stiffness))))
    balls = [ball(name, 0.3, (k * apart, 0.0, 0.0), k) for k, name in enumerate(names) if k]
    springs = tuple(Spring(a, b, k, 1.0) for (a, b), k in zip(pairwise(names), stiffness, strict=True))
    knob = Body("knob", "sphere", (0.2,), "fixed", (0.0, 0.0, 0.0), grey=0.3, collides=False)
    return Scene((knob, *balls), Camera("front", (0.0, 0.0, 0.0)), fields=springs)


@pytest.mark.parametrize(
    ("stiffness", "named"), [((1e8,), {0}), ((5e7, 300.0, 3e7), {0, 2}), ((28_000 * MASS, 28_000 * MASS), {1})]
)
def test_one_remedy_softens_all_springs_that_are_too_stiff(stiffness: tuple[float, ...], named: set[int]) -> None:
    """Also two of which each alone would do: two balls swing sqrt(2.618 k / m) fast, one sqrt(2 k / m) at most."""
    remedy = springs_remedy(hanging(*stiffness))
    told = {int(name): float(k) for name, k in re.findall(r"to ball(\d+) softer than ([\d.e+]+) N/m", remedy)}
    assert set(told) == named, remedy
    softer = [0.95 * told.get(k, each) for k, each in enumerate(stiffness)]
    assert not springs_remedy(hanging(*softer))
    assert springs_remedy(hanging(*(1.1 * told.get(k, each) for k, each in enumerate(stiffness))))


def test_the_stiffness_of_one_spring_gives_thirty_steps_a_period() -> None:
    (softer,) = re.findall(r"softer than ([\d.e+]+) N/m", springs_remedy(hanging(1e9)))
    assert 2 * np.pi * np.sqrt(MASS / float(softer)) * PHYSICS_HZ == pytest.approx(30, rel=0.03)


def test_every_spring_that_begins_too_long_is_told() -> None:
    lines = springs_remedy(hanging(1e5, 1e5, apart=4.0)).splitlines()
    assert [line.split(" begins ")[0] for line in lines] == [
        "The spring from knob to ball0",
        "The spring from ball0 to ball1",
    ]
    assert not springs_remedy(hanging(1e5, 1e5))


@pytest.mark.parametrize(("begins", "remedy"), [(0, "Place them apart"), (20, "They begin apart")])
def test_an_overlap_is_put_down_to_the_places_or_to_what_presses(begins: int, remedy: str) -> None:
    clip = make_clip(Row("collisions/head-on-v1", "test", 0), SPEC)
    one, other = clip.scene.tracked
    states = clip.states.copy()
    states[begins : begins + 3, one, :3] = states[begins : begins + 3, other, :3]
    found = [finding for finding in check_overlap(replace(clip, states=states)) if finding.state == "failed"]
    assert [finding.remedy.startswith(remedy) for finding in found] == [True]
