"""Shadowing of a clip's tracks or of states: the one entry for scorers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.scoring.shadowing import readings
from physbench.scoring.shadowing.forward import Forward, forward
from physbench.scoring.shadowing.problem import Problem
from physbench.scoring.shadowing.readings import JOIN, RUNGS, Rung
from physbench.scoring.shadowing.seen import from_states, from_tracks
from physbench.scoring.shadowing.unseen import best_factor
from physbench.tracks.tracks import Tracks

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shadowing:
    """What shadowing says of one prediction. Shares are 0..1 of due object-time, means over the rungs."""

    problem: Problem
    rungs: tuple[Rung, ...]
    factor: float  # by which gravity or the strength of fields was multiplied; 1 as the scene says

    @property
    def explained(self) -> float:
        """Explained share E."""
        return float(np.mean([rung.explained for rung in self.rungs]))

    @property
    def shadowed(self) -> float:
        """Shadowing time S as a share of the due time."""
        return float(np.mean([rung.shadowed for rung in self.rungs]))

    @property
    def quality(self) -> float:
        """Mean of E and S."""
        return (self.explained + self.shadowed) / 2

    @property
    def join(self) -> tuple[float, float]:
        """Jumps in diameters and in m/s of breaks within JOIN s of the hand-over, smallest rung; 0 without one."""
        joins = [b for b in self.rungs[0].breaks if b.time <= JOIN + 1e-9]
        return max((b.jump for b in joins), default=0.0), max((b.kick for b in joins), default=0.0)

    @property
    def jitter(self) -> float:
        """Rms distance in diameters that changes from frame to frame; NaN where little is explained."""
        return readings.jitter(self.rungs[-1].chain, self.problem.seen)

    @property
    def strength(self) -> float:
        """The smallest tolerance in diameters at which there is no break; costs as much as all the rest."""
        return readings.strength(self.problem)


def shadow(clip: Clip, tracks: Tracks, *, free: bool = False, rungs: tuple[float, ...] = RUNGS) -> Shadowing | None:
    """Shadow the tracks of a prediction, or None where the scene has no forward model that is fast enough.

    free: the reading with unseen constants, one factor in [0.5, 2] on gravity or the strength of the fields.
    """
    model = model_of(clip)
    if model is None:
        return None
    seen = from_tracks(clip, tracks, model)
    factor = best_factor(model, seen) if free else None
    problem = Problem(model, seen, factor)
    return Shadowing(problem, readings.ladder(problem, rungs), 1.0 if factor is None else factor)


def shadow_states(clip: Clip, times: Array, states: Array, *, rungs: tuple[float, ...] = RUNGS) -> Shadowing | None:
    """Shadow predicted states without the camera.

    times: (T,) s ascending, evenly spaced; states: (T, N, 13) of all bodies, positions in m. Frames up to 0 s are
    context. None as in `shadow`.
    """
    model = model_of(clip)
    if model is None:
        return None
    problem = Problem(model, from_states(clip, times, states, model))
    return Shadowing(problem, readings.ladder(problem, rungs), 1.0)


def model_of(clip: Clip) -> Forward | None:
    """The forward model of a clip's scene from its last context frames on; None also where a moving body has no hue."""
    if any(body.role == "moving" and body.hue is None for body in clip.scene.bodies):
        return None
    released = [body.release for body in clip.scene.bodies if body.role == "moving" and body.release is not None]
    return forward(clip.scene, max([-0.5, *released]))
