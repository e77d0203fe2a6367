"""Looks: bodies that vanish, double, or change their colour or size, in view or hidden; and degraded pictures.

Out of sight a body comes out too early, too late, never, on the wrong side, or as something else. Degraded pictures of
a lawful world (blur, noise, flicker, drifting colours, trembling) break no law.
"""

from __future__ import annotations

import colorsys
import itertools
from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter

from physbench.support.arrays import Array, Image
from physbench.validity.violations.violation_apply import IgnoreContact, RemoveBody
from physbench.validity.violations.violation_plan import (
    Appearance,
    Bend,
    CandidateEvents,
    Clock,
    Inapplicable,
    ViolationEvent,
    ViolationPlan,
    frame_noise,
    shifted,
    violation,
)
from physbench.world.bodies import UPRIGHT
from physbench.world.drawing import apparent_radius
from physbench.world.scene import PALETTE, PHYSICS_HZ, Body, Shape, Vector


def turned(body: Body, degrees: float) -> Vector:
    """The colour of a body with its hue turned, as bright and as pure as it was."""
    assert body.hue is not None
    hue, saturation, value = colorsys.rgb_to_hsv(*PALETTE[body.hue])
    red, green, blue = colorsys.hsv_to_rgb((hue + degrees / 360) % 1.0, saturation, value)
    return (red, green, blue)


def _somewhere(candidates: CandidateEvents, rng: np.random.Generator) -> tuple[int, float, str]:
    index, at = candidates.choices(rng)[0]
    return index, float(candidates.times[at]), candidates.name(index)


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
            time, name = float(candidates.times[at]), candidates.name(index)
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
    time, name = float(candidates.times[at]), candidates.name(index)
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
    first_second = int(np.searchsorted(candidates.times, 1.0))
    if not any(candidates.in_view(i)[:first_second].any() for i in others):
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
    return index, first, last, candidates.name(index)


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
        axis, sign = candidates.axes[0], np.sign(way)
        bodies = candidates.scene.bodies
        edge = max(sign * candidates.states[at, i, axis] + bodies[i].size[axis] for i in candidates.screens(index))
        start = sign * candidates.states[at, index, axis] + candidates.diameter(index) / 2
        time = float(candidates.times[at]) + max(edge - start, 0.0) / abs(way)
        if time > candidates.scene.horizon - SHOWN_AGAIN:
            break
        since = np.floor((contact.time - 0.05) * PHYSICS_HZ) / PHYSICS_HZ
        event = ViolationEvent(
            np.floor(time * PHYSICS_HZ) / PHYSICS_HZ,
            candidates.name(index),
            float(candidates.times[at]) - 0.05,
        )
        return ViolationPlan((event,), hooks=(IgnoreContact(since, index, wall),))
    raise Inapplicable("nothing is stopped behind a screen")


WHITE_LEVEL = 255.0


def _rounded(frames: Array) -> Image:
    return np.clip(np.rint(frames), 0, WHITE_LEVEL).astype(np.uint8)


@violation(
    "blur",
    group="picture",
    unit="px",
    meaning="every predicted frame is blurred by a Gaussian of sd s",
    severities=(0.5, 1.0, 2.0),
    main=1.0,
    allowed=(0.1, 50.0),
    lawful=True,
)
def blur(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """Gaussian blur of the frames as they are, at any size."""

    def treat(frames: Image, times: Array, random: np.random.Generator) -> Image:
        soft = [gaussian_filter(frame.astype(np.float64), (severity, severity, 0)) for frame in frames]
        return _rounded(np.stack(soft)) if soft else frames

    return ViolationPlan((ViolationEvent(0.0, None),), treatments=(treat,))


@violation(
    "noise",
    group="picture",
    unit="levels of 255",
    meaning="independent Gaussian noise of sd s on every value of every predicted frame",
    severities=(4.0, 8.0, 16.0),
    main=8.0,
    allowed=(0.5, 255.0),
    lawful=True,
)
def noise(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """Noise without structure."""

    def treat(frames: Image, times: Array, random: np.random.Generator) -> Image:
        return _rounded(frames + random.normal(0.0, severity, frames.shape))

    return ViolationPlan((ViolationEvent(0.0, None),), treatments=(treat,))


@violation(
    "flicker",
    group="picture",
    unit="%",
    meaning="the brightness of every predicted frame is off by a random s per cent (sd)",
    severities=(5.0, 10.0, 20.0),
    main=10.0,
    allowed=(0.1, 100.0),
    lawful=True,
)
def flicker(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """One factor a frame, independent of the next."""

    def treat(frames: Image, times: Array, random: np.random.Generator) -> Image:
        factor = 1 + random.normal(0.0, severity / 100, len(frames))
        return _rounded(frames * factor[:, None, None, None])

    return ViolationPlan((ViolationEvent(0.0, None),), treatments=(treat,))


@violation(
    "colour-drift",
    group="picture",
    unit="deg/s",
    meaning="all hues of the picture turn at s",
    severities=(2.0, 5.0, 15.0),
    main=5.0,
    allowed=(-360.0, 360.0),
    lawful=True,
)
def colour_drift(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """A slow turn about the grey axis; greys stay grey, and no object changes against another."""

    def treat(frames: Image, times: Array, random: np.random.Generator) -> Image:
        angle = np.radians(severity * times)[:, None, None]
        r, g, b = np.moveaxis(frames.astype(np.float64), -1, 0)
        grey = (r + g + b) / 3
        x, y = r - grey, (g - b) / np.sqrt(3)  # in the plane across the grey axis
        x, y = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
        green, blue = (-x + np.sqrt(3) * y) / 2, (-x - np.sqrt(3) * y) / 2
        return _rounded(np.stack([grey + x, grey + green, grey + blue], axis=-1))

    return ViolationPlan((ViolationEvent(0.0, None),), treatments=(treat,))


@violation(
    "fade",
    group="picture",
    unit="%/s",
    meaning="the picture loses s per cent of its contrast in every second",
    severities=(5.0, 10.0, 20.0),
    main=10.0,
    allowed=(0.1, 100.0),
    lawful=True,
)
def fade(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """Every value moves towards the grey of the background."""

    def treat(frames: Image, times: Array, random: np.random.Generator) -> Image:
        kept = ((1 - severity / 100) ** np.maximum(times, 0.0))[:, None, None, None]
        return _rounded(127.5 + (frames - 127.5) * kept)

    return ViolationPlan((ViolationEvent(0.0, None),), treatments=(treat,))


@violation(
    "tremble",
    group="picture",
    unit="diameters",
    meaning="every moving body is drawn off its place by independent Gaussian noise of sd s in x and y in every frame",
    severities=(0.02, 0.05, 0.1),
    main=0.05,
    allowed=(0.001, 1.0),
    lawful=True,
)
def tremble(candidates: CandidateEvents, severity: float, rng: np.random.Generator) -> ViolationPlan:
    """One frame tells nothing of the next: the bodies move as they should, and tremble about it."""
    noise = frame_noise(candidates, rng)
    return ViolationPlan((ViolationEvent(0.0, None),), bends=shifted(candidates, severity * noise))
