"""Bodies that get out of sight and come back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

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
)
from physbench.world.bodies import (
    HOLDER_GAP,
    SCREEN_HALF_DEPTH,
    ball,
    darkness,
    floor,
    holder,
    nearer_scale,
    screen,
    shelf,
    wall,
)
from physbench.world.scene import FLOOR_GREY, HISTORY, HORIZON, SCREEN_GREY, Body, Camera, Scene, Waypoint, hue_name

CAMERA = Camera("front", (0.0, 0.0, 1.3))
SCREEN_Y = -0.85  # m, the face of the screen that the camera sees


@dataclass(frozen=True)
class ViewTimes:
    """Times in which bodies are in full view."""

    before: float = 0.4  # s of motion in full view before something is hidden
    after: float = 0.4  # s in full view after it was hidden
    out_by: float = 0.9  # share of the horizon by which both are over


VIEW = ViewTimes()


SLIVER = 0.195  # a segment of this many radii is 5 % of a disc


def rolling(name: str, p: Params, side: float, start: float, hue: float, radius: float, lane: float = 0.0) -> Body:
    """A ball that is held at `start` (m before the middle) and rolls off without slipping at the release.

    side: 1 if it rolls to the right, -1 if to the left. lane: y, m.
    """
    velocity = side * abs(p["velocity"] if "velocity" in p else p[f"speed_{name}"])
    return ball(
        name,
        radius,
        (-side * start, lane, radius),
        hue,
        velocity=(velocity, 0.0, 0.0),
        spin=(0.0, velocity / radius, 0.0),
        restitution=p["restitution"],
        friction=p["friction"],
        release=p["release"],
    )


def block(name: str, side: float, start: float, radius: float, release: float, lane: float = 0.0) -> Body:
    """The holder that backs such a ball."""
    x = -side * (start + radius + HOLDER_GAP)
    return holder(name, (0.05, 0.2, 0.5 * radius), (x, lane, 0.5 * radius), release)


class ScreenPass(Task):
    """A ball passes behind a screen and comes out on the other side.

    What happens: a ball lies on the floor in front of a grey block. The block vanishes and the ball rolls off at
    constant speed, behind a screen that hides it entirely, out on the other side and towards the border.

    Law: persistence of what is not seen (Piaget 1954, The Construction of Reality in the Child; Baillargeon 1987,
    doi:10.1037/0012-1649.23.5.655) and inertia: rolling without slipping, v = omega r, at constant speed.

    {parameters}

    start is the distance from the middle at which the ball is held; hidden_at is the time at which less than 5 % of it
    are left to see, hidden_for how long that lasts: both together with the speed place the screen.

    Camera: from the front, 5.12 m wide. Actions: none.
    Hand-over: held until `release`, then in full view for at least 0.4 s, its middle in view at 0; hidden from a time
    in [0.2 s, 1 s] on, fully out and in full view for 0.4 s by 3.6 s; horizon 4 s; it may leave later.
    May be hidden: the ball, by the screen.

    Version history: v1, first release.
    """

    id = "occlusion/screen-pass-v1"
    straight_motion = True
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "hidden_for", "event": "hidden_at"}
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

    def accepts(self, p: Params) -> bool:
        """Seen long enough before it is hidden, out in time, and in view for a while after the screen."""
        speed, radius = abs(p["velocity"]), p["radius"]
        near, far = self.edges(p)
        at_0 = -p["start"] - speed * p["release"]
        out = (far + radius - at_0) / speed
        return (
            inside((p["start"], at_0 + speed * (out + VIEW.after)), radius)
            and at_0 + speed * (p["release"] + VIEW.before) + radius <= near
            and at_0 <= near
            and out <= VIEW.out_by * HORIZON - VIEW.after
        )

    def edges(self, p: Params) -> tuple[float, float]:
        """Ends of the screen in the plane of motion, m along the ball's path from the middle."""
        speed, radius = abs(p["velocity"]), p["radius"]
        hidden = -p["start"] + speed * (p["hidden_at"] - p["release"])
        near = hidden - (1 - SLIVER) * radius
        far = hidden + speed * p["hidden_for"] + (1 - SLIVER) * radius
        return near, far

    def scene(self, p: Params) -> Scene:
        radius = p["radius"]
        side = math.copysign(1.0, p["velocity"])
        near, far = (edge * nearer_scale(CAMERA, SCREEN_Y) for edge in self.edges(p))
        return Scene(
            bodies=(
                rolling("ball", p, side, p["start"], p["hue"], radius),
                floor(),
                screen("screen", (far - near) / 2, side * (near + far) / 2, p["screen_height"], SCREEN_Y),
                block("holder", side, p["start"], radius, p["release"]),
            ),
            camera=CAMERA,
            gravity=(0.0, 0.0, -p["gravity"]),
            prompt=f"A {hue_name(p['hue'])} ball rolls over the floor at constant speed, passes behind a dark grey "
            "screen and comes out on the other side. Static camera, seen from the side.",
            caption=f"A {hue_name(p['hue'])} exercise ball rolls over the floor at constant speed, on a way that "
            "leads behind a dark grey screen.",
        )


