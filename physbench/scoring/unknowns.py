"""What a context leaves open: the speeds that an image does not tell, and parameters that nothing shows."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip, Row, Split
from physbench.clips.generate import make_params, make_scene
from physbench.clips.task import find_task
from physbench.world.camera import depth_axis
from physbench.world.scene import Scene

Array = NDArray[np.float64]

MEMBERS = 32
OTHER_DRAWS = 1_000_000  # seeds from here on give the speeds that an image could have
TRIES = 200  # draws until a task accepts one


@lru_cache(maxsize=64)
def other_scenes(task: str, split: Split) -> tuple[Scene, ...]:
    """MEMBERS other draws of a task and split."""
    return tuple(make_scene(Row(task, split, OTHER_DRAWS + m)) for m in range(MEMBERS))


@lru_cache(maxsize=64)
def other_velocities(task: str, split: Split, index: int) -> Array:
    """Velocities (M, 3) of body `index` at the hand-over in other draws: of the sizes and in the directions drawn."""
    return np.stack([_at_handover(scene)[index, 7:10] for scene in other_scenes(task, split)])


def unknown_parameters(clip: Clip, image: bool) -> tuple[str, ...]:
    """Names of the parameters of a clip's task that its context does not show and that could be otherwise.

    They are the `free` ones; the `revealed` ones too where the context is an image, which shows no event.
    """
    kinds = ("free", "revealed") if image else ("free",)
    found = []
    for name, parameter in find_task(clip.row.task).parameters.items():
        low, high = parameter.range(clip.row.split)
        varies = low < high or (parameter.signed and high > 0)
        if varies and (parameter.kind in kinds or name in clip.scene.free):
            found.append(name)
    return tuple(found)


def possible_scenes(clip: Clip, image: bool) -> tuple[Scene, ...]:
    """MEMBERS scenes that a context could show beside the clip's own; none where nothing is unknown."""
    names = unknown_parameters(clip, image)
    return _possible(clip.row, names) if names else ()


@lru_cache(maxsize=64)
def _possible(row: Row, names: tuple[str, ...]) -> tuple[Scene, ...]:
    task, own = find_task(row.task), make_params(row)
    rng = np.random.default_rng(list(f"{row.id} {names}".encode()))
    accepts = getattr(task, "accepts", lambda params: True)
    scenes = []
    for _ in range(MEMBERS):
        for _ in range(TRIES):
            params = {**own, **{name: task.parameters[name].draw(rng, row.split) for name in names}}
            if accepts(params):
                break
        scenes.append(task.scene(params))
    return tuple(scenes)


def unseen_states(clip: Clip, scenes: tuple[Scene, ...]) -> Array:
    """What a video does not show of the states at the hand-over in other scenes, as changes (M, N, 13) of the clip's.

    It is the spin, and place and velocity along the view; the rest is seen and therefore the same.
    """
    depth = depth_axis(clip.scene.camera)
    parts = [depth, 7 + depth, 10, 11, 12]
    now = clip.states[clip.handover]
    change = np.zeros((len(scenes), *now.shape))
    for m, scene in enumerate(scenes):
        change[m][:, parts] = (_at_handover(scene) - now)[:, parts]
    change[:, [body.role != "moving" for body in clip.scene.bodies]] = 0.0
    return change


@lru_cache(maxsize=256)
def _at_handover(scene: Scene) -> Array:
    from physbench.world.stepping import simulate

    state: Array = simulate(scene, [0.0]).states[0]
    return state
