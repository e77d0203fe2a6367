"""Violations of time: the world runs too slowly or too fast, or stutters. All of it does, so no position is wrong."""

from __future__ import annotations

import numpy as np

from physbench.support.arrays import Array
from physbench.validity.violations.candidate_events import CandidateEvents
from physbench.validity.violations.violation_plan import Clock, ViolationEvent, ViolationPlan, violation


def at_rate(since: float, factor: float) -> Clock:
    """Time runs `factor` times as fast after `since` s."""

    def clock(times: Array) -> Array:
        return np.where(times > since, since + factor * (times - since), times)

    return clock


def stuttering(since: float, hold: float, beat: float = 0.5) -> Clock:  # s from one stutter to the next
    """After `since` s time stands still for the first `hold` s of every `beat` s, then jumps to where it should be."""

    def clock(times: Array) -> Array:
        phase = np.mod(times - since - 1e-9, beat) + 1e-9
        return np.where((times > since) & (phase < hold - 1e-9), times - phase, times)

    return clock


def turned_back(since: float, span: float) -> Clock:
    """Time runs backwards for `span` s after `since` s, and then forwards again."""

    def clock(times: Array) -> Array:
        late = times - since
        return np.where(late > 0, np.where(late <= span, since - late, times - 2 * span), times)

    return clock


def _since(candidates: CandidateEvents, rng: np.random.Generator) -> float:
    return float(candidates.times[candidates.choices(rng, 0.3)[0][1]])  # m/s of some body when time goes wrong


@violation(
    "slow-time",
    group="time",
    meaning="from a moment on everything happens s times as fast",
    severities=(0.25, 0.5, 0.8, 0.9),
    main=0.8,
    allowed=(0.01, 0.999),
)
def slow_time(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """Slow motion: speeds s and accelerations s^2 times the lawful ones."""
    since = _since(candidates, rng)
    return ViolationPlan((ViolationEvent(since, None),), clocks=((None, at_rate(since, severity)),))


@violation(
    "fast-time",
    group="time",
    meaning="from a moment on everything happens s times as fast",
    severities=(1.1, 1.25, 2.0),
    main=1.25,
    allowed=(1.001, 10.0),
)
def fast_time(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """Quick motion: speeds s and accelerations s^2 times the lawful ones."""
    since = _since(candidates, rng)
    return ViolationPlan((ViolationEvent(since, None),), clocks=((None, at_rate(since, severity)),))


@violation(
    "stutter",
    group="time",
    unit="s",
    meaning="every 0.5 s the world stands still for s and then jumps to where it should be",
    severities=(0.1, 0.2, 0.4),
    main=0.2,
    allowed=(0.001, 0.499),
)
def stutter(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """Frames are repeated and others dropped; on average the motion is right."""
    since = _since(candidates, rng)
    return ViolationPlan((ViolationEvent(since, None),), clocks=((None, stuttering(since, severity)),))


@violation(
    "reverse-time",
    group="time",
    unit="s",
    meaning="from a moment on everything runs backwards for s, and then forwards again",
    severities=(0.1, 0.2, 0.4, 0.8),
    main=0.4,
    allowed=(0.01, 2.0),
)
def reverse_time(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """All velocities turn round at two moments; in between each motion is one that the laws know, unless they lose
    energy."""
    since = _since(candidates, rng)
    return ViolationPlan((ViolationEvent(since, None),), clocks=((None, turned_back(since, severity)),))