# A screen that moves itself.

LIFT_CAMERA = Camera("front", (0.0, 0.0, HALF_WINDOW))
PEDESTAL = 0.3  # m, half of the width of the pedestal


class ScreenLift(Task):
    """A screen moves across a ball that rests on a pedestal, covers it and uncovers it: the ball is still there.

    What happens: a ball rests on a pedestal. A grey plate in front of it moves upwards or downwards at constant speed
    throughout, covers the ball entirely and moves on, so that the ball is seen again.

    Law: persistence of what is covered (Piaget 1954, The Construction of Reality in the Child; Baillargeon, Spelke and
    Wasserman 1985, doi:10.1016/0010-0277(85)90008-3), and inertia: what rests stays at rest.

    {parameters}

    hidden_at is the time at which less than 5 % of the ball are left to see, and places the plate.

    Camera: from the front, 5.12 m wide, no ground. Actions: none.
    Hand-over: at rest by nature. At 0 the ball is in full view and all of the plate in the window, at least half of it
    for 0.5 s; the ball is hidden from a time in [0.2 s, 1 s] on, fully out by 3.6 s; horizon 4 s.
    May be hidden: the ball, by the plate.

    Version history: v1, first release.
    """

    id = "occlusion/screen-lift-v1"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": lambda p: abs(p["velocity"]), "event": "hidden_at"}
    static_history = True
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        friction=Parameter.fixed(0.5, "", "of ball and pedestal"),
        restitution=Parameter.fixed(0.0, "", "of ball and pedestal"),
        radius=Parameter("m", "visible", (0.40, 0.50), "of the ball", ood=(0.52, 0.58)),
        **hues("hue"),
        place=Parameter("m", "visible", (-1.7, 1.7), "of the ball, to the right of the middle"),
        height=Parameter("m", "visible", (2.2, 2.9), "of the ball's middle above the lower border"),
        velocity=Parameter("m/s", "visible", (0.9, 1.4), "of the plate, upwards", ood=(1.45, 2.0), signed=True),
        hidden_at=Parameter("s", "visible", (0.5, 0.95), "when less than 5 % are left to see"),
        plate_height=Parameter("m", "visible", (1.2, 1.6), "of the plate, as seen"),
        plate_width=Parameter("m", "visible", (1.3, 2.0), "of the plate, as seen"),
    )

    def accepts(self, p: Params) -> bool:
        """All seen at the hand-over, the plate for half a second; out in time."""
        speed, radius = abs(p["velocity"]), p["radius"]
        front, back = plate_edges(p)
        clear = (1 - SLIVER) * radius  # from the middle of the ball
        side = math.copysign(1.0, p["velocity"])
        border = HALF_WINDOW + side * (p["height"] - HALF_WINDOW)  # it comes from, m from the ball
        return (
            back >= -border + FREE_BORDER
            and (front + back) / 2 - 0.5 * speed >= -border
            and front <= -radius - FREE_BORDER
            and p["plate_height"] >= 2 * clear + 0.2 * speed
            and (radius - back) / speed <= 0.9 * HORIZON
            and p["plate_width"] >= 2 * radius + 0.2
            and inside((p["place"],), p["plate_width"] / 2)
        )

    def scene(self, p: Params) -> Scene:
        x, top = p["place"], p["height"] - p["radius"]
        way = "up" if p["velocity"] > 0 else "down"
        resting = ball(
            "ball",
            p["radius"],
            (x, 0.0, p["height"]),
            p["hue"],
            restitution=p["restitution"],
            friction=p["friction"],
        )
        half_extents, middle = (PEDESTAL, PEDESTAL, top / 2 + 0.5), (x, 0.0, top / 2 - 0.5)
        pedestal = wall("pedestal", half_extents, middle, grey=FLOOR_GREY, friction=1.0)
        return Scene(
            bodies=(resting, pedestal, moving_plate(p, HORIZON)),
            camera=LIFT_CAMERA,
            gravity=(0.0, 0.0, -p["gravity"]),
            prompt=f"A {hue_name(p['hue'])} ball rests on a pedestal. A dark grey plate moves {way} in front of it at "
            "constant speed, covers it and uncovers it again. Static camera, seen from the side.",
            caption=f"A {hue_name(p['hue'])} exercise ball rests on a pedestal. A dark grey plate moves {way} in "
            "front of it at constant speed.",
        )


def plate_edges(p: Params) -> tuple[float, float]:
    """Leading and trailing edge of the plate at 0, as seen, m along its path from the middle of the ball."""
    front = (1 - SLIVER) * p["radius"] - abs(p["velocity"]) * p["hidden_at"]
    return front, front - p["plate_height"]


