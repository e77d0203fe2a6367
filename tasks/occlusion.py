"""Bodies that get out of sight and come back."""

from __future__ import annotations

import math

import numpy as np

from physbench.clips.clip import Split
from physbench.clips.task import Parameter, Params, declare, draw
from physbench.tasks.helpers import HALF, RELEASE, holder, hue_name, hues
from physbench.world.scene import FLOOR_GREY, SCREEN_GREY, Body, Camera, Scene, sphere_mass

MARGIN = 0.04  # m that stay free at the border
CENTER_Z = 1.3  # m, of the window
SCREEN_Y = -0.85  # m, the face of the screen that the camera sees
SCREEN_DEPTH = 0.05  # m, half of it
SLIVER = 0.195  # a segment of this many radii is 5 % of a disc


def rolling(name: str, p: Params, way: float, start: float, hue: float, radius: float, lane: float = 0.0) -> Body:
    """A ball that is held at `start` (m before the middle) and rolls off without slipping at the release."""
    velocity = way * abs(p["velocity"] if "velocity" in p else p[f"speed_{name}"])
    return Body(
        name,
        "sphere",
        (radius,),
        "moving",
        (-way * start, lane, radius),
        velocity=(velocity, 0.0, 0.0),
        spin=(0.0, velocity / radius, 0.0),
        hue=int(hue),
        mass=sphere_mass(radius),
        restitution=p["restitution"],
        friction=p["friction"],
        release=p["release"],
    )


def block(name: str, way: float, start: float, radius: float, release: float, lane: float = 0.0) -> Body:
    """The holder behind a ball."""
    return holder(name, (0.05, 0.2, 0.5 * radius), (-way * (start + radius + 0.06), lane, 0.5 * radius), release)


def ground() -> Body:
    return Body("floor", "plane", (), "fixed", (0.0, 0.0, 0.0), grey=FLOOR_GREY, friction=1.0)


class ScreenPass:
    """A ball passes behind a screen and comes out on the other side.

    What happens: a ball lies on the floor in front of a grey block. The block vanishes and the ball rolls off at
    constant speed, behind a screen that hides it entirely, out on the other side and towards the border.

    Law: persistence of what is not seen (Piaget 1954, The Construction of Reality in the Child; Baillargeon 1987,
    doi:10.1037/0012-1649.23.5.655) and inertia: rolling without slipping, v = omega r, at constant speed.

    | parameter     | unit | class   | train and test    | ood           | meaning                                   |
    | ------------- | ---- | ------- | ----------------- | ------------- | ----------------------------------------- |
    | gravity       | m/s2 | fixed   | 9.81              |               | downwards                                 |
    | friction      |      | fixed   | 0.5               |               | of ball and floor                         |
    | restitution   |      | fixed   | 0                 |               | of ball and floor                         |
    | radius        | m    | visible | 0.4 .. 0.5        | 0.52 .. 0.58  | of the ball                               |
    | hue           |      | visible | 0, 1 .. 4         |               | index into the palette                    |
    | release       | s    | visible | -1, -0.95 .. -0.4 |               | when the holders vanish                   |
    | velocity      | m/s  | visible | +-0.8 .. 1.3      | +-1.35 .. 1.6 | of rolling, to the right                  |
    | start         | m    | visible | 1.75 .. 2.1       |               | distance from the middle where it is held |
    | hidden_at     | s    | visible | 0.25 .. 0.95      |               | when less than 5 % are left to see        |
    | hidden_for    | s    | visible | 0.3 .. 0.8        |               | how long that lasts                       |
    | screen_height | m    | visible | 1.3 .. 2.2        |               | above the floor                           |

    start is the distance from the middle at which the ball is held; hidden_at is the time at which less than 5 % of it
    are left to see, hidden_for how long that lasts: both together with the speed place the screen.

    Camera: from the front, 5.12 m wide. Actions: none.
    Hand-over: held until `release`, then in full view for at least 0.4 s, its middle in view at 0; hidden from a time
    in [0.2 s, 1 s] on, fully out and in full view for 0.4 s by 3.6 s; horizon 4 s; it may leave later.
    May be hidden: the ball, by the screen.

    Version history: v1, first release.
    """

    id = "occlusion/screen-pass-v1"
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        friction=Parameter.fixed(0.5, "", "of ball and floor"),
        restitution=Parameter.fixed(0.0, "", "of ball and floor"),
        radius=Parameter("m", "visible", (0.40, 0.50), "of the ball", ood=(0.52, 0.58)),
        **hues("hue"),
        release=RELEASE,
        velocity=Parameter("m/s", "visible", (0.8, 1.3), "of rolling, to the right", ood=(1.35, 1.6), signed=True),
        start=Parameter("m", "visible", (1.75, 2.1), "distance from the middle where it is held"),
        hidden_at=Parameter("s", "visible", (0.25, 0.95), "when less than 5 % are left to see"),
        hidden_for=Parameter("s", "visible", (0.3, 0.8), "how long that lasts"),
        screen_height=Parameter("m", "visible", (1.3, 2.2), "above the floor"),
    )
    horizon = 4.0  # s

    def sample(self, rng: np.random.Generator, split: Split) -> Params:
        return draw(self.parameters, rng, split, self.accepts)

    def accepts(self, p: Params) -> bool:
        """Seen long enough before it is hidden, out in time, and in view for a while behind the screen."""
        speed, radius = abs(p["velocity"]), p["radius"]
        near, far = self.edges(p)
        at_0 = -p["start"] - speed * p["release"]
        out = (far + radius - at_0) / speed
        return (
            p["start"] + radius <= HALF - MARGIN
            and at_0 + speed * (p["release"] + 0.4) + radius <= near
            and at_0 <= near
            and out <= 0.9 * self.horizon - 0.4
            and at_0 + speed * (out + 0.4) + radius <= HALF - MARGIN
        )

    def edges(self, p: Params) -> tuple[float, float]:
        """Where the screen begins and ends in the plane of motion, m along the ball's way from the middle."""
        speed, radius = abs(p["velocity"]), p["radius"]
        hidden = -p["start"] + speed * (p["hidden_at"] - p["release"])
        near = hidden - (1 - SLIVER) * radius
        far = hidden + speed * p["hidden_for"] + (1 - SLIVER) * radius
        return near, far

    def scene(self, params: Params) -> Scene:
        p, radius = params, params["radius"]
        way = math.copysign(1.0, p["velocity"])
        camera = Camera("front", (0.0, 0.0, CENTER_Z))
        # The screen stands nearer to the camera than the plane of motion and looks larger there.
        nearer = (camera.distance + SCREEN_Y) / camera.distance
        near, far = (edge * nearer for edge in self.edges(p))
        screen = Body(
            "screen",
            "box",
            ((far - near) / 2, SCREEN_DEPTH, p["screen_height"] / 2),
            "fixed",
            (way * (near + far) / 2, SCREEN_Y + SCREEN_DEPTH, p["screen_height"] / 2),
            grey=SCREEN_GREY,
            collides=False,
        )
        return Scene(
            bodies=(
                rolling("ball", p, way, p["start"], p["hue"], radius),
                ground(),
                screen,
                block("holder", way, p["start"], radius, p["release"]),
            ),
            camera=camera,
            gravity=(0.0, 0.0, -p["gravity"]),
            horizon=self.horizon,
            prompt=f"A {hue_name(p['hue'])} ball rolls over the floor at constant speed, passes behind a dark grey "
            "screen and comes out on the other side. Static camera, seen from the side.",
        )
