"""Interventions: what sets, pushes or removes a body of a forward model at a given step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Intervention:
    """A body gets the states of K candidates, gets a push, or is removed.

    A state is position m, velocity m/s and the velocity m/s that the spin stands for.
    """

    step: int
    disc: int  # which of the moving bodies
    kind: Literal["state", "push", "gone"]
    value: Array | None = None  # (K, 6) of a state, (2,) m/s of a push