def moving_plate(p: Params, horizon: float) -> Body:
    """The plate on its way from the start of the history to the end of the horizon, s."""
    scale = nearer_scale(LIFT_CAMERA, SCREEN_Y)
    at_0 = p["height"] + math.copysign(1.0, p["velocity"]) * sum(plate_edges(p)) / 2 - HALF_WINDOW  # as seen

    def waypoint(time: float) -> Waypoint:
        rise = at_0 + p["velocity"] * time
        return Waypoint(time, (p["place"] * scale, SCREEN_Y + SCREEN_HALF_DEPTH, HALF_WINDOW + rise * scale))

    path = (waypoint(-HISTORY), waypoint(horizon))
    size = (p["plate_width"] / 2 * scale, SCREEN_HALF_DEPTH, p["plate_height"] / 2 * scale)
    return Body("plate", "box", size, "kinematic", path[0].position, grey=SCREEN_GREY, collides=False, path=path)


# Screens with more to keep in mind: two balls that cross, a path that ends.


@dataclass(frozen=True)
class SwapScreen:
    """Two balls that cross behind one screen."""

    lane: float = 0.65  # m, of each ball before or behind the plane of motion
    screen_y: float = -1.3  # m, the face of its screen, before the nearer ball
    image_gap: float = 0.06  # m that stays between the two balls in the image wherever one can be seen


SWAP = SwapScreen()


@dataclass(frozen=True)
class StopWall:
    """The wall behind the screen at which a path ends."""

    width: float = 0.5  # m
    covered: float = 0.15  # m of it that the screen covers: the rest shows that the wall stands on the floor
    depth: float = 0.5  # m, half of it


STOP_WALL = StopWall()


def between(left: float, right: float, height: float, face: float) -> Body:
    """A screen that looks as if it reached from `left` to `right`, m in the plane of motion."""
    scale = nearer_scale(CAMERA, face)
    return screen("screen", (right - left) / 2 * scale, (left + right) / 2 * scale, height, face)


class ScreenSwap(Task):
    """Two balls cross behind a screen, and each comes out on the other side in its own colour.

    What happens: two balls of different hue lie on the floor in front of grey blocks, one nearer to the camera than the
    other. The blocks vanish and the balls roll towards each other at constant speed on lanes 1.3 m apart. Both get
    entirely hidden behind one screen, pass each other there without contact, and come out on the other side.

    Law: an object keeps its identity where it is not seen (Spelke, Kestenbaum, Simons and Wein 1995,
    doi:10.1111/j.2044-835X.1995.tb00669.x; Wynn 1992, doi:10.1038/358749a0) and inertia: rolling without slipping,
    v = omega r, at constant speed.

    {parameters}

    Camera: from the front, 5.12 m wide. Actions: none.
    Hand-over: held until `release`, then in full view for at least 0.4 s, the middle of both in view at 0; each is
    hidden from a time in [0.2 s, 1 s] on, fully out and in full view for 0.4 s by 3.6 s. In the image they never
    overlap where one of them can be seen; horizon 4 s; they may leave later.
    May be hidden: both balls, by the screen.

    Version history: v1, first release.
    """

    id = "occlusion/screen-swap-v1"
    straight_motion = True
    levels: ClassVar[Mapping[str, Level]] = {
        "difficulty": lambda p: p["speed_a"] + p["speed_b"],
        "event": lambda p: swap_times(p, "a", 1.0)[1],
    }
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        friction=Parameter.fixed(0.5, "", "of balls and floor"),
        restitution=Parameter.fixed(0.0, "", "of balls and floor"),
        radius_a=Parameter("m", "visible", (0.40, 0.46), "of the ball that rolls to the right"),
        radius_b=Parameter("m", "visible", (0.40, 0.46), "of the ball that rolls to the left"),
        **hues("hue_a", "hue_b"),
        release=RELEASE,
        speed_a=Parameter("m/s", "visible", (0.8, 1.15), "of rolling", ood=(1.2, 1.5)),
        speed_b=Parameter("m/s", "visible", (0.8, 1.15), "of rolling", ood=(1.2, 1.5)),
        start_a=Parameter("m", "visible", (1.8, 2.1), "distance from the middle where a is held"),
        start_b=Parameter("m", "visible", (1.8, 2.1), "distance from the middle where b is held"),
        nearer=Parameter("", "visible", (1, 1), "1: a is nearer to the camera, -1: b is", signed=True),
        screen_x=Parameter("m", "visible", (-0.3, 0.3), "middle of the screen, to the right"),
        screen_width=Parameter("m", "visible", (1.7, 2.1), "of the screen, as seen"),
        screen_height=Parameter("m", "visible", (1.3, 2.2), "above the floor"),
    )

    def accepts(self, p: Params) -> bool:
        """Two hues, both seen long enough before, hidden while they pass, and seen again."""
        return p["hue_a"] != p["hue_b"] and self.passes(p, "a", 1.0) and self.passes(p, "b", -1.0) and hides_crossing(p)

    def passes(self, p: Params, name: str, side: float) -> bool:
        """True if a ball is seen long enough before it is hidden in time, and seen again."""
        touch, hidden, _, out = swap_times(p, name, side)
        scale = swap_scale(p, name)
        at_end = scale * (p[f"speed_{name}"] * (out + VIEW.after - p["release"]) - p[f"start_{name}"])
        at_0 = -scale * (p[f"start_{name}"] + p[f"speed_{name}"] * p["release"])
        return (
            inside((scale * p[f"start_{name}"], at_end), scale * p[f"radius_{name}"])
            and touch >= p["release"] + VIEW.before
            and at_0 <= side * p["screen_x"] - p["screen_width"] / 2
            and 0.2 <= hidden <= 1.0
            and out + VIEW.after <= VIEW.out_by * HORIZON
        )

    def scene(self, p: Params) -> Scene:
        balls: list[Body] = []
        blocks: list[Body] = []
        for name, side in (("a", 1.0), ("b", -1.0)):
            start, radius, lane = p[f"start_{name}"], p[f"radius_{name}"], swap_lane(p, name)
            balls.append(rolling(name, p, side, start, p[f"hue_{name}"], radius, lane))
            blocks.append(block(f"holder_{name}", side, start, radius, p["release"], lane))
        left, right = (p["screen_x"] + side * p["screen_width"] / 2 for side in (-1, 1))
        return Scene(
            bodies=(*balls, floor(), between(left, right, p["screen_height"], SWAP.screen_y), *blocks),
            camera=CAMERA,
            gravity=(0.0, 0.0, -p["gravity"]),
            prompt=f"A {hue_name(p['hue_a'])} ball and a {hue_name(p['hue_b'])} ball roll towards each other on two "
            "lanes, pass each other behind a dark grey screen without touching, and each comes out on the other side. "
            "Static camera, seen from the side.",
            caption=f"A {hue_name(p['hue_a'])} and a {hue_name(p['hue_b'])} exercise ball roll towards each other at "
            "constant speed on two lanes, one behind the other, which lead behind a dark grey screen.",
        )


