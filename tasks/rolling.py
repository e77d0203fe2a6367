"""Bodies that slide over a floor, roll off a table and up a ramp, and are carried by a belt."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from physbench.clips.task import RELEASE, Level, Parameter, Params, Task, declare, event_in, hues, inside
from physbench.world.bodies import HOLDER_GAP, ball, belt, floor, holder, shelf, turned_from_front, wall
from physbench.world.scene import HORIZON, Body, Camera, Scene, box_mass, hue_name, ramp, rolling_inertia

# The floor's edge lies between two rows of pixels, of 64 px or more: a box that lies on it is drawn as high as it is.
CAMERA = Camera("front", (0.0, 0.0, 1.28))


@dataclass(frozen=True)
class BoxRun:
    """Runs of a box that a clip may show."""

    depth: float = 0.4  # m, half of the box's extent across the plane of motion
    least_path: float = 0.3  # m before the hand-over
    rest_distance: float = 1.15  # diameters between where it is at the hand-over and where it comes to rest


BOX = BoxRun()


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
    levels: ClassVar[Mapping[str, Level]] = {
        "difficulty": lambda p: abs(p["velocity"]),
        "event": lambda p: slide_end(p)[0],
    }
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        restitution=Parameter.fixed(0.0, "", "of box and floor"),
        size=Parameter("m", "visible", (0.52, 0.58), "radius of the disc of its silhouette's area", ood=(0.60, 0.64)),
        **hues("hue"),
        floor_friction=Parameter("", "visible", (0.06, 0.34), "of box and floor, seen in its grey", ood=(0.36, 0.44)),
        release=RELEASE,
        velocity=Parameter("m/s", "visible", (1.6, 5.2), "at the release, to the right", signed=True),
        start=Parameter("m", "visible", (1.6, 2.0), "distance from the middle where it is held"),
    )

    def accepts(self, p: Params) -> bool:
        """Seen in motion before the hand-over, stops in time, in view and well away from where it was then."""
        half = p["size"] * math.sqrt(math.pi) / 2
        stop, way = slide_end(p)
        slid = slide_way(p, 0.0)
        return (
            event_in(stop)
            and slid >= BOX.least_path
            and way - slid >= 2 * BOX.rest_distance * p["size"]
            and inside((p["start"], way - p["start"]), half, border=0.07)  # the front, which is nearer, is seen larger
        )

    def scene(self, p: Params) -> Scene:
        side = math.copysign(1.0, p["velocity"])
        half = p["size"] * math.sqrt(math.pi) / 2
        size = (half, BOX.depth, half)
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
            prompt=f"A {hue_name(p['hue'])} box slides over a flat floor, slows down and stops. The lighter the floor, "
            "the smoother it is. Static camera, seen from the side.",
            caption=f"A {hue_name(p['hue'])} foam block is given a push and slides over the floor. The lighter the "
            "floor, the smoother it is.",
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

TABLE_DEPTH = 0.8  # m, half of its extent across the plane of motion
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
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "height", "event": "leaving"}
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

    def accepts(self, p: Params) -> bool:
        """Fast enough to leave the edge at once; seen for a while after it landed."""
        speed, radius = abs(p["velocity"]), p["radius"]
        flight = math.sqrt(2 * p["height"] / p["gravity"])
        seen = edge_of(p) + speed * max(flight + VIEW_AFTER_LANDING, VIEW_UNTIL - p["leaving"])
        return (
            speed**2 >= 1.05 * p["gravity"] * radius  # a slower ball would turn about the edge before it falls
            and event_in(p["leaving"] + flight)
            and inside((p["start"], seen), radius)
        )

    def scene(self, p: Params) -> Scene:
        radius, side = p["radius"], math.copysign(1.0, p["velocity"])
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
        table_length = 4.0  # m; its far end lies out of view
        size = (table_length / 2, TABLE_DEPTH, p["height"] / 2)
        middle = (side * (edge_of(p) - table_length / 2), 0.0, p["height"] / 2)
        table = wall("table", size, middle, grey=0.75, restitution=0.0, friction=1.0)
        return Scene(
            bodies=(rolling, floor(), table, backing(side, p["start"], radius, p["release"], p["height"])),
            camera=Camera("front", (0.0, 0.0, 1.9)),
            gravity=(0.0, 0.0, -p["gravity"]),
            prompt=f"A {hue_name(p['hue'])} ball rolls off the edge of a light grey table, falls to the floor and "
            "bounces on. Static camera, seen from the side.",
            caption=f"A {hue_name(p['hue'])} exercise ball rolls towards the edge of a light grey platform that "
            "stands on the floor.",
        )


def edge_of(p: Params) -> float:
    """Edge of the table, m along the ball's path from the middle."""
    return abs(p["velocity"]) * (p["leaving"] - p["release"]) - p["start"]


