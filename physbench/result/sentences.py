"""The answer in words: a few sentences from the readings that exist, from comparisons and timing.

Where there are intervals, a reading is used only if its interval excludes the value of ground truth.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from physbench.clips.clip import PROMPT_MOTION, Row
from physbench.clips.suite import FRESH, OWN, PROMPT_MOTION_SUFFIX, PUSHED_SUITES, PUSHER, THRUST
from physbench.result import formats
from physbench.result.bootstrap import FEWEST
from physbench.result.coverage import partial_words
from physbench.result.document import PartialRun, ResultDocument, TimingFault, TimingResult
from physbench.result.findings import SAID
from physbench.result.formats import AXIS_NAMES, bracket, fixed, joined
from physbench.score.protocol import ReadingRole
from physbench.score.score_clip import reading_of, scorer_of
from physbench.world.scene import FAR, PHYSICS_HZ, PLAIN, RenderSpec, wrong_rate

if TYPE_CHECKING:
    from physbench.result.compare import Against, SkillDifference

# A comparison in one plain sentence.


def distinct_names(runs: Sequence[tuple[str, str]]) -> list[str]:
    """Names of runs from (name of the model, path): with the path where two models share a name."""
    names = [name for name, _ in runs]
    return [f"{name} ({path})" if names.count(name) > 1 else name for name, path in runs]


def sentence(first: str, against: Against) -> str:
    """ "objects is ahead of constant-velocity by 0.25 [0.16, 0.31]; most in orbits; not distinguishable in permanence."

    Where there is no interval, a sign test over the clips says whether they differ.
    """
    other, whole = against.other.name, against.overall
    if whole.ahead is None:
        head = f"{first} and {other} have no overall skill to compare here ({whole.reason})"
        if all(difference.interval is None for difference in against.axes.values()):
            return f"{head}; {_by_clips(first, against)}."
    elif whole.interval is None:
        values = f"overall {fixed(whole.first)} and {fixed(whole.other)}"
        return f"{_by_clips(first, against)}; {values}, on too few clips to tell by how much."
    elif whole.sign == 0:
        head = f"{first} and {other} cannot be told apart overall: {_size(whole, signed=True)}"
    else:
        way = "ahead of" if whole.sign > 0 else "behind"
        head = f"{first} is {way} {other} by {_size(whole)}"
    parts = [head]
    families = {name: difference["overall"] for name, difference in against.families.items()}
    if whole.sign:
        most = [name for name, difference in families.items() if difference.sign == whole.sign]
        if len(families) > 1 and most:
            parts.append(f"most in {max(most, key=lambda name: abs(families[name].ahead or 0.0))}")
        parts += _others(families, -whole.sign)
        parts += _others(_named(against.axes), -whole.sign)
    else:
        for direction in (1, -1):
            parts += _others({**_named(against.axes), **families}, direction)
    axes = {name: difference for name, difference in _named(against.axes).items() if difference.ahead is not None}
    unclear = [name for name, difference in axes.items() if difference.interval is not None and difference.sign == 0]
    few = [name for name, difference in axes.items() if difference.interval is None]
    if few:
        parts.append(f"too few clips to tell in {joined(few)}")
    if unclear and len(unclear) < len(against.axes):
        parts.append(f"not distinguishable in {joined(unclear)}")
    return "; ".join(parts) + "."


def _by_clips(first: str, against: Against) -> str:
    """ "objects is ahead of constant-velocity in 12 of 14 clips (sign test, p = 0.013)"."""
    clips, other = against.clips, against.other.name
    total = clips.ahead + clips.behind + clips.equal
    more, way = max((clips.ahead, "ahead of"), (clips.behind, "behind"))
    equal = f", equal in {clips.equal}" if clips.equal else ""
    odds = f"(sign test, {'p < 0.001' if clips.p < 0.001 else f'p = {clips.p:.2g}'}{equal})"
    if clips.sign:
        return f"{first} is {way} {other} in {more} of {total} clips {odds}"
    counts = f"ahead in {clips.ahead} and behind in {clips.behind} of {total} clips"
    return f"{first} and {other} cannot be told apart: {counts} {odds}"


def _named(axes: Mapping[str, SkillDifference]) -> dict[str, SkillDifference]:
    return {AXIS_NAMES.get(axis, axis): value for axis, value in axes.items()}


def _others(differences: Mapping[str, SkillDifference], sign: int) -> list[str]:
    """ "behind in falling by 0.10 [0.02, 0.18]" for what differs in this direction."""
    named = [f"{name} by {_size(one)}" for name, one in differences.items() if one.sign == sign]
    return [f"{'ahead' if sign > 0 else 'behind'} in {joined(named)}"] if named else []


def _size(difference: SkillDifference, *, signed: bool = False) -> str:
    """ "0.25 [0.16, 0.31]", turned so that it is positive unless `signed`."""
    ahead, (low, high) = difference.ahead or 0.0, difference.interval or (0.0, 0.0)
    if ahead < 0 and not signed:
        ahead, low, high = -ahead, -high, -low
    return f"{fixed(ahead)} [{fixed(low)}, {fixed(high)}]"


# What is said of the timing of a run's frames, and what mends it.


def worded_timing(timing: TimingResult, fps: float) -> TimingResult:
    """The finding with its sentence and remedy. fps: of the scored frames."""
    faults = joined([phrase(fault) for fault in timing.faults])
    missing = all(fault.kind == "repeats" and fault.frame is None for fault in timing.faults)
    undone = "with these taken as missing" if missing else "with that undone"
    size = (
        f"{undone}, the laws explain {100 * timing.undone:.0f} % of its motion instead of {100 * timing.quality:.0f} %"
    )
    apart = _mended_apart(timing.faults)
    remedy = " ".join(dict.fromkeys(remedy_of(fault, fps) for fault in apart))
    if len(apart) < len(timing.faults):
        remedy = f"{remedy} Leave the repeats out: what is left runs in real time at the same `fps`.".strip()
    return timing.model_copy(update={"sentence": f"Timing: {faults}; {size}. {remedy}".strip(), "remedy": remedy})


def _mended_apart(faults: Sequence[TimingFault]) -> list[TimingFault]:
    """Faults that are mended each by itself: not repeats with the rate that follows from them."""
    repeats = [fault for fault in faults if fault.kind == "repeats" and fault.frame is None]
    rates = [fault for fault in faults if fault.kind == "rate"]
    if repeats and rates and abs(rates[0].value - (1 - repeats[0].value)) < 0.05:  # of real time
        return [fault for fault in faults if fault not in (repeats[0], rates[0])]
    return list(faults)


def phrase(fault: TimingFault) -> str:
    """Timing fault in words: "predictions begin one frame late"."""
    if fault.frame is not None and fault.kind == "repeats":
        return f"frame {fault.frame} of every clip repeats the one before"
    if fault.frame is not None:
        return f"frames are left out before frame {fault.frame} of every clip"
    if fault.kind == "repeats" and fault.period is None:
        return f"{100 * fault.value:.0f} % of the frames repeat the one before"
    if fault.kind == "repeats":
        return f"{_every(fault)} repeats the one before"
    if fault.kind == "left-out":
        return f"frames are left out, {100 * fault.value:.0f} for each 100 that are shown"
    if fault.kind == "rate":
        return f"everything runs at {fault.value:.3g} x real time {bracket(fault.interval, 3)}".rstrip()
    if fault.kind == "blend":
        return f"each frame is a blend of neighbouring ones, {abs(fault.value):.2g} frames behind its time"
    size = abs(fault.value)
    frames = "one frame" if size == 1 else f"{size:.2g} frames"
    return f"predictions begin {frames} {'early' if fault.value > 0 else 'late'}"


def _every(fault: TimingFault) -> str:
    ordinals = {2: "second", 3: "third", 4: "fourth", 5: "fifth", 6: "sixth", 8: "eighth", 10: "tenth"}
    return f"every {ordinals[fault.period]} frame" if fault.period in ordinals else f"one frame in {fault.period}"


def remedy_of(fault: TimingFault, fps: float) -> str:
    """The setting that mends a fault of an adapter."""
    if fault.kind == "shift" and fault.value == -1:
        return (
            "If the answer begins with the last context frame, leave it out: the first frame is due one interval after "
            "the hand-over (videos: --model-arg includes_context=true)."
        )
    if fault.kind == "shift" and fault.value == 1:
        return (
            "If the adapter takes the first new frame for the last context frame, keep it: it is due one interval "
            "after the hand-over (videos: --model-arg includes_context=false)."
        )
    if fault.kind == "rate":
        native, steps = fps / fault.value, max(1, round(PHYSICS_HZ * fault.value / fps))
        if wrong_rate(PHYSICS_HZ / steps) is not None:
            return f"If the model draws {native:.3g} frames/s, no card can say so: resample its answer to {fps:g}."
        rate = f"{PHYSICS_HZ // steps}" if PHYSICS_HZ % steps == 0 else f"{PHYSICS_HZ} / {steps}"
        return (
            f"If the model draws {native:.3g} frames/s, say so: fps={rate} of its card (videos: --model-arg "
            f"fps={native:.3g})."
        )
    if fault.frame is not None:
        return "If chunks of frames are joined there, each must begin with the frame behind the last one."
    if fault.kind == "repeats":
        return "If a conversion of frame rates repeats frames, leave them out and state the lower rate as `fps`."
    if fault.kind == "left-out":
        return "If a conversion of frame rates leaves frames out, answer with all of them."
    if fault.kind == "blend":
        return "If frames are interpolated to a higher rate, answer with those of the model and its rate as `fps`."
    return "The first frame is due one interval after the hand-over."


def note(
    rows: Sequence[Row],
    spec: RenderSpec,
    fixed: bool,
    fresh: bool = False,
    ended: PartialRun | None = None,
    older: int | None = None,
    target: str = "",
) -> str:
    """Limits of the figures: an older suite, a part of it, one this small, fresh seeds, another look, words for
    motion, small videos; "" where nothing limits them. fixed: whether it is fixed which tasks count. target: of the
    model."""
    parts = (
        "" if older is None else f"read as in suite version {older}, weighed as in a newer one: beside no other run",
        "" if ended is None else partial_words(ended),
        _few(rows, by_split=ended is None),
        "fresh seeds, which are those of no suite: for no ranking" if fresh else "",
        "told in words how things move: not beside runs that see only the image"
        if any(row.change == PROMPT_MOTION for row in rows)
        else "",
        "" if spec.picture == PLAIN else _picture_limits(spec, fixed),
        f"{small}: on a board without a rank" if (small := small_videos(target, min(spec.height, spec.width))) else "",
    )
    return "; ".join(each for each in parts if each)


LEAST_VIDEO_SIDE = 128  # px, from which videos are ranked (docs/design/tracking.md, "Who compares")


def small_videos(target: str, side: int) -> str:
    """The limit of videos of `side` px that are too small to be ranked; "" of larger ones and of other models."""
    if not target.startswith("videos:") or side >= LEAST_VIDEO_SIDE:
        return ""
    return f"videos below {LEAST_VIDEO_SIDE} px, in which strong compression costs skill"


def _picture_limits(spec: RenderSpec, fixed: bool) -> str:
    """Limits of the figures of another look or view than the plain one from afar."""
    names = [f"the look {spec.look}"] * (spec.look != PLAIN) + [f"the view {spec.view}"] * (spec.view != FAR)
    others = "other ones" if len(names) > 1 else f"another {names[0].split()[1]}"
    said = f"{' and '.join(names)}: not beside runs of {others}"
    small = "" if min(spec.height, spec.width) >= 128 else "; it is made for pictures of 128 px and more"
    return f"{said}{small}" + (
        "" if fixed else ". Which tasks count in it at this size is not fixed: the clips of this run decide"
    )


def _few(rows: Sequence[Row], by_split: bool) -> str:
    """Limits of the figures of few clips; "" where every stratum gives intervals."""
    strata = Counter((row.task, row.split if by_split else "") for row in rows)
    if min(strata.values()) >= FEWEST:
        return ""
    tasks = sorted(Counter(row.task for row in rows).values())
    count = f"{tasks[0]}" if tasks[0] == tasks[-1] else f"{tasks[0]} to {tasks[-1]}"
    return f"a look, not a score: {count} clip{'' if count == '1' else 's'} a task"


def sentences(result: ResultDocument) -> list[str]:
    """At most seven: how long it stays physical, the findings, pushes and camera, what was not shown."""
    motion = [finding.sentence for finding in result.findings]
    if not result.findings or result.findings[0].kind == "failed":
        return motion
    if result.findings[0].kind == "frozen":
        return [*motion, *filter(None, (_needs_actions(result),))]
    candidates = (_lawful(result), *motion, _changed(result), _driven(result), _turned(result), _needs_actions(result))
    return [sentence for sentence in candidates if sentence]


def _lawful(result: ResultDocument) -> str | None:
    lawful = result.lawful
    if lawful is None or lawful.seconds is None:
        return None
    freeze, truth = lawful.references["freeze"], lawful.references["truth"]
    return physical_for(lawful.seconds, lawful.horizon, freeze, truth, lawful.interval)


def physical_for(
    seconds: float,
    horizon: float,
    freeze: float | None = None,
    truth: float | None = None,
    interval: Sequence[float] | None = None,
) -> str:
    """ "Physical for 2.3 s of 4.7 s (freeze 0.3, truth 4.7)."; the references where both are known."""
    between = f" [{interval[0]:.1f}, {interval[1]:.1f}]" if interval else ""
    beside = f" (freeze {freeze:.1f}, truth {truth:.1f})" if freeze is not None and truth is not None else ""
    return f"Physical for {seconds:.1f} s{between} of {_trimmed(horizon)} s{beside}."


def _changed(result: ResultDocument) -> str | None:
    """The predicted effect of a push; None where no pair was read, and where it is that of ground truth."""
    every, others = _effect(result, "push-effect"), _effect(result, "push-effect-on-others")
    if every is None and others is None:
        return None
    figure, beside = every or others or ("", "")
    where = "" if every else " in objects that it does not push itself"
    also = f"; in objects that it does not push itself {others[0]}" if every and others else ""
    return f"A push does {figure} of what it should{where} ({beside}){also}."


LEAST_SHARE_APART = 0.05  # from ground truth, of the share of a command, or of a camera's turns, that is followed


def _driven(result: ResultDocument) -> str | None:
    """Share of commands that a model follows which knows them; None where it follows all, and in other suites."""
    informed = result.model.card.uses_actions or result.model.track == "privileged"
    if not informed or _suite_name(result) not in (PUSHER, THRUST):
        return None
    figures = _effect(result, "command-followed", LEAST_SHARE_APART, "clips")
    return f"What is driven does {figures[0]} of what it is told ({figures[1]})." if figures else None


def _turned(result: ResultDocument) -> str | None:
    """Share of its path that a moving camera follows; None where it follows all and the model did not know the path."""
    card, reading = result.model.card, result.readings.get(reading_of("camera-followed"))
    if reading is None or all(value.value is None for value in reading.tasks.values()):
        return None
    informed = card.uses_camera or result.model.track == "privileged"
    if turns := _effect(result, "camera-followed", LEAST_SHARE_APART, "clips"):
        text = f"The camera turns {turns[0]} of what it should ({turns[1]})"
    elif not informed:
        return None
    else:
        text = "The camera turns as it should"
    return f"{text}." if informed else f"{text}: the model takes no poses of it."


def _suite_name(result: ResultDocument) -> str:
    """Of the suite from which the tasks or clips are."""
    return result.suite.name.removeprefix(FRESH).removeprefix(OWN).removesuffix(PROMPT_MOTION_SUFFIX)


def _needs_actions(result: ResultDocument) -> str | None:
    """A remark that a model without actions cannot know what happens in clips with actions; else None."""
    suite = _suite_name(result)
    if result.model.card.uses_actions or result.model.track == "privileged":
        return None
    if suite == PUSHER:
        return "The model takes no actions: it was not told how the pusher is to move."
    if suite == THRUST:
        return "The model takes no actions: it was not told how the thruster is to push."
    if suite in PUSHED_SUITES:
        return "The model takes no actions: it was not told of the pushes, nor asked what one changes."
    return None


def _effect(
    result: ResultDocument, role: ReadingRole, least: float = 0.0, counted: str = "pairs"
) -> tuple[str, str] | None:
    """The mean over tasks, weighted by their pairs, "0.45 [0.41, 0.49]", and beside it that of ground truth, "truth 1".

    None where it does not depart from ground truth by `least` (0: as the scorer says), and where more than half of what
    is counted failed, of all tasks. The interval is made of those of the tasks, which are independent (method of
    variance estimates recovery: Zou and Donner 2008, doi:10.1002/sim.3095).
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
    least = least or ((scorer_of(role).breaks_at or 0.0) if known else SAID.least_apart)
    if abs(mean - truth) < least or (known and low <= truth <= high):
        return None
    interval = f" {formats.bracket((low, high))}" if known else ""
    part = f"; read in {pairs} of {applicable} {counted}" if pairs < applicable else ""
    return f"{formats.fixed(mean)}{interval}", f"truth {truth:.2g}{part}"


def _trimmed(value: float) -> str:
    """At most one decimal place: "4", "4.9"."""
    return f"{value:.1f}".removesuffix(".0")