def swap_scale(p: Params, name: str) -> float:
    """Apparent size of a ball on its lane, 1 in the plane of motion."""
    return CAMERA.distance / (CAMERA.distance + swap_lane(p, name))


def swap_lane(p: Params, name: str) -> float:
    """y of a ball, m."""
    return SWAP.lane * (-p["nearer"] if name == "a" else p["nearer"])


def swap_times(p: Params, name: str, side: float) -> tuple[float, float, float, float]:
    """Times s at which a ball touches the screen in the image, is hidden, shows again, and is out of it."""
    scale, half = swap_scale(p, name), p["screen_width"] / 2
    radius, speed, middle = scale * p[f"radius_{name}"], scale * p[f"speed_{name}"], side * p["screen_x"]
    since, start = p["release"], -scale * p[f"start_{name}"]
    covered = half - (1 - SLIVER) * radius
    positions = (middle - half - radius, middle - covered, middle + covered, middle + half + radius)
    touch, hidden, shows, out = (since + (position - start) / speed for position in positions)
    return touch, hidden, shows, out


def hides_crossing(p: Params) -> bool:
    """True if the screen hides both balls from before they touch in the image until after they part."""
    scale_a, scale_b = swap_scale(p, "a"), swap_scale(p, "b")
    reach = scale_a * p["radius_a"] + scale_b * p["radius_b"] + SWAP.image_gap
    distance, closing = (scale_a * p[f"{what}_a"] + scale_b * p[f"{what}_b"] for what in ("start", "speed"))
    meet, part = (p["release"] + (distance - side * reach) / closing for side in (1, -1))
    (_, hidden_a, shows_a, _), (_, hidden_b, shows_b, _) = swap_times(p, "a", 1.0), swap_times(p, "b", -1.0)
    return max(hidden_a, hidden_b) <= meet and part <= min(shows_a, shows_b)


def wall_behind_screen(way: str) -> dict[str, Parameter]:
    """Parameters of a ball that goes behind a screen to a wall. way: from where to where `hidden_way` leads."""
    return {
        "start": Parameter("m", "visible", (1.75, 2.1), "distance from the middle where it is held"),
        "hidden_at": Parameter("s", "visible", (0.25, 0.95), "when less than 5 % are left to see"),
        "hidden_way": Parameter("m", "visible", (0.15, 0.7), way),
        "screen_height": Parameter("m", "visible", (1.3, 2.0), "above the floor"),
        "wall_rise": Parameter("m", "visible", (0.5, 1.0), "of the wall above the screen"),
    }


