"""Tracks and scores of a task's clips: of ground truth, the frozen last frame and constant velocity."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from physbench.clips.clip import Clip
from physbench.models.protocol import ModelCard
from physbench.result.skill import kind
from physbench.run.references import reference_rollout
from physbench.score.predictability import ENSEMBLE, Predictability, predictability
from physbench.score.protocol import AXES, Scorer, ScoreRow
from physbench.score.score_clip import score_clip
from physbench.track.tracks import Tracks, Visibility
from physbench.validity.task_checks.clip_protocol import outside, visible_share
from physbench.validity.task_checks.finding import AxisReading, Finding, Shot, failed, fine, remark

CHECKED_SOURCES = ("truth", "freeze", "constant-velocity")
MEDIAN_TRACK_ERROR, MAX_TRACK_ERROR = 0.04, 0.1  # diameters: of a track of ground truth in one clip
SLOW_CLIP, TOO_SLOW_CLIP = 2.5, 10.0  # s for a clip


@dataclass(frozen=True, eq=False)
class Measured:
    """One clip, tracked and scored."""

    clip: Clip
    rows: dict[str, list[ScoreRow]]  # by source
    tracks: Tracks | None  # of ground truth
    known: Predictability  # what its context allows
    seconds: float  # to track and score a rollout


def measure(clip: Clip, card: ModelCard, scorers: Sequence[Scorer]) -> Measured:
    """Track and score ground truth and baselines on one clip."""
    rows: dict[str, list[ScoreRow]] = {}
    known = predictability(clip, card.scored_context)
    started = time.process_time()
    tracks = None
    for name in CHECKED_SOURCES:
        clip_rows, observation = score_clip(clip, reference_rollout(name, clip, card), card.scored_context, scorers)
        rows[name] = clip_rows
        if name == "truth" and observation is not None:
            tracks = observation.tracks
    return Measured(clip, rows, tracks, known, (time.process_time() - started) / len(CHECKED_SOURCES))


def check_tracks(measured: Sequence[Measured]) -> Iterator[Finding]:
    """Tracks of ground truth lie where the objects are, and hold nothing else."""
    errors = []
    for one in measured:
        clip, tracks = one.clip, one.tracks
        if tracks is None:
            reason = next(row.reason for row in one.rows["truth"] if row.status == "failed")
            yield failed(
                "tracking",
                f"ground truth cannot be tracked: {reason}",
                "Mend what else failed first, or report this.",
                clip,
            )
            continue
        window = clip.window(tracks.context)
        true, across = clip.px_positions()[window], clip.diameters()[window] * clip.pixels_per_metre  # px
        findings: list[Finding] = []
        for column, body in enumerate(clip.tracked_bodies):
            clear = (visible_share(clip, clip.tracked[column])[window] > 0.98) & (
                outside(clip, clip.tracked[column])[window] <= 0
            )
            lost = clear & (tracks.state[:, column] == Visibility.ABSENT)
            error = np.linalg.norm(tracks.position[:, column] - true[:, column], axis=-1) / across[:, column]
            error = np.where(clear & np.isfinite(error), error, 0.0)
            errors.append(error[clear])
            when = clip.times[window]
            if lost.any():
                findings.append(_lost(clip, body.name, float(when[np.argmax(lost)]), "is in full view and not found"))
            elif (
                error.max(initial=0) > MAX_TRACK_ERROR
                or np.median(error[clear] if clear.any() else 0) > MEDIAN_TRACK_ERROR
            ):
                text = f"is located {error.max():.2f} diameters off"
                findings.append(_lost(clip, body.name, float(when[np.argmax(error)]), text))
        spurious = (tracks.hallucinations > 0) | (tracks.duplicates > 0).any(axis=1)
        if spurious.any() and not findings:
            moment = float(clip.times[window][np.argmax(spurious)])
            findings.append(_lost(clip, None, moment, "something is detected that is no object"))
        yield from findings
    together = np.concatenate(errors) if errors else np.zeros(1)
    if together.size:
        yield fine(
            "tracking", f"ground truth is located to {np.median(together):.3f} diameters, at worst {together.max():.2f}"
        )


def _lost(clip: Clip, body: str | None, when: float, text: str) -> Finding:
    return failed(
        "tracking",
        f"{body + ' ' if body else ''}{text} at {when:.2f} s",
        "Complementary hues that touch, objects below 5 px and silhouettes that are no disc or box do that.",
        clip,
        Shot(clip, (when,), body),
    )


def axis_readings(measured: Sequence[Measured]) -> dict[str, AxisReading]:
    """Mean qualities on every axis over the clips on which ground truth has one."""
    readings_of_axes: dict[str, AxisReading] = {}
    for axis in AXES:
        values: dict[str, list[float]] = {name: [] for name in CHECKED_SOURCES}
        for one in measured:
            quality = {name: _quality(one.rows[name], axis) for name in CHECKED_SOURCES}
            if quality["truth"] is not None:
                for name in CHECKED_SOURCES:
                    values[name].append(quality[name] or 0.0)
        truth, freeze, straight = (float(np.mean(values[n])) if values[n] else None for n in CHECKED_SOURCES)
        known = truth is not None and freeze is not None
        kinds = kind(truth, freeze) if known else "absent"  # type: ignore[arg-type]
        readings_of_axes[axis] = AxisReading(kinds, truth, freeze, straight)
    return readings_of_axes


def _quality(rows: Sequence[ScoreRow], axis: str) -> float | None:
    """Quality on an axis of one clip: the mean of its headline readings that apply."""
    values = [row.quality for row in rows if row.axis == axis and row.quality is not None]
    return float(np.mean(values)) if values else None


def check_axes(measured: Sequence[Measured], axes: dict[str, AxisReading], straight: bool = False) -> Iterator[Finding]:
    """Ground truth scores well on every axis, and on some axis neither a frozen picture nor straight motion does.

    straight: The task declares that things go on in straight lines.
    """
    least_truth_quality = 0.95  # least mean quality of ground truth on an axis on which it is scored
    for axis, reading in axes.items():
        if (
            reading.truth is not None
            and reading.kind in ("informative", "guard")
            and reading.truth < least_truth_quality
        ):
            worst = min(measured, key=lambda one: _or_one(_quality(one.rows["truth"], axis)))
            why = sorted({row.reason for row in worst.rows["truth"] if row.axis == axis and row.reason})
            yield failed(
                "truth",
                f"{axis}: ground truth reads {reading.truth:.3f}, it must read {least_truth_quality:g}"
                + (f" ({'; '.join(why)})" if why else ""),
                "Look at the clip and remove what the scorer takes for wrong (bodies that leave the window, unlit "
                "parts, contacts in the first frames, motion without a closed form), or declare outcomes instead.",
                worst.clip,
                _overview(worst.clip),
            )
    clip = measured[0].clip
    informative = {axis: reading for axis, reading in axes.items() if reading.kind == "informative"}
    if not informative:
        yield failed(
            "nothing to predict",
            "on no axis is ground truth better than the frozen last frame by 0.25: "
            + ", ".join(f"{axis} {_or_dash(r.truth)} against {_or_dash(r.freeze)}" for axis, r in axes.items()),
            "Let more happen after 0: objects that go further than their diameter, soon.",
            clip,
            _overview(clip),
        )
    # share of ground truth's quality from which constant velocity solves a task
    elif all((each.constant_velocity or 0.0) >= 0.95 * (each.truth or 0.0) for each in informative.values()):
        text = "constant velocity solves this task: " + ", ".join(
            f"{axis} {_or_dash(each.constant_velocity)} of {_or_dash(each.truth)}" for axis, each in informative.items()
        )
        if straight:
            yield fine("straight motion", f"{text}, as it declares")
        else:
            yield failed(
                "straight motion",
                text,
                "Let things turn, be hit or stop after 0. If something else is tested, such as whether they persist "
                "behind a screen, say straight_motion = True in the class.",
                clip,
                _overview(clip),
            )


def check_known(measured: Sequence[Measured]) -> Iterator[Finding]:
    """The future can be known from the context, for a while at least."""
    times = [one.known.seconds for one in measured]
    short = [one for one in measured if one.known.seconds < ENSEMBLE.min_seconds]
    if 2 * len(short) > len(measured):
        yield failed(
            "predictability",
            f"{len(short)} of {len(measured)} clips can be predicted for less than {ENSEMBLE.min_seconds:g} s from the "
            "laws and the context",
            "Use fewer contacts soon after 0, or larger or slower objects.",
            short[0].clip,
            _overview(short[0].clip),
        )
        return
    horizon = measured[0].clip.scene.horizon
    yield fine("predictability", f"{min(times):.1f} to {max(times):.1f} s of {horizon:g} s can be known from 8 frames")


def check_cost(seconds: dict[str, float]) -> Iterator[Finding]:
    """A clip is made and scored in reasonable time."""
    total = sum(seconds.values())
    words = f"{seconds['clip']:.2f} s to make a clip, {seconds['score']:.2f} s to track and score it"
    if total > TOO_SLOW_CLIP:
        yield failed("cost", words, "Fewer bodies or contacts, a shorter horizon: 32 clips at this pace take too long.")
    elif total > SLOW_CLIP:
        yield remark("cost", words, "Fewer bodies or contacts make it faster.")
    else:
        yield fine("cost", words)


def _overview(clip: Clip) -> Shot:
    return Shot(clip, tuple(clip.scene.horizon * k / 4 for k in range(5)))


def _or_one(value: float | None) -> float:
    return 1.0 if value is None else value


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
