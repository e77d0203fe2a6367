"""Balls that roll, hit each other and rebound from cushions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from physbench.clips.clip import Split
from physbench.clips.task import MAX_DRAWS, Parameter, Params, declare, draw
from physbench.dynamics.impacts import Flat, at, meeting_time, nearest, rebound, reflected, rolled, slid
from physbench.tasks.helpers import HALF, RELEASE, holder, hue_name
from physbench.world.scene import FLOOR_GREY, PALETTE, SCREEN_GREY, Body, Camera, Scene, sphere_mass

TABLE = 2.36  # m, from the middle of the table to its cushions
TOUCHES = 0.05  # friction of a ball: two of them have next to none, a ball and the table what the task says
EARLY = 0.25  # s; nothing is hit before
APART = 0.2  # m between the surfaces of two balls until then, and of a held ball and a cushion
GONE_BY = 1.6  # s, when every ball has been further than its diameter from where it was at the hand-over
TRIES = 20  # draws of one more ball before all are drawn anew
SHAKE = 0.01  # m/s; a change of all velocities by this much
SHAKEN = 0.25  # m; moves no ball by more than this within SHAKEN_BY
SHAKEN_BY = 2.6  # s
NUMBERS = ("one", "two", "three", "four")

CUSHION = -1  # in place of a ball's number: a cushion met along x; CUSHION - 1: along y

Balls = tuple[list[Flat], list[Flat]]  # centres m, velocities m/s
Hit = tuple[float, int, int]  # s, number of a ball, of the other ball or cushion


class Billiards:
    """Two to four balls roll on a table with cushions, seen from straight above.

    What happens: balls of one size lie on a table, each in front of a grey block. The blocks vanish and all balls roll
    off, one of them (the cue ball) faster; it hits another one after the hand-over. Balls hit balls and cushions until
    the end.

    Law: momentum and Newton's law of restitution along the line of centres (Newton 1687, Principia, corollary III);
    balls are smooth to each other and to the cushions, so that an impact leaves their spin. Friction of the table then
    brings each back to rolling, v = omega r, with 5/7 of its velocity behind the impact and 2/7 of that before it
    (Coriolis 1835, Theorie mathematique des effets du jeu de billard): straight lines, but for the hundredths of a
    second in which it slides. Nothing brakes a rolling ball.

    | parameter   | unit | class   | train and test    | ood        | meaning                                         |
    | ----------- | ---- | ------- | ----------------- | ---------- | ----------------------------------------------- |
    | gravity     | m/s2 | fixed   | 9.81              |            | downwards, onto the table                       |
    | restitution |      | fixed   | 0.95              |            | of two balls                                    |
    | cushions    |      | fixed   | 0.95              |            | restitution of ball and cushion                 |
    | friction    |      | fixed   | 0.8               |            | of ball and table                               |
    | balls       |      | visible | 2, 3 .. 4         |            | number of balls                                 |
    | radius      | m    | visible | 0.4 .. 0.44       |            | of every ball                                   |
    | hue         |      | visible | 0, 1 .. 4         |            | index into the palette, of the cue ball         |
    | hue_step    |      | visible | 1, 2 .. 4         |            | from ball to ball, modulo 5                     |
    | release     | s    | visible | -1, -0.95 .. -0.4 |            | when the holders vanish                         |
    | speed       | m/s  | visible | 1.6 .. 2.2        | 2.3 .. 2.7 | of the cue ball                                 |
    | heading     | rad  | visible | -3.1416 .. 3.1416 |            | direction of the cue ball                       |
    | cut         | rad  | visible | -0.8 .. 0.8       |            | of the line of centres at the first hit from it |
    | meeting     | s    | visible | 0.3 .. 1          |            | time of the first hit                           |
    | meet_x      | m    | visible | -1.3 .. 1.3       |            | point of the first hit, to the right            |
    | meet_y      | m    | visible | -1.3 .. 1.3       |            | point of the first hit, upwards in the image    |
    | speed_2     | m/s  | visible | 0.6 .. 1.1        |            | of the ball that is hit first                   |
    | heading_2   | rad  | visible | -3.1416 .. 3.1416 |            | direction of the ball that is hit first         |
    | x_3         | m    | visible | -1.8 .. 1.8       |            | of the third ball at 0, to the right            |
    | y_3         | m    | visible | -1.8 .. 1.8       |            | of the third ball at 0, upwards                 |
    | speed_3     | m/s  | visible | 0.6 .. 1.1        |            | of the third ball                               |
    | heading_3   | rad  | visible | -3.1416 .. 3.1416 |            | direction of the third ball                     |
    | x_4         | m    | visible | -1.8 .. 1.8       |            | of the fourth ball at 0, to the right           |
    | y_4         | m    | visible | -1.8 .. 1.8       |            | of the fourth ball at 0, upwards                |
    | speed_4     | m/s  | visible | 0.6 .. 1.1        |            | of the fourth ball                              |
    | heading_4   | rad  | visible | -3.1416 .. 3.1416 |            | direction of the fourth ball                    |

    (meet_x, meet_y) is the point where the cue ball touches the first other one at `meeting`, and cut the angle from
    its way to the line of centres there, unless a third ball comes between. Ball k of 0, 1, ... has the hue
    hue + k hue_step modulo 5. What is declared of balls that are not there plays no part. Mass is density x volume.
    Friction of two balls is 0.0025, that of ball and cushion 0.

    Camera: from straight above, 5.12 m wide; the table is 4.72 m wide. Actions: none.
    Hand-over: held until `release`, all rolling at 0, nothing is hit before 0.25 s, the first ball by 1 s, horizon
    4 s. Every ball is a diameter away from where it was within 1.6 s. Changes of all velocities by 1 cm/s move no ball
    by more than 0.25 m in 2.6 s: what happens can be known. Nothing leaves the table.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    id = "collisions/billiards-v1"
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards, onto the table"),
        restitution=Parameter.fixed(0.95, "", "of two balls"),
        cushions=Parameter.fixed(0.95, "", "restitution of ball and cushion"),
        friction=Parameter.fixed(0.8, "", "of ball and table"),
        balls=Parameter("", "visible", (2, 4), "number of balls", grid=1),
        radius=Parameter("m", "visible", (0.40, 0.44), "of every ball"),
        hue=Parameter("", "visible", (0, 4), "index into the palette, of the cue ball", grid=1),
        hue_step=Parameter("", "visible", (1, 4), "from ball to ball, modulo 5", grid=1),
        release=RELEASE,
        speed=Parameter("m/s", "visible", (1.6, 2.2), "of the cue ball", ood=(2.3, 2.7)),
        heading=Parameter("rad", "visible", (-3.1416, 3.1416), "direction of the cue ball"),
        cut=Parameter("rad", "visible", (-0.8, 0.8), "of the line of centres at the first hit from it"),
        meeting=Parameter("s", "visible", (0.3, 1.0), "time of the first hit"),
        meet_x=Parameter("m", "visible", (-1.3, 1.3), "point of the first hit, to the right"),
        meet_y=Parameter("m", "visible", (-1.3, 1.3), "point of the first hit, upwards in the image"),
        speed_2=Parameter("m/s", "visible", (0.6, 1.1), "of the ball that is hit first"),
        heading_2=Parameter("rad", "visible", (-3.1416, 3.1416), "direction of the ball that is hit first"),
        **{
            f"{name}_{k}": parameter
            for k, which in ((3, "third"), (4, "fourth"))
            for name, parameter in (
                ("x", Parameter("m", "visible", (-1.8, 1.8), f"of the {which} ball at 0, to the right")),
                ("y", Parameter("m", "visible", (-1.8, 1.8), f"of the {which} ball at 0, upwards")),
                ("speed", Parameter("m/s", "visible", (0.6, 1.1), f"of the {which} ball")),
                ("heading", Parameter("rad", "visible", (-3.1416, 3.1416), f"direction of the {which} ball")),
            )
        },
    )
    horizon = 4.0  # s
    last: tuple[str, ...] = ()  # parameters that are drawn when all balls lie

    def sample(self, rng: np.random.Generator, split: Split) -> Params:
        """The cue ball and what it hits first, then the others one by one: all at once they would rarely fit."""
        balls = self.parameters["balls"].draw(rng, split)
        for _ in range(MAX_DRAWS):
            p = {**draw(self.parameters, rng, split, lambda p: self.fits({**p, "balls": 2.0})), "balls": balls}
            for k in range(3, int(balls) + 1):
                for _ in range(TRIES):
                    if self.fits({**p, "balls": float(k)}):
                        break
                    p |= {name: self.parameters[name].draw(rng, split) for name in p if name.endswith(f"_{k}")}
            for _ in range(TRIES if self.last else 1):
                if self.accepts(p):
                    return p
                p |= {name: self.parameters[name].draw(rng, split) for name in self.last}
        raise RuntimeError(
            f"No acceptable parameters in {MAX_DRAWS} draws: the ranges of split {split} are too narrow."
        )

    def accepts(self, p: Params) -> bool:
        """Nothing is hit before EARLY, every ball gets away from where it was, small changes stay small."""
        return self.fits(p) and self.plays(p)

    def fits(self, p: Params) -> bool:
        """All balls have room from their release to EARLY."""
        radius, since = p["radius"], p["release"]
        places, velocities = self.start(p)
        for k, (place, velocity) in enumerate(zip(places, velocities, strict=True)):
            for time, room in ((since, APART), (EARLY, 0.0)):
                if max(map(abs, at(place, velocity, time))) > TABLE - radius - room:
                    return False
            for other in range(k):
                apart = nearest(places[other], velocities[other], place, velocity, since, EARLY)
                if apart < 2 * radius + (0.0 if (other, k) == (0, 1) else APART):
                    return False
        return True

    def plays(self, p: Params) -> bool:
        """Every ball gets away from where it was, and a small change of the velocities stays small."""
        places, velocities = self.start(p)
        paths, _ = play(p, places, velocities, [GONE_BY / 4 * k for k in range(1, 5)])
        return gone(p, places, paths) and steady(p, places, velocities)

    def start(self, p: Params) -> Balls:
        """Centres at the hand-over and velocities up to the first hit, cue ball first."""
        cue = (p["speed"] * math.cos(p["heading"]), p["speed"] * math.sin(p["heading"]))
        hit = (p["speed_2"] * math.cos(p["heading_2"]), p["speed_2"] * math.sin(p["heading_2"]))
        normal = p["heading"] + p["cut"]
        along = (p["radius"] * math.cos(normal), p["radius"] * math.sin(normal))
        places = [
            at((p["meet_x"] - along[0], p["meet_y"] - along[1]), cue, -p["meeting"]),
            at((p["meet_x"] + along[0], p["meet_y"] + along[1]), hit, -p["meeting"]),
        ]
        velocities = [cue, hit]
        for k in range(3, int(p["balls"]) + 1):
            speed, heading = p[f"speed_{k}"], p[f"heading_{k}"]
            places.append((p[f"x_{k}"], p[f"y_{k}"]))
            velocities.append((speed * math.cos(heading), speed * math.sin(heading)))
        return places, velocities

    def scene(self, params: Params) -> Scene:
        p, radius = params, params["radius"]
        places, velocities = self.start(p)
        hues = [(int(p["hue"]) + k * int(p["hue_step"])) % len(PALETTE) for k in range(len(places))]
        smooth = math.sqrt(p["restitution"])
        bodies: list[Body] = []
        blocks: list[Body] = []
        for k, (place, (vx, vy)) in enumerate(zip(places, velocities, strict=True)):
            x, y = at(place, (vx, vy), p["release"])
            speed, angle = math.hypot(vx, vy), math.atan2(vy, vx)
            bodies.append(
                Body(
                    f"ball {NUMBERS[k]}",
                    "sphere",
                    (radius,),
                    "moving",
                    (x, y, 0.0),
                    velocity=(vx, vy, 0.0),
                    spin=(-vy / radius, vx / radius, 0.0),
                    hue=hues[k],
                    mass=sphere_mass(radius),
                    restitution=smooth,
                    friction=TOUCHES,
                    release=p["release"],
                )
            )
            back = (radius + 0.06) / speed
            blocks.append(
                holder(
                    f"holder {NUMBERS[k]}",
                    (0.05, 0.55 * radius, 0.2),
                    (x - back * vx, y - back * vy, 0.0),
                    p["release"],
                    (0.0, 0.0, math.sin(angle / 2), math.cos(angle / 2)),
                )
            )
        table = Body(
            "table",
            "plane",
            (),
            "fixed",
            (0.0, 0.0, -radius),
            grey=FLOOR_GREY,
            restitution=0.0,
            friction=p["friction"] / TOUCHES,
        )
        others = " and ".join(f"a {hue_name(hue)} one" for hue in hues[1:])
        return Scene(
            bodies=(*bodies, table, *cushions(radius, p["cushions"] / smooth), *blocks),
            camera=Camera("top", (0.0, 0.0, 0.0)),
            gravity=(0.0, 0.0, -p["gravity"]),
            horizon=self.horizon,
            prompt=f"A {hue_name(hues[0])} ball and {others} roll on a table, hit each other and rebound from the "
            "cushions. Static camera, seen from straight above.",
        )