class ScreenStop(Task):
    """A ball rolls behind a screen where a wall stops it: nothing comes out.

    What happens: a ball lies on the floor in front of a grey block. The block vanishes and the ball rolls off at
    constant speed, behind a screen that hides it entirely, against a light grey wall, and stays there. The wall rises
    above the screen and reaches out behind it, so that it is seen to stand on the floor.

    Law: solidity of what is not seen (Baillargeon, Spelke and Wasserman 1985, doi:10.1016/0010-0277(85)90008-3):
    restitution 0 stops the ball, the smooth wall does not lift it, and what is left of its spin presses it to the wall.

    {parameters}

    start is the distance from the middle at which the ball is held; hidden_at is the time at which less than 5 % of it
    are left to see, and places the screen; hidden_way is how far it then rolls before the wall stops it.

    Camera: from the front, 5.12 m wide. Actions: none.
    Hand-over: held until `release`, then in full view for at least 0.4 s, its middle in view at 0; hidden for good from
    a time in [0.2 s, 1 s] on; horizon 4 s.
    May be hidden: the ball, by the screen, to the end.

    Version history: v1, first release.
    """

    id = "occlusion/screen-stop-v1"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "hidden_way", "event": "hidden_at"}
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        friction=Parameter.fixed(0.5, "", "of ball and floor"),
        restitution=Parameter.fixed(0.0, "", "of ball, floor and wall"),
        wall_friction=Parameter.fixed(0.0, "", "of ball and wall"),
        radius=Parameter("m", "visible", (0.40, 0.50), "of the ball", ood=(0.52, 0.58)),
        **hues("hue"),
        release=RELEASE,
        velocity=Parameter("m/s", "visible", (0.8, 1.3), "of rolling, to the right", ood=(1.35, 1.6), signed=True),
        **wall_behind_screen("from there to the stop"),
    )

    def accepts(self, p: Params) -> bool:
        """Seen long enough before it is hidden; screen and wall in view."""
        return inside((p["start"],), p["radius"]) and seen_before_stop(p)

    def scene(self, p: Params) -> Scene:
        radius = p["radius"]
        side = math.copysign(1.0, p["velocity"])
        return Scene(
            bodies=(
                rolling("ball", p, side, p["start"], p["hue"], radius),
                floor(),
                *wall_and_screen(p, p["wall_friction"]),
                block("holder", side, p["start"], radius, p["release"]),
            ),
            camera=CAMERA,
            gravity=(0.0, 0.0, -p["gravity"]),
            prompt=f"A {hue_name(p['hue'])} ball rolls over the floor at constant speed and disappears behind a dark "
            "grey screen, where a wall that rises above the screen stops it. It does not come out again. Static "
            "camera, seen from the side.",
            caption=f"A {hue_name(p['hue'])} exercise ball rolls over the floor at constant speed, on a way that "
            "leads behind a dark grey screen. A grey pillar stands across it behind the screen and rises above it.",
        )


def stop_edges(p: Params) -> tuple[float, float]:
    """Near edge of the screen and stop of the ball's middle, m along the ball's path from the middle."""
    hidden = -p["start"] + abs(p["velocity"]) * (p["hidden_at"] - p["release"])
    return hidden - (1 - SLIVER) * p["radius"], hidden + p["hidden_way"]


def seen_before_stop(p: Params) -> bool:
    """True if the ball is seen long enough before it is hidden; wall in view."""
    speed, radius = abs(p["velocity"]), p["radius"]
    near, stop = stop_edges(p)
    at_0 = -p["start"] - speed * p["release"]
    return (
        at_0 + speed * (p["release"] + VIEW.before) + radius <= near
        and at_0 <= near
        and stop + radius + STOP_WALL.width <= HALF_WINDOW - 2 * FREE_BORDER
    )


def stopping_wall(p: Params, x: float, cover: float, friction: float) -> Body:
    """The wall that stops the ball. x: of its middle, m; cover: height of what stands before it, m."""
    height = cover + p["wall_rise"]
    half_extents, middle = (STOP_WALL.width / 2, STOP_WALL.depth, height / 2), (x, 0.0, height / 2)
    return wall("wall", half_extents, middle, grey=0.62, restitution=p["restitution"], friction=friction)


def wall_and_screen(p: Params, friction: float) -> tuple[Body, Body]:
    """The wall that stops the ball, with its friction, and the screen before it."""
    side, radius = math.copysign(1.0, p["velocity"]), p["radius"]
    near, stop = stop_edges(p)
    stopping = stopping_wall(p, side * (stop + radius + STOP_WALL.width / 2), p["screen_height"], friction)
    left, right = sorted((side * near, side * (stop + radius + STOP_WALL.covered)))
    return stopping, between(left, right, p["screen_height"], SCREEN_Y)


