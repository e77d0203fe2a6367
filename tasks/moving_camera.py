"""A camera that walks round what happens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, NamedTuple

from physbench.clips.task import FREE_BORDER, HALF_WINDOW, RELEASE, Level, Parameter, Params, Task, declare, hues
from physbench.laws.impacts import Flat, at, nearest, rebound
from physbench.world.bodies import ball, held, table
from physbench.world.scene import HISTORY, Camera, CameraMove, Scene, hue_name, sphere_mass

WALK_CAMERA = Camera("top", (0.0, 0.0, 0.0), distance=10.0, tilt=math.radians(25))
WALK_ROOM = 0.25  # m between the third ball and the ways of the others


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
    horizon = 4.0  # s

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
                >= way.radius + p["radius_c"] + WALK_ROOM
                for way in ways
            )
        )

    def scene(self, params: Params) -> Scene:
        p = params
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
        walk = CameraMove("orbit", p["pace"] * (HISTORY + self.horizon), -HISTORY, self.horizon)
        first, second, third = (hue_name(p[f"hue_{name}"]) for name in "abc")
        return Scene(
            bodies=(*balls, table(), block),
            camera=replace(WALK_CAMERA, path=(walk,)),
            horizon=self.horizon,
            prompt=f"A {first} ball glides over a frictionless table and hits a {second} ball at rest, which glides "
            f"on. A {third} ball lies beside them. The camera circles the table to the "
            f"{'right' if p['pace'] > 0 else 'left'}, looking down at it, all the time.",
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
    glided, rest = p["meeting"] - p["release"], WalkRound.horizon - p["meeting"]
    return (
        Way(p["radius_a"], at(a, before, -glided), before, glided),
        Way(p["radius_a"], a, after_a, rest),
        Way(p["radius_b"], b, after_b, rest),
    )
