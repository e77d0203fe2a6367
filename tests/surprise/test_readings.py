"""Readings of observers whose answers and thresholds are known: closed forms, no films; what pixel baselines solve."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from physbench.clips.clip import Row
from physbench.result.document import ExpectationResult
from physbench.surprise import readings as module
from physbench.surprise.ask import PairReading, auroc, read_pair
from physbench.surprise.pairs import CONTROLS, IMPOSSIBLE_KINDS, FilmPair, control_pair
from physbench.surprise.readings import (
    FIT,
    curve_grid,
    expectation_result,
    fit_threshold,
    over_kinds,
    share,
    solved_sizes,
    weibull,
)
from physbench.world.scene import RenderSpec

CLIPS = 24


def pairs() -> list[FilmPair]:
    found = []
    for seed in range(CLIPS):
        row = Row("falling/projectile-v1", "test", seed)
        for name in ("teleport", "gravity", "vanish", "return-hue"):
            seen = 0.2 if name == "return-hue" else None
            found += [
                FilmPair(row, name, size, 1.0, seen, "truth", f"{name}:{size:g}")
                for size in IMPOSSIBLE_KINDS[name].sizes
            ]
        found += [control_pair(row, name) for name in CONTROLS]
    return found


def seen_by(observer: Callable[[FilmPair], float], *, level: float = 1.0, scale: float = 1.0) -> list[PairReading]:
    """Readings of an observer whose impossible films are `observer(pair)` more surprising than the possible 1."""
    return [
        PairReading(pair, scale, scale * (1 + observer(pair)), scale, scale * (1 + observer(pair)), scale * level)
        for pair in pairs()
    ]


def result(model: list[PairReading], **baselines: list[PairReading]) -> ExpectationResult:
    return expectation_result(model, baselines, sees=1.0, unit="1", way="test")


def test_an_observer_with_known_thresholds_gets_them_back_within_their_intervals() -> None:
    rng = np.random.default_rng(5)

    def surprise(pair: FilmPair) -> float:
        if pair.control:
            return 0.0
        amount = IMPOSSIBLE_KINDS[pair.kind].amount(pair.size)
        true = {"teleport": 0.3, "gravity": 0.4}.get(pair.kind, np.inf)
        # d' of a choice between two grows with the amount; 0.954 standard deviations of a difference are 75 %.
        return float(0.954 * (amount / true) ** 2 + rng.normal() * np.sqrt(2))

    found = result(seen_by(surprise), pixels=seen_by(lambda pair: 0.0))
    jumps = found.kinds["teleport"].threshold
    assert jumps is not None and jumps.interval is not None and None not in jumps.interval
    assert jumps.interval[0] <= 0.3 <= jumps.interval[1]  # type: ignore[operator]
    fall = found.kinds["gravity"].threshold  # a severity: the larger the amount, the lower
    assert fall is not None and fall.interval is not None and fall.interval[1] is not None
    assert fall.interval[1] <= 0.6 <= fall.interval[0]  # type: ignore[operator]
    assert found.kinds["return-hue"].said == "never"
    assert found.kinds["vanish"].threshold is None and found.kinds["vanish"].said == ""


def test_shuffled_labels_are_told_apart_as_often_as_by_chance() -> None:
    """Which of two films is called impossible is drawn anew: an observer that notices all of them knows nothing."""
    readings = [reading for reading in seen_by(lambda pair: 1.0) if not reading.pair.control]
    inside, found = 0, []
    for seed in range(20):
        drawn = np.random.default_rng(seed).random(len(readings)) < 0.5
        swapped = [PairReading(r.pair, 2.0, 1.0) if other else r for r, other in zip(readings, drawn, strict=True)]
        shares = over_kinds(swapped)
        assert shares.accuracy is not None and shares.interval is not None
        inside += shares.interval[0] <= 0.5 <= shares.interval[1]
        found.append(shares.accuracy)
    assert inside >= 17  # of 20 intervals of 95 %
    assert np.mean(found) == pytest.approx(0.5, abs=0.02)


def test_a_constant_surprise_is_chance_and_no_alarm() -> None:
    found = result(seen_by(lambda pair: 0.0), pixels=seen_by(lambda pair: 0.0))
    assert found.everything.accuracy == 0.5 and found.auroc == 0.5
    assert found.hits == 0.0 and all(control.alarms == 0.0 for control in found.controls.values())
    assert {kind.said for kind in found.kinds.values()} == {"never", ""}


def test_what_a_pixel_baseline_notices_is_not_in_the_mean() -> None:
    def pixels(pair: FilmPair) -> float:
        return 1.0 if pair.kind == "vanish" or (pair.kind == "teleport" and pair.size > 0.3) else 0.0

    found = result(seen_by(lambda pair: 1.0 if pair.kind == "vanish" else 0.0), pixels=seen_by(pixels))
    assert found.kinds["vanish"].accuracy == 1.0 and found.kinds["vanish"].counted is None
    assert found.kinds["vanish"].sizes[0].solved_by == ["pixels"]
    assert [size.counts for size in found.kinds["teleport"].sizes] == [True, True, False, False, False]
    assert found.counted.accuracy == 0.5 and found.everything.accuracy is not None
    assert found.everything.accuracy > 0.6
    assert found.observers["pixels"].counted == 0.5


def test_a_film_that_only_moves_more_raises_no_alarm_by_its_level() -> None:
    """Surprise is measured against what is usual in the same film."""
    quiet, busy = seen_by(lambda pair: 0.0), seen_by(lambda pair: 0.0, scale=50.0, level=1.0)
    mixed = [one if k % 2 else other for k, (one, other) in enumerate(zip(quiet, busy, strict=True))]
    assert result(mixed, pixels=quiet).hits == 0.0


def test_a_control_above_the_level_of_alarms_is_a_false_alarm() -> None:
    found = result(seen_by(lambda pair: 3.0 if pair.kind == "flicker:10" else 0.0), pixels=seen_by(lambda pair: 0.0))
    assert found.controls["flicker:10"].alarms == 1.0 and found.controls["blur:1"].alarms == 0.0
    assert found.auroc is not None and found.auroc < 0.5  # the controls are among the negatives


def test_evidence_beyond_what_the_model_sees_is_a_row_of_its_own() -> None:
    model = seen_by(lambda pair: 1.0 if pair.kind == "return-hue" else 0.0)
    near = expectation_result(model, {}, sees=1.0, unit="1", way="test")
    far = expectation_result(model, {}, sees=0.5, unit="1", way="test")
    assert "return-hue" in near.kinds and near.beyond_memory.pairs == 0
    assert "return-hue" not in far.kinds and far.beyond_memory.pairs == 5 * CLIPS
    assert far.beyond_memory.accuracy == 1.0 and far.everything.accuracy == 0.5


def test_a_pair_in_which_the_model_failed_is_not_told_apart() -> None:
    model = [PairReading(reading.pair, failed=True) for reading in seen_by(lambda pair: 1.0)]
    found = result(model, pixels=seen_by(lambda pair: 0.0))
    assert found.everything.accuracy == 0.0 and found.failed == len(model) - CLIPS * len(CONTROLS)


def test_failing_never_helps() -> None:
    """Half of the films fail, those that would have been wrong: no figure is better than with the wrong answers."""
    honest = seen_by(lambda pair: 1.0 if pair.row.seed % 2 else -0.5)
    failing = [reading if reading.pair.row.seed % 2 else PairReading(reading.pair, failed=True) for reading in honest]
    calm = seen_by(lambda pair: 0.0)
    before, after = result(honest, pixels=calm), result(failing, pixels=calm)
    assert after.auroc is not None and before.auroc is not None and after.auroc <= before.auroc
    assert after.hits == before.hits == 0.5
    assert all(control.alarms == 1.0 and control.films == CLIPS for control in after.controls.values())


def test_the_smallest_size_that_was_shown_is_said_to_be_so() -> None:
    """Of a part of the suite the smaller sizes may be missing."""
    sizes = IMPOSSIBLE_KINDS["teleport"].sizes[2:]
    model = [r for r in seen_by(lambda pair: 1.0) if r.pair.control or r.pair.size in sizes]
    threshold = result(model, pixels=seen_by(lambda pair: 0.0)[: len(model)]).kinds["teleport"].threshold
    assert threshold is not None and threshold.size == sizes[0] and threshold.below_smallest


def test_few_clips_have_no_interval_and_alike_ones_one_with_a_width() -> None:
    every = [reading for reading in seen_by(lambda pair: 1.0) if reading.pair.kind == "vanish"]
    few = share(every[:3])
    assert few.interval is None and few.reason == "too few clips" and few.accuracy == 1.0
    many = share(every)
    assert many.interval is not None and many.interval[0] < 0.9 and many.interval[1] == 1.0
    assert over_kinds([]).accuracy is None


def test_auroc_is_the_share_of_pairs_in_order() -> None:
    assert auroc(np.array([0.0, 1.0]), np.array([2.0, 3.0])) == 1.0
    assert auroc(np.array([1.0]), np.array([1.0])) == 0.5
    assert auroc(np.array([0.0, 2.0]), np.array([1.0, 3.0])) == 0.75
    assert auroc(np.array([]), np.array([1.0])) is None


def test_a_pair_is_read_from_two_curves() -> None:
    times = np.array([-0.4, -0.2, 0.0, 0.2, 0.4, 0.6, 0.8])
    pair = FilmPair(Row("a/b-v1", "test", 0), "teleport", 0.4, 0.3, None, "truth", "teleport:0.4")
    possible = np.array([1.0, 1.0, 2.0, 4.0, 1.0, 1.0, 2.0])
    impossible = np.array([1.0, 1.0, 2.0, 4.0, 1.0, 9.0, 2.0])
    found = read_pair(pair, {"truth": possible, "teleport:0.4": impossible}, times)
    assert found.level == 2.0 and found.possible == 2.0 and found.impossible == 4.0
    assert found.right == 1.0 and found.right_by_peak == 1.0 and found.ahead == 0.0
    assert found.peak_time == pytest.approx(0.3)
    impossible[1] = 1.5  # before the event: the model has seen what comes
    assert read_pair(pair, {"truth": possible, "teleport:0.4": impossible}, times).ahead == pytest.approx(0.25)
    impossible[-1] = np.nan
    assert read_pair(pair, {"truth": possible, "teleport:0.4": impossible}, times).failed
    assert read_pair(pair, {"truth": possible}, times).right == 0.0


AMOUNTS = (0.1, 0.2, 0.4, 0.8, 1.6)


def observer(
    threshold: float, rng: np.random.Generator, clips: int = 20, steepness: float = 2.0, lapse: float = 0.02
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Choices (C, A) of an observer with this threshold, one pair a clip and amount."""
    p = weibull(np.array(AMOUNTS), threshold, steepness, lapse)
    right = (rng.random((clips, len(AMOUNTS))) < p).astype(np.float64)
    return right, np.ones_like(right)


