"""Shadowing problems of a task's scene without rendering: exact positions with noise, of true or edited states."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.laws.scene_law import scene_law_or_none
from physbench.shadowing.fit import Hypothesis
from physbench.shadowing.observed_motion import POSITION, PlacedBodies
from physbench.world.bullet import simulate, simulate_ensemble
from physbench.world.camera import PLANE_AXES
from physbench.world.scene import PHYSICS_HZ, Scene

Array = NDArray[np.float64]
Edit = Callable[[Scene, Array, Array], Array]  # scene, times (T,), states (T, N, 13) -> states

FPS = 30
START = -0.4  # s
NOISE_PX = 0.05
METRES = 5.12 / 128  # per px


@lru_cache
def truth(task: str, seed: int, fps: float = FPS) -> tuple[Scene, Array, Array]:
    """Scene, times (T,) from START on, states (T, N, 13)."""
    scene = make_scene(Row(task, "test", seed))
    times = np.arange(round(START * fps), round(scene.horizon * fps) + 1) / fps
    states = simulate(scene, [times[0]]).states
    later = simulate_ensemble(scene, float(times[0]), states, times[1:])[0]
    return scene, times, np.concatenate([states, later])


def again(scene: Scene, times: Array, states: Array, frame: int, change: Callable[[Array], None]) -> Array:
    """States (T, N, 13) of a scene in which state (N, 13) of a frame is changed."""
    start = states[frame].copy()
    change(start)
    moved = simulate_ensemble(scene, float(times[frame]), start[None], times[frame + 1 :])[0]
    return np.concatenate([states[: frame + 1], moved])


def problem(
    task: str,
    seed: int,
    edit: Edit | None = None,
    factor: float | None = None,
    fps: float = FPS,
    metres: float = METRES,
) -> Hypothesis:
    """The problem of a task's truth, or of an edit of it, seen with noise at `metres` per px, 128 px by default."""
    scene, times, states = truth(task, seed, fps)
    states = states if edit is None else edit(scene, times, states.copy())
    model = scene_law_or_none(scene, START)
    assert model is not None
    axes, index = list(PLANE_AXES[scene.camera.view]), list(model.index)
    position = states[:, index][..., axes]
    position = position + np.random.default_rng(seed).normal(0, NOISE_PX * metres, position.shape)
    diameter = np.array([2 * scene.bodies[i].size[0] for i in index])
    present = np.isfinite(position[..., 0])
    sd = np.broadcast_to(np.maximum(NOISE_PX * metres / diameter, POSITION.min_sd), present.shape)
    release = [scene.bodies[i].release or START for i in index]
    seen = PlacedBodies(
        times,
        np.round(times * PHYSICS_HZ),
        position,
        sd,
        diameter,
        np.repeat((times > 1e-9)[:, None], len(index), axis=1),
        present,
        np.searchsorted(times, np.maximum(release, START) - 1e-9),
        np.zeros(present.shape, dtype=bool),
    )
    return Hypothesis(model, seen, factor)
