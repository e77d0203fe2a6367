"""Predicted states on disk: arrays in .npz without pickle, the same bytes each time.

- `states` (T, K, 13) float64: x, y, z m; quaternion x, y, z, w; velocity m/s; spin rad/s, in the world. NaN where the
  model does not say. T moments after the hand-over, k / fps s after it; K coloured bodies.
- `columns` (13,): their names. `fps`: moments a second.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from physbench.adapters.state_card import STATE_COLUMNS
from physbench.storage.atomic_write import atomic_path

Array = NDArray[np.float64]


def write_states(path: Path, states: Array, fps: float) -> None:
    """Write states (T, K, 13). The file is complete or does not exist."""
    with atomic_path(path) as draft, draft.open("wb") as file:
        np.savez_compressed(file, states=states, columns=np.array(STATE_COLUMNS), fps=np.float64(fps))


def read_states(path: Path) -> Array:
    """Read states (T, K, 13). Raises OSError, ValueError or KeyError where the file is not what was written."""
    with np.load(path, allow_pickle=False) as data:
        return np.asarray(data["states"], dtype=np.float64)