# A ball that rolls up a ramp and back.


@dataclass(frozen=True)
class Wedge:
    """The ramp: only its slope shows; its foot lies below the floor."""

    length: float = 9.0  # m
    thickness: float = 4.5  # m
    buried: float = 0.3  # m
    grey: float = 0.3


WEDGE = Wedge()


BACK_BEFORE_END = 0.4  # s on the floor again, at least


class RampUp(Task):
    """A ball rolls over the floor, up a ramp, turns and rolls back.

    What happens: a ball lies on the floor in front of a grey block. The block vanishes and the ball rolls off at
    constant speed, up the ramp, slower and slower, turns, rolls down and back over the floor.

    Law: a ball that rolls up a ramp of angle a is slowed by 5/7 g sin a on both ways (Galilei 1638, Discorsi, third
    day; Euler 1765, Theoria motus corporum). Where floor and ramp meet it bumps without a rebound and rolls on: the
    angular momentum about the point that it bumps into stays, so that v becomes (2 + 5 cos a) / 7 v, up and down.

    {parameters}

    start is the distance from the middle at which the ball is held; meeting, the time at which it touches the ramp,
    places the ramp. Mass is density x volume and plays no part.

    Camera: from the front, 5.12 m wide, the floor in its lower part. Actions: none.
    Hand-over: held until `release`, rolling on the floor at 0, touches the ramp in [0.2 s, 1.2 s], turns before 2.4 s
    and is on the floor again 0.4 s before the end; horizon 4 s. All of it stays in view.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    core = False

    id = "falling/ramp-up-v1"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "angle", "event": "meeting"}
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        restitution=Parameter.fixed(0.0, "", "of the ball with floor and ramp"),
        friction=Parameter.fixed(0.5, "", "of the ball with floor and ramp"),
        radius=Parameter("m", "visible", (0.40, 0.46), "of the ball"),
        **hues("hue"),
        release=Parameter("s", "visible", (-0.6, -0.4), "when the holder vanishes", grid=0.05),
        velocity=Parameter("m/s", "visible", (1.5, 2.8), "of rolling, to the right", signed=True),
        start=Parameter("m", "visible", (1.5, 2.1), "distance from the middle where it is held"),
        angle=Parameter("rad", "visible", (0.16, 0.30), "of the ramp", ood=(0.32, 0.40)),
        meeting=Parameter("s", "visible", (0.2, 1.2), "when it touches the ramp"),
    )

    def accepts(self, p: Params) -> bool:
        """Turns in time and comes back in time, in view."""
        _, turn, back = ramp_up_times(p)
        way = [along_ramp_up(p, time) for time in (turn, HORIZON)]
        return (
            abs(p["velocity"]) * -p["release"] >= BOX.least_path
            and event_in(turn)
            and back <= HORIZON - BACK_BEFORE_END
            and inside((p["start"], *(x for x, _ in way)), p["radius"])
        )

    def scene(self, p: Params) -> Scene:
        radius, side = p["radius"], math.copysign(1.0, p["velocity"])
        rolling = ball(
            "ball",
            radius,
            (-side * p["start"], 0.0, radius),
            p["hue"],
            velocity=(p["velocity"], 0.0, 0.0),
            spin=(0.0, p["velocity"] / radius, 0.0),
            restitution=p["restitution"],
            friction=p["friction"],
            release=p["release"],
        )
        cos, sin = math.cos(p["angle"]), math.sin(p["angle"])
        along, below = WEDGE.length / 2 - WEDGE.buried, WEDGE.thickness / 2
        middle = (side * (foot_of(p) + along * cos + below * sin), 0.0, along * sin - below * cos)
        size = (WEDGE.length / 2, TABLE_DEPTH, below)
        slope = wall("ramp", size, middle, turned_from_front(side * p["angle"]), grey=WEDGE.grey, friction=1.0)
        return Scene(
            bodies=(rolling, floor(), slope, backing(side, p["start"], radius, p["release"])),
            camera=Camera("front", (0.0, 0.0, 1.9)),
            gravity=(0.0, 0.0, -p["gravity"]),
            prompt=f"A {hue_name(p['hue'])} ball rolls over a flat floor, up a dark grey ramp, turns and rolls back. "
            "Static camera, seen from the side.",
            caption=f"A {hue_name(p['hue'])} exercise ball rolls over the floor towards a dark grey ramp.",
        )


def foot_of(p: Params) -> float:
    """Place at which floor and ramp meet, m along the ball's path from the middle."""
    touch = abs(p["velocity"]) * (p["meeting"] - p["release"]) - p["start"]
    return touch + p["radius"] * math.tan(p["angle"] / 2)


