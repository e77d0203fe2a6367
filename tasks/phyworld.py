"""The three scenes of PhyWorld (Kang et al. 2024, arXiv 2411.02385) in its ranges: uniform motion, collision, parabola.

Its picture is 10 units wide and ours 5.12 m, so that UNIT m are one of its units of length. Ranges are those of its
paper; radii of 0.3 to 0.6 are left out, as its evaluation leaves balls below 0.6 out. The gap is its script's default.

What differs: pictures are drawn as ours are; balls are held until 0.4 s before the hand-over, where its first frame,
0.2 s before it, shows them in motion; they are spheres, with masses as r^3 as in all our tasks: its are discs, as r^2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from physbench.clips.clip import Split
from physbench.clips.task import Level, Parameter, Params, Task, declare, draw
from physbench.world.bodies import ball, held, shelf, table
from physbench.world.scene import WINDOW, Body, Camera, Scene, Vector, hue_name

WIDTH = 10.0  # units of the picture
UNIT = WINDOW / WIDTH  # m in one unit of length
RELEASED = -0.4  # s
SHOWN = 2.2  # s after the hand-over, its 24th frame, until which a ball is in view where there is room
BORDER = 0.5  # units between a ball and the upper or the lower border
SIZES, SPEEDS = 1, 2  # bits of `outside`
RED, BLUE = 0, 3  # hues
TABLE = -1.1  # m, height of the table's surface: below the largest ball

RADIUS = Parameter("unit", "visible", (0.7, 1.5), "of the ball", ood=(1.5, 2.0))
SPEED = Parameter("unit/s", "visible", (1.0, 4.0), "of the ball", ood=(4.5, 6.0), below=(0.0, 0.8), gap=(2.0, 3.0))
OUTSIDE = Parameter("", "visible", (0, 0), "0; in ood 1: sizes are out of range, 2: speeds, 3: both", (1, 3), grid=1)
START = Parameter("", "visible", (0.0, 1.0), "where it starts, as a share of the room to the right")
HEIGHT = Parameter("", "visible", (0.0, 1.0), "its height, as a share of the room above it")


class PhyWorldTask(Task):
    """A scene of PhyWorld. In the split ood its sizes are out of range, its speeds or both, each as often."""

    suite = "phyworld"
    horizon = 2.9  # s: its 29 frames after 3

    def sample(self, rng: np.random.Generator, split: Split) -> Params:
        """Draw what is out of range, then the others: again and again until there is room."""
        outside = OUTSIDE.draw(rng, split)
        return draw(_with_outside(self.parameters, outside), rng, split, getattr(self, "accepts", lambda params: True))


def _with_outside(parameters: Mapping[str, Parameter], outside: float) -> Mapping[str, Parameter]:
    """The parameters with `outside` fixed; those that it keeps in range have no range out of it."""
    chosen = {**parameters, "outside": Parameter.fixed(outside, "", "")}
    for name, each in parameters.items():
        part = {"radius": SIZES, "speed": SPEEDS}.get(name.split("_")[0])
        if part is not None and not int(outside) & part:
            chosen[name] = Parameter(each.unit, each.kind, each.train, each.doc, gap=each.gap)
    return chosen


def start_x(p: Params) -> float:
    """Centre of a ball at its release, units from the left border: in view until SHOWN, where there is room."""
    room = WIDTH - 2 * p["radius"] - p["speed"] * (SHOWN - RELEASED)
    return p["radius"] + p["start"] * (room if room > 0 else 0.5)  # units in which it starts where there is not


def flat(x: float, y: float) -> Vector:
    """World position m on a table seen from above, from units from the left and the lower border."""
    return (x - WIDTH / 2) * UNIT, (y - WIDTH / 2) * UNIT, 0.0


def gliding(name: str, hue: int, radius: float, x: float, y: float, velocity: float) -> tuple[Body, ...]:
    """A ball that moves along x, in units, without friction and restitution 1; with its holder where it moves."""
    body = ball(name, radius * UNIT, flat(x, y), hue, velocity=(velocity * UNIT, 0.0, 0.0), release=RELEASED)
    return (body, held(body, f"holder of {name}", heading=0.0 if velocity >= 0 else np.pi))


class Uniform(PhyWorldTask):
    """A ball moves on at constant speed.

    What happens: a ball lies on a table in front of a grey block. The block vanishes and the ball glides to the right,
    in the end out of the picture if it is fast. In ood it may be slow, or at rest.

    Law: inertia (Newton 1687, Principia, first law of motion). No gravity, friction or spin.

    {parameters}

    One unit is 0.512 m. The split `gap` draws speeds that train and test leave out. Mass is density x volume.

    Camera: from straight above, 5.12 m (10 units) wide. Actions: none.
    Hand-over: held until -0.4 s, horizon 2.9 s. In view until 2.2 s, where there is room for it.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    id = "phyworld/uniform-v1"
    straight_motion = True
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "speed"}
    parameters = declare(outside=OUTSIDE, radius=RADIUS, speed=SPEED, start=START, height=HEIGHT)

    def scene(self, p: Params) -> Scene:
        y = BORDER + p["radius"] + p["height"] * (WIDTH - 2 * (BORDER + p["radius"]))
        body, block = gliding("ball", RED, p["radius"], start_x(p), y, p["speed"])
        return Scene(
            bodies=(body, table(TABLE), block),
            camera=Camera("top", (0.0, 0.0, 0.0)),
            horizon=self.horizon,
            prompt=f"A {hue_name(RED)} ball glides over a frictionless table at constant speed. Static camera, seen "
            "from straight above.",
            caption=f"A {hue_name(RED)} exercise ball glides over a smooth floor.",
        )


