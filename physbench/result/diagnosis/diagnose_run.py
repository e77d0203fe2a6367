"""The diagnosis of a finished run, from its tracks, and the timing of its frames.

Timing is a property of a model and of its adapter, so that all clips vote. What they agree on is undone in the tracks,
which are then shadowed again: a frame stands where it belongs, one that repeats another is taken as missing. No score
depends on it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from physbench.clips.clip import Clip, Row
from physbench.clips.task import CHANGES
from physbench.result.bootstrap import median_interval
from physbench.result.diagnosis.explanation import Evidence, evidence_of, explain
from physbench.result.diagnosis.ranking import EFFORT, diagnose_family, share_interval
from physbench.result.diagnosis.worlds import find_changed_worlds
from physbench.result.document import ImpliedWorldResult, Interval, TimingFault, TimingResult
from physbench.result.findings import FEWEST_CLIPS, write_diagnosis
from physbench.result.manifest import read_manifest
from physbench.result.read import clips_of, read_run
from physbench.result.sentences import worded_timing
from physbench.result.skill import Stratum
from physbench.score.frame_timing import BEGINNING, REPEATS, Estimate, FrameTiming, frame_timing, progress
from physbench.score.score_clip import reading_of
from physbench.shadowing import shadow
from physbench.shadowing.shadow import scene_law_of
from physbench.support.arrays import Array, Mask
from physbench.support.processes import scheduled
from physbench.support.progress import duration
from physbench.support.run_folder import RunFolder
from physbench.track.tracks import Tracks, load_tracks

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class FaultLimits:
    """Faults of timing that clips tell."""

    sure: float = 0.1  # frames; where 3 clips tell a lead as well, others have no vote
    least_lead: float = 0.1  # frames
    least_rate: float = 0.01
    least_repeats: float = 0.03  # share of the frames that tell
    least_left_out: float = 0.01  # the same
    shared: float = 0.7  # of the clips that tell of a frame, which agree on what it is
    periodic: float = 0.85  # of the frames that tell, which a period explains
    longest_period: int = 30  # frames
    whole: float = 0.15  # frames; a lead that is as near to a whole number is that
    # `smear`, between what an exposure for all of a frame's time leaves (0.083) and blends (0.16 to 0.25)
    blended: float = 0.12
    even: float = 0.5  # frames by which a prediction may be off an even progress along the true path


FAULT = FaultLimits()


@dataclass(frozen=True)
class LossShares:
    """Quality that is lost to timing."""

    least: float = 0.03  # of quality; where less is lost there is nothing to explain
    needed: float = 0.05  # of what is lost: a fault without which as much is explained is none
    least_explained: float = 0.1  # of what is lost; what explains less is no finding
    named_from: float = 0.5  # of what is lost, from which on timing is what is wrong


LOSS = LossShares()


RESAMPLES = 1000
CLIPS = Stratum("", "")  # all of them, of whatever task, are one sample


@dataclass(frozen=True, eq=False)
class Part:
    """One prediction."""

    clip: Clip
    tracks: Tracks
    timing: FrameTiming


@dataclass(frozen=True, eq=False)
class Clock:
    """Time of each predicted frame: `rate` x (its place in the sequence + `lead`) frames after the hand-over."""

    lead: float = 0.0  # frames
    rate: float = 1.0
    sequence: Array | None = None  # (T,) frames of motion by which each goes on; NaN: 1, or as a clip shows; None: 1
    own: bool = True  # whether what a clip itself shows goes first

    def shown(self, timing: FrameTiming) -> Array:
        """Times (T,) that the frames of a prediction show, in frames after the hand-over; NaN for repeats."""
        advance = np.ones(len(timing.advance))
        if self.sequence is not None:
            shared = np.nan_to_num(self.sequence[: len(advance)], nan=1.0)
            known = np.isfinite(timing.advance) if self.own else np.zeros(len(advance), dtype=bool)
            advance = np.where(known, timing.advance, shared)
        return np.where(advance > 0, self.rate * (np.cumsum(advance) + self.lead), np.nan)


def run_timing(folder: RunFolder, chosen: Sequence[Row]) -> TimingResult | None:
    """Faults in the timing of a run; None where nothing is lost, or no timing explains any of it.

    chosen: Clips that may be read, those that go first in front; their tracks are sample 0.
    """
    manifest, tables = read_run(folder)
    known = {row.id for row in manifest.rows}
    quality, truth = (_qualities(tables[name]) for name in ("model", "truth"))
    rows = [row for row in chosen if row.id in known and row.id in quality and row.id in truth]
    if not rows or np.mean([truth[row.id] - quality[row.id] for row in rows]) < LOSS.least:
        return None
    spec, store = manifest.spec, clips_of(folder, manifest)
    parts = []
    for row in rows[:24]:
        clip, tracks = store.get(row, spec), load_tracks(folder.tracks(row.id))
        parts.append(Part(clip, tracks, frame_timing(clip, tracks)))
    model = tables["model"]
    smear = float(model[model["reading"] == reading_of("frame-smear")]["value"].median())  # NaN where nothing tells
    return explained_timing(parts, quality, truth, smear, float(spec.fps))


def explained_timing(
    parts: Sequence[Part], quality: Mapping[str, float], truth: Mapping[str, float], smear: float, fps: float
) -> TimingResult | None:
    """Faults in the timing of predictions, and the share of what they lose that these explain.

    Args:
        quality: Of the motion, by clip.
        truth: The same of ground truth.
        smear: Stretch of bodies along their motion, see `smear` of frame_timing; NaN where nothing tells.
        fps: Of the frames.
    """
    faults = faults_of(parts, smear)
    if not faults:
        return None
    # Twelve are shadowed again
    few = [part for part in parts if part.timing.comparable or part.timing.lead or part.timing.rate][:12]
    lost = np.array([truth[part.clip.id] - quality[part.clip.id] for part in few])
    if not few or lost.sum() < LOSS.least * len(few):
        return None

    def gained(some: Sequence[tuple[TimingFault, Clock]]) -> Array:
        clock = _together([clock for _, clock in some])
        return np.array([_quality(part, clock) - quality[part.clip.id] for part in few])

    gain = gained(faults)
    for each in list(faults):
        others = [other for other in faults if other is not each]
        if others and (without := gained(others)).sum() > gain.sum() - LOSS.needed * lost.sum():
            kept = [(each[0], Clock())] if each[0].kind == "repeats" else []  # that frames repeat is seen, not inferred
            faults, gain = [*kept, *others], without
    if gain.sum() < LOSS.least_explained * lost.sum():
        return None
    return worded_timing(
        TimingResult(
            clips=len(few),
            faults=[fault for fault, _ in faults],
            explained=min(max(float(gain.sum() / lost.sum()), 0.0), 1.0),
            interval=share_interval(1 - lost + gain, 1 - lost, np.ones(len(few))),
            quality=float(np.mean([quality[part.clip.id] for part in few])),
            undone=float(np.mean([quality[part.clip.id] for part in few]) + gain.mean()),
            named=bool(len(few) >= FEWEST_CLIPS and gain.sum() >= LOSS.named_from * lost.sum()),
            sentence="",
            remedy="",
        ),
        fps,
    )


def _qualities(table: pd.DataFrame) -> dict[str, float]:
    """Quality of the motion in the first sample of each clip."""
    own = table[(table["reading"] == reading_of("lawfulness")) & (table["sample"] == 0) & table["quality"].notna()]
    return dict(zip(own["clip"].astype(str), own["quality"].astype(float), strict=True))


def _quality(part: Part, clock: Clock) -> float:
    """Quality of a prediction whose frames stand where a clock has them."""
    shadowed = shadow(part.clip, part.tracks, shown=clock.shown(part.timing))
    return 0.0 if shadowed is None else shadowed.quality


def _together(clocks: Sequence[Clock]) -> Clock:
    """A clock that is wrong in all of these ways."""
    clock = Clock()
    for each in clocks:
        clock = replace(
            clock,
            lead=clock.lead + each.lead,
            rate=clock.rate * each.rate,
            sequence=clock.sequence if each.sequence is None else each.sequence,
            own=clock.own if each.sequence is None else each.own,
        )
    return clock


def faults_of(parts: Sequence[Part], smear: float) -> list[tuple[TimingFault, Clock]]:
    """Timing faults on which clips agree, each with the clock that has this fault alone."""
    timings = [part.timing for part in parts]
    faults = [each for each in (_sequence_fault(timings),) if each is not None]
    leads = _sure([each.lead for each in timings])
    lead = 0.0
    if _departs(leads, 0.0, FAULT.least_lead):
        lead = float(np.median(leads))
        whole = abs(lead - round(lead)) <= FAULT.whole and round(lead) != 0
        lead = float(round(lead)) if whole else lead
        kind = "shift" if whole else "blend" if -1 < lead < 0 and smear >= FAULT.blended else "shift"
        faults.append((_fault(kind, lead, leads, "frames"), Clock(lead=lead)))
    rates = np.array([each.rate.value for each in timings if each.rate is not None])
    if len(rates) >= FEWEST_CLIPS:
        along = path_rates(parts, _together([each for _, each in faults]), float(np.median(rates)))
        low, high = _interval(rates)
        if (
            _departs(along, 1.0, FAULT.least_rate)
            and np.median(along) > BEGINNING.least_speed
            and low - FAULT.least_rate <= np.median(along) <= high + FAULT.least_rate
        ):
            rate = float(np.median(along))
            faults.append((_fault("rate", rate, along, "1"), Clock(rate=rate)))
    return faults


def _sequence_fault(timings: Sequence[FrameTiming]) -> tuple[TimingFault, Clock] | None:
    """Repeats, or frames left out: with a period, or at the same frames of all clips, or else as often in most."""
    telling = [each for each in timings if each.comparable >= REPEATS.least_measured]
    if len(telling) < FEWEST_CLIPS:
        return None
    sequence, periodic = shared_advance([each.advance for each in timings])
    repeats, left_out = (np.array([getattr(each, name) for each in telling]) for name in ("repeats", "left_out"))
    if (sequence == 0).any() or (sequence > 1).any():
        kind, at = ("repeats", sequence == 0) if (sequence == 0).any() else ("left-out", sequence > 1)
        frames = np.flatnonzero(at)
        steps = np.unique(np.diff(frames[frames > 0]))
        value = float(at[1:].mean() if kind == "repeats" else (sequence[at] - 1).sum() / len(sequence))
        where = {"period": int(steps[0])} if periodic and len(steps) == 1 else {}
        where |= {} if periodic else {"frame": int(frames[0]) + 1}
        shares = repeats if kind == "repeats" else left_out
        if periodic or _share_at(telling, at) >= FAULT.shared:  # else most are at other frames in each clip
            return _fault(kind, value, shares, "1", **where), Clock(sequence=sequence, own=False)
    for kind, shares, least in (
        ("repeats", repeats, FAULT.least_repeats),
        ("left-out", left_out, FAULT.least_left_out),
    ):
        if np.median(shares) >= least and (shares > 0).sum() >= max(FEWEST_CLIPS, FAULT.shared * len(shares)):
            return _fault(kind, float(np.median(shares)), shares, "1"), Clock(sequence=np.full(len(sequence), np.nan))
    return None


def _share_at(timings: Sequence[FrameTiming], at: Mask) -> float:
    """Share of all repeats and gaps of clips that lie at some frames (T,)."""
    wrong = [np.isfinite(each.advance) & (each.advance != 1) for each in timings]
    total = sum(int(each.sum()) for each in wrong)
    return sum(int((each & at[: len(each)]).sum()) for each in wrong) / max(total, 1)


def _sure(estimates: Sequence[Estimate | None]) -> Array:
    """Values (C,) of the clips that tell; of those alone that tell well, where these are enough."""
    known = [each for each in estimates if each is not None]
    sure = [each for each in known if each.sd <= FAULT.sure]
    return np.array([each.value for each in (sure if len(sure) >= FEWEST_CLIPS else known)])


def _departs(values: Array, right: float, least: float) -> bool:
    """True if most clips agree that a value is off, on the same side."""
    if len(values) < FEWEST_CLIPS:
        return False
    low, high = _interval(values)
    off = float(np.median(values)) - right
    return abs(off) > least and (low > right or high < right)


def _interval(values: Array) -> Interval:
    """95 % interval of the median of clips (C,), C >= 2."""
    return median_interval({CLIPS: values}, resamples=RESAMPLES)


def _fault(kind: str, value: float, values: Array, unit: str, **where: int) -> TimingFault:
    """A fault with its interval, that of clips, which holds what the frames of all tell. where: `period` or `frame`."""
    low, high = _interval(values)
    interval = (min(low, value), max(high, value))
    fields = {"kind": kind, "value": value, "interval": interval, "unit": unit, "clips": len(values)}
    return TimingFault.model_validate(fields | where)


def shared_advance(advances: Sequence[Array]) -> tuple[Array, bool]:
    """Frames of motion (T,) by which each frame goes on in all clips alike, and whether that has a period.

    advances: Of each clip, (T_c,); NaN where nothing tells. Returns NaN where too few clips tell, or they disagree.
    """
    total = max(len(each) for each in advances)
    votes = np.full((len(advances), total), np.nan)
    for row, each in zip(votes, advances, strict=True):
        row[: len(each)] = each
    place = np.broadcast_to(np.arange(total), votes.shape)
    voting = np.isfinite(votes) & (place > 0)
    if not (votes[voting] != 1).any():
        return np.full(total, np.nan), False
    for period in range(2, min(FAULT.longest_period, total // 3) + 1):
        modes = np.array([_mode(votes[voting & (place % period == phase)], 0.0) for phase in range(period)])
        fits, filled = votes == modes[place % period], np.nan_to_num(modes, nan=1.0)
        faults = voting & ((votes != 1) | (filled != 1)[place % period])
        if (filled != 1).any() and fits[voting].mean() >= FAULT.periodic and fits[faults].mean() >= FAULT.shared:
            advance = modes[np.arange(total) % period]
            advance[0] = min(advance[0], 1.0)  # what the first frame leaves out is a matter of the lead
            return advance, True
    return np.array([_mode(votes[voting[:, k], k], FAULT.shared, FEWEST_CLIPS) for k in range(total)]), False


def _mode(values: Array, least: float, fewest: int = 2) -> float:
    """The commonest value; NaN where few, or less than a share, are that."""
    distinct, counts = np.unique(values, return_counts=True)
    if not len(distinct) or counts.max() < max(fewest, least * len(values)):
        return float("nan")
    return float(distinct[counts.argmax()])


def path_rates(parts: Sequence[Part], clock: Clock, rate: float) -> Array:
    """Playback rates (C,) of predictions that keep to the true path and run evenly along it.

    clock: what else is wrong. rate: at the hand-over.
    """
    rates = []
    for part in parts:
        past = clock.shown(part.timing)
        steps = np.diff(np.maximum.accumulate(np.nan_to_num(past)), prepend=0.0)
        along = progress(part.clip, part.tracks, rate * steps)
        use = np.isfinite(along) & np.isfinite(past) & (along < len(past) - 0.5)
        if part.timing.rate is None or use.sum() < len(past) / 3:
            continue
        line, *_ = np.linalg.lstsq(np.stack([past[use], np.ones(int(use.sum()))], axis=1), along[use], rcond=None)
        if np.abs(along[use] - line[0] * past[use] - line[1]).max() < FAULT.even:
            rates.append(float(line[0]))
    return np.array(rates)


def diagnose_run(
    folder: RunFolder, workers: int = 2, say: Callable[[str], None] | None = None
) -> dict[str, ImpliedWorldResult]:
    """Find by family which other laws would explain a model's motion, and what its timing explains: diagnosis.json.

    Args:
        folder: A finished run. Files with its own tasks must be registered.
        workers: Processes; each takes a family at a time.
        say: Is told of families that take minutes, before they begin.

    Returns what was found, by family. Families without a motion that can be judged are left out.

    Raises UsageError: the folder is no finished run.
    """
    manifest, _ = read_run(folder)
    families: dict[str, list[Row]] = {}
    for row in manifest.rows:
        families.setdefault(row.family, []).append(row)
    chosen = {family: some for family, own in families.items() if (some := chosen_rows(own, folder))}
    clips_of(folder, manifest).ensure([row for own in chosen.values() for row in own], manifest.spec, workers)
    if say is not None:
        for words in filter(None, (long_search(family, own, folder) for family, own in chosen.items())):
            say(words)
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
    in_turn = [row for some in zip_longest(*chosen.values()) for row in some if row is not None]  # of each family one
    write_diagnosis(folder, worlds, run_timing(folder, in_turn))
    return worlds


TRIALS = 9  # explanations of a clip for each changed world, as measured on two families; right to a factor of three


def long_search(family: str, rows: Sequence[Row], folder: RunFolder) -> str:
    """A sentence on the time of a family whose law simulates scenes again, from one clip a task; "" where none does.

    rows: Clips of the family that are diagnosed. They must be in the store.
    """
    manifest = read_manifest(folder)
    spec, store = manifest.spec, clips_of(folder, manifest)
    share = min(len(rows), EFFORT.first_clips) / len(rows) if rows else 0.0  # of the clips of each task
    seconds, law_name, most = 0.0, "", 0
    for task in dict.fromkeys(row.task for row in rows):
        own = [row for row in rows if row.task == task]
        row = own[0]
        clip = store.get(row, spec)
        law = scene_law_of(clip)
        if law is None or not law.last_resort:
            continue
        evidence = evidence_of(clip, load_tracks(folder.tracks(row.id)))
        if evidence is None:
            continue
        started = time.perf_counter()
        explain(evidence)
        once = time.perf_counter() - started
        worlds = sum(world.applies(law) for world in find_changed_worlds())
        seconds += once * TRIALS * worlds * len(own) * share
        law_name, most = law_name or law.name, max(most, worlds)
    if not law_name:
        return ""
    return (
        f"In {family} the law {law_name} simulates scenes again for each of {most} changed worlds: about "
        f"{duration(seconds)}, less if the motion is lawful."
    )


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