class Tunnel(Task):
    """A ball goes behind a screen, bounces off a wall there, and comes out where it went in.

    What happens: a ball lies on a smooth floor in front of a grey block. The block vanishes and the ball glides off at
    constant speed, behind a screen that hides it entirely, meets a light grey wall and comes back. The wall rises above
    the screen and reaches out behind it, so that it is seen to stand on the floor; the bounce is not seen.

    Law: persistence and solidity of what is not seen (Baillargeon, Spelke and Wasserman 1985,
    doi:10.1016/0010-0277(85)90008-3), inertia, and Newton's law of restitution (Newton 1687, Principia, corollary VI):
    the wall turns v into -e v, which says when the ball shows again. There is no friction and no spin.

    {parameters}

    start is the distance from the middle at which the ball is held; hidden_at is the time at which less than 5 % of it
    are left to see, and places the screen; hidden_way is how far it then glides before it meets the wall.

    Camera: from the front, 5.12 m wide. Actions: none.
    Hand-over: held until `release`, then in full view for at least 0.4 s, its middle in view at 0; hidden from a time
    in [0.2 s, 1 s] on, fully out and in full view for 0.4 s by 3.6 s; horizon 4 s; it may leave later.
    May be hidden: the ball, by the screen.

    Version history: v1, first release.
    """

    core = False

    id = "occlusion/tunnel-v1"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "hidden_way", "event": "hidden_at"}
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        friction=Parameter.fixed(0.0, "", "of ball, floor and wall"),
        restitution=Parameter.fixed(0.9, "", "of ball and wall; of ball and floor it is 0"),
        radius=Parameter("m", "visible", (0.40, 0.50), "of the ball", ood=(0.52, 0.58)),
        **hues("hue"),
        release=RELEASE,
        velocity=Parameter("m/s", "visible", (0.9, 1.5), "of the ball, to the right", ood=(1.55, 1.9), signed=True),
        **wall_behind_screen("from there to the wall"),
    )

    def accepts(self, p: Params) -> bool:
        """Seen long enough before it is hidden, and again after it; screen and wall in view."""
        radius, (near, _), (_, out) = p["radius"], stop_edges(p), tunnel_times(p)
        back = near - radius - p["restitution"] * abs(p["velocity"]) * VIEW.after
        return inside((p["start"], back), radius) and seen_before_stop(p) and out <= VIEW.out_by * HORIZON - VIEW.after

    def scene(self, p: Params) -> Scene:
        radius = p["radius"]
        side = math.copysign(1.0, p["velocity"])
        start = (-side * p["start"], 0.0, radius)
        gliding = ball("ball", radius, start, p["hue"], velocity=(p["velocity"], 0.0, 0.0), release=p["release"])
        return Scene(
            bodies=(
                gliding,
                replace(floor(friction=p["friction"]), restitution=0.0),
                *wall_and_screen(p, p["friction"]),
                block("holder", side, p["start"], radius, p["release"]),
            ),
            camera=CAMERA,
            gravity=(0.0, 0.0, -p["gravity"]),
            prompt=f"A {hue_name(p['hue'])} ball glides over a smooth floor at constant speed and disappears behind a "
            "dark grey screen, where it bounces off a wall that rises above the screen. It comes out where it went in. "
            "Static camera, seen from the side.",
            caption=f"A {hue_name(p['hue'])} exercise ball glides over a smooth floor at constant speed, on a way "
            "that leads behind a dark grey screen. A grey pillar stands across it behind the screen and rises higher.",
        )


def tunnel_times(p: Params) -> tuple[float, float]:
    """Times s at which the ball meets the wall, and at which it is fully out of the screen again."""
    near, stop = stop_edges(p)
    speed = abs(p["velocity"])
    bounce = p["release"] + (p["start"] + stop) / speed
    return bounce, bounce + (stop - near + p["radius"]) / (p["restitution"] * speed)


# Two covers, behind one of which the ball stays until both rise.


@dataclass(frozen=True)
class Covers:
    """Two covers, behind one of which a ball comes to rest."""

    apart: float = 0.5  # m between the covers, in which a part of the ball is seen as it passes
    rests_before: float = 0.2  # s for which it has been at rest when the covers rise, at least
    seen_again: float = 3.4  # s, by when all of it is seen again


COVERS = Covers()


