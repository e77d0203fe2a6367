"""Violations of motion: wrong contacts and forces, things that jump, stop, hang or speed up, and time itself."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from physbench.laws.changes import WorldChange
from physbench.support.arrays import Array
from physbench.validity.violations.violation_apply import (
    ChangeLaws,
    ExtraImpulse,
    GrowVelocity,
    HoldStill,
    IgnoreContact,
    SetMaterial,
    ShiftState,
)
from physbench.validity.violations.violation_plan import (
    WANDERING_HZ,
    CandidateEvents,
    Clock,
    Inapplicable,
    ViolationEvent,
    ViolationPlan,
    frame_noise,
    shifted,
    violation,
)
from physbench.world.scene import PHYSICS_HZ, Body, CentralGravity, Contact, Drag, Joint, RadialField, Spring

LEAD = 0.05  # s before a contact at which two bodies stop being solid for each other


def _time(time: float) -> float:
    """A time on the grid of physics steps, not later."""
    return math.floor(time * PHYSICS_HZ + 1e-6) / PHYSICS_HZ


def _hits(candidates: CandidateEvents, *, both_move: bool) -> list[Contact]:
    """Contacts of moving bodies after the hand-over in full view, each pair's first one, in order of time."""
    scene, hits, pairs = candidates.scene, [], set()
    for contact in candidates.contacts:
        a, b = scene.index(contact.a), scene.index(contact.b)
        movers = [i for i in (a, b) if i in candidates.moving]
        k = min(int(np.searchsorted(candidates.times, contact.time)), len(candidates.times) - 1)
        last = candidates.scene.horizon - 0.3
        # s after the hand-over: contacts before that are passed over
        if contact.time < 0.1 or contact.time > last or (a, b) in pairs or not movers:
            continue
        if any({c.a, c.b} == {contact.a, contact.b} and 0 < contact.time - c.time < LEAD for c in candidates.contacts):
            continue  # what sets in LEAD before it would change that one
        pairs.add((a, b))
        if (len(movers) == 2 or not both_move) and all(candidates.seen(i)[k] for i in movers):
            hits.append(contact)
    if not hits:
        raise Inapplicable(
            "no two moving bodies meet in view" if both_move else "no body meets anything in view after the hand-over"
        )
    return hits


def _grazes(candidates: CandidateEvents, contact: Contact) -> bool:
    """True if two bodies slide past each other rather than hit."""
    a, b = candidates.scene.index(contact.a), candidates.scene.index(contact.b)
    before = candidates.states[max(int(np.searchsorted(candidates.times, contact.time - 1e-9)) - 1, 0)]
    line = before[b, :3] - before[a, :3]
    relative = before[a, 7:10] - before[b, 7:10]
    approach = float(relative @ line / np.linalg.norm(line))
    # A graze: less than 0.2 m/s, or than a third of the relative speed, along the line of centres
    return approach < max(0.2, 1 / 3 * float(np.linalg.norm(relative)))


def _collision(candidates: CandidateEvents) -> Contact:
    """The first hit of two moving bodies that is no graze."""
    for contact in _hits(candidates, both_move=True):
        if not _grazes(candidates, contact):
            return contact
    raise Inapplicable("moving bodies only graze each other")


