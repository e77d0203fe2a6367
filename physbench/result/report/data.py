"""Data of the report beside the result: curves of every family; pictures and explanations of some clips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from physbench.clips.clip import Clip, Row
from physbench.result.coverage import inapplicable_axes
from physbench.result.findings import SAID
from physbench.result.formats import AXIS_NAMES, fixed, joined, plain
from physbench.result.manifest import Manifest
from physbench.result.read import clips_of, read_run
from physbench.result.readings import SOURCES, BreakCount, GroupShares, SharePool
from physbench.result.report.charts import CurvePool, GroupCurves, first_off
from physbench.result.report.pictures import BrokenClip, Frames, Player, Strip, clip_breaks, player, strips, times_of
from physbench.result.skill import clip_qualities, clip_skills, kinds, valued_rows
from physbench.result.task_roles import fixed_kinds
from physbench.rollout.store import has_rollout, load_rollout
from physbench.score.protocol import AXES, LAWS
from physbench.score.score_clip import reading_of
from physbench.shadowing.shadow import Trace, load_trace
from physbench.support.arrays import Array
from physbench.support.errors import UsageError
from physbench.support.plugins import registered_files
from physbench.support.processes import scheduled
from physbench.support.progress import Progress
from physbench.support.run_folder import RunFolder
from physbench.track.tracks import Tracks, Visibility, load_tracks
from physbench.world.scene import hue_name

if TYPE_CHECKING:
    import pandas as pd

# The clips that a report shows, and what goes wrong in each.
#
# As in the findings of a run, objects that are mostly missing come first, and nothing is said of their motion.

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
    inapplicable = inapplicable_axes(manifest.card)
    counted = [a for a, axis in enumerate(AXES) if axis not in inapplicable]
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
        off = first_off(times, error[:, k])
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


CLIPS_A_JOB = 4  # of a worker process


@dataclass(frozen=True)
class ClipReading:
    """A reading of one clip beside that of ground truth."""

    name: str
    value: float | None
    truth: float | None
    unit: str


@dataclass(frozen=True)
class ClipFigure:
    """One clip that the report shows."""

    shown: SelectedClip
    why: tuple[str, ...]
    qualities: tuple[ClipReading, ...]  # by axis
    readings: tuple[ClipReading, ...]  # diagnostics that differ from ground truth
    times: tuple[float, ...]
    strips: tuple[Strip, ...]  # truth, prediction; empty where the rollout was not kept
    player: Player | None  # both, in step
    broken: BrokenClip | None = None  # where it breaks the laws; None where nothing was shadowed
    not_valid: tuple[str, ...] = ()  # readings of an axis that are not valid here, with the reason


@dataclass(frozen=True)
class ReportData:
    """Data of the report beside the result."""

    families: tuple[GroupCurves, ...]
    tasks: Mapping[str, tuple[GroupCurves, ...]]  # by family
    figures: tuple[ClipFigure, ...]
    shares: tuple[GroupShares, ...] = ()  # lawfulness over time by family, where anything was shadowed
    task_shares: Mapping[str, tuple[GroupShares, ...]] = field(default_factory=dict)  # by family
    breaks: tuple[str, ...] = ()  # how many clips break, in words


Readings = Mapping[str, dict[str, dict[str, Any]]]  # of one clip, by source and reading


@dataclass(frozen=True)
class ClipJob:
    """A clip to be read, and how it was chosen to be shown, with its readings; None where it is not."""

    row: Row
    shown: SelectedClip | None
    readings: Readings


@dataclass(frozen=True)
class ClipData:
    """Data of the report from one clip."""

    row: Row
    times: Array  # (horizon,) s
    errors: Mapping[str, Array]  # (horizon, moving bodies) in diameters, by source
    traces: Mapping[str, Trace]  # by source
    figure: ClipFigure | None


@contextmanager
def clips_read(
    folder: RunFolder,
    manifest: Manifest,
    tables: Mapping[str, pd.DataFrame],
    physicist: RunFolder | None = None,
    workers: int = 1,
    quality: int | None = None,
) -> Iterator[Iterator[ClipData]]:
    """Read the tracks of every clip once, and the rollouts of those that are shown. Workers begin at once.

    physicist: a run of `baseline:physicist` on clips of the same size and rate, drawn beside the references.
    workers: processes that read clips at the same time. quality: of pictures; None: lossless.
    """
    chosen = {item.clip: item for item in select(manifest, tables)}
    rows = manifest.rows
    jobs = [ClipJob(row, chosen.get(row.id), readings_of(tables, row) if row.id in chosen else {}) for row in rows]
    parts = [jobs[first : first + CLIPS_A_JOB] for first in range(0, len(jobs), CLIPS_A_JOB)]
    read = partial(read_clips, folder, manifest, physicist, quality)
    # The clips of 64 parts lie in memory until the result is built
    with scheduled(
        read, parts, workers=workers, preload=("physbench.result.report.data",), beside=True, ahead=64
    ) as clips:
        yield chain.from_iterable(clips)


def gather(manifest: Manifest, tables: Mapping[str, pd.DataFrame], clips: Iterable[ClipData]) -> ReportData:
    """Data of the report on the clips of a run, which `clips_read` gives."""
    limits = predictability(tables["truth"])
    families: dict[str, CurvePool] = {}
    tasks: dict[str, CurvePool] = {}
    shares: dict[str, SharePool] = {}
    task_shares: dict[str, SharePool] = {}
    breaks = BreakCount()
    figures: list[ClipFigure] = []
    with Progress("report", len(manifest.rows)) as progress:
        for data in clips:
            row = data.row
            for pools, name in ((families, row.family), (tasks, row.task)):
                curves = pools.setdefault(name, CurvePool(name))
                curves.add(data.times, data.errors, limits.get(row.id))
            breaks.add(data.traces)
            for shared, name in ((shares, row.family), (task_shares, row.task)):
                shared.setdefault(name, SharePool(name)).add(data.traces)
            if data.figure is not None:
                figures.append(data.figure)
            progress.advance()
    return ReportData(
        tuple(curves.result() for curves in families.values()),
        {f: tuple(curves.result() for task, curves in tasks.items() if task.split("/")[0] == f) for f in families},
        tuple(sorted(figures, key=lambda each: (each.shown.task, each.shown.place == "median"))),
        tuple(each.result() for each in shares.values() if each.clips),
        {
            f: tuple(
                shared.result() for task, shared in task_shares.items() if shared.clips and task.split("/")[0] == f
            )
            for f in families
        },
        tuple(breaks.sentences()),
    )


def read_clips(
    folder: RunFolder,
    manifest: Manifest,
    physicist: RunFolder | None,
    quality: int | None,
    jobs: Sequence[ClipJob],
) -> list[ClipData]:
    """Read some clips of a run, in a worker process or in this one."""
    spec, store = manifest.spec, clips_of(folder, manifest)
    clips = []
    for job in jobs:
        clip = store.get(job.row, spec)
        errors = clip_errors(folder, clip)
        moving = [body.role == "moving" for body in clip.tracked_bodies]
        moved = {source: error[:, moving] for source, error in errors.items()}
        traces = clip_traces(folder, job.row.id, physicist)
        shown = None
        if job.shown is not None:
            shown = figure(folder, clip, job.shown, errors.get("model"), job.readings, quality)
        clips.append(ClipData(job.row, clip.times[clip.handover + 1 :], moved, traces, shown))
    return clips


def readings_of(tables: Mapping[str, pd.DataFrame], row: Row) -> Readings:
    """Readings of one clip: of the model, and of ground truth."""
    return {name: _values(tables[name], row) for name in ("model", "truth")}


def clip_traces(folder: RunFolder, clip: str, physicist: RunFolder | None = None) -> dict[str, Trace]:
    """Traces of the first sample and of the references, by source; empty where nothing was shadowed."""
    places = {source: folder if source == "model" else folder.reference(source) for source in SOURCES}
    if physicist is not None:
        places["physicist"] = physicist  # what the laws and the context allow: shown where its run is given
    traces = {source: load_trace(place.trace(clip)) for source, place in places.items()}
    return {source: trace for source, trace in traces.items() if trace is not None}


def require_tasks(folder: RunFolder, manifest: Manifest) -> None:
    """Raise UsageError where tasks of the run are in files that were not named here: no file is run implicitly."""
    known = {str(file.path): file.sha256 for file in registered_files()}
    for file in manifest.files.tasks:
        if file.path not in known:
            raise UsageError(
                f"{folder.path}: tasks of this run are in {file.path}. To allow it to run: "
                f"physbench report {folder.path} --tasks {file.path}"
            )
        if known[file.path] != file.sha256:
            raise UsageError(f"{folder.path}: {file.path} has changed since the run. Restore it, or run eval again.")


def clip_errors(folder: RunFolder, clip: Clip) -> dict[str, Array]:
    """Errors (horizon, K) in diameters of the first sample and the references; a failed clip counts as absent."""
    from physbench.score.motion import error_curve

    errors: dict[str, Array] = {}
    for source in SOURCES:
        place = folder if source == "model" else folder.reference(source)
        path = place.tracks(clip.id)
        if path.is_file():
            errors[source] = error_curve(clip, load_tracks(path))
    if "model" not in errors and errors:
        other = next(iter(errors.values()))
        errors["model"] = np.where(np.isnan(other), np.nan, np.inf)
    return errors


def predictability(truth: pd.DataFrame) -> dict[str, float]:
    """Predictability time T_p in s by clip, from the scores of ground truth."""
    rows = valued_rows(truth, reading_of("predictability"))
    return {str(clip): float(value) for clip, value in zip(rows["clip"], rows["value"], strict=True)}


def figure(
    folder: RunFolder,
    clip: Clip,
    shown: SelectedClip,
    error: Array | None,
    rows: Readings,
    quality: int | None = None,
) -> ClipFigure:
    """Everything that is shown of one clip. quality: of pictures; None: lossless."""
    read = [
        (name, own["axis"], own["quality"], rows["truth"].get(name, {}).get("quality"))
        for name, own in rows["model"].items()
        if own["axis"]
    ]
    stand_in = reading_of("stand-in")
    together = Counter(axis for name, axis, _, _ in read if name != stand_in)  # an axis of two readings names them
    read = [each for each in read if each[2] is not None or each[3] is not None]
    qualities = tuple(
        ClipReading(axis if together[axis] <= 1 else plain(name), quality, truth, "")
        for name, axis, quality, truth in read
    )
    path = folder.tracks(clip.id)
    tracks = load_tracks(path) if path.is_file() else None
    frames = None if tracks is None else _frames(folder, clip)
    drawn: tuple[Strip, ...] = ()
    shown_by = None
    trace = load_trace(folder.trace(clip.id))
    breaks = None if tracks is None or trace is None else clip_breaks(clip, trace, tracks, frames, quality)
    if tracks is not None and frames is not None:
        drawn = strips(clip, frames, tracks, quality)
        moments = [] if trace is None else [float(trace.time[b]) for b in trace.distinct()]
        shown_by = player(clip.id, clip.future(), frames, clip.spec.fps, moments, quality)
    return ClipFigure(
        shown,
        caption(clip, rows, error, tracks, trace),
        qualities,
        _apart(rows),
        tuple(times_of(clip)),
        drawn,
        shown_by,
        breaks,
        _not_valid(rows["truth"]),
    )


def _not_valid(rows: Mapping[str, dict[str, Any]]) -> tuple[str, ...]:
    """Readings of an axis in which ground truth has no value in a clip, by reason: "Shadowing: not valid (...)."."""
    names: dict[str, list[str]] = {}
    for name, own in sorted(rows.items()):
        if own["axis"] and own["quality"] is None and name != reading_of("stand-in"):
            names.setdefault(own["reason"], []).append(plain(name))
    sentences = (f"{joined(which)}: not valid ({reason})." for reason, which in names.items())
    return tuple(words[0].upper() + words[1:] for words in sentences)


def _apart(rows: Mapping[str, Mapping[str, dict[str, Any]]]) -> tuple[ClipReading, ...]:
    """Readings outside the axes that differ from ground truth: laws first, at most six."""
    headline = {name for name, own in rows["model"].items() if own["axis"]}
    readings = []
    for name, own in sorted(rows["model"].items(), key=lambda item: (not item[0].startswith(f"{LAWS}/"), item[0])):
        scorer, _, part = name.partition(".")
        truth = rows["truth"].get(name, {}).get("value")
        repeats = name in headline or part == scorer.split("/")[-1]
        if repeats or own["value"] is None or truth is None or (part and scorer not in headline):
            continue
        # Readings nearer than 0.1 of ground truth's value, or of a natural size (1 but of degrees), are not listed
        if abs(own["value"] - truth) > 0.1 * max(abs(truth), {"deg": 50.0}.get(own["unit"], 1.0)):
            readings.append(ClipReading(plain(part or name), own["value"], truth, own["unit"]))
    return tuple(readings[:6])


def _frames(folder: RunFolder, clip: Clip) -> Frames | None:
    """Predicted frames of the first sample (T, H, W, 3), drawn where it has states; None where it was not kept."""
    if not has_rollout(folder, clip.id, 0):
        return None
    rollout = load_rollout(folder, clip.id, 0)
    if rollout is None:
        raise UsageError(f"{folder.rollout(clip.id)}: is damaged. Resume the run to make the rollout again.")
    if rollout.states is not None:
        from physbench.rollout.states import draw_states

        return draw_states(clip, rollout.states)
    return rollout.frames if len(rollout.frames) else None


def _values(table: pd.DataFrame, row: Row) -> dict[str, dict[str, Any]]:
    """Rows of the first sample of one clip by reading."""
    rows = table[(table["clip"] == row.id) & (table["sample"] == 0)]

    def known(value: Any) -> float | None:
        return float(value) if value is not None and np.isfinite(value) else None

    return {
        str(r["reading"]): {
            "axis": r["axis"] if isinstance(r["axis"], str) else None,
            "value": known(r["value"]),
            "quality": known(r["quality"]),
            "unit": str(r["unit"]),
            "reason": str(r["reason"]),
        }
        for r in rows.to_dict("records")
    }
