"""How fast bodies may be at the hand-over where a context does not show it: what their task declares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.shadowing.context_information import body_signature, other_states
from physbench.world.camera import PLANE_AXES

Array = NDArray[np.float64]

PRIOR_DRAWS = 128  # of the task: of further ones one in some 300 lies outside what they show, widened by WIDER
PRIOR_MARGIN = 0.1  # share of its width by which a range is wider on each side than what they show


@dataclass(frozen=True, eq=False)
class VelocityPrior:
    """Velocities in the plane of motion that N moving bodies may have at the hand-over, in m/s."""

    slowest: Array  # (N,)
    fastest: Array  # (N,)
    low: Array  # (N, 2) of each component
    high: Array  # (N, 2)

    def outside(self, disc: int, velocity: Array) -> float:
        """By how many m/s a velocity (2,) lies outside of the range of a body; 0 inside."""
        speed = float(np.linalg.norm(velocity))
        beyond = np.maximum(np.maximum(self.low[disc] - velocity, velocity - self.high[disc]), 0.0)
        slow, fast = float(self.slowest[disc]) - speed, speed - float(self.fastest[disc])
        return max(slow, fast, float(np.linalg.norm(beyond)), 0.0)


def velocity_prior(clip: Clip, index: tuple[int, ...]) -> VelocityPrior | None:
    """What the task of a clip declares of the bodies index (N,), read off up to DRAWS other draws with the same bodies.

    At the hand-over a velocity is that of the declared start after all that has happened by then. The clip's own is
    always inside. None where the task does not draw such a scene again.
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
    return VelocityPrior(np.maximum(slowest - room, 0.0), fastest + room, low - rooms, high + rooms)
