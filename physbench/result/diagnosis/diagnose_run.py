"""The diagnosis of a finished run, from its tracks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

from physbench.clips.clip import Row
from physbench.clips.scene_changes import CHANGES
from physbench.result.diagnosis.explanation import Evidence, evidence_of
from physbench.result.diagnosis.ranking import EFFORT, diagnose_family
from physbench.result.diagnosis.run_timing import run_timing
from physbench.result.diagnosis.worlds import find_changed_worlds
from physbench.result.document import ImpliedWorldResult
from physbench.result.implied_worlds import write_diagnosis
from physbench.result.manifest import read_manifest
from physbench.result.read import clips_of, read_run
from physbench.support.run_folder import RunFolder
from physbench.support.schedule import scheduled
from physbench.track.tracks import load_tracks


def diagnose_run(folder: RunFolder, workers: int = 2) -> dict[str, ImpliedWorldResult]:
    """Find by family which other laws would explain a model's motion, and what its timing explains: diagnosis.json.

    Args:
        folder: A finished run. Files with its own tasks must be registered.
        workers: Processes; each takes a family at a time.

    Returns:
        What was found, by family. Families without a motion that can be judged are left out.

    Raises:
        UsageError: The folder is no finished run.
    """
    manifest, _ = read_run(folder)
    families: dict[str, list[Row]] = {}
    for row in manifest.rows:
        families.setdefault(row.family, []).append(row)
    chosen = {family: some for family, own in families.items() if (some := chosen_rows(own, folder))}
    clips_of(folder, manifest).ensure([row for own in chosen.values() for row in own], manifest.spec, workers)
    worlds: dict[str, ImpliedWorldResult] = {}
    with scheduled(
        partial(diagnose_part, os.fspath(folder.path)),
        list(chosen.values()),
        workers=workers,
        preload=("physbench.result.diagnosis.ranking",),
        label="diagnosis",
        long=True,
    ) as records:
        for family, record in zip(chosen, records, strict=True):
            if record is not None:
                worlds[family] = ImpliedWorldResult.model_validate(record)
    write_diagnosis(folder, worlds, run_timing(folder, _in_turn(chosen)))
    return worlds


def _in_turn(chosen: Mapping[str, Sequence[Row]]) -> list[Row]:
    """The clips of all families, one of each in turn."""
    return [row for some in zip_longest(*chosen.values()) for row in some if row is not None]


def chosen_rows(rows: Sequence[Row], folder: RunFolder) -> list[Row]:
    """At most `max_clips` clips of a family that have tracks: of its tasks in turn, those of the test split first."""
    ranks: dict[str, int] = {}
    order = []
    # Clips of test are taken first
    for row in sorted(rows, key=lambda row: (("test", "ood", "train").index(row.split), row.seed, row.change)):
        if (row.change and CHANGES[row.change].by_actions) or not folder.tracks(row.id).is_file():
            continue
        ranks[row.task] = ranks.get(row.task, -1) + 1
        order.append((ranks[row.task], row.task, row))
    return [row for _, _, row in sorted(order, key=lambda each: each[:2])[: EFFORT.max_clips]]


def diagnose_part(path: str, rows: Sequence[Row]) -> dict[str, Any] | None:
    """The diagnosis of one family of a run, as it is written; None where no motion can be judged."""
    folder = RunFolder(Path(path))
    manifest = read_manifest(folder)
    spec, store = manifest.spec, clips_of(folder, manifest)
    evidence: list[Evidence] = []
    for row in rows:
        clip_evidence = evidence_of(store.get(row, spec), load_tracks(folder.tracks(row.id)))
        if clip_evidence is not None:
            evidence.append(clip_evidence)
    if not evidence:
        return None
    return diagnose_family(evidence, find_changed_worlds()).model_dump(mode="json")
