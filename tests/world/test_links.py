"""Pictures of rods and springs: where they are, what they cover, and that unseen ones are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, make_scene, render_spec
from physbench.support.arrays import Array
from physbench.validity.task_checks.clip_protocol import check_links
from physbench.world.bullet import initial_states
from physbench.world.drawing import render
from physbench.world.links import LINK, with_links
from physbench.world.scene import Rod, Scene, Spring

PENDULUM, SPRING = "falling/pendulum-v1", "falling/spring-v1"


def hanging(task: str) -> tuple[Scene, Array]:
    """A scene of a task, and states (3, N, 13) in which the ball is 1.2, 2.0 and 2.4 m from the knob."""
    scene = make_scene(Row(task, "test", 0))
    states = np.repeat(initial_states(scene)[None], 3, axis=0)
    for state, (x, z) in zip(states, ((0.3, -1.16), (-1.2, -1.6), (0.0, -2.4)), strict=True):
        state[0, :3] = state[1, :3] + [x, 0.0, z]
    return replace(scene, fields=tuple(replace(each, length=1.0) for each in scene.links)), states


@pytest.mark.parametrize("task", [PENDULUM, SPRING])
def test_a_link_is_drawn_from_body_to_body_and_no_body_changes(task: str) -> None:
    (scene, states), spec = hanging(task), render_spec(128, 2)
    if task == PENDULUM:  # as long as the way is in the second frame
        states, scene = states[1:2], replace(scene, fields=(Rod("knob", "ball", 2.0),))
    times = np.arange(len(states)) / 2
    alone, both = render(replace(scene, fields=()), times, states, spec), render(scene, times, states, spec)
    assert np.array_equal(alone.visible_area, both.visible_area) and np.array_equal(alone.full_area, both.full_area)
    scale = scene.camera.width / 128
    for before, after, state in zip(alone.frames, both.frames, states, strict=True):
        y, x = np.nonzero((before != after).any(axis=-1))
        here = scale * np.stack([x - 63.5, 63.5 - y], axis=-1) + [0.0, scene.camera.center[2]]
        way = (state[0] - state[1])[[0, 2]]
        far = np.linalg.norm(way)
        along = (here - state[1, [0, 2]]) @ way / far
        across = (here - state[1, [0, 2]]) @ np.array([-way[1], way[0]]) / far
        assert np.abs(across).max() < (0.08 if task == PENDULUM else 0.3)
        assert 0.1 < along.min() < 0.35 and far - 0.6 < along.max() < far - 0.3  # from edge to edge


def test_pieces_of_a_spring_are_as_long_as_ever_and_joined() -> None:
    own, states = hanging(SPRING)
    scene, posed = with_links(own, states, np.zeros(len(states)))
    count = len(own.bodies)
    half = np.array([body.size[0] for body in scene.bodies[count:]])[:, None]
    assert (
        half.sum() == pytest.approx(LINK.most_stretched / 2)
        and len(half) == LINK.spring_pieces + 1
        and not scene.fields
    )
    for frame in posed:
        turns, middles = frame[count:, 3:7], frame[count:, :3]
        angle = -2 * np.arctan2(turns[:, 1], turns[:, 3])
        step = half * np.stack([np.cos(angle), np.zeros_like(angle), np.sin(angle)], axis=-1)
        begins, ends = (middles - step)[:, [0, 2]], (middles + step)[:, [0, 2]]
        assert np.abs(np.concatenate([frame[1:2, [0, 2]], ends[:-1]]) - begins).max() < 1e-9
        assert np.abs(ends[-1] - frame[0, [0, 2]]).max() < 1e-9


def test_a_link_that_nothing_shows_is_refused() -> None:
    clip = make_clip(Row(SPRING, "test", 0), render_spec(64, 1))
    assert not list(check_links(clip))

    def found(scene: Scene) -> list[str]:
        return [each.text for each in check_links(replace(clip, scene=scene))]

    ball, knob, ground, shelf = clip.scene.bodies
    x, _, z = knob.position
    screen = replace(ground, shape="box", size=(0.8, 0.05, 2.5), grey=0.28)
    clip.states[:, 2, :3] = x, -1.0, z
    assert found(replace(clip.scene, bodies=(ball, knob, replace(screen, position=(x, -1.0, z)), shelf))) == [
        "the Spring from knob to ball cannot be seen before 0: it differs from what is behind it by 0 of 255 grey "
        "levels, and 12 are needed"
    ]
    for link in (Rod("knob", "ball", 0.01), Spring("knob", "ball", 9.0, 0.5)):
        assert bool(found(replace(clip.scene, fields=(link,)))) == isinstance(link, Rod)
