"""Bodies in fields other than a star's: drawn back as by a spring, pushed away, slowed by a gas, three at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from physbench.clips.task import (
    FREE_BORDER,
    HALF_WINDOW,
    RELEASE,
    Level,
    Parameter,
    Params,
    Task,
    declare,
    hues,
    inside,
    numbered,
)
from physbench.laws.field_motion import follow_fields
from physbench.laws.impacts import Flat
from physbench.laws.kepler import elliptic_state
from physbench.support.arrays import Array
from physbench.tasks.orbits import PERIODS, SURFACE_GAP, half_extents, star, unit
from physbench.world.bodies import HOLDER_GAP, ball, holder, turned_from_top
from physbench.world.scene import (
    HISTORY,
    HORIZON,
    PHYSICS_HZ,
    Body,
    Camera,
    CentralGravity,
    Drag,
    RadialField,
    Scene,
    hue_name,
)


def post(name: str, half: float, position: Flat, hue: float, angle: float) -> Body:
    """A square block seen from the top that is fixed and touches nothing; half: m, half of its side."""
    place = (*position, 0.0)
    return Body(name, "box", (half,) * 3, "fixed", place, turned_from_top(angle), hue=int(hue), collides=False)


def half_a_step_before(velocity: Flat, acceleration: Flat) -> tuple[float, float, float]:
    """The velocity m/s with which the simulator begins, which is that of half a step ago."""
    (u, v), (a, b) = velocity, acceleration
    return u - a / (2 * PHYSICS_HZ), v - b / (2 * PHYSICS_HZ), 0.0


class Harmonic(Task):
    """A ball is drawn to a block with a force that grows with the distance.

    What happens: the ball is on an ellipse from the start of the history to the end of the horizon, at least three
    times around. The block is in its middle, not in a focus, and a wide orbit takes no longer than a narrow one.

    Law: the acceleration is w^2 r towards the block, so that x(t) = x cos(w t) + v / w sin(w t), with the period
    2 pi / w whatever the orbit (Newton 1687, Principia, book I, proposition 10; Hooke 1678, De potentia restitutiva).
    The block is fixed and touches nothing.

    {parameters}

    orientation is the direction of the major axis, phase the angle w t from its end at the hand-over, sense 1 is
    counter-clockwise, (middle_x, middle_y) the place of the block. Mass is density x volume and plays no part.

    Camera: from straight above, 5.12 m wide, no ground. Actions: none.
    Hand-over: in motion throughout; the ends of both axes, the turning points, follow within half a period, 1.21 s;
    horizon 8 s. The whole ellipse is in view; block and ball are at least 0.25 m apart.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    core = False

    id = "orbits/harmonic-v1"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": lambda p: -p["ratio"], "event": lambda p: harmonic_turn(p)}
    parameters = declare(
        rate=Parameter.fixed(2.6, "rad/s", "w, the root of force over mass and distance"),
        block=Parameter.fixed(0.18, "m", "half the side of the block"),
        radius=Parameter("m", "visible", (0.40, 0.46), "of the ball"),
        **hues("hue_ball", "hue_block"),
        semi_axis=Parameter("m", "visible", (1.3, 2.0), "semi-major axis of the ellipse"),
        ratio=Parameter("", "visible", (0.55, 0.9), "of the minor axis to the major one", ood=(0.46, 0.53)),
        orientation=Parameter("rad", "visible", (-3.1416, 3.1416), "direction of the major axis"),
        phase=Parameter("rad", "visible", (-3.1416, 3.1416), "from the end of the major axis, at the hand-over"),
        sense=Parameter("", "visible", (1, 1), "1 is counter-clockwise", signed=True),
        middle_x=Parameter("m", "visible", (-0.6, 0.6), "of the block, to the right"),
        middle_y=Parameter("m", "visible", (-0.6, 0.6), "of the block, upwards in the image"),
    )
    horizon = 8.0  # s

    def accepts(self, p: Params) -> bool:
        """Different hues, no touch, the whole ellipse in view."""
        a, b = p["semi_axis"], p["semi_axis"] * p["ratio"]
        half_x, half_y = half_extents(a, b, unit(p["orientation"]))
        return (
            p["hue_ball"] != p["hue_block"]
            # 0.25 m between block and ball, so that they can be told apart in small pictures
            and b >= p["radius"] + math.sqrt(2) * p["block"] + 0.25
            and inside((abs(p["middle_x"]) + half_x, abs(p["middle_y"]) + half_y), p["radius"])
        )

    def scene(self, p: Params) -> Scene:
        w, middle = p["rate"], (p["middle_x"], p["middle_y"])
        (x, y), velocity = harmonic_state(p, -HISTORY)
        place = (middle[0] + x, middle[1] + y, 0.0)
        begin = half_a_step_before(velocity, (-w * w * x, -w * w * y))
        return Scene(
            bodies=(
                ball("ball", p["radius"], place, p["hue_ball"], velocity=begin),
                # of edges along the pixels, or at half a right angle to them, a middle is drawn up to .3 or .2 px off
                post("block", p["block"], middle, p["hue_block"], math.pi / 6),
            ),
            camera=Camera("top", (0.0, 0.0, 0.0)),
            fields=(RadialField("block", w * w, 1.0),),
            horizon=self.horizon,
            prompt=f"A large {hue_name(p['hue_ball'])} ball goes around a small square {hue_name(p['hue_block'])} "
            "tilted block in the middle of its ellipse, round and round, as if on a spring. Static camera.",
            caption=f"A large {hue_name(p['hue_ball'])} ball moves around a small {hue_name(p['hue_block'])} block, "
            "which pulls it like a spring.",
        )


