"""Violations out of sight: what comes out too early, too late, never, on the wrong side, or as something else."""

from __future__ import annotations

import numpy as np

from physbench.support.arrays import Array
from physbench.validity.violations.candidate_events import CandidateEvents
from physbench.validity.violations.hooks import IgnoreContact, RemoveBody
from physbench.validity.violations.violation_looks import lift, turned
from physbench.validity.violations.violation_plan import (
    Appearance,
    Bend,
    Clock,
    Inapplicable,
    ViolationEvent,
    ViolationPlan,
    violation,
)
from physbench.world.scene import PHYSICS_HZ

SHOWN_AGAIN = 0.3  # s in full view after the return


def _hidings(candidates: CandidateEvents) -> list[tuple[int, int, int]]:
    """(body, first, last grid index) of every time in which a moving body is wholly out of sight and comes back."""
    hidings = []
    shortened_by = 1  # grid steps that a hiding is shortened by on both sides
    for index in candidates.moving:
        hidden, seen = candidates.hidden(index), candidates.seen(index)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], hidden, [False]]).astype(np.int8)))
        for first, end in edges.reshape(-1, 2).tolist():
            back = np.flatnonzero(seen[end:])
            if end - 1 - first >= 2 * shortened_by and first > 0 and len(back) >= SHOWN_AGAIN * 60:
                hidings.append((index, first + shortened_by, end - 1 - shortened_by))
    if not hidings:
        raise Inapplicable("nothing that moves is wholly hidden after the hand-over and comes out again in full view")
    return hidings


def _one(candidates: CandidateEvents, rng: np.random.Generator, *, moving: bool = False) -> tuple[int, int, int, str]:
    # What is to come out on another side has 0.2 m/s at least
    hidings = [each for each in _hidings(candidates) if not moving or candidates.speed(each[0])[each[2]] >= 0.2]
    if not hidings:
        raise Inapplicable("what is hidden does not come out by itself: something uncovers it")
    index, first, last = hidings[int(rng.random() * len(hidings))]
    return index, first, last, candidates.scene.bodies[index].name


def _out(candidates: CandidateEvents, index: int, last: int) -> float:
    """Time in s at which a body begins to come out, or into a square picture, after grid index `last`."""
    seen_at_all = ~candidates.hidden(index, widest=1.0)
    return float(candidates.times[last + int(np.argmax(seen_at_all[last:]))])


