"""What is not compared between two machines: scorers with a package that one of them lacks, in every row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from physbench.leaderboard.check_tables import own_scorers
from physbench.leaderboard.rescoring import compared

OPTIONAL = next(each.id for each in own_scorers().values() if each.packages)


def table() -> pd.DataFrame:
    fields = {"task": "f/a", "split": "test", "seed": 0, "sample": 0, "axis": None, "unit": "1", "reason": ""}
    rows = [
        fields | {"clip": clip, "reading": name, "value": 0.5, "quality": np.nan, "status": "ok"}
        for clip in ("a", "b", "c")
        for name in (OPTIONAL, f"{OPTIONAL}.more", "laws/gravity")
    ]
    return pd.DataFrame(rows)


def without(clips: str, names: tuple[str, ...] = (OPTIONAL, f"{OPTIONAL}.more")) -> pd.DataFrame:
    made = table()
    at = made["clip"].isin(list(clips)) & made["reading"].isin(names)
    made.loc[at, "value"], made.loc[at, "status"] = np.nan, "unavailable"
    return made


def test_a_machine_without_the_package_is_not_compared_there() -> None:
    for sent, made in ((without("abc"), table()), (table(), without("abc")), (without("abc"), without("abc"))):
        found = compared(sent, made)
        assert (found.first, found.rows) == ("", 3)


@pytest.mark.parametrize("clips", ["a", "bc"])
def test_some_rows_that_say_unavailable_exempt_nothing(clips: str) -> None:
    found = compared(without(clips), table())
    assert found.different == 2 * len(clips) and "status 'unavailable' was sent" in found.first


def test_a_scorer_without_packages_is_always_compared() -> None:
    assert compared(without("abc", ("laws/gravity",)), table()).different == 3
