"""Balls that hang on rods or on a spring and swing, in a row that is hit too; two on a spring that tumble in flight."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from scipy.special import ellipk

from physbench.clips.task import HALF_WINDOW, RELEASE, Level, Parameter, Params, Task, declare, event_in, hues, inside
from physbench.tasks.collisions import NUMBERS
from physbench.world.bodies import HOLDER_GAP, ball, floor, holder, shelf, turned_from_front
from physbench.world.scene import PALETTE, PHYSICS_HZ, Body, Camera, Rod, Scene, Spring, hue_name, sphere_mass

HEIGHT = 2.2  # m of the middle of the window above the ground
CAMERA = Camera("front", (0.0, 0.0, HEIGHT))
HANGS_AT = 2.1  # m of the knob above the middle of the window
SURFACE_GAP = 0.25  # m between knob and ball, at least, so that they can be told apart in small pictures


def knob(radius: float, x: float, hue: float) -> Body:
    """The fixed knob on which a ball hangs; it touches nothing."""
    return Body("knob", "sphere", (radius,), "fixed", (x, 0.0, HEIGHT + HANGS_AT), hue=int(hue), collides=False)


def ground() -> Body:
    """A floor far below, which nothing touches."""
    return replace(floor(), collides=False)


class Pendulum(Task):
    """A ball swings on a rod; the wider, the slower.

    What happens: a ball on a rod is held aside by a grey block. The block vanishes and the ball swings to and fro
    about the coloured knob on which the rod hangs.

    Law: the angle from the vertical obeys a'' = -g / l sin a. Narrow swings take 2 pi sqrt(l / g), whatever the mass
    (Galilei 1638, Discorsi, first day); wide ones longer, by the complete elliptic integral of sin(angle / 2)
    (Huygens 1673, Horologium oscillatorium). The rod has no mass and does not turn the ball.

    {parameters}

    angle is that from the vertical at which the ball is held, length that of the rod, from middle to middle. Mass is
    density x volume and plays no part.

    Camera: from the front, 5.12 m wide, the floor at its lower border. Actions: none.
    Hand-over: held until `release`, in motion at 0; the next turning point follows within 1.5 s; horizon 6 s. All of it
    stays in view.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    core = False

    id = "falling/pendulum-v1"
    levels: ClassVar[Mapping[str, Level]] = {
        "difficulty": lambda p: abs(p["angle"]),
        "event": lambda p: pendulum_turn(p),
    }
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        knob=Parameter.fixed(0.2, "m", "radius of the knob on which the rod hangs"),
        radius=Parameter("m", "visible", (0.40, 0.44), "of the ball"),
        **hues("hue_ball", "hue_knob"),
        release=RELEASE,
        length=Parameter("m", "visible", (1.6, 3.0), "of the rod"),
        angle=Parameter("rad", "visible", (0.45, 1.0), "at which the ball is held, to the right", (1.1, 1.4), True),
        middle=Parameter("m", "visible", (-0.4, 0.4), "of the knob, to the right"),
    )
    horizon = 6.0  # s

    def accepts(self, p: Params) -> bool:
        """Different hues, all in view."""
        reach = p["length"] * math.sin(abs(p["angle"]))
        return p["hue_ball"] != p["hue_knob"] and inside((abs(p["middle"]) + reach,), p["radius"])

    def scene(self, p: Params) -> Scene:
        angle, radius = p["angle"], p["radius"]
        cos, sin = math.cos(angle), math.sin(angle)
        x, z = p["middle"] + p["length"] * sin, HEIGHT + HANGS_AT - p["length"] * cos
        earlier = p["gravity"] * sin / (2 * PHYSICS_HZ)  # the simulator begins with the velocity of half a step ago
        inwards = -math.copysign(radius + HOLDER_GAP, angle)
        return Scene(
            bodies=(
                ball(
                    "ball",
                    radius,
                    (x, 0.0, z),
                    p["hue_ball"],
                    velocity=(earlier * cos, 0.0, earlier * sin),
                    release=p["release"],
                ),
                knob(p["knob"], p["middle"], p["hue_knob"]),
                ground(),
                holder(
                    "holder",
                    (0.05, 0.2, 0.5 * radius),
                    (x + inwards * cos, 0.0, z + inwards * sin),
                    p["release"],
                    turned_from_front(angle),
                ),
            ),
            camera=CAMERA,
            gravity=(0.0, 0.0, -p["gravity"]),
            fields=(Rod("knob", "ball", p["length"]),),
            horizon=self.horizon,
            prompt=f"A {hue_name(p['hue_ball'])} ball hangs on a thin rod from a small {hue_name(p['hue_knob'])} "
            "knob and is held aside by a grey block. The block vanishes and the ball swings to and fro. Static "
            "camera, seen from the side.",
            caption=f"A {hue_name(p['hue_ball'])} exercise ball hangs on a thin rod from a small "
            f"{hue_name(p['hue_knob'])} knob and is held aside by a grey block. The block is drawn back.",
        )


