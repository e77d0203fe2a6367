"""Which velocities bodies may have at the hand-over where a context does not show them.

It is what their task declares, and what the prompt says in words where it tells the motion."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.shadowing.context_information import body_signature, other_states
from physbench.world.camera import PLANE_AXES
from physbench.world.motion_words import told_angles, told_speeds

Array = NDArray[np.float64]

PRIOR_DRAWS = 128  # of the task; one in about 300 further draws lies outside their range, widened by PRIOR_MARGIN
PRIOR_MARGIN = 0.1  # share of its width by which a range is widened on each side


@dataclass(frozen=True, eq=False)
class VelocityPrior:
    """Velocities in the plane of motion that N moving bodies may have at the hand-over, in m/s."""

    slowest: Array  # (N,)
    fastest: Array  # (N,)
    low: Array  # (N, 2) of each component
    high: Array  # (N, 2)
    toward: Array  # (N,) rad, the direction that the prompt tells
    beside: Array  # (N,) rad by which a direction may differ from it; pi or more: any

    def outside(self, disc: int, velocity: Array) -> float:
        """By how many m/s a velocity (2,) m/s lies outside the range of a body; 0 inside."""
        speed = float(np.linalg.norm(velocity))
        beyond = np.maximum(np.maximum(self.low[disc] - velocity, velocity - self.high[disc]), 0.0)
        slow, fast = float(self.slowest[disc]) - speed, speed - float(self.fastest[disc])
        return max(slow, fast, float(np.linalg.norm(beyond)), self._aside(disc, velocity, speed), 0.0)

    def _aside(self, disc: int, velocity: Array, speed: float) -> float:
        """By how many m/s a velocity must change at least to point where the prompt says; 0 where it does."""
        turned = math.atan2(velocity[1], velocity[0]) - float(self.toward[disc])
        excess = abs(math.remainder(turned, math.tau)) - float(self.beside[disc])
        return speed * math.sin(min(excess, math.pi / 2)) if excess > 0 else 0.0


def velocity_prior(clip: Clip, index: tuple[int, ...]) -> VelocityPrior | None:
    """The velocities at the hand-over that a clip's task declares for bodies index (N,).

    They are read off up to PRIOR_DRAWS other draws with the same bodies, after all that happens before the hand-over.
    The clip's own velocities are always inside. Where the prompt tells the motion, they are also cut to what its words
    mean, likewise widened by PRIOR_MARGIN. None where the task does not draw these bodies again.
    """
    axes = [7 + axis for axis in PLANE_AXES[clip.scene.camera.view]]
    each = []
    for i in index:
        drawn = other_states(clip.row.task, clip.row.split, body_signature(clip.scene), i, PRIOR_DRAWS)
        if not len(drawn):
            return None
        each.append(np.concatenate([drawn, clip.states[clip.handover, i][None]])[:, axes])
    velocities = np.stack(each, axis=1)  # (M, N, 2)
    speeds = np.linalg.norm(velocities, axis=-1)
    slowest, fastest, low, high = speeds.min(0), speeds.max(0), velocities.min(0), velocities.max(0)
    room, rooms = PRIOR_MARGIN * (fastest - slowest), PRIOR_MARGIN * (high - low)
    slowest, fastest = np.maximum(slowest - room, 0.0), fastest + room
    toward, beside = np.zeros(len(index)), np.full(len(index), np.pi)
    names = [clip.scene.bodies[i].name for i in index]
    for told in (each for each in clip.told or () if each.body in names):
        n = names.index(told.body)
        slow, fast = told_speeds(clip.scene, told)
        slowest[n] = max(slowest[n], (1 - PRIOR_MARGIN) * slow)
        fastest[n] = min(fastest[n], (1 + PRIOR_MARGIN) * fast)
        toward[n], angle = told_angles(told)
        beside[n] = (1 + PRIOR_MARGIN) * angle
    return VelocityPrior(slowest, fastest, low - rooms, high + rooms, toward, beside)
