"""The answer in words: a few sentences from the readings that exist.

Where there are intervals, a reading is used only if its interval excludes the value of ground truth.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from physbench.clips.clip import Row
from physbench.clips.scene_changes import TOLD
from physbench.clips.suite import FRESH, OWN, PUSHED_SUITES
from physbench.clips.told_suite import TOLD_SUFFIX
from physbench.results import number_format
from physbench.results.bootstrap import FEWEST
from physbench.results.findings import LOOK_APART
from physbench.results.partial_run import partial_words
from physbench.results.schema import ResultDocument
from physbench.results.schema_parts import PartialRun
from physbench.scoring.reading_roles import reading_of, scorer_of
from physbench.scoring.scorer_protocol import ReadingRole
from physbench.world.scene import PLAIN, RenderSpec


def note(
    rows: Sequence[Row],
    spec: RenderSpec,
    fixed: bool,
    fresh: bool = False,
    ended: PartialRun | None = None,
    older: int | None = None,
) -> str:
    """Why the figures are limited: an older suite, a part of it, one this small, fresh seeds, another look, words for
    motion; "" where nothing limits them. fixed: whether it is fixed which tasks count."""
    found = (
        "" if older is None else f"read as in suite version {older}, weighed as in a newer one: beside no other run",
        "" if ended is None else partial_words(ended),
        _few(rows, by_split=ended is None),
        "fresh seeds, which are those of no suite: for no ranking" if fresh else "",
        "told in words how things move: not beside runs that see only the image"
        if any(row.change == TOLD for row in rows)
        else "",
        ""
        if spec.look == PLAIN
        else f"the look {spec.look}: not beside runs of another look"
        + ("" if fixed else ". Which tasks count in it at this size is not fixed: the clips of this run decide"),
    )
    return "; ".join(each for each in found if each)


def _few(rows: Sequence[Row], by_split: bool) -> str:
    """Why the figures of few clips are limited; "" where every stratum gives intervals."""
    strata = Counter((row.task, row.split if by_split else "") for row in rows)
    if min(strata.values()) >= FEWEST:
        return ""
    tasks = sorted(Counter(row.task for row in rows).values())
    count = f"{tasks[0]}" if tasks[0] == tasks[-1] else f"{tasks[0]} to {tasks[-1]}"
    return f"a look, not a score: {count} clip{'' if count == '1' else 's'} a task"


def sentences(result: ResultDocument) -> list[str]:
    """At most six: how long it stays physical, the findings, what a push does, what was not shown."""
    told = [finding.sentence for finding in result.findings]
    if not result.findings or result.findings[0].kind == "failed":
        return told
    if result.findings[0].kind == "frozen":
        return [*told, *filter(None, (_untold(result),))]
    found = (_lawful(result), *told, _changed(result), _untold(result))
    return [sentence for sentence in found if sentence]


def _lawful(result: ResultDocument) -> str | None:
    lawful = result.lawful
    if lawful is None or lawful.seconds is None:
        return None
    interval = f" [{lawful.interval[0]:.1f}, {lawful.interval[1]:.1f}]" if lawful.interval else ""
    freeze, truth = lawful.references["freeze"], lawful.references["truth"]
    beside = f" (freeze {freeze:.1f}, truth {truth:.1f})" if freeze is not None and truth is not None else ""
    return f"Physical for {lawful.seconds:.1f} s{interval} of {_trimmed(lawful.horizon)} s{beside}."


def _changed(result: ResultDocument) -> str | None:
    """The predicted effect of a push; None where no pair was read, and where it is that of ground truth."""
    every, others = _effect(result, "push-effect"), _effect(result, "push-effect-on-others")
    if every is None and others is None:
        return None
    figure, beside = every or others or ("", "")
    where = "" if every else " in objects that it does not push itself"
    also = f"; in objects that it does not push itself {others[0]}" if every and others else ""
    return f"A push does {figure} of what it should{where} ({beside}){also}."


def _untold(result: ResultDocument) -> str | None:
    """A remark that a model without actions cannot know what happens in clips with pushes; else None."""
    pushed = result.suite.name.removeprefix(FRESH).removeprefix(OWN).removesuffix(TOLD_SUFFIX) in PUSHED_SUITES
    if not pushed or result.model.card.get("uses_actions") or result.model.track == "privileged":
        return None
    return "The model takes no actions: it was not told of the pushes, nor asked what one changes."


def _effect(result: ResultDocument, role: ReadingRole) -> tuple[str, str] | None:
    """The mean over tasks, weighted by their pairs, "0.45 [0.41, 0.49]", and beside it that of ground truth, "truth 1".

    None where it does not depart from ground truth, and where more than half of the pairs of all tasks failed. The
    interval is made of those of the tasks, which are independent (method of variance estimates recovery: Zou and Donner
    2008, doi:10.1002/sim.3095).
    """
    reading = result.readings.get(reading_of(role))
    tasks = list(reading.tasks.values()) if reading else []
    values = [value for value in tasks if value.value is not None and value.references["truth"] is not None]
    pairs, applicable = sum(value.clips for value in values), sum(value.applicable for value in tasks)
    if not pairs or 2 * pairs < applicable:
        return None
    shares = [value.clips / pairs for value in values]
    mean = sum(share * (value.value or 0.0) for share, value in zip(shares, values, strict=True))
    truth = sum(share * (value.references["truth"] or 0.0) for share, value in zip(shares, values, strict=True))
    ends = [
        [share * ((value.interval or (math.nan,) * 2)[end] - (value.value or 0.0)) for end in (0, 1)]
        for share, value in zip(shares, values, strict=True)
    ]
    low, high = mean - math.hypot(*(end[0] for end in ends)), mean + math.hypot(*(end[1] for end in ends))
    known = math.isfinite(low + high)
    least = (scorer_of(role).breaks_at or 0.0) if known else LOOK_APART
    if abs(mean - truth) < least or (known and low <= truth <= high):
        return None
    interval = f" {number_format.bracket((low, high))}" if known else ""
    counted = f"; read in {pairs} of {applicable} pairs" if pairs < applicable else ""
    return f"{number_format.fixed(mean)}{interval}", f"truth {truth:.2g}{counted}"


def _trimmed(value: float) -> str:
    """At most one decimal place: "4", "4.9"."""
    return f"{value:.1f}".removesuffix(".0")
