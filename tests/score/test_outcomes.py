"""Questions about the end: truth, a frozen picture, and endings of known kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from physbench.clips.clip import Clip, Row
from physbench.clips.generate import make_params
from physbench.rollout.store import Rollout
from physbench.score.outcomes import answer_questions
from physbench.score.protocol import Observation
from physbench.scorers.axes.consistency import outcome, shadowing
from physbench.tasks.collisions import Domino
from physbench.tasks.falling import Overhang, Stack, overhang_margin, support_margins
from physbench.track.tracks import Tracks, Visibility
from physbench.world.camera import px_from_plane

C = 8
Clips, Ideal = Callable[..., Clip], Callable[..., Tracks]


def seed_of(blocks: int, *, falls: bool) -> int:
    for seed in range(60):
        p = make_params(Row(Stack.id, "test", seed))
        if p["blocks"] == blocks and (min(support_margins(p)) < 0) == falls:
            return seed
    raise AssertionError


def overhang(clip_of: Clips, *, falls: bool) -> Clip:
    params = (make_params(Row(Overhang.id, "test", seed)) for seed in range(60))
    return clip_of(Overhang.id, seed=next(seed for seed, p in enumerate(params) if (overhang_margin(p) < 0) == falls))


@pytest.fixture(scope="module")
def falling(clip_of: Clips) -> Clip:
    return clip_of(Stack.id, seed=seed_of(2, falls=True))


@pytest.fixture(scope="module")
def standing(clip_of: Clips) -> Clip:
    return clip_of(Stack.id, seed=seed_of(3, falls=False))


def read(clip: Clip, tracks: Tracks) -> dict[str, float | None]:
    readings = outcome.read(Observation(clip, Rollout(clip.id, 0, clip.future()), tracks))
    assert isinstance(readings, dict)
    return {key: reading.value for key, reading in readings.items()}


def moved(clip: Clip, ideal: Ideal, change: Callable[[NDArray[np.float64]], None]) -> Tracks:
    """Tracks of the true positions (C + T, K, 2) m after `change`, all seen."""
    plane = clip.plane_positions()[clip.window(C)].copy()
    change(plane)
    px = px_from_plane(clip.scene.camera, clip.spec, plane)
    return ideal(clip, px=px, seen=np.ones(px.shape[:2], bool))


def test_truth_agrees_and_a_frozen_picture_says_that_nothing_falls(falling: Clip, standing: Clip, ideal: Ideal) -> None:
    def freeze(plane: NDArray[np.float64]) -> None:
        plane[C:] = plane[C - 1]

    for clip in (falling, standing):
        assert read(clip, ideal(clip))[""] == 1
    still = read(falling, moved(falling, ideal, freeze))
    assert still["falls"] == still["falls-left"] == 0 and still["hangs"] == 1 and still[""] == 0
    assert read(standing, moved(standing, ideal, freeze)) == {
        "": 1,
        "falls": 1,
        "falls-left": None,
        "hangs": 1,
        "questions": 3,
    }


def test_falling_to_the_other_side_is_wrong_once(falling: Clip, ideal: Ideal) -> None:
    def mirror(plane: NDArray[np.float64]) -> None:
        plane[C:, 1, 0] = 2 * plane[C - 1, 1, 0] - plane[C:, 1, 0]

    reading = read(falling, moved(falling, ideal, mirror))
    assert reading["falls"] == 1 and reading["falls-left"] == 0 and reading[""] == 1 / 2


def test_a_block_that_stays_in_the_air_hangs(falling: Clip, standing: Clip, ideal: Ideal) -> None:
    def hang(plane: NDArray[np.float64]) -> None:
        plane[C + 10 :, -1] = plane[C - 1, -1] + (0.0, 0.9)

    for clip in (falling, standing):
        reading = read(clip, moved(clip, ideal, hang))
        assert reading["hangs"] == 0 and (reading[""] or 0) < 1
    only = replace(standing, scene=replace(standing.scene, outcomes=standing.scene.outcomes[-1:]))
    assert read(only, ideal(only))[""] == 1 and read(only, moved(only, ideal, hang))[""] == 0


@pytest.mark.parametrize("beside", [False, True])
def test_what_stands_beside_a_block_does_not_carry_it(clip_of: Clips, ideal: Ideal, beside: bool) -> None:
    """A block that stays on its pedestal, and one in the air beside it, its middle below the upper face."""
    clip = overhang(clip_of, falls=False)
    block, pedestal = (next(b for b in clip.scene.bodies if b.name == name) for name in ("block", "pedestal"))
    reach = float(np.hypot(block.size[0], block.size[2]))

    def change(plane: NDArray[np.float64]) -> None:
        plane[:, 0] += [pedestal.position[0] + pedestal.size[0] + reach - block.position[0], -block.size[2] - 0.1]

    assert read(clip, moved(clip, ideal, change if beside else lambda plane: None))["hangs"] == (not beside)


def test_a_block_in_the_air_beside_another_hangs(standing: Clip, ideal: Ideal) -> None:
    """Both are up in the air, level with one another: neither carries the other."""

    def change(plane: NDArray[np.float64]) -> None:
        plane[:, 0] = plane[0, 0] + [0.0, 3.0]
        for k, body in enumerate(standing.tracked_bodies[1:], 1):
            plane[:, k] = plane[:, 0] + [k * 2.0 * float(np.hypot(body.size[0], body.size[2])) + 0.01, 0.0]

    assert len(standing.tracked_bodies) == 3 and read(standing, moved(standing, ideal, change))["hangs"] == 0


def test_a_block_that_tips_at_half_the_speed_falls_at_the_wrong_time(clip_of: Clips, ideal: Ideal) -> None:
    clip = overhang(clip_of, falls=True)

    def slow(plane: NDArray[np.float64]) -> None:
        later = np.arange(C - 1, len(plane))
        plane[later] = plane[C - 1 + (later - C + 1) // 2]

    assert read(clip, ideal(clip))["falls-when"] == 1
    slowed = read(clip, moved(clip, ideal, slow))
    assert slowed["falls"] == slowed["falls-left"] == 1 and slowed["falls-when"] == 0


def test_a_row_that_falls_late_falls_at_the_wrong_time(clip_of: Clips, ideal: Ideal) -> None:
    row = clip_of(Domino.id)

    def delay(frames: int) -> Callable[[NDArray[np.float64]], None]:
        def change(plane: NDArray[np.float64]) -> None:
            plane[C + frames :] = plane[C:-frames].copy()
            plane[C : C + frames] = plane[C]

        return change

    assert read(row, ideal(row))[""] == 1
    little, much = (read(row, moved(row, ideal, delay(round(time * row.spec.fps)))) for time in (0.1, 0.3))
    assert little["falls"] == little["falls-when"] == little[""] == 1
    assert much["falls"] == 1 and much["falls-when"] == 0 and (much[""] or 0) < 1


def test_what_flies_up_at_the_end_does_not_hang(standing: Clip, ideal: Ideal) -> None:
    def fly(plane: NDArray[np.float64]) -> None:
        plane[C:, -1, 1] += np.linspace(0, 2, len(plane) - C)

    assert read(standing, moved(standing, ideal, fly))["hangs"] == 1


def test_a_block_that_is_not_seen_at_the_end_disagrees(standing: Clip, ideal: Ideal) -> None:
    tracks = ideal(standing)
    tracks.position[-6:, 1], tracks.area[-6:, 1], tracks.state[-6:, 1] = np.nan, 0, Visibility.ABSENT
    reading = read(standing, tracks)
    assert reading["falls"] == 0.5 and reading["hangs"] == 0
    blind = ideal(standing)
    blind.position[-6:, 1] = np.nan  # seen, but cut: where it was last
    assert read(standing, blind)[""] == 1


def test_either_outcome_or_explanation_applies(falling: Clip, clip_of: Clips, ideal: Ideal) -> None:
    def status(clip: Clip) -> tuple[str, str]:
        rollout, tracks = Rollout(clip.id, 0, clip.future()), ideal(clip)
        both = (scorer.read(Observation(clip, rollout, tracks)) for scorer in (shadowing, outcome))
        return tuple(readings[""].status for readings in both)  # type: ignore[index, return-value]

    assert status(falling) == ("not applicable", "ok")
    assert status(clip_of("falling/projectile-v1")) == ("ok", "not applicable")
    silent = replace(falling, scene=replace(falling.scene, outcomes=()))
    assert not answer_questions(silent, ideal(silent))
