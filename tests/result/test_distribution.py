"""Several samples a clip as a distribution, from tables of scores."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_runs import built_once

from physbench.result.build import distribution
from physbench.result.report.summary import summary_view
from physbench.score.protocol import ReadingRole
from physbench.score.score_clip import reading_of

FALL, ORBIT, CHANCE = "falling/projectile-v1", "orbits/kepler-v1", "chance/galton-v1"


def row(task: str, seed: int, sample: int, role: ReadingRole, value: float | None, reason: str = "") -> dict:
    status = "ok" if value is not None else "failed"
    clip = f"{task.replace('/', '.')}.test.{seed}"
    named = {"task": task, "split": "test", "seed": seed, "clip": clip, "sample": sample}
    return {**named, "reading": reading_of(role), "value": value, "status": status, "reason": reason}


def table(task: str, clips: int, samples: int, spread: float, broken: int) -> list[dict]:
    """Errors 1 and 3 by turns, of which the spread stands for a share; `broken` samples of each clip are unlawful."""
    rows = []
    for seed in range(clips):
        error = 1.0 + 2.0 * (seed % 2)
        rows += [
            row(task, seed, 0, "samples-score", 0.5 * error),
            row(task, seed, 0, "open-score", 0.1),
            row(task, seed, 0, "samples-apart", spread),
            row(task, seed, 0, "samples-spread", spread * error),
            row(task, seed, 0, "samples-error", error),
        ]
        for sample in range(samples):
            rows.append(row(task, seed, sample, "lawfulness", 0.5))
            rows.append(row(task, seed, sample, "strict-lawfulness", 0.9 if sample < broken else 1.0))
    return rows


def tables(own: list[dict]) -> dict[str, pd.DataFrame]:
    strict = reading_of("strict-lawfulness")
    truth = [{**each, **({"value": 1.0} if each["reading"] == strict else {})} for each in own if each["sample"] == 0]
    return {"model": pd.DataFrame(own), "truth": pd.DataFrame(truth)}


def test_values_are_means_over_families_with_intervals() -> None:
    found = distribution(tables(table(FALL, 8, 4, 1.0, 1) + table(ORBIT, 8, 4, 0.5, 3)), 200)
    assert found is not None and found.samples == 4
    assert (found.crps.value, found.open, found.crps.clips) == (1.0, 0.1, 16)
    # squares: errors of 1 and 9 by turns; spreads the same, and a quarter of it
    assert found.spread_over_error.value == pytest.approx(np.sqrt((5 + 1.25) / 2 / 5), abs=1e-6)
    assert (found.lawful.value, found.lawful_truth) == (0.5, 1.0)
    for each in (found.crps, found.spread_over_error, found.lawful):
        assert each.interval is not None and each.interval[0] <= each.value <= each.interval[1]


def test_a_calibrated_ensemble_has_one_and_one_that_is_too_sure_less() -> None:
    ratios = [distribution(tables(table(FALL, 8, 2, spread, 0)), 50) for spread in (1.0, 0.3, 2.0)]
    assert [each.spread_over_error.value for each in ratios] == pytest.approx([1.0, 0.3, 2.0])


def test_a_sample_that_failed_is_not_lawful_and_one_sample_has_no_distribution() -> None:
    rows = table(FALL, 3, 2, 1.0, 0)
    for each in rows:
        if each["sample"] == 1:
            each.update(value=None, status="failed")
    found = distribution(tables(rows), 50)
    assert found is not None and found.lawful.value == 0.5
    assert found.lawful.interval is None and found.lawful.reason.startswith("too few clips: 3")
    assert distribution(tables(table(FALL, 3, 1, 1.0, 0)), 50) is None


def test_equal_samples_are_called_equal_in_place_of_an_interval_of_nothing(make_run) -> None:
    """By what they show, whatever the card says; samples that hardly differ are not equal."""
    equal = table(FALL, 8, 3, 0.0, 0) + table(ORBIT, 8, 3, 0.0, 0)
    found = distribution(tables(equal), 50)
    assert found is not None and found.equal and found.crps.value == 1.0
    assert (found.spread_over_error.value, found.spread_over_error.interval) == (None, None)
    assert found.spread_over_error.reason == "all samples of a clip are equal"
    result = built_once(make_run(), resamples=100)
    line = summary_view(result.model_copy(update={"distribution": found})).distribution
    assert line == (
        "3 samples a clip, all equal: the model is deterministic, and one sample tells all. CRPS in diameters "
        "1.00 [0.72, 1.29], what the context leaves open 0.10, lawful samples 1.00 [1.00, 1.00] (truth 1.00)."
    )
    lost = [{**each, "value": 2.0} if each["reading"] == reading_of("samples-apart") else each for each in equal]
    gone = distribution(tables(lost), 50)
    assert gone is not None and not gone.equal, "one of its samples loses an object"
    near = distribution(tables(table(FALL, 8, 3, 0.01, 0)), 50)
    assert near is not None and not near.equal and near.spread_over_error.value == pytest.approx(0.01)


def test_bins_stand_beside_those_of_simulations(make_run) -> None:
    """The mean over the clips that have bins; too few of them have no interval, and every reason is said once."""
    without = table(FALL, 8, 2, 1.0, 0)
    rows = without + [
        row(CHANCE, seed, 0, role, value)
        for seed in range(2)
        for role, value in (("chance-distance", 0.3 + 0.2 * seed), ("open-chance", 0.15))
    ]
    found = distribution(tables(rows), 50)
    assert found is not None and found.bins is not None
    assert (found.bins.value, found.open_bins, found.bins.clips, found.bins.interval) == (0.4, 0.15, 2, None)
    result = built_once(make_run(), resamples=100)
    line = summary_view(result.model_copy(update={"distribution": found})).distribution
    assert line.endswith(
        "lawful samples 1.00 [1.00, 1.00] (truth 1.00), distance of the bins 0.40 (simulations 0.15). Too few clips: 2 "
        "in a stratum, an interval needs 8."
    )
    plain = distribution(tables(without), 50)
    assert plain is not None and plain.bins is None and plain.open_bins is None


def test_what_no_clip_tells_says_why() -> None:
    rows = [row(FALL, seed, sample, "survival", 1.0) for seed in range(2) for sample in range(2)]
    found = distribution(tables(rows), 50)
    assert found is not None and found.crps.value is None and found.open is None
    assert found.crps.reason == "no clip has a CRPS"
    assert found.lawful.reason == "no motion is compared with the laws"
