"""Cameras that look away, follow a ball or walk round what happens."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, NamedTuple

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
    event_in,
    hues,
    inside,
)
from physbench.laws.impacts import Flat, at, nearest, rebound
from physbench.tasks.falling import CENTER_Z, Projectile
from physbench.tasks.occlusion import block
from physbench.world.bodies import ball, floor, held, table, wall
from physbench.world.camera import NEAR_DISTANCE, NEAR_TILT
from physbench.world.scene import HISTORY, HORIZON, Camera, CameraMove, Scene, hue_name, sphere_mass

# The camera looks away.

TURN_TIME = 0.6  # s of each of its two turns


class LookAway(Task):
    """The camera turns away from a ball that glides along, and back: the ball has met a wall and is on its way back.

    What happens: a ball lies on a smooth floor in front of a grey block, and a light grey wall stands further on. The
    block vanishes and the ball glides off at constant speed. The camera turns to one side until its picture shows
    neither ball nor wall, the ball meets the wall unseen, and the camera turns back.

    Law: persistence of what is not seen (Piaget 1954, The Construction of Reality in the Child), here for want of
    looking and not behind a screen, inertia, and Newton's law of restitution (Newton 1687, Principia, corollary VI):
    the wall turns v into -e v. There is no friction and no spin.

    {parameters}

    start is the distance from the middle at which the ball is held; away_at is the time at which the camera begins to
    turn away, away_for how long after that it begins to turn back. Each turn takes 0.6 s, by 86 degrees.

    Camera: from the front, 5 m away, 12 degrees from above, 5.12 m wide. Actions: none but its pose.
    Hand-over: held until `release`, then in full view, in motion at 0; the camera begins to turn in [0.3 s, 0.9 s], the
    ball meets the wall while the camera stands turned away, by 2.4 s, and the camera is back by 3.3 s; horizon 4 s. The
    ball stays in the window.
    May be hidden: everything that the picture showed, while the camera looks elsewhere.

    Version history: v1, the ball rolled on and met nothing; v2, it meets a wall.
    """

    core = False

    id = "occlusion/look-away-v2"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "away_for", "event": lambda p: away_meeting(p)}
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        friction=Parameter.fixed(0.0, "", "of ball, floor and wall"),
        restitution=Parameter.fixed(0.9, "", "of ball and wall; of ball and floor it is 0"),
        radius=Parameter("m", "visible", (0.40, 0.50), "of the ball", ood=(0.52, 0.58)),
        **hues("hue"),
        release=RELEASE,
        velocity=Parameter("m/s", "visible", (0.9, 1.5), "of the ball, to the right", ood=(1.55, 1.9), signed=True),
        start=Parameter("m", "visible", (1.6, 2.0), "distance from the middle where it is held"),
        wall=Parameter("m", "visible", (1.4, 2.1), "distance from the middle to the face of the wall"),
        away_to=Parameter("", "visible", (1, 1), "1: the camera turns to the right, -1: to the left", signed=True),
        away_at=Parameter("s", "visible", (0.3, 0.9), "when the camera begins to turn away"),
        away_for=Parameter("s", "visible", (1.0, 1.8), "how long after that it begins to turn back"),
    )

    def accepts(self, p: Params) -> bool:
        """On its way at the hand-over, at the wall while the camera looks elsewhere, and in the window to the end."""
        speed, meeting = abs(p["velocity"]), away_meeting(p)
        end = p["wall"] - p["radius"] - p["restitution"] * speed * (HORIZON - meeting)
        return (
            -p["release"] * speed >= 0.4  # m by the hand-over
            and p["away_at"] + TURN_TIME <= meeting <= p["away_at"] + p["away_for"]
            and event_in(meeting)
            and inside((p["start"], end), p["radius"])
        )

    def scene(self, p: Params) -> Scene:
        side, radius = math.copysign(1.0, p["velocity"]), p["radius"]
        away, back = p["away_at"], p["away_at"] + p["away_for"]
        # 1.5 rad that the camera turns: ball and wall are out of its picture then, up to pictures of 2 : 1
        turn = 1.5 * p["away_to"]
        path = (CameraMove("pan", turn, away, away + TURN_TIME), CameraMove("pan", -turn, back, back + TURN_TIME))
        start = (-side * p["start"], 0.0, radius)
        away_wall = (0.15, 0.5, 0.7)  # m, half extents
        place = (side * (p["wall"] + away_wall[0]), 0.0, away_wall[2])
        away_camera = Camera("front", (0.0, 0.0, 1.3), distance=NEAR_DISTANCE, tilt=NEAR_TILT)
        return Scene(
            bodies=(
                ball("ball", radius, start, p["hue"], velocity=(p["velocity"], 0.0, 0.0), release=p["release"]),
                replace(floor(friction=p["friction"]), restitution=0.0),
                wall("wall", away_wall, place, grey=0.62, restitution=p["restitution"], friction=p["friction"]),
                block("holder", side, p["start"], radius, p["release"]),
            ),
            camera=replace(away_camera, path=path),
            gravity=(0.0, 0.0, -p["gravity"]),
            prompt=f"A {hue_name(p['hue'])} ball glides over a smooth floor at constant speed towards a wall. The "
            f"camera turns to the {'right' if turn > 0 else 'left'} until it no longer shows the ball, and turns back: "
            "meanwhile the ball has bounced off the wall and is on its way back. Seen from the side.",
            caption=f"A {hue_name(p['hue'])} exercise ball glides over a smooth floor at constant speed towards a "
            f"wall. The camera turns to the {'right' if turn > 0 else 'left'}, away from the ball, and turns back.",
        )


def away_meeting(p: Params) -> float:
    """Time s at which the ball of `look-away` meets the wall."""
    return p["release"] + (p["start"] + p["wall"] - p["radius"]) / abs(p["velocity"])


# The camera follows the ball.


class Follow(Projectile):
    """A ball is thrown, lands and bounces on, and the camera turns with it: the ball stays, the room moves past.

    What happens: a ball rests on a small grey shelf. The shelf vanishes and the ball flies off with a drawn velocity;
    it reaches the floor after the hand-over and bounces on until the end. The camera pans with it from the release on,
    so that the ball stays near the middle of each picture's width and floor and marks pass behind it.

    Law: that of `projectile`, in the frame of the room (Galilei 1638, Discorsi, fourth day): free fall with constant
    horizontal speed, vz -> -e vz at a bounce. A ball that keeps its place before a room that stands still is none.

    {parameters}

    start_height is that of the ball's lowest point above the floor. Mass is density x volume.

    Camera: from the front, 5 m away, 12 degrees from above, 5.12 m wide before it turns; it pans by
    atan(x / 5 m) with the ball at x, by at most 12 degrees/s. Actions: none but its pose.
    Hand-over: held until `release`, in flight at 0, first contact in [0.2 s, 2.4 s], horizon 4 s.
    The ball is in full view throughout, also on a twin with half the gravity from the hand-over on.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    core = False

    id = "falling/follow-v1"
    parameters = declare(
        **{
            **Projectile.parameters,
            "start_x": Parameter("m", "visible", (1.5, 2.1), "distance from the middle where the ball is held"),
            "velocity_x": Parameter("m/s", "visible", (0.6, 0.8), "thrown inwards", ood=(0.82, 0.95), signed=True),
        }
    )

    def accepts(self, p: Params) -> bool:
        """As a projectile that starts on the side from which it is thrown inwards."""
        return super().accepts(_inwards(p))

    def scene(self, params: Params) -> Scene:
        p = _inwards(params)
        scene = super().scene(p)
        follow_step = 0.25  # s between the times at which the camera points at the ball exactly
        times = np.arange(p["release"], HORIZON + follow_step, follow_step).tolist()
        angles = [math.atan((p["start_x"] + p["velocity_x"] * (t - p["release"])) / NEAR_DISTANCE) for t in times]
        pans = [CameraMove("pan", angles[0], -HISTORY - 1.0, -HISTORY)]  # it points at the ball before it flies
        knots = itertools.pairwise(zip(times, angles, strict=True))
        pans += [CameraMove("pan", after - before, begin, end) for (begin, before), (end, after) in knots]
        return replace(
            scene,
            camera=replace(
                Camera("front", (0.0, 0.0, CENTER_Z), distance=NEAR_DISTANCE, tilt=NEAR_TILT), path=tuple(pans)
            ),
            prompt=scene.prompt.replace("Static camera, seen", "The camera turns with the ball all the time. Seen"),
            caption=f"{scene.caption} The camera turns with the ball all the time.",
        )


