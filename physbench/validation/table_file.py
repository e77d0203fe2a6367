"""Files of validity tables, with what each was made of in its header."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from physbench.errors import UsageError
from physbench.storage.atomic_write import atomic_path

if TYPE_CHECKING:
    import pandas as pd

TABLE_VERSION = 3
TABLE_KEY = b"physbench_validity"


class TableHeader(BaseModel):
    """What a validity table was made of and with."""

    model_config = ConfigDict(extra="forbid")

    table_version: int
    physbench: str
    suite: int  # version of core, whose headline readings and kinds of tasks these are
    versions: dict[str, str | None]  # of libraries, and the hash of the code
    key: str  # of what decides a measured part
    scorers: dict[str, int]  # id -> version
    tasks: tuple[str, ...]
    own_tasks: tuple[str, ...]  # sha256 of files with tasks of one's own
    sources: tuple[str, ...]
    clips: int
    truths: int
    first_seed: int
    spec: str
    context: int  # frames
    crf: int | None = None  # of the H.264 that predicted frames went through
    columns: dict[str, str]  # name -> meaning


def write_table(path: Path, table: pd.DataFrame, header: TableHeader) -> None:
    """Write a table as Parquet with its header in the metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    made = pa.Table.from_pandas(table, preserve_index=False)
    said = {
        TABLE_KEY: header.model_dump_json().encode(),
        b"physbench_table_version": str(header.table_version).encode(),
    }
    made = made.replace_schema_metadata(said)
    with atomic_path(path) as draft:
        pq.write_table(made, draft, compression="zstd")


def read_table(path: Path) -> tuple[pd.DataFrame, TableHeader]:
    """A table and its header. Raises UsageError where the file is none, or newer than this version."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        metadata = table.schema.metadata or {}
        version = int(metadata[b"physbench_table_version"])
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise UsageError(f"{path}: is no table of `physbench scorers check` ({error}).") from None
    if version > TABLE_VERSION:
        raise UsageError(f"{path}: was written by a newer physbench (table {version}). Update physbench to read it.")
    try:
        header = TableHeader.model_validate_json(metadata.get(TABLE_KEY, b""))
    except ValidationError:
        raise UsageError(f"{path}: its header cannot be read (table {version}). Make it again.") from None
    return table.to_pandas(), header


def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as dictionaries."""
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]