def harmonic_turn(p: Params) -> float:
    """Time s of the first end of an axis of the ellipse after the hand-over."""
    quarter = math.pi / 2
    return ((math.floor(p["phase"] / quarter) + 1) * quarter - p["phase"]) / p["rate"]


def harmonic_state(p: Params, time: float) -> tuple[Flat, Flat]:
    """Position m from the block and velocity m/s of the ball at `time`."""
    a, b, w = p["semi_axis"], p["sense"] * p["semi_axis"] * p["ratio"], p["rate"]
    (cos, sin), angle = unit(p["orientation"]), p["phase"] + w * time
    along, across, u, v = a * math.cos(angle), b * math.sin(angle), -a * w * math.sin(angle), b * w * math.cos(angle)
    return (along * cos - across * sin, along * sin + across * cos), (u * cos - v * sin, u * sin + v * cos)


PATH_STEP = 0.1  # s between the times at which a path is checked


class Scatter(Task):
    """A ball is shot at a block that pushes it away.

    What happens: a ball is held by a grey block at rest. This block vanishes and the ball moves off. The coloured block
    pushes it away: it slows down, turns aside and leaves faster again.

    Law: the acceleration is k / r^2 away from the block, so that the path is a hyperbola with the block in its outer
    focus, and the areal velocity is constant (Rutherford 1911, Phil. Mag. 21, 669; Newton 1687, Principia, book I,
    proposition 12). The block is fixed and touches nothing.

    {parameters}

    Camera: from straight above, 5.12 m wide, no ground. Actions: none.
    Hand-over: held until `release`, then in motion; the smallest distance, the deciding event, lies at `passage`. The
    ball is in full view up to 1.3 s at least, and up to 0.5 s after the passage; it may leave later and does not come
    back; horizon 4 s.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    core = False

    id = "orbits/scatter-v1"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": lambda p: -p["eccentricity"], "event": "passage"}
    parameters = declare(
        push=Parameter.fixed(1.6, "m3/s2", "k of the block"),
        block=Parameter.fixed(0.18, "m", "half the side of the block"),
        radius=Parameter("m", "visible", (0.40, 0.46), "of the ball"),
        **hues("hue_ball", "hue_block"),
        release=RELEASE,
        eccentricity=Parameter("", "visible", (1.15, 1.9), "of the hyperbola", ood=(2.1, 2.8)),
        distance=Parameter("m", "visible", (0.8, 1.4), "smallest one from block to ball, middles"),
        passage=Parameter("s", "visible", (0.25, 1.6), "when that is"),
        orientation=Parameter("rad", "visible", (-3.1416, 3.1416), "direction of the ball from the block then"),
        sense=Parameter("", "visible", (1, 1), "1 is counter-clockwise", signed=True),
        block_x=Parameter("m", "visible", (-1.8, 1.8), "of the block, to the right"),
        block_y=Parameter("m", "visible", (-1.8, 1.8), "of the block, upwards in the image"),
    )

    def accepts(self, p: Params) -> bool:
        """Different hues, no touch; in view long enough, and gone for good when it leaves."""
        radius = p["radius"]
        if p["hue_ball"] == p["hue_block"] or p["distance"] < radius + math.sqrt(2) * p["block"] + SURFACE_GAP:
            return False
        # In full view for 1.3 s after the hand-over, and for 0.5 s after the smallest distance
        room, needed = HALF_WINDOW - FREE_BORDER - radius, max(1.3, p["passage"] + 0.5)
        times = np.concatenate([np.arange(p["release"], needed, PATH_STEP), np.arange(needed, HORIZON, PATH_STEP)])
        over = np.abs(scatter_states(p, times)[0] + [p["block_x"], p["block_y"]]).max(axis=-1) > room
        return not over[times <= needed].any() and not (np.diff(over.astype(np.int8)) < 0).any()

    def scene(self, p: Params) -> Scene:
        radius = p["radius"]
        (position,), (velocity,) = scatter_states(p, np.array([p["release"]]))
        u, v = velocity.tolist()
        x, y = p["block_x"] + float(position[0]), p["block_y"] + float(position[1])
        back_x, back_y = (-velocity / np.linalg.norm(velocity) * (radius + HOLDER_GAP)).tolist()
        a, b = (p["push"] * position / np.linalg.norm(position) ** 3).tolist()
        begin = half_a_step_before((u, v), (a, b))
        turned = turned_from_top(math.atan2(v, u))
        return Scene(
            bodies=(
                ball("ball", radius, (x, y, 0.0), p["hue_ball"], velocity=begin, release=p["release"]),
                post("block", p["block"], (p["block_x"], p["block_y"]), p["hue_block"], math.pi / 4),
                holder("holder", (0.05, 0.5 * radius, 0.2), (x + back_x, y + back_y, 0.0), p["release"], turned),
            ),
            camera=Camera("top", (0.0, 0.0, 0.0)),
            fields=(RadialField("block", -p["push"], -2.0),),
            prompt=f"A large {hue_name(p['hue_ball'])} ball moves towards a small {hue_name(p['hue_block'])} block "
            "that stands on its corner and pushes it away: it slows down, turns aside and leaves. Static camera.",
            caption=f"A large {hue_name(p['hue_ball'])} ball moves towards a small {hue_name(p['hue_block'])} block "
            "on its corner, which repels it.",
        )


def scatter_states(p: Params, times: Array) -> tuple[Array, Array]:
    """Positions m from the block and velocities m/s (T, 2) of the ball at `times` (T,) s.

    With F from n t = e sinh F + F the distance is a (e cosh F + 1), n^2 a^3 = k. Newton's method, from an upper bound.
    """
    e, a = p["eccentricity"], p["distance"] / (1 + p["eccentricity"])
    n, b = math.sqrt(p["push"] / a**3), a * math.sqrt(e * e - 1)
    mean = n * (np.asarray(times, dtype=np.float64) - p["passage"])
    f = np.arcsinh(mean / e)
    for _ in range(30):
        f = f - (e * np.sinh(f) + f - mean) / (e * np.cosh(f) + 1)
    rate = n / (1 + e * np.cosh(f))
    along, across = a * (e + np.cosh(f)), p["sense"] * b * np.sinh(f)
    u, v = a * np.sinh(f) * rate, p["sense"] * b * np.cosh(f) * rate
    cos, sin = unit(p["orientation"])
    turn = np.array([[cos, sin], [-sin, cos]])
    return np.stack([along, across], axis=-1) @ turn, np.stack([u, v], axis=-1) @ turn


THINNEST = 0.014  # 1/s


class Decay(Task):
    """A planet goes around a star in a gas that slows it, and winds inwards.

    What happens: the planet goes around the star at least three times, nearer and faster each time. The paler the
    ground, the thicker the gas.

    Law: the acceleration is mu / r^2 towards the star and -c v: the areal velocity falls as exp(-c t), and the size of
    the orbit nearly as exp(-2 c t) (Newton 1687, Principia, book II, section 1, for resistance as the velocity). The
    star is fixed and touches nothing.

    {parameters}

    eccentricity, orientation and phase are those of the ellipse that the planet would follow without the gas from the
    start of the history on; sense 1 is counter-clockwise. Mass plays no part.

    Camera: from straight above, 5.12 m wide, over a pale plane that shows the gas. Actions: none.
    Hand-over: in motion throughout; turning points of both coordinates follow within 1.5 s; horizon 8 s. All is in
    view; star and planet are at least 0.08 m apart.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    core = False

    id = "orbits/decay-v1"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "drag"}
    parameters = declare(
        mu=Parameter.fixed(34.0, "m3/s2", "gravitational constant x mass of the star"),
        star_radius=Parameter.fixed(0.2, "m", "of the star"),
        radius=Parameter("m", "visible", (0.40, 0.46), "of the planet"),
        **hues("hue_planet", "hue_star"),
        drag=Parameter("1/s", "visible", (0.014, 0.026), "c, seen in the grey of the ground", ood=(0.029, 0.036)),
        eccentricity=Parameter("", "visible", (0.0, 0.12), "at the start"),
        semi_axis=Parameter("m", "visible", (1.6, 1.95), "semi-major axis at the start"),
        orientation=Parameter("rad", "visible", (-3.1416, 3.1416), "direction of the periapsis at the start"),
        phase=Parameter("rad", "visible", (-3.1416, 3.1416), "mean anomaly at the start"),
        sense=Parameter("", "visible", (1, 1), "1 is counter-clockwise", signed=True),
        star_x=Parameter("m", "visible", (-0.3, 0.3), "of the star, to the right"),
        star_y=Parameter("m", "visible", (-0.3, 0.3), "of the star, upwards in the image"),
    )
    horizon = 8.0  # s

    def accepts(self, p: Params) -> bool:
        """Different hues, enough periods, no touch at the end, all in view."""
        a, e = p["semi_axis"], p["eccentricity"]
        end = a * (1 - e * e) * math.exp(-2 * p["drag"] * (HISTORY + self.horizon)) / (1 + e)
        far = max(abs(p["star_x"]), abs(p["star_y"])) + a * (1 + e)
        return (
            p["hue_planet"] != p["hue_star"]
            and PERIODS * 2 * math.pi * math.sqrt(a**3 / p["mu"]) <= self.horizon + 0.5
            and end >= p["radius"] + p["star_radius"] + SURFACE_GAP
            and inside((far,), p["radius"])
        )

    def scene(self, p: Params) -> Scene:
        place, velocity = elliptic_state(
            p["mu"], p["semi_axis"], p["eccentricity"], p["orientation"], p["phase"], p["sense"], 0.0
        )
        (x, y), distance = place, math.hypot(*place)
        pull = -p["mu"] / distance**3
        begin = half_a_step_before(velocity, (pull * x, pull * y))
        # 0.60 is the grey of a gas that slows by THINNEST; a thicker one is paler
        grey = 0.60 + 5.0 * (p["drag"] - THINNEST)
        return Scene(
            bodies=(
                ball("planet", p["radius"], (p["star_x"] + x, p["star_y"] + y, 0.0), p["hue_planet"], velocity=begin),
                star(p["star_radius"], (p["star_x"], p["star_y"]), p["hue_star"]),
                Body("gas", "plane", (), "fixed", (0.0, 0.0, -0.8), grey=grey, collides=False),
            ),
            camera=Camera("top", (0.0, 0.0, 0.0)),
            fields=(CentralGravity("star", p["mu"]), Drag("gas", p["drag"])),
            horizon=self.horizon,
            prompt=f"A large {hue_name(p['hue_planet'])} planet orbits a small {hue_name(p['hue_star'])} star in a gas "
            "that slows it: it winds inwards, faster and faster. Static camera.",
            caption=f"A large {hue_name(p['hue_planet'])} ball circles a small {hue_name(p['hue_star'])} one that "
            "attracts it, over a floor and through a gas that brakes it.",
        )