def pendulum_turn(p: Params) -> float:
    """Time s of the first turning point after the release, half a period later.

    The period is 2 pi sqrt(l / g) over the arithmetic-geometric mean of 1 and cos(angle / 2) (Gauss 1799).
    """
    mean, other = 1.0, math.cos(p["angle"] / 2)
    while mean - other > 1e-12:
        mean, other = (mean + other) / 2, math.sqrt(mean * other)
    return p["release"] + math.pi * math.sqrt(p["length"] / p["gravity"]) / mean


class HangingSpring(Task):
    """A ball bobs up and down on a spring; the larger, the lower and the slower.

    What happens: a ball on a spring lies on a shelf. The shelf vanishes, the ball falls, is drawn up again, and so on.

    Law: z(t) = z_0 + drop cos(w (t - release)) with w^2 = stiffness / mass about the height z_0 at which the ball would
    hang at rest, mass x gravity / stiffness lower than the end of the spring at rest (Hooke 1678, De potentia
    restitutiva). The spring has no mass.

    {parameters}

    drop is the height above z_0 at which the ball is held, middle the place of knob, spring and ball to the right.
    Mass is density x volume: it is seen in the size.

    Camera: from the front, 5.12 m wide, the floor at its lower border. Actions: none.
    Hand-over: held until `release`; the next turning point follows within 1.2 s after 0; horizon 6 s. All of it
    stays in view; ball and knob are at least 0.25 m apart.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    core = False

    id = "falling/spring-v1"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "drop", "event": lambda p: spring_turn(p)}
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        knob=Parameter.fixed(0.2, "m", "radius of the knob on which the spring hangs"),
        stiffness=Parameter.fixed(360.0, "N/m", "of the spring"),
        length=Parameter.fixed(1.1, "m", "of the spring at rest"),
        radius=Parameter("m", "visible", (0.40, 0.44), "of the ball", ood=(0.45, 0.48)),
        **hues("hue_ball", "hue_knob"),
        release=RELEASE,
        drop=Parameter("m", "visible", (0.6, 1.2), "above the height of rest, where the ball is held"),
        middle=Parameter("m", "visible", (-1.8, 1.8), "of knob and ball, to the right"),
    )
    horizon = 6.0  # s

    def accepts(self, p: Params) -> bool:
        """Different hues, no touch, all in view."""
        mean, radius = hanging(p)[0], p["radius"]
        return (
            p["hue_ball"] != p["hue_knob"]
            and mean - p["drop"] >= radius + p["knob"] + SURFACE_GAP
            and inside((p["middle"], mean + p["drop"] - HANGS_AT), radius)
        )

    def scene(self, p: Params) -> Scene:
        radius, (mean, rate) = p["radius"], hanging(p)
        top = HEIGHT + HANGS_AT - mean + p["drop"]
        earlier = p["drop"] * rate**2 / (2 * PHYSICS_HZ)  # the simulator begins with the velocity of half a step ago
        return Scene(
            bodies=(
                ball(
                    "ball",
                    radius,
                    (p["middle"], 0.0, top),
                    p["hue_ball"],
                    velocity=(0.0, 0.0, earlier),
                    release=p["release"],
                ),
                knob(p["knob"], p["middle"], p["hue_knob"]),
                ground(),
                shelf("shelf", p["middle"], top - radius, p["release"]),
            ),
            camera=CAMERA,
            gravity=(0.0, 0.0, -p["gravity"]),
            fields=(Spring("knob", "ball", p["stiffness"], p["length"]),),
            horizon=self.horizon,
            prompt=f"A {hue_name(p['hue_ball'])} ball on a spring under a small {hue_name(p['hue_knob'])} knob lies "
            "on a shelf. The shelf vanishes and the ball bobs up and down. Static camera, seen from the side.",
            caption=f"A {hue_name(p['hue_ball'])} exercise ball on a spring under a small {hue_name(p['hue_knob'])} "
            "knob lies on a shelf. The shelf is drawn back.",
        )


def hanging(p: Params) -> tuple[float, float]:
    """Distance in m from knob to ball at which the spring carries it, and rate in rad/s of the oscillation."""
    mass = sphere_mass(p["radius"])
    return p["length"] + mass * p["gravity"] / p["stiffness"], math.sqrt(p["stiffness"] / mass)


def spring_turn(p: Params) -> float:
    """Time s of the first turning point after the hand-over: one follows each half of a period after the release."""
    half = math.pi / hanging(p)[1]
    return p["release"] + half * (math.floor(-p["release"] / half) + 1)


# A row of balls on rods that is hit from one side.

HOOK = 0.12  # m, radius of the hooks on which the balls hang


class Cradle(Task):
    """Newton's cradle: as many balls swing out at the far end as were let go at the near one.

    What happens: three or four equal balls hang in a row on rods from grey hooks, a little apart. The first one or two
    are held aside on shelves, as far from each other as they hang. The shelves vanish, they swing down and hit the row;
    as many balls swing out at its other end, a little less high, come back and hit the row again.

    Law: between hits the angle of each rod obeys a'' = -g / l sin a; in a hit momentum is kept and Newton's law of
    restitution holds (Huygens 1703, De motu corporum ex percussione; Newton 1687, Principia, corollary VI to the laws
    of motion). The balls hang apart, so that hits come one after the other, each of two balls: (1 + e) / 2 of the speed
    goes on and (1 - e) / 2 stays. The rods have no mass and do not turn the balls.

    {parameters}

    angle is that from the vertical at which the balls are held, length that of the rods, gap the distance of the
    surfaces of two balls that hang. Ball k of 0, 1, ... from the end that is lifted has the hue hue + k hue_step modulo
    5. Mass is density x volume, the same for all.

    Camera: from the front, 5.12 m wide, the floor at its lower border. Actions: none.
    Hand-over: held until `release`, swinging down at 0, first hit in [0.2 s, 1 s], horizon 4 s, in which the balls that
    swung out come back. All of it stays in view.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    core = False

    id = "collisions/cradle-v1"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "balls", "event": lambda p: cradle_hit(p)}
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        restitution=Parameter.fixed(0.95, "", "of two balls"),
        balls=Parameter("", "visible", (3, 4), "that hang in the row", grid=1),
        lifted=Parameter("", "visible", (1, 2), "of them, which are held aside", grid=1),
        radius=Parameter("m", "visible", (0.40, 0.42), "of every ball"),
        hue=Parameter("", "visible", (0, 4), "index into the palette, of the ball at the end", grid=1),
        hue_step=Parameter("", "visible", (1, 4), "from ball to ball, modulo 5", grid=1),
        release=Parameter("s", "visible", (-0.65, -0.5), "when the shelves vanish", grid=0.05),
        length=Parameter("m", "visible", (2.5, 3.5), "of the rods"),
        angle=Parameter("rad", "visible", (0.2, 0.3), "at which they are held, to the right", (0.31, 0.35), True),
        gap=Parameter("m", "visible", (0.02, 0.04), "between two balls that hang"),
        middle=Parameter("m", "visible", (-0.2, 0.2), "of the row, to the right"),
    )
    evenly = "balls"  # though four seldom fit

    def accepts(self, p: Params) -> bool:
        """Seen in motion before the hand-over, the first hit in time; all in view, on both sides."""
        seen = -p["release"] * math.sqrt(p["gravity"] / p["length"])  # rad of the swing
        reach = cradle_places(p)[-1] + p["length"] * math.sin(abs(p["angle"])) + abs(p["middle"])
        return (
            p["length"] * abs(p["angle"]) * (1 - math.cos(seen)) >= 0.26  # m before the hand-over
            and event_in(cradle_hit(p))
            and inside((reach,), p["radius"])
        )

    def scene(self, p: Params) -> Scene:
        radius, side = p["radius"], math.copysign(1.0, p["angle"])
        cos, sin, top = math.cos(p["angle"]), math.sin(p["angle"]), HEIGHT + HANGS_AT
        earlier = p["gravity"] * sin / (2 * PHYSICS_HZ)  # the simulator begins with the velocity of half a step ago
        balls, hooks, shelves = [], [], []
        for k, (name, away) in enumerate(zip(NUMBERS, reversed(cradle_places(p)), strict=False)):
            aside, hook = k < p["lifted"], p["middle"] + side * away
            x, z = (hook + p["length"] * sin, top - p["length"] * cos) if aside else (hook, top - p["length"])
            body = ball(
                f"ball {name}",
                radius,
                (x, 0.0, z),
                (int(p["hue"]) + k * int(p["hue_step"])) % len(PALETTE),
                velocity=(earlier * cos, 0.0, earlier * sin) if aside else (0.0, 0.0, 0.0),
                restitution=math.sqrt(p["restitution"]),
                release=p["release"] if aside else None,
            )
            balls.append(body)
            fixed = Body(f"hook {name}", "sphere", (HOOK,), "fixed", (hook, 0.0, top), grey=0.3, collides=False)
            hooks.append(fixed)
            if aside:
                shelves.append(shelf(f"shelf {name}", x, z - radius, p["release"]))
        names = [hue_name(each.hue or 0) for each in balls]
        lie, vanish = f"The {names[0]} and the {names[1]} one lie aside on shelves", "The shelves vanish"
        drawn_back = "The shelves are drawn back"
        if p["lifted"] == 1:
            lie, vanish = f"The {names[0]} one lies aside on a shelf", "The shelf vanishes"
            drawn_back = "The shelf is drawn back"
        return Scene(
            bodies=(*balls, *hooks, ground(), *shelves),
            camera=CAMERA,
            gravity=(0.0, 0.0, -p["gravity"]),
            fields=tuple(Rod(hook.name, each.name, p["length"]) for hook, each in zip(hooks, balls, strict=True)),
            prompt=f"Newton's cradle: {NUMBERS[len(names) - 1]} balls, {', '.join(names[:-1])} and {names[-1]}, hang "
            f"in a row on thin rods. {lie}. {vanish} and the row is hit. Static camera, seen from the side.",
            caption=f"Newton's cradle: {NUMBERS[len(names) - 1]} exercise balls, {', '.join(names[:-1])} and "
            f"{names[-1]}, hang in a row on thin rods. {lie}. {drawn_back}.",
        )