def gone(p: Params, places: Sequence[Flat], paths: Sequence[Sequence[Flat]]) -> bool:
    """Whether every ball gets a diameter away from its place at some time of the paths (times, balls)."""
    away = [max(math.dist(place, centres[k]) for centres in paths) for k, place in enumerate(places)]
    return min(away) > 2 * p["radius"] + APART


def steady(p: Params, places: Sequence[Flat], velocities: Sequence[Flat]) -> bool:
    """Whether a small change of the velocities stays small."""
    shaken = [(vx + SHAKE * (-1) ** k, vy + SHAKE * (-1) ** (k // 2)) for k, (vx, vy) in enumerate(velocities)]
    ends = [play(p, places, changed, [SHAKEN_BY])[0][0] for changed in (velocities, shaken)]
    return max(map(math.dist, *ends)) <= SHAKEN


def cushions(radius: float, restitution: float) -> tuple[Body, ...]:
    """Four boxes round the table; their tops stand a little above the centres of the balls that they stop."""
    half = (HALF - TABLE) / 2
    found = []
    for name, (x, y) in zip(("right", "top", "left", "bottom"), ((1, 0), (0, 1), (-1, 0), (0, -1)), strict=True):
        size = (half, HALF, radius / 2 + 0.05) if x else (TABLE, half, radius / 2 + 0.05)
        centre = ((TABLE + half) * x, (TABLE + half) * y, 0.05 - radius / 2)
        found.append(Body(f"cushion {name}", "box", size, "fixed", centre, grey=SCREEN_GREY, restitution=restitution))
    return tuple(found)


def play(
    p: Params, places: Sequence[Flat], velocities: Sequence[Flat], times: Sequence[float]
) -> tuple[list[list[Flat]], list[Hit]]:
    """Balls on the table in closed form, exact but for who is hit again while it still slides.

    places m and velocities m/s, of every ball. Returns the centres at each of ascending `times` s after that, and the
    hits until the last one.
    """
    where, moving, now = list(places), list(velocities), 0.0
    inner, reach = TABLE - p["radius"], 2 * p["radius"]
    found, hits = [], []
    for time in times:
        event: tuple[int, int] | None = (0, 0)
        while event is not None:
            first, event = time - now, None
            for a, velocity in enumerate(moving):
                for axis, speed in enumerate(velocity):
                    until = (math.copysign(inner, speed) - where[a][axis]) / speed if speed else math.inf
                    if until < first:
                        first, event = max(until, 0.0), (a, CUSHION - axis)
                for b in range(a):
                    until = meeting_time(where[b], moving[b], where[a], velocity, reach)
                    if until < first:
                        first, event = until, (a, b)
            where = [at(place, velocity, first) for place, velocity in zip(where, moving, strict=True)]
            now += first
            if event is not None:
                _impact(p, where, moving, *event)
                hits.append((now, *event))
        found.append(list(where))
    return found, hits


def _impact(p: Params, where: list[Flat], moving: list[Flat], a: int, other: int) -> None:
    """Ball `a` meets ball `other` or a cushion; new velocities and places replace the old ones."""
    before = moving[a]
    if other <= CUSHION:
        normal = (1.0, 0.0) if other == CUSHION else (0.0, 1.0)
        parted = {a: reflected(before, normal, p["cushions"])}
    else:
        after = rebound(where[a], before, 1.0, where[other], moving[other], 1.0, p["restitution"])
        parted = {a: after[0], other: after[1]}
    for k, velocity in parted.items():
        where[k], moving[k] = rolls_on(p, where[k], velocity, moving[k])


def rolls_on(p: Params, place: Flat, velocity: Flat, roll: Flat) -> tuple[Flat, Flat]:
    """Place m and velocity m/s from which a ball rolls in a straight line to where its slide takes it."""
    return at(place, slid(velocity, roll, p["friction"] * p["gravity"]), 1.0), rolled(velocity, roll)
