"""Cells of the validity table, from score rows made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu

from physbench.checks.validity.measure import Part
from physbench.checks.validity.separation import auroc, auroc_resampled, draws, interval
from physbench.checks.validity.table import COLUMNS, validity_table
from physbench.checks.validity.words import sentences
from physbench.scoring.protocol import Reading, Scorer, ScoreRow, scorer

TASK, READING = "falling/some-v1", "own/share"


@scorer(
    id=READING,
    version=1,
    axis="consistency",
    unit="1",
    better="higher",
    quality=lambda value: value,
    noise_floor="none",
    source="none",
    headline=True,
)
def share(*_: object) -> Reading:
    """A share."""
    return Reading(1.0)


def row(seed: int, value: float | None, status: str = "ok", reading: str = READING) -> ScoreRow:
    axis = "consistency" if reading == READING else None
    quality = None if axis is None else (0.0 if value is None else value)
    return ScoreRow(f"c{seed}", TASK, "test", seed, 0, reading, axis, value, "1", quality, status, "")  # type: ignore[arg-type]


def part(source: str, seed: int, value: float | None, status: str = "ok", **more: object) -> Part:
    kind = {"truth": "reference", "freeze": "reference", "stranger-near": "stranger"}.get(source, "violation")
    fields = {"refused": None, "time": None, "body": None, "distance": None, **more}
    rows: tuple[ScoreRow, ...] = () if fields["refused"] else (row(seed, value, status),)
    if fields["time"] is not None:
        rows += (row(seed, 1.0 + 0.3 * (seed % 2), reading=f"{READING}.first-miss"),)
    return Part(f"c{seed}", TASK, seed, source, kind, rows=rows, **fields)  # type: ignore[arg-type]


def parts() -> list[Part]:
    seeds = range(10)
    found = [part("truth", s, 1.0, time=None) for s in seeds] + [part("freeze", s, 0.0) for s in seeds]
    for one in found[:10]:
        object.__setattr__(one, "rows", (*one.rows, row(one.seed, 4.0, reading=f"{READING}.first-miss")))
    found += [part("stranger-near", s, 0.9 + 0.01 * s) for s in seeds]
    found += [part("kick:0.5", s, 0.4, time=1.05) for s in range(8)]
    found += [part("kick:0.5", s, None, refused="nothing moves") for s in (8, 9)]
    found += [part("hue:72", s, 0.9705) for s in range(6)] + [part("hue:72", 6, None, "not applicable")]
    return found + [part("blink:0.3", s, None, "failed") for s in range(4)]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return validity_table(parts(), [share])


def cell(table: pd.DataFrame, source: str, level: str = "task", reading: str = READING) -> pd.Series:
    found = table[(table["source"] == source) & (table["level"] == level) & (table["reading"] == reading)]
    assert len(found) == 1
    return found.iloc[0]


def test_a_violation_that_always_reads_worse_is_told_apart(table: pd.DataFrame) -> None:
    kick = cell(table, "kick:0.5")
    assert (kick["auroc"], kick["low"], kick["high"]) == (1.0, 1.0, 1.0)
    assert (kick["clips"], kick["refused"], kick["negatives"]) == (8, 2, 20)
    assert kick["quality_lost"] == pytest.approx(0.6) and kick["value"] == 0.4 and kick["truth"] == 1.0
    assert list(table.columns) == list(COLUMNS)


def test_one_that_reads_like_a_stranger_is_not(table: pd.DataFrame) -> None:
    hue = cell(table, "hue:72")
    worse = np.concatenate([np.ones(10), 0.9 + 0.01 * np.arange(10)])
    assert hue["auroc"] == pytest.approx((worse > 0.9705).mean()) == pytest.approx(0.6)
    assert hue["clips"] == 6 and hue["silent"] == 1
    assert hue["low"] < hue["auroc"] < hue["high"]


def test_a_failed_reading_is_the_worst_of_all(table: pd.DataFrame) -> None:
    assert cell(table, "blink:0.3")["auroc"] == 1.0


def test_breaks_are_located_where_a_reading_has_times(table: pd.DataFrame) -> None:
    assert cell(table, "kick:0.5", reading=f"{READING}.first-miss")["located"] == 0.5
    assert np.isnan(cell(table, "kick:0.5")["located"])


def test_skill_is_that_of_the_clips_on_which_it_has_something_to_do(table: pd.DataFrame) -> None:
    assert cell(table, "kick:0.5", "skill", "skill/consistency")["value"] == pytest.approx(0.4)
    assert cell(table, "blink:0.3", "skill", "skill/consistency")["value"] == 0


def test_families_are_means_of_tasks_and_words_name_the_blind_spots(table: pd.DataFrame) -> None:
    assert cell(table, "kick:0.5", "family")["auroc"] == cell(table, "kick:0.5", "all")["auroc"] == 1.0
    said = " ".join(sentences(table, [READING]))
    assert "3 violations; 2 are seen" in said and "(below 0.75): hue:72 (0.60)." in said


def test_auroc_is_that_of_mann_and_whitney() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 6, 30).astype(float), rng.integers(0, 5, 40).astype(float)
    assert auroc(a, b) == pytest.approx(mannwhitneyu(a, b).statistic / (len(a) * len(b)))
    assert np.isnan(auroc(a[:0], b))


def test_resampled_auroc_draws_clips_with_all_their_videos() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(1, 1, 12), rng.normal(0, 1, 24)
    seeds, others = np.arange(12), np.tile(np.arange(12), 2)
    assert auroc_resampled(a, seeds, b, others, np.ones((1, 12)))[0] == pytest.approx(auroc(a, b))
    weights = np.zeros((1, 12))
    weights[0, :2] = 3, 1
    drawn, against = (
        np.repeat(a[:2], [3, 1]),
        np.concatenate([np.repeat(b[[i, i + 12]], n) for i, n in ((0, 3), (1, 1))]),
    )
    assert auroc_resampled(a, seeds, b, others, weights)[0] == pytest.approx(auroc(drawn, against))
    low, high = interval(auroc_resampled(a, seeds, b, others, draws(12, rng)))
    assert low < auroc(a, b) < high and high - low < 0.5


def test_scorer_is_one() -> None:
    assert isinstance(share, Scorer)
