"""`physbench scorers check`: from options to the table and its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from physbench.checks.validity.measure import Settings, key, measure
from physbench.checks.validity.table import COLUMNS, validity_table
from physbench.errors import PhysbenchError
from physbench.results.folder import write_atomically
from physbench.scoring.protocol import AXES
from physbench.scoring.score import find_scorers

if TYPE_CHECKING:
    import pandas as pd

TABLE_VERSION = "1"


def headlines(settings: Settings) -> list[str]:
    """Ids of the headline readings, in the order of the axes."""
    found = [each for each in find_scorers(settings.scorers) if each.headline]
    return [each.id for axis in AXES for each in found if each.axis == axis]


def own_readings(settings: Settings) -> list[str]:
    """Ids of the scorers that do not come with physbench."""
    return [s.id for s in find_scorers(settings.scorers) if not s.function.__module__.startswith("physbench.")]


def check_scorers(settings: Settings, out: Path, workers: int, say: Callable[[str], None]) -> pd.DataFrame:
    """Measure what is missing beside `out`, write the table there and return it.

    What was measured lies in the folder `out` + ".parts", one sub-folder for each version of the code and render spec:
    the same command goes on where it was stopped, and one with more clips or sources adds to it.
    """
    scorers = find_scorers(settings.scorers)
    if not scorers:
        raise PhysbenchError("There is no scorer to check.")
    parts = measure(settings, out.with_name(f"{out.name}.parts") / key(settings, scorers), workers, say)
    table = validity_table(parts, scorers)
    write_table(out, table, settings)
    return table


def write_table(out: Path, table: pd.DataFrame, settings: Settings) -> None:
    """Write a table as Parquet, with the meaning of its columns and the settings in its metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    made = pa.Table.from_pandas(table, preserve_index=False)
    said = {
        "physbench_table_version": TABLE_VERSION,
        "spec": str(settings.spec),
        "context": str(settings.context),
        "clips": str(settings.clips),
        "truths": str(settings.truths),
        **{f"column_{name}": meaning for name, meaning in COLUMNS.items()},
    }
    made = made.replace_schema_metadata({name: value.encode() for name, value in said.items()})
    write_atomically(out, lambda part: pq.write_table(made, part, compression="zstd"))
