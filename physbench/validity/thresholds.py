"""Thresholds of readings: declared bars, and the verdict of a table on them.

A bar on an AUROC, or on a share of located breaks, is met if the estimate reaches it and the lower end of its interval
is at most NEAR below. It says nothing where even a perfect result of so few clips would have a lower end below that,
unless the upper end is below the bar. One on skill is met if the estimate is below it, one on false breaks if their
upper bound is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from physbench.score.protocol import AXES

Measure = Literal["auroc", "located", "quality", "skill", "broken"]


@dataclass(frozen=True)
class ValidityLimits:
    """Bars that hold of all scorers."""

    margin: float = 0.02
    false_breaks_a_task: tuple[int, int] = (
        6,
        150,
    )  # of 150 clips of a task, at most, with a strength above the first of them
    above_straight: float = 0.10  # overall skill of a gaming baseline above that of constant velocity, at most
    low_rate_gain: float = 0.05  # skill that a lasting violation may gain where fewer frames are shown
    all_levels: float = (
        0.222  # diameters; a clip with a larger strength breaks at 0.2 too: the grid has 0.185, 0.2219 and 0.266
    )


LIMITS = ValidityLimits()


FALSE_BREAKS = {0.03: 0.02, 0.08: 0.005}  # strength in diameters: largest share of lawful clips, upper 95 % bound
LOW_QUALITY = {0.995: 0.02}  # quality of ground truth on an axis: largest share of clips below it, upper 95 % bound
STRENGTH = "strength"  # after the slash of the ids of scorers that read a smallest tolerance, in diameters


@dataclass(frozen=True)
class Threshold:
    """At least (for skill: at most) `limit`.

    reading: the last part of a reading's id, or "AXIS" for the headline reading or the skill of an axis.
    families: () for every one in which the violation applies.
    """

    source: str  # a source, or a glob of them
    measure: Measure
    reading: str
    limit: float
    families: tuple[str, ...] = ()

    def names(self, source: str) -> bool:
        """True if it is a bar of that source anywhere."""
        return fnmatchcase(source, self.source)

    def concerns(self, source: str, family: str) -> bool:
        """True if it is a bar of that source in that family."""
        return self.names(source) and (not self.families or family in self.families)


def _strengths(bars: Mapping[str, float], *families: str) -> Iterator[Threshold]:
    for source, limit in bars.items():
        yield Threshold(source, "auroc", STRENGTH, limit, families)


BARS: tuple[Threshold, ...] = (
    *_strengths({"teleport:0.1": 0.95, "teleport:0.25": 0.99, "kick:0.2": 0.90, "kick:0.5": 0.99}),
    *_strengths({"speed-gain:0.5": 0.99, "freeze:0.5": 0.99, "pass-through:1": 0.99}),
    *_strengths({"gravity:0.95": 0.99, "gravity:0.98": 0.90}, "falling"),
    *_strengths({"force-exponent:1.8": 0.99, "central-mass:0.95": 0.99}, "orbits"),
    *_strengths({"momentum:0.5": 0.95, "mass-ratio:2": 0.95}, "collisions"),
    *_strengths({"return-wrong-side:1": 0.95, "return-late:0.2": 0.95}, "occlusion"),
    *(Threshold(source, "auroc", "permanence", 0.99) for source in ("vanish:1", "hue:72", "size:1.25")),
    *(Threshold(source, "auroc", "permanence", 0.95) for source in ("shrink:5", "breathe:8", "hue-drift:5")),
    Threshold("scenery-vanish:1", "auroc", "consistency", 0.95),
    Threshold("walk:0.05", "auroc", STRENGTH, 0.95),
    Threshold("tremble:0.05", "auroc", "jitter", 0.95),
    *(Threshold(source, "auroc", "timing", 0.99) for source in ("late:1", "early:1")),
    *(Threshold(source, "auroc", "repeats", 0.95) for source in ("hold:2", "stall:1")),
    *(Threshold(source, "auroc", "left-out", 0.95) for source in ("drop:8", "skip:1")),
    Threshold("rate:0.95", "auroc", "rate", 0.95),
    Threshold("blend:0.5", "auroc", "smear", 0.95),
    *(
        Threshold(source, "located", "first-break", 0.95)
        for source in ("teleport:0.25", "kick:0.5", "freeze:0.5", "pass-through:1")
    ),
    Threshold("gravity:0.9", "skill", "consistency", 0.7),
    Threshold("gravity:0.8", "broken", STRENGTH, 0.8, ("falling",)),
    *(Threshold("stranger-far-waived", "quality", axis, 0.95) for axis in ("consistency", "permanence")),
)


def last_part(reading: str) -> str:
    """ "strength" of "consistency/strength" and of "own/thing.strength"."""
    return reading.replace("/", ".").rpartition(".")[2]


def is_strength(reading: str) -> bool:
    """True if a reading is a smallest tolerance: a scorer's own, not one among others that is called so."""
    return reading.endswith(f"/{STRENGTH}")


def threshold_of(source: str, family: str, reading: str, axis: str | None) -> Threshold | None:
    """The bar of a cell, if one is declared. axis: of which the reading is the headline."""
    for bar in BARS:
        wanted = axis if bar.reading in AXES else last_part(reading)
        if wanted == STRENGTH and not is_strength(reading):
            continue
        if bar.measure != "skill" and bar.reading == wanted and bar.concerns(source, family):
            return bar
    return None


def measure_of(row: Mapping[str, Any]) -> str:
    """Measure of the bar of a row of a table: a Measure, or "false breaks"."""
    if row["level"] in ("skill", "false breaks"):
        return str(row["level"])
    if row["kind"] == "stranger":
        return "quality"
    reading = last_part(row["reading"])
    bars = (bar for bar in BARS if bar.measure in ("located", "broken") and bar.reading == reading)
    return next((bar.measure for bar in bars if bar.names(row["source"])), "auroc")


def skill_threshold_of(source: str, axis: str) -> Threshold | None:
    """The bar of a skill on an axis, if one is declared."""
    return next((bar for bar in BARS if bar.measure == "skill" and bar.reading == axis and bar.names(source)), None)


def is_met(bar: Threshold, value: float, low: float, high: float = 1.0, perfect: float = 1.0) -> bool | None:
    """True if an estimate with its interval meets a bar; None where it or its interval is NaN, or clips are too few.

    perfect: the lower end that the interval of 1 would have with as many clips.
    """
    if math.isnan(value) or (math.isnan(low) and bar.measure in ("auroc", "located", "broken")):
        return None
    if bar.measure == "skill":
        return value <= bar.limit
    if perfect < bar.limit - LIMITS.margin - 1e-12:
        return False if high < bar.limit else None
    return value >= bar.limit - 1e-12 and not low < bar.limit - LIMITS.margin - 1e-12
