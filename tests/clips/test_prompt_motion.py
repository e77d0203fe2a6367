"""Prompts that tell how things move: a track of its own, and nothing of the other one is changed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_manifests import made_manifest

from physbench.clips.clip import Clip, Row
from physbench.clips.conditioning import SuiteAsked
from physbench.clips.export import check_export, export
from physbench.clips.generate import make_clip, make_scene, render_spec
from physbench.clips.suite import (
    PROMPT_MOTION_SUFFIX,
    check_prompt_motion,
    chosen_suite,
    find_suite,
    with_prompt_motion,
    without_prompt_motion,
)
from physbench.result.build import _whole
from physbench.result.sentences import note
from physbench.run.options import Options
from physbench.support.errors import UsageError
from physbench.world.scene import RenderSpec

ROW = Row("falling/drop-bounce-v1", "test", 0)
WORDS = " At the start the blue ball moves very fast straight down (more than four of its own widths a second)."


def test_only_the_prompt_is_another_one() -> None:
    spec = render_spec(32, 10)
    clip, told = (make_clip(row, spec) for row in (ROW, replace(ROW, change="told")))
    np.testing.assert_array_equal(clip.frames, told.frames)
    np.testing.assert_array_equal(clip.states, told.states)
    assert clip.scene == told.scene and repr(clip.scene) == repr(told.scene) and clip.state_hash == told.state_hash
    assert clip.prompt == clip.scene.prompt and clip.stated_velocities == ()
    assert told.prompt == clip.prompt + WORDS and told.id == f"{clip.id}.told"
    assert replace(told, states=0 * told.states).stated_velocities == told.stated_velocities, (
        "a view without states keeps what was said"
    )


def test_a_suite_of_another_name_and_hash_with_the_same_golden_states() -> None:
    smoke = find_suite("smoke")
    told = with_prompt_motion(smoke)
    assert told.name == f"smoke{PROMPT_MOTION_SUFFIX}" and told.version == smoke.version and told.hash != smoke.hash
    assert not set(told.rows) & set(smoke.rows) and without_prompt_motion(told.rows) == smoke.rows
    assert [told.state_hash(row) for row in told.rows] == [smoke.state_hash(row) for row in smoke.rows]
    assert chosen_suite("smoke", None, None, prompt_motion=False) is smoke


def test_what_cannot_be_told() -> None:
    for suite in ("expectation", "counterfactuals"):
        with pytest.raises(UsageError, match="compares clips with each other"):
            Options("baseline:freeze", suite=suite, prompt_motion=True).check()
    with pytest.raises(UsageError, match="8 frames show already how things move"):
        check_prompt_motion("core", 8)


def test_a_run_says_what_it_is() -> None:
    options = Options("baseline:freeze", suite="smoke", prompt_motion=True)
    assert options.suite_name == f"smoke{PROMPT_MOTION_SUFFIX}" and "--prompt-motion" in options.resume_command(
        Path("run")
    )
    assert "--prompt-motion" not in Options("baseline:freeze").resume_command(Path("run"))
    rows = find_suite("smoke").rows
    told = with_prompt_motion(find_suite("smoke")).rows
    spec = RenderSpec(64, 64, 15.0)
    assert "told in words how things move" in note(told, spec, True) and "told" not in note(rows, spec, True)
    lit = note(rows, replace(spec, look="natural"), False)
    assert "the look natural: not beside runs" in lit and "is not fixed" in lit
    suite = {"name": f"smoke{PROMPT_MOTION_SUFFIX}", "version": find_suite("smoke").version}
    assert _whole(made_manifest(suite=suite, options={"limit": 3})) == told


def test_an_export_tells_it_and_names_the_command(tmp_path: Path) -> None:
    spec = check_export(32, 32, 10, 1)
    asked = export(
        chosen_suite("smoke", 1, "drop-bounce", prompt_motion=True), spec, 1, tmp_path / "cond", tasks="drop-bounce"
    )
    assert asked.clips[0].prompt == make_scene(ROW).prompt + WORDS and asked.clips[0].row.change == "told"
    assert asked.suite.options == "--suite smoke --tasks drop-bounce --prompt-motion"
    stored = json.loads((tmp_path / "cond" / "manifest.json").read_text())
    assert stored["clips"][0]["prompt"].endswith(WORDS)
    plain = SuiteAsked(name="smoke", version=3, hash="", partial=False)
    assert plain.options == "--suite smoke"


def test_words_come_from_the_states_alone(clip_of: object) -> None:
    """A clip of any task, also of a user's, has them without its author's help."""
    clip: Clip = clip_of("collisions/head-on-v1")  # type: ignore[operator]
    told = replace(clip, row=replace(clip.row, change="told"), stated_velocities=None)
    assert told.stated_velocities is not None and [each.body for each in told.stated_velocities] == ["ball a", "ball b"]
