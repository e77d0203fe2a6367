"""The thruster: a force on one body alone, its closed form, its bar, and what the readings of an action say of it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from handmade import tracks_at, true_places

from physbench.clips.clip import Clip, Row, mean_commands
from physbench.clips.generate import make_clip, make_params, make_scene, render_spec
from physbench.clips.suite import find_suite
from physbench.clips.task import builtin_task_ids
from physbench.models.protocol import StateCard
from physbench.rollout.states import state_actions
from physbench.score.score_clip import find_scorers
from physbench.scorers.diagnostics.counterfactual import push_followed
from physbench.support.errors import UsageError
from physbench.tasks.actions import Thruster, thruster_tips, thrusts
from physbench.validity.measure import measure_one
from physbench.world.bullet import World, simulate
from physbench.world.camera import px_from_plane
from physbench.world.links import LINK, with_links
from physbench.world.scene import Burn, Thrust, sphere_mass

ALONE, WITH_OTHER = 0, 2  # seeds of test


@lru_cache
def clip_of(seed: int) -> Clip:
    return make_clip(Row(Thruster.id, "test", seed), render_spec(64, 15))


def test_it_has_a_suite_of_its_own() -> None:
    assert find_suite("thrust").tasks == (Thruster.id,)
    assert Thruster.id not in {*builtin_task_ids(full=True), *builtin_task_ids(actions=True)}
    other = [make_params(Row(Thruster.id, "train", seed))["other"] for seed in range(40)]
    assert 10 <= sum(other) <= 30


@pytest.mark.parametrize("seed", [ALONE, WITH_OTHER])
def test_each_second_is_a_parabola_and_nothing_else_is_moved(seed: int) -> None:
    """The parts one after the other: x + v t + F t^2 / 2m, and a straight line at the end."""
    row = Row(Thruster.id, "test", seed)
    p, scene = make_params(row), make_scene(row)
    times = np.arange(-20, 41) / 10
    states = simulate(scene, times).states
    place, velocity = np.array([p["start_x"], p["start_y"]]), np.zeros(2)
    np.testing.assert_allclose(states[times <= 0, 0, :2], np.tile(place, (21, 1)), atol=1e-9)
    for k, force in enumerate([*thrusts(p), (0.0, 0.0)]):
        since, acceleration = np.arange(11) / 10, np.array(force) / sphere_mass(p["radius"])
        way = since[:, None] * velocity + since[:, None] ** 2 / 2 * acceleration
        np.testing.assert_allclose(states[20 + 10 * k :][:11, 0, :2], place + way, atol=2e-3)
        place, velocity = place + way[-1], velocity + acceleration
    if p["other"]:
        np.testing.assert_allclose(np.diff(states[:, 1, :3], axis=0), states[:-1, 1, 7:10] / 10, atol=1e-9)
    assert len(scene.bodies) == 1 + p["other"]


def test_a_bar_shows_the_force_that_acted_and_where() -> None:
    """In each second its end is dark, on the side away from the push; at the hand-over and after 3 s there is none."""
    clip = clip_of(WITH_OTHER)
    p, ahead = make_params(clip.row), slice(clip.handover, None)
    dark = (clip.frames[ahead].max(axis=-1) < 255 * LINK.grey + 25).sum(axis=(1, 2))
    on = (clip.times[ahead] > 1e-9) & (clip.times[ahead] <= 3 + 1e-9)
    assert (dark[on] >= 3).all() and not dark[~on].any()
    for time in (0.5, 1.5, 2.5):
        k = int(np.argmin(np.abs(clip.times - time)))
        tip = thruster_tips(p, clip.times[k : k + 1])
        inner = clip.states[k, 0, :2] + 0.92 * (tip[0] - clip.states[k, 0, :2])
        x, y = px_from_plane(clip.scene.camera, clip.spec, inner)
        assert clip.frames[k, int(y), int(x)].max() < 110, "the background has 128 levels"


def test_actions_are_the_forces_since_the_frame_before() -> None:
    clip = clip_of(ALONE)
    table, (thrust,) = clip.actions(4), clip.scene.thrusts
    assert table is not None and not table[:4, 3:].any() and not table[-14:, 3:].any()
    impulse = np.cumsum(table[:, 3:5], axis=0)[-1] / 15
    mass = clip.scene.bodies[0].mass
    np.testing.assert_allclose(impulse, mass * clip.states[-1, 0, 7:9], rtol=1e-3)
    halves = Thrust("ball", (Burn(0.05, (10.0, 0.0, 0.0)),))
    np.testing.assert_allclose(mean_commands(halves, np.array([-0.1, 0.0, 0.1, 0.2]))[:, 0], [0, 0, 5, 10])
    rows = state_actions([clip], StateCard("states", fps=15, context_frames=4, uses_actions=True), 4)
    assert rows is not None
    np.testing.assert_allclose(rows[0, :, 0], table[:, 3:], atol=1e-5)
    with pytest.raises(ValueError, match="no thruster"):
        replace(thrust, burns=thrust.burns[::-1])


def test_a_command_takes_the_place_of_those_of_the_scene() -> None:
    scene = make_scene(Row(Thruster.id, "test", ALONE))
    world = World(scene)
    world.advance(0.0)
    world.command("ball", (20.0, 0.0, 0.0))
    world.advance(0.5)
    velocity = world.states()[0][0, 7:10]
    world.close()
    np.testing.assert_allclose(velocity, [0.5 * 20.0 / scene.bodies[0].mass, 0, 0], atol=1e-4)


READINGS = ("", "direction", "delay", "left-alone")


def read(clip: Clip, places: np.ndarray) -> list[float | None]:
    """Readings of predicted places (T, K, 2) m."""
    found = push_followed.function(clip, None, tracks_at(clip, places))  # type: ignore[arg-type]
    assert isinstance(found, dict) and "forced" not in found
    return [found[name].value for name in READINGS]


def test_size_direction_and_delay_of_what_a_model_does_are_read() -> None:
    clip = clip_of(WITH_OTHER)
    true, start = true_places(clip), clip.plane_positions()[clip.handover, 0]
    assert read(clip, true) == [pytest.approx(1), pytest.approx(0, abs=1e-6), 0, 1]
    half, turned, still, late = (true.copy() for _ in range(4))
    way = true[:, 0] - start
    half[:, 0], still[:, 0], turned[:, 0] = start + way / 2, start, start + way[:, ::-1] * [-1, 1]
    late[:, 0] = np.concatenate([np.tile(start, (3, 1)), true[:-3, 0]])
    assert read(clip, half)[:3] == [pytest.approx(0.5), pytest.approx(0, abs=1e-6), 0]
    assert read(clip, turned)[:3] == [pytest.approx(1), pytest.approx(90), 0]
    assert read(clip, still)[:3] == [pytest.approx(0, abs=1e-12), None, None]
    assert read(clip, late)[:3] == [pytest.approx(1, abs=0.01), pytest.approx(0, abs=0.5), pytest.approx(3, abs=0.1)]
    still[:, 0], still[:, 1] = true[:, 0], true[0, 1]
    assert read(clip, still)[0] == pytest.approx(1) and (read(clip, still)[3] or 1) < 0.5


@pytest.mark.parametrize(
    ("source", "low", "high"),
    [("truth", 0.999, 1.0), ("teleport:0.25", 0.3, 0.95), pytest.param("kick:0.5", 0.0, 0.6, marks=pytest.mark.slow)],
)
def test_the_law_knows_the_force_and_what_it_does_not_explain(source: str, low: float, high: float) -> None:
    scorers = [scorer for scorer in find_scorers() if scorer.id == "consistency/shadowing"]
    part = measure_one(clip_of(ALONE), 4, source, scorers)
    values = {each.reading: each.value for each in part.reads}
    value = values["consistency/shadowing"]
    assert value is not None and low <= value <= high


def test_a_bar_that_is_seen_before_its_thruster_is_on_is_refused() -> None:
    scene = make_scene(Row(Thruster.id, "test", 0))
    (thrust,) = scene.thrusts
    strong = replace(thrust, burns=(Burn(1.0, (0.0, 0.0, 100.0)),))
    scene = replace(scene, fields=(strong,))
    with pytest.raises(UsageError, match=r"100 N make a bar of 1.50 m, .* Push with \d\d N at most"):
        with_links(scene, simulate(scene, np.zeros(1)).states, np.zeros(1))
    with pytest.raises(ValueError, match=r"finite forces \(x, y, z\)"):
        replace(thrust, burns=(Burn(0.0, (1.0, 2.0)),))  # type: ignore[arg-type]
