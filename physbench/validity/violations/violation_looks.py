"""Violations of permanence and identity in full view: bodies that vanish, double, or change their colour or size."""

from __future__ import annotations

import colorsys
import itertools
from collections.abc import Callable

import numpy as np

from physbench.validity.violations.candidate_events import CandidateEvents
from physbench.validity.violations.hooks import RemoveBody
from physbench.validity.violations.violation_plan import (
    Appearance,
    Inapplicable,
    ViolationEvent,
    ViolationPlan,
    violation,
)
from physbench.world.bodies import UPRIGHT
from physbench.world.drawing import apparent_radius
from physbench.world.scene import PALETTE, Body, Shape, Vector


def turned(body: Body, degrees: float) -> Vector:
    """The colour of a body with its hue turned, as bright and as pure as it was."""
    assert body.hue is not None
    hue, saturation, value = colorsys.rgb_to_hsv(*PALETTE[body.hue])
    red, green, blue = colorsys.hsv_to_rgb((hue + degrees / 360) % 1.0, saturation, value)
    return (red, green, blue)


def _somewhere(candidates: CandidateEvents, rng: np.random.Generator) -> tuple[int, float, str]:
    index, at = candidates.choices(rng)[0]
    return index, float(candidates.times[at]), candidates.scene.bodies[index].name


