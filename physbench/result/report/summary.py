"""Words on a result wherever it is shown: on the page, on a terminal, in Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from physbench.result.coverage import overall_meaning
from physbench.result.document import AxisResult, Counts, Failure, ResultDocument, SkillValue, Speed
from physbench.result.formats import (
    AXIS_NAMES,
    DASH_MEANING,
    DRIFT_IS_BETTER_HIGH,
    FAILED_ON,
    MAY_CHANGE,
    SATURATED_MEANING,
    STRENGTH_MEANING,
    ahead,
    bracket,
    counted,
    fixed,
    joined,
    number,
    plain,
    unit,
)
from physbench.result.report.tables import BEYOND_MEMORY, counting, event_sentences, memory_note, partly
from physbench.score.score_clip import builtin_scorers
from physbench.support.progress import duration

# Consistency with unseen constants in words, for the summary, Markdown and the report.


def unseen_sentences(result: ResultDocument) -> list[str]:
    """Consistency with unseen constants free, and the factors found for them; [] where the context shows them all."""
    unseen = result.unseen_constants
    if not unseen:
        return []
    who = "an image cannot" if result.context == 1 else "the context does not"
    own, axis = unseen.consistency, result.axes["consistency"]
    free = f"With the strength of forces left free ({who} show it):"
    if own.skill is None:
        return [f"{free} no skill in consistency ({own.reason})."]
    if _with(own.skill, own.interval) == _with(axis.skill, axis.interval):
        return [f"{free} consistency {fixed(own.skill)} as well."]
    sentences = [f"{free} consistency {_with(own.skill, own.interval)} instead of {fixed(axis.skill)}."]
    if factors := family_factors(result):
        listed = joined([f"{text} in {family}" for family, text in factors.items()])
        sentences.append(f"The best factor on it is {listed} (medians; 1 where none is better).")
    return sentences


def family_factors(result: ResultDocument) -> dict[str, str]:
    """The median factor of each family that has one, with its interval."""
    unseen = result.unseen_constants
    families = {} if unseen is None else {family: each.factor for family, each in unseen.families.items()}
    return {
        family: _with(factor.value, factor.interval) for family, factor in families.items() if factor.value is not None
    }


def _with(value: float | None, interval: tuple[float, float] | None) -> str:
    return f"{fixed(value)} {bracket(interval)}".rstrip()


# What scorers that do not come with physbench read, in a line each.


def own_readings(result: ResultDocument) -> list[str]:
    """ "own/speed-error 0.42 m/s (truth 0.01, freeze 1.1; median of 14 tasks)"; [] without such scorers."""
    shipped = {each.id for each in builtin_scorers()}
    lines = []
    basis = ("truth", "freeze")  # references that stand beside
    for name, reading in sorted(result.readings.items()):
        if name.split(".")[0] in shipped:
            continue
        rows = [(row.value, row.references) for row in reading.tasks.values() if row.value is not None]
        if not rows:
            continue
        beside = [[other for _, known in rows if (other := known.get(base)) is not None] for base in basis]
        words = [f"{base} {number(float(np.median(each)))}" for base, each in zip(basis, beside, strict=True) if each]
        value = f"{number(float(np.median([value for value, _ in rows])))} {unit(reading.unit)}".strip()
        tasks = counted(len(rows), "task")
        lines.append(f"{name} {value} ({', '.join(words)}; median of {tasks})")
    return lines


STRENGTH_LEGEND = (
    f"Strength: {STRENGTH_MEANING}, median over clips; ground truth has 0.01, and less is better. {DASH_MEANING}"
)


@dataclass(frozen=True)
class Figure:
    """A number with its name."""

    name: str
    value: str
    interval: str
    reason: str  # why the value is missing, or what it rests on

    @property
    def text(self) -> str:
        """ "0.52 [0.48, 0.55]"."""
        return f"{self.value} {self.interval}".strip()

    @property
    def named(self) -> str:
        """ "beyond memory 0.10 [0.05, 0.15]"."""
        return f"{self.name} {self.text}"


@dataclass(frozen=True)
class SummaryView:
    """The answer, what it rests on, and what limits it."""

    model: str
    run: tuple[str, ...]  # suite, clips, samples a clip, size and rate
    further: tuple[str, ...]  # track, chained calls, local clips
    limits: str  # "" for none
    sentences: tuple[str, ...]
    scored: bool
    overall: Figure
    meaning: str  # what overall is made of, where these are not all axes
    axes: Mapping[str, Figure]
    beside: tuple[str, ...]  # reference models, and what memory does not explain
    best_of: str
    distribution: str
    unseen: str  # with unseen constants free
    events: str  # what happens too seldom behind one image
    memory: str  # why memory is not known
    counting: str  # which clips count
    legend: tuple[str, ...]
    failed: str  # how many clips; "" for none
    reasons: tuple[tuple[str, int], ...]  # the most frequent ones
    more_reasons: int
    unavailable: tuple[tuple[str, str], ...]  # (reading, why)
    took: tuple[tuple[str, str], ...]
    speed: str  # the same in a line


def summary_view(result: ResultDocument) -> SummaryView:
    """The words for a result document."""
    model, suite, counts = result.model, result.suite, result.counts
    some = f" of {suite.of}" if suite.of not in (None, suite.clips) else ""
    limits = "; ".join(each for each in (result.note, MAY_CHANGE if result.provisional else "") if each)
    overall = result.overall
    reasons = failures_by_reason(result.failures)
    shown_reasons = 3
    return SummaryView(
        model=model.name,
        run=_known(
            result.suite_label,
            f"{suite.clips}{some} clips" if some else counted(suite.clips, "clip"),
            f"{counts.samples} samples a clip" if counts.samples > 1 else "",
            result.render_spec,
        ),
        further=_known(
            model.track if model.track != "zero-shot" else "",
            f"chained: {model.chained}" if model.chained > 1 else "",
            "local clips" if suite.local else "",
        ),
        limits=f"{limits[0].upper()}{limits[1:]}." if limits else "",
        sentences=tuple(result.sentences),
        scored=counts.scored > 0,
        overall=_figure("overall", overall, "" if result.note and overall.skill is not None else overall.reason),
        meaning=overall_meaning(model.card),
        axes={axis: _figure(AXIS_NAMES.get(axis, axis), own, _rests_on(own)) for axis, own in result.axes.items()},
        beside=_beside(result),
        best_of=_best_of(result),
        distribution=_distribution(result),
        unseen=" ".join(unseen_sentences(result)),
        events=" ".join(event_sentences(result)),
        memory=memory_note(result),
        counting=" ".join(counting(result) + partly(result)),
        legend=(
            f"1 is ground truth, 0 the frozen last frame. {DRIFT_IS_BETTER_HIGH}",
            SATURATED_MEANING,
            *([STRENGTH_LEGEND] if result.strength else []),
        ),
        failed=_failed(counts),
        reasons=tuple(reasons[:shown_reasons]),
        more_reasons=max(len(reasons) - shown_reasons, 0),
        unavailable=_unavailable(result.unavailable),
        took=took(result.speed),
        speed=_speed(result.speed),
    )


def failures_by_reason(failures: Sequence[Failure]) -> list[tuple[str, int]]:
    """Reasons with the number of their clips, the most frequent first; those that differ in the clip's name are one."""
    first: dict[str, str] = {}
    clips: dict[str, set[str]] = {}
    for failure in failures:
        kind = failure.reason.replace(failure.clip, "")
        first.setdefault(kind, failure.reason)
        clips.setdefault(kind, set()).add(failure.clip)
    return sorted(((first[kind], len(names)) for kind, names in clips.items()), key=lambda item: -item[1])


