"""Balls that hang on a rod or on a spring and swing."""

from __future__ import annotations

import math
from dataclasses import replace

from physbench.clips.task import RELEASE, Parameter, Params, Task, declare, hues, inside
from physbench.world.bodies import HOLDER_GAP, ball, floor, holder, shelf, turned_from_front
from physbench.world.scene import PHYSICS_HZ, Body, Camera, Rod, Scene, Spring, hue_name, sphere_mass

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

    def scene(self, params: Params) -> Scene:
        p, angle, radius = params, params["angle"], params["radius"]
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
        )


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

    def scene(self, params: Params) -> Scene:
        p, radius, (mean, rate) = params, params["radius"], hanging(params)
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
        )


def hanging(p: Params) -> tuple[float, float]:
    """Distance in m from knob to ball at which the spring carries it, and rate in rad/s of the oscillation."""
    mass = sphere_mass(p["radius"])
    return p["length"] + mass * p["gravity"] / p["stiffness"], math.sqrt(p["stiffness"] / mass)
