"""Score rows of one clip on disk, and their compilation: the same bytes for any number of workers and interruptions."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from physbench.score.protocol import ScoreRow
from physbench.support.files import EMPTY_SEAL, SEAL, read_sealed_json, write_sealed, write_sealed_json

SHARD_COLUMNS = tuple(item.name for item in dataclasses.fields(ScoreRow))
SHARD_VERSION = "1"
NOT_ROWS = (OSError, ValueError, KeyError, TypeError, RecursionError)  # where a part cannot be read


def rows_document(rows: Iterable[ScoreRow]) -> list[dict[str, Any]]:
    """Rows as JSON values; a float survives the way there and back exactly."""
    return [{name: getattr(row, name) for name in SHARD_COLUMNS} for row in rows]


def rows_from(document: Iterable[dict[str, Any]]) -> list[ScoreRow]:
    return [ScoreRow(**row) for row in document]


def write_part(path: Path, rows: Sequence[ScoreRow]) -> None:
    """Write one clip's rows, whole or not at all."""
    document = {"schema_version": SHARD_VERSION, "rows": rows_document(rows)}
    write_sealed_json(path, document, indent=0, allow_nan=True)


def read_part(path: Path) -> list[ScoreRow] | None:
    """Return the rows of a part, or None where there is none or it is damaged: it is then scored again."""
    try:
        return checked_part(path)
    except NOT_ROWS:
        return None


def checked_part(path: Path) -> list[ScoreRow]:
    """Return the rows of a part. Raises one of NOT_ROWS where there is none or it is damaged."""
    document = read_sealed_json(path)
    if document["schema_version"] != SHARD_VERSION:
        raise ValueError(f"schema version {document['schema_version']} instead of {SHARD_VERSION}")
    return rows_from(document["rows"])


def write_scores(path: Path, rows: Sequence[ScoreRow]) -> None:
    """Write scores.parquet from rows in their final order. Nothing in it depends on time, place or worker."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"seed": pa.int64(), "sample": pa.int64(), "value": pa.float64(), "quality": pa.float64()}
    schema = pa.schema(
        [pa.field(name, kinds.get(name, pa.string())) for name in SHARD_COLUMNS],
        metadata={"physbench_schema_version": SHARD_VERSION, SEAL: EMPTY_SEAL.decode()},
    )
    columns = [[getattr(row, name) for row in rows] for name in SHARD_COLUMNS]
    table = pa.table(
        [pa.array(values, type=item.type) for values, item in zip(columns, schema, strict=True)], schema=schema
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", version="2.6", row_group_size=max(1, len(rows)))
    write_sealed(path, buffer.getvalue())