def _known(*parts: str) -> tuple[str, ...]:
    return tuple(part for part in parts if part)


def _figure(name: str, skill: SkillValue, reason: str) -> Figure:
    return Figure(name, fixed(skill.skill), bracket(skill.interval), reason)


def _rests_on(axis: AxisResult) -> str:
    """Number of tasks that an axis rests on, or the reason that it has no skill."""
    return axis.reason if axis.skill is None else counted(axis.informative, "informative task")


def _beside(result: ResultDocument) -> tuple[str, ...]:
    """Overall skill of the references, and what memory does not explain."""
    values = []
    for name, reference in result.references.items():
        own, lead = reference.overall.skill, reference.ahead
        if own is not None:
            far = (
                f"; the model is {ahead(lead.skill, lead.interval)}" if lead.skill is not None and lead.interval else ""
            )
            values.append(f"{plain(name)} {fixed(own)}{far}")
    beyond = result.beyond_memory
    if beyond and beyond.overall and beyond.overall.skill is not None:
        values.append(f"{BEYOND_MEMORY} {fixed(beyond.overall.skill)} {bracket(beyond.overall.interval)}".rstrip())
    return tuple(values)


def _best_of(result: ResultDocument) -> str:
    """The best of several samples; "" for one."""
    best = result.best_of
    if not best:
        return ""
    axes = ", ".join(f"{AXIS_NAMES.get(axis, axis)} {fixed(value)}" for axis, value in best.axes.items())
    chosen = f"Best of {best.samples} samples, chosen after the fact and not the score"
    return f"{chosen}: overall {fixed(best.overall)}, {axes}."


