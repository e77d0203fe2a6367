"""Clips that a check draws: others each time, the same with the same secret, spread over tasks and splits."""

from __future__ import annotations

from collections import Counter

import pytest

from physbench.clips.suite import FRESH_SEEDS, find_suite
from physbench.leaderboard.fresh_rollouts import SecretDraw
from physbench.support.errors import UsageError

CORE = find_suite("core")


def test_stored_clips_are_drawn_over_all_seeds() -> None:
    """The lowest seeds of each task could be prepared for."""
    count = 2 * len(CORE.tasks)
    one, two = (SecretDraw().stored_rows(CORE.rows, count) for _ in range(2))
    assert len(one) == len(two) == count and set(one) != set(two)
    assert set(Counter((row.task, row.split) for row in one).values()) == {1}, "one of each task and split"
    assert sorted(one, key=CORE.rows.index) == list(one)
    seeds = Counter(
        row.seed for _ in range(40) for row in SecretDraw().stored_rows(CORE.rows, count) if row.split == "test"
    )
    assert set(seeds) == set(range(24)) and max(seeds.values()) < 3 * 40 * len(CORE.tasks) / 24


def test_the_same_secret_draws_the_same() -> None:
    draw = SecretDraw()
    again = SecretDraw(draw.secret)
    assert again.stored_rows(CORE.rows, 30) == draw.stored_rows(CORE.rows, 30)
    assert again.fresh_rows(CORE, 3) == draw.fresh_rows(CORE, 3) and again.salt == draw.salt != SecretDraw().salt


def test_fresh_clips_are_in_no_suite() -> None:
    rows = SecretDraw().fresh_rows(CORE, 3)
    assert len(rows) == 3 * len({(row.task, row.split) for row in CORE.rows})
    assert all(row.seed in FRESH_SEEDS for row in rows) and len({row.seed for row in rows}) == 3 * len(CORE.tasks)


def test_a_clip_and_its_change_are_drawn_together() -> None:
    rows = SecretDraw().stored_rows(find_suite("counterfactuals").rows, 12)
    assert {row.unchanged for row in rows if row.change} == {row for row in rows if not row.change}


@pytest.mark.parametrize("secret", ["", "x", "0" * 31, "G" * 32, "0" * 32 + "\n"])
def test_what_is_no_secret_is_refused(secret: str) -> None:
    with pytest.raises(UsageError, match="32 hexadecimal digits"):
        SecretDraw(secret)