def ramp_up_times(p: Params) -> tuple[float, float, float]:
    """Speed m/s on the ramp after the bump, and times in s of the turn and of the return to the floor."""
    speed = abs(p["velocity"]) * (2 + 5 * math.cos(p["angle"])) / 7
    half = speed / (5 / 7 * p["gravity"] * math.sin(p["angle"]))
    return speed, p["meeting"] + half, p["meeting"] + 2 * half


def along_ramp_up(p: Params, time: float) -> tuple[float, float]:
    """Way m of the ball's middle from the middle of the window, and its height m over the floor, at a time in s."""
    angle, (speed, turn, back) = p["angle"], ramp_up_times(p)
    touch = abs(p["velocity"]) * (p["meeting"] - p["release"]) - p["start"]
    if time <= p["meeting"]:
        return touch - abs(p["velocity"]) * (p["meeting"] - max(time, p["release"])), p["radius"]
    if time <= back:
        up = 5 / 14 * p["gravity"] * math.sin(angle) * ((turn - p["meeting"]) ** 2 - (time - turn) ** 2)
        return touch + up * math.cos(angle), p["radius"] + up * math.sin(angle)
    return touch - speed * (2 + 5 * math.cos(angle)) / 7 * (time - back), p["radius"]


# A full and a hollow cylinder that roll down alike ramps.


@dataclass(frozen=True)
class Deck:
    """The ramps of a race, each with a stop at its end."""

    height: float = 1.05  # m of each ramp above or below the middle of both, at its own middle
    below: float = 0.5  # m of that below the middle of the window
    end: float = 2.36  # m from the middle of the window to the ends of the ramps
    thickness: float = 0.08  # m, as they are seen
    depth: float = 0.5  # m, half of their extent across the plane of motion
    grey: float = 0.7
    curb_width: float = 0.3  # m, of the stop along the ramp
    curb_height: float = 0.7  # m, of the stop over it


DECK = Deck()