class Cups(Task):
    """A ball stops behind one of two covers; the covers rise, and it lies where it stopped.

    What happens: a ball lies on the floor in front of a grey block. The block vanishes and the ball rolls off at
    constant speed towards two covers. A light grey wall, which rises above the covers, stops it behind the first one,
    or it is seen between them and stopped behind the second. Then both covers rise.

    Law: persistence and solidity of what is not seen (Baillargeon, Spelke and Wasserman 1985,
    doi:10.1016/0010-0277(85)90008-3): restitution 0 stops the ball, and it stays there under its cover and not under
    the other, which was moved as well.

    {parameters}

    start is the distance from the middle at which the ball is held; hidden_at is the time at which less than 5 % of it
    are left to see, and places the first cover; hidden_way is how far it then rolls, hidden, before the wall stops it.
    Both covers are as wide as that asks for.

    Camera: from the front, 5.12 m wide. Actions: none.
    Hand-over: held until `release`, then in full view for at least 0.4 s, its middle in view at 0; hidden from a time
    in [0.2 s, 1 s] on, at rest 0.2 s before the covers rise, all of it seen again by 3.4 s; horizon 4 s.
    May be hidden: the ball, by the covers.

    Version history: v1, first release.
    """

    core = False

    id = "occlusion/cups-v1"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "behind", "event": "hidden_at"}
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        friction=Parameter.fixed(0.5, "", "of ball and floor"),
        restitution=Parameter.fixed(0.0, "", "of ball, floor and wall"),
        wall_friction=Parameter.fixed(0.0, "", "of ball and wall"),
        radius=Parameter("m", "visible", (0.40, 0.44), "of the ball"),
        **hues("hue"),
        release=Parameter("s", "visible", (-0.6, -0.4), "when the holder vanishes", grid=0.05),
        velocity=Parameter("m/s", "visible", (1.1, 1.5), "of rolling, to the right", ood=(1.55, 1.8), signed=True),
        start=Parameter("m", "visible", (1.9, 2.1), "distance from the middle where it is held"),
        behind=Parameter("", "visible", (1, 2), "which cover it stops behind", grid=1),
        hidden_at=Parameter("s", "visible", (0.25, 0.6), "when less than 5 % are left to see"),
        hidden_way=Parameter("m", "visible", (0.15, 0.35), "behind its cover, from there to the stop"),
        cover_height=Parameter("m", "visible", (1.2, 1.5), "above the floor"),
        wall_rise=Parameter("m", "visible", (0.5, 1.0), "of the wall above the covers"),
        lift=Parameter("s", "visible", (2.2, 2.8), "when the covers rise"),
        lift_speed=Parameter("m/s", "visible", (1.4, 2.0), "with which they do"),
    )
    evenly = "behind"

    def accepts(self, p: Params) -> bool:
        """Seen long enough before it is hidden, at rest before the covers rise; covers and wall in view."""
        speed, radius = abs(p["velocity"]), p["radius"]
        covers, stop = cup_edges(p)
        at_0 = -p["start"] - speed * p["release"]
        return (
            inside((p["start"],), radius)
            and at_0 + speed * (p["release"] + VIEW.before) + radius <= covers[0][0]
            and at_0 <= covers[0][0]
            and p["release"] + (p["start"] + stop) / speed <= p["lift"] - COVERS.rests_before
            and p["lift"] + 2 * radius / p["lift_speed"] <= COVERS.seen_again
            and max(covers[1][1], stop + radius + STOP_WALL.width) <= HALF_WINDOW - 2 * FREE_BORDER
        )

    def scene(self, p: Params) -> Scene:
        radius = p["radius"]
        side = math.copysign(1.0, p["velocity"])
        covers, stop = cup_edges(p)
        way = "the first" if p["behind"] == 1 else "the first and then the second"
        return Scene(
            bodies=(
                rolling("ball", p, side, p["start"], p["hue"], radius),
                floor(),
                stopping_wall(p, side * (stop + radius + STOP_WALL.width / 2), p["cover_height"], p["wall_friction"]),
                *(
                    rising_cover(f"{name} cover", p, (side * near, side * far), HORIZON)
                    for name, (near, far) in zip(("first", "second"), covers, strict=True)
                ),
                block("holder", side, p["start"], radius, p["release"]),
            ),
            camera=CAMERA,
            gravity=(0.0, 0.0, -p["gravity"]),
            prompt=f"A {hue_name(p['hue'])} ball rolls over the floor behind {way} of two dark grey covers, where a "
            "light grey wall stops it. Then both covers rise, and the ball lies at the wall. Static camera, seen from "
            "the side.",
            caption=f"A {hue_name(p['hue'])} exercise ball rolls over the floor towards a light grey wall, on a way "
            f"that leads behind {way} of two dark grey covers. Then both covers rise.",
        )


def cup_edges(p: Params) -> tuple[tuple[tuple[float, float], tuple[float, float]], float]:
    """Near and far edges of the covers, and stop of the ball's middle, m along the ball's path from the middle."""
    near, stop = stop_edges(p)
    width = stop - near + p["radius"] + STOP_WALL.covered
    step = width + COVERS.apart
    return ((near, near + width), (near + step, near + step + width)), stop + (p["behind"] - 1) * step


def rising_cover(name: str, p: Params, edges: tuple[float, float], horizon: float) -> Body:
    """A cover that looks as if it reached from edge to edge, m, and rises from `lift` on."""
    still = replace(between(min(edges), max(edges), p["cover_height"], SCREEN_Y), name=name)
    x, y, z = still.position
    path = (
        Waypoint(-HISTORY, (x, y, z)),
        Waypoint(p["lift"], (x, y, z)),
        Waypoint(horizon, (x, y, z + p["lift_speed"] * (horizon - p["lift"]))),
    )
    return replace(still, role="kinematic", path=path)


# The light goes out.


@dataclass(frozen=True)
class Post:
    """A light barrier."""

    size: tuple[float, float, float] = (0.07, 0.07, 0.75)  # m, half extents of a light barrier
    y: float = 0.8  # m behind the plane of motion, where it stands
    sink: float = 0.2  # m, so deep that its foot is hidden
    grey: float = 0.38


POST = Post()