class ThreeBody(Task):
    """Three balls of comparable mass attract each other.

    What happens: the balls go around their barycentre, nearly at the corners of a turning triangle, which comes apart:
    a small difference grows by a factor of e in 1.0 to 1.7 s (0.71 of the rate of turning).

    Law: each is drawn to both others with mu / r^2, mu proportional to the volume of the other: momentum, angular
    momentum and energy are conserved, and there is no closed form (Lagrange 1772, Essai sur le probleme des trois
    corps; Routh 1875, that triangles of like masses are unstable; Poincare 1890).

    {parameters}

    All of it is the state at the hand-over: ball k is at the direction orientation + 2 pi k / 3 + turn_k and at the
    distance size x (1 + out_k) from the middle, and moves across that direction with `speed` times what would keep an
    exact triangle turning; positions and velocities are then taken from the barycentre.

    Camera: from straight above, 5.12 m wide, no ground. Actions: none.
    Hand-over: in motion throughout; turning points of coordinates follow within 2 s; horizon 4 s. All is in view, and
    balls are at least 0.1 m apart.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    core = False

    id = "orbits/three-body-v1"
    levels: ClassVar[Mapping[str, Level]] = {
        "difficulty": lambda p: sum(abs(p[f"turn_{k}"]) + abs(p[f"out_{k}"]) for k in (1, 2, 3))
    }
    parameters = declare(
        pull=Parameter.fixed(80.0, "s-2", "mu of a ball over its radius^3"),
        size=Parameter("m", "visible", (1.2, 1.7), "of the triangle, from middle to corner"),
        orientation=Parameter("rad", "visible", (-3.1416, 3.1416), "of the triangle"),
        speed=Parameter("", "visible", (0.95, 1.05), "over that of an exact triangle", ood=(0.8, 0.92)),
        sense=Parameter("", "visible", (1, 1), "1 is counter-clockwise", signed=True),
        **numbered(
            (1, 2, 3),
            radius=Parameter("m", "visible", (0.40, 0.44), "of the {nth} ball"),
            hue=Parameter("", "visible", (0, 4), "of the {nth} ball, index into the palette", grid=1),
            turn=Parameter("rad", "visible", (0.0, 0.1), "of its place", signed=True),
            out=Parameter("", "visible", (0.0, 0.07), "of its place", signed=True),
        ),
    )

    def accepts(self, p: Params) -> bool:
        """Different hues; no touch and all in view from the start to the end."""
        if len({p[f"hue_{k}"] for k in (1, 2, 3)}) < 3:
            return False
        state, radius = three_bodies(p), np.array([p[f"radius_{k}"] for k in (1, 2, 3)])
        paths = np.concatenate([three_paths(p, state, HORIZON), three_paths(p, reversed_motion(state), HISTORY)])
        apart = np.linalg.norm(paths[:, [0, 0, 1], :2] - paths[:, [1, 2, 2], :2], axis=-1)
        return bool(
            # 0.1 m between the surfaces of three bodies at all times
            (apart > radius[[0, 0, 1]] + radius[[1, 2, 2]] + 0.1).all()
            and (np.abs(paths[..., :2]).max(axis=-1) + radius < HALF_WINDOW - FREE_BORDER).all()
        )

    def scene(self, p: Params) -> Scene:
        begin = reversed_motion(three_paths(p, reversed_motion(three_bodies(p)), HISTORY)[-1]).round(9)
        mu, names = [p["pull"] * p[f"radius_{k}"] ** 3 for k in (1, 2, 3)], [f"ball {k}" for k in (1, 2, 3)]
        bodies = []
        for n, (name, (x, y, u, v)) in enumerate(zip(names, begin.tolist(), strict=True)):
            away = begin[:, :2] - begin[n, :2]
            cubes = [float(np.linalg.norm(each)) ** 3 or 1.0 for each in away]
            a, b = (sum(m * float(d[axis]) / c for m, d, c in zip(mu, away, cubes, strict=True)) for axis in (0, 1))
            velocity = half_a_step_before((u, v), (a, b))
            bodies.append(ball(name, p[f"radius_{n + 1}"], (x, y, 0.0), p[f"hue_{n + 1}"], velocity=velocity))
        first, second, third = (hue_name(p[f"hue_{k}"]) for k in (1, 2, 3))
        return Scene(
            bodies=tuple(bodies),
            camera=Camera("top", (0.0, 0.0, 0.0)),
            fields=tuple(CentralGravity(name, m) for name, m in zip(names, mu, strict=True)),
            prompt=f"A {first}, a {second} and a {third} ball go around each other under their mutual gravity. "
            "Static camera.",
            caption=f"A {first}, a {second} and a {third} planet move around each other under their mutual gravity.",
        )


def three_bodies(p: Params) -> Array:
    """States (3, 4) m and m/s of the balls at the hand-over."""
    mass = np.array([p[f"radius_{k}"] ** 3 for k in (1, 2, 3)])
    rate = p["sense"] * p["speed"] * math.sqrt(p["pull"] * mass.sum() / (math.sqrt(3) * p["size"]) ** 3)
    states = np.empty((3, 4))
    for k in range(3):
        (x, y), far = unit(p["orientation"] + 2 * math.pi * k / 3 + p[f"turn_{k + 1}"]), 1 + p[f"out_{k + 1}"]
        states[k, :2] = np.array([x, y]) * p["size"] * far
        states[k, 2:] = rate * np.array([-states[k, 1], states[k, 0]])
    return np.asarray(states - mass @ states / mass.sum())


def reversed_motion(states: Array) -> Array:
    """States (..., 4) with opposite velocities, which go back where they came from."""
    return np.asarray(states * np.array([1.0, 1.0, -1.0, -1.0]))


def three_paths(p: Params, states: Array, span: float) -> Array:
    """States (T, 3, 4) of the balls over `span` s, by the law of fields."""
    fields = np.array([[k, 0, 0, p["pull"] * p[f"radius_{k + 1}"] ** 3, -2, 0, -1] for k in range(3)], dtype=np.float64)
    path_step_three = 1 / 30  # s between the times at which their paths are checked
    times, nothing = np.linspace(0.0, span, round(span / path_step_three) + 1), np.zeros((3, 3))
    moved = follow_fields(states[None], times, fields, np.ones(1), np.ones(1), np.zeros(1), np.zeros(3), nothing)
    return np.asarray(moved[0])