@violation(
    "pass-through",
    group="contacts",
    meaning="two bodies go through each other (s = 1: wholly)",
)
def pass_through(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """The first two that meet after the hand-over do not collide; the event is when they would."""
    contact = _hits(candidates, both_move=False)[0]
    a, b = candidates.scene.index(contact.a), candidates.scene.index(contact.b)
    movers = [candidates.name(i) for i in (a, b) if i in candidates.moving]
    return ViolationPlan(
        (ViolationEvent(_time(contact.time), movers[0], other=movers[-1]),),
        hooks=(IgnoreContact(_time(contact.time - LEAD), a, b),),
    )


@violation(
    "momentum",
    group="contacts",
    meaning="in a collision the second body gets (1 + s) times the impulse that the first one gives",
    severities=(-0.5, 0.25, 0.5, 1.0),
    main=0.5,
    allowed=(-1.0, 10.0),
)
def momentum(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """Action is not reaction: the total momentum changes by s times the impulse that is exchanged."""
    contact = _collision(candidates)
    a, b = candidates.scene.index(contact.a), candidates.scene.index(contact.b)
    return ViolationPlan(
        (ViolationEvent(_time(contact.time), contact.b),),
        hooks=(ExtraImpulse(_time(contact.time - LEAD), a, b, severity),),
    )


@violation(
    "mass-ratio",
    group="contacts",
    meaning="in collisions one of two bodies counts with s times the mass that its size shows",
    severities=(1.5, 2.0, 4.0),
    main=2.0,
    allowed=(0.01, 100.0),
)
def mass_ratio(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """One body of the first pair that meets is heavier than it looks. It falls as all bodies do."""
    contact = _collision(candidates)
    index = candidates.scene.index(contact.a if rng.random() < 0.5 else contact.b)
    body = candidates.scene.bodies[index]
    return ViolationPlan(
        (ViolationEvent(_time(contact.time), body.name, other=contact.a if body.name == contact.b else contact.b),),
        hooks=(SetMaterial(_time(contact.time - LEAD), {index: {"mass": body.mass * severity}}),),
    )


@violation(
    "restitution",
    group="contacts",
    meaning="things part at s times the speed at which they met",
    severities=(0.5, 1.05, 1.1, 1.3),
    main=1.1,
    allowed=(0.0, 4.0),
)
def restitution(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """Every pair that bounces at all has this restitution, from just before the event on; above 1 energy comes from
    nowhere."""
    scene = candidates.scene

    def bounce(contact: Contact) -> float:
        return scene.bodies[scene.index(contact.a)].restitution * scene.bodies[scene.index(contact.b)].restitution

    if all(scene.bodies[i].restitution == 0 for i in candidates.moving):
        raise Inapplicable("nothing bounces here")
    every = [c for c in candidates.contacts if bounce(c) > 0]
    clear = [c for c in _hits(candidates, both_move=False) if not any(0 < c.time - e.time < LEAD for e in every)]
    bouncing = [c for c in clear if bounce(c) > 0]
    if not bouncing:
        raise Inapplicable("nothing bounces in view after the hand-over")
    first = bouncing[0]
    if severity < 1 and bounce(first) <= severity:
        raise Inapplicable("nothing bounces more than that")
    movers = [n for n in (first.a, first.b) if scene.index(n) in candidates.moving]
    changed = {
        i: {"restitution": math.sqrt(severity)}
        for i, body in enumerate(scene.bodies)
        if body.restitution > 0 and body.collides
    }
    event = ViolationEvent(_time(first.time), movers[0], other=movers[-1])
    return ViolationPlan((event,), hooks=(SetMaterial(_time(first.time - LEAD), changed),))


@violation(
    "friction",
    group="contacts",
    meaning="friction of every moving body is s times what its material shows, from the hand-over on",
    severities=(0.0, 0.5, 2.0),
    main=0.5,
    allowed=(0.0, 20.0),
)
def friction(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """Another friction from 0 on. A ball that rolls without slipping does not show it: then it does not apply."""
    scene = candidates.scene
    rough = {i: {"lateralFriction": scene.bodies[i].friction * severity} for i in candidates.moving}
    if all(scene.bodies[i].friction == 0 for i in candidates.moving):
        raise Inapplicable("there is no friction")
    return ViolationPlan((ViolationEvent(0.0, None),), hooks=(SetMaterial(0.0, rough),))


def _from_the_handover_on(change: WorldChange) -> ViolationPlan:
    return ViolationPlan((ViolationEvent(0.0, None),), hooks=(ChangeLaws(0.0, change),))


def _require_gravity(candidates: CandidateEvents) -> None:
    if not any(candidates.scene.gravity):
        raise Inapplicable("there is no gravity")


@violation(
    "gravity",
    group="forces",
    meaning="gravity is s times as strong from the hand-over on",
    severities=(0.8, 0.9, 0.95, 0.98, 1.1),
    main=0.9,
    allowed=(-10.0, 10.0),
)
def gravity(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """Uniform gravity times a factor, direction kept. It sets in at 0: it is everywhere by nature."""
    _require_gravity(candidates)
    if candidates.scene.camera.view == "top":
        raise Inapplicable("gravity lies along the view")
    return _from_the_handover_on(WorldChange(gravity=severity))


@violation(
    "gravity-tilt",
    group="forces",
    unit="deg",
    meaning="gravity is turned by s from the hand-over on, its size kept",
    severities=(2.0, 5.0, 15.0),
    main=5.0,
    allowed=(-180.0, 180.0),
)
def gravity_tilt(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """Gravity turned within the plane of motion, or out of the line of sight towards a drawn side of the plane."""
    _require_gravity(candidates)
    side = float(np.linalg.norm(candidates.scene.gravity)) * (1 if rng.random() < 0.5 else -1)
    angle = math.radians(severity)
    return _from_the_handover_on(WorldChange(gravity=math.cos(angle), wind=(side * math.sin(angle), 0.0)))


@violation(
    "central-mass",
    group="forces",
    meaning="every central mass is s times as large from the hand-over on",
    severities=(0.8, 0.9, 0.95, 1.1),
    main=0.95,
    allowed=(0.0, 10.0),
)
def central_mass(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """The strength of all fields times a factor. It sets in at 0."""
    if all(isinstance(field, Drag | Spring | Joint) for field in candidates.scene.fields):
        raise Inapplicable("there is no central field")
    return _from_the_handover_on(WorldChange(central_mass=severity))


@violation(
    "force-exponent",
    group="forces",
    meaning="central forces fall with the distance to the power -s from the hand-over on",
    severities=(1.0, 1.5, 1.8, 1.9, 2.2),
    main=1.8,
    allowed=(-2.0, 6.0),
)
def force_exponent(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """Another power of the distance; at the hand-over every body feels the force that it felt before."""
    # Fields that do not fall with the square go with a power that is 2 - s higher than theirs.
    if not any(isinstance(field, CentralGravity | RadialField) for field in candidates.scene.fields):
        raise Inapplicable("there is no central field")
    return _from_the_handover_on(WorldChange(exponent=severity))


@violation(
    "drag",
    group="forces",
    meaning="a medium slows things s times as much from the hand-over on",
    severities=(0.0, 0.5, 0.8, 1.5),
    main=0.5,
    allowed=(-10.0, 10.0),
)
def drag(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """The drag of all media times a factor; below 0 they speed things up. It sets in at 0."""
    if not any(isinstance(field, Drag) for field in candidates.scene.fields):
        raise Inapplicable("there is no medium with drag")
    return _from_the_handover_on(WorldChange(constants=(("medium_drag", severity),)))


@violation(
    "stiffness",
    group="forces",
    meaning="springs are s times as stiff from the hand-over on",
    severities=(0.0, 0.5, 0.8, 0.9, 1.1, 1.5),
    main=0.8,
    allowed=(0.0, 10.0),
)
def stiffness(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """The stiffness of all springs times a factor; at 0 they let go. It sets in at 0."""
    if not any(isinstance(field, Spring) for field in candidates.scene.fields):
        raise Inapplicable("there is no spring")
    return _from_the_handover_on(WorldChange(constants=(("spring_stiffness", severity),)))


AIRBORNE = 0.2  # m/s; slower is as good as at rest
KICK_ROOM = 0.15  # diameters that a kicked body can go before it meets anything


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
    if any(isinstance(each, Joint) and candidates.name(index) in each.sources for each in candidates.scene.fields):
        raise Inapplicable("a joint would draw it back at once")
    jump = severity * candidates.diameter(index) * way
    return ViolationPlan(
        (ViolationEvent(float(candidates.times[at]), candidates.name(index)),),
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
        (ViolationEvent(float(candidates.times[at]), candidates.name(index)),),
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
            time, name = float(candidates.times[at]), candidates.name(index)
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
    return ViolationPlan((ViolationEvent(time, candidates.name(index)),), hooks=(HoldStill(time, index, end),))


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
    return ViolationPlan((ViolationEvent(time, candidates.name(index)),), hooks=(HoldStill(time, index, np.inf),))


def at_rate(since: float, factor: float) -> Clock:
    """Time runs `factor` times as fast after `since` s."""

    def clock(times: Array) -> Array:
        return np.where(times > since, since + factor * (times - since), times)

    return clock


def stuttering(since: float, hold: float) -> Clock:
    """After `since` s time stands still for the first `hold` s of every 0.5 s, then jumps to where it should be."""

    def clock(times: Array) -> Array:
        phase = np.mod(times - since - 1e-9, 0.5) + 1e-9
        return np.where((times > since) & (phase < hold - 1e-9), times - phase, times)

    return clock


def turned_back(since: float, span: float) -> Clock:
    """Time runs backwards for `span` s after `since` s, and then forwards again."""

    def clock(times: Array) -> Array:
        late = times - since
        return np.where(late > 0, np.where(late <= span, since - late, times - 2 * span), times)

    return clock


def _with_clock(
    candidates: CandidateEvents, rng: np.random.Generator, clock: Callable[[float], Clock]
) -> ViolationPlan:
    """All the world by a clock that goes wrong at a time in s at which some body moves at 0.3 m/s or faster."""
    since = float(candidates.times[candidates.choices(rng, 0.3)[0][1]])
    return ViolationPlan((ViolationEvent(since, None),), clocks=((None, clock(since)),))


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
    return _with_clock(candidates, rng, lambda since: at_rate(since, severity))


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
    return _with_clock(candidates, rng, lambda since: at_rate(since, severity))


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
    return _with_clock(candidates, rng, lambda since: stuttering(since, severity))


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
    return _with_clock(candidates, rng, lambda since: turned_back(since, severity))
