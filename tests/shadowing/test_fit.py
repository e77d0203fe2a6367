"""Where an arc may begin, and fits of arcs against closed forms for a body that stays where it is."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray
from shadow_scenes import problem

from physbench.laws.planar_law import PlanarLaw
from physbench.laws.point_distances import weighted_distances
from physbench.laws.scene_law import FREE
from physbench.shadowing.fit import ABSENT_RESIDUAL, Arc, ArcFit, Hypothesis, Tolerance, initial_guesses
from physbench.shadowing.observed_motion import PlacedBodies

Array = NDArray[np.float64]


class StandingStill(ArcFit):
    """A fit in which the body is where its numbers say in every frame; absent where x is beyond 100 m."""

    def positions(self, numbers: Array, smooth: bool = False) -> Array:
        place = np.where(numbers[:, :1] > 100, np.nan, numbers[:, :2])
        return np.repeat(place[:, None, None], len(self.problem.seen.position), axis=1)


def fit_to(points: Array, diameter: float = 0.5) -> StandingStill:
    """A fit to positions (F, 2) m of one body with standard deviations of 1 diameter."""
    frames = len(points)
    whole = np.ones((frames, 1), dtype=bool)
    seen = PlacedBodies(
        times=np.arange(frames) / 10,
        steps=np.arange(frames) * 24.0,
        position=points[:, None],
        sd=np.ones((frames, 1)),
        diameter=np.array([diameter]),
        expected_visible=whole,
        present=whole,
        start=np.zeros(1, dtype=np.intp),
        rests=~whole,
    )
    arc = Arc(0, 0, frames, FREE, np.array([0.3, -0.2, 0.0, 0.0]))
    return StandingStill(SimpleNamespace(seen=seen), [arc], [0], None, frames)  # type: ignore[arg-type]


# The circle around them has the line from the second to the third as its diameter.
POINTS = np.array([[0.0, 0.0], [0.0, 0.1], [2.0, 0.0]])
RADIUS = float(np.hypot(2.0, 0.1)) / 2  # m


def test_least_squares_find_the_mean() -> None:
    fit = fit_to(POINTS)
    found = fit.descend(np.ones((3, 1), dtype=bool))
    np.testing.assert_allclose(found[:2], POINTS.mean(axis=0), atol=1e-3)


def test_points_outside_the_mask_and_unknown_ones_do_not_count() -> None:
    fit = fit_to(POINTS)
    fit.problem.seen.known[1] = False
    mask = np.array([[True], [True], [False]])
    np.testing.assert_allclose(fit.descend(mask)[:2], POINTS[0], atol=1e-3)


def test_a_candidate_that_is_absent_is_as_far_off_as_can_be() -> None:
    fit = fit_to(POINTS)
    points = fit._weighted(fit._weight(np.ones((3, 1), dtype=bool)))
    residual = fit._residuals(np.array([[1.0, 0.0, 0.0, 0.0], [101.0, 0.0, 0.0, 0.0]]), points, False)
    assert np.isfinite(residual).all() and (residual[1] == ABSENT_RESIDUAL).all()
    assert weighted_distances.function.signatures == [weighted_distances.types]  # nothing else was compiled
    np.testing.assert_allclose(residual[0], ((np.array([1.0, 0.0]) - POINTS) / 0.5).ravel())


@pytest.mark.parametrize(("most", "reached"), [(0.5, False), (0.97, False), (1.03, True), (1.3, True), (3.0, True)])
def test_the_smallest_circle_decides_what_can_be_reached(most: float, reached: bool) -> None:
    """Least squares alone are 1.33 radii off."""
    fit = fit_to(POINTS)
    mask, weight = np.ones((3, 1), dtype=bool), np.ones((3, 1))
    at = fit.descend(mask)
    assert fit.can_reach(mask, at, weight, most * RADIUS / 0.5) is reached
    assert fit.can_reach(mask, at, 2 * weight, most * RADIUS / 0.5) is (most > 2 * 1.02)


@pytest.mark.parametrize("first", [2, 4, 7])
def test_limits_are_asked_for_within_the_simulated_frames_alone(first: int) -> None:
    """Of a track of 8 frames 2 to 5 are simulated; the arc begins at one of them, or after them."""
    seen = fit_to(np.zeros((8, 2))).problem.seen
    away = np.array([[0.5, 0.2, 3.0, 0.1], [0.5, 0.2, 0.4, np.nan], [0.1, 0.1, 0.1, 0.1]])  # (K, F) diameters
    arc = Arc(0, first, 8, FREE, np.zeros(4))
    fit = SimpleNamespace(frames=slice(2, 6), since=2, chosen=[0], arcs=[arc], errors=lambda numbers: away[..., None])
    limits, numbers = Tolerance(seen, 0.1), np.zeros((3, 4))
    limits.limit[:] = 2.0
    own = away[:, first - 2 :]
    for end in (3, 6, 8, 100):
        before = own[:, : max(end - first, 0)] / 2.0
        expected = np.where(np.isnan(before), np.inf, before).max(axis=1, initial=0.0)
        np.testing.assert_array_equal(limits.excess(fit, numbers, end), expected)  # type: ignore[arg-type]
    reached = {2: [4, 5, 6], 4: [4, 5, 6], 7: [6, 6, 6]}[first]
    np.testing.assert_array_equal(limits.reach(fit, numbers), reached)  # type: ignore[arg-type]


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
