"""The clips that a report shows, and what goes wrong in each.

As in the findings of a run, objects that are mostly missing come first, and nothing is said of their motion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from physbench.clips.clip import Clip
from physbench.result.coverage import unasked_axes
from physbench.result.findings import SAID
from physbench.result.formats import AXIS_NAMES, fixed, joined, plain
from physbench.result.manifest import Manifest
from physbench.result.report.charts import first_off
from physbench.result.skill import clip_qualities, clip_skills, kinds
from physbench.result.task_roles import fixed_kinds
from physbench.score.protocol import AXES
from physbench.score.score_clip import reading_of
from physbench.shadowing.trace import Trace
from physbench.support.arrays import Array
from physbench.support.run_folder import RunFolder
from physbench.track.tracks import Tracks, Visibility
from physbench.world.scene import hue_name

if TYPE_CHECKING:
    import pandas as pd

# Selects the clips that a report shows from the scores: the worst and the median one of each task.


@dataclass(frozen=True)
class SelectedClip:
    """A clip that the report shows; always its first sample."""

    clip: str
    task: str
    place: Literal["worst", "median"]
    skill: float  # what it adds to overall, 1 as ground truth; NaN where nothing of it counts


def select(manifest: Manifest, tables: Mapping[str, pd.DataFrame]) -> tuple[SelectedClip, ...]:
    """Worst and median clip of each task, by what they add to overall (`physbench.result.skill.clip_skills`).

    manifest and tables: as `read_run` gives them. Failed clips have no picture and are left out (the report lists
    them); of equal clips the first by id is taken. A task with one clip has no median one.
    """
    first = tables["model"][tables["model"]["sample"] == 0]
    failed = set(first.loc[first["axis"].notna() & (first["status"] == "failed"), "clip"])
    qualities = clip_qualities({"model": first}, tables["truth"], tables["freeze"], events=False)
    unasked = unasked_axes(manifest.card)
    counted = [a for a, axis in enumerate(AXES) if axis not in unasked]
    skills = clip_skills(qualities, kinds(qualities, fixed_kinds(manifest)), counted)
    tasks: dict[str, list[tuple[float, str]]] = {}
    for stratum, clips in qualities.clips.items():
        ranked = ((float(np.round(np.nan_to_num(skills[clip]), 9)), clip) for clip in clips if clip not in failed)
        tasks.setdefault(stratum.task, []).extend(ranked)
    chosen: list[SelectedClip] = []
    for task, members in sorted(tasks.items()):
        names = [clip for _, clip in sorted(members)]
        middle = names[len(names) // 2 :][:1] if len(names) > 1 else []
        chosen += [SelectedClip(clip, task, "worst", skills[clip]) for clip in names[:1]]
        chosen += [SelectedClip(clip, task, "median", skills[clip]) for clip in middle]
    return tuple(chosen)


def shown_clips(folder: RunFolder) -> tuple[str, ...]:
    """Ids of the clips whose rollouts the report of a finished run needs (sample 0)."""
    from physbench.result.read import read_run

    return tuple(dict.fromkeys(item.clip for item in select(*read_run(folder))))


WORSE = 0.1  # of quality below ground truth, from which a reading counts as wrong
Rows = Mapping[str, Mapping[str, Mapping[str, Any]]]  # of one clip: by source, then by reading


def caption(
    clip: Clip, rows: Rows, error: Array | None, tracks: Tracks | None, trace: Trace | None = None
) -> tuple[str, ...]:
    """Sentences on a clip: its worst reading, then each object that is off or missing.

    rows: `axis`, `quality` and `value` of the first sample ("model") and of ground truth ("truth") by reading. error:
    (horizon, K) in diameters. Nothing is said of a clip without tracks.
    """
    if error is None or tracks is None:
        return ()
    lost = float(np.isinf(error).sum() / max((~np.isnan(error)).sum(), 1)) > SAID.most
    worst, objects = _worst(clip, rows, None if lost else trace), _objects(clip, error, tracks)
    lines = (*objects, *worst) if lost else (*worst, *objects)
    return lines or ("Every object stays within its diameter of ground truth.",)


def _worst(clip: Clip, rows: Rows, trace: Trace | None) -> tuple[str, ...]:
    """The reading of an axis that lies farthest below that of ground truth; nothing where none does."""
    gaps = [
        (truth - (own["quality"] or 0.0), name, own)
        for name, own in rows["model"].items()
        if own["axis"] and (truth := rows["truth"].get(name, {}).get("quality")) is not None
    ]
    gap, name, own = max(gaps, key=lambda each: each[:2], default=(0.0, "", {}))
    if gap < WORSE:
        return ()
    truth = fixed(rows["truth"][name]["quality"])
    several = sum(other["axis"] == own["axis"] for _, _, other in gaps) > 1  # the axis is the mean of them
    axis = AXIS_NAMES.get(str(own["axis"]), str(own["axis"])) + (f" ({plain(name)})" if several else "")
    words = f"Worst here: {axis}, {fixed(own['quality'] or 0.0)} (truth {truth})"
    if name == reading_of("stand-in"):
        return (f"{words}: it does not end as the truth does{_parts(name, rows)}.",)
    if name == reading_of("lawfulness") and trace is not None:
        return (f"{words}{_broken(clip, trace)}.",)
    return (f"{words}.",)


def _parts(name: str, rows: Rows) -> str:
    """Further readings of the same scorer that are not those of ground truth: " (falls left 0.00, truth 1.00)"."""
    apart = [
        f"{plain(key.partition('.')[2])} {fixed(own['value'])}, truth {fixed(truth)}"
        for key, own in rows["model"].items()
        if key.startswith(f"{name}.") and own["value"] is not None
        if (truth := rows["truth"].get(key, {}).get("value")) is not None and abs(truth - own["value"]) >= WORSE
    ]
    return f" ({'; '.join(apart)})" if apart else ""


def _broken(clip: Clip, trace: Trace) -> str:
    """First body to leave every lawful path, at the largest tolerance at which one does, and the time of it."""
    if not len(trace.rung):
        return ": no lawful motion is seen for part of the time"
    largest = np.flatnonzero(trace.rung == trace.rung.max())
    first = largest[np.argmin(trace.time[largest])]
    body = clip.tracked_bodies[int(trace.columns[trace.body[first]])]
    who, when = f"{body.name} ({hue_name(body.hue or 0)})", float(trace.time[first])
    return f": {who} leaves every lawful path by {trace.rungs[trace.rung[first]]:.2g} diameters from {when:.1f} s on"


def _objects(clip: Clip, error: Array, tracks: Tracks) -> tuple[str, ...]:
    """Faults of each object in words, from its errors and its states of visibility."""
    times = clip.times[clip.handover + 1 :]
    unseen = tracks.state[tracks.context :] == Visibility.ABSENT  # (horizon, K)
    parts_of = []
    for k, body in enumerate(clip.tracked_bodies):
        ((off, _),) = first_off(times, error[:, k : k + 1])
        lost = np.isinf(error[:, k])
        expected = int((np.isfinite(error[:, k]) | lost).sum())
        parts = [] if off is None else [f"is off by more than its diameter at {off:.1f} s"]
        for mask, words in (
            (lost & unseen[:, k], "is missing"),
            (lost & ~unseen[:, k], "is too deformed to be located"),
        ):
            if mask.any():
                share = 100 * mask.sum() / expected
                parts.append(
                    f"{words} from {times[np.argmax(mask)]:.1f} s (in {share:.0f} % of the time it should be seen)"
                )
        if parts:
            parts_of.append(f"{body.name} ({hue_name(body.hue or 0)}) {joined(parts)}")
    return tuple(sentence[0].upper() + sentence[1:] + "." for sentence in parts_of)
