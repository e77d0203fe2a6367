"""Where bodies are placed, what the camera sees of them, and simple motions that part from the true one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from slow_cases import others_slow

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip
from physbench.shadowing import shadow
from physbench.shadowing.observed_motion import (
    EXTRAPOLATIONS,
    constant_acceleration,
    constant_turn,
    constant_velocity,
    distance_of_extrapolations,
    from_tracks,
    sight_model,
)
from physbench.shadowing.shadow import place_bodies, scene_law_of
from physbench.track.tracker import track
from physbench.track.tracks import Tracks
from physbench.validity.violations import find_acts, violate
from physbench.world.camera import px_from_world
from physbench.world.drawing import apparent_radius
from physbench.world.scene import RenderSpec

ClipOf = Callable[..., Clip]
Ideal = Callable[..., Tracks]
WALL = "collisions/wall-bounce-v1"
CONTEXTS = (2, 4, 8, 16)


def kicked(clip: Clip, context: int, ideal: Ideal) -> Tracks:
    """Tracks of ground truth in which a ball gains 0.5 m/s."""
    tracks = ideal(clip, context)
    world = violate(clip.scene, find_acts("kick:0.5"), clip.id)
    states = world.states(clip.times)[clip.window(context)][:, list(clip.tracked), :3]
    noise = tracks.position - clip.px_positions()[clip.window(context)]
    return replace(tracks, position=px_from_world(clip.scene.camera, clip.spec, states) + noise)


def test_the_same_wrong_future_reads_the_same_after_every_video(clip_of: ClipOf, ideal: Ideal) -> None:
    """Up to two steps of the grid of tolerances: searches end elsewhere for other places."""
    clip = clip_of(WALL, seed=1)
    found = [shadow(clip, kicked(clip, context, ideal)) for context in CONTEXTS]
    sizes = [each.strength for each in found if each is not None]
    assert len(sizes) == len(CONTEXTS)
    assert min(sizes) > 0.1 and max(sizes) / min(sizes) < 1.45
    truths = [shadow(clip, ideal(clip, context)) for context in CONTEXTS]
    assert all(each is not None and each.quality == 1.0 for each in truths)


def test_a_short_context_leaves_a_start_as_much_freedom_as_a_long_one(clip_of: ClipOf, ideal: Ideal) -> None:
    clip = clip_of(WALL)
    model = scene_law_of(clip)
    assert model is not None
    firsts, shares = [], []
    for context in CONTEXTS:
        placed = place_bodies(clip, ideal(clip, context), model)
        known = np.flatnonzero(placed.moments >= -0.5 - 1e-9)[0]
        firsts.append(placed.moments[known])
        shares.append(placed.tolerance_share[known, 0])
        assert np.array_equal(placed.moments[known + 1 :], placed.times[known + 1 :])
    assert firsts == pytest.approx([firsts[-1]] * len(CONTEXTS), abs=1e-3)
    assert shares == pytest.approx([shares[-1]] * len(CONTEXTS), abs=1e-3)


def test_ground_truth_that_turns_back_slowly_is_lawful() -> None:
    """Two balls meet at .16 diameters/s, and part as slowly."""
    clip = make_clip(Row("phyworld/collision-v1", "ood", 1005), RenderSpec(64, 64, 10.0))
    window = clip.window(8)
    found = shadow(clip, track(clip, 8, clip.frames[window]))
    assert found is not None and found.quality == 1.0


@pytest.mark.slow
def test_an_image_gets_no_history(clip_of: ClipOf, ideal: Ideal) -> None:
    clip = clip_of(WALL)
    model = scene_law_of(clip)
    assert model is not None
    placed = place_bodies(clip, ideal(clip, 1), model)
    assert placed.moments[0] == placed.times[0] == 0.0
    assert placed.first_velocity is None
    assert np.array_equal(placed.position, from_tracks(clip, ideal(clip, 1), model).position, equal_nan=True)


def test_a_blurred_picture_that_stands_still_reads_as_a_sharp_one(clip_of: ClipOf) -> None:
    """Where ground truth rests is told by its own tracks; those of the blurred picture are half as sure."""
    clip = clip_of("collisions/cradle-v1", seed=2)
    model = scene_law_of(clip)
    assert model is not None
    rests, qualities, sds = [], [], []
    for blur in (0.0, 2.0):  # px
        last = gaussian_filter(clip.frames[clip.handover].astype(float), (blur, blur, 0)).round().astype(np.uint8)
        tracks = track(clip, 8, np.concatenate([clip.context(8), np.repeat(last[None], clip.horizon, axis=0)]))
        rests.append(from_tracks(clip, tracks, model).rests)
        shadowing = shadow(clip, tracks)
        assert shadowing is not None
        qualities.append(shadowing.quality)
        sds.append(np.nanmedian(tracks.position_sd[8:]))
    assert sds[1] > 1.5 * sds[0]
    assert np.array_equal(*rests) and rests[0][8:].any() and not rests[0][8:].all()
    assert qualities[1] == pytest.approx(qualities[0], abs=0.02)


TIMES = np.array([0.0, 0.5, 1.0])


def test_a_circle_is_closed_after_a_turn_and_a_straight_line_is_none() -> None:
    """At 1 m/s and a turn of 90 degrees a second the radius is 2 / pi m."""
    velocity, before = np.array([[1.0, 0.0], [2.0, 1.0]]), np.array([[0.0, -1.0], [2.0, 1.0]])
    moved = constant_turn(velocity, before, 1.0, np.array([1.0, 2.0, 4.0]))
    assert moved[:, 0] == pytest.approx(np.array([[2 / np.pi, 2 / np.pi], [0.0, 4 / np.pi], [0.0, 0.0]]))
    assert moved[:, 1] == pytest.approx(constant_velocity(velocity, before, 1.0, np.array([1.0, 2.0, 4.0]))[:, 1])


def test_what_gains_speed_falls_as_the_square_of_time() -> None:
    velocity, before = np.array([[1.0, -2.0]]), np.array([[1.0, 0.0]])
    moved = constant_acceleration(velocity, before, 0.2, TIMES)[:, 0]
    assert moved == pytest.approx(np.stack([TIMES, -2 * TIMES - 5 * TIMES**2], axis=-1))


def test_a_fall_is_decided_by_its_bounce_an_orbit_by_its_force_and_what_rolls_on_by_nothing(clip_of: ClipOf) -> None:
    for task, early, late in (
        ("falling/projectile-v1", 0.05, 2.0),
        ("orbits/kepler-v1", 0.05, 1.0),
        ("occlusion/screen-pass-v1", 0.02, 0.0),
    ):
        clip = clip_of(task)
        index = tuple(i for i in clip.tracked if clip.scene.bodies[i].role == "moving")
        frames = np.arange(clip.handover - 7, len(clip.times))
        off = distance_of_extrapolations(clip, index, frames)
        assert off.shape == (len(frames), len(index)) and not off[:8].any()
        assert (np.diff(off, axis=0) >= 0).all()  # what has been wrong stays so
        times = clip.times[frames]
        assert off[(times > 0) & (times < 0.15)].max() < early
        assert off[-1].max() > late or task.startswith("occlusion")
        if task.startswith("occlusion"):
            assert off.max() < early


def test_the_future_decides_not_how_it_is_shown(clip_of: ClipOf) -> None:
    """Extrapolations know the hand-over alone: four of them, whatever the clip."""
    clip = clip_of("falling/projectile-v1")
    frames = np.arange(clip.handover, len(clip.times))
    index = tuple(i for i in clip.tracked if clip.scene.bodies[i].role == "moving")
    few = distance_of_extrapolations(clip, index, frames[::3])
    assert np.array_equal(few, distance_of_extrapolations(clip, index, frames)[::3])
    assert len(EXTRAPOLATIONS) == 4


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
