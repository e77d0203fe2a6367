"""What a model does most clearly wrong: the law, the family, the size, and what one would see, in plain words.

A law is named only where that is sure: its interval excludes that there is no effect or, where there are no intervals,
it is off by many times what counts as broken. It is named only where the effect is large: in a family that loses at
least half as much lawful time as the worst one. A changed world that explains the motion comes before a reading, as it
explains what the true laws do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from physbench.results import number_format
from physbench.results.implied_worlds import said
from physbench.results.law_phrases import LawPhrase
from physbench.results.number_format import joined, number
from physbench.results.schema import ReadingValue, ResultDocument
from physbench.results.strength_summary import strength_text
from physbench.scoring.reading_roles import reading_of

BREAKS_BELOW = 0.95  # share of the time for which ground truth stays lawful
LARGE = 0.5  # of the lawful time that the worst family loses
LOOK_OFF = 3.0  # thresholds by which a law is off where there is no interval


@dataclass(frozen=True)
class Blame:
    """What is said first of what is wrong."""

    family: str  # "" where nothing is
    sentence: str


def blame(result: ResultDocument, laws: Mapping[str, LawPhrase]) -> Blame | None:
    """The family that is blamed, and the sentence; None where no family tells how long it stays lawful.

    laws: what may be named as broken, by reading.
    """
    kept = kept_lawful(result)
    ranked = sorted(kept, key=lambda family: (kept[family], family))
    if not ranked:
        return None
    worst = ranked[0]
    if kept[worst] >= BREAKS_BELOW:
        return _avoided(result) or Blame("", "No law breaks before the end.")
    large = [family for family in ranked if 1 - kept[family] >= LARGE * (1 - kept[worst])]
    tellers: tuple[Callable[[str], str], ...] = (
        lambda family: _world(result, family),
        lambda family: _reading(result, family, laws),
    )
    for words in tellers:
        for family in large:
            if told := words(family):
                return Blame(family, f"{'Worst' if family == worst else 'Clearest'} in {told}.")
    return Blame(worst, f"Worst in {worst}: {_unnamed(result, worst)}.")


def _avoided(result: ResultDocument) -> Blame | None:
    """Where no law breaks since what decides a scene does not happen: the task that loses most by that."""
    lost = [
        (each.lost, task, kind, each)
        for task, kinds in result.event_frequency.items()
        for kind, each in kinds.items()
        if each.lost > 0
    ]
    if not lost:
        return None
    _, task, kind, each = max(lost, key=lambda item: item[:3])
    return Blame(
        task.split("/")[0],
        f"No law breaks before the end, since what is hard is avoided: a {kind} in {each.seen:.3g} of {each.clips} "
        f"clips of {number_format.short(task)}, where lawful futures have {each.expected:.1f}.",
    )


def kept_lawful(result: ResultDocument) -> dict[str, float]:
    """By family: for how long it stays lawful, as a share of ground truth; without a time, the share of consistency."""
    reading = result.readings.get(reading_of("lawful-time"))
    found: dict[str, list[float]] = {}
    for task, axes in result.tasks.items():
        axis = axes.get("consistency")
        if axis is None or axis.kind not in ("informative", "guard"):
            continue
        timed = reading.tasks.get(task) if reading else None
        value, truth = axis.quality, axis.references["truth"]
        if timed is not None:
            value, truth = (timed.value or 0.0) * timed.clips / max(timed.applicable, 1), timed.references["truth"]
        if value is not None and truth:
            found.setdefault(task.split("/")[0], []).append(value / truth)
    return {family: sum(shares) / len(shares) for family, shares in found.items()}


def _world(result: ResultDocument, family: str) -> str:
    """The changed world that explains a family's motion; "" where none does, and where its interval holds no effect."""
    world = result.implied_worlds.get(family)
    if world is None or world.verdict != "named" or world.interval is None or world.interval[0] <= 0:
        return ""
    free = [law for law in world.laws if law.value is not None and law.true is not None]
    if any(law.interval is None or law.interval[0] <= (law.true or 0.0) <= law.interval[1] for law in free):
        return ""
    share = f"explains {100 * world.share:.0f} % of what the true laws do not"
    return f"{family}: as if {said(world.laws)}{_so([law.seen for law in world.laws])} ({share})"


def _reading(result: ResultDocument, family: str, laws: Mapping[str, LawPhrase]) -> str:
    """The reading of a law that is farthest over its threshold in a family; "" where none is surely."""
    broken = [
        ("." not in name, off, name, task, value)  # a law's own reading before its parts
        for name, reading in result.readings.items()
        if name in laws and not (result.unseen_constants and laws[name].needs_constants)
        for task, value in reading.tasks.items()
        if task.split("/")[0] == family and (off := _off(laws[name], value)) >= 1
    ]
    if not broken:
        return ""
    _, _, name, task, value = max(broken, key=lambda item: item[:4])
    law, unit = laws[name], result.readings[name].unit
    true = value.references["truth"] or 0.0
    size = f"{number(value.value, 2)} {number_format.unit(unit)}".strip()
    if value.interval:
        size += f" [{number(value.interval[0], 2)}, {number(value.interval[1], 2)}]"
    place = family if sum(each.split("/")[0] == family for each in result.tasks) == 1 else ""
    place = place or f"{family} ({number_format.short(task)})"
    seen = law.seen[int((value.value or 0.0) > true)]
    return f"{place}: {law.say(size)} where the truth has {law.prefix}{number(true, 2)}{_so([seen])}"


def _off(law: LawPhrase, value: ReadingValue) -> float:
    """How far a law's reading is off, over what counts as broken; 0 where that is not sure."""
    truth = value.references["truth"]
    if value.value is None or truth is None or 2 * value.clips < value.applicable:
        return 0.0
    off = abs(value.value - truth) / law.breaks_at
    return off if value.departs or (value.interval is None and off >= LOOK_OFF) else 0.0


def _so(seen: list[str]) -> str:
    words = joined([each for each in dict.fromkeys(seen) if each])
    return f", so that {words}" if words else ""


def _unnamed(result: ResultDocument, family: str) -> str:
    """How much and how soon a family stops being lawful, where no single law says why."""
    first, world = result.first_breaks.get(family), result.implied_worlds.get(family)
    why = "; no one wrong law explains it" if world is not None and world.verdict == "no simple law" else ""
    if first is not None and first.median is not None and 2 * first.broken >= first.clips:
        clips = number_format.counted(first.clips, "clip")
        size = None if result.strength is None else result.strength.families.get(family)
        far = f" by {strength_text(size.model_dump())} diameters" if size is not None and size.median else ""
        when = f"from {max(first.median, 0.1):.1f} s on (medians)"
        return f"in {first.broken} of {clips} things leave every path that the laws allow{far}, {when}{why}"
    quality = result.families[family]["consistency"].quality
    failed = len({item.clip for item in result.failures if item.clip.split(".")[0] == family})
    also = f"; {failed} of its clips failed" if failed else ""
    return f"{100 * (quality or 0):.0f} % of its motion is explained by the laws{also}{why}"
