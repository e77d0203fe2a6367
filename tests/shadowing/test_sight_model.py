"""What Sight says the camera sees, against what the renderer drew."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from slow_cases import others_slow

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip
from physbench.shadowing.observed_motion import sight_model
from physbench.shadowing.shadow import scene_law_of
from physbench.world.drawing import apparent_radius
from physbench.world.scene import RenderSpec

CONTEXT = 8
SWAP = "occlusion/screen-swap-v1"
CASES = [("falling/incline-v1", seed) for seed in (0, 1, 5000)]
CASES += [(f"occlusion/screen-{name}-v1", 1) for name in ("pass", "swap", "stop", "lift")]
CASES += [("falling/projectile-v1", 1), ("orbits/kepler-v1", 1), ("collisions/billiards-v1", 1)]


@pytest.mark.parametrize(("task", "seed"), others_slow(CASES, 4))
def test_visible_share_of_true_places_is_what_was_drawn(clip_of: Callable[..., Clip], task: str, seed: int) -> None:
    check_shares(clip_of(task, seed=seed))


@pytest.mark.parametrize("task", ["occlusion/screen-lift-v1", pytest.param(SWAP, marks=pytest.mark.slow)])
def test_visible_share_is_what_a_near_camera_draws(task: str) -> None:
    check_shares(make_clip(Row(task, "test", 1), RenderSpec(64, 64, 10.0, view="near")))


def check_shares(clip: Clip) -> None:
    model = scene_law_of(clip)
    assert model is not None
    frames = np.arange(len(clip.times))[clip.window(CONTEXT)]
    radius = np.array([apparent_radius(clip.scene.bodies[i], clip.scene.camera) for i in model.index])
    sight = sight_model(clip, model.index, model.depth, radius, frames)
    columns = [clip.tracked.index(i) for i in model.index]
    drawn = clip.visible_share()[frames][:, columns]
    said = sight.visible_share(clip.plane_positions()[frames][None][:, :, columns])[0]
    inside = said > 0  # what leaves is out of view once its centre is
    if clip.scene.bodies[model.index[0]].shape == "sphere":
        assert np.abs(said - drawn)[inside].max() < 0.15
    else:  # a box is looked at as a disc
        assert (np.abs(said - drawn)[inside] < 0.3).mean() > 0.95
