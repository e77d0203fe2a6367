"""Make a file of docs/validity out of a table of `scorers check`: the same rows, or as many as are small enough.

`python -m physbench.validity.publish TABLE.parquet docs/validity/128px.parquet`
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from physbench.score.score_clip import find_scorers
from physbench.validity.table import LOCATING, read_table, write_table
from physbench.validity.thresholds import is_strength, last_part

if TYPE_CHECKING:
    import pandas as pd

MOST_BYTES = 1_000_000


def shown_readings() -> tuple[str, ...]:
    """Ids of the readings that the page of the docs is about: the headlines, and strength."""
    return tuple(each.id for each in find_scorers(costly=True) if each.headline or is_strength(each.id))


def shortenings(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The table, and what may be left of it: less and less of what the page does not show."""
    yield table
    shown = table["reading"].isin(shown_readings())
    further = table["reading"].map(lambda reading: "." in reading and last_part(reading) != LOCATING).astype(bool)
    of_tasks = table["level"] == "task"
    yield table[shown | ~of_tasks]
    yield table[shown | ~(of_tasks | further)]
    located = table["reading"].map(last_part) == LOCATING
    summed = table["level"].isin(("skill", "false breaks"))
    yield table[shown | summed | (located & ~of_tasks)]


def publish(source: Path, target: Path) -> int:
    """Write the longest of `shortenings` that is below MOST_BYTES, or else the last. Returns the number of its rows."""
    table, header = read_table(source)
    rows = 0
    for rest in shortenings(table):
        write_table(target, rest.reset_index(drop=True), header)
        rows = len(rest)
        if target.stat().st_size < MOST_BYTES:
            break
    return rows


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("Expected TABLE.parquet TARGET.parquet.")
    table_file = Path(sys.argv[2])
    table_file.parent.mkdir(parents=True, exist_ok=True)
    count = publish(Path(sys.argv[1]), table_file)
    print(f"{table_file}: {count} rows, {table_file.stat().st_size / 1000:.0f} kB")