class Collision(PhyWorldTask):
    """Two balls meet head on and rebound without loss.

    What happens: two balls lie on a table, each in front of a grey block. The blocks vanish, the balls move towards
    each other on one line, meet after the hand-over and rebound.

    Law: conservation of momentum and of energy in an elastic impact (Huygens 1669), on a line. No gravity, friction or
    spin.

    {parameters}

    One unit is 0.512 m. meeting is the time of contact, middle where they meet as a share of the room. The split `gap`
    draws speeds that train and test leave out. Mass is density x volume.

    Camera: from straight above, 5.12 m (10 units) wide. Actions: none.
    Hand-over: held until -0.4 s, contact in [0.2 s, 1.7 s], horizon 2.9 s. Both may leave the picture afterwards.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    id = "phyworld/collision-v1"
    levels: ClassVar[Mapping[str, Level]] = {
        "difficulty": lambda p: p["speed_left"] + p["speed_right"],
        "event": "meeting",
    }
    parameters = declare(
        outside=OUTSIDE,
        radius_left=RADIUS,
        radius_right=RADIUS,
        speed_left=SPEED,
        speed_right=SPEED,
        meeting=Parameter("s", "visible", (0.2, 1.7), "time of contact"),
        middle=Parameter("", "visible", (0.0, 1.0), "where they meet, as a share of the room for it"),
        height=HEIGHT,
    )

    def accepts(self, p: Params) -> bool:
        """Both in the picture when they are released."""
        low, high = self.room(p)
        return low <= high and p["speed_left"] + p["speed_right"] > 0

    def room(self, p: Params) -> tuple[float, float]:
        """Lowest and highest place of contact, units from the left border, with both in the picture at the release."""
        before = p["meeting"] - RELEASED
        left = 2 * p["radius_left"] + p["speed_left"] * before
        return left, WIDTH - 2 * p["radius_right"] - p["speed_right"] * before

    def scene(self, p: Params) -> Scene:
        before = p["meeting"] - RELEASED
        low, high = self.room(p)
        meet, widest = low + p["middle"] * (high - low), max(p["radius_left"], p["radius_right"])
        y = BORDER + widest + p["height"] * (WIDTH - 2 * (BORDER + widest))
        x_left = meet - p["radius_left"] - p["speed_left"] * before
        x_right = meet + p["radius_right"] + p["speed_right"] * before
        left, block = gliding("left ball", RED, p["radius_left"], x_left, y, p["speed_left"])
        right, other = gliding("right ball", BLUE, p["radius_right"], x_right, y, -p["speed_right"])
        return Scene(
            bodies=(left, right, table(TABLE), block, other),
            camera=Camera("top", (0.0, 0.0, 0.0)),
            horizon=self.horizon,
            prompt=f"A {hue_name(RED)} and a {hue_name(BLUE)} ball glide towards each other on a frictionless table, "
            "collide head on and rebound without loss. Static camera, seen from straight above.",
            caption=f"A {hue_name(RED)} and a {hue_name(BLUE)} exercise ball glide towards each other over a smooth "
            "floor.",
        )


class Parabola(PhyWorldTask):
    """A ball is thrown sideways and falls.

    What happens: a ball lies on a grey shelf near the upper border. The shelf vanishes, the ball flies to the right and
    falls slowly, out of the picture in the end.

    Law: free fall, z(t) = z0 - g t^2 / 2 with constant horizontal speed (Galilei 1638, Discorsi, fourth day). No air,
    friction or spin.

    {parameters}

    One unit is 0.512 m; gravity is 2.5 units/s2, 1.28 m/s2. The split `gap` draws speeds that train and test leave out.
    Mass is density x volume and plays no part.

    Camera: from the front, 5.12 m (10 units) wide, without a floor. Actions: none.
    Hand-over: held until -0.4 s, horizon 2.9 s. It falls out of the picture before.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    id = "phyworld/parabola-v1"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "speed"}
    parameters = declare(
        gravity=Parameter.fixed(2.5, "unit/s2", "downwards"),
        outside=OUTSIDE,
        radius=RADIUS,
        speed=SPEED,
        start=START,
        height=Parameter("unit", "visible", (0.0, 1.0), "by which it starts lower than 0.5 below the upper border"),
    )

    def scene(self, p: Params) -> Scene:
        gravity = p["gravity"] * UNIT
        x, _, _ = flat(start_x(p), 0.0)
        z = (WIDTH / 2 - BORDER - p["radius"] - p["height"]) * UNIT
        radius = p["radius"] * UNIT
        body = ball("ball", radius, (x, 0.0, z), RED, velocity=(p["speed"] * UNIT, 0.0, 0.0), release=RELEASED)
        return Scene(
            bodies=(body, shelf("holder", x, z - radius, RELEASED, 0.55 * radius)),
            camera=Camera("front", (0.0, 0.0, 0.0)),
            gravity=(0.0, 0.0, -gravity),
            horizon=self.horizon,
            prompt=f"A {hue_name(RED)} ball is thrown to the right from near the upper border and falls slowly. There "
            "is no floor in view. Static camera, seen from the side.",
            caption=f"A {hue_name(RED)} exercise ball is thrown to the right, high above the floor.",
        )
