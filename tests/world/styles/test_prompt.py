"""Prompts in the words of a look, and the bounds of its words for velocities."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, make_scene, render_spec
from physbench.clips.task import builtin_task_ids, unpushed
from physbench.world.scene import FAR, HUE_NAMES, PLAIN, VIEWS, Body, Camera, RenderSpec, Scene
from physbench.world.styles.natural.frames import stage_of
from physbench.world.styles.prompt import (
    ONE_TAKE,
    PACES,
    STATIC_SHOT,
    angle_bounds,
    motion_sentence,
    scene_prompt,
    side_seen,
    speed_bounds,
    stated_velocities,
)

ACTUATED = tuple(task for suite in ("pusher", "thrust") for task in builtin_task_ids(actions=True, suite=suite))
OTHERS = tuple(task for suite in ("phyworld", "combo") for task in builtin_task_ids(suite=suite))
TASKS = (*builtin_task_ids(full=True), *builtin_task_ids(actions=True), *ACTUATED, *OTHERS)
NEGATION = re.compile(r"\b(not|no|never|without|nothing|none|nor|neither)\b|n't\b", re.IGNORECASE)
# What the plain prompts say of how a clip goes on and ends.
OUTCOME = re.compile(
    r"\b(lands?|bounc\w+|rebounds?|topples?|tips|falls (over|against|to)|swings|bobs|collides?|hits?|meets?|presses"
    r"|stops (it|and)|slows|turns? (and|about)|rolls? (back|off|down two)|moves off|glides on|comes? out|went in"
    r"|disappears|uncovers?|covers it"
    r"|passes behind|goes (away|on|down)|leaves|winds|taken along|ends in|round and round|in the end|stays"
    r"|on its way back|lies at the wall|ellipse|bends)\b"
)
FIRST_CAUSE = re.compile(
    r"\b(thrown|let go|dropped|drawn back|given a push|pushes|glides?|rolls?|slides|flies|orbits?|circles|moves?"
    r"|floats)\b"
)


def scene_of(task: str, split: str = "test", view: str = FAR) -> Scene:
    return make_scene(Row(task, split, 1), view)  # type: ignore[arg-type]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_natural_look_tells_set_up_and_first_cause_alone(task: str, split: str) -> None:
    scene = scene_of(task, split)
    told = scene_prompt(scene, "natural")
    assert scene.caption and told.startswith(f"{scene.caption} ")
    assert OUTCOME.search(told.replace("goes on again", "")) is None
    assert NEGATION.search(told.replace(STATIC_SHOT, "")) is None
    assert FIRST_CAUSE.search(scene.caption)
    assert "vanish" not in told and "table" not in told
    for body in scene.bodies:
        if body.role == "moving" and body.hue is not None and body.drawn:
            assert HUE_NAMES[body.hue] in scene.caption


def test_what_the_prompts_of_tasks_say_of_the_outcome_is_known_as_such() -> None:
    spared = {task for task in TASKS if not OUTCOME.search(scene_of(task).prompt)}
    # Their plain prompts tell none either.
    assert spared == {
        "falling/incline-v1", "orbits/three-body-v1", "orbits/thruster-v1",
        "phyworld/uniform-v1", "phyworld/parabola-v1",
    }  # fmt: skip


@pytest.mark.parametrize("task", TASKS)
def test_a_look_adds_its_set_sizes_and_camera(task: str) -> None:
    scene = scene_of(task)
    added = scene_prompt(scene, "natural").removeprefix(scene.caption)
    assert scene_prompt(scene, PLAIN) == scene.prompt and ONE_TAKE in added
    sky = stage_of(scene).kind == "sky"
    assert ("night sky" in added) is sky and ("soft light" in added) is not sky
    assert added.endswith(STATIC_SHOT) is not bool(scene.camera.path)
    for body in scene.bodies:
        if body.hue is not None and not sky:
            assert (HUE_NAMES[body.hue] in added or "Each " in added) and " cm" in added


@pytest.mark.parametrize("task", TASKS)
def test_no_view_tells_of_another_camera(task: str) -> None:
    for view in VIEWS:
        scene = scene_of(task, view=view)
        for look in (PLAIN, "natural"):
            told = scene_prompt(scene, look)
            assert "straight above" not in told or not scene.camera.tilt
            assert len(re.findall(r"\b[Ss]tatic", told)) == (not scene.camera.path)
            assert told.count("The camera ") == bool(scene.camera.path)


def test_a_camera_says_from_where_it_sees() -> None:
    top, front = Camera("top", (0.0, 0.0, 0.0)), Camera("front", (0.0, 0.0, 0.0))
    assert [side_seen(each) for each in (top, front)] == ["seen from straight above", "seen from the side"]
    near, steep = math.radians(12), math.radians(25)
    assert side_seen(replace(top, tilt=near)) == "seen from above, a little aslant"
    assert side_seen(replace(front, tilt=near)) == "seen from the side, a little from above"
    assert side_seen(replace(top, tilt=steep)) == side_seen(replace(front, tilt=steep)) == "seen obliquely from above"


def test_the_words_of_two_scenes() -> None:
    scene = make_scene(Row("falling/stack-v1", "test", 0))
    assert scene_prompt(scene, "natural") == (
        "A tower of foam blocks stands on the floor: mint, red, blue, from below. The two boards beside it have just "
        "been drawn back. In a hall with a floor of wooden boards and a plastered wall, in soft light. The mint one is "
        "103 x 55 cm, the red one is 114 x 59 cm, the blue one is 98 x 61 cm. Real time, one continuous take. Seen "
        "from the side. Static shot with no camera movement."
    )
    away = scene_prompt(make_scene(Row("occlusion/look-away-v2", "test", 0)), "natural")
    assert away.startswith(
        "A purple exercise ball glides over a smooth floor at constant speed towards a wall. The camera turns to the "
        "left, away from the ball, and turns back. In a hall "
    )


def test_a_task_without_a_caption_keeps_its_own_words_but_those_on_the_camera() -> None:
    known = make_scene(Row("falling/projectile-v1", "test", 0))
    scene = replace(known, caption="", prompt="A ball. The shelf vanishes. Static camera, 1.5 m away, from the side.")
    assert scene_prompt(scene, "natural").startswith("A ball. The shelf is drawn back. In a hall ")
    assert scene_prompt(scene, "natural").endswith(STATIC_SHOT)


@pytest.mark.parametrize("task", builtin_task_ids(actions=True))
def test_a_scene_without_its_push_has_a_caption_without_it(task: str) -> None:
    scene = scene_of(task)
    quiet = scene_prompt(unpushed(scene), "natural")
    assert "push" in scene_prompt(scene, "natural") and "push" not in quiet
    assert quiet.startswith(scene.caption_unpushed) and scene.caption.startswith(scene.caption_unpushed)


def test_a_clip_has_the_prompt_of_its_look_and_none_where_there_is_none() -> None:
    clip = make_clip(Row("orbits/kepler-v1", "test", 0), render_spec(16, 10.0))
    assert clip.prompt == clip.scene.prompt
    natural = replace(clip, spec=RenderSpec(16, 16, 10.0, "natural"))
    assert natural.prompt == scene_prompt(clip.scene, "natural") != clip.prompt
    assert scene_prompt(replace(clip.scene, prompt=""), "natural") == ""


BALL = Body("ball", "sphere", (0.4,), "moving", (0.0, 0.0, 0.5), hue=0)
BOX = Body("box", "box", (0.5, 0.5, 0.5), "moving", (2.0, 0.0, 0.5), hue=1)
SCENE = Scene((BALL, BOX), Camera("front", (0.0, 0.0, 0.0)))


def moving(velocity: tuple[float, float, float], spin: float = 0.0) -> np.ndarray:
    """States (2, 13) at the hand-over: the ball with a velocity in m/s and a spin about y in rad/s; the box rests."""
    states = np.zeros((2, 13))
    states[0, 7:10], states[0, 11] = velocity, spin
    return states


@pytest.mark.parametrize(
    ("velocity", "spin", "said"),
    [
        ((0.6, 0.0, 0.0), 1.5, "rolls slowly to the right (less than its own width a second)"),
        ((0.6, 0.0, 0.0), 0.0, "moves slowly to the right"),
        ((-1.0, 0.0, 0.05), 0.0, "moves at a moderate speed to the left"),
        ((1.2, 0.0, 1.2), 0.0, "moves fast up and to the right"),
        ((0.0, 0.0, -4.0), 0.0, "moves very fast straight down"),
    ],
)
def test_the_words_of_a_velocity(velocity: tuple[float, float, float], spin: float, said: str) -> None:
    """The ball is 0.8 m wide: 0.8, 1.6 and 3.2 m/s are 1, 2 and 4 of its widths a second; it rolls at spin x 0.4 m."""
    sentence = motion_sentence(SCENE, stated_velocities(SCENE, moving(velocity, spin)))
    assert sentence.startswith(f"At the start the red ball {said}")
    assert sentence.endswith("; the lime box is at rest.")


def test_all_at_rest_and_nothing_told() -> None:
    resting = motion_sentence(SCENE, stated_velocities(SCENE, moving((0.0, 0.0, 0.0))))
    assert resting == "At the start the red ball is at rest; the lime box is at rest."
    assert motion_sentence(SCENE, ()) == ""


@given(st.floats(-8, 8), st.floats(-8, 8))
def test_a_velocity_is_inside_its_own_words(right: float, up: float) -> None:
    told = stated_velocities(SCENE, moving((right, 0.0, up)))[0]
    speed, (slowest, fastest) = math.hypot(right, up), speed_bounds(SCENE, told)
    assert slowest <= speed * (1 + 1e-12) and speed < fastest
    toward, beside = angle_bounds(told)
    assert speed == 0 or abs(math.remainder(math.atan2(up, right) - toward, math.tau)) <= beside + 1e-9


def test_paces_leave_no_gap() -> None:
    bounds = [slowest for slowest, _, _ in PACES]
    assert bounds[0] == 0.0 and bounds == sorted(set(bounds))
