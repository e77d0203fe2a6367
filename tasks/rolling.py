"""Bodies that slide over a floor and roll off a table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from physbench.clips.task import RELEASE, Level, Parameter, Params, Task, declare, event_in, hues, inside
from physbench.world.bodies import HOLDER_GAP, ball, floor, holder, wall
from physbench.world.scene import Body, Camera, Scene, box_mass, hue_name

CAMERA = Camera("front", (0.0, 0.0, 1.3))
BOX_DEPTH = 0.4  # m, half of the box's extent across the plane of motion
LEAST_PATH = 0.3  # m before the hand-over
REST_DISTANCE = 1.15  # diameters between where it is at the hand-over and where it comes to rest


def backing(side: float, start: float, reach: float, release: float, top: float = 0.0) -> Body:
    """The block that backs a body of half width `reach` m, held `start` m before the middle on a level at `top` m."""
    middle = (-side * (start + reach + HOLDER_GAP), 0.0, top + 0.5 * reach)
    return holder("holder", (0.05, 0.2, 0.5 * reach), middle, release)


class SlideStop(Task):
    """A box slides over a floor and stops; the floor's grey shows how rough it is.

    What happens: a box lies on a floor in front of a grey block. The block vanishes and the box slides off, slower and
    slower, until it stops and stays.

    Law: sliding friction does not depend on the speed (Coulomb 1785, Theorie des machines simples): with friction mu
    the deceleration is mu g, the box stops v / (mu g) s and v^2 / (2 mu g) m after its release, whatever its mass.

    The floor's friction is seen in its grey: grey = 0.95 - 0.5 x friction, so that smooth floors are light.

    {parameters}

    start is the distance from the middle at which the box is held. The box is a cube of the silhouette's area. Mass is
    density x volume and plays no part.

    Camera: from the front, 5.12 m wide. Actions: none.
    Hand-over: held until `release`, sliding at 0, stops in [0.2 s, 2.4 s], at least 1.15 diameters from where it was at
    the hand-over; horizon 4 s. All of it stays in view.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    core = False

    id = "falling/slide-stop-v1"
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        restitution=Parameter.fixed(0.0, "", "of box and floor"),
        size=Parameter("m", "visible", (0.40, 0.46), "radius of the disc of its silhouette's area", ood=(0.47, 0.52)),
        **hues("hue"),
        floor_friction=Parameter("", "visible", (0.06, 0.34), "of box and floor, seen in its grey", ood=(0.36, 0.44)),
        release=RELEASE,
        velocity=Parameter("m/s", "visible", (1.6, 5.2), "at the release, to the right", signed=True),
        start=Parameter("m", "visible", (1.7, 2.1), "distance from the middle where it is held"),
    )
    horizon = 4.0  # s

    def accepts(self, p: Params) -> bool:
        """Seen in motion before the hand-over, stops in time, in view and well away from where it was then."""
        half = p["size"] * math.sqrt(math.pi) / 2
        stop, way = slide_end(p)
        slid = slide_way(p, 0.0)
        return (
            event_in(stop, self.horizon)
            and slid >= LEAST_PATH
            and way - slid >= 2 * REST_DISTANCE * p["size"]
            and inside((p["start"], way - p["start"]), half)
        )

    def scene(self, params: Params) -> Scene:
        p, side = params, math.copysign(1.0, params["velocity"])
        half = p["size"] * math.sqrt(math.pi) / 2
        size = (half, BOX_DEPTH, half)
        box = Body(
            "box",
            "box",
            size,
            "moving",
            (-side * p["start"], 0.0, half),
            velocity=(p["velocity"], 0.0, 0.0),
            hue=int(p["hue"]),
            mass=box_mass(size),
            restitution=p["restitution"],
            friction=1.0,
            flat=True,
            release=p["release"],
        )
        ground = floor(round(0.95 - 0.5 * p["floor_friction"], 6), friction=p["floor_friction"])
        return Scene(
            bodies=(box, ground, backing(side, p["start"], half, p["release"])),
            camera=CAMERA,
            gravity=(0.0, 0.0, -p["gravity"]),
            horizon=self.horizon,
            prompt=f"A {hue_name(p['hue'])} box slides over a flat floor, slows down and stops. The lighter the floor, "
            "the smoother it is. Static camera, seen from the side.",
        )


def slide_end(p: Params) -> tuple[float, float]:
    """Time in s at which the box stops, and its way until then in m."""
    deceleration = p["floor_friction"] * p["gravity"]
    return p["release"] + abs(p["velocity"]) / deceleration, p["velocity"] ** 2 / (2 * deceleration)


def slide_way(p: Params, time: float) -> float:
    """Way of the box from its release to a time in s, m."""
    stop, way = slide_end(p)
    left = max(stop - max(time, p["release"]), 0.0)
    return way - p["floor_friction"] * p["gravity"] * left**2 / 2


