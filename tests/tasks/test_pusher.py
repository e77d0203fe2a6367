"""The pusher: a motor that does as it is told and has a limited force, closed forms, and what its readings say."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from handmade import tracks_at, true_places

from physbench.clips.action_space import read_action_map
from physbench.clips.clip import Clip, Row, mean_commands
from physbench.clips.generate import make_clip, make_params, make_scene, render_spec
from physbench.clips.suite import find_suite
from physbench.clips.task import Params, builtin_task_ids
from physbench.models.protocol import StateCard
from physbench.rollout.states import state_actions
from physbench.scorers.diagnostics.counterfactual import push_followed
from physbench.tasks.actions import MOTOR, PUSHER_SIZE, Pusher, hit_time
from physbench.track.tracker import track
from physbench.world.bullet import Simulation, simulate
from physbench.world.scene import Command, Drive, Scene, box_mass, sphere_mass

EXAMPLES = Path(__file__).parents[2] / "examples"
STRUCK, BLOCKED = 4, 1  # seeds of test
TIMES = np.arange(-40, 81) / 20  # s


@lru_cache
def played(seed: int) -> tuple[Params, Scene, Simulation]:
    row = Row(Pusher.id, "test", seed)
    return make_params(row), make_scene(row), simulate(make_scene(row), TIMES)


@lru_cache
def clip_of(seed: int) -> Clip:
    return make_clip(Row(Pusher.id, "test", seed), render_spec(64, 15))


def along(scene: Scene, vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) along the first command and across it (..., 2)."""
    x, y, _ = scene.drives[0].commands[0].velocity
    ahead = np.array([x, y]) / np.hypot(x, y)
    return np.stack([vectors[..., :2] @ ahead, vectors[..., :2] @ [-ahead[1], ahead[0]]], axis=-1)


def test_it_has_a_suite_of_its_own() -> None:
    assert find_suite("pusher").tasks == (Pusher.id,)
    assert Pusher.id not in {*builtin_task_ids(full=True), *builtin_task_ids(actions=True)}
    blocked = [make_params(Row(Pusher.id, "train", seed))["blocked"] for seed in range(40)]
    assert 10 <= sum(blocked) <= 30


def test_a_ball_that_is_hit_follows_the_closed_form() -> None:
    p, scene, simulation = played(STRUCK)
    bar, ball = simulation.states[:, 0], simulation.states[:, 1]
    first = simulation.contacts[0]
    assert {first.a, first.b} == {"pusher", "ball"} and first.time == pytest.approx(hit_time(p), abs=0.02)
    heavy, light = box_mass(PUSHER_SIZE), sphere_mass(p["radius"])
    gained = (1 + p["restitution"]) * heavy / (heavy + light) * p["speed"]
    after = np.argmax(first.time + 0.01 < TIMES)
    assert along(scene, ball[after, 7:10]) == pytest.approx([gained, 0], abs=0.03)
    ramp = (TIMES > 0) & (p["speed"] / MOTOR - 0.1 > TIMES)
    np.testing.assert_allclose(along(scene, bar[ramp, 7:10])[:, 0], MOTOR * TIMES[ramp], atol=0.01)
    assert np.abs(bar[:, 3:7] - bar[0, 3:7]).max() < 1e-6, "it does not turn"
    assert np.ptp(along(scene, bar[:, :3])[:, 1]) < 1e-4, "nor leave its line"
    other = simulation.states[:, 2]
    np.testing.assert_allclose(other[:, :3] - other[0, :3], (TIMES + 2)[:, None] * other[0, 7:10], atol=1e-6)


