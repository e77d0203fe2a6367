"""Reads a run folder, and refuses one that is damaged or not finished."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from physbench.clips.clip import Row
from physbench.errors import UsageError
from physbench.results.manifest_document import ManifestDocument
from physbench.scoring.scorer_protocol import ScoreRow
from physbench.storage.run_contents import is_other
from physbench.storage.run_folder import RunFolder
from physbench.storage.sealed_file import read_sealed, read_sealed_json
from physbench.world.scene import PLAIN, RenderSpec

if TYPE_CHECKING:
    import pandas as pd

MANIFEST_VERSION = 1
MOST_SCORE_ROWS = 5_000_000  # of a table; core with 8 samples has half a million
MOST_TABLE_BYTES = 1 << 30  # of a table in memory
NUMBERS = {"seed": "int64", "sample": "int64", "value": "float64", "quality": "float64"}  # types of columns
ROW_KEY = ["clip", "sample", "reading"]  # one row of scores.parquet each
STOPPED = "stopped"  # in a manifest: why the run has ended before its suite, and with which clips
REFERENCE_MODELS = ("truth", "freeze", "constant-velocity")


def read_manifest(folder: RunFolder) -> dict[str, Any]:
    """Return manifest.json. Raises UsageError where the folder is no run, or a newer physbench wrote it."""
    if not folder.path.is_dir():
        what = "it is a file" if folder.path.exists() else "there is no such folder"
        raise UsageError(f"{folder.path}: {what}. Expected the folder of a run (--out of eval).")
    if not folder.manifest.is_file():
        raise UsageError(
            f"{folder.path}: is not a run: it holds no manifest.json. Expected the --out folder of eval or rollout."
        )
    try:
        manifest = read_sealed_json(folder.manifest, required=False)
        version = int(manifest["schema_version"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise UsageError(f"{folder.manifest}: cannot be read ({error}). Run it again with --fresh.") from error
    if version > MANIFEST_VERSION:
        raise UsageError(
            f"{folder.manifest} has schema version {version}; this physbench reads up to {MANIFEST_VERSION}. "
            "Update physbench."
        )
    try:
        ManifestDocument.model_validate(manifest)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{folder.manifest}: {place}: {first['msg']}. Run it again with --fresh.") from error
    return dict(manifest)


def rows_of(manifest: Mapping[str, Any]) -> tuple[Row, ...]:
    """The clips of a run in the suite's order; of one that has ended early those that it was ended with."""
    rows, stopped = asked_rows(manifest), manifest.get(STOPPED)
    if stopped is None:
        return rows
    known = set(stopped["clips"])
    return tuple(row for row in rows if row.id in known)


def asked_rows(manifest: Mapping[str, Any]) -> tuple[Row, ...]:
    """The clips that a run was asked for, in the suite's order."""
    return tuple(
        Row(row["task"], row["split"], int(row["seed"]), row.get("change", "")) for row in manifest["suite"]["rows"]
    )


def spec_of(manifest: dict[str, Any]) -> RenderSpec:
    """Size and rate of a run, from the model's card."""
    card = manifest["model"]["card"]
    height, width = card["image_size"]
    return RenderSpec(int(height), int(width), float(card["fps"]), str(card.get("look", PLAIN)))


def context_of(manifest: Mapping[str, Any]) -> int:
    """Number of context frames that count as seen by the model."""
    return int(manifest.get("context") or manifest["model"]["card"]["context_frames"])


def read_scores(folder: RunFolder) -> pd.DataFrame:
    """Return scores.parquet with the fields of ScoreRow; UsageError where it cannot be read or repeats a row."""
    import pandas as pd

    names = [field.name for field in fields(ScoreRow)]
    try:
        content = read_sealed(folder.scores, required=False)
        refuse_huge_table(content)
        table = pd.read_parquet(io.BytesIO(content), columns=names)
        if others := {name: kind for name, kind in NUMBERS.items() if table[name].dtype != kind}:
            table = table.astype(others)
        repeated = table.duplicated(ROW_KEY).to_numpy()
    except (OSError, ValueError, LookupError, TypeError, NotImplementedError) as error:
        raise UsageError(f"{folder.scores}: cannot be read ({error}). Resume the run to write it again.") from error
    if repeated.any():
        row = int(repeated.argmax())
        clip, sample, reading = table[ROW_KEY].iloc[row]
        raise UsageError(
            f"{folder.scores}: expected one row for each reading of a sample, but {repeated.sum()} of {len(table)} "
            f"rows repeat another. The first is row {row}, {reading} of {clip}, sample {sample}.\n"
            "Resume the run to write the file again. If the file was submitted, ask for a complete one."
        )
    return table


