"""Fixtures of the natural look."""

from __future__ import annotations

import numpy as np
import pytest

from physbench.world.scene import Camera, RenderSpec
from physbench.world.styles.natural import frames
from physbench.world.styles.natural.mitsuba_scene import Layers
from physbench.world.styles.natural.stage import Stage


@pytest.fixture
def evenly_lit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages in the same light everywhere, for which no path tracer is needed."""

    def light(stage: Stage, camera: Camera, spec: RenderSpec) -> Layers:
        layer = np.full((spec.height, spec.width, 3), 0.4, dtype=np.float32)
        return Layers(layer, layer)

    monkeypatch.setattr(frames, "light_layers", light)
