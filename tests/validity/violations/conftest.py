"""Violated worlds of the clips that tests share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from physbench.clips.clip import Clip
from physbench.validity.violations import Violated, find_acts, violate

Wrong = Callable[[Clip, str], Violated]


@pytest.fixture(scope="session")
def wrong() -> Wrong:
    """wrong(clip, "teleport:0.25"): the violated world of a clip."""
    return lambda clip, text: violate(clip.scene, find_acts(text), clip.id)
