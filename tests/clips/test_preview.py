"""The last column of a sheet shows what the columns before it do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from physbench.clips.clip import Clip
from physbench.clips.preview import multiple_exposure
from physbench.track.colour import HUED


@pytest.mark.parametrize("task", ["collisions/walk-round-v1", "collisions/head-on-v1"])
def test_the_latest_exposure_is_the_last_frame(clip_of: Callable[..., Clip], task: str) -> None:
    """Also of a camera that has gone half round: its way is not that of a camera at rest."""
    clip = clip_of(task)
    exposed, last = multiple_exposure(clip).astype(int), clip.frames[-1].astype(int)
    coloured = np.ptp(last, axis=-1) > 2 * HUED
    assert coloured.sum() > 20 and np.abs(exposed - last)[coloured].max() <= 10
    assert (np.ptp(exposed, axis=-1) > 2 * HUED).sum() > 1.5 * coloured.sum()  # the earlier ones are there
