"""Names, numbers, units and tables as they are written for people."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence

# How names, numbers and units are written for people.

AXIS_NAMES = {"consistency": "physical consistency", "permanence": "object permanence", "drift": "long-horizon drift"}
DRIFT_IS_BETTER_HIGH = "Of long-horizon drift, too, more is better: 1 drifts no more than ground truth."
STRENGTH_MEANING = "the smallest distance in diameters within which the whole motion is lawful"
DASH_MEANING = "A dash: no motion is compared with the laws there."
SATURATED_MEANING = (
    "On a guard a frozen frame does nearly as well as ground truth, so that a model can only lose: kept says that it "
    "does not, lost which share of it a task loses, or what a family's losses take from the axis (after what it gains)."
)
AXIS_QUESTIONS = {
    "consistency": "Could this have happened under the laws of the scene?",
    "permanence": "Is everything still there, and still itself?",
    "drift": "Is it what happens here, for as long as that can be known?",
}
MAY_CHANGE = "headline scorers may still change: not for publication"
FAILED_ON = "failed on"  # begins the reason for which the reading of a scorer that raised is unavailable
UNITS = {"1": "", "m/s2": "m/s²", "m/s^2": "m/s²", "deg": "°"}


def ascii_minus(text: str) -> str:
    """Numbers that can be copied."""
    return text.replace("−", "-")


def short(task: str) -> str:
    """ "falling/projectile-v1" -> "projectile"."""
    name = task.split("/")[-1]
    stem, _, version = name.rpartition("-v")
    return stem if version.isdigit() and stem else name


def plain(reading: str) -> str:
    """ "laws/areal-velocity.slope" -> "areal velocity slope"."""
    return reading.split("/")[-1].replace(".", " ").replace("-", " ").replace("_", " ")


def unit(name: str) -> str:
    """A unit as it is written after a number; "" for a pure number."""
    return UNITS.get(name, name)


def number(value: float | None, digits: int = 3) -> str:
    """Three significant digits, at most four decimal places; a dash for None and NaN."""
    if value is None or not math.isfinite(value):
        return "–"
    if abs(value) < 0.5e-4:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")  # 0.9996 has the places of 1.00
    places = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    return f"{value:.{min(places, 4)}f}".replace("-", "−")


def fixed(value: float | None, places: int = 2) -> str:
    """Two decimal places; a dash for None and NaN."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:.{places}f}"
    return (text[1:] if float(text) == 0 and text.startswith("-") else text).replace("-", "−")


def bracket(interval: Sequence[float] | None, places: int = 2) -> str:
    """ "[0.38, 0.44]", or nothing."""
    return "" if interval is None else f"[{fixed(interval[0], places)}, {fixed(interval[1], places)}]"


def ahead(skill: float, interval: Sequence[float]) -> str:
    """ "ahead by 0.25 [0.16, 0.31]", "behind by 0.13 [0.10, 0.16]"."""
    low, high = interval if skill >= 0 else (-interval[1], -interval[0])
    return f"{'ahead' if skill >= 0 else 'behind'} by {fixed(abs(skill))} {bracket((low, high))}"


def joined(parts: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else list(parts))


def counted(many: int, thing: str) -> str:
    """ "1 break", "3 breaks", "3 batches"."""
    return f"{many} {thing}{'' if many == 1 else 'es' if thing.endswith('ch') else 's'}"


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV; None is an empty cell."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if value is None else cell_text(value) for value in row] for row in rows)
    return target.getvalue()


def cell_text(value: object) -> object:
    """Text of models and users, escaped so that no spreadsheet takes it for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
