"""The shadowing scorer on exact tracks of truth, of broken laws and of another lawful future."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from handmade import times_ahead, tracks_at, true_places
from numpy.typing import NDArray

from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.protocol import Observation, Reading
from physbench.score.score_clip import find_scorers, score_clip
from physbench.scorers.axes.consistency import shadowing, strength
from physbench.shadowing import levels, shadow
from physbench.track.tracks import Visibility
from physbench.world.bullet import simulate_ensemble
from physbench.world.camera import plane_from_world

Places = NDArray[np.float64]
ClipOf = Callable[..., Clip]
SPEC = {"size": 128, "fps": 30.0}
NOISE_PX = 0.03
FALLS, MEETS = "falling/projectile-v1", "collisions/head-on-v1"


def read(clip: Clip, places: Places, context: int = 8) -> dict[str, Reading]:
    return dict(shadowing.read(Observation(clip, rollout(clip), tracks_at(clip, places, context, NOISE_PX))))  # type: ignore[arg-type]


def rollout(clip: Clip) -> Rollout:
    return Rollout(clip.id, 0, clip.future()[:0])


def with_gravity(clip: Clip, factor: float) -> Places:
    x, y, z = clip.scene.gravity
    scene = replace(clip.scene, gravity=(factor * x, factor * y, factor * z))
    states = simulate_ensemble(scene, 0.0, clip.states[clip.handover][None], times_ahead(clip))[0]
    return plane_from_world(clip.scene.camera, states[:, list(clip.tracked), :3])


def value(readings: dict[str, Reading], name: str = "") -> float:
    found = readings[name].value
    assert found is not None, readings[name].reason
    return found


@pytest.mark.parametrize("task", [FALLS, MEETS, "orbits/kepler-v1"])
def test_truth_is_lawful_to_the_end(clip_of: ClipOf, task: str) -> None:
    clip = clip_of(task, **SPEC)
    found = read(clip, true_places(clip))
    for name in ("", "explained", "behind-join", "strict", "medium", "lenient", "loose"):
        assert value(found, name) == 1.0
    assert value(found, "shadowing-time") == value(found, "first-break") == pytest.approx(times_ahead(clip)[-1])
    for name in ("breaks-per-second", "undetermined", "join-jump", "join-kick"):
        assert value(found, name) == 0.0
    assert value(found, "jitter") < 0.01
    assert found["unseen-constants"].status == "not applicable"


def test_a_jump_is_dated_and_blamed(clip_of: ClipOf) -> None:
    """Its size is half a diameter: it breaks at each of three tolerances, once."""
    clip = clip_of(MEETS, **SPEC)
    places, body = true_places(clip), clip.tracked_bodies[1]
    places[times_ahead(clip) > 1.0 - 1e-9, 1, 1] += 0.5 * 2 * body.size[0]
    found = read(clip, places)
    assert value(found, "first-break") == pytest.approx(1.0, abs=0.2)
    assert found["first-break"].reason == body.name
    assert 0.3 < value(found) < 0.9
    seconds = value(found, "breaks-per-second") * 2 * times_ahead(clip)[-1]  # two bodies, visible throughout
    assert 1 <= round(seconds) <= 4
    assert value(found, "shadowing-time") < value(found, "explained") * times_ahead(clip)[-1]


def test_a_frozen_picture_explains_little_and_weaker_gravity_costs(clip_of: ClipOf) -> None:
    clip = clip_of(FALLS, **SPEC)
    frozen = np.repeat(true_places(clip)[:1], clip.horizon, axis=0)
    assert value(read(clip, frozen)) < 0.1
    found = [value(read(clip, with_gravity(clip, factor))) for factor in (0.98, 0.9)]
    assert 1 > found[0] > found[1]
    assert found[1] < 0.7


def test_strength_is_the_size_of_a_jump_within_a_factor_of_four(clip_of: ClipOf) -> None:
    """Of a jump of d no tolerance below d / 2 can hide both sides; a lawful trajectory may pass between them."""
    clip = clip_of(MEETS, **SPEC)
    found = []
    for jump in (0.0, 0.1, 0.4):
        places = true_places(clip)
        places[times_ahead(clip) > 1.0, 0, 1] += jump * 2 * clip.tracked_bodies[0].size[0]
        answer = strength.read(Observation(clip, rollout(clip), tracks_at(clip, places, 8, NOISE_PX)))
        assert isinstance(answer, Reading)
        found.append(answer.value)
    assert found[0] == 0.01
    assert 0.025 <= found[1] <= 0.12 and 0.1 <= found[2] <= 0.48  # type: ignore[operator]


@pytest.mark.slow
def test_an_image_does_not_show_how_strong_gravity_is(clip_of: ClipOf) -> None:
    """The strict reading knows the scene's gravity; the one with unseen constants finds the factor."""
    clip = clip_of(FALLS, **SPEC)
    found = read(clip, with_gravity(clip, 0.8), context=1)
    assert value(found) < 0.8
    assert value(found, "unseen-constants") > 0.95
    assert value(found, "unseen-factor") == pytest.approx(0.8, abs=0.01)


