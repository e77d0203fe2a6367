"""Prompts in the words of a look."""

from __future__ import annotations

from dataclasses import replace

import pytest

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, make_scene, render_spec
from physbench.clips.task import builtin_task_ids
from physbench.world.scene import HUE_NAMES, PLAIN, RenderSpec
from physbench.world.styles.prompt import ONE_TAKE, scene_prompt

ACTUATED = tuple(task for suite in ("pusher", "thrust") for task in builtin_task_ids(actions=True, suite=suite))
TASKS = (*builtin_task_ids(full=True), *builtin_task_ids(actions=True), *ACTUATED)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_look_adds_its_set_and_sizes_to_what_the_scene_says(task: str, split: str) -> None:
    scene = make_scene(Row(task, split, 1))  # type: ignore[arg-type]
    plain, natural = scene_prompt(scene, PLAIN), scene_prompt(scene, "natural")
    own = plain.replace(" vanishes", " is drawn back").replace(" vanish", " are drawn back")
    assert plain == scene.prompt and natural.startswith(own + " ") and natural.endswith(ONE_TAKE)
    added = natural.removeprefix(own)
    sky = scene.camera.view == "top" and "table" not in plain and "gas" not in plain
    assert "night sky" in added if sky else "soft light" in added
    for body in scene.bodies:
        if body.hue is not None and "soft light" in added:
            assert HUE_NAMES[body.hue] in added and " cm" in added


def test_the_words_of_one_scene() -> None:
    scene = make_scene(Row("falling/stack-v1", "test", 0))
    own = "The walls are drawn back, and the tower stands or topples. Static camera, seen from the side."
    added = "In a hall with a floor of wooden boards and a plastered wall, in soft light. Sizes: mint box "
    assert f"{own} {added}" in scene_prompt(scene, "natural")


def test_a_clip_has_the_prompt_of_its_look_and_none_where_there_is_none() -> None:
    clip = make_clip(Row("orbits/kepler-v1", "test", 0), render_spec(16, 10.0))
    assert clip.prompt == clip.scene.prompt
    natural = replace(clip, spec=RenderSpec(16, 16, 10.0, "natural"))
    assert natural.prompt == scene_prompt(clip.scene, "natural") != clip.prompt
    assert scene_prompt(replace(clip.scene, prompt=""), "natural") == ""
