"""Gaps of skill: the test errs as rarely as it says, finds what is there, and its interval holds the truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from physbench.leaderboard import fresh_rollouts
from physbench.leaderboard.fresh_rollouts import REFUSED_BELOW, clip_skills, paired_gap, unpaired_gap

TASKS = 10


@pytest.fixture(autouse=True)
def _fewer_permutations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh_rollouts, "PERMUTATIONS", 1000)


def sets(rng: np.random.Generator, gap: float, stored: int = 16, fresh: int = 2) -> tuple[np.ndarray, ...]:
    """Skills, which are fresh, and strata: tasks of unlike difficulty, skewed as qualities are."""
    skills, flags, names = [], [], []
    for task in range(TASKS):
        level = rng.uniform(0.2, 0.8)
        values = rng.beta(2 * level, 2 * (1 - level), stored + fresh)
        values[stored:] -= gap
        skills.append(values)
        flags.append(np.arange(stored + fresh) >= stored)
        names += [f"task {task}"] * (stored + fresh)
    return np.concatenate(skills), np.concatenate(flags), np.array(names)


@pytest.mark.slow
def test_an_honest_model_has_each_p_value_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    found = [unpaired_gap(*sets(rng, 0.0)) for _ in range(200)]
    p = np.array([gap.p for gap in found])
    assert abs((p < 0.1).mean() - 0.1) < 0.065 and abs((p < 0.5).mean() - 0.5) < 0.11  # three standard errors
    inside = np.mean([gap.interval[0] <= 0 <= gap.interval[1] for gap in found])
    assert inside >= 0.9
    assert np.mean([gap.sure for gap in found]) <= 0.01


@pytest.mark.parametrize("fresh", [2, 6])
def test_a_gap_of_known_size_is_found_with_its_size(fresh: int) -> None:
    rng = np.random.default_rng(4)
    found = [unpaired_gap(*sets(rng, 0.5, fresh=fresh)) for _ in range(40)]
    assert np.mean([gap.value for gap in found]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([gap.p <= 2 * REFUSED_BELOW for gap in found]) >= 0.95, "1,000 permutations give no p below 0.001"
    assert np.mean([gap.interval[0] <= 0.5 <= gap.interval[1] for gap in found]) >= 0.85


def test_one_stored_clip_a_task_still_has_an_interval() -> None:
    gap = unpaired_gap(*sets(np.random.default_rng(5), 0.0, stored=1, fresh=2))
    assert gap.interval[1] - gap.interval[0] > 0.1 and gap.clips == (TASKS, 2 * TASKS)


def test_what_is_difficult_is_no_gap() -> None:
    """Fresh clips of hard tasks alone are compared with stored clips of these tasks."""
    skills, fresh, strata = sets(np.random.default_rng(6), 0.0)
    easy = strata == "task 0"
    skills[easy] = 1.0
    fresh[easy] = False
    assert abs(unpaired_gap(skills, fresh, strata).value) < 0.3


def test_pairs_that_are_equal_have_no_gap_and_better_ones_do() -> None:
    again = np.random.default_rng(7).uniform(size=20)
    same = paired_gap(again, again)
    assert (same.value, same.interval, same.sure) == (0.0, (0.0, 0.0), False) and same.p == 1.0
    better = paired_gap(again + np.random.default_rng(8).uniform(0.1, 0.3, 20), again)
    assert better.sure and better.value == pytest.approx(0.2, abs=0.03)
    worse = paired_gap(again - 0.2, again)
    assert not worse.sure, "a model that is better now is not refused"


def table(quality: dict[str, float | None]) -> pd.DataFrame:
    """Rows of one axis by clip; the task is the first letter of the clip's name."""
    return pd.DataFrame(
        [
            {"clip": clip, "task": f"f/{clip[0]}", "split": "test", "seed": int(clip[1:]), "sample": 0}
            | {"reading": "drift/accuracy", "axis": "drift", "value": q, "quality": q, "status": "ok", "reason": ""}
            for clip, q in quality.items()
        ]
    )


def test_the_skill_of_a_clip_lies_between_freeze_and_truth_of_its_task() -> None:
    clips = ("a0", "a1", "b0", "b1")
    truth = table(dict.fromkeys(clips, 0.9) | {"a1": None})
    freeze = table({"a0": 0.1, "a1": 0.1, "b0": 0.85, "b1": 0.85})
    found = clip_skills(table({"a0": 0.5, "a1": 0.5, "b0": 0.5, "b1": 0.5}), truth, freeze)
    assert found.clips == ("a0",), "a clip without truth, and a task that tells nothing, do not count"
    assert found.skills == pytest.approx([0.5]) and list(found.strata) == ["f/a test"]