def test_a_bar_is_stopped_by_a_ball_at_a_wall_and_goes_back() -> None:
    p, scene, simulation = played(BLOCKED)
    stands = (p["back_at"] - 0.2 < TIMES) & (p["back_at"] >= TIMES)
    assert np.abs(simulation.states[stands, 0, 7:9]).max() < 0.05 * p["speed"]
    assert np.linalg.norm(simulation.states[:, 1, :3] - simulation.states[0, 1, :3], axis=-1).max() < 0.003
    way = along(scene, simulation.states[:, 0, :3] - simulation.states[0, 0, :3])[:, 0]
    assert way.max() == pytest.approx(p["gap"], abs=0.005)
    back = np.diff(way[(p["back_at"] + 0.4 < TIMES) & (p["back_at"] + 1 > TIMES)]) * 20
    np.testing.assert_allclose(back, -p["speed_back"], atol=0.01)


def test_more_force_than_the_motor_has_is_not_there() -> None:
    """Half the force accelerates half as much; a drive without commands keeps its body where it is."""
    _, scene, _ = played(STRUCK)
    (drive,) = scene.drives
    times = [0.0, 0.1]
    weak = simulate(replace(scene, fields=(replace(drive, force=drive.force / 2),)), times, log=False).states
    assert along(scene, weak[1, 0, 7:10])[0] == pytest.approx(0.05 * MOTOR, rel=0.02)
    still = simulate(replace(scene, fields=(replace(drive, commands=()),)), times, log=False).states
    np.testing.assert_array_equal(still[0, 0], still[1, 0])
    found = drive.accelerations(scene, still[0, :, :3], still[0, :, 7:10], 0.0)
    assert np.linalg.norm(found, axis=-1) == pytest.approx([MOTOR, 0, 0, 0, 0])
    for wrong in ({"force": 0.0}, {"commands": (Command(1.0, (0, 0, 0)), Command(0.0, (0, 0, 0)))}):
        with pytest.raises(ValueError, match="no drive"):
            replace(drive, **wrong)


@pytest.mark.parametrize("fps", [15, 10, 7.5, 4])
def test_actions_are_what_it_is_told_since_the_frame_before(fps: float) -> None:
    """Their sum over frames is the way that is told, also at rates at which a command begins within a frame."""
    drive = Drive("pusher", 1.0, (Command(0.0, (1.0, 0.0, 0.0)), Command(1.0, (0.0, -2.0, 0.0))))
    times = np.arange(-2, round(2 * fps) + 1) / fps
    table = mean_commands(drive, times)
    way = np.maximum(np.stack([np.minimum(times, 1.0), -2 * (times - 1.0)], axis=-1), [0, -9])
    np.testing.assert_allclose(np.cumsum(table, axis=0)[:, :2] / fps, np.minimum(way, [9, 0]), atol=1e-12)


READINGS = ("", "direction", "delay", "forced", "left-alone")


def read(clip: Clip, places: np.ndarray) -> list[float | None]:
    """Readings of predicted places (T, K, 2) m."""
    found = push_followed.function(clip, None, tracks_at(clip, places))  # type: ignore[arg-type]
    assert isinstance(found, dict)
    return [found[name].value for name in READINGS]


def test_truth_follows_what_it_is_told() -> None:
    for seed, forced in ((STRUCK, None), (BLOCKED, 0)):
        clip = clip_of(seed)
        assert read(clip, true_places(clip)) == [pytest.approx(1), pytest.approx(0, abs=1e-6), 0, forced, 1]


@pytest.mark.parametrize("seed", [STRUCK, BLOCKED])
def test_half_speed_standing_still_and_two_frames_late_are_read(seed: int) -> None:
    clip = clip_of(seed)
    true, start = true_places(clip), clip.plane_positions()[clip.handover, 0]
    half, still, late = true.copy(), true.copy(), true.copy()
    half[:, 0], still[:, 0] = start + (true[:, 0] - start) / 2, start
    late[:, 0] = np.concatenate([[start, start], true[:-2, 0]])
    assert read(clip, half)[:3] == [pytest.approx(0.5), pytest.approx(0, abs=1e-6), 0]
    assert read(clip, still)[:3] == [pytest.approx(0, abs=1e-12), None, None]
    assert read(clip, late)[:3] == [pytest.approx(1, abs=0.02), pytest.approx(0, abs=1e-6), pytest.approx(2, abs=0.1)]