DARK_CENTRE = 2.2  # m, height of the middle of the window above the floor
UNSEEN_BOUNCE = 0.08  # s between a bounce in the dark and the light before or after it


class Dark(Task):
    """The light goes out while a ball bounces along, and on again: the ball has bounced on.

    What happens: a ball rests on a small grey shelf. The shelf vanishes and the ball flies off sideways and bounces
    over the floor. As its middle passes the first of two grey posts the light goes out, and as it passes the
    second one it is on again. The ball meets the floor in the dark.

    Law: persistence of what is not seen (Piaget 1954, The Construction of Reality in the Child), and free fall and
    Newton's law of restitution, which go on in the dark: x(t) = start + v (t - release), z falls by g t^2 / 2, and
    vz -> -e vz at the floor. No air, no friction, no spin.

    {parameters}

    start is the distance from the middle at which the ball is held; start_height that of its lowest point above the
    floor. dark_at is the time at which the light goes out, dark_for how long: they place the posts, which stand behind
    the ball. Mass is density x volume.

    Camera: from the front, 5.12 m wide, the floor in its lower part. Actions: none.
    Hand-over: held until `release`, then in full view, in motion at 0; dark from a time in [0.3 s, 1 s] on, light again
    by 2.5 s; horizon 4 s. The ball stays in the window.
    May be hidden: everything, in the dark.

    Version history: v1, first release.
    """

    core = False

    id = "occlusion/dark-v1"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "dark_for", "event": "dark_at"}
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        restitution=Parameter.fixed(0.8, "", "of ball and floor"),
        friction=Parameter.fixed(0.0, "", "of ball and floor"),
        radius=Parameter("m", "visible", (0.40, 0.48), "of the ball", ood=(0.50, 0.56)),
        **hues("hue"),
        release=RELEASE,
        velocity=Parameter("m/s", "visible", (0.5, 0.85), "of the ball, to the right", signed=True),
        start=Parameter("m", "visible", (1.6, 2.1), "distance from the middle where it is held"),
        start_height=Parameter("m", "visible", (1.6, 3.0), "of its lowest point above the floor", ood=(3.05, 3.5)),
        dark_at=Parameter("s", "visible", (0.35, 0.95), "when the light goes out"),
        dark_for=Parameter("s", "visible", (0.6, 1.4), "how long that lasts"),
    )

    def accepts(self, p: Params) -> bool:
        """In view throughout, a bounce in the dark and none as the light changes."""
        off, on = p["dark_at"], p["dark_at"] + p["dark_for"]
        end = abs(p["velocity"]) * (HORIZON - p["release"]) - p["start"]
        bounces = bounce_times(p, HORIZON)
        return (
            inside((p["start"], end, p["start_height"] + p["radius"] - DARK_CENTRE), p["radius"])
            and any(off < time < on for time in bounces)
            and all(min(abs(time - off), abs(time - on)) >= UNSEEN_BOUNCE for time in bounces)
        )

    def scene(self, p: Params) -> Scene:
        radius, side = p["radius"], math.copysign(1.0, p["velocity"])
        camera = Camera("front", (0.0, 0.0, DARK_CENTRE))
        changes = (p["dark_at"], p["dark_at"] + p["dark_for"])
        posts = [
            wall(
                f"post {name}",
                POST.size,
                (p["velocity"] * (time - p["release"]) - side * p["start"], POST.y, POST.size[2] - POST.sink),
                grey=POST.grey,
            )
            for name, time in zip(("off", "on"), changes, strict=True)
        ]
        thrown = ball(
            "ball",
            radius,
            (-side * p["start"], 0.0, p["start_height"] + radius),
            p["hue"],
            velocity=(p["velocity"], 0.0, 0.0),
            restitution=p["restitution"],
            friction=p["friction"],
            release=p["release"],
        )
        under = shelf("holder", -side * p["start"], p["start_height"], p["release"])
        return Scene(
            bodies=(
                thrown,
                floor(),
                *(replace(post, collides=False) for post in posts),
                under,
                darkness(camera, *changes, HORIZON),
            ),
            camera=camera,
            gravity=(0.0, 0.0, -p["gravity"]),
            prompt=f"A {hue_name(p['hue'])} ball flies through the air and bounces over a flat floor. As it passes the "
            "first of two grey posts the light goes out and all is black; as it passes the second one the light "
            "is on again. Static camera, seen from the side.",
            caption=f"A {hue_name(p['hue'])} exercise ball flies through the air above the floor. The light goes out "
            f"as the ball passes the first of two grey posts, and goes on again {p['dark_for']:.1f} s later.",
        )


def bounce_times(p: Params, until: float) -> list[float]:
    """Times s of the bounces of a ball that is let go at `release`, up to `until`."""
    fall = math.sqrt(2 * p["start_height"] / p["gravity"])
    times, flight = [p["release"] + fall], 2 * p["restitution"] * fall
    while times[-1] + flight < until:
        times.append(times[-1] + flight)
        flight *= p["restitution"]
    return times
