"""Composited frames against full path traces of the same moments."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.clips.task import task_ids
from physbench.world.bullet import simulate
from physbench.world.camera import in_view, pixels_per_metre, px_from_world
from physbench.world.scene import FAR, RenderSpec
from physbench.world.styles.catalogue import draw
from physbench.world.styles.natural.mitsuba_scene import traced, whole_scene
from physbench.world.styles.natural.movers import drawable, movers_at
from physbench.world.styles.natural.stage import displayed, floor_out_of_sight, stage_of

MOST_OFF, MOST_OFF_NEAR = 4.0, 10.0  # levels, rms: of the picture, and within two radii of what moves
TIME, SEED = 0.2, 1
QUICK = ("falling/stack-v1", "occlusion/screen-stop-v1")

pytestmark = pytest.mark.skipif(importlib.util.find_spec("mitsuba") is None, reason="needs Mitsuba")


def levels_off(task: str, size: int, samples: int, view: str = FAR) -> tuple[float, float]:
    """The rms difference (levels) of the picture, and near what moves, without the noise of the path trace."""
    scene = in_view(make_scene(Row(task, "test", SEED)), view)
    states, spec = simulate(scene, np.array([TIME])).states, RenderSpec(size, size, 15.0, "natural", view)
    composited = draw(scene, [TIME], states, spec).frames[0]
    stage = floor_out_of_sight(stage_of(scene), scene, spec)
    movers = movers_at(scene, stage, drawable(scene), TIME, states[0])
    whole = whole_scene(stage, movers, scene.camera, spec, samples // 2)
    one, other = (traced(whole, seed) for seed in (1, 2))
    noise = (displayed(one).astype(float) - displayed(other)) ** 2 / 4
    square = ((composited.astype(float) - displayed((one + other) / 2)) ** 2 - noise).mean(axis=-1)
    rows, columns = np.mgrid[:size, :size] + 0.5
    near = np.zeros(square.shape, dtype=bool)
    for mover in movers:
        x, y = px_from_world(scene.camera, spec, mover.centre)
        reach = 2 * max(mover.half) * pixels_per_metre(scene.camera, spec)
        near |= (columns - x) ** 2 + (rows - y) ** 2 < reach**2
    everywhere, close = np.sqrt(np.maximum([square.mean(), square[near].mean()], 0.0)).tolist()
    return everywhere, close


@pytest.mark.slow
@pytest.mark.parametrize("task", QUICK)
@pytest.mark.parametrize("view", [FAR, "near"])
def test_frames_look_like_path_traces(task: str, view: str) -> None:
    whole, near = levels_off(task, 64, 64, view)
    assert whole < MOST_OFF and near < MOST_OFF_NEAR


@pytest.mark.slow
@pytest.mark.parametrize("task", [task for task in task_ids() if not task.startswith("orbits/")])
def test_frames_of_all_tasks_look_like_path_traces(task: str) -> None:
    whole, near = levels_off(task, 256, 256)
    assert whole < MOST_OFF and near < MOST_OFF_NEAR
