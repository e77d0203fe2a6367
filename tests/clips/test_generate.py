"""Clips are pure functions of row and render spec; with a change they have another future and a name of their own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from slow_cases import others_slow

from physbench.clips import generate
from physbench.clips.clip import Row
from physbench.clips.conditioning import Asked
from physbench.clips.export import export
from physbench.clips.generate import (
    frames_before,
    grid_states,
    known_scene,
    make_clip,
    make_params,
    make_scene,
    past_states,
    render_spec,
    state_hash,
)
from physbench.clips.store import ClipStore
from physbench.clips.suite import find_suite
from physbench.clips.task import CHANGES, builtin_task_ids, changed
from physbench.run.manifest import requested_manifest
from physbench.run.options import Options
from physbench.support.errors import UsageError
from physbench.world.bullet import World
from physbench.world.scene import Impulse, RenderSpec

ROW = Row("falling/projectile-v1", "test", 7)


def test_clip_is_deterministic_and_states_do_not_depend_on_the_spec() -> None:
    slow, again = (make_clip(ROW, render_spec(32, 10)) for _ in range(2))
    for name in ("frames", "states", "visible_area", "full_area", "times"):
        assert np.array_equal(getattr(slow, name), getattr(again, name)), name
    fast = make_clip(ROW, render_spec((32, 48), 24))
    assert fast.frames.shape == (145, 32, 48, 3) and slow.frames.shape == (61, 32, 32, 3)
    assert slow.state_hash == fast.state_hash == state_hash(grid_states(make_scene(ROW)))
    assert slow.contacts == fast.contacts
    # every fifth frame at 10/s and every twelfth at 24/s are the same instants
    np.testing.assert_array_equal(slow.states[::5], fast.states[::12])
    assert slow.times[slow.handover] == 0 and slow.horizon == 40
    other = make_clip(Row(ROW.task, ROW.split, 8), render_spec(32, 10))
    assert other.state_hash != slow.state_hash


def test_state_hash_sees_micrometres_and_not_rounding_noise() -> None:
    states = np.zeros((3, 2, 13))
    states[..., 0] = 0.25
    base = state_hash(states)
    assert state_hash(states + 1e-9) == base
    moved, turned = states.copy(), states.copy()
    moved[1, 0, 7] += 2e-6
    turned[1, 0, 4] += 1.0  # orientation is not seen
    assert state_hash(moved) != base and state_hash(turned) == base
    assert state_hash(-np.zeros((1, 1, 13))) == state_hash(np.zeros((1, 1, 13)))


@pytest.mark.parametrize(("size", "fps"), [(8, 15), (4096, 15), (64, 7), (64, 0), (64, 120)])
def test_render_spec_is_checked(size: int, fps: float) -> None:
    with pytest.raises(UsageError, match=r"Use (64|1, 2, 3, 4, 5)"):
        render_spec(size, fps)


def test_a_rate_is_one_rate_as_a_whole_number_too() -> None:
    assert repr(render_spec(64, 30)) == repr(render_spec(64, 30.0))  # the key of a stored clip is made of it


def test_unknown_task() -> None:
    with pytest.raises(UsageError, match="Did you mean falling/projectile-v1"):
        make_scene(Row("falling/projectil-v1", "test", 0))


@pytest.mark.parametrize("task", others_slow(["orbits/kepler-v1", "orbits/binary-v1", "orbits/three-body-v1"]))
def test_what_was_before_the_history_leads_to_it(task: str) -> None:
    """The simulator, begun where the flight was run back to, comes to the first frame."""
    clip = make_clip(Row(task, "test", 0), RenderSpec(32, 32, 24))
    past = past_states(clip, 25)
    assert past is not None
    with World(clip.scene, float(clip.times[0]) - 25 / 24, past[:1], log=False) as world:
        for state in [*past, clip.states[0], clip.states[1]]:
            np.testing.assert_allclose(world.states()[0][:, :3], state[:, :3], atol=1e-7)
            np.testing.assert_allclose(world.states()[0][:, 7:10], state[:, 7:10], atol=1e-7)
            world.advance(world.time + 1 / 24)
    frames = frames_before(clip, 25)
    assert frames.shape == (25, *clip.frames.shape[1:]) and len({frame.tobytes() for frame in frames}) > 12


def test_a_path_comes_straight_and_what_is_held_stays() -> None:
    lifted = make_clip(Row("occlusion/screen-lift-v1", "test", 0), RenderSpec(32, 32, 24))
    past = past_states(lifted, 25)
    assert past is not None
    plate = [*past[:, lifted.scene.index("plate"), 2], *lifted.states[:5, lifted.scene.index("plate"), 2]]
    np.testing.assert_allclose(np.diff(plate), plate[-1] - plate[-2], atol=1e-9)
    assert not np.array_equal(frames_before(lifted, 1), lifted.frames[:1]), "one frame before is another one, too"
    held = make_clip(Row("falling/projectile-v1", "test", 0), RenderSpec(32, 32, 24))
    assert np.array_equal(frames_before(held, 3), held.frames[[0, 0, 0]])


def test_a_past_that_cannot_be_run_back_repeats_the_first_frame() -> None:
    dragged = make_clip(Row("orbits/decay-v1", "test", 0), RenderSpec(32, 32, 24))
    assert past_states(dragged, 25) is None
    assert np.array_equal(frames_before(dragged, 2), dragged.frames[[0, 0]])


def test_the_same_scene_once_for_the_same_files(monkeypatch: pytest.MonkeyPatch) -> None:
    row, asked = Row("orbits/kepler-v1", "ood", 3), list[Row]()

    def counted(row: Row) -> object:
        asked.append(row)
        return make_scene(row)

    monkeypatch.setattr(generate, "make_scene", counted)
    generate._scene.cache_clear()
    assert known_scene(row) == make_scene(row) and known_scene(row) is known_scene(row)
    assert asked == [row]
    monkeypatch.setattr(generate, "registered_files", lambda: ("another text of a file",))
    assert known_scene(row) == make_scene(row)
    assert asked == [row, row]


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
