"""Which bodies are drawn over a stage, and how deep they are."""

import numpy as np
import pytest

from physbench.clips.generate import make_scene
from physbench.clips.suite import find_suite
from physbench.looks.natural.movers import drawable, movers_at
from physbench.looks.natural.stage import stage_of
from physbench.world.engine import initial_states

ROWS = [row for row in find_suite("core").rows if row.task in ("falling/incline-v1", "falling/stack-v1")]


@pytest.mark.parametrize("shape", ["sphere", "box", "cylinder"])
def test_flat_bodies_are_drawn_whatever_their_shape(shape: str) -> None:
    scenes = [make_scene(row) for row in ROWS]
    flat = [scene for scene in scenes if any(body.flat and body.shape == shape for body in scene.bodies)]
    assert flat
    for scene in flat[:4]:
        for mover in movers_at(scene, stage_of(scene), drawable(scene), 0.0, initial_states(scene)):
            reaches_back = mover.body.flat and mover.body.shape != "sphere"
            assert (np.linalg.norm(mover.deep) > 0) == reaches_back
