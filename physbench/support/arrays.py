"""Arrays by what they hold. Axes and units stand where a name is used, as in `positions: Array  # (T, N, 3) m`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Real = NDArray[np.floating]  # of any precision
Mask = NDArray[np.bool_]
Image = NDArray[np.uint8]
Whole = NDArray[np.int64]