@violation(
    "vanish",
    group="looks",
    meaning="a body is gone for good (s = 1: wholly)",
)
def vanish(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """In full view; what it would have hit goes on as if it had never been."""
    index, time, name = _somewhere(candidates, rng)
    return ViolationPlan(
        (ViolationEvent(time, name),),
        hooks=(RemoveBody(time, index),),
        appearances=(Appearance(time, name, hidden=True),),
    )


@violation(
    "blink",
    group="looks",
    unit="s",
    meaning="a body is not to be seen for s and then is where it should be",
    severities=(0.1, 0.3, 0.6),
    main=0.3,
    allowed=(0.001, 10.0),
)
def blink(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """It goes on unseen; nothing but its picture is missing."""
    _, time, name = _somewhere(candidates, rng)
    return ViolationPlan(
        (ViolationEvent(time, name),), appearances=(Appearance(time, name, until=time + severity, hidden=True),)
    )


@violation(
    "duplicate",
    group="looks",
    unit="diameters",
    meaning="a second body like it goes beside it, s away from middle to middle",
    severities=(1.25, 2.0),
    main=1.25,
    allowed=(0.1, 10.0),
)
def duplicate(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """A double appears in full view and keeps step, through everything."""
    for index, at in candidates.choices(rng):
        directions = candidates.directions(index, at, severity * candidates.diameter(index), rng)
        if len(directions):
            x, y, z = severity * candidates.diameter(index) * directions[0]
            time, name = float(candidates.times[at]), candidates.scene.bodies[index].name
            return ViolationPlan(
                (ViolationEvent(time, name),),
                appearances=(Appearance(time, name, shift=(float(x), float(y), float(z))),),
            )
    raise Inapplicable(f"no body has room for a double at {severity:g} diameters")


@violation(
    "hue",
    group="looks",
    unit="deg",
    meaning="the hue of a body turns by s at once",
    severities=(15.0, 30.0, 72.0, 180.0),
    main=72.0,
    allowed=(-360.0, 360.0),
)
def hue(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """The colour changes and nothing else. 72 degrees lead to the next hue of the palette."""
    index, time, name = _somewhere(candidates, rng)
    return ViolationPlan(
        (ViolationEvent(time, name),),
        appearances=(Appearance(time, name, colour=turned(candidates.scene.bodies[index], severity)),),
    )


@violation(
    "size",
    group="looks",
    meaning="every measure of a body is s times what it was, at once",
    severities=(0.75, 0.9, 1.1, 1.25, 1.5),
    main=1.25,
    allowed=(0.1, 5.0),
)
def size(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """It is drawn larger or smaller, about its middle, or from what it lies on; it moves as before."""
    index, at = candidates.choices(rng)[0]
    time, name = float(candidates.times[at]), candidates.scene.bodies[index].name
    appearance = Appearance(time, name, size=severity, lift=lift(candidates, index, at, severity))
    return ViolationPlan((ViolationEvent(time, name),), appearances=(appearance,))


@violation(
    "shrink",
    group="looks",
    unit="%/s",
    meaning="every measure of a body shrinks by s per cent of what it was in every second",
    severities=(2.0, 5.0, 10.0),
    main=5.0,
    allowed=(0.1, 50.0),
)
def shrink(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """From the hand-over on, evenly, down to a tenth; it moves as before."""
    return _sized(candidates, rng, lambda time: max(1 - severity / 100 * time, 0.1))


@violation(
    "breathe",
    group="looks",
    unit="%",
    meaning="every measure of a body swings by s per cent of what it was, once a second",
    severities=(4.0, 8.0, 16.0),
    main=8.0,
    allowed=(0.1, 50.0),
)
def breathe(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """From the hand-over on; it moves as before."""
    return _sized(candidates, rng, lambda time: 1 + severity / 100 * float(np.sin(2 * np.pi * time)))


@violation(
    "hue-drift",
    group="looks",
    unit="deg/s",
    meaning="the hue of a body turns at s, and no other one does",
    severities=(2.0, 5.0, 15.0),
    main=5.0,
    allowed=(-360.0, 360.0),
)
def hue_drift(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """From the hand-over on. A body whose hue is the only one in view does what a picture does whose hues turn."""
    index, _, name = _somewhere(candidates, rng)
    others = [i for i in candidates.scene.tracked if i != index]
    if not any(candidates.in_view(i)[: _beat(candidates)].any() for i in others):
        raise Inapplicable("no other body in view tells its hue from that of the picture")
    body = candidates.scene.bodies[index]
    appearances = (Appearance(a, name, until=b, colour=turned(body, severity * b)) for a, b in _steps(candidates))
    return ViolationPlan((ViolationEvent(0.0, name),), appearances=tuple(appearances))


@violation(
    "scenery-vanish",
    group="looks",
    meaning="a floor, a wall, a ramp or a screen is gone for good (s = 1: wholly)",
)
def scenery_vanish(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """At some time in the first half; bodies move as before, as if it were there unseen."""
    front = candidates.scene.camera.view == "front"
    shown = [
        body.name
        for body in candidates.scene.bodies
        if body.role == "fixed"
        and body.hue is None
        and body.drawn
        and body.until is None
        and (front or body.shape != "plane")
    ]
    if not shown:
        raise Inapplicable("no fixed body shows an edge")
    time = float(rng.choice(candidates.times[(candidates.times > 0.1) & (candidates.times < candidates.times[-1] / 2)]))
    name = shown[int(rng.integers(len(shown)))]
    return ViolationPlan((ViolationEvent(time, None),), appearances=(Appearance(time, name, hidden=True),))


def _beat(candidates: CandidateEvents) -> int:
    """Entries of the grid that a second holds."""
    return int(np.searchsorted(candidates.times, 1.0))


def _steps(candidates: CandidateEvents) -> list[tuple[float, float]]:
    """Begin and end in s of the steps of the grid, from the hand-over on."""
    return [(float(a), float(b)) for a, b in itertools.pairwise(candidates.times)]


def _sized(candidates: CandidateEvents, rng: np.random.Generator, factor: Callable[[float], float]) -> ViolationPlan:
    """A body drawn larger or smaller by a factor at each time in s, about its middle or from what it lies on."""
    index, _, name = _somewhere(candidates, rng)
    appearances = (
        Appearance(a, name, until=b, size=factor(b), lift=lift(candidates, index, at, factor(b)))
        for at, (a, b) in enumerate(_steps(candidates), start=1)
    )
    return ViolationPlan((ViolationEvent(0.0, name),), appearances=tuple(appearances))


@violation(
    "shape",
    group="looks",
    meaning="a body has another shape at once (s = 1: a ball is a box, a box a ball)",
)
def shape(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """It covers as much of the picture as before, stands upright on level ground or flies, and moves as before."""
    for index, at in candidates.choices(rng):
        if candidates.lies(index, at) and not _level(candidates, index, at):
            continue
        body, time = candidates.scene.bodies[index], float(candidates.times[at])
        radius = apparent_radius(body, candidates.scene.camera)
        half = radius * np.sqrt(np.pi) / 2  # of a square of that area
        drawn: tuple[Shape, tuple[float, ...]] = ("sphere", (radius,)) if body.shape == "box" else ("box", (half,) * 3)
        rise = drawn[1][0] - float(candidates.reach_down(index)[at]) if candidates.lies(index, at) else 0.0
        return ViolationPlan(
            (ViolationEvent(time, body.name),), appearances=(Appearance(time, body.name, shape=drawn, lift=rise),)
        )
    raise Inapplicable("what is in full view lies on a slope, on which nothing stands upright")


@violation(
    "exchange",
    group="looks",
    meaning="two bodies exchange their hues at once (s = 1: wholly)",
)
def exchange(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """Both in full view, and apart from each other; each has the colour of the other and goes its own way."""
    bodies = candidates.scene.bodies
    for index, at in candidates.choices(rng):
        for other in candidates.moving:
            hues = bodies[index].hue, bodies[other].hue
            if None not in hues and hues[0] != hues[1] and candidates.seen(other)[at]:
                one, two, time = bodies[index].name, bodies[other].name, float(candidates.times[at])
                return ViolationPlan(
                    (ViolationEvent(time, one, other=two),),
                    appearances=(
                        Appearance(time, one, colour=turned(bodies[other], 0.0)),
                        Appearance(time, two, colour=turned(bodies[index], 0.0)),
                    ),
                )
    raise Inapplicable("no two bodies of different hues are in full view at once")


def lift(candidates: CandidateEvents, index: int, at: int, factor: float) -> float:
    """Rise (m) of the middle of a body that grows by a factor where it lies on something below it."""
    return (factor - 1) * float(candidates.reach_down(index)[at]) if candidates.lies(index, at) else 0.0


def _level(candidates: CandidateEvents, index: int, at: int) -> bool:
    """True if nothing that could carry things is turned, nor the body itself if it has faces."""
    scene, body = candidates.scene, candidates.scene.bodies[index]
    # m by which a corner of a box may be lower than its face
    flat = body.shape != "box" or abs(float(candidates.reach_down(index)[at]) - body.size[2]) < 1e-3
    return flat and not any(
        each.collides and each.shape == "box" and each.orientation != UPRIGHT for each in scene.bodies
    )
