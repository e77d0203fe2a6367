"""Where an arc may begin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from shadow_scenes import problem

from physbench.laws.planar_law import PlanarLaw
from physbench.laws.scene_law import FREE
from physbench.shadowing.fit import Hypothesis, initial_guesses


@pytest.mark.parametrize("step", [1, 3])
def test_points_are_looked_for_in_seconds(step: int) -> None:
    """A planet is seen once, then hidden for 1.5 s, at 30 and at 10 frames/s: it has starts at both."""
    given = problem("orbits/kepler-v1", 0)
    seen, part = given.seen, slice(None, None, step)
    names = ("times", "steps", "position", "sd", "expected_visible", "present", "rests")
    seen = replace(seen, **{name: getattr(seen, name)[part] for name in names}, start=np.zeros_like(seen.start))
    place = seen.position.copy()
    place[1 : int(1.5 * 30 / step)] = np.nan
    assert initial_guesses(Hypothesis(given.law, replace(seen, position=place)), 0, 0)
    place[1 : int(2.2 * 30 / step)] = np.nan
    assert not initial_guesses(Hypothesis(given.law, replace(seen, position=place)), 0, 0)


def test_what_lies_on_a_face_does_not_begin_falling_inside_it() -> None:
    """A ball at rest on a pedestal: falls that fit its points begin below the top, and would be tried in vain."""
    given = problem("occlusion/screen-lift-v1", 0)
    assert isinstance(given.law, PlanarLaw)
    world = given.law.world
    top = int(world.normal[:, 1].argmax())
    found = initial_guesses(given, 0, 0)
    assert any(arc.chart == top for arc in found)
    for arc in found:
        if arc.chart == FREE:
            assert world.normal[top] @ arc.numbers[:2] - world.offset[top] - world.radius[0] > -0.03