def test_a_curve_is_right_in_three_of_four_at_its_threshold_whatever_its_lapse_rate() -> None:
    for lapse in (0.0, 0.03, 0.06):
        assert weibull(np.array([0.4]), 0.4, 2.5, lapse)[0] == pytest.approx(FIT.noticed)
        assert weibull(np.array([1e-9]), 0.4, 2.5, lapse)[0] == pytest.approx(0.5, abs=1e-6)
        assert weibull(np.array([1e9]), 0.4, 2.5, lapse)[0] == pytest.approx(1 - lapse)


@pytest.mark.parametrize("true", [0.25, 0.5, 1.0])
def test_a_known_threshold_lies_in_its_interval(true: float) -> None:
    rng = np.random.default_rng(7)
    inside, found = 0, []
    for number in range(16):
        fit = fit_threshold(AMOUNTS, *observer(true, rng), seed=number)
        assert fit.interval is not None
        inside += fit.interval[0] <= true <= fit.interval[1]
        found.append(fit.amount)
    assert inside >= 13  # of 16 intervals of 95 %
    assert np.median(found) == pytest.approx(true, rel=0.25)


def test_a_guessing_observer_has_no_threshold() -> None:
    rng = np.random.default_rng(1)
    reached = 0
    for number in range(8):
        right = (rng.random((20, 5)) < 0.5).astype(np.float64)
        fit = fit_threshold(AMOUNTS, right, np.ones_like(right), seed=number)
        reached += fit.reached
        assert fit.interval is not None and fit.interval[1] == np.inf
    assert reached <= 1


