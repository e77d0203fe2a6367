"""The physicist: what it sees, what it makes of it, and how near that comes to truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from slow_cases import others_slow

from physbench.baselines.physicist import context_view, estimate_states, predict_frames
from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip, render_spec
from physbench.clips.task import builtin_task_ids, own_ids
from physbench.models.load_model import load_model
from physbench.support import plugins
from physbench.track.tracker import track

Clips = Callable[..., Clip]
TASKS = (*builtin_task_ids(full=True), *builtin_task_ids(actions=True))
ONE_OF_EACH_LAW = (
    "falling/projectile-v1",
    "falling/incline-v1",
    "falling/pendulum-v1",
    "falling/seesaw-v1",
    "collisions/billiards-v1",
    "collisions/head-on-push-v1",
    "orbits/kepler-v1",
    "orbits/decay-v1",
)

FREE = '''
from physbench.clips.task import Parameter, declare, draw
from physbench.world.scene import Body, Camera, Scene


class Slide:
    """A box slides over a floor whose friction nothing shows."""

    id = "own/unknown-floor-v1"
    parameters = declare(friction=Parameter("", "free", (0.05, 0.25), "of the box on the floor"))

    def sample(self, rng, split):
        return draw(self.parameters, rng, split, lambda p: True)

    def scene(self, p):
        box = Body(
            "box", "box", (0.25, 0.25, 0.25), "moving", (-2.0, 0.0, 0.25), velocity=(2.0, 0.0, 0.0), hue=0, mass=1.0,
            restitution=0.0, friction=p["friction"], release=-0.3, flat=True,
        )
        floor = Body("floor", "plane", (), "fixed", (0.0, 0.0, 0.0), friction=1.0)
        return Scene((box, floor), Camera("front", (0.0, 0.0, 2.0)), gravity=(0.0, 0.0, -9.81), horizon=2.0)
'''


@pytest.fixture(scope="module", autouse=True)
def _registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    path = tmp_path_factory.mktemp("tasks") / "unknown_floor.py"
    path.write_text(FREE, encoding="utf-8")
    with plugins.temporarily_registered():
        own_ids(str(path))
        yield


def states_of(clip: Clip, context: int) -> np.ndarray:
    seen = context_view(clip, context)
    return estimate_states(seen, track(seen, context, seen.frames))


@pytest.mark.parametrize("task", others_slow(TASKS, ONE_OF_EACH_LAW))
def test_states_at_the_hand_over_are_those_of_truth(clip_of: Clips, task: str) -> None:
    clip = clip_of(task)
    found, true = states_of(clip, 8), clip.states[clip.handover]
    moving = [i for i, body in enumerate(clip.scene.bodies) if body.role == "moving"]
    assert np.abs(found - true)[moving, :3].max() < 0.03  # m; a pixel is 0.08
    assert np.abs(found - true)[moving, 7:10].max() < 0.06  # m/s
    turned = [i for i in moving if clip.scene.bodies[i].friction > 0]  # without friction a spin does nothing
    assert np.abs(found - true)[turned, 10:].max(initial=0.0) < 0.15  # rad/s
    fixed = [i for i, body in enumerate(clip.scene.bodies) if body.role == "fixed"]
    np.testing.assert_array_equal(found[fixed, :3], true[fixed, :3])


def garbled(clip: Clip) -> Clip:
    """The same context, and everything that the physicist must not look at is nonsense."""
    bodies = tuple(
        replace(
            body, position=tuple(np.where(body.position, 77.0, 0.0)), velocity=(9.0, 9.0, 9.0), spin=(5.0, 5.0, 5.0)
        )
        if body.role == "moving"
        else body
        for body in clip.scene.bodies
    )
    frames = clip.frames.copy()
    frames[clip.handover + 1 :] = 200
    return replace(
        clip,
        scene=replace(clip.scene, bodies=bodies),
        frames=frames,
        states=np.full_like(clip.states, 3.3),
        visible_area=clip.visible_area[::-1] + 5,
        full_area=clip.full_area[::-1] * 2,
        contacts=(),
    )


@pytest.mark.parametrize(
    ("task", "context"),
    [
        pytest.param("falling/incline-v1", 1, marks=pytest.mark.slow),  # 32 other draws of the task
        ("falling/incline-v1", 8),
        ("collisions/billiards-v1", 8),
        ("orbits/binary-v1", 8),
    ],
)
def test_it_sees_no_states_and_no_future(clip_of: Clips, task: str, context: int) -> None:
    clip = clip_of(task)
    np.testing.assert_array_equal(predict_frames(garbled(clip), context, 6), predict_frames(clip, context, 6))


@pytest.mark.parametrize("task", ["falling/projectile-v1", pytest.param("orbits/kepler-v1", marks=pytest.mark.slow)])
def test_one_frame_is_enough_to_answer(clip_of: Clips, task: str) -> None:
    """With the middle of the speeds that the task draws; what is thrown up or down at random gets about none."""
    clip = clip_of(task)
    found = states_of(clip, 1)
    moving = clip.scene.tracked[0]
    assert np.abs(found[moving, :3] - clip.states[clip.handover, moving, :3]).max() < 0.05
    assert np.isfinite(found).all() and np.abs(found[moving, 7:10]).max() < 3
    assert predict_frames(clip, 1, 5).shape == (5, 64, 64, 3)


def test_two_frames_tell_speeds(clip_of: Clips) -> None:
    clip = clip_of("occlusion/screen-swap-v1")
    found, true = states_of(clip, 2), clip.states[clip.handover]
    assert np.abs(found - true)[list(clip.tracked), 7].max() < 0.2  # 0.03 px of noise over a fifteenth of a second


def test_a_free_parameter_has_the_middle_of_its_range() -> None:
    """The truth of two clips differs, what the physicist simulates does not: both boxes slow down alike."""
    for seed in range(2):
        clip = make_clip(Row("own/unknown-floor-v1", "test", seed), render_spec(64, 15))
        seen = context_view(clip, 5)
        assert seen.scene.bodies[0].friction == 0.15 != clip.scene.bodies[0].friction


def test_it_is_a_privileged_model_that_answers_the_same_each_time(clip_of: Clips) -> None:
    model = load_model("baseline:physicist", device=torch.device("cpu"), dtype=torch.float32)
    assert model.card.track == "privileged"
    clips = [clip_of("collisions/head-on-v1"), clip_of("falling/projectile-v1")]
    alone = [torch.cat(list(model.rollout_clips([clip], horizon=20, generators=[])), 1) for clip in clips]
    both = torch.cat(list(model.rollout_clips(clips, horizon=20, generators=[])), 1)
    assert both.shape == (2, 20, 3, 64, 64)
    assert torch.equal(torch.cat(alone), both)


@pytest.mark.parametrize(("fps", "size"), [(10.0, 128), (60.0, 64)])
def test_other_rates_and_sizes(clip_of: Clips, fps: float, size: int) -> None:
    clip = clip_of("collisions/head-on-v1", size=size, fps=fps)
    found = states_of(clip, 8)
    moving = [i for i, body in enumerate(clip.scene.bodies) if body.role == "moving"]
    assert np.abs(found - clip.states[clip.handover])[moving, 7:10].max() < 0.08
