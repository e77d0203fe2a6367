"""The tasks with screens against what their parameters say: times of hiding, places of stop, what is where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from physbench.clips.clip import Clip, Row, Split
from physbench.clips.generate import make_clip, make_params, make_scene, render_spec
from physbench.clips.task import HALF_WINDOW
from physbench.models.protocol import ModelCard
from physbench.run.references import reference_rollout
from physbench.score.score_clip import find_scorers, score_clip
from physbench.tasks.occlusion import (
    Cups,
    ScreenLift,
    ScreenStop,
    ScreenSwap,
    cup_edges,
    plate_edges,
    stop_edges,
    swap_times,
)
from physbench.world.bullet import simulate
from physbench.world.drawing import render
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


@pytest.mark.parametrize("behind", [1, 2])
def test_a_ball_lies_where_it_stopped_when_the_covers_rise(behind: int) -> None:
    seed = next(n for n in range(20) if make_params(Row(Cups.id, "test", n))["behind"] == behind)
    clip, p = clip_of(Cups.id, "test", seed), make_params(Row(Cups.id, "test", seed))
    share, x = clip.visible_share()[:, 0], clip.states[:, 0, 0] * np.sign(p["velocity"])
    covers, stop = cup_edges(p)
    bottom = clip.states[:, clip.scene.index("first cover"), 2] - p["cover_height"] / 2
    under = np.abs(x - np.mean(covers[behind - 1])) < np.ptp(covers[0]) / 2
    last = clip.times >= p["lift"] - 0.2
    assert under[last].all() and np.ptp(x[last]) < 2e-3 and x[-1] == pytest.approx(stop, abs=0.01)
    assert share[(x > stop - p["hidden_way"] + 0.05) & (bottom < 1e-6)].max() < 0.05
    assert share[bottom > 2 * p["radius"] + 0.1].min() > 0.97 and clip.times[share > 0.97][-1] > 3.9
    gap = (clip.times > p["hidden_at"]) & (clip.times < p["lift"])
    assert (share[gap].max() > 0.2) == (behind == 2), "it is seen between the covers"


def test_a_ball_under_the_wrong_cover_is_not_the_same_ball() -> None:
    clip, p = clip_of(Cups.id, "test", 0), make_params(Row(Cups.id, "test", 0))
    covers, _ = cup_edges(p)
    moved = clip.states.copy()
    away = (3 - 2 * p["behind"]) * (covers[1][0] - covers[0][0]) * np.sign(p["velocity"])
    moved[clip.times >= p["lift"] - 0.1, 0, 0] += away
    frames = render(clip.scene, clip.times, moved, clip.spec).frames[clip.handover + 1 :]
    scorers = tuple(each for each in find_scorers() if each.headline and each.axis == "permanence")
    rollout = reference_rollout("truth", clip, ModelCard("check", (64, 64), float(FPS), 8))

    def permanence(shown: np.ndarray) -> float:
        (row,) = (
            row for row in score_clip(clip, replace(rollout, frames=shown), 8, scorers)[0] if row.quality is not None
        )
        return float(row.quality or 0.0)

    assert permanence(clip.future()) > 0.98 and permanence(frames) < 0.5
