"""Alternatives are lawful, and as near or far as they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from slow_cases import others_slow

from physbench.clips.clip import Clip
from physbench.validity.lawful_alternatives import far, near
from physbench.validity.sources import show
from physbench.validity.violations import Inapplicable
from physbench.world.geometry import gap, rotate

Clips = Callable[..., Clip]

CONTEXT = 8


def test_a_near_alternative_is_what_the_context_allows(clip_of: Clips) -> None:
    clip = clip_of("collisions/head-on-v1")
    first, second = near(clip, CONTEXT), near(clip, CONTEXT, 1)
    assert not first.jumps.any() and 0 < first.distance < 0.3
    assert not np.array_equal(first.states, second.states)
    velocity = first.states[0, list(clip.tracked), 7:10]
    assert velocity == pytest.approx(clip.states[clip.handover, list(clip.tracked), 7:10], abs=0.05)


@pytest.mark.slow
def test_on_orbits_a_near_alternative_of_an_image_neither_meets_nor_leaves_the_view(clip_of: Clips) -> None:
    clip = clip_of("orbits/flyby-v1")
    pair = list(clip.tracked)
    half = clip.scene.camera.width / 2
    for member in (0, 1):
        places = near(clip, 1, member).states[:, pair, :2]
        touching = sum(clip.scene.bodies[i].radius for i in pair)
        assert np.linalg.norm(places[:, 0] - places[:, 1], axis=1).min() > touching
        assert np.abs(places).max() < 40 * half  # not flung away by a pass through the star


def test_a_far_alternative_falls_as_all_things_do(clip_of: Clips) -> None:
    clip = next(c for c in (clip_of("falling/projectile-v1", seed=s) for s in range(9)) if height(c) > 1.0)
    alternative, dt = far(clip, CONTEXT), 1 / clip.spec.fps
    start = clip.states[clip.handover, 0]
    assert np.linalg.norm(alternative.jumps[0]) > 0.05 and not alternative.jumps[1:].any()
    expected = start[:3] + (start[7:10] + alternative.jumps[0, :3]) * dt + np.array([0, 0, -9.81 / 2]) * dt**2
    assert alternative.states[0, 0, :3] == pytest.approx(expected, abs=6e-4)


def height(clip: Clip) -> float:
    return float(clip.states[clip.handover, 0, 2] - clip.scene.bodies[0].size[0])


@pytest.mark.parametrize("seed", others_slow(range(6), 2))
def test_a_far_alternative_stays_on_its_ramp(clip_of: Clips, seed: int) -> None:
    clip = clip_of("falling/incline-v1", seed=seed)
    body, ramp = clip.scene.bodies[:2]
    alternative, now = far(clip, CONTEXT), clip.states[clip.handover]
    up = rotate(ramp.orientation, np.array([0.0, 0.0, 1.0]))
    velocity = now[0, 7:10] + alternative.jumps[0, :3]
    assert abs(velocity @ up) < 1e-9 and np.linalg.norm(alternative.jumps[0, :3]) > 1e-3
    if body.shape != "box":  # it rolls
        assert velocity == pytest.approx(np.cross(now[0, 10:] + alternative.jumps[0, 3:], body.size[0] * up), abs=1e-9)
    apart = gap(body, alternative.states[:, 0, :3], ramp, now[1, :3])
    assert np.abs(apart).max() < 0.02  # neither a flight off it nor a hop


def test_far_balls_on_a_table_roll_and_each_has_the_velocity_of_a_ball(clip_of: Clips) -> None:
    clip = clip_of("collisions/billiards-v1")
    alternative, now = far(clip, CONTEXT), clip.states[clip.handover]
    for i in clip.tracked:
        radius = clip.scene.bodies[i].size[0]
        velocity, spin = now[i, 7:10] + alternative.jumps[i, :3], now[i, 10:] + alternative.jumps[i, 3:]
        assert np.linalg.norm(velocity) > 0 and abs(velocity[2]) < 1e-9
        assert np.linalg.norm(velocity - np.cross(spin, [0, 0, radius])) < 0.02 * np.linalg.norm(velocity) + 1e-3


def test_what_the_context_shows_a_far_alternative_keeps(clip_of: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight frames show all constants here, one does not: then the alternative is one of another scene."""
    clip = clip_of("falling/projectile-v1")
    other = replace(clip.scene, bodies=tuple(replace(body, restitution=0.123) for body in clip.scene.bodies))
    monkeypatch.setattr(
        "physbench.validity.lawful_alternatives.possible_scenes", lambda _, context: () if context > 1 else (other,)
    )
    assert far(clip, CONTEXT).scene is clip.scene and far(clip, 1).scene is other
    asked = []
    monkeypatch.setattr(
        "physbench.validity.sources.far", lambda clip, context: asked.append(context) or far(clip, context)
    )
    assert (
        show(clip, CONTEXT, "stranger-far").context is None and show(clip, CONTEXT, "stranger-far-waived").context == 1
    )
    assert asked == [CONTEXT, 1]


def test_a_far_alternative_goes_elsewhere(clip_of: Clips) -> None:
    distances = [far(clip_of("collisions/head-on-v1", seed=seed), CONTEXT).distance for seed in range(3)]
    assert np.median(distances) > 1


@pytest.mark.slow
def test_a_far_alternative_on_an_orbit_keeps_the_shape_of_the_other_ellipse(clip_of: Clips) -> None:
    clip = clip_of("orbits/kepler-v1")
    planet, star = clip.tracked
    states = far(clip, CONTEXT).states
    offset = states[:, planet, :3] - states[:, star, :3]
    momentum = np.cross(offset, states[:, planet, 7:10])[:, 2]
    distance = np.linalg.norm(offset, axis=1)
    energy = (states[:, planet, 7:10] ** 2).sum(axis=1) / 2 - clip.scene.fields[0].mu / distance
    assert np.ptp(momentum) < 1e-3 * np.abs(momentum).mean()
    assert (energy < 0).all() and np.ptp(energy) < 0.02 * np.abs(energy).mean()


@pytest.mark.slow
def test_what_always_begins_at_rest_has_no_far_alternative(clip_of: Clips) -> None:
    with pytest.raises(Inapplicable, match="same velocities"):
        far(clip_of("falling/stack-v1"), CONTEXT)


@pytest.mark.slow
def test_far_alternatives_that_draw_each_other_leave_their_barycentre_alone(clip_of: Clips) -> None:
    clip = clip_of("orbits/binary-v1")
    alternative = far(clip, CONTEXT)
    masses = np.array([body.mass for body in clip.scene.bodies])
    assert np.linalg.norm(alternative.jumps[:, :3]) > 0.05
    assert masses @ alternative.jumps[:, :3] == pytest.approx(np.zeros(3), abs=1e-6)
    a, b = clip.tracked
    first, second = (field.mu for field in clip.scene.fields)
    offset = alternative.states[:, a, :3] - alternative.states[:, b, :3]
    relative = alternative.states[:, a, 7:10] - alternative.states[:, b, 7:10]
    assert np.linalg.norm(offset, axis=1).min() > clip.scene.bodies[a].size[0] + clip.scene.bodies[b].size[0]
    energy = (relative**2).sum(axis=1) / 2 - (first + second) / np.linalg.norm(offset, axis=1)
    assert (energy < 0).all() and np.ptp(energy) < 0.02 * np.abs(energy).mean()