def test_one_that_notices_everything_is_below_the_smallest_size() -> None:
    right = np.ones((12, 5))
    fit = fit_threshold(AMOUNTS, right, np.ones_like(right))
    assert fit.amount == AMOUNTS[0] and fit.interval == (AMOUNTS[0], AMOUNTS[0])
    assert fit.curve[-1] > 0.95


def test_a_perfect_step_has_its_threshold_between_the_two_sizes() -> None:
    right = np.tile([0.5, 0.5, 1.0, 1.0, 1.0], (12, 1))  # ties below
    fit = fit_threshold(AMOUNTS, right, np.ones_like(right))
    assert AMOUNTS[1] < fit.amount < AMOUNTS[2]


def test_more_clips_make_the_interval_narrower() -> None:
    rng = np.random.default_rng(3)
    widths = []
    for clips in (12, 120):
        low, high = fit_threshold(AMOUNTS, *observer(0.4, rng, clips)).interval or (0.0, 0.0)
        widths.append(np.log(high / low))
    assert widths[1] < 0.6 * widths[0]


def test_curves_reach_over_all_amounts() -> None:
    grid = curve_grid(AMOUNTS)
    assert grid.probability.min() >= 0.5 and grid.probability.max() <= 1.0
    assert grid.thresholds[0] < AMOUNTS[0] and grid.thresholds[-1] > AMOUNTS[-1]