def _inwards(p: Params) -> Params:
    """The parameters with the signed place from which the ball crosses the middle."""
    return {**p, "start_x": -math.copysign(p["start_x"], p["velocity_x"])}


# The camera walks round.


class WalkRound(Task):
    """The camera walks half round a table on which one ball hits another; a third one lies there untouched.

    What happens: a ball glides over a table and hits a second one, which lay at rest and glides on; a third ball lies
    beside their way. Meanwhile the camera goes round the table, about its middle, and looks down at it: everything
    turns in the picture, and nothing changes its place on the table but by the hit.

    Law: that of `head-on`, conservation of momentum and Newton's law of restitution along the line of centres (Newton
    1687, Principia, corollary III to the laws of motion), in the frame of the table: what rests there is the same thing
    at the same place from every side. There is no gravity and no friction; the table is only drawn. No spin.

    {parameters}

    heading is the direction of ball a; offset is the distance of its line from the middle of ball b over the sum of the
    radii; meeting is the time of contact, (meet_x, meet_y) the middle of ball b until then, (rest_x, rest_y) that of
    ball c. Mass is density x volume.

    Camera: from above, 25 degrees from straight down and 10 m away, 5.12 m wide; it circles at `pace` from before the
    context on, by 160 to 183 degrees while the clip is predicted. Actions: none.
    Hand-over: ball a is held until `release`, moving at 0, contact in [0.2 s, 1.2 s], horizon 4 s. All balls are in
    full view throughout.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    core = False

    id = "collisions/walk-round-v1"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "pace", "event": "meeting"}
    parameters = declare(
        restitution=Parameter.fixed(0.9, "", "of two balls"),
        friction=Parameter.fixed(0.0, "", "of two balls"),
        radius_a=Parameter("m", "visible", (0.40, 0.46), "of the ball that glides"),
        radius_b=Parameter("m", "visible", (0.40, 0.46), "of the ball that it hits"),
        radius_c=Parameter("m", "visible", (0.40, 0.46), "of the ball beside their way"),
        **hues("hue_a", "hue_b", "hue_c"),
        release=RELEASE,
        speed=Parameter("m/s", "visible", (0.7, 0.9), "of ball a"),
        heading=Parameter("rad", "visible", (-3.1416, 3.1416), "direction of ball a"),
        offset=Parameter("", "visible", (-0.4, 0.4), "distance of its line from ball b over the sum of radii"),
        meeting=Parameter("s", "visible", (0.3, 1.1), "time of contact"),
        meet_x=Parameter("m", "visible", (-1.0, 1.0), "place of ball b, to the right before the camera walks"),
        meet_y=Parameter("m", "visible", (-1.0, 1.0), "place of ball b, upwards then"),
        rest_x=Parameter("m", "visible", (-1.8, 1.8), "place of ball c, to the right then"),
        rest_y=Parameter("m", "visible", (-1.8, 1.8), "place of ball c, upwards then"),
        pace=Parameter("rad/s", "visible", (0.70, 0.80), "of the camera's walk", ood=(0.85, 0.95), signed=True),
    )

    def accepts(self, p: Params) -> bool:
        """Three hues; all balls on the round that the camera always shows, and the third one out of their way."""
        rest, ways = (p["rest_x"], p["rest_y"]), walk_ways(p)
        places = [
            (rest, p["radius_c"]),
            *((way.start, way.radius) for way in ways),
            *((way.end, way.radius) for way in ways),
        ]
        return (
            len({p["hue_a"], p["hue_b"], p["hue_c"]}) == 3
            and all(math.hypot(*place) + radius + FREE_BORDER <= HALF_WINDOW for place, radius in places)
            and all(
                nearest(way.start, way.velocity, rest, (0.0, 0.0), 0.0, way.time)
                >= way.radius + p["radius_c"] + 0.25  # m
                for way in ways
            )
        )

    def scene(self, p: Params) -> Scene:
        first_way, _, hit_way = walk_ways(p)
        place = {"a": first_way.start, "b": hit_way.start, "c": (p["rest_x"], p["rest_y"])}
        balls = [
            ball(
                f"ball {name}",
                p[f"radius_{name}"],
                (*place[name], 0.0),
                p[f"hue_{name}"],
                velocity=(*first_way.velocity, 0.0) if name == "a" else (0.0, 0.0, 0.0),
                restitution=math.sqrt(p["restitution"]),
                friction=p["friction"],
                release=p["release"] if name == "a" else None,
            )
            for name in "abc"
        ]
        block = held(balls[0], "holder", speed=p["speed"], heading=p["heading"])
        walk = CameraMove("orbit", p["pace"] * (HISTORY + HORIZON), -HISTORY, HORIZON)
        first, second, third = (hue_name(p[f"hue_{name}"]) for name in "abc")
        return Scene(
            bodies=(*balls, table(), block),
            camera=replace(Camera("top", (0.0, 0.0, 0.0), distance=10.0, tilt=math.radians(25)), path=(walk,)),
            prompt=f"A {first} ball glides over a frictionless table and hits a {second} ball at rest, which glides "
            f"on. A {third} ball lies beside them. The camera circles the table to the "
            f"{'right' if p['pace'] > 0 else 'left'}, looking down at it, all the time.",
            caption=f"A {first} exercise ball glides over a smooth floor towards a {second} ball at rest. A {third} "
            f"ball lies beside them. The camera circles them to the {'right' if p['pace'] > 0 else 'left'}, looking "
            "down, all the time.",
        )


class Way(NamedTuple):
    """A ball of some radius m on a straight line: from where, m, at what velocity, m/s, and for how long, s."""

    radius: float
    start: Flat
    velocity: Flat
    time: float

    @property
    def end(self) -> Flat:
        """Place m at its end."""
        return at(self.start, self.velocity, self.time)


def walk_ways(p: Params) -> tuple[Way, Way, Way]:
    """Ball a from its release to the contact; from there to the end of the clip balls a and b, in closed form."""
    ahead = (math.cos(p["heading"]), math.sin(p["heading"]))
    reach, b = p["radius_a"] + p["radius_b"], (p["meet_x"], p["meet_y"])
    along, aside = reach * math.sqrt(1 - p["offset"] ** 2), reach * p["offset"]
    a = (b[0] - along * ahead[0] + aside * ahead[1], b[1] - along * ahead[1] - aside * ahead[0])
    before = (p["speed"] * ahead[0], p["speed"] * ahead[1])
    masses = sphere_mass(p["radius_a"]), sphere_mass(p["radius_b"])
    after_a, after_b = rebound(a, before, masses[0], b, (0.0, 0.0), masses[1], p["restitution"])
    glided, rest = p["meeting"] - p["release"], HORIZON - p["meeting"]
    return (
        Way(p["radius_a"], at(a, before, -glided), before, glided),
        Way(p["radius_a"], a, after_a, rest),
        Way(p["radius_b"], b, after_b, rest),
    )
