"""Environments are clips that somebody plays: the same frames, bit for bit, and the rules of Gymnasium."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import physbench.envs
from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, make_params, render_spec
from physbench.clips.task import find_task, short_names, task_ids
from physbench.envs import TaskEnv
from physbench.support.errors import PhysbenchError, UsageError
from physbench.world.scene import PALETTE, sphere_mass

PUSHED = tuple(task for task in task_ids() if getattr(find_task(task), "actions", False))
SOME = ("collisions/billiards-push-v1", "orbits/kepler-thrust-v1", "falling/stack-v1", "collisions/pusher-v1")
REST = tuple(task for task in task_ids() if task not in (*SOME, "orbits/kepler-v1"))


def name_of(task: str) -> str:
    return f"physbench/{short_names(task)[0]}"


def played(env: Any, **reset: Any) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Frames (T + 1, H, W, 3) and infos of an episode with the clip's own actions."""
    frame, info = env.reset(**reset)
    frames, infos, ended = [frame], [info], False
    own = info.get("own_actions")
    while not ended:
        frame, reward, terminated, ended, info = env.step(0 if own is None else own[len(infos) - 1])
        assert reward == 0 and not terminated
        frames.append(frame)
        infos.append(info)
    return np.stack(frames), infos


def clip_of(task: str, seed: int, fps: float = 15, size: int = 64) -> Clip:
    return make_clip(Row(task, "train", seed), render_spec(size, fps))


def test_every_task_is_registered() -> None:
    assert {name_of(task) for task in task_ids()} <= set(gymnasium.registry)
    assert "physbench/billiards-push-v1" in gymnasium.registry
    physbench.envs.register_tasks()  # a second time changes nothing
    assert gymnasium.registry["physbench/stack-v1"].kwargs == {"task": "falling/stack-v1"}


