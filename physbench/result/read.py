"""Runs on disk: read, listed, refused where they are damaged; their clips and their model."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from physbench.clips.packed import PackedClips, kept_archive
from physbench.clips.store import ClipStore
from physbench.result.document import ModelInfo, ResultDocument, read_result
from physbench.result.formats import counted
from physbench.result.manifest import Manifest, ManifestModel, NamedArchive, read_manifest
from physbench.score.protocol import AXES, ScoreRow
from physbench.support.errors import UsageError
from physbench.support.files import read_sealed
from physbench.support.remote import is_url
from physbench.support.run_folder import RunFolder, is_other

if TYPE_CHECKING:
    import pandas as pd

# Where the clips of a run come from: the store on this machine, or the archive that was given with `--clips`.
#
# Those of fresh seeds lie in the run's own folder: another run on the same seeds neither finds nor disturbs them.

ClipSource = ClipStore | PackedClips


def clips_of(folder: RunFolder, manifest: Manifest) -> ClipSource:
    """The clips that a run was rolled out on.

    Raises UsageError: they are those of an archive that is not where it was, or is another one.
    """
    named = manifest.clips
    if named is None:
        return ClipStore(folder.clips if manifest.suite.fresh else None)
    packed = kept_archive(named.file, named.sha256)
    if packed is None:
        where, place = ("in the cache", "URL") if is_url(named.file) else ("there", "FILE")
        raise UsageError(
            f"The run was rolled out on the clips of {named.file}, which is not {where}. Say where it is now: "
            f"physbench score RUN --clips {place}"
        )
    refuse_other_archive(packed, named)
    return packed


def refuse_other_archive(packed: PackedClips, named: NamedArchive) -> None:
    """Raise UsageError where an archive is not the one that a manifest names under `clips`."""
    if packed.sha256 != named.sha256:
        raise UsageError(
            f"--clips: {packed.name} is not the archive that the run was rolled out on ({Path(named.file).name}, "
            f"index {named.sha256[:12]}): its index is {packed.sha256[:12]}. Give that one."
        )


def clips_of_folder(folder: RunFolder) -> ClipSource:
    """As `clips_of`, of the manifest in a folder; where it has none, the clips in it, or else the store."""
    if folder.manifest.is_file():
        return clips_of(folder, read_manifest(folder))
    return ClipStore(folder.clips if folder.clips.is_dir() else None)


# Whether two runs are of one model, so that nothing but the look of its clips tells them apart.

ModelKey = tuple[object, ...]


def key_of_result(result: ResultDocument) -> ModelKey:
    """The model, its arguments, size, rate, context and samples: all but the look that tells runs apart."""
    return _key(result.model, result.context, result.counts.samples)


def key_of_manifest(manifest: Manifest) -> ModelKey:
    """The same from the manifest of a run."""
    return _key(manifest.model, manifest.scored_context, manifest.options.samples)


def same_weights(a: ModelKey, b: ModelKey) -> bool:
    """True if two keys are of one model, whatever it was shown."""
    return a[:3] == b[:3]


def _key(model: ManifestModel | ModelInfo, context: int, samples: int) -> ModelKey:
    args = tuple(sorted((name, str(value)) for name, value in (model.args or {}).items()))
    shown = () if model.card is None else (*model.card.image_size, float(model.card.fps))
    return str(model.name), model.sha256 or model.target, args, *shown, context, samples


# Reads a run folder, and refuses one that is damaged or not finished.

MOST_SCORE_ROWS = 5_000_000  # of a table; core with 8 samples has half a million
NUMBERS = {"seed": "int64", "sample": "int64", "value": "float64", "quality": "float64"}  # types of columns
ROW_KEY = ["clip", "sample", "reading"]  # one row of scores.parquet each
REFERENCE_MODELS = ("truth", "freeze", "constant-velocity")


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


def failed_samples(table: pd.DataFrame) -> pd.DataFrame:
    """A row of each sample whose headline readings failed."""
    failed = table[(table["status"] == "failed") & table["axis"].notna()]
    return failed.sort_values(["task", "split", "seed", "sample"]).drop_duplicates(["clip", "sample"])


def refuse_huge_table(content: bytes) -> None:
    """Raise ValueError for a table that would fill the memory: a Parquet file may say a long text a million times.

    Texts are looked at as the file holds them, each once with the rows that have it.
    """
    most_table_bytes = 1 << 30  # of a table in memory
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    head = pq.read_metadata(io.BytesIO(content))
    size = sum(head.row_group(group).total_byte_size for group in range(head.num_row_groups))
    if head.num_rows > MOST_SCORE_ROWS or size > most_table_bytes:
        raise ValueError(f"it has {head.num_rows:,} rows and {size:,} bytes, more than a table of scores can have")
    names = [name for name, kind in ScoreRow.__annotations__.items() if "str" in str(kind)]
    texts = pq.ParquetFile(io.BytesIO(content), read_dictionary=names)
    table = texts.read(columns=[name for name in names if name in texts.schema_arrow.names])
    for name, column in zip(table.column_names, table.columns, strict=True):
        for chunk in column.chunks if pa.types.is_dictionary(column.type) else ():
            length = pc.take(pc.binary_length(chunk.dictionary).cast(pa.int64()), chunk.indices)
            size += pc.sum(length).as_py() or 0
        if size > most_table_bytes:
            raise ValueError(f"its texts in column {name} take more than {most_table_bytes >> 30} GB")


def planned_for(manifest: Manifest) -> list[list[str]]:
    """Ids of the rollouts in each batch that a run does: of a shard its own, of any other run all."""
    batches, shard = manifest.batches or [], manifest.options.shard
    if not shard:
        return batches
    index, of = (int(part) for part in shard.split("/"))
    return batches[index - 1 :: of]


def refuse_unfinished(folder: RunFolder, manifest: Manifest) -> None:
    """Raise UsageError where a run was not finished, with the command that finishes it."""
    again = _finish_again(manifest)
    if manifest.model.card is None:
        raise UsageError(f"{folder.path}: the run is not finished: its model was not loaded yet. {again}")
    if not folder.scores.is_file():
        parts = folder.path / "parts"
        done = len(list(parts.glob("*.json"))) if parts.is_dir() else 0
        total = len(manifest.rows) * manifest.options.samples
        raise UsageError(f"{folder.path}: the run is not finished: {done} of {total} samples are scored. {again}")
    for name in REFERENCE_MODELS:
        if not folder.reference(name).scores.is_file():
            raise UsageError(f"{folder.path}: the run is not finished: it lacks the scores of {name}. {again}")


def _finish_again(manifest: Manifest) -> str:
    if shard := manifest.options.shard:
        return f"It is shard {shard} of one: join all shards with physbench merge."
    return "Finish it with the same eval command and --resume."


def read_run(folder: RunFolder) -> tuple[Manifest, dict[str, pd.DataFrame]]:
    """Return the manifest of a finished run and its score tables: "model" and each of REFERENCE_MODELS.

    Raises UsageError where the folder is no run or the run is not finished.
    """
    manifest = read_manifest(folder)
    refuse_unfinished(folder, manifest)
    rows, again = manifest.rows, _finish_again(manifest)
    if not rows:
        raise UsageError(f"{folder.path}: its manifest names no clip. Begin it again.")
    places = {"model": folder, **{name: folder.reference(name) for name in REFERENCE_MODELS}}
    for path in (place.scores for place in places.values()):
        if is_other(folder, manifest.contents, path):
            raise UsageError(f"{path}: is not the table with which this run was finished, or is damaged. {again}")
    tables = {name: read_scores(place) for name, place in places.items()}
    missing = {row.id for row in rows} - set(tables["model"]["clip"])
    if missing:
        raise UsageError(
            f"{folder.path}: the run is not finished: {len(missing)} of {len(rows)} clips have no scores, "
            f"the first {min(missing)}. {again}"
        )
    return manifest, tables


SORTED_BY = ("changed", "run", "model", "suite", "overall", *AXES)
State = Literal["finished", "partial", "unfinished", "damaged"]


@dataclass(frozen=True)
class RunSummary:
    """One run."""

    path: str
    state: State
    model: str  # its name, or what was asked for where it was not loaded yet; "" where nothing can be read
    suite: str  # "core 2, 14 of 448 clips"
    overall: float | None
    interval: tuple[float, float] | None
    reason: str  # why a result has no overall; "" where it has one, and where the state says it
    axes: dict[str, float | None]  # skill by axis; {} where there is no result
    changed: float  # s since 1970 at which its result, or else its manifest, was written
    done: int  # rollouts that are scored
    of: int  # rollouts of the run
    clips: int  # of a result; 0 where there is none
    scored: int  # of these, in which a sample was scored
    failed: int  # of these, in which a sample failed
    note: str  # what was said of it with --note, or why it cannot be read
    tags: tuple[str, ...]


def sorted_runs(runs: Sequence[RunSummary], by: str) -> list[RunSummary]:
    """Runs by "changed" (the newest first), "model", "suite" or "run", or by a skill, the highest first.

    Runs without that skill come last.
    """
    texts = {"run": "path", "model": "model", "suite": "suite"}
    if by in texts:
        return sorted(runs, key=lambda each: (str(getattr(each, texts[by])).lower(), -each.changed))
    if by == "changed":
        return sorted(runs, key=lambda each: (-each.changed, each.path))
    values = {each.path: each.overall if by == "overall" else each.axes.get(by) for each in runs}
    return sorted(runs, key=lambda each: (values[each.path] is None, -(values[each.path] or 0.0), -each.changed))


def find_runs(root: Path) -> list[RunSummary]:
    """Summaries of the runs in a folder and the folders below it, the newest first.

    Raises UsageError: there is no such folder.
    """
    if not root.is_dir():
        raise UsageError(f"There is no folder '{root}'. Name one with runs in it, such as the --out of eval.")
    runs = [summary(RunFolder(path)) for path in _folders(root)]
    return sorted_runs(runs, "changed")


def _folders(root: Path) -> Iterator[Path]:
    """Folders with a manifest; what lies in a run is not looked at."""
    for folder, below, names in os.walk(root):
        place = Path(folder)
        if "manifest.json" in names:
            below.clear()
            if not _is_of_another_kind(place / "manifest.json"):
                yield place
        elif len(place.relative_to(root).parts) >= 3:  # runs are sought as deep below
            below.clear()
        below[:] = sorted(name for name in below if not name.startswith("."))


def _is_of_another_kind(manifest: Path) -> bool:
    """True if a manifest is that of an export: it names no model. One that cannot be read may be that of a run."""
    try:
        document = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and bool(document) and not {"model", "options"} & set(document)


def summary(folder: RunFolder) -> RunSummary:
    """Summary of one run, from its documents. Damage is a state, not an error."""
    changed = max((path.stat().st_mtime for path in (folder.manifest, folder.result) if path.exists()), default=0.0)
    try:
        manifest = read_manifest(folder)
        return _of_manifest(folder, manifest, changed)
    except (UsageError, OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        reason = str(error) if isinstance(error, UsageError) else f"{type(error).__name__}: {error}"
        return RunSummary(
            str(folder.path), "damaged", "", "", None, None, "", {}, changed, 0, 0, 0, 0, 0, reason.splitlines()[0], ()
        )


def _of_manifest(folder: RunFolder, manifest: Manifest, changed: float) -> RunSummary:
    options = manifest.options
    clips, shard = len(manifest.suite.rows), options.shard
    of = sum(map(len, planned_for(manifest))) if shard and manifest.batches else clips * options.samples
    overall: float | None = None
    interval: tuple[float, float] | None = None
    axes: dict[str, float | None] = {}
    reason = ""
    state: State = "unfinished"
    counts = (0, 0, 0)
    if folder.result.is_file():
        result = read_result(folder.result)
        overall, interval = result.overall.skill, result.overall.interval
        reason = result.overall.reason if overall is None else ""
        axes = {axis: skill.skill for axis, skill in result.axes.items()}
        counts = (result.counts.clips, result.counts.scored, result.counts.failed)
        ended = result.partial
        state, done = ("partial", ended.clips * options.samples) if ended else ("finished", of)
        name = f"{result.suite_label}, {counted(ended.of if ended else result.suite.clips, 'clip')}"
    else:
        parts = folder.path / "parts"
        done = sum(not path.stem.endswith(".samples") for path in parts.glob("*.json")) if parts.is_dir() else 0
        name = f"{manifest.suite.label}, {counted(clips, 'clip')}"
        name += f", shard {shard}" if shard else ""
    return RunSummary(
        str(folder.path),
        state,
        manifest.model.name or manifest.model.target,
        name,
        overall,
        interval,
        reason,
        axes,
        changed,
        done,
        of,
        *counts,
        options.note or "",
        tuple(options.tags or ()),
    )
