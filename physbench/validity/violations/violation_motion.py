"""Violations of inertia: things that jump, stop, hang or speed up by themselves."""

from __future__ import annotations

import numpy as np

from physbench.support.arrays import Array
from physbench.validity.violations.candidate_events import WANDERING_HZ, CandidateEvents, frame_noise, shifted
from physbench.validity.violations.hooks import GrowVelocity, HoldStill, ShiftState
from physbench.validity.violations.violation_plan import Clock, Inapplicable, ViolationEvent, ViolationPlan, violation
from physbench.world.scene import PHYSICS_HZ, Body, Joint

AIRBORNE = 0.2  # m/s; slower is as good as at rest
KICK_ROOM = 0.15  # diameters that a kicked body can go before it meets anything


def _name(candidates: CandidateEvents, index: int) -> str:
    return candidates.scene.bodies[index].name


def _free_direction(candidates: CandidateEvents, rng: np.random.Generator, distance: float) -> tuple[int, int, Array]:
    """A body, a grid index and a unit vector (3,) along which it can go `distance` of its diameters."""
    for index, at in candidates.choices(rng):
        directions = candidates.directions(index, at, distance * candidates.diameter(index), rng)
        if len(directions):
            return index, at, directions[0]
    raise Inapplicable(f"no body has room for {distance:g} diameters in any direction")


def _rolling_spin(body: Body, up: Array | None, velocity: Array) -> Array:
    """Spin (3,) rad/s with which a ball rolls at a velocity (3,) m/s over ground of normal `up`; 0 without ground."""
    return np.zeros(3) if up is None else np.asarray(np.cross(up, velocity) / body.size[0])


@violation(
    "teleport",
    group="motion",
    unit="diameters",
    meaning="a body is s further in a free direction from one step to the next",
    severities=(0.1, 0.25, 0.5, 1.0),
    main=0.25,
    allowed=(0.001, 20.0),
)
def teleport(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """A jump in place; the velocity stays."""
    index, at, way = _free_direction(candidates, rng, severity)
    if any(isinstance(each, Joint) and _name(candidates, index) in each.sources for each in candidates.scene.fields):
        raise Inapplicable("a joint would draw it back at once")
    jump = severity * candidates.diameter(index) * way
    return ViolationPlan(
        (ViolationEvent(float(candidates.times[at]), _name(candidates, index)),),
        hooks=(ShiftState(float(candidates.times[at]), index, jump, np.zeros(3), np.zeros(3)),),
    )


@violation(
    "kick",
    group="motion",
    unit="m/s",
    meaning="a body gains s in a free direction from one step to the next",
    severities=(0.1, 0.2, 0.5, 1.0),
    main=0.5,
    allowed=(0.001, 20.0),
)
def kick(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """A jump in velocity that nothing gives; a ball that rolls goes on rolling."""
    index, at, way = _free_direction(candidates, rng, KICK_ROOM)
    spin = _rolling_spin(candidates.scene.bodies[index], candidates.rolls_on(index, at), severity * way)
    return ViolationPlan(
        (ViolationEvent(float(candidates.times[at]), _name(candidates, index)),),
        hooks=(ShiftState(float(candidates.times[at]), index, np.zeros(3), severity * way, spin),),
    )


@violation(
    "start",
    group="motion",
    unit="m/s",
    meaning="a body at rest begins to move at s by itself",
    severities=(0.1, 0.2, 0.5, 1.0),
    main=0.5,
    allowed=(0.001, 20.0),
)
def start(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """A body at rest sets off, level with the ground and in the plane of motion; a ball rolls, so nothing slows it."""
    for index, at in candidates.choices(rng, most_speed=0.01):  # m/s
        ways = candidates.directions(index, at, KICK_ROOM * candidates.diameter(index), rng)
        level = ways[np.abs(ways @ candidates.scene.gravity) < 1e-9]
        if len(level):
            time, name = float(candidates.times[at]), _name(candidates, index)
            velocity = severity * level[0]
            body = candidates.scene.bodies[index]
            up = candidates.rolls_on(index, at)
            if body.shape == "sphere" and candidates.lies(index, at):  # on a box as well as on the floor
                up = np.array([0.0, 0.0, 1.0])
            spin = _rolling_spin(body, up, velocity)
            hook = ShiftState(time, index, np.zeros(3), velocity, spin)
            return ViolationPlan((ViolationEvent(time, name),), hooks=(hook,))
    raise Inapplicable("nothing that lies still has room to set off")


@violation(
    "speed-gain",
    group="motion",
    unit="% in 1/30 s",
    meaning="velocity and spin of every moving body grow by s per cent in every thirtieth of a second",
    severities=(0.5, 1.0, 2.0, -1.0),
    main=0.5,
    allowed=(-50.0, 50.0),
)
def speed_gain(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """Energy from nowhere: growth without end, from a drawn moment on. Negative: drag."""
    _, at = candidates.choices(rng, AIRBORNE)[0]
    time = float(candidates.times[at])
    return ViolationPlan((ViolationEvent(time, None),), hooks=(GrowVelocity(time, candidates.moving, severity / 100),))


@violation(
    "freeze",
    group="motion",
    unit="s",
    meaning="a body stands still in mid-motion for s and then goes on as it was going",
    severities=(0.2, 0.5, 1.0),
    main=0.5,
    allowed=(0.001, 10.0),
)
def freeze(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """A body stops dead, in mid-air where there is air, and goes on later with the velocity that it had."""
    index, at = candidates.choices(rng, AIRBORNE)[0]
    time = float(candidates.times[at])
    end = time + round(severity * PHYSICS_HZ) / PHYSICS_HZ
    return ViolationPlan((ViolationEvent(time, _name(candidates, index)),), hooks=(HoldStill(time, index, end),))


@violation(
    "walk",
    group="motion",
    unit="diameters in 1/15 s",
    meaning="every moving body strays at random, by a Gaussian step of sd s in x and y in every fifteenth of a second",
    severities=(0.02, 0.05, 0.1),
    main=0.05,
    allowed=(0.001, 1.0),
)
def walk(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """A random walk about the lawful motion: each step is kept, so that no mean over time takes it away."""
    steps = severity * np.sqrt(15.0 / WANDERING_HZ) * frame_noise(candidates, rng)  # steps of a random walk in a second
    return ViolationPlan((ViolationEvent(0.0, None),), bends=shifted(candidates, steps.cumsum(axis=1)))


@violation(
    "hanging",
    group="motion",
    unit="diameters",
    meaning="a falling body stops for good when it has s of air below it",
    severities=(0.25, 0.5, 1.0),
    main=0.5,
    allowed=(0.01, 20.0),
)
def hanging(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """A body hangs in the air with nothing below that could carry it."""
    falls = []
    for index in candidates.moving:
        if not np.isfinite(candidates.height(index)).any():
            raise Inapplicable("nothing can fall in the plane of motion")
        height = candidates.height(index) - severity * candidates.diameter(index)
        falling = (height[:-1] >= 0) & (height[1:] < 0) & (candidates.states[:-1, index, 9] < -AIRBORNE)
        crossings = np.flatnonzero(falling)
        good = candidates.seen(index)[crossings] & (candidates.times[crossings] <= 0.6 * candidates.scene.horizon)
        falls += [(int(at), index) for at in crossings[good & (candidates.times[crossings] > 0.1)]]
    if not falls:
        raise Inapplicable(f"nothing falls through a height of {severity:g} diameters in full view")
    at, index = min(falls)
    time = float(candidates.times[at])
    return ViolationPlan((ViolationEvent(time, _name(candidates, index)),), hooks=(HoldStill(time, index, np.inf),))


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