@pytest.mark.parametrize(
    "task",
    [
        SOME[1],
        *(pytest.param(each, marks=pytest.mark.slow) for each in (SOME[0], *SOME[2:], "orbits/kepler-v1", *REST)),
    ],
)
def test_the_checker_of_gymnasium_passes(task: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*symmetric and normalized")  # pushes are in N s
        check_env(gymnasium.make(name_of(task), disable_env_checker=True).unwrapped)


@pytest.mark.parametrize(
    ("task", "fps"),
    [
        (SOME[0], 15),
        ("falling/stack-v1", 5),
        *(pytest.param(each, 15, marks=pytest.mark.slow) for each in (*SOME[1:4], "orbits/kepler-v1", *REST)),
    ],
)
def test_an_episode_with_the_clips_own_actions_is_the_clip(task: str, fps: float) -> None:
    """At 15 frames/s pushes on the grid of 1/20 s lie within frames, not at their start."""
    clip = clip_of(task, 7, fps)
    frames, infos = played(gymnasium.make(name_of(task), fps=fps, context_frames=3), seed=7)
    np.testing.assert_array_equal(infos[0]["context"], clip.context(3))
    np.testing.assert_array_equal(frames, clip.frames[clip.handover :])
    np.testing.assert_array_equal([info["time"] for info in infos], clip.times[clip.handover :])
    rows, tracked = np.array([info["states"] for info in infos]), list(clip.tracked)
    np.testing.assert_array_equal(rows[:, : len(tracked)], clip.states[clip.handover :, tracked], "to the last bit")
    assert not rows[:, len(tracked) :].any()
    hues = [clip.scene.bodies[index].hue for index in tracked]
    np.testing.assert_array_equal(infos[0]["hues"], [*hues, *[-1] * (len(PALETTE) - len(hues))])
    table = clip.actions(1)
    expected = np.zeros((len(frames), 6)) if table is None else table
    np.testing.assert_array_equal([info["action"] for info in infos], expected)


def test_a_push_changes_the_velocity_by_impulse_over_mass_and_none_leaves_the_clip_unpushed() -> None:
    env = TaskEnv("collisions/head-on-push-v1", fps=10)  # no friction: what a push gives is there until the hit
    _, info = env.reset(seed=7)
    before, mass, step = info["states"][0, 7:9], env._scene.bodies[0].mass, env._own[0].time / 0.1
    frames, ended, push = [env.reset(seed=7)[0]], False, np.array([3.0, -7.0])
    *_, info = env.step(push)
    assert step >= 1, "the clip's own push comes later"
    np.testing.assert_allclose(info["states"][0, 7:9] - before, push / mass, rtol=1e-9)
    np.testing.assert_allclose(info["action"][3:], [*push, 0])
    env.reset(seed=7)
    while not ended:
        frame, _, _, ended, _ = env.step(np.zeros(2))
        frames.append(frame)
    env.close()
    quiet = make_clip(Row("collisions/head-on-push-v1", "train", 7, "unpushed"), render_spec(64, 10))
    np.testing.assert_array_equal(np.stack(frames), quiet.frames[quiet.handover :])


def test_a_driven_body_is_told_velocities() -> None:
    """It gets there with its own acceleration, stands when it is told nothing, and is told no more than the bounds."""
    env = TaskEnv("collisions/pusher-v1", fps=10)
    _, info = env.reset(seed=7)
    own = info["own_actions"]
    assert own.shape == (40, 2) and np.abs(own).max() <= 1.1
    x, y = own[0] / np.linalg.norm(own[0])
    *_, info = env.step([-0.3 * x, -0.3 * y])
    np.testing.assert_allclose(info["states"][0, 7:9], [-0.3 * x, -0.3 * y], atol=0.05)
    np.testing.assert_allclose(info["action"][3:], [-0.3 * x, -0.3 * y, 0], rtol=1e-6)
    for _ in range(3):
        *_, info = env.step([0.0, 0.0])
    np.testing.assert_allclose(info["states"][0, 7:9], 0, atol=1e-3)
    *_, info = env.step([0.0, 1e9])
    assert info["action"][4] == 2
    env.close()


def test_a_thruster_is_told_forces() -> None:
    """It accelerates by F / m for as long as it is told, shows its bar, and is cut to the bounds."""
    env = TaskEnv("orbits/thruster-v1", fps=10)
    frame, info = env.reset(seed=7)
    assert env.action_space.shape == (2,) and info["own_actions"].shape == (40, 2)
    dark = [int((frame.max(axis=-1) < 90).sum())]
    for force in ([20.0, 0.0], [20.0, 0.0], [0.0, 0.0], [1e9, 0.0]):
        frame, *_, info = env.step(force)
        dark.append(int((frame.max(axis=-1) < 90).sum()))
        assert info["action"][3] == min(force[0], 40)
    assert dark[0] == dark[3] == 0 and dark[1] > 0 and dark[4] > dark[1]
    ratio = info["states"][0, 7] / (0.1 * (20 + 20 + 40))
    assert ratio == pytest.approx(1 / sphere_mass(make_params(Row(env.task, "train", 7))["radius"]), rel=1e-3)
    env.close()


def test_the_pose_of_a_camera_that_turns_by_itself() -> None:
    env = TaskEnv("falling/follow-v1", fps=10, size=32)
    _, info = env.reset(seed=7)
    first, before = info["camera"], info["states"][0, 0]
    for _ in range(5):
        *_, info = env.step(0)
    assert not first.any() and info["camera"].shape == (6,) and not info["camera"][1:].any()
    turned = np.degrees(np.arctan(info["states"][0, 0] / 5) - np.arctan(before / 5))
    assert abs(turned) > 1 and info["camera"][0] == pytest.approx(turned, abs=0.5)
    env.close()


def test_vectorised_environments_keep_their_infos_apart() -> None:
    """Games of two to four balls have infos of one shape."""
    envs = gymnasium.make_vec("physbench/billiards-push-v1", num_envs=3, vectorization_mode="sync", fps=5)
    frames, info = envs.reset(seed=[0, 1, 2])
    assert frames.shape == (3, 64, 64, 3) and list(info["clip"]) == [
        f"collisions.billiards-push-v1.train.{seed}" for seed in range(3)
    ]
    for _ in range(3):
        frames, _, _, ended, info = envs.step(envs.action_space.sample())
    assert not ended.any() and info["states"].shape == (3, 5, 13)
    envs.close()


def test_resets_draw_scenes_of_train() -> None:
    env = TaskEnv("orbits/kepler-v1", fps=5, held_out=True)
    first, later = env.reset(seed=3)[1]["clip"], env.reset()[1]["clip"]
    assert first == "orbits.kepler-v1.train.3" and later.startswith("orbits.kepler-v1.train.") and later != first
    assert env.reset(seed=3)[1]["clip"] == first and env.reset()[1]["clip"] == later, "from the seed alone"
    assert env.reset(options={"split": "test", "seed": 4})[1]["clip"] == "orbits.kepler-v1.test.4"
    env.close()


@pytest.mark.parametrize(
    ("action", "says"),
    [
        ([1.0, 2.0, 3.0], r"shape \(2,\) \(right, up\), got \(3,\)"),
        ([np.nan, 0.0], r"finite numbers .* got \[nan, 0.0\]"),
        ("left", r"shape|2 numbers \(right, up\), got 'left'"),
    ],
)
def test_actions_that_are_none_are_refused_in_a_line(action: Any, says: str) -> None:
    env = TaskEnv("orbits/kepler-thrust-v1", fps=5)
    with pytest.raises(PhysbenchError, match=r"call reset\(\)"):
        env.step(np.zeros(2))
    env.reset(seed=0)
    with pytest.raises(UsageError, match=says) as found:
        env.step(action)
    assert "\n" not in str(found.value)
    *_, info = env.step([1e9, 0.0])
    assert info["action"][3] == 40, "too large a push is cut to the bounds of the space"
    env.close()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"split": "test"}, "held out"),
        ({"split": "tset"}, "no split 'tset'. Did you mean test"),
        ({"clip": 3}, "no 'clip'. Known: seed, split"),
        ({"seed": -1}, "whole number from 0 on, got -1"),
    ],
)
def test_options_that_there_are_not_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        TaskEnv("orbits/kepler-v1").reset(options=options)


def test_environments_that_cannot_be_are_refused() -> None:
    for arguments, says in (
        ({"fps": 7}, "fps"),
        ({"size": 4}, "size"),
        ({"context_frames": 32}, "1 to 31"),
        ({"render_mode": "human"}, "rgb_array"),
    ):
        with pytest.raises(UsageError, match=says):
            TaskEnv("orbits/kepler-v1", **arguments)  # type: ignore[arg-type]
    env = TaskEnv("orbits/kepler-v1", fps=5, render_mode="rgb_array")
    frame, _ = env.reset(seed=0)
    np.testing.assert_array_equal(env.render(), frame)
    with pytest.raises(UsageError, match="expected 0, which does nothing"):
        env.step(1)
    env.close()


def test_a_task_of_ones_own_is_an_environment(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    text = (Path(__file__).parents[2] / "examples" / "my_task.py").read_text(encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    env = TaskEnv(str(file), fps=5)
    assert env.reset(seed=0)[0].shape == (64, 64, 3) and env.action_space == gymnasium.spaces.Discrete(1)
    env.close()