@violation(
    "return-wrong-side",
    group="return",
    meaning="what went behind a screen comes out on the side where it went in (s = 1: as if it had turned round)",
)
def wrong_side(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """While it is hidden its trajectory is mirrored at the middle of the screen, so that it comes out in time."""
    index, first, last, name = _one(candidates, rng, moving=True)
    middle = (first + last) // 2
    other = next((i for i in candidates.screens(index) if candidates.cover(index, i)[1][middle]), None)
    if other is None:
        raise Inapplicable("no screen hides it: it has no sides")
    axis, time = candidates.axes[0], float(candidates.times[middle])
    centre = float(candidates.states[middle, other, axis])
    return ViolationPlan(
        (ViolationEvent(_out(candidates, index, last), name, time),), bends=((name, _mirror(time, axis, centre)),)
    )


def _mirror(since: float, axis: int, centre: float) -> Bend:
    def bend(times: Array, states: Array) -> Array:
        result = states.copy()
        late = times > since + 1e-9
        result[late, axis] = 2 * centre - result[late, axis]
        result[late, 7 + axis] *= -1
        result[late, 10:] *= -1
        return result

    return bend


@violation(
    "return-late",
    group="return",
    unit="s",
    meaning="what is hidden comes out s too late",
    severities=(0.1, 0.2, 0.4),
    main=0.2,
    allowed=(0.001, 4.0),
)
def late(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """It waits out of sight; the event is when it should come out."""
    index, first, last, name = _one(candidates, rng, moving=True)
    time = float(candidates.times[(first + last) // 2])

    def clock(times: Array) -> Array:
        return np.where(times > time, np.maximum(times - severity, time), times)

    return ViolationPlan(
        (ViolationEvent(_out(candidates, index, last), name, time),), clocks=((name, _on_grid(clock)),)
    )


@violation(
    "return-early",
    group="return",
    unit="s",
    meaning="what is hidden comes out s too early",
    severities=(0.1, 0.2),
    main=0.2,
    allowed=(0.001, 4.0),
)
def early(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """It jumps ahead out of sight; the event is when it comes out, or the camera has it in view again."""
    index, first, last, name = _one(candidates, rng, moving=True)
    room = candidates.times[last] - candidates.times[first]
    if room < severity:
        raise Inapplicable(f"it is hidden for {room:.2f} s only")
    time = float(candidates.times[last]) - severity
    behind = any(candidates.cover(index, i)[1][last] for i in candidates.screens(index))
    sooner = severity if behind else 0.0  # a camera that turns back does so in time

    def clock(times: Array) -> Array:
        return np.where(times > time + 1e-9, times + severity, times)

    return ViolationPlan(
        (ViolationEvent(_out(candidates, index, last) - sooner, name, time),), clocks=((name, _on_grid(clock)),)
    )


def _on_grid(clock: Clock) -> Clock:
    """Whole physics steps."""
    return lambda times: np.rint(clock(times) * PHYSICS_HZ) / PHYSICS_HZ


@violation(
    "return-never",
    group="return",
    meaning="what is hidden is gone when it should come out (s = 1: wholly)",
)
def never(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """It vanishes out of sight; the event is when it should come out."""
    index, first, last, name = _one(candidates, rng)
    time = float(candidates.times[(first + last) // 2])
    return ViolationPlan(
        (ViolationEvent(_out(candidates, index, last), name, time),),
        hooks=(RemoveBody(time, index),),
        appearances=(Appearance(time, name, hidden=True),),
    )


@violation(
    "return-hue",
    group="return",
    unit="deg",
    meaning="what is hidden comes out with a hue turned by s",
    severities=(30.0, 72.0),
    main=72.0,
    allowed=(-360.0, 360.0),
)
def return_hue(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """Another colour comes out; the event is when it comes out."""
    index, first, last, name = _one(candidates, rng)
    colour = turned(candidates.scene.bodies[index], severity)
    time = float(candidates.times[(first + last) // 2])
    return ViolationPlan(
        (ViolationEvent(_out(candidates, index, last), name, time),),
        appearances=(Appearance(time, name, colour=colour),),
    )


@violation(
    "return-size",
    group="return",
    meaning="what is hidden comes out s times as large in every measure",
    severities=(0.75, 0.9, 1.1),
    main=0.75,
    allowed=(0.1, 5.0),
)
def return_size(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """Another size comes out; the event is when the right one would."""
    index, first, last, name = _one(candidates, rng)
    middle = (first + last) // 2
    time = float(candidates.times[middle])
    appearance = Appearance(time, name, size=severity, lift=lift(candidates, index, middle, severity))
    return ViolationPlan((ViolationEvent(_out(candidates, index, last), name, time),), appearances=(appearance,))


@violation(
    "return-through-wall",
    group="return",
    meaning="behind a screen a body goes through what should stop it, and comes out (s = 1: wholly)",
)
def through_wall(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """The wall behind the screen is not solid; the event is when the body first shows beyond the screen."""
    for contact in candidates.contacts:
        pair = [candidates.scene.index(name) for name in (contact.a, contact.b)]
        movers = [i for i in pair if i in candidates.moving]
        at = int(np.searchsorted(candidates.times, contact.time - 1e-9))
        if (
            contact.time < 0.1
            or len(movers) != 1
            or at >= len(candidates.times)
            or not any(candidates.cover(movers[0], i)[1][at] for i in candidates.screens(movers[0]))
        ):
            continue
        index, wall = movers[0], pair[1 - pair.index(movers[0])]
        way = candidates.states[at - 1, index, 7 + candidates.axes[0]]
        edge = max(_edge(candidates, i, at, np.sign(way)) for i in candidates.screens(index))
        start = np.sign(way) * candidates.states[at, index, candidates.axes[0]] + candidates.diameter(index) / 2
        time = float(candidates.times[at]) + max(edge - start, 0.0) / abs(way)
        if time > candidates.scene.horizon - SHOWN_AGAIN:
            break
        since = np.floor((contact.time - 0.05) * PHYSICS_HZ) / PHYSICS_HZ
        event = ViolationEvent(
            np.floor(time * PHYSICS_HZ) / PHYSICS_HZ,
            candidates.scene.bodies[index].name,
            float(candidates.times[at]) - 0.05,
        )
        return ViolationPlan((event,), hooks=(IgnoreContact(since, index, wall),))
    raise Inapplicable("nothing is stopped behind a screen")


def _edge(candidates: CandidateEvents, index: int, at: int, sign: float) -> float:
    """Edge (m) of a box in the direction `sign` of the first axis of the plane."""
    axis = candidates.axes[0]
    return float(sign * candidates.states[at, index, axis] + candidates.scene.bodies[index].size[axis])
