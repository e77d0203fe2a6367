"""How long clips can be predicted, against ensembles made by hand."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from slow_cases import others_slow

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_clip
from physbench.clips.store import ClipStore
from physbench.clips.suite import find_suite
from physbench.score import predictability as module
from physbench.score.predictability import (
    SHIPPED_CONTEXT,
    SHIPPED_SPEC,
    compute,
    content_key,
    ensemble_positions,
    ensemble_states,
    first_time_beyond,
    predictability,
    predictability_time,
    shipped,
    spread,
)
from physbench.support.files import read_sealed_json, write_sealed_json
from physbench.world.bullet import simulate_ensemble

Clips = Callable[..., Clip]
TASKS = ("falling/projectile-v1", "collisions/head-on-v1", "occlusion/screen-pass-v1", "orbits/kepler-v1")


@pytest.mark.parametrize("task", TASKS)
def test_what_the_context_shows_is_enough_for_the_whole_horizon(clip_of: Clips, task: str) -> None:
    clip = clip_of(task)
    width = spread(clip, 8)
    assert width.shape == (clip.horizon, len(clip.tracked))
    assert width.max() < 0.6
    assert first_time_beyond(clip, 8, width) == clip.scene.horizon


def test_members_scatter_as_the_fit_of_the_context_says(clip_of: Clips) -> None:
    clip = clip_of("falling/projectile-v1")
    index = clip.tracked[0]
    change = ensemble_states(clip, 8)[:, index] - clip.states[clip.handover, index]
    body = clip.tracked_bodies[0]
    dt = clip.times[clip.handover - 7 : clip.handover + 1]
    dt = dt[dt >= (body.release or -9) - 1e-9]
    sd = 0.03 / clip.pixels_per_metre
    speed = sd / np.sqrt(((dt - dt.mean()) ** 2).sum())  # of a straight line's slope
    assert change[:, [7, 9]].std() == pytest.approx(speed, rel=0.35)
    assert not change[:, 1].any() and not change[:, 8].any()  # nothing moves across the plane


def test_a_rolling_ball_rolls_in_every_member(clip_of: Clips) -> None:
    clip = clip_of("occlusion/screen-pass-v1")
    index = clip.tracked[0]
    radius = clip.tracked_bodies[0].radius
    states = ensemble_states(clip, 8)[:, index]
    np.testing.assert_allclose(states[:, 7], states[:, 11] * radius, rtol=1e-2)
    assert np.ptp(states[:, 2]) < 1e-8  # on the floor
    assert np.ptp(states[:, 7]) > 1e-3


@pytest.mark.slow
def test_balls_on_a_table_roll_at_every_speed_that_an_image_allows(clip_of: Clips) -> None:
    """Seen from above; with the spin of the clip's own velocity they would slide and leave the range of speeds."""
    clip = clip_of("collisions/billiards-v1")
    for index in clip.tracked:
        radius, states = clip.scene.bodies[index].radius, ensemble_states(clip, 1)[:, index]
        slip = states[:, 7:9] - radius * np.stack([states[:, 11], -states[:, 10]], axis=1)
        assert np.linalg.norm(slip, axis=1).max() < 0.02 < np.ptp(states[:, 7])


@pytest.mark.parametrize("task", ["occlusion/screen-pass-v1", "orbits/kepler-v1"])
def test_closed_forms_are_what_the_simulation_gives(clip_of: Clips, task: str) -> None:
    clip = clip_of(task)
    states = ensemble_states(clip, 8)
    free = module._undisturbed(clip, states, clip.times[clip.handover + 1 :])
    assert free is not None
    ahead = clip.times[clip.handover + 1 :]
    simulated = simulate_ensemble(clip.scene, 0.0, states[:2], ahead)[..., :3]
    moving = [i for i, body in enumerate(clip.scene.bodies) if body.role == "moving"]
    assert np.abs(free[:2] - simulated)[:, :, moving].max() < 0.02  # m


@pytest.mark.parametrize("task", ["falling/projectile-v1", "collisions/head-on-v1"])
def test_what_touches_is_simulated(clip_of: Clips, task: str) -> None:
    clip = clip_of(task)
    assert module._undisturbed(clip, ensemble_states(clip, 8), clip.times[clip.handover + 1 :]) is None


@pytest.mark.slow
def test_an_image_does_not_tell_the_speed(clip_of: Clips) -> None:
    clip = clip_of("falling/projectile-v1")
    velocities = ensemble_states(clip, 1)[:, clip.tracked[0], 7:10]
    assert velocities[:, 0].std() > 0.2 and velocities[:, 2].std() > 0.5
    assert predictability_time(clip, 1) < 2.5


def test_the_first_frame_beyond_one_diameter_of_a_due_object_counts(clip_of: Clips) -> None:
    clip = clip_of("collisions/head-on-v1")
    width = np.zeros((clip.horizon, 2))
    width[10:, 1] = 1.01
    assert first_time_beyond(clip, 8, width) == pytest.approx(11 / 15)
    unseen = replace(clip, visible_area=np.where(clip.times[:, None] > 0.5, 0, clip.visible_area))
    assert first_time_beyond(unseen, 8, width) == clip.scene.horizon


