"""Intervals of values cover the true one as often as they should."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from physbench.result.diagnosis import ranking
from physbench.result.diagnosis.explanation import Leaning
from physbench.result.diagnosis.ranking import share_interval, value_intervals


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
