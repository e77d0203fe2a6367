"""Coverage of a result: clips that count, applicable axes, partial runs, pixel progress."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from physbench.models.protocol import ModelCard
from physbench.result import document
from physbench.result.formats import AXIS_NAMES, joined
from physbench.result.manifest import Manifest
from physbench.result.skill import valued_rows
from physbench.score.protocol import AXES
from physbench.score.score_clip import reading_of, scorer_of

if TYPE_CHECKING:
    import pandas as pd

# Counts clips by axis from score tables: which count, which are left out and why, and which show too little.

NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?!\w|\.\d)")  # not the 1 of a task's version


def axis_counts(tables: Mapping[str, pd.DataFrame]) -> dict[str, document.AxisCounts]:
    """Counts by axis. A clip counts where ground truth has a quality in a headline reading of the axis."""
    return {axis: _axis(tables["model"], tables["truth"], axis) for axis in AXES}


def together(reasons: Iterable[str]) -> str:
    """Merge reasons that differ only in their numbers: "a prediction for 0.1 to 0.25 s only"."""
    first, *others = sorted(set(reasons))
    numbers = zip(*map(NUMBER.findall, (first, *others)), strict=True)
    spans = (sorted(set(match), key=lambda number: (float(number), number)) for match in numbers)
    ranges = iter([" to ".join((span[0], span[-1])) if len(span) > 1 else span[0] for span in spans])
    return NUMBER.sub(lambda match: next(ranges), first)


def _axis(model: pd.DataFrame, truth: pd.DataFrame, axis: str) -> document.AxisCounts:
    rows = truth[truth["axis"] == axis]
    if rows.empty or not (model["axis"] == axis).any():
        every = truth.drop_duplicates("clip").assign(reason="not measured")
        return document.AxisCounts(counted=0, left_out=_left_out(every), readings={}, undetermined=None)
    valid = rows["quality"].notna()
    counted = set(rows.loc[valid, "clip"])
    others = rows[~rows["clip"].isin(counted)].sort_values("reading")
    telling = others[others["reading"] != reading_of("stand-in")]  # that it does not apply is the rule
    others = others if telling.empty else telling
    why = others.groupby("clip")["reason"].agg(lambda reasons: "; ".join(dict.fromkeys(reasons)))
    return document.AxisCounts(
        counted=len(counted),
        left_out=_left_out(others.drop_duplicates("clip").assign(reason=lambda own: own["clip"].map(why))),
        readings={
            str(name): document.ReadingCounts(
                valid=int(valid[own.index].sum()), not_valid=_left_out(own[~valid[own.index]])
            )
            for name, own in sorted(rows.groupby("reading"), key=lambda each: -int(valid[each[1].index].sum()))
        },
        undetermined=_undetermined(model) if axis == scorer_of("undetermined-share").axis else None,
    )


def _left_out(rows: pd.DataFrame) -> list[document.LeftOut]:
    """Group clips by reason, numbers ignored, the most frequent first. rows: one a clip, with its task and reason."""
    groups = [
        document.LeftOut(
            reason=together(own["reason"]),
            clips=len(own),
            tasks={str(t): int(n) for t, n in own.groupby("task").size().items()},
        )
        for _, own in rows.groupby(rows["reason"].map(lambda reason: NUMBER.sub("\0", reason)))
    ]
    return sorted(groups, key=lambda each: (-each.clips, each.reason))


def _undetermined(model: pd.DataFrame) -> document.Undetermined | None:
    rows = valued_rows(model, reading_of("undetermined-share"))
    if rows.empty:
        return None
    shares = rows.groupby(["task", "clip"])["value"].mean()
    whole = shares[shares >= 1 - 1e-6]  # share of the time of visible objects from which all of it is undetermined
    return document.Undetermined(
        clips=len(whole),
        of=len(shares),
        share=round(float(shares.mean()), 6),
        tasks={str(task): int(n) for task, n in whole.groupby(level="task").size().items()},
    )


# What is asked of a model by what it answers with: frames, or states of bodies without a picture.

NOT_APPLICABLE = "not asked: states show no picture"


def inapplicable_axes(card: ModelCard) -> tuple[str, ...]:
    """Axes that a model is not asked about."""
    return () if card.sees_pictures else ("permanence",)  # only a picture has it


def applicable_axes(card: ModelCard) -> tuple[str, ...]:
    """Axes that overall skill is made of."""
    return tuple(axis for axis in AXES if axis not in inapplicable_axes(card))


def inapplicable_reasons(card: ModelCard) -> dict[str, str]:
    """By axis that a model is not asked about, the reason and what overall skill is then; for result.json."""
    return {axis: f"{NOT_APPLICABLE}; overall is {_axes_text(card)}" for axis in inapplicable_axes(card)}


def overall_meaning(card: ModelCard) -> str:
    """Composition of overall skill, where it is not made of all axes; else ""."""
    if not inapplicable_axes(card):
        return ""
    return f"{_axes_text(card)}: the model answers with states"


def _axes_text(card: ModelCard) -> str:
    return f"made of {joined([AXIS_NAMES[axis] for axis in applicable_axes(card)])}"


# What a result says of a run that has ended before its suite did, from its manifest.


def partial_run(manifest: Manifest) -> document.PartialRun | None:
    """Reason that the run has ended early, and the clips that it lacks; None where it has all that were requested."""
    stopped = manifest.stopped
    if stopped is None:
        return None
    rows, requested = manifest.rows, manifest.requested_rows
    known = set(rows)
    return document.PartialRun(
        by=stopped.by,
        asked=stopped.asked,
        clips=len(rows),
        of=len(requested),
        missing=[row.id for row in requested if row not in known],
        look=stopped.looks,
        looks=stopped.of_looks,
        level=stopped.level,
    )


def at_interim(overall: document.SkillValue, manifest: Manifest) -> document.SkillValue:
    """Overall as it was when `--until` ended the run, the references being those of the whole suite; else as it is."""
    stopped = manifest.stopped
    if stopped is None or stopped.interval is None:
        return overall
    low, high = stopped.interval
    return document.SkillValue(skill=stopped.skill, interval=(float(low), float(high)))


def partial_words(ended: document.PartialRun) -> str:
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


def pixel_progress(readings: Mapping[str, document.ReadingResult]) -> float | None:
    """Mean over families of the mean over tasks, from the readings of a result document; None where no task has it."""
    families: dict[str, list[float]] = {}
    reading = readings.get(reading_of("early-sign"))
    for task, row in reading.tasks.items() if reading else ():
        if row.value is not None:
            families.setdefault(task.split("/")[0], []).append(row.value)
    return float(np.mean([np.mean(values) for values in families.values()])) if families else None
