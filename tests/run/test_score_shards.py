"""Rows on disk: what comes back is what went in, and the table is the same bytes each time."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from physbench.score.protocol import ScoreRow, read_part, write_part, write_scores


def row(value: float | None = 0.1, quality: float | None = 1.0, reading: str = "a/b", sample: int = 0) -> ScoreRow:
    return ScoreRow(
        "falling.x-v1.test.3", "falling/x-v1", "test", 3, sample, reading, None, value, "m", quality, "ok", "why"
    )


@settings(max_examples=30, deadline=None)
@given(value=st.floats(allow_nan=False), quality=st.none() | st.floats(0, 1))
def test_numbers_survive_exactly(tmp_path_factory: object, value: float, quality: float | None) -> None:
    path = tmp_path_factory.mktemp("part") / "a.json"  # type: ignore[attr-defined]
    write_part(path, [row(value, quality)])
    assert read_part(path) == [row(value, quality)]


def test_a_damaged_part_is_scored_again(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    assert read_part(path) is None
    write_part(path, [row()])
    whole = path.read_text()
    for text in (whole[:-9], "", "[]", whole.replace('"clip"', '"clop"'), whole.replace('"1"', '"999"')):
        path.write_text(text)
        assert read_part(path) is None


def test_the_table_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    rows = [row(value=number / 7, sample=number) for number in range(50)] + [row(value=None, quality=None)]
    write_scores(tmp_path / "a.parquet", rows)
    write_scores(tmp_path / "b.parquet", rows)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    table = pd.read_parquet(tmp_path / "a.parquet")
    assert list(table["value"][:50]) == [number / 7 for number in range(50)]
    assert math.isnan(table["quality"].iloc[-1])


def test_a_table_without_any_value_keeps_its_types(tmp_path: Path) -> None:
    write_scores(tmp_path / "a.parquet", [row(value=None, quality=None)])
    table = pd.read_parquet(tmp_path / "a.parquet")
    assert table["value"].dtype == float and table["quality"].dtype == float
