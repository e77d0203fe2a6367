"""What goes wrong in one clip, in sentences: its worst reading first, so that no caption contradicts a score.

As in the findings of a run, objects that are mostly missing come first, and nothing is said of their motion.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from physbench.clips.clip import Clip
from physbench.report.error_curves import Array, first_off
from physbench.results.findings import MOST
from physbench.results.number_format import AXIS_NAMES, fixed, joined, plain
from physbench.scoring.reading_roles import reading_of
from physbench.shadowing.trace import Trace
from physbench.tracks.tracks import Tracks, Visibility
from physbench.world.scene import hue_name

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
    lost = float(np.isinf(error).sum() / max((~np.isnan(error)).sum(), 1)) > MOST
    worst, objects = _worst(clip, rows, None if lost else trace), _objects(clip, error, tracks)
    found = (*objects, *worst) if lost else (*worst, *objects)
    return found or ("Every object stays within its diameter of ground truth.",)


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
    """Which body first leaves every lawful path, at the largest tolerance at which one does, and when."""
    if not len(trace.rung):
        return ": no lawful motion is seen for part of the time"
    largest = np.flatnonzero(trace.rung == trace.rung.max())
    first = largest[np.argmin(trace.time[largest])]
    body = clip.tracked_bodies[int(trace.columns[trace.body[first]])]
    who, when = f"{body.name} ({hue_name(body.hue or 0)})", float(trace.time[first])
    return f": {who} leaves every lawful path by {trace.rungs[trace.rung[first]]:.2g} diameters from {when:.1f} s on"


def _objects(clip: Clip, error: Array, tracks: Tracks) -> tuple[str, ...]:
    """What goes wrong with each object, from its errors and its states of visibility."""
    times = clip.times[clip.handover + 1 :]
    unseen = tracks.state[tracks.context :] == Visibility.ABSENT  # (horizon, K)
    found = []
    for k, body in enumerate(clip.tracked_bodies):
        ((off, _),) = first_off(times, error[:, k : k + 1])
        lost = np.isinf(error[:, k])
        due = int((np.isfinite(error[:, k]) | lost).sum())
        parts = [] if off is None else [f"is off by more than its diameter at {off:.1f} s"]
        for mask, words in (
            (lost & unseen[:, k], "is missing"),
            (lost & ~unseen[:, k], "is too deformed to be located"),
        ):
            if mask.any():
                share = 100 * mask.sum() / due
                parts.append(
                    f"{words} from {times[np.argmax(mask)]:.1f} s (in {share:.0f} % of the time it should be seen)"
                )
        if parts:
            found.append(f"{body.name} ({hue_name(body.hue or 0)}) {joined(parts)}")
    return tuple(sentence[0].upper() + sentence[1:] + "." for sentence in found)