def test_times_are_kept_by_all_that_decides_them(
    clip_of: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHYSBENCH_CACHE", str(tmp_path))
    clip = clip_of("orbits/kepler-v1", seed=500)  # not one of those that are shipped
    first = predictability_time(clip, 8)
    np.testing.assert_array_equal(predictability(clip, 8).spread, spread(clip, 8).round(4))
    (stored,) = (tmp_path / "predictability").glob("*.json")
    document = read_sealed_json(stored)
    assert document["seconds"] == first and document["context"] == 8
    write_sealed_json(stored, {**document, "seconds": 1.25})
    assert predictability_time(clip, 8) == 1.25  # read, not computed
    stored.write_text("{")
    assert predictability_time(clip, 8) == first  # a broken file is made again
    predictability_time(clip, 4)
    predictability_time(replace(clip, scene=replace(clip.scene, horizon=7.9)), 8)
    predictability_time(replace(clip, states=clip.states + 1e-9), 8)  # of another machine
    predictability_time(replace(clip, visible_area=clip.visible_area / 2), 8)
    assert len(list((tmp_path / "predictability").glob("*.json"))) == 5


def test_what_is_shipped_is_found_whatever_fields_a_scene_gained(clip_of: Clips) -> None:
    row = find_suite("core").rows[0]
    assert shipped(content_key(make_clip(row, SHIPPED_SPEC), SHIPPED_CONTEXT)) is not None


QUICK_TASKS = ("falling/projectile-v1", "occlusion/screen-swap-v1", "orbits/flyby-v1", "orbits/kepler-v1")
SLOW_TASKS = tuple(sorted(set(find_suite("core").tasks) - set(QUICK_TASKS)))


@pytest.mark.parametrize(
    "task", others_slow([*QUICK_TASKS, *(pytest.param(task, marks=pytest.mark.slow) for task in SLOW_TASKS)], 1)
)
def test_what_is_shipped_is_what_is_computed(task: str) -> None:
    """Other machines draw other members of the ensemble: its 80th percentile varies with them, the time does not."""
    for row in (Row(task, "test", 3), Row(task, "ood", 1)):
        clip = ClipStore().get(row, SHIPPED_SPEC)
        found, here = shipped(module.content_key(clip, SHIPPED_CONTEXT)), compute(clip, SHIPPED_CONTEXT)
        assert found is not None and found[0] == here.seconds
        np.testing.assert_allclose(found[1], here.spread, rtol=0.4, atol=0.01)


def test_a_shipped_time_is_neither_computed_nor_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = ClipStore().get(Row("orbits/kepler-v1", "test", 0), SHIPPED_SPEC)
    monkeypatch.setenv("PHYSBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "compute", None)
    assert predictability_time(clip, SHIPPED_CONTEXT) == 8.0
    assert not (tmp_path / "predictability").exists()
    assert shipped(module.content_key(clip, 4)) is None
    assert shipped(module.content_key(replace(clip, states=clip.states + 1e-8), SHIPPED_CONTEXT)) is None


@pytest.mark.parametrize("task", ["orbits/kepler-v1", "orbits/flyby-v1"])
def test_last_bits_of_another_machine_do_not_matter(task: str) -> None:
    clip = ClipStore().get(Row(task, "test", 0), SHIPPED_SPEC)
    key = module.content_key(clip, SHIPPED_CONTEXT)
    bodies = tuple(
        replace(body, velocity=tuple(float(np.nextafter(x, 9)) for x in body.velocity)) for body in clip.scene.bodies
    )
    other = replace(clip, states=clip.states + 1e-15, scene=replace(clip.scene, bodies=bodies))
    assert module.content_key(other, SHIPPED_CONTEXT) == key
    faster = tuple(replace(body, velocity=tuple(x + 1e-6 for x in body.velocity)) for body in clip.scene.bodies)
    assert module.content_key(replace(clip, scene=replace(clip.scene, bodies=faster)), SHIPPED_CONTEXT) != key


def test_an_image_depends_on_the_other_draws_of_its_task(clip_of: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = clip_of("orbits/kepler-v1")
    image, film = module.content_key(clip, 1), module.content_key(clip, 8)
    monkeypatch.setattr(module, "other_scenes", lambda task, split, bodies: ("other ranges",))
    assert module.content_key(clip, 1) != image and module.content_key(clip, 8) == film


def test_a_cache_that_cannot_be_written_costs_time_only(
    clip_of: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PHYSBENCH_CACHE", str(tmp_path / "file"))
    assert predictability_time(clip_of("orbits/kepler-v1", seed=500), 8) == 8.0


def test_members_are_the_same_each_time(clip_of: Clips) -> None:
    clip = clip_of("collisions/head-on-v1")
    np.testing.assert_array_equal(ensemble_positions(clip, 8)[:, :3], ensemble_positions(clip, 8)[:, :3])


@pytest.mark.parametrize("damage", ["missing", "cut off", "no gzip", "a flipped bit", "other values"])
def test_a_damaged_shipped_file_holds_no_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    """Clips are computed then. Were an error raised, `drift/accuracy` would fail, and count as 0 for the model."""
    whole = files("physbench.score").joinpath("golden", module.SHIPPED_FILE).read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    held = {
        "cut off": whole[:3000],
        "no gzip": b"<html>",
        "a flipped bit": bytes(flipped),
        "other values": gzip.compress(gzip.decompress(whole).replace(b"[4.0", b"[2.0")),
    }
    if damage in held:
        (tmp_path / "golden").mkdir()
        (tmp_path / "golden" / module.SHIPPED_FILE).write_bytes(held[damage])
    key = module.content_key(ClipStore().get(find_suite("core").rows[0], SHIPPED_SPEC), SHIPPED_CONTEXT)
    assert shipped(key) is not None
    monkeypatch.setattr(module, "files", lambda package: tmp_path)
    module._documents.cache_clear()
    try:
        assert shipped(key) is None
    finally:
        module._documents.cache_clear()
