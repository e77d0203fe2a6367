"""What a run that is at work, or was interrupted, has found so far: the result of the clips that are scored."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from physbench.clips.clip import Row
from physbench.errors import UsageError
from physbench.results.build_result import build_result
from physbench.results.read_run import REFERENCE_MODELS, STOPPED, asked_rows, planned_for, read_manifest, rows_of
from physbench.rollouts.batch_plan import BatchItem
from physbench.rollouts.rollout_store import has_rollout
from physbench.run.finalize import DIAGNOSED_AXIS, compile_scores
from physbench.run.score_shards import read_part
from physbench.storage.run_contents import CONTENTS
from physbench.storage.run_folder import RunFolder
from physbench.storage.sealed_file import DamagedFileError, read_sealed_json, write_sealed_json

LINKED = ("parts", "pairs")


@dataclass(frozen=True)
class RunSoFar:
    """How far a run is."""

    rolled: int  # rollouts that are made
    scored: int  # of these
    of: int  # rollouts of the run, of a shard its own
    clips: int  # that are scored with all samples and references
    of_clips: int
    finished: bool
    result: dict[str, Any] | None  # of these clips, as in result.json; None where there are none
    shard: str = ""  # "2/4": of a run of which this is a part
    partial: bool = False  # it has ended early, with a result of a part of its clips
    before_diagnosis: bool = False  # it may yet find another law than the result names
    ended: bool = True  # a finished run has all that it was asked for, its report included
    unread: int = 0  # clips without the scores of a reference


def run_so_far(folder: RunFolder) -> RunSoFar:
    """Read how far a run is, and build the result of what is scored. Nothing in the folder is changed or locked.

    Raises:
        UsageError: The folder is no run.
    """
    manifest = read_manifest(folder)
    rows, samples = asked_rows(manifest), int(manifest["options"].get("samples", 1))
    of_suite = len(rows)
    shard = str(manifest["options"].get("shard") or "")
    items = [BatchItem(row, sample) for row in rows for sample in range(samples)]
    if shard and manifest.get("batches"):
        own = {name for batch in planned_for(manifest) for name in batch}
        items = [item for item in items if item.id in own]
        rows = tuple(dict.fromkeys(item.row for item in items))
    scored = {item for item in items if folder.part(item.row.id, item.sample).is_file()}
    rolled = sum(item in scored or has_rollout(folder, item.row.id, item.sample) for item in items)
    if folder.result.is_file():
        result = _read_result(folder)
        if manifest.get(STOPPED):
            clips = len(rows_of(manifest))
            return RunSoFar(rolled, len(scored), len(items), clips, len(rows), False, result, partial=True)
        ended = bool(manifest.get(CONTENTS))
        return RunSoFar(len(items), len(items), len(items), len(rows), len(rows), True, result, ended=ended)
    referenced = [row for row in rows if _has_references(folder, row)]
    whole = [row for row in referenced if _has_samples(folder, row, samples)]
    found = _result_of(folder, manifest, whole, len(whole) < of_suite) if whole else None
    judged = found is not None and DIAGNOSED_AXIS in found["axes"]
    awaited = judged and bool(manifest["options"].get("diagnosis", True))
    return RunSoFar(
        rolled,
        len(scored),
        len(items),
        len(whole),
        len(rows),
        False,
        found,
        shard,
        before_diagnosis=awaited,
        unread=len(rows) - len(referenced),
    )


def _read_result(folder: RunFolder) -> dict[str, Any]:
    """The result of a finished run. Raises UsageError where its file is damaged."""
    try:
        result: dict[str, Any] = read_sealed_json(folder.result, required=False)
        result["overall"]["skill"]
    except (DamagedFileError, ValueError, LookupError, TypeError) as error:
        again = f"physbench finish {shlex.quote(str(folder.path))}"
        raise UsageError(f"{folder.result} is damaged. Write it again: {again}") from error
    return result


def _has_samples(folder: RunFolder, row: Row, samples: int) -> bool:
    """Whether the scores of all samples of a clip can be read."""
    return all(read_part(folder.part(row.id, sample)) is not None for sample in range(samples))


def _has_references(folder: RunFolder, row: Row) -> bool:
    """Whether the scores of all references on a clip can be read."""
    return all(read_part(folder.reference(name).part(row.id)) is not None for name in REFERENCE_MODELS)


def _result_of(folder: RunFolder, manifest: dict[str, Any], rows: Sequence[Row], is_part: bool) -> dict[str, Any]:
    """The result of a run that has these clips, built in a folder beside it. is_part: they are not all of the run."""
    samples = int(manifest["options"].get("samples", 1))
    with tempfile.TemporaryDirectory() as place:
        part = RunFolder(Path(place))
        for source, target in ((folder, part), *((folder.reference(n), part.reference(n)) for n in REFERENCE_MODELS)):
            target.path.mkdir(parents=True, exist_ok=True)
            for name in LINKED:
                if (source.path / name).is_dir():
                    (target.path / name).symlink_to((source.path / name).absolute())
        document = {key: value for key, value in manifest.items() if key not in (CONTENTS, STOPPED)}
        if is_part:
            document[STOPPED] = {"by": "now", "clips": [row.id for row in rows], "hash": ""}
        write_sealed_json(part.manifest, document)
        compile_scores(part, (BatchItem(row, sample) for row in rows for sample in range(samples)))
        for name in REFERENCE_MODELS:
            compile_scores(part.reference(name), (BatchItem(row) for row in rows))
        try:
            return build_result(part)
        except UsageError as error:  # names the folder that is gone
            raise UsageError(str(error).replace(str(part.path), str(folder.path))) from error
