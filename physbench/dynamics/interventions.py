"""Interventions: what sets, pushes or removes a body of a forward model at a given step, or changes its forces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Intervention:
    """A body gets the states of K candidates, gets a push, or is removed; or the forces on all bodies change.

    A state is position m, velocity m/s and the velocity m/s that the spin stands for. Only worlds that are changed have
    the kinds "gravity", another uniform gravity from here on, and "damp": velocities and spins are multiplied by a
    factor, and the velocities of bodies that rest on nothing are turned by an angle.
    """

    step: int
    disc: int  # which of the moving bodies; any where all of them are meant
    kind: Literal["state", "push", "gone", "gravity", "damp"]
    value: Array | None = (
        None  # (K, 6) of a state, (2,) m/s of a push or m/s2 of gravity, (2,) factor and rad of "damp"
    )
