"""Skill of sources, and that of the best lookup over gaming baselines, from qualities made by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from physbench.score.protocol import AXES
from physbench.validity.table import PORTFOLIO, STRAIGHT, UNAIDED, skill_rows

CLIPS = 10


def headline(source: str, kind: str, by_task: dict[str, list[float]]) -> pd.DataFrame:
    """Rows of one source: on all axes the same quality, by clip."""
    rows = [
        {"source": source, "kind": kind, "clip": f"{task}{seed}", "task": task, "split": "test", "seed": seed}
        | {"axis": axis, "quality": quality, "outcome": "shown"}
        for task, values in by_task.items()
        for seed, quality in enumerate(values)
        for axis in AXES
    ]
    return pd.DataFrame(rows)


def table(**cheats: dict[str, list[float]]) -> pd.DataFrame:
    same = {task: [1.0] * CLIPS for task in ("f/a", "g/b")}
    frozen = {task: [0.0] * CLIPS for task in same}
    named = [headline(f"cheat-{name}", "cheat", values) for name, values in cheats.items()]
    return pd.concat([headline("truth", "reference", same), headline("freeze", "reference", frozen), *named])


def overall(rows: list[dict[str, object]], source: str) -> dict[str, object]:
    return next(row for row in rows if row["source"] == source and row["reading"] == "skill/overall")


def test_a_portfolio_takes_the_best_of_each_task() -> None:
    rows = skill_rows(table(straight={"f/a": [0.2] * CLIPS, "g/b": [0.0] * CLIPS},
                            turn={"f/a": [0.0] * CLIPS, "g/b": [0.3] * CLIPS}), None)  # fmt: skip
    straight, both = overall(rows, STRAIGHT), overall(rows, PORTFOLIO)
    assert straight["value"] == pytest.approx(0.1) and straight["met"]
    assert both["value"] == pytest.approx((0.2 + 0.3) / 2)
    assert both["bar"] == pytest.approx(0.1 + 0.1) and not both["met"]


def test_a_portfolio_apart_leaves_out_what_is_given_the_future() -> None:
    cheats = {name: {"f/a": [a] * CLIPS, "g/b": [b] * CLIPS}
              for name, a, b in (("straight", 0.2, 0.0), ("turn", 0.0, 0.3), ("truth-straight", 0.6, 0.1))}  # fmt: skip
    rows = skill_rows(table(**cheats), None)
    assert overall(rows, PORTFOLIO)["value"] == pytest.approx((0.6 + 0.3) / 2)
    assert overall(rows, UNAIDED)["value"] == pytest.approx((0.2 + 0.3) / 2)
    cheats.pop("truth-straight")
    assert UNAIDED not in {row["source"] for row in skill_rows(table(**cheats), None)}, "it would be the other one"


def test_it_is_read_on_other_clips_than_it_is_chosen_on() -> None:
    """One baseline is lucky in even clips, another one in odd clips: the choice is worth nothing on the others."""
    lucky = {"f/a": [0.4 * (seed % 2 == 0) for seed in range(CLIPS)], "g/b": [0.0] * CLIPS}
    other = {"f/a": [0.4 * (seed % 2) for seed in range(CLIPS)], "g/b": [0.0] * CLIPS}
    rows = skill_rows(table(straight=lucky, turn=other), None)
    assert overall(rows, STRAIGHT)["value"] == pytest.approx(0.1)
    assert overall(rows, PORTFOLIO)["value"] == pytest.approx(0.0)


def test_what_is_shown_on_some_clips_alone_is_not_in_it() -> None:
    some = {"f/a": [0.9] * (CLIPS - 1), "g/b": [0.9] * CLIPS}
    rows = skill_rows(table(straight={task: [0.1] * CLIPS for task in some}, rest=some), None)
    assert not [row for row in rows if row["source"] == PORTFOLIO]
    assert overall(rows, "cheat-rest")["value"] == pytest.approx(0.9)  # on the clips that it shows
