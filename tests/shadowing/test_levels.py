"""Lawful time is worth little where simple motions are lawful, too; larger errors of constants always cost more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from handmade import tracks_at, true_places

from physbench.clips.clip import Clip
from physbench.shadowing import shadow_states
from physbench.shadowing.fit import Hypothesis
from physbench.shadowing.levels import UNDECIDED, at_levels, decided, importance, share_of_level
from physbench.shadowing.observed_motion import from_states
from physbench.shadowing.shadow import place_bodies, scene_law_of
from physbench.validity.gaming_baselines import Extrapolation, accelerate, stay, straight, turn
from physbench.world.bullet import simulate_ensemble
from physbench.world.camera import plane_from_world
from physbench.world.scene import Scene

ClipOf = Callable[..., Clip]
PROJECTILE, KEPLER, WALL, PASS, STOP = (
    "falling/projectile-v1",
    "orbits/kepler-v1",
    "collisions/wall-bounce-v1",
    "occlusion/screen-pass-v1",
    "occlusion/screen-stop-v1",
)
CONTEXT = 8


def quality(clip: Clip, future: np.ndarray) -> float:
    window = clip.window(CONTEXT)
    states = np.concatenate([clip.states[window][:CONTEXT], future])
    found = shadow_states(clip, clip.times[window], states)
    assert found is not None
    return found.quality


def extrapolated(clip: Clip, how: Extrapolation) -> float:
    return quality(clip, how(clip, clip.states[clip.handover], clip.times[clip.handover + 1 :]))


def with_constants(scene: Scene, factor: float) -> Scene:
    """Gravity, central masses and restitution times a factor; that of a pair is the product of both."""
    x, y, z = (factor * value for value in scene.gravity)
    bodies = tuple(replace(body, restitution=body.restitution * factor**0.5) for body in scene.bodies)
    fields = tuple(replace(field, mu=field.mu * factor) for field in scene.fields)
    return replace(scene, gravity=(x, y, z), bodies=bodies, fields=fields)


def test_undecided_lawful_time_counts_a_tenth_and_nothing_unlawful_is_excused() -> None:
    decisive = np.array([[False, False], [False, False], [True, False], [True, False]])
    lawful = np.array([[True, True], [False, True], [True, True], [False, False]])
    due = np.ones((4, 2), dtype=bool)
    assert importance(decisive, lawful, due).tolist() == [[UNDECIDED] * 2, [1, UNDECIDED], [1, UNDECIDED], [1, 1]]
    assert (importance(np.zeros((4, 2), dtype=bool), lawful, due) == 1).all()
    assert (importance(decisive, lawful, ~decisive) == 1).all(), "what is decided out of sight makes nothing cheaper"


def test_a_tolerance_weighs_as_the_time_that_is_decided_there(clip_of: ClipOf) -> None:
    clip = clip_of(PROJECTILE)
    model, window = scene_law_of(clip), clip.window(CONTEXT)
    assert model is not None
    seen = from_states(clip, clip.times[window], clip.states[window], model)
    strict, loose = decided(seen, 0.03), decided(seen, 0.5)
    assert (strict | ~loose).all() and strict.sum() > loose.sum() > 0
    assert UNDECIDED < share_of_level(seen, 0.5) < share_of_level(seen, 0.03) < 1
    unknown = replace(seen, extrapolation_distance=None)
    assert decided(unknown, 0.5).all() and share_of_level(unknown, 0.5) == 1


@pytest.mark.parametrize("task", [PROJECTILE, WALL])
def test_what_knows_no_law_earns_next_to_nothing_by_a_lawful_start(clip_of: ClipOf, task: str) -> None:
    clip = clip_of(task)
    assert quality(clip, clip.states[clip.handover + 1 :]) == 1.0
    for how in (straight, accelerate, turn):
        assert extrapolated(clip, how) < 0.1


def test_a_straight_way_stays_lawful_where_nothing_turns_it(clip_of: ClipOf) -> None:
    clip = clip_of(PASS)
    assert extrapolated(clip, straight) == 1.0
    assert extrapolated(clip, stay) < 0.1


def test_lawful_time_before_a_screen_is_worth_little_to_what_comes_out_where_it_cannot(clip_of: ClipOf) -> None:
    """All that is decided is out of sight in ground truth: who shows it is judged by it, who hides it loses nothing."""
    clip = clip_of(STOP)
    model = scene_law_of(clip)
    assert model is not None
    moved = straight(clip, clip.states[clip.handover], clip.times[clip.handover + 1 :])[:, list(clip.tracked), :3]
    found = []
    for places in (true_places(clip), plane_from_world(clip.scene.camera, moved)):
        seen = place_bodies(clip, tracks_at(clip, places, CONTEXT), model)
        assert seen.sight is not None
        gone = seen.sight.excused(seen.position)
        place = np.where(gone[..., None], np.nan, seen.position)
        problem = Hypothesis(model, replace(seen, position=place, present=seen.present & ~gone))
        (level,) = at_levels(problem, (0.03,))
        found.append((level.quality, (level.explained + level.shadowed) / 2))
    assert found[0] == (1.0, 1.0)
    assert found[1][0] < 0.4 * found[1][1]


@pytest.mark.parametrize("task", [PROJECTILE, pytest.param(KEPLER, marks=pytest.mark.slow)])
def test_simulators_are_in_the_order_of_their_errors(clip_of: ClipOf, task: str) -> None:
    """Constants off by 5, 20 and 80 %, on exact places."""
    clip = clip_of(task)
    ahead, now = clip.times[clip.handover + 1 :], clip.states[clip.handover][None]
    found = [
        quality(clip, simulate_ensemble(with_constants(clip.scene, 1 - x), 0.0, now, ahead)[0])
        for x in (0.0, 0.05, 0.2, 0.8)
    ]
    assert found[0] == 1.0
    assert (-np.diff(found) >= 0.04).all(), found


def test_states_may_leave_their_plane_by_no_more_than_positions_are_uncertain(clip_of: Callable[..., Clip]) -> None:
    """By 0.01 diameters; at 0.02 a body has no position, whatever noise of pictures is taken for."""
    clip = clip_of("falling/projectile-v1")
    model, window = scene_law_of(clip), clip.window(8)
    assert model is not None
    (ball,) = model.index
    for off, known in ((0.01, True), (0.02, False)):
        states = clip.states[window].copy()
        states[:, ball, 1] += off * float(clip.diameters()[0, 0])
        assert np.isfinite(from_states(clip, clip.times[window], states, model).position).all() == known