def cradle_places(p: Params) -> list[float]:
    """Places of the balls at rest, m from the middle of the row, ascending."""
    step, count = 2 * p["radius"] + p["gap"], int(p["balls"])
    return [step * (k - (count - 1) / 2) for k in range(count)]


def cradle_hit(p: Params) -> float:
    """Time in s of the first hit, when a rod stands at -gap from the vertical: a quarter of a period and a little.

    The quarter is sqrt(l / g) K(sin^2(angle / 2)); from there on the ball goes straight, at 2 sqrt(g l) sin(angle / 2).
    """
    sine = math.sin(abs(p["angle"]) / 2)
    quarter = math.sqrt(p["length"] / p["gravity"]) * float(ellipk(sine**2))
    return float(p["release"] + quarter + p["gap"] / (2 * math.sqrt(p["gravity"] * p["length"]) * sine))


# Two balls that turn about each other in flight.


class Tumble(Task):
    """Two balls on a spring are thrown up on the Moon, turning: their barycentre flies as one thrown ball does.

    What happens: a small and a large ball, joined by a spring at rest, lie on shelves. The shelves vanish, both fly
    off, turn about each other, and the spring stretches and shrinks.

    Law: the barycentre falls freely, z(t) = z0 + v t - g t^2 / 2, whatever happens about it; about it angular momentum
    and energy are conserved (Newton 1687, Principia, corollaries III and IV to the laws of motion), and the distance r
    of the balls obeys r'' = h^2 / r^3 - k (r - length) / m, m = m_a m_b / (m_a + m_b), h = r^2 x the rate of turning.
    The spring has no mass and does not turn the balls. There is no air.

    {parameters}

    direction is that from the small ball to the large one at the release. Mass is density x volume: it is seen in the
    sizes.

    Camera: from the front, 5.12 m wide, no ground. Actions: none.
    Hand-over: held until `release`, in flight at 0; the barycentre turns in [0.2 s, 1.4 s]; horizon 2.4 s. All of it
    stays in view.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    core = False

    id = "falling/tumble-v1"
    levels: ClassVar[Mapping[str, Level]] = {
        "difficulty": lambda p: abs(p["spin"]),
        "event": lambda p: tumble_top(p)[0],
    }
    parameters = declare(
        gravity=Parameter.fixed(1.62, "m/s2", "downwards, as on the Moon"),
        stiffness=Parameter.fixed(600.0, "N/m", "of the spring"),
        radius_a=Parameter("m", "visible", (0.40, 0.42), "of the small ball"),
        radius_b=Parameter("m", "visible", (0.48, 0.52), "of the large ball"),
        **hues("hue_a", "hue_b"),
        release=Parameter("s", "visible", (-0.6, -0.4), "when the shelves vanish", grid=0.05),
        length=Parameter("m", "visible", (1.25, 1.4), "of the spring at rest"),
        direction=Parameter("rad", "visible", (-0.5, 0.5), "from the small ball to the large one"),
        spin=Parameter(
            "rad/s", "visible", (1.2, 2.1), "at the release, counter-clockwise", ood=(2.2, 2.5), signed=True
        ),
        velocity_x=Parameter("m/s", "visible", (0.0, 0.25), "of the barycentre, to the right", signed=True),
        velocity_z=Parameter("m/s", "visible", (1.9, 2.6), "of the barycentre, upwards"),
        start_x=Parameter("m", "visible", (-0.8, 0.8), "of the barycentre"),
        start_z=Parameter("m", "visible", (-1.3, -0.5), "of the barycentre above the middle of the window"),
    )
    horizon = 2.4  # s

    def accepts(self, p: Params) -> bool:
        """Different hues; the barycentre turns in time; in view however the balls are turned."""
        top, height = tumble_top(p)
        flown = self.horizon - p["release"]
        end = p["start_z"] + p["velocity_z"] * flown - p["gravity"] * flown**2 / 2
        far = max(p["start_x"], p["start_x"] + p["velocity_x"] * flown, key=abs)
        return (
            p["hue_a"] != p["hue_b"]
            and event_in(top, self.horizon)
            and all(
                inside((far, p["start_z"], height, end), reach + p[f"radius_{name}"])
                for name, reach in zip("ab", tumble_reach(p), strict=True)
            )
        )

    def scene(self, p: Params) -> Scene:
        earlier = p["gravity"] / (2 * PHYSICS_HZ)  # it begins with the velocity of half a step ago
        along = (math.cos(p["direction"]), math.sin(p["direction"]))
        share = tumble_shares(p)
        balls, shelves = [], []
        for name, away in (("a", -share[1] * p["length"]), ("b", share[0] * p["length"])):
            x, z = p["start_x"] + away * along[0], HALF_WINDOW + p["start_z"] + away * along[1]
            vx, vz = p["velocity_x"] - p["spin"] * away * along[1], p["velocity_z"] + p["spin"] * away * along[0]
            radius, velocity = p[f"radius_{name}"], (vx, 0.0, vz + earlier)
            balls.append(
                ball(f"ball {name}", radius, (x, 0.0, z), p[f"hue_{name}"], velocity=velocity, release=p["release"])
            )
            shelves.append(shelf(f"shelf {name}", x, z - radius, p["release"]))
        return Scene(
            bodies=(*balls, *shelves),
            camera=Camera("front", (0.0, 0.0, HALF_WINDOW)),
            gravity=(0.0, 0.0, -p["gravity"]),
            fields=(Spring("ball a", "ball b", p["stiffness"], p["length"]),),
            horizon=self.horizon,
            prompt=f"On the Moon, a {hue_name(p['hue_a'])} and a larger {hue_name(p['hue_b'])} ball on a spring "
            "are thrown up and turn about each other as they fly. Static camera, seen from the side.",
            caption=f"A {hue_name(p['hue_a'])} and a larger {hue_name(p['hue_b'])} exercise ball on a spring are "
            "thrown up, as slowly as on the Moon.",
        )


def tumble_top(p: Params) -> tuple[float, float]:
    """Time in s at which the barycentre is highest, and how high above the middle of the window, m."""
    rise = p["velocity_z"] / p["gravity"]
    return p["release"] + rise, p["start_z"] + p["velocity_z"] * rise / 2


def tumble_shares(p: Params) -> tuple[float, float]:
    """Shares of the two balls in the mass."""
    a, b = (sphere_mass(p[f"radius_{name}"]) for name in "ab")
    return a / (a + b), b / (a + b)


def tumble_reach(p: Params) -> tuple[float, float]:
    """Distances m of the two balls from the barycentre that they do not exceed.

    With x the stretch r / length, energy and angular momentum say m spin^2 (1 + 1 / x) / x = k (x - 1) where the balls
    are farthest apart, so that x - 1 is less than 2 m spin^2 / k.
    """
    a, b = tumble_shares(p)
    mass = a * sphere_mass(p["radius_b"])
    farthest = p["length"] * (1 + 2 * mass * p["spin"] ** 2 / p["stiffness"])
    return b * farthest, a * farthest
