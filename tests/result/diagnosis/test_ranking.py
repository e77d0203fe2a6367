"""What is named: the right world and number, or nothing; best values by all clips together, and their intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from changed_clips import KNOWN, evidence, trembling
from handmade import tracks_at, true_places

from physbench.clips.clip import Clip
from physbench.result.diagnosis import ranking
from physbench.result.diagnosis.explanation import Leaning, evidence_of, with_own_noise
from physbench.result.diagnosis.ranking import (
    _is_sure,
    diagnose_family,
    explained_share,
    first_clips,
    pooled_step,
    refined,
    share_interval,
    theory_of,
    value_intervals,
)
from physbench.result.document import ImpliedLawResult

FEW = ("gravity", "drag", "restitution", "contact-distance", "speed-of-time")
WORLDS = [KNOWN[name] for name in FEW]


def inside(law: ImpliedLawResult, true: float) -> bool:
    """Whether the interval of a law holds its true number."""
    return law.interval is not None and law.interval[0] <= true <= law.interval[1]


def test_the_right_world_is_named_with_its_number() -> None:
    clips = [evidence("falling/drop-bounce-v1", seed, {"contact-distance": 0.15}) for seed in range(4)]
    found = diagnose_family(clips, WORLDS)
    assert found.verdict == "named"
    assert [law.id for law in found.laws] == ["contact-distance"]
    assert found.laws[0].value == pytest.approx(0.15, abs=2e-3)
    assert inside(found.laws[0], 0.15)
    assert found.share > 0.97
    assert next(iter(found.ranking.items())) == ("contact-distance", found.share)


@pytest.mark.slow
def test_both_of_two_worlds_are_named() -> None:
    clips = [evidence("falling/projectile-v1", seed, {"gravity": 0.9, "drag": 0.2}) for seed in range(4)]
    found = diagnose_family(clips, [KNOWN["gravity"], KNOWN["drag"]])
    assert {law.id: round(law.value or 0, 2) for law in found.laws} == {"gravity": 0.9, "drag": 0.2}
    assert found.share > 0.97


def test_truth_has_nothing_to_name() -> None:
    found = diagnose_family([evidence("falling/projectile-v1", seed, {}) for seed in range(4)], WORLDS)
    assert found.verdict == "lawful"
    assert not found.laws
    assert found.unexplained < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("sd", [0.02, 0.05])
def test_a_law_is_named_where_positions_tremble(sd: float) -> None:
    clips = [trembling(evidence("falling/projectile-v1", seed, {"gravity": 0.9}), sd) for seed in range(4)]
    found = diagnose_family(clips, WORLDS)
    assert found.verdict == "named"
    assert [law.id for law in found.laws] == ["gravity"]
    assert inside(found.laws[0], 0.9)
    if sd == 0.05:  # noise of 0.02 is not told about arcs that bend away by more in a frame
        assert found.share > 0.95 and found.tremble == pytest.approx(sd, rel=0.25)


@pytest.mark.parametrize("task", ["falling/drop-bounce-v1", "orbits/kepler-v1"])
@pytest.mark.parametrize("sd", [0.02, pytest.param(0.05, marks=pytest.mark.slow), 0.1])
def test_truth_that_trembles_has_nothing_to_name(task: str, sd: float) -> None:
    clips = [trembling(evidence(task, seed, {}), sd) for seed in range(4)]
    found = diagnose_family(clips, WORLDS)
    assert found.verdict == "lawful" and found.unexplained < 0.01
    assert found.tremble == pytest.approx(sd, rel=0.25)


@pytest.mark.slow
def test_a_walk_is_motion_and_no_law_explains_it() -> None:
    clips = []
    for seed in range(4):
        clip = evidence("falling/projectile-v1", seed, {})
        steps = np.random.default_rng(seed).normal(0, 0.05, clip.seen.position.shape)
        off = np.where((clip.seen.times > 1e-9)[:, None, None], steps, 0.0).cumsum(axis=0) * clip.seen.diameter[:, None]
        clips.append(with_own_noise(replace(clip, seen=replace(clip.seen, position=clip.seen.position + off))))
    found = diagnose_family(clips, WORLDS)
    assert found.verdict == "no simple law" and found.tremble == 0.0


def test_jumps_at_random_have_no_simple_law() -> None:
    clips = []
    for seed in range(4):
        clip, rng = evidence("falling/projectile-v1", seed, {}), np.random.default_rng(seed)
        jumps = np.zeros(clip.seen.position.shape)
        for frame in rng.integers(20, 60, 3):
            jumps[frame:] += rng.normal(0, 0.6, 2)
        clips.append(replace(clip, seen=replace(clip.seen, position=clip.seen.position + jumps)))
    found = diagnose_family(clips, WORLDS)
    assert found.verdict == "no simple law"
    assert found.share < 0.5


def test_worlds_are_tried_on_clips_of_all_tasks_in_turn() -> None:
    clips = [evidence("falling/projectile-v1", seed, {"gravity": 0.8}) for seed in range(3)]
    clips.append(evidence("falling/drop-bounce-v1", 0, {"gravity": 0.8}))
    chosen = first_clips(theory_of(clips), 2)
    assert {clips[c].task for c in chosen} == {"falling/projectile-v1", "falling/drop-bounce-v1"}


def test_what_two_clips_tell_is_not_named() -> None:
    clips = [evidence("falling/projectile-v1", seed, {"gravity": 0.8}) for seed in range(2)]
    found = diagnose_family(clips, [KNOWN["gravity"]])
    assert found.share > 0.9
    assert (found.verdict, found.explained_clips) == ("unsure", 2)


def test_a_body_that_is_lost_behind_a_screen_is_not_slowed_there(clip_of: Callable[..., Clip]) -> None:
    """With drag it would come to rest out of sight. A world explains that a body is away only if it comes back."""
    clip = clip_of("occlusion/screen-pass-v1")
    places, share = true_places(clip), clip.visible_share()[clip.handover + 1 :]
    places[int(np.flatnonzero(share[:, 0] < 0.05)[0]) :] = np.nan
    lost = evidence_of(clip, tracks_at(clip, places, 8, 0.03))
    assert lost is not None
    base = theory_of([lost])
    slowed = [theory_of([lost], (KNOWN["drag"],), (value,), base) for value in (0.5, 2.0)]
    assert base.shares[0] < 0.5 and max(each.gain(base) for each in slowed) < 0.05


def test_a_value_at_the_end_of_its_range_is_no_estimate() -> None:
    time, mass = KNOWN["speed-of-time"], KNOWN["central-mass"]
    assert _is_sure(time, 0.5, (0.49, 0.51)) and _is_sure(mass, 0.0, (-0.01, 0.01))
    for value, interval in ((0.02, (0.019, 0.021)), (0.9, (0.8, 1.1)), (0.9, None)):
        assert not _is_sure(time, value, interval)


TASK = "falling/projectile-v1"


def test_values_are_found_from_afar() -> None:
    clips = [evidence(TASK, seed, {"gravity": 0.8, "drag": 0.1}) for seed in range(3)]
    worlds = (KNOWN["gravity"], KNOWN["drag"])
    start = theory_of(clips, worlds, (1.0, 0.0))
    found = refined(start, 6)
    assert found.values == pytest.approx((0.8, 0.1), abs=2e-3)
    assert found.better_than(start)
    assert found.gain(start) == pytest.approx(1.0)
    assert start.gain(start) == 0.0


def test_clips_without_the_law_keep_what_the_true_world_explains() -> None:
    clips = [evidence(TASK, 0, {"gravity": 0.8}), evidence("collisions/head-on-v1", 0, {})]
    base = theory_of(clips)
    found = theory_of(clips, (KNOWN["gravity"],), (0.8,), base)
    assert found.explanations[1] is base.explanations[1]
    assert found.shares.tolist() == [1.0, 1.0]


def test_a_world_without_a_number_has_nothing_to_refine() -> None:
    theory = theory_of([evidence("collisions/head-on-v1", 0, {})], (KNOWN["exchange"],), (0.0,))
    assert refined(theory, 3) is theory


def test_shares_are_of_the_unexplained_time() -> None:
    shares, base, weight = np.array([1.0, 0.5]), np.array([0.5, 0.5]), np.array([1.0, 3.0])
    assert explained_share(shares, base, weight) == pytest.approx(0.5 / 2.0)
    assert explained_share(shares, np.ones(2), weight) == 0.0


def test_the_pooled_step_weighs_clips_by_what_they_tell() -> None:
    clips = [Leaning(np.array([[4.0]]), np.array([8.0]), 1.0), Leaning(np.array([[4.0]]), np.array([0.0]), 3.0)]
    step = pooled_step(clips)
    assert step is not None
    assert step[0] == pytest.approx(8.0 / (4.0 + 4.0 / 3))
    assert pooled_step([Leaning(np.zeros((1, 1)), np.zeros(1), 1.0)]) is None
    assert pooled_step([]) is None


def drawn(rng: np.random.Generator, clips: int, spread: float) -> list[Leaning]:
    """Clips that would each take another value, of sd 1 to 3, around 0."""
    sd = rng.uniform(1, 3, clips)
    value = rng.normal(0, np.hypot(sd, spread))
    return [Leaning(np.array([[1 / s**2]]), np.array([v / s**2]), 1.0) for s, v in zip(sd, value, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.0, 4.0])
def test_intervals_cover(spread: float, monkeypatch: pytest.MonkeyPatch) -> None:
    theory: Any = SimpleNamespace(worlds=(SimpleNamespace(free=1, resolution=0.0, range=(-9.0, 9.0)),), values=(0.0,))
    monkeypatch.setattr(ranking, "VALUE_DRAWS", 100)
    covered = 0
    for trial in range(80):
        found = drawn(np.random.default_rng(trial), 8, spread)
        monkeypatch.setattr(ranking, "leanings", lambda theory, found=found: found)
        value, interval = value_intervals(theory)[0]
        assert interval is not None
        assert interval[0] < value < interval[1]
        covered += interval[0] <= 0 <= interval[1]
    assert covered >= 71  # 95 % of 80 are 76, sd 2


def test_two_clips_have_no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    theory: Any = SimpleNamespace(worlds=(SimpleNamespace(free=1, resolution=0.0, range=(-9.0, 9.0)),), values=(2.0,))
    monkeypatch.setattr(ranking, "leanings", lambda theory: drawn(np.random.default_rng(0), 2, 0))
    value, interval = value_intervals(theory)[0]
    assert interval is None
    assert np.isfinite(value)


def test_values_stay_within_their_range(monkeypatch: pytest.MonkeyPatch) -> None:
    theory: Any = SimpleNamespace(worlds=(SimpleNamespace(free=1, resolution=0.0, range=(0.0, 4.0)),), values=(0.1,))
    clips = [Leaning(np.array([[1.0]]), np.array([value]), 1.0) for value in (-0.3, -0.4, -0.5)]
    monkeypatch.setattr(ranking, "leanings", lambda theory: clips)
    assert value_intervals(theory)[0][0] == 0.0


def test_shares_have_intervals_within_what_is_possible() -> None:
    rng = np.random.default_rng(0)
    base, weight = rng.uniform(0, 0.5, 8), np.ones(8)
    low, high = share_interval(rng.uniform(0.5, 1, 8), base, weight) or (2.0, 2.0)
    assert 0 < low < high <= 1
    assert share_interval(np.ones(8), base, weight) == (1.0, 1.0)
    assert share_interval(np.ones(2), base[:2], weight[:2]) is None
