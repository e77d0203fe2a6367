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
from physbench.storage.sealed_file import read_sealed_npz, write_sealed_npz

Array = NDArray[np.float64]


def write_states(path: Path, states: Array, fps: float) -> None:
    """Write states (T, K, 13). The file is complete or does not exist."""
    write_sealed_npz(path, {"states": states, "columns": np.array(STATE_COLUMNS), "fps": np.float64(fps)})


def read_states(path: Path) -> Array:
    """Read states (T, K, 13). Raises OSError, ValueError or KeyError where the file is not what was written."""
    return np.asarray(read_sealed_npz(path)["states"], dtype=np.float64)
