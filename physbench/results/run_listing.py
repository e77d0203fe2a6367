"""The runs below a folder: what each is, how far it got and what it found, from their documents alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from physbench.errors import UsageError
from physbench.results.number_format import counted, manifest_suite, suite_name
from physbench.results.read_run import planned_for, read_manifest
from physbench.scoring.scorer_protocol import AXES
from physbench.storage.run_folder import RunFolder
from physbench.storage.sealed_file import DamagedFileError, read_sealed_json

SORTED_BY = ("changed", "run", "model", "suite", "overall", *AXES)
State = Literal["finished", "partial", "unfinished", "damaged"]
DEPTH = 3  # folders below the one that is asked for in which runs are sought


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

    Raises:
        UsageError: There is no such folder.
    """
    if not root.is_dir():
        raise UsageError(f"There is no folder '{root}'. Name one with runs in it, such as the --out of eval.")
    found = [summary(RunFolder(path)) for path in _folders(root)]
    return sorted_runs(found, "changed")


def _folders(root: Path) -> Iterator[Path]:
    """Folders with a manifest; what lies in a run is not looked at."""
    for folder, below, names in os.walk(root):
        place = Path(folder)
        if "manifest.json" in names:
            below.clear()
            if not _is_of_another_kind(place / "manifest.json"):
                yield place
        elif len(place.relative_to(root).parts) >= DEPTH:
            below.clear()
        below[:] = sorted(name for name in below if not name.startswith("."))


def _is_of_another_kind(manifest: Path) -> bool:
    """Whether a manifest is that of an export: it names no model. One that cannot be read may be that of a run."""
    try:
        document = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and bool(document) and not {"model", "options"} & set(document)


def summary(folder: RunFolder) -> RunSummary:
    """What the documents of one run say. Damage is a state, not an error."""
    changed = max((path.stat().st_mtime for path in (folder.manifest, folder.result) if path.exists()), default=0.0)
    try:
        manifest = read_manifest(folder)
        return _of_manifest(folder, manifest, changed)
    except (UsageError, OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        reason = str(error) if isinstance(error, UsageError) else f"{type(error).__name__}: {error}"
        if isinstance(error, DamagedFileError):
            reason = f"result.json is damaged ({error}); `physbench report {folder.path}` writes it again"
        return RunSummary(
            str(folder.path), "damaged", "", "", None, None, "", {}, changed, 0, 0, reason.splitlines()[0], ()
        )


def _of_manifest(folder: RunFolder, manifest: dict[str, Any], changed: float) -> RunSummary:
    options, model, suite = manifest["options"], manifest["model"], manifest["suite"]
    of, shard = len(suite["rows"]) * int(options.get("samples", 1)), options.get("shard")
    if shard and manifest.get("batches"):
        of = sum(map(len, planned_for(manifest)))
    overall: float | None = None
    interval: tuple[float, float] | None = None
    axes: dict[str, float | None] = {}
    reason = ""
    state: State = "unfinished"
    if folder.result.is_file():
        result = read_sealed_json(folder.result, required=False)
        skill, bounds = result["overall"]["skill"], result["overall"]["interval"]
        overall = None if skill is None else float(skill)
        reason = "" if skill is not None else str(result["overall"].get("reason") or "")
        axes = {
            str(axis): None if found["skill"] is None else float(found["skill"])
            for axis, found in (result.get("axes") or {}).items()
        }
        ended = result.get("partial")
        state, done = ("partial", int(ended["clips"]) * int(options.get("samples", 1))) if ended else ("finished", of)
        interval = (float(bounds[0]), float(bounds[1])) if bounds else None
        asked = ended["of"] if ended else result["suite"]["clips"]
        name = f"{suite_name(result)}, {counted(asked, 'clip')}"
    else:
        parts = folder.path / "parts"
        done = sum(not path.stem.endswith(".samples") for path in parts.glob("*.json")) if parts.is_dir() else 0
        name = f"{manifest_suite(manifest)}, {counted(len(suite['rows']), 'clip')}"
        name += f", shard {shard}" if shard else ""
    return RunSummary(
        str(folder.path),
        state,
        str(model.get("name") or model["target"]),
        name,
        overall,
        interval,
        reason,
        axes,
        changed,
        done,
        of,
        str(options.get("note") or ""),
        tuple(map(str, options.get("tags") or ())),
    )