def test_what_cannot_be_done_and_who_is_left_alone() -> None:
    """A bar that goes through ball and wall has done all that it was told; a ball that is lost is not left alone."""
    clip = clip_of(BLOCKED)
    told = mean_commands(clip.scene.drives[0], clip.times)[clip.handover + 1 :, :2]
    through = true_places(clip)
    through[:, 0] = clip.plane_positions()[clip.handover, 0] + np.cumsum(told, axis=0) / 15
    assert read(clip, through)[3] == pytest.approx(1, abs=1e-6)
    moved, half = true_places(clip), clip.horizon // 2
    moved[half:, 2] = np.nan
    moved[: half // 2, 2] += 0.5
    assert read(clip, moved)[4] == pytest.approx(1 - (clip.horizon - half + half // 2) / clip.horizon)
    lost = true_places(clip)
    lost[:, 0] = np.nan
    found = push_followed.function(clip, None, tracks_at(clip, lost))  # type: ignore[arg-type]
    assert isinstance(found, dict) and found["forced"].reason == "it is not seen where it is blocked"
    assert "fewer than 4 frames" in found[""].reason


def test_a_model_of_states_is_told_the_same() -> None:
    clip = clip_of(BLOCKED)
    card = StateCard("states", fps=15, context_frames=4, uses_actions=True)
    rows, table = state_actions([clip], card, 4), clip.actions(4)
    assert rows is not None and table is not None and rows.shape == (1, len(table), 4, 3)
    np.testing.assert_allclose(rows[0, :, 0], table[:, 3:], atol=1e-6)
    assert not rows[0, :, 1:].any() and state_actions([clip], replace(card, uses_actions=False), 4) is None


def test_its_actions_as_keys() -> None:
    clip = clip_of(BLOCKED)
    table = clip.actions(4)
    assert table is not None
    every = np.concatenate([table, clip.camera_poses(4)], axis=1)
    keys = read_action_map(str(EXAMPLES / "pusher_keys.py")).table(every[None], 15)[0]
    x, y = clip.scene.drives[0].commands[0].velocity[:2]
    first = {(1, 0): "right", (-1, 0): "left", (0, 1): "up", (0, -1): "down"}[round(np.sign(x)), round(np.sign(y))]
    pressed = [("none", "left", "right", "up", "down")[each.argmax()] for each in keys]
    assert (keys.sum(axis=1) == 1).all() and pressed[:4] == ["none"] * 4 and pressed[4] == first
    back = {"right": "left", "left": "right", "up": "down", "down": "up"}[first]
    assert list(dict.fromkeys(pressed)) == ["none", first, back]


def test_the_example_goes_through_what_blocks_it() -> None:
    """The model of the page on actions, tracked: it does as it is told, nothing stops it, and others are left alone."""
    clip = clip_of(BLOCKED)
    spec = importlib.util.spec_from_file_location("moves_as_told", EXAMPLES / "moves_as_told.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    context = torch.from_numpy(clip.context(4)).permute(0, 3, 1, 2)[None] / 255
    actions = torch.from_numpy(clip.actions(4))[None]
    parts = module.make(device=None, dtype=None).rollout(
        context, horizon=clip.horizon, actions=actions, prompts=[""], generators=[]
    )
    frames = (torch.cat(list(parts), 1)[0] * 255).round().byte().permute(0, 2, 3, 1).numpy()
    tracks = track(clip, 4, np.concatenate([clip.context(4), frames]))
    found = push_followed.function(clip, None, tracks)  # type: ignore[arg-type]
    assert isinstance(found, dict)
    assert found[""].value == pytest.approx(1.1, abs=0.1) and found["forced"].value == pytest.approx(1, abs=0.05)
    assert (found["left-alone"].value or 1) < 0.5, "the other ball stands still"