class RollingRace(Task):
    """A full and a hollow cylinder roll down ramps of one slope: the full one is first.

    What happens: two cylinders of one size, one of them hollow, are held on two ramps, one above the other, by grey
    blocks, equally far from the stops at their feet. The blocks vanish, and both roll down to their stops, where they
    stay.

    Law: rolling with a moment of inertia k m r^2 (Euler 1765, Theoria motus corporum): the acceleration is
    g sin a / (1 + k), whatever mass and size. A full cylinder has k = 1/2, one with a hole of b times its radius
    k = (1 + b^2) / 2. The stops take all speed and hold nothing.

    {parameters}

    start is the way along the ramp from the stop. The viewer looks along the axes, so that the hole is seen. Mass is
    density x volume and plays no part.

    Camera: from the front, 5.12 m wide. Actions: none.
    Hand-over: held until `release`, rolling at 0, the full one at its stop in [0.2 s, 2.4 s], when the other is at
    least 0.3 m behind; horizon 4 s. All of it stays in view.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    core = False

    id = "falling/rolling-race-v1"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "bore", "event": lambda p: race_times(p)[0]}
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        restitution=Parameter.fixed(0.0, "", "of the cylinders with ramps and stops"),
        friction=Parameter.fixed(0.5, "", "of the cylinders with the ramps, enough for them to roll"),
        radius=Parameter("m", "visible", (0.58, 0.61), "of both cylinders"),
        bore=Parameter("", "visible", (0.62, 0.72), "radius of the hole, over that of the cylinder"),
        **hues("hue_full", "hue_hollow"),
        angle=Parameter("rad", "visible", (0.16, 0.24), "of the ramps", ood=(0.25, 0.29)),
        side=Parameter("", "visible", (1, 1), "1: the ramps rise to the right", signed=True),
        above=Parameter("", "visible", (0, 1), "1: the hollow one is on the upper ramp", grid=1),
        release=Parameter("s", "visible", (-1.0, -0.6), "when the holders vanish", grid=0.05),
        start=Parameter("m", "visible", (2.5, 3.0), "way along the ramps from the stops"),
    )

    def accepts(self, p: Params) -> bool:
        """Seen in motion before the hand-over, decided in time, told apart, and in view."""
        full, hollow = (race_acceleration(p, bore) for bore in (0.0, p["bore"]))
        first, last = race_times(p)
        behind = p["start"] - hollow * (first - p["release"]) ** 2 / 2
        top = [deck_point(p, level, DECK.curb_width + 2 * p["radius"] + p["start"], p["radius"]) for level in (-1, 1)]
        foot = [deck_point(p, level, 0.0, -DECK.thickness) for level in (-1, 1)]
        return (
            p["hue_full"] != p["hue_hollow"]
            and min(full, hollow) * p["release"] ** 2 / 2 >= BOX.least_path
            and event_in(first)
            and last < HORIZON
            and behind >= 0.3  # m between the two when the first arrives
            and inside([x for point in top for x in point], p["radius"])
            and inside([z for _, z in foot], 0.0)
        )

    def scene(self, p: Params) -> Scene:
        where = ("below", "above")[int(p["above"])]
        return Scene(
            bodies=(*race_lane(p, -1, "lower"), *race_lane(p, 1, "upper")),
            camera=Camera("front", (0.0, 0.0, 0.0)),
            gravity=(0.0, 0.0, -p["gravity"]),
            prompt=f"A {hue_name(p['hue_full'])} disc and, {where} it, a {hue_name(p['hue_hollow'])} ring roll down "
            "two ramps of the same slope, which have stops at their feet. Static camera, seen from the side.",
            caption=f"A {hue_name(p['hue_full'])} disc and, {where} it, a {hue_name(p['hue_hollow'])} ring are let go "
            "on two ramps of the same slope, which have stops at their feet.",
        )


def race_lane(p: Params, level: int, name: str) -> tuple[Body, ...]:
    """The lower (level -1) or upper (1) ramp with its cylinder, stop and holder."""
    turned = turned_from_front(p["side"] * p["angle"])
    kind = "hollow" if (level > 0) == (p["above"] > 0) else "full"
    x, z = deck_point(p, level, DECK.curb_width + p["radius"] + p["start"], p["radius"])
    block_x, block_z = deck_point(p, level, DECK.curb_width + p["start"] - HOLDER_GAP, 0.5 * p["radius"])
    stop_x, stop_z = deck_point(p, level, DECK.curb_width / 2, DECK.curb_height / 2)
    cylinder = Body(
        kind,
        "cylinder",
        (p["radius"], 2 * BOX.depth),
        "moving",
        (x, 0.0, z),
        (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)),  # its axis is that of the view
        hue=int(p[f"hue_{kind}"]),
        restitution=p["restitution"],
        friction=p["friction"],
        flat=True,
        release=p["release"],
        bore=p["bore"] if kind == "hollow" else 0.0,
    )
    deck = ramp(
        f"{name}-ramp",
        deck_point(p, level, 0.0 if p["side"] > 0 else deck_length(p), 0.0),  # its left end
        p["side"] * p["angle"],
        deck_length(p),
        thickness=DECK.thickness,
        depth=DECK.depth,
        grey=DECK.grey,
        friction=1.0,
    )
    curb = (DECK.curb_width / 2, DECK.depth, DECK.curb_height / 2)
    stop = wall(f"{name}-stop", curb, (stop_x, 0.0, stop_z), turned, grey=DECK.grey)
    size = (0.05, 0.2, 0.5 * p["radius"])
    block = holder(f"{name}-holder", size, (block_x, 0.0, block_z), p["release"], turned)
    return cylinder, deck, stop, block


def race_acceleration(p: Params, bore: float) -> float:
    """Acceleration m/s2 down the ramp of a cylinder with a hole of `bore` times its radius."""
    return p["gravity"] * math.sin(p["angle"]) / (1 + rolling_inertia("cylinder", bore))


def race_times(p: Params) -> tuple[float, float]:
    """Times in s at which the full and the hollow cylinder are at their stops."""
    full, hollow = (p["release"] + math.sqrt(2 * p["start"] / race_acceleration(p, bore)) for bore in (0.0, p["bore"]))
    return full, hollow


def deck_length(p: Params) -> float:
    """Of either ramp, m."""
    return 2 * DECK.end / math.cos(p["angle"])


def deck_point(p: Params, level: int, distance: float, height: float) -> tuple[float, float]:
    """Point (x, z) m that lies `distance` up the lower (level -1) or upper (1) ramp and `height` over it."""
    cosine, sine = math.cos(p["angle"]), math.sin(p["angle"])
    along = distance - deck_length(p) / 2
    middle = level * DECK.height - DECK.below
    return p["side"] * (along * cosine - height * sine), middle + along * sine + height * cosine


# A belt that moves.


class Conveyor(Task):
    """A box slides on a belt that moves, or a ball falls onto it, and is carried along.

    What happens: a box on a belt is held by a grey block, which vanishes: the box slides against the belt, turns and is
    carried along. Or a ball lies on a shelf, which vanishes: it falls, bounces, and drifts along.

    Law: friction acts against the motion relative to the belt (Coulomb 1785, Theorie des machines simples). The box is
    accelerated by mu g until it has the speed u of the belt. The ball is turned by the belt as much as it is taken
    along: it rolls on the belt when it has 2/7 u, which its first bounce gives it. At a bounce vz -> -e vz.

    The belt shows its speed in its marks, its friction in its grey: grey = 0.95 - 0.5 x friction.

    {parameters}

    The box is a cube of the silhouette's area. Under a ball the belt is twice as fast as `belt`, so that what a ball
    takes of it is well seen. velocity is that of a box, drop the height of a ball's lowest point. Mass is density x
    volume and plays no part.

    Camera: from the front, 5.12 m wide. Actions: none.
    Hand-over: held until `release`, in motion at 0; the box turns, the ball lands, in [0.2 s, 2.4 s]; horizon 4 s. All
    of it stays in view.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    core = False

    id = "falling/conveyor-v1"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": lambda p: abs(p["belt"]), "event": lambda p: belt_event(p)}
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        restitution=Parameter.fixed(0.6, "", "of a ball and the belt; 0 of a box"),
        shape=Parameter("", "visible", (0, 1), "box, ball", grid=1),
        size=Parameter("m", "visible", (0.52, 0.58), "radius of the disc of its silhouette's area"),
        **hues("hue"),
        release=Parameter("s", "visible", (-0.6, -0.4), "when the holder vanishes", grid=0.05),
        belt=Parameter(
            "m/s", "visible", (0.6, 1.2), "speed of the belt under a box, to the right", ood=(1.25, 1.5), signed=True
        ),
        belt_friction=Parameter("", "visible", (0.1, 0.3), "of the body and the belt, seen in its grey"),
        velocity=Parameter("m/s", "visible", (0.9, 2.6), "of a box at the release, against the belt"),
        drop=Parameter("m", "visible", (1.3, 2.4), "height of a ball's lowest point over the belt"),
        start=Parameter("m", "visible", (-1.9, 1.9), "where it is held, along the belt from the middle"),
    )
    evenly = "shape"

    def accepts(self, p: Params) -> bool:
        """Seen in motion before the hand-over, decided in time, in view."""
        end, decided = p["start"] + carried(p, HORIZON), belt_event(p)
        if p["shape"] == 1:
            grip = p["belt_friction"] * (1 + p["restitution"]) * math.sqrt(2 * p["gravity"] * p["drop"])
            # least ratio of the friction's impulse at the first bounce to that after which a ball rolls
            return (
                event_in(decided) and grip >= 1.1 * 2 / 7 * abs(belt_speed(p)) and inside((p["start"], end), p["size"])
            )
        return (
            event_in(decided)
            and -carried(p, 0.0) >= BOX.least_path
            and inside((p["start"], p["start"] + carried(p, decided), end), p["size"])
        )

    def scene(self, p: Params) -> Scene:
        side, box = math.copysign(1.0, p["belt"]), p["shape"] == 0
        grey, friction = round(0.95 - 0.5 * p["belt_friction"], 6), p["belt_friction"]
        belt_size = (7.0, 0.8, 0.4)  # m; pictures of 2 : 1 show 5.12 to either side
        place = (0.0, 0.0, -belt_size[2])
        carrier = belt(belt_size, place, belt_speed(p), HORIZON, grey=grey, mark_grey=0.35, friction=friction)
        what = "box slides on" if box else "ball falls onto"
        thing = "foam block slides on" if box else "exercise ball is dropped onto"
        way = "right" if side > 0 else "left"
        return Scene(
            bodies=(*carried_body(p), *carrier),
            camera=CAMERA,
            gravity=(0.0, 0.0, -p["gravity"]),
            prompt=f"A {hue_name(p['hue'])} {what} a conveyor belt with dark marks that moves to the {way}, and is "
            "taken along. Static camera, seen from the side.",
            caption=f"A {hue_name(p['hue'])} {thing} a conveyor belt with dark marks that moves to the {way}.",
        )