def test_a_tower_is_left_to_its_outcomes(clip_of: ClipOf) -> None:
    clip = clip_of("falling/stack-v1")
    found = read(clip, true_places(clip))
    assert found.keys() == {""} and found[""].status == "not applicable"
    assert found[""].reason.startswith("cannot be shadowed: ")


def test_a_failed_rollout_fails_where_it_applies(clip_of: ClipOf) -> None:
    clip = clip_of(FALLS, **SPEC)
    failed = Rollout(clip.id, 0, clip.future()[:0], "NaN in frame 3")
    rows, _ = score_clip(clip, failed, 8, find_scorers("consistency/shadowing"))
    assert rows[0].status == "failed" and rows[0].reason == "NaN in frame 3"


def test_nothing_to_be_seen_is_not_lawful(clip_of: ClipOf) -> None:
    clip = clip_of(MEETS)
    assert value(read(clip, np.full_like(true_places(clip), np.nan))) == 0.0


@pytest.mark.parametrize("context", [2, 8])
def test_a_body_without_a_place_where_truth_partly_hides_it_is_judged_by_what_there_is(
    clip_of: ClipOf, context: int
) -> None:
    """A ball that rolls behind a screen from the first frame on: out of a video its places were lost until hidden."""
    clip = clip_of("occlusion/screen-stop-v1", seed=7009)
    share = clip.visible_share()[clip.window(context)]

    def reading(places: Places, lost: bool = True) -> dict[str, Reading]:
        tracks = tracks_at(clip, places, context, NOISE_PX)
        there = np.isfinite(tracks.position[..., 0]) & (share >= 0.05)
        partly = (tracks.times > 1e-9)[:, None] & (share < 0.95) & lost
        tracks.position[partly] = tracks.position_sd[partly] = np.nan
        tracks.area[partly] *= share[partly]
        tracks.state[partly] = np.where(there[partly], Visibility.VISIBLE, Visibility.ABSENT)
        return dict(shadowing.read(Observation(clip, rollout(clip), tracks)))  # type: ignore[arg-type]

    found = reading(true_places(clip))
    assert value(found) == 1.0 and value(found, "undetermined") == 0.0
    frozen = np.repeat(true_places(clip)[:1], clip.horizon, axis=0)
    assert value(reading(frozen, lost=False)) < 0.1
    assert value(reading(np.full_like(frozen, np.nan))) == 0.0


def test_strength_is_read_by_default_and_is_what_a_search_of_its_own_finds(clip_of: ClipOf) -> None:
    assert {"consistency/shadowing", "consistency/strength"} <= {each.id for each in find_scorers()}
    clip, found = clip_of(MEETS), []
    for jump in (0.0, 0.1, 0.6):
        places = true_places(clip)
        places[5:, 0, 0] += jump * clip.diameters()[0, 0]
        seen = shadow(clip, tracks_at(clip, places, 8, NOISE_PX))
        assert seen is not None
        alone = levels.strength(seen.problem)
        assert seen.strength == pytest.approx(alone, rel=0.25)  # a step of the grid: arcs are first guessed otherwise
        found.append(seen.strength)
    assert found[0] < 0.02 < found[1] < found[2] and found[2] < 0.8