# A ball that rolls off a table.

TABLE_CAMERA = Camera("front", (0.0, 0.0, 1.9))
TABLE_LENGTH = 4.0  # m; its far end lies out of view
TABLE_DEPTH = 0.8  # m, half of its extent across the plane of motion
TABLE_GREY = 0.75
LEAVES_AT_ONCE = 1.05  # least v^2 / (g r): a slower ball would turn about the edge before it falls
VIEW_AFTER_LANDING, VIEW_UNTIL = 0.25, 1.1  # s for which it stays in full view after it landed; at least until then


class RollOff(Task):
    """A ball rolls off the edge of a table, falls in a parabola and bounces on.

    What happens: a ball lies on a table in front of a grey block. The block vanishes and the ball rolls off at constant
    speed, over the edge of the table, falls to the floor and bounces on.

    Law: rolling at constant speed, then free fall: from the height h the ball lands sqrt(2 h / g) s after the edge,
    v sqrt(2 h / g) m from it (Galilei 1638, Discorsi, fourth day). It is faster than sqrt(g r), so that it leaves the
    edge at once. It lands with the spin of rolling, so that friction does not act on it; at a bounce vz -> -e vz.

    {parameters}

    start is the distance from the middle at which the ball is held; leaving, the time at which its middle passes the
    edge, places the edge. Mass is density x volume and plays no part.

    Camera: from the front, 5.12 m wide, the floor in its lower part. Actions: none.
    Hand-over: held until `release`, rolling on the table at 0, over the edge in [0.2 s, 2.4 s], in full view for
    0.25 s after it landed and for 1.1 s; horizon 4 s; it may leave later.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    core = False

    id = "falling/roll-off-v1"
    levels: ClassVar[Mapping[str, Level]] = {"event": "leaving"}
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        restitution=Parameter.fixed(0.7, "", "of ball and floor"),
        friction=Parameter.fixed(0.5, "", "of the ball with table and floor"),
        radius=Parameter("m", "visible", (0.40, 0.44), "of the ball", ood=(0.45, 0.49)),
        **hues("hue"),
        release=Parameter("s", "visible", (-0.6, -0.4), "when the holder vanishes", grid=0.05),
        velocity=Parameter("m/s", "visible", (2.1, 2.6), "of rolling, to the right", signed=True),
        start=Parameter("m", "visible", (1.9, 2.1), "distance from the middle where it is held"),
        leaving=Parameter("s", "visible", (0.2, 0.5), "when its middle passes the edge"),
        height=Parameter("m", "visible", (1.1, 1.8), "of the table", ood=(1.85, 2.2)),
    )
    horizon = 4.0  # s

    def accepts(self, p: Params) -> bool:
        """Fast enough to leave the edge at once; seen for a while after it landed."""
        speed, radius = abs(p["velocity"]), p["radius"]
        flight = math.sqrt(2 * p["height"] / p["gravity"])
        seen = edge_of(p) + speed * max(flight + VIEW_AFTER_LANDING, VIEW_UNTIL - p["leaving"])
        return (
            speed**2 >= LEAVES_AT_ONCE * p["gravity"] * radius
            and event_in(p["leaving"] + flight, self.horizon)
            and inside((p["start"], seen), radius)
        )

    def scene(self, params: Params) -> Scene:
        p, radius, side = params, params["radius"], math.copysign(1.0, params["velocity"])
        rolling = ball(
            "ball",
            radius,
            (-side * p["start"], 0.0, p["height"] + radius),
            p["hue"],
            velocity=(p["velocity"], 0.0, 0.0),
            spin=(0.0, p["velocity"] / radius, 0.0),
            restitution=p["restitution"],
            friction=p["friction"],
            release=p["release"],
        )
        size = (TABLE_LENGTH / 2, TABLE_DEPTH, p["height"] / 2)
        middle = (side * (edge_of(p) - TABLE_LENGTH / 2), 0.0, p["height"] / 2)
        table = wall("table", size, middle, grey=TABLE_GREY, restitution=0.0, friction=1.0)
        return Scene(
            bodies=(rolling, floor(), table, backing(side, p["start"], radius, p["release"], p["height"])),
            camera=TABLE_CAMERA,
            gravity=(0.0, 0.0, -p["gravity"]),
            horizon=self.horizon,
            prompt=f"A {hue_name(p['hue'])} ball rolls off the edge of a light grey table, falls to the floor and "
            "bounces on. Static camera, seen from the side.",
        )


def edge_of(p: Params) -> float:
    """Edge of the table, m along the ball's path from the middle."""
    return abs(p["velocity"]) * (p["leaving"] - p["release"]) - p["start"]