def readings(clips: int, notices: float) -> list[PairReading]:
    """Jumps of all sizes on some clips, of which those from a size on are noticed."""
    pairs = [
        FilmPair(Row("falling/projectile-v1", "test", seed), "teleport", size, 1.0, None, "truth", f"teleport:{size:g}")
        for seed in range(clips)
        for size in IMPOSSIBLE_KINDS["teleport"].sizes
    ]
    return [PairReading(pair, 1.0, 2.0 if pair.size >= notices else 0.0, 1.0, 1.0, 1.0) for pair in pairs]


def test_what_is_solved_comes_back_from_its_file(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    solved = solved_sizes({"pixels": readings(12, 0.3), "others": readings(12, 9.0)})
    assert {size for (_, size), names in solved.items() if names == ("pixels",)} == {
        size for size in IMPOSSIBLE_KINDS["teleport"].sizes if size > 0.3
    }
    path = tmp_path / "golden" / module.SOLVED_FILE
    path.parent.mkdir()
    module.write_solved([(RenderSpec(72, 64, 15.0), solved)], path)
    module.write_solved([(RenderSpec(128, 128, 30.0), {})], path)  # beside it
    assert json.loads(path.read_text())["made_by"] == module.SOLVED_COMMAND
    monkeypatch.setattr(module, "files", lambda name: tmp_path)
    module._golden.cache_clear()
    try:
        assert module.fixed_solved(RenderSpec(64, 80, 10.0)) == solved
        assert module.fixed_solved(RenderSpec(128, 128, 30.0)) == {}
        assert module.fixed_solved(RenderSpec(256, 256, 30.0)) is None
    finally:
        module._golden.cache_clear()


def test_few_clips_do_not_change_what_is_in_the_mean() -> None:
    solved = solved_sizes({"pixels": readings(12, 0.3)})
    model, unlike = readings(4, 0.05), {"pixels": readings(4, 0.05)}  # on these few clips pixels notice everything
    own = expectation_result(model, unlike, sees=1.0, unit="1", way="test")
    fixed = expectation_result(model, unlike, sees=1.0, unit="1", way="test", solved=solved)
    assert own.counted.accuracy is None and fixed.counted.accuracy is not None
    assert {size.size for size in fixed.kinds["teleport"].sizes if size.counts} == {
        size for size in IMPOSSIBLE_KINDS["teleport"].sizes if size < 0.3
    }
    assert "all pairs of the suite" in fixed.settings["left out of the mean"]


def test_every_pair_of_the_suite_is_in_a_fixed_list() -> None:
    published = [solved for classes in module._golden().values() for solved in classes.values()]
    assert published and module.fixed_solved(RenderSpec(64, 64, 15.0)) in published
    for solved in published:
        assert {kind for kind, _ in solved} == set(IMPOSSIBLE_KINDS)
        assert {name for names in solved.values() for name in names} <= set(module.PIXEL_BASELINES)
