"""The answer in words: a few sentences from the readings that exist.

Where there are intervals, a reading is used only if its interval excludes the value of ground truth.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from physbench.clips.clip import Row
from physbench.clips.scene_changes import TOLD
from physbench.clips.suite import FRESH, OWN, PUSHED_SUITES
from physbench.clips.told_suite import TOLD_SUFFIX
from physbench.results import number_format
from physbench.results.answers import asked_axes
from physbench.results.blame import blame
from physbench.results.bootstrap import FEWEST
from physbench.results.early_sign import early_sign
from physbench.results.law_phrases import LawPhrase, builtin_phrases
from physbench.results.partial_run import partial_words
from physbench.results.schema import ReadingValue, ResultDocument
from physbench.results.schema_parts import PartialRun
from physbench.scoring.reading_roles import reading_of, scorer_of
from physbench.scoring.scorer_protocol import ReadingRole
from physbench.world.scene import PLAIN, RenderSpec

SAME_SKILL = 0.02  # of no difference, where there are no intervals
MOST_GONE = 0.5  # share of the objects in view that are lost, from which that is said first
LOOK_APART = 0.1  # of ground truth's size: difference that counts where there are no intervals


def note(
    rows: Sequence[Row], spec: RenderSpec, fixed: bool, fresh: bool = False, ended: PartialRun | None = None
) -> str:
    """Why the figures are limited: a part of the suite, a suite this small, fresh seeds, another look, words for
    motion; "" where nothing limits them. fixed: whether it is fixed which tasks count."""
    found = (
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


def sentences(result: ResultDocument, laws: Mapping[str, LawPhrase] | None = None) -> list[str]:
    """At most five: how long it stays physical, what is wrong, what is lost, what a push does, what was not shown.

    laws: what may be named as broken, by reading; by default what comes with physbench declares.
    """
    if result.counts.scored == 0:
        return [f"No clip could be scored: all {result.counts.clips} failed."]
    if like_frozen := _like_frozen(result):
        return [like_frozen, *filter(None, (_untold(result),))]
    wrong = blame(result, builtin_phrases() if laws is None else laws)
    worst = [wrong and wrong.sentence, _losses(result)]
    if (_lost_share(result, "survival") or 0.0) > MOST_GONE:
        worst.reverse()  # what is not there follows no law: its absence says more than any path
    found = (_lawful(result), *worst, _changed(result), _untold(result))
    return [sentence for sentence in found if sentence]


def _like_frozen(result: ResultDocument) -> str | None:
    """Where no axis differs from the frozen last frame: what differs first in a training; None where one does."""
    axes = [result.axes[axis] for axis in asked_axes(result.model.card)]
    if any(axis.skill is None for axis in axes):
        return None
    same = [abs(a.skill or 0) < SAME_SKILL if a.interval is None else a.interval[0] <= 0 <= a.interval[1] for a in axes]
    if not all(same):
        return None
    early = early_sign(result.model_dump(include={"readings"})["readings"])
    told = "" if early is None else number_format.fixed(early)
    pixels = f" Pixels of the first 0.5 s read {told}: 0 is frozen, 1 is ground truth." if told else ""
    return f"Cannot be told from a frozen last frame: no axis differs from it.{pixels}"


def _lawful(result: ResultDocument) -> str | None:
    lawful = result.lawful
    if lawful is None or lawful.seconds is None:
        return None
    interval = f" [{lawful.interval[0]:.1f}, {lawful.interval[1]:.1f}]" if lawful.interval else ""
    freeze, truth = lawful.references["freeze"], lawful.references["truth"]
    beside = f" (freeze {freeze:.1f}, truth {truth:.1f})" if freeze is not None and truth is not None else ""
    return f"Physical for {lawful.seconds:.1f} s{interval} of {_trimmed(lawful.horizon)} s{beside}."


def _losses(result: ResultDocument) -> str | None:
    """Objects that do not come back from behind screens, and that vanish in view, with how many clips failed."""
    losses = _losses_seen(result)
    if losses is None or not result.counts.failed:
        return losses
    failed = f"{result.counts.failed} of {number_format.counted(result.counts.clips, 'clip')} failed"
    return f"{losses.removesuffix('.')} where it could be seen: {failed}."


def _losses_seen(result: ResultDocument) -> str | None:
    hidden, view = _lost(result, "reemergence"), _lost(result, "survival")
    if hidden is None and view is None:
        return None
    if hidden:
        also = f" and {view} in view" if view else ""
        return f"Loses {hidden} of objects behind screens{also}."
    if view:
        return (
            f"Loses no object behind screens, but {view} in view."
            if hidden == ""
            else f"Loses {view} of objects in view."
        )
    return "Loses no object behind screens." if hidden == "" else "Loses no object in view."


def _lost(result: ResultDocument, role: ReadingRole) -> str | None:
    """The complement of a share that is kept: "31 % [25, 37]", "" for no loss, None where there is no reading."""
    values, share = _kept_values(result, role), _lost_share(result, role)
    if share is None:
        return None
    if not any(departs(value) for value in values):
        return ""
    clips = sum(value.clips for value in values)
    single = values[0].interval if len(values) == 1 and values[0].clips == clips else None
    interval = f" [{100 * (1 - single[1]):.0f}, {100 * (1 - single[0]):.0f}]" if single else ""
    return f"{100 * share:.0f} %{interval}"


def _lost_share(result: ResultDocument, role: ReadingRole) -> float | None:
    """The complement of a share that is kept, mean over clips; None where there is no reading."""
    values = _kept_values(result, role)
    if not values:
        return None
    return 1 - sum((value.value or 0.0) * value.clips for value in values) / sum(value.clips for value in values)


def _kept_values(result: ResultDocument, role: ReadingRole) -> list[ReadingValue]:
    """What is kept, by task, where most clips tell."""
    reading = result.readings.get(reading_of(role))
    return [
        value
        for value in (reading.tasks.values() if reading else ())
        if value.value is not None and 2 * value.clips >= value.applicable  # else too much failed to tell
    ]


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


def departs(value: ReadingValue) -> bool:
    """Whether a reading differs from ground truth: by its interval, without one by more than LOOK_APART."""
    if value.value is None or 2 * value.clips < value.applicable:
        return False
    return value.departs if value.interval else apart(value) > LOOK_APART


def apart(value: ReadingValue) -> float:
    """Distance from ground truth over the size of ground truth's value (at least 0.1 in its unit)."""
    truth = value.references["truth"]
    return abs(value.value - truth) / max(abs(truth), 0.1) if value.value is not None and truth is not None else 0.0
