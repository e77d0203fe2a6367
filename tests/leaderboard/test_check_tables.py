"""Tables beside each other: rows, words and numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from physbench.leaderboard.check_tables import compare_tables

BASE = {"task": "f/a", "split": "test", "seed": 0, "unit": "1", "status": "ok", "reason": ""}


def table() -> pd.DataFrame:
    rows = [
        BASE | {"clip": clip, "sample": 0, "reading": name, "axis": axis, "value": value, "quality": quality}
        for clip in ("a", "b")
        for name, axis, value, quality in (("x/y", "drift", 0.5, 0.5), ("x/z", None, 1e6, np.nan))
    ]
    return pd.DataFrame(rows)


def test_equal_tables_agree_in_any_order() -> None:
    found = compare_tables(table(), table().sample(frac=1, random_state=1))
    assert (found.rows, found.different, found.first, found.largest) == (4, 0, "", 0.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.assign(value=t["value"] + 1e-5), "x/y on a: value 0.50001 was sent, and 0.5 is right"),
        (lambda t: t.assign(quality=np.nan), "x/y on a: quality none was sent, and 0.5 is right"),
        (lambda t: t.assign(value=np.inf), "x/y on a: value inf was sent"),
        (lambda t: t.assign(axis=None), "x/y on a: axis none was sent, and 'drift' is right"),
        (lambda t: t.assign(status="failed"), "status 'failed' was sent"),
        (lambda t: t.assign(reason="r"), "reason 'r' was sent, and '' is right"),
        (lambda t: t.iloc[1:], "x/y on a is missing"),
        (lambda t: pd.concat([t, t.iloc[[0]].assign(sample=2)]), "x/y on a, sample 2 should not be there"),
    ],
)
def test_the_first_difference_is_named(change: Callable[[pd.DataFrame], pd.DataFrame], said: str) -> None:
    found = compare_tables(change(table()), table())
    assert said in found.first and found.different >= 1


def test_rounding_is_no_difference() -> None:
    """1e-6 of a number, of a large one relative."""
    other = table().assign(value=lambda t: t["value"] * (1 + 5e-7))
    found = compare_tables(other, table())
    assert found.first == "" and 0.1 < found.largest < 1
