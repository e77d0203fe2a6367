"""Bodies under central gravity."""

from __future__ import annotations

import math

import numpy as np

from physbench.clips.clip import Split
from physbench.clips.task import Parameter, Params, declare, draw
from physbench.dynamics.impacts import Flat
from physbench.dynamics.kepler_elements import elliptic_state
from physbench.tasks.helpers import HALF, hue_name, hues
from physbench.world.scene import HISTORY, Body, Camera, CentralGravity, Scene, sphere_mass

MARGIN = 0.04  # m that stay free at the border
GAP = 0.08  # m between the surfaces at the periapsis: a pixel of 64
PERIODS = 3  # at least, within the horizon


class Kepler:
    """A planet goes around a fixed star.

    What happens: the planet is on its ellipse from the start of the history to the end of the horizon, at least three
    times around.

    Law: the acceleration is mu / r^2 towards the star, so that the way is an ellipse with the star in a focus, the
    areal velocity is constant and T^2 = 4 pi^2 a^3 / mu (Kepler 1609, Astronomia nova; Newton 1687, Principia, book I).
    The star is fixed and touches nothing.

    | parameter    | unit  | class   | train and test    | ood        | meaning                                     |
    | ------------ | ----- | ------- | ----------------- | ---------- | ------------------------------------------- |
    | mu           | m3/s2 | fixed   | 34                |            | gravitational constant x mass of the star   |
    | star_radius  | m     | fixed   | 0.2               |            | of the star                                 |
    | radius       | m     | visible | 0.4 .. 0.48       |            | of the planet                               |
    | hue_planet   |       | visible | 0, 1 .. 4         |            | index into the palette                      |
    | hue_star     |       | visible | 0, 1 .. 4         |            | index into the palette                      |
    | eccentricity |       | visible | 0.1 .. 0.5        | 0.5 .. 0.6 | of the ellipse                              |
    | semi_axis    | m     | visible | 1.1 .. 1.8        |            | semi-major axis of the ellipse              |
    | orientation  | rad   | visible | -3.1416 .. 3.1416 |            | direction of the periapsis                  |
    | phase        | rad   | visible | -3.1416 .. 3.1416 |            | mean anomaly at the hand-over               |
    | sense        |       | visible | +-1               |            | 1 is counter-clockwise                      |
    | middle_x     | m     | visible | -0.5 .. 0.5       |            | middle of the ellipse, to the right         |
    | middle_y     | m     | visible | -0.5 .. 0.5       |            | middle of the ellipse, upwards in the image |

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

    def sample(self, rng: np.random.Generator, split: Split) -> Params:
        return draw(self.parameters, rng, split, self.accepts)

    def accepts(self, p: Params) -> bool:
        """Different hues, enough periods, no touch, the whole ellipse in view."""
        a, e, turn = p["semi_axis"], p["eccentricity"], p["orientation"]
        b = a * math.sqrt(1 - e**2)
        half_x, half_y = (
            math.hypot(a * math.cos(turn), b * math.sin(turn)),
            math.hypot(a * math.sin(turn), b * math.cos(turn)),
        )
        room = HALF - MARGIN - p["radius"]
        return (
            p["hue_planet"] != p["hue_star"]
            and PERIODS * 2 * math.pi * math.sqrt(a**3 / p["mu"]) <= self.horizon
            and a * (1 - e) >= p["radius"] + p["star_radius"] + GAP
            and abs(p["middle_x"]) + half_x <= room
            and abs(p["middle_y"]) + half_y <= room
        )

    def scene(self, params: Params) -> Scene:
        p, radius = params, params["radius"]
        focus = p["semi_axis"] * p["eccentricity"]
        star_at = (
            p["middle_x"] + focus * math.cos(p["orientation"]),
            p["middle_y"] + focus * math.sin(p["orientation"]),
        )
        (x, y), (vx, vy) = kepler_state(p, -HISTORY)
        planet = Body(
            "planet",
            "sphere",
            (radius,),
            "moving",
            (star_at[0] + x, star_at[1] + y, 0.0),
            velocity=(vx, vy, 0.0),
            hue=int(p["hue_planet"]),
            mass=sphere_mass(radius),
        )
        star = Body(
            "star",
            "sphere",
            (p["star_radius"],),
            "fixed",
            (*star_at, 0.0),
            hue=int(p["hue_star"]),
            collides=False,
        )
        return Scene(
            bodies=(planet, star),
            camera=Camera("top", (0.0, 0.0, 0.0)),
            fields=(CentralGravity("star", p["mu"]),),
            horizon=self.horizon,
            prompt=f"A large {hue_name(p['hue_planet'])} planet orbits a small {hue_name(p['hue_star'])} star on an "
            "ellipse, round and round, under gravity. Static camera.",
        )


def kepler_state(p: Params, time: float) -> tuple[Flat, Flat]:
    """Position m from the star and velocity m/s of the planet at `time`."""
    return elliptic_state(p["mu"], p["semi_axis"], p["eccentricity"], p["orientation"], p["phase"], p["sense"], time)
