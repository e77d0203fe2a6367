"""Bodies under central gravity."""

from __future__ import annotations

import math

from physbench.clips.task import Parameter, Params, Task, declare
from physbench.clips.task_helpers import FREE_BORDER, HALF_WINDOW, hues
from physbench.dynamics.impacts import Flat, at
from physbench.dynamics.kepler_elements import elliptic_state
from physbench.world.bodies import ball
from physbench.world.scene import HISTORY, Body, Camera, CentralGravity, Scene, hue_name

SURFACE_GAP = 0.08  # m between the surfaces at the periapsis: a pixel of 64
PERIODS = 3  # at least, within the horizon


class Kepler(Task):
    """A planet goes around a fixed star.

    What happens: the planet is on its ellipse from the start of the history to the end of the horizon, at least three
    times around.

    Law: the acceleration is mu / r^2 towards the star, so that the path is an ellipse with the star in a focus, the
    areal velocity is constant and T^2 = 4 pi^2 a^3 / mu (Kepler 1609, Astronomia nova; Newton 1687, Principia, book I).
    The star is fixed and touches nothing.

    {parameters}

    orientation is the direction of the periapsis from the star, phase the mean anomaly at the hand-over, sense 1 is
    counter-clockwise, (middle_x, middle_y) the middle of the ellipse. Mass is density x volume and plays no part.

    Camera: from straight above, 5.12 m wide, no ground. Actions: none.
    Hand-over: in motion throughout; periapsis and apoapsis, the turning points, follow within one period, at most
    2.67 s; horizon 8 s. The whole ellipse is in view; star and planet are at least 0.08 m apart.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    id = "orbits/kepler-v1"
    parameters = declare(
        mu=Parameter.fixed(34.0, "m3/s2", "gravitational constant x mass of the star"),
        star_radius=Parameter.fixed(0.2, "m", "of the star"),
        radius=Parameter("m", "visible", (0.40, 0.48), "of the planet"),
        **hues("hue_planet", "hue_star"),
        eccentricity=Parameter("", "visible", (0.1, 0.5), "of the ellipse", ood=(0.5, 0.6)),
        semi_axis=Parameter("m", "visible", (1.1, 1.8), "semi-major axis of the ellipse"),
        orientation=Parameter("rad", "visible", (-3.1416, 3.1416), "direction of the periapsis"),
        phase=Parameter("rad", "visible", (-3.1416, 3.1416), "mean anomaly at the hand-over"),
        sense=Parameter("", "visible", (1, 1), "1 is counter-clockwise", signed=True),
        middle_x=Parameter("m", "visible", (-0.5, 0.5), "middle of the ellipse, to the right"),
        middle_y=Parameter("m", "visible", (-0.5, 0.5), "middle of the ellipse, upwards in the image"),
    )
    horizon = 8.0  # s

    def accepts(self, p: Params) -> bool:
        """Different hues, enough periods, no touch, the whole ellipse in view."""
        a, e = p["semi_axis"], p["eccentricity"]
        half_x, half_y = half_extents(a, a * math.sqrt(1 - e**2), unit(p["orientation"]))
        room = HALF_WINDOW - FREE_BORDER - p["radius"]
        return (
            p["hue_planet"] != p["hue_star"]
            and PERIODS * 2 * math.pi * math.sqrt(a**3 / p["mu"]) <= self.horizon
            and a * (1 - e) >= p["radius"] + p["star_radius"] + SURFACE_GAP
            and abs(p["middle_x"]) + half_x <= room
            and abs(p["middle_y"]) + half_y <= room
        )

    def star_position(self, p: Params) -> Flat:
        """Position of the star, m."""
        return at((p["middle_x"], p["middle_y"]), unit(p["orientation"]), p["semi_axis"] * p["eccentricity"])

    def scene(self, params: Params) -> Scene:
        p, (star_x, star_y) = params, self.star_position(params)
        (x, y), velocity = kepler_state(p, -HISTORY)
        return Scene(
            bodies=(
                ball("planet", p["radius"], (star_x + x, star_y + y, 0.0), p["hue_planet"], velocity=(*velocity, 0.0)),
                star(p["star_radius"], (star_x, star_y), p["hue_star"]),
            ),
            camera=Camera("top", (0.0, 0.0, 0.0)),
            fields=(CentralGravity("star", p["mu"]),),
            horizon=self.horizon,
            prompt=f"A large {hue_name(p['hue_planet'])} planet orbits a small {hue_name(p['hue_star'])} star on an "
            "ellipse, round and round, under gravity. Static camera.",
        )


def star(radius: float, position: Flat, hue: float) -> Body:
    """A star that is fixed and touches nothing."""
    return Body("star", "sphere", (radius,), "fixed", (*position, 0.0), hue=int(hue), collides=False)


def half_extents(a: float, b: float, axis: Flat) -> Flat:
    """Half width and half height m of an ellipse with semi-axes `a`, `b` m; `axis`: unit vector along the major one."""
    cos, sin = axis
    return math.hypot(a * cos, b * sin), math.hypot(a * sin, b * cos)


def unit(angle: float) -> Flat:
    """Unit vector in the direction of `angle` rad."""
    return math.cos(angle), math.sin(angle)


def kepler_state(p: Params, time: float) -> tuple[Flat, Flat]:
    """Position m from the star and velocity m/s of the planet at `time`."""
    return elliptic_state(p["mu"], p["semi_axis"], p["eccentricity"], p["orientation"], p["phase"], p["sense"], time)
