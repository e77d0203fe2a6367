"""Clips with a change: one context, another future, a name of their own wherever clips are named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from physbench.clips.clip import Row
from physbench.clips.conditioning import Asked
from physbench.clips.export import export
from physbench.clips.generate import make_clip, make_params, make_scene, render_spec
from physbench.clips.store import ClipStore
from physbench.clips.suite import find_suite
from physbench.clips.task import CHANGES, builtin_task_ids, changed
from physbench.run.manifest import requested_manifest
from physbench.run.options import Options
from physbench.support.errors import UsageError
from physbench.world.scene import Impulse

PUSHED = Row("collisions/head-on-push-v1", "test", 0)
QUIET = replace(PUSHED, change="unpushed")


def test_a_name_of_its_own() -> None:
    assert PUSHED.id == "collisions.head-on-push-v1.test.0" and QUIET.id == f"{PUSHED.id}.unpushed"
    assert QUIET.unchanged == PUSHED == PUSHED.unchanged and PUSHED < QUIET and PUSHED.family == QUIET.family
    assert make_params(QUIET) == make_params(PUSHED)


@pytest.mark.parametrize("task", builtin_task_ids(actions=True))
def test_one_context_and_another_future(task: str) -> None:
    spec = render_spec(32, 10)
    clip, quiet = (make_clip(Row(task, "test", 0, change), spec) for change in ("", "unpushed"))
    now = clip.handover
    assert now == quiet.handover and clip.horizon == quiet.horizon and clip.state_hash != quiet.state_hash
    np.testing.assert_array_equal(clip.frames[: now + 1], quiet.frames[: now + 1])
    np.testing.assert_array_equal(clip.states[: now + 1], quiet.states[: now + 1])
    assert (clip.frames[now + 1 :] != quiet.frames[now + 1 :]).any()
    assert clip.actions(4) is not None and quiet.actions(4) is None
    assert "push" in clip.scene.prompt and "push" not in quiet.scene.prompt


def test_both_are_stored(tmp_path: Path) -> None:
    spec, store = render_spec(32, 10), ClipStore(tmp_path)
    assert store.path(PUSHED, spec).name == "0.npz" and store.path(QUIET, spec).name == "0.unpushed.npz"
    assert store.ensure((PUSHED, QUIET), spec, workers=1) == 2 and not store.missing((PUSHED, QUIET), spec)
    assert store.get(QUIET, spec).row == QUIET
    assert store.get(QUIET, spec).state_hash != store.get(PUSHED, spec).state_hash


def test_what_cannot_be_changed_is_said() -> None:
    with pytest.raises(UsageError, match="orbits/kepler-v1 cannot be unpushed: nothing is pushed"):
        make_scene(Row("orbits/kepler-v1", "test", 0, "unpushed"))
    with pytest.raises(UsageError, match=r"There is no change named 'unpushd'\. Did you mean unpushed"):
        make_scene(replace(PUSHED, change="unpushd"))
    scene = make_scene(PUSHED)
    with pytest.raises(UsageError, match="no `prompt_unpushed`"):
        changed(replace(scene, prompt_unpushed=""), "unpushed", PUSHED.task)
    early = Impulse(-0.1, scene.impulses[0].body, (1.0, 0.0, 0.0))
    with pytest.raises(UsageError, match="before the hand-over"):
        changed(replace(scene, impulses=(early,)), "unpushed", PUSHED.task)
    assert changed(scene, "", PUSHED.task) is scene
    assert [name for name in CHANGES if CHANGES[name].by_actions] == ["unpushed"]


def test_a_run_and_an_export_name_both(tmp_path: Path) -> None:
    suite = find_suite("counterfactuals", limit=2, tasks="kepler-thrust")
    manifest = requested_manifest(Options("baseline:freeze"), suite, None, {})
    assert manifest.document()["suite"]["rows"] == [
        {"task": "orbits/kepler-thrust-v1", "split": "test", "seed": 0},
        {"task": "orbits/kepler-thrust-v1", "split": "test", "seed": 0, "change": "unpushed"},
    ]
    assert manifest.rows == suite.rows
    asked = export(suite, render_spec(64, 10), 4, tmp_path / "out", limit=2, tasks="kepler-thrust")
    assert {clip.row for clip in Asked.model_validate(asked.model_dump()).clips} == set(suite.rows)
    pushed, quiet = sorted(asked.clips, key=lambda clip: suite.rows.index(clip.row))  # they stand in order of their ids
    assert quiet.answer == f"{quiet.id}.mp4" and pushed.id != quiet.id and "unpushed" not in quiet.id
    assert pushed.files.actions and not quiet.files.actions and "push" not in quiet.prompt
    assert pushed.sha256["image"] == quiet.sha256["image"]
    assert "`uses_actions`" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    answer = json.loads((tmp_path / "out" / "answers" / "answer.json").read_text(encoding="utf-8"))
    assert answer["uses_actions"] is False, "to be given them is not to use them"
