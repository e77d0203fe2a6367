"""The tasks with screens against what their parameters say: times of hiding, places of stop, what is where."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest

from physbench.clips.clip import Clip, Row, Split
from physbench.clips.generate import make_clip, make_params, make_scene, render_spec
from physbench.clips.task import HALF_WINDOW
from physbench.tasks.occlusion import ScreenLift, ScreenStop, ScreenSwap, plate_edges, stop_edges, swap_times
from physbench.world.bullet import simulate
from physbench.world.scene import SCREEN_GREY

FPS = 20
SPLITS: tuple[Split, ...] = ("test", "ood")
both_splits = pytest.mark.parametrize("split", SPLITS)
FRAME = 1.5 / FPS  # s, within which a time is seen


@lru_cache
def clip_of(task: str, split: Split, seed: int = 0) -> Clip:
    return make_clip(Row(task, split, seed), render_spec(64, FPS))


def times_when(clip: Clip, column: int, what: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Times s at which `what` holds for the visible share of an object."""
    return clip.times[what(clip.visible_share()[:, column])]


@both_splits
def test_swapped_balls_are_hidden_when_they_pass_and_come_out_on_the_other_side(split: Split) -> None:
    task = ScreenSwap()
    clip, p = clip_of(task.id, split), make_params(Row(task.id, split, 0))
    share = clip.visible_share()
    for column, (name, way) in enumerate((("a", 1.0), ("b", -1.0))):
        touch, hidden, shows, out = swap_times(p, name, way)
        assert 0.2 <= hidden <= 1.0 and out + 0.4 <= 3.6
        gone = times_when(clip, column, lambda s: s < 0.05)
        gone = gone[gone < out]  # later it may have left the window
        assert gone[0] == pytest.approx(hidden, abs=FRAME) and gone[-1] == pytest.approx(shows, abs=FRAME)
        seen = (clip.times > p["release"]) & (clip.times < touch - FRAME)
        assert share[seen, column].min() > 0.97 and np.ptp(clip.times[seen]) >= 0.25
        behind = (clip.times > out + FRAME) & (clip.times < out + 0.4)
        assert share[behind, column].min() > 0.97
        # no contact but with the floor, and no change of speed
        x = clip.states[:, column, 0] * way
        assert x[0] < -1 and x[behind].min() > 0.5
        speeds = clip.states[clip.times > p["release"] + FRAME, column, 7]
        np.testing.assert_allclose(speeds, way * p[f"speed_{name}"], rtol=1e-3)
    assert {frozenset((c.a, c.b)) for c in clip.contacts} == {frozenset(("a", "floor")), frozenset(("b", "floor"))}
    # the outlines overlap only where both are hidden
    place = clip.px_positions() / clip.pixels_per_metre
    reach = clip.diameters().sum(axis=1) / 2
    crossing = np.linalg.norm(place[:, 0] - place[:, 1], axis=-1) < reach
    assert crossing.any() and share[crossing].max() < 0.05


def test_the_lanes_of_swapped_balls_are_seen_in_size_and_height() -> None:
    clip = clip_of(ScreenSwap.id, "test")
    p = make_params(Row(ScreenSwap.id, "test", 0))
    larger = clip.diameters()[0] / (2 * np.array([p["radius_a"], p["radius_b"]]))
    assert larger.max() > 1.03 and larger.min() < 0.98
    assert (larger[0] > larger[1]) == (p["nearer"] > 0)


@both_splits
@pytest.mark.parametrize("seed", range(3))
def test_the_wall_stops_the_ball_where_it_is_hidden_for_good(split: Split, seed: int) -> None:
    task = ScreenStop()
    row = Row(task.id, split, seed)
    p, scene = make_params(row), make_scene(row)
    way = np.sign(p["velocity"])
    near, stop = stop_edges(p)
    moments = np.arange(-40, 81) / 20
    ball = simulate(scene, moments).states[:, 0]
    x = ball[:, 0] * way
    contact = p["hidden_at"] + p["hidden_way"] / abs(p["velocity"])
    rolling = (moments >= p["release"]) & (moments < contact)
    expected = -p["start"] + abs(p["velocity"]) * (moments - p["release"])
    np.testing.assert_allclose(x[rolling], expected[rolling], atol=4e-3)
    np.testing.assert_allclose(x[moments > contact + 0.05], stop, atol=2e-3)
    assert np.abs(ball[:, 2] - p["radius"]).max() < 1e-3, "the wall does not lift it"
    assert np.linalg.norm(ball[-1, 7:]) < 1e-2
    assert stop - p["radius"] > near and stop + p["radius"] < HALF_WINDOW
    wall, screen = (scene.bodies[scene.index(name)] for name in ("wall", "screen"))
    assert wall.size[2] * 2 >= screen.size[2] * 2 + 0.5, "it rises above the screen"
    assert wall.grey > SCREEN_GREY + 0.1


@both_splits
def test_the_stopped_ball_is_not_seen_again(split: Split) -> None:
    clip, p = clip_of(ScreenStop.id, split), make_params(Row(ScreenStop.id, split, 0))
    gone = times_when(clip, 0, lambda s: s < 0.05)
    assert gone[0] == pytest.approx(p["hidden_at"], abs=FRAME) and 0.2 <= gone[0] <= 1.0
    assert len(gone) == (clip.times >= gone[0]).sum(), "to the end"
    assert times_when(clip, 0, lambda s: s > 0).max() < p["hidden_at"] + 0.3  # not even a sliver
    assert clip.visible_area[:, clip.scene.index("wall")].min() > 20


@both_splits
@pytest.mark.parametrize("seed", range(2))
def test_the_plate_covers_the_ball_and_uncovers_it(split: Split, seed: int) -> None:
    task = ScreenLift()
    clip, p = clip_of(task.id, split, seed), make_params(Row(task.id, split, seed))
    front, back = plate_edges(p)
    share = clip.visible_share()[:, 0]
    gone = times_when(clip, 0, lambda s: s < 0.05)
    shows = ((1 - 0.195) * -p["radius"] - back) / abs(p["velocity"])
    assert gone[0] == pytest.approx(p["hidden_at"], abs=FRAME) and gone[-1] == pytest.approx(shows, abs=FRAME)
    assert share[clip.times <= 0].min() > 0.97
    out = (p["radius"] - back) / abs(p["velocity"])
    assert out <= 3.6 and share[clip.times > out + FRAME].min() > 0.97
    assert np.abs(clip.states[:, 0, :3] - clip.states[0, 0, :3]).max() < 1e-3, "it rests"
    plate = clip.scene.index("plate")
    np.testing.assert_allclose(np.diff(clip.states[:, plate, 2]) * FPS, p["velocity"] * (1 - 0.85 / 20), rtol=1e-3)
    visible = clip.visible_area[:, plate] / clip.full_area[:, plate]
    assert visible[clip.handover] > 0.97 and visible[clip.handover - FPS // 2] > 0.45
    assert front < -p["radius"]


def test_the_plate_goes_both_ways() -> None:
    ways = {np.sign(make_params(Row(ScreenLift.id, "test", seed))["velocity"]) for seed in range(8)}
    assert ways == {-1.0, 1.0}