def refuse_huge_table(content: bytes) -> None:
    """Raise ValueError for a table that would fill the memory: a Parquet file may say a long text a million times.

    Texts are looked at as the file holds them, each once with the rows that have it.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    head = pq.read_metadata(io.BytesIO(content))
    size = sum(head.row_group(group).total_byte_size for group in range(head.num_row_groups))
    if head.num_rows > MOST_SCORE_ROWS or size > MOST_TABLE_BYTES:
        raise ValueError(f"it has {head.num_rows:,} rows and {size:,} bytes, more than a table of scores can have")
    names = [name for name, kind in ScoreRow.__annotations__.items() if "str" in str(kind)]
    texts = pq.ParquetFile(io.BytesIO(content), read_dictionary=names)
    found = texts.read(columns=[name for name in names if name in texts.schema_arrow.names])
    for name, column in zip(found.column_names, found.columns, strict=True):
        for chunk in column.chunks if pa.types.is_dictionary(column.type) else ():
            length = pc.take(pc.binary_length(chunk.dictionary).cast(pa.int64()), chunk.indices)
            size += pc.sum(length).as_py() or 0
        if size > MOST_TABLE_BYTES:
            raise ValueError(f"its texts in column {name} take more than {MOST_TABLE_BYTES >> 30} GB")


def planned_for(manifest: Mapping[str, Any]) -> list[list[str]]:
    """Ids of the rollouts in each batch that a run does: of a shard its own, of any other run all."""
    batches: list[list[str]] = manifest.get("batches") or []
    shard = manifest["options"].get("shard")
    if not shard:
        return batches
    index, of = (int(part) for part in str(shard).split("/"))
    return batches[index - 1 :: of]


def refuse_other_tables(folder: RunFolder, manifest: Mapping[str, Any], again: str) -> None:
    """Raise UsageError where a table is not the one with which the run was finished."""
    for path in (folder.scores, *(folder.reference(name).scores for name in REFERENCE_MODELS)):
        if path.is_file() and is_other(folder, manifest, path):
            raise UsageError(f"{path}: is not the table with which this run was finished, or is damaged. {again}")


def refuse_unfinished(folder: RunFolder, manifest: Mapping[str, Any]) -> None:
    """Raise UsageError where a run was not finished, with the command that finishes it."""
    again = _finish_again(manifest)
    if not manifest["model"].get("card"):
        raise UsageError(f"{folder.path}: the run is not finished: its model was not loaded yet. {again}")
    if not folder.scores.is_file():
        parts = folder.path / "parts"
        done = len(list(parts.glob("*.json"))) if parts.is_dir() else 0
        total = len(rows_of(manifest)) * int(manifest.get("options", {}).get("samples", 1))
        raise UsageError(f"{folder.path}: the run is not finished: {done} of {total} samples are scored. {again}")
    for name in REFERENCE_MODELS:
        if not folder.reference(name).scores.is_file():
            raise UsageError(f"{folder.path}: the run is not finished: it lacks the scores of {name}. {again}")


def _finish_again(manifest: Mapping[str, Any]) -> str:
    shard = manifest.get("options", {}).get("shard")
    if shard:
        return f"It is shard {shard} of one: join all shards with physbench merge."
    return "Finish it with the same eval command and --resume."


def read_run(folder: RunFolder) -> tuple[dict[str, Any], dict[str, pd.DataFrame]]:
    """Return the manifest of a finished run and its score tables: "model" and each of REFERENCE_MODELS.

    Raises UsageError where the folder is no run or the run is not finished.
    """
    manifest = read_manifest(folder)
    refuse_unfinished(folder, manifest)
    rows, again = rows_of(manifest), _finish_again(manifest)
    refuse_other_tables(folder, manifest, again)
    places = {"model": folder, **{name: folder.reference(name) for name in REFERENCE_MODELS}}
    tables = {name: read_scores(place) for name, place in places.items()}
    missing = {row.id for row in rows} - set(tables["model"]["clip"])
    if missing:
        raise UsageError(
            f"{folder.path}: the run is not finished: {len(missing)} of {len(rows)} clips have no scores, "
            f"the first {min(missing)}. {again}"
        )
    return manifest, tables
