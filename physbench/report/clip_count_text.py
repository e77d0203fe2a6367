"""Sentences on which clips count and which do not, for the report and for Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from physbench.results import number_format
from physbench.results.number_format import AXIS_NAMES, joined, plain, short
from physbench.scoring.reading_roles import reading_of

MOST_NAMED = 3  # that are named
Document = Mapping[str, Any]


def counting(result: Document) -> list[str]:
    """Sentences: how many clips count on each axis, which are left out and why, and which show too little."""
    clips, axes = result["counts"]["clips"], result["axis_counts"]
    if not axes:
        return []
    counted = {AXIS_NAMES.get(axis, axis): found["counted"] for axis, found in axes.items()}
    if set(counted.values()) == {clips}:
        found = [f"All {clips} clips count on every axis." if clips > 1 else "The clip counts on every axis."]
    else:
        each = joined([f"{many} on {name}" for name, many in counted.items()])
        found = [f"Of {number_format.counted(clips, 'clip')} count {each}."]
    for axis, own in axes.items():
        if own["left_out"]:
            found.append(f"Left out of {AXIS_NAMES.get(axis, axis)}: {'; '.join(map(left_out, own['left_out']))}.")
    return found + [_too_little(axes[axis]["undetermined"], axis) for axis in axes if axes[axis]["undetermined"]]


def partly(result: Document) -> list[str]:
    """Sentences: which readings of an axis are not valid in clips that others of the axis read."""
    return [
        f"{reading} is not valid in {'; '.join(map(left_out, own['not_valid']))}."
        for found in result["axis_counts"].values()
        for reading, own in found["readings"].items()
        if own["not_valid"] and own["valid"] and reading != reading_of("stand-in")
    ]


def not_valid(result: Document, task: str) -> dict[str, list[str]]:
    """By axis: which of its readings are not valid in clips of a task, with the reason and what is read instead."""
    found = {}
    for axis, own in result["axis_counts"].items():
        clips = result["tasks"][task][axis]["clips"] + sum(each["tasks"].get(task, 0) for each in own["left_out"])
        missing = {
            reading: [each for each in readings["not_valid"] if task in each["tasks"]]
            for reading, readings in own["readings"].items()
        }
        others = joined([plain(reading) for reading, each in missing.items() if not each])
        found[axis] = [
            f"{plain(reading)}: not valid"
            + (
                f" in {one['tasks'][task]} of {number_format.counted(clips, 'clip')}"
                if one["tasks"][task] < clips
                else ""
            )
            + f" ({one['reason']})"
            + (f"; {others} alone counts" if others and one["tasks"][task] >= clips else "")
            for reading, each in missing.items()
            for one in each
            if reading != reading_of("stand-in")
        ]
    return found


def left_out(found: Mapping[str, Any]) -> str:
    """ "32 clips of stack (cannot be shadowed)"."""
    tasks = [short(task) for task in found["tasks"]]
    of = joined(tasks) if len(tasks) <= MOST_NAMED else f"{len(tasks)} tasks"
    return f"{number_format.counted(found['clips'], 'clip')} of {of} ({found['reason']})"


def _too_little(found: Mapping[str, Any], axis: str) -> str:
    share = f"{100 * found['share']:.1f} % of the time in which objects should be visible is undetermined on average"
    if not found["clips"]:
        return f"No clip of {found['of']} that are shadowed shows too little to be judged; {share}."
    tasks = joined([f"{short(task)} {many}" for task, many in found["tasks"].items()])
    return (
        f"{found['clips']} of {found['of']} shadowed clips show{'s' if found['clips'] == 1 else ''} too little to be "
        f"judged and count{'s' if found['clips'] == 1 else ''} 0 on {AXIS_NAMES.get(axis, axis)} ({tasks}); {share}."
    )
