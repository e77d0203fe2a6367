"""What a result says of a run that has ended before its suite did, from its manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from physbench.results.read_run import STOPPED, asked_rows, rows_of
from physbench.results.schema import SkillValue
from physbench.results.schema_parts import PartialRun


def partial_run(manifest: Mapping[str, Any]) -> PartialRun | None:
    """Why the run has ended early and which clips it lacks; None where it has all that it was asked for."""
    stopped = manifest.get(STOPPED)
    if stopped is None:
        return None
    rows = rows_of(manifest)
    known = set(rows)
    return PartialRun(
        by=stopped["by"],
        asked=stopped.get("asked", ""),
        clips=len(rows),
        of=len(asked_rows(manifest)),
        missing=[row.id for row in asked_rows(manifest) if row not in known],
        look=stopped.get("looks"),
        looks=stopped.get("of_looks"),
        level=stopped.get("level"),
    )


def at_look(overall: SkillValue, manifest: Mapping[str, Any]) -> SkillValue:
    """Overall as it was when `--until` ended the run, the references being those of the whole suite; else as it is."""
    stopped = manifest.get(STOPPED) or {}
    if stopped.get("interval") is None:
        return overall
    low, high = stopped["interval"]
    return SkillValue(skill=stopped["skill"], interval=(float(low), float(high)))


def partial_words(ended: PartialRun) -> str:
    """ "partial, ended by --budget 2h: 328 of 448 clips are missing, up to 24 of a task"."""
    splits = Counter(clip.split(".")[2] for clip in ended.missing)  # ids are family.task.split.seed
    most = max(Counter(tuple(clip.split(".")[:2]) for clip in ended.missing).values(), default=0)
    how = "partial, so far" if ended.by == "now" else f"partial, ended by --{ended.by} {ended.asked}"
    text = f"{how}: {len(ended.missing)} of {ended.of} clips are missing, up to {most} of a task"
    if len(splits) > 1 or "ood" in splits:
        text += f" ({', '.join(f'{many} of {split}' for split, many in splits.items())})"
    if ended.level is not None:
        text += (
            f"; look {ended.look} of {ended.looks}, so that the interval of overall is one of {100 * ended.level:.4g} %"
        )
    return text