def carried_body(p: Params) -> tuple[Body, Body]:
    """The box or ball, and the holder that backs or carries it."""
    side, size, release = math.copysign(1.0, p["belt"]), p["size"], p["release"]
    half, x = size * math.sqrt(math.pi) / 2, side * p["start"]
    if p["shape"] == 1:
        place = (x, 0.0, p["drop"] + size)
        falls = ball("ball", size, place, p["hue"], restitution=p["restitution"], friction=1.0, release=release)
        return falls, shelf("holder", x, p["drop"], release, 0.55 * size)
    slides = Body(
        "box",
        "box",
        (half, BOX.depth, half),
        "moving",
        (x, 0.0, half),
        velocity=(-side * p["velocity"], 0.0, 0.0),
        hue=int(p["hue"]),
        restitution=0.0,
        friction=1.0,
        flat=True,
        release=release,
    )
    return slides, backing(-side, p["start"], half, release)


def belt_speed(p: Params) -> float:
    """Of the belt's surface, m/s to the right."""
    # twice as fast is the belt under a ball, which takes 2/7 of its speed
    return p["belt"] * (2.0 if p["shape"] == 1 else 1.0)


def belt_event(p: Params) -> float:
    """Time s at which a box turns, or a ball lands."""
    if p["shape"] == 1:
        return p["release"] + math.sqrt(2 * p["drop"] / p["gravity"])
    return p["release"] + p["velocity"] / (p["belt_friction"] * p["gravity"])


def carried(p: Params, time: float) -> float:
    """Way of the body along the belt from its release to a time in s, m."""
    since, speed = max(time - p["release"], 0.0), abs(belt_speed(p))
    if p["shape"] == 1:
        return 2 / 7 * speed * max(since - math.sqrt(2 * p["drop"] / p["gravity"]), 0.0)
    rate = p["belt_friction"] * p["gravity"]
    slides = min(since, (p["velocity"] + speed) / rate)
    return -p["velocity"] * slides + rate * slides**2 / 2 + speed * (since - slides)
