"""Action spaces: what a task lets others do in its scene, one action a frame, as a declared box of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from physbench.support.arrays import Array
from physbench.support.errors import UsageError


@dataclass(frozen=True)
class ActionSpace:
    """A box of numbers, as Gymnasium's `spaces.Box`, which the core does not import.

    names: of the numbers of one action, in order. low, high: bounds of each. unit: of all of them.
    """

    names: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    unit: str

    def __post_init__(self) -> None:
        """Raises ValueError where the bounds do not fit the names."""
        if not len(self.names) == len(self.low) == len(self.high) or not self.names:
            raise ValueError(
                f"Expected one bound on each side of each of {self.names}, got {self.low} and {self.high}."
            )
        if not all(a < b for a, b in zip(self.low, self.high, strict=True)):
            raise ValueError(f"Expected low below high, got {self.low} and {self.high}.")

    def bounded(self, action: ArrayLike) -> Array:
        """One action (len(names),), cut to the bounds. Raises UsageError for another shape and for NaN or infinity."""
        numbers = ", ".join(self.names)
        try:
            given = np.asarray(action, dtype=np.float64)
        except (TypeError, ValueError):
            raise UsageError(
                f"Expected an action of {len(self.names)} numbers ({numbers}), got {action!r:.80}."
            ) from None
        if given.shape != (len(self.names),):
            raise UsageError(f"Expected an action of shape ({len(self.names)},) ({numbers}), got {given.shape}.")
        if not np.isfinite(given).all():
            raise UsageError(f"Expected finite numbers in an action ({numbers}), got {given.tolist()}.")
        return np.clip(given, self.low, self.high)


def pushes(largest: float) -> ActionSpace:
    """Impulses in the plane of motion on the body that the task pushes, each number up to `largest` N s."""
    return ActionSpace(("right", "up"), (-largest, -largest), (largest, largest), "N s")


def in_world(action: Sequence[float] | Array, axes: tuple[int, int]) -> tuple[float, float, float]:
    """An action (2,) in the plane of motion as a vector in the world; axes: `camera.PLANE_AXES` of the view."""
    vector = [0.0, 0.0, 0.0]
    for axis, value in zip(axes, action, strict=True):
        vector[axis] = float(value)
    return vector[0], vector[1], vector[2]
