"""Lawful strangers: futures that are not the recorded one and break no law.

Near ones are members of the clip's predictability ensemble: they start from states that the context frames allow. Far
ones start at the shown place with the velocities of another draw of the task, so that all but the one declared jump
in velocity at the hand-over is lawful.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_scene
from physbench.scoring.due import due, moving
from physbench.scoring.predictability import members
from physbench.world.camera import PLANE_AXES, plane_from_world
from physbench.world.rendering import render
from physbench.world.scene import Scene
from physbench.world.violations import Inapplicable

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

OTHER_DRAWS = 2_000_000  # seeds of the draws that give far strangers their velocities
SAME = 1e-6  # m/s


@dataclass(frozen=True, eq=False)
class Stranger:
    """A lawful future that is not the recorded one."""

    states: Array  # (T, N, 13) in the predicted frames
    jumps: Array  # (N, 3) m/s: declared jumps of the velocities at the hand-over; nought for a near one
    distance: float  # diameters from ground truth, the most that a due moving object reaches


def near(clip: Clip, context: int, member: int = 0) -> Stranger:
    """A member (from 0 on) of the clip's predictability ensemble: what the context allows, to a tracker's noise."""
    from physbench.world.stepping import simulate_ensemble

    ensemble = members(clip, context)
    start = ensemble[member % len(ensemble)]
    states = simulate_ensemble(clip.scene, 0.0, start[None], _ahead(clip))[0]
    return Stranger(states, np.zeros((states.shape[1], 3)), _distance(clip, context, states))


def far(clip: Clip, context: int, draw: int = 0) -> Stranger:
    """Every object goes on from where it is with velocity and spin of another draw of the task.

    draw: which one; the same number gives other draws to clips of other seeds. Raises Inapplicable where all draws
    begin alike.
    """
    from physbench.world.stepping import simulate_ensemble

    start = clip.states[clip.handover].copy()
    bodies = [i for i in clip.tracked if clip.scene.bodies[i].role == "moving"]
    row = Row(clip.row.task, clip.row.split, OTHER_DRAWS + clip.row.seed + 7919 * draw)
    scene, other_scene, other = clip.scene, make_scene(row), _other_start(row)
    jumps = np.zeros((len(start), 3))
    for i in (i for i in bodies if i < len(other)):
        velocity = _carried_over(scene, start, i, other_scene, other)
        jumps[i] = velocity - start[i, 7:10]
        start[i, 7:10], start[i, 10:] = velocity, other[i, 10:]
    if np.abs(jumps).max() < SAME:
        raise Inapplicable("every draw of the task begins with the same velocities")
    states = simulate_ensemble(scene, 0.0, start[None], _ahead(clip))[0]
    return Stranger(states, jumps, _distance(clip, context, states))


def _carried_over(scene: Scene, here: Array, index: int, other_scene: Scene, there: Array) -> Array:
    """The velocity (3,) m/s that body `index` has in another draw, or what corresponds to it on an orbit.

    Around a star the velocity is turned with the place and scaled as Kepler's third law has it, so that ellipses stay
    the ellipses that they are.
    """
    velocity = there[index, 7:10].copy()
    for field, theirs in zip(scene.fields, other_scene.fields, strict=True):
        source = scene.index(field.source)
        if source != index:
            own, other = here[index, :3] - here[source, :3], there[index, :3] - there[source, :3]
            axes = list(PLANE_AXES[scene.camera.view])
            turn = np.arctan2(*own[axes][::-1]) - np.arctan2(*other[axes][::-1])
            scale = np.sqrt(np.linalg.norm(other) / np.linalg.norm(own) * field.mu / theirs.mu)
            x, y = velocity[axes]
            velocity[axes] = (
                scale * (np.cos(turn) * x - np.sin(turn) * y),
                scale * (np.sin(turn) * x + np.cos(turn) * y),
            )
            break
    return np.asarray(velocity)


def frames_of(clip: Clip, states: Array, scene: Scene | None = None) -> Image:
    """Frames (T, H, W, 3) of states (T, N, 13) in the predicted frames."""
    return render(scene or clip.scene, _ahead(clip)[: len(states)], states, clip.spec).frames


def _ahead(clip: Clip) -> Array:
    return clip.times[clip.handover + 1 :]


def _distance(clip: Clip, context: int, states: Array) -> float:
    """Largest distance in diameters of a due moving object from ground truth."""
    flat = plane_from_world(clip.scene.camera, states[:, list(clip.tracked), :3])
    off = np.linalg.norm(flat - clip.plane_positions()[clip.handover + 1 :], axis=-1)
    owed = due(clip, context)[context:] & moving(clip)
    diameters = np.maximum(clip.diameters()[clip.handover + 1 :], 1e-9)
    return float((off / diameters)[owed].max(initial=0.0))


@lru_cache(maxsize=256)
def _other_start(row: Row) -> Array:
    """States (N, 13) at the hand-over of another draw of a task."""
    from physbench.world.stepping import simulate

    states: Array = simulate(make_scene(row), [0.0]).states[0]
    return states
