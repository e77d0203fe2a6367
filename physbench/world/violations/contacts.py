"""Violations of contacts: solidity, momentum, masses and materials."""

from __future__ import annotations

import math

import numpy as np

from physbench.world.scene import PHYSICS_HZ, Contact
from physbench.world.violations.hands import Extra, Ignore, Tune
from physbench.world.violations.plot import Event, Inapplicable, Plot, violation
from physbench.world.violations.truth import Truth

SOON = 0.1  # s behind the hand-over before which a contact is no longer waited for
LEAD = 0.05  # s before a contact at which bodies stop to be solid for each other


def _time(time: float) -> float:
    """A time on the grid of physics steps, not later."""
    return math.floor(time * PHYSICS_HZ + 1e-6) / PHYSICS_HZ


def _hits(truth: Truth, *, both_move: bool) -> list[Contact]:
    """Contacts of moving bodies behind the hand-over in full view, each pair's first one, in order of time."""
    scene, found, pairs = truth.scene, [], set()
    for contact in truth.contacts:
        a, b = scene.index(contact.a), scene.index(contact.b)
        movers = [i for i in (a, b) if i in truth.moving]
        k = min(int(np.searchsorted(truth.times, contact.time)), len(truth.times) - 1)
        last = truth.scene.horizon - 0.3
        if contact.time < SOON or contact.time > last or (a, b) in pairs or not movers:
            continue
        pairs.add((a, b))
        if (len(movers) == 2 or not both_move) and all(truth.seen(i)[k] for i in movers):
            found.append(contact)
    if not found:
        raise Inapplicable(
            "no two moving bodies meet in view" if both_move else "no body meets anything in view behind the hand-over"
        )
    return found


@violation(
    "pass-through",
    group="contacts",
    unit="",
    meaning="two bodies go through each other (s = 1: wholly)",
    severities=(1.0,),
    main=1.0,
)
def pass_through(truth: Truth, severity: float, rng: np.random.Generator) -> Plot:
    """The first two that meet behind the hand-over do not collide; the event is when they would."""
    contact = _hits(truth, both_move=False)[0]
    a, b = truth.scene.index(contact.a), truth.scene.index(contact.b)
    mover = next(i for i in (a, b) if i in truth.moving)
    return Plot(
        (Event(_time(contact.time), truth.scene.bodies[mover].name),),
        hands=(Ignore(_time(contact.time - LEAD), a, b),),
    )


@violation(
    "momentum",
    group="contacts",
    unit="",
    meaning="in a collision the second body gets (1 + s) times the impulse that the first one gives",
    severities=(-0.5, 0.25, 0.5, 1.0),
    main=0.5,
)
def momentum(truth: Truth, severity: float, rng: np.random.Generator) -> Plot:
    """Action is not reaction: the total momentum changes by s times the impulse that is exchanged."""
    contact = _hits(truth, both_move=True)[0]
    a, b = truth.scene.index(contact.a), truth.scene.index(contact.b)
    return Plot(
        (Event(_time(contact.time), contact.b),),
        hands=(Extra(_time(contact.time - LEAD), a, b, severity),),
    )


@violation(
    "mass-ratio",
    group="contacts",
    unit="",
    meaning="in collisions one of two bodies counts with s times the mass that its size shows",
    severities=(1.5, 2.0, 4.0),
    main=2.0,
)
def mass_ratio(truth: Truth, severity: float, rng: np.random.Generator) -> Plot:
    """One body of the first pair that meets is heavier than it looks. Its weight in gravity is nobody's concern."""
    contact = _hits(truth, both_move=True)[0]
    index = truth.scene.index(contact.a if rng.random() < 0.5 else contact.b)
    body = truth.scene.bodies[index]
    return Plot(
        (Event(_time(contact.time), body.name),),
        hands=(Tune(_time(contact.time - LEAD), {index: {"mass": body.mass * severity}}),),
    )


@violation(
    "restitution",
    group="contacts",
    unit="",
    meaning="things part at s times the speed at which they met",
    severities=(0.5, 1.05, 1.1, 1.3),
    main=1.1,
)
def restitution(truth: Truth, severity: float, rng: np.random.Generator) -> Plot:
    """Every pair that bounces at all has this restitution; above 1 energy comes from nowhere."""
    scene = truth.scene
    if severity < 1:
        usual = max((body.restitution for body in scene.bodies if body.role == "moving"), default=0.0)
        if usual <= severity:
            raise Inapplicable("nothing bounces more than that")
    if all(scene.bodies[i].restitution == 0 for i in truth.moving):
        raise Inapplicable("nothing bounces here")
    bouncing = [
        c for c in _hits(truth, both_move=False) if all(scene.bodies[scene.index(n)].restitution for n in (c.a, c.b))
    ]
    if not bouncing:
        raise Inapplicable("nothing bounces in view behind the hand-over")
    first = bouncing[0]
    mover = next(n for n in (first.a, first.b) if scene.index(n) in truth.moving)
    changed = {
        i: {"restitution": math.sqrt(severity)}
        for i, body in enumerate(scene.bodies)
        if body.restitution > 0 and body.collides
    }
    return Plot(
        (Event(_time(first.time), mover),),
        hands=(Tune(0.0, changed),),
    )


@violation(
    "friction",
    group="contacts",
    unit="",
    meaning="friction of every moving body is s times what its material shows, from the hand-over on",
    severities=(0.0, 0.5, 2.0),
    main=0.5,
)
def friction(truth: Truth, severity: float, rng: np.random.Generator) -> Plot:
    """Another friction from 0 on. A ball that rolls without slipping does not show it: then it does not apply."""
    scene = truth.scene
    rough = {i: {"lateralFriction": scene.bodies[i].friction * severity} for i in truth.moving}
    if all(scene.bodies[i].friction == 0 for i in truth.moving):
        raise Inapplicable("there is no friction")
    return Plot((Event(0.0, None),), hands=(Tune(0.0, rough),))
