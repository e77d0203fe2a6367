"""Laws and ground truth, on scenes that they do and do not move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from physbench import Camera, Scene, ball, floor
from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, render_spec
from physbench.score.predictability import Predictability
from physbench.support.arrays import Array
from physbench.validity.task_checks.physics import check_shadowing, check_step, misfit
from physbench.world.scene import Body

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