def _distribution(result: ResultDocument) -> str:
    """The sentence on several samples together; "" for one."""
    samples = result.distribution
    if samples is None:
        return ""
    begin = f"{samples.samples} samples a clip"
    parts = [("CRPS in diameters", samples.crps, f", what the context leaves open {fixed(samples.open)}")]
    if samples.equal:
        begin += ", all equal: the model is deterministic, and one sample tells all. "
    else:
        begin += ": "
        parts.append(("spread over error", samples.spread_over_error, " (1 is calibrated, less too sure)"))
    parts.append(("lawful samples", samples.lawful, f" (truth {fixed(samples.lawful_truth)})"))
    if samples.bins is not None:
        parts.append(("distance of the bins", samples.bins, f" (simulations {fixed(samples.open_bins)})"))
    values = ", ".join(f"{name} {_with(each.value, each.interval)}{beside}" for name, each, beside in parts)
    reasons = dict.fromkeys(each.reason for _, each, _ in parts if each.reason)
    notes = "".join(f" {reason[0].upper()}{reason[1:]}." for reason in reasons)
    return f"{begin}{values}.{notes}"


def _unavailable(reasons: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Readings and why there are none; those that want an extra of this package in one line, with one command."""
    lines: list[tuple[str, str]] = []
    extras: dict[str, str] = {}
    for name, why in reasons.items():
        if extra := re.fullmatch(r"not installed \(pip install 'physbench\[([a-z-]+)\]'\)", why):  # as scorers say it
            extras[name] = extra[1]
        else:
            lines.append((name, why if why.startswith(FAILED_ON) else f"unavailable: {why}"))
    if not extras:
        return tuple(lines)
    wanted = ",".join(sorted(set(extras.values())))
    return (*lines, (joined(list(extras)), f"unavailable: not installed (pip install 'physbench[{wanted}]')"))


def _failed(counts: Counts) -> str:
    share = f"{counts.failed} of {counted(counts.clips, 'clip')}"
    if not counts.failed:
        return ""
    return f"{share} failed and count as 0" if counts.samples == 1 else f"In {share} a sample failed and counts as 0"


def _speed(speed: Speed) -> str:
    parts = [
        (speed.model_frames_per_s, "{:.0f} model frames/s"),
        (speed.total_seconds and duration(speed.total_seconds), "whole run {}"),
        (speed.peak_memory_gb, "{:.1f} GB"),
    ]
    return ", ".join(text.format(value) for value, text in parts if value)


def took(speed: Speed) -> tuple[tuple[str, str], ...]:
    """Speed and memory as (name, value), as far as they are known."""

    def known(seconds: float | None) -> str | None:
        return None if seconds is None else duration(seconds)

    share = speed.harness_share
    parts = [
        ("model", speed.model_frames_per_s, "{:.0f} frames/s"),
        ("time inside the model", known(speed.model_seconds), "{}"),
        ("whole run", known(speed.total_seconds), "{}"),
        ("of it outside the model", None if share is None else 100 * share, "{:.0f} %"),
        ("memory of all processes", speed.peak_memory_gb, "{:.2f} GB at most"),
        ("memory of the device", speed.device_memory_gb, "{:.2f} GB at most"),
    ]
    return tuple((name, text.format(value)) for name, value, text in parts if value is not None)
