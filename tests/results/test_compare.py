"""Paired differences of two runs."""

from __future__ import annotations

import pytest

from physbench.errors import UsageError
from physbench.results.build import build_result
from physbench.results.compare import compare


def test_the_difference_is_that_of_the_two_results(make_run) -> None:
    better, worse = make_run(name="a"), make_run(name="b")
    better.scores.write_bytes(better.reference("truth").scores.read_bytes())
    found = compare(better, worse, resamples=400)
    skills = [build_result(folder, resamples=200)["overall"]["skill"] for folder in (better, worse)]
    assert found.ahead.skill == pytest.approx(skills[0] - skills[1], abs=2e-6)
    assert found.overall.skill == pytest.approx(skills[1], abs=2e-6)
    assert found.ahead.interval is not None
    assert 0 < found.ahead.interval[0] < found.ahead.skill <= found.ahead.interval[1]
    back = compare(worse, better, resamples=400)
    assert back.ahead.skill == pytest.approx(-found.ahead.skill)
    assert set(found.ahead_axes) == {"consistency", "permanence", "drift"}


def test_a_model_is_not_ahead_of_itself(make_run) -> None:
    found = compare(make_run(name="a"), make_run(name="b"), resamples=400)
    assert found.ahead.skill == 0
    assert found.ahead.interval is not None
    assert -0.03 < found.ahead.interval[0] <= 0 <= found.ahead.interval[1] < 0.03  # what was never seen may differ


def test_runs_on_other_clips_are_refused(make_run) -> None:
    with pytest.raises(UsageError, match="differ in clips"):
        compare(make_run(name="a"), make_run(4, 0, name="b"))
