"""Balls that roll, hit each other and rebound from cushions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from physbench.clips.clip import Split
from physbench.clips.task import MAX_DRAWS, NothingAccepted, Parameter, Params, Task, declare, draw
from physbench.clips.task_helpers import HALF_WINDOW, RELEASE, numbered
from physbench.dynamics.impacts import Flat, at, meeting_time, nearest, rebound, reflected, rolled, slid
from physbench.tasks.collisions import NUMBERS
from physbench.world.bodies import ball, held, wall
from physbench.world.scene import FLOOR_GREY, PALETTE, Body, Camera, Scene, hue_name

TABLE_HALF = 2.36  # m, from the middle of the table to its cushions
BALL_FRICTION = 0.05  # two balls have next to none; a ball and the table have what the task says
FIRST_HIT = 0.25  # s; nothing is hit before
BALL_CLEARANCE = 0.2  # m between the surfaces of two balls until then, and of a held ball and a cushion
GONE_BY = 1.6  # s, when every ball has been further than its diameter from where it was at the hand-over
BALL_TRIES = 20  # draws of one more ball before all are drawn anew
PERTURBATION = 0.01  # m/s; a change of all velocities by this much
MAX_DEVIATION = 0.25  # m; moves no ball by more than this within DEVIATION_BY
DEVIATION_BY = 2.6  # s

CUSHION = -1  # in place of a ball's number: a cushion met along x; CUSHION - 1: along y

Balls = tuple[list[Flat], list[Flat]]  # centres m, velocities m/s
Hit = tuple[float, int, int]  # s, number of a ball, of the other ball or cushion


class Billiards(Task):
    """Two to four balls roll on a table with cushions, seen from straight above.

    What happens: balls of one size lie on a table, each in front of a grey block. The blocks vanish and all balls roll
    off, one of them (the cue ball) faster; it hits another one after the hand-over. Balls hit balls and cushions until
    the end.

    Law: momentum and Newton's law of restitution along the line of centres (Newton 1687, Principia, corollary III);
    balls are smooth to each other and to the cushions, so that an impact leaves their spin. Friction of the table then
    brings each back to rolling, v = omega r, with 5/7 of its velocity after the impact and 2/7 of that before it
    (Coriolis 1835, Theorie mathematique des effets du jeu de billard): straight lines, but for the hundredths of a
    second in which it slides. Nothing brakes a rolling ball.

    {parameters}

    (meet_x, meet_y) is the point where the cue ball touches the first other one at `meeting`, and cut the angle from
    its path to the line of centres there, unless a third ball comes between. Ball k of 0, 1, ... has the hue
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
        **numbered(
            (3, 4),
            x=Parameter("m", "visible", (-1.8, 1.8), "of the {nth} ball at 0, to the right"),
            y=Parameter("m", "visible", (-1.8, 1.8), "of the {nth} ball at 0, upwards"),
            speed=Parameter("m/s", "visible", (0.6, 1.1), "of the {nth} ball"),
            heading=Parameter("rad", "visible", (-3.1416, 3.1416), "direction of the {nth} ball"),
        ),
    )
    horizon = 4.0  # s
    last: tuple[str, ...] = ()  # parameters that are drawn when all balls lie

    def sample(self, rng: np.random.Generator, split: Split) -> Params:
        """Draw the cue ball and what it hits first, then the others one by one: all at once they would rarely fit."""
        return draw_in_turn(self.parameters, rng, split, self.accepts, self.last)

    def accepts(self, p: Params) -> bool:
        """Nothing is hit before FIRST_HIT, every ball gets away from where it was, small changes stay small."""
        return fits(p) and self.plays(p)

    def plays(self, p: Params) -> bool:
        """Every ball gets away from where it was, and a small change of the velocities stays small."""
        positions, velocities = start(p)
        paths, _ = play(p, positions, velocities, [GONE_BY / 4 * k for k in range(1, 5)])
        return gone(p, positions, paths) and steady(p, positions, velocities)

    def scene(self, params: Params) -> Scene:
        p = params
        hues = [(int(p["hue"]) + k * int(p["hue_step"])) % len(PALETTE) for k in range(int(p["balls"]))]
        balls, blocks = held_balls(p, hues)
        others = " and ".join(f"a {hue_name(hue)} one" for hue in hues[1:])
        return Scene(
            bodies=(*balls, cloth(p), *cushions(p), *blocks),
            camera=Camera("top", (0.0, 0.0, 0.0)),
            gravity=(0.0, 0.0, -p["gravity"]),
            horizon=self.horizon,
            prompt=f"A {hue_name(hues[0])} ball and {others} roll on a table, hit each other and rebound from the "
            "cushions. Static camera, seen from straight above.",
        )


def draw_in_turn(
    parameters: Mapping[str, Parameter],
    rng: np.random.Generator,
    split: Split,
    accepts: Callable[[Params], bool],
    last: Sequence[str],
) -> Params:
    """Draw the first two balls, then the others one by one, then the parameters named in `last`."""
    balls = parameters["balls"].draw(rng, split)
    for _ in range(MAX_DRAWS):
        p = {**draw(parameters, rng, split, lambda p: fits({**p, "balls": 2.0})), "balls": balls}
        for k in range(3, int(balls) + 1):
            for _ in range(BALL_TRIES):
                if fits({**p, "balls": float(k)}):
                    break
                p |= {name: parameters[name].draw(rng, split) for name in p if name.endswith(f"_{k}")}
        for _ in range(BALL_TRIES if last else 1):
            if accepts(p):
                return p
            p |= {name: parameters[name].draw(rng, split) for name in last}
    raise NothingAccepted(f"`accepts` refused {MAX_DRAWS:,} draws of the split {split}. {NothingAccepted.remedy}")


def fits(p: Params) -> bool:
    """All balls have room from their release to FIRST_HIT."""
    radius, since = p["radius"], p["release"]
    positions, velocities = start(p)
    for k, (position, velocity) in enumerate(zip(positions, velocities, strict=True)):
        for time, room in ((since, BALL_CLEARANCE), (FIRST_HIT, 0.0)):
            if max(map(abs, at(position, velocity, time))) > TABLE_HALF - radius - room:
                return False
        for other in range(k):
            distance = nearest(positions[other], velocities[other], position, velocity, since, FIRST_HIT)
            if distance < 2 * radius + (0.0 if (other, k) == (0, 1) else BALL_CLEARANCE):
                return False
    return True


def start(p: Params) -> Balls:
    """Centres at the hand-over and velocities up to the first hit, cue ball first."""
    cue = (p["speed"] * math.cos(p["heading"]), p["speed"] * math.sin(p["heading"]))
    hit = (p["speed_2"] * math.cos(p["heading_2"]), p["speed_2"] * math.sin(p["heading_2"]))
    normal = p["heading"] + p["cut"]
    along = (p["radius"] * math.cos(normal), p["radius"] * math.sin(normal))
    positions = [
        at((p["meet_x"] - along[0], p["meet_y"] - along[1]), cue, -p["meeting"]),
        at((p["meet_x"] + along[0], p["meet_y"] + along[1]), hit, -p["meeting"]),
    ]
    velocities = [cue, hit]
    for k in range(3, int(p["balls"]) + 1):
        speed, heading = p[f"speed_{k}"], p[f"heading_{k}"]
        positions.append((p[f"x_{k}"], p[f"y_{k}"]))
        velocities.append((speed * math.cos(heading), speed * math.sin(heading)))
    return positions, velocities


def gone(p: Params, positions: Sequence[Flat], paths: Sequence[Sequence[Flat]]) -> bool:
    """Whether every ball gets a diameter away from its position at some time of the paths (times, balls)."""
    away = [max(math.dist(position, centres[k]) for centres in paths) for k, position in enumerate(positions)]
    return min(away) > 2 * p["radius"] + BALL_CLEARANCE


def steady(p: Params, positions: Sequence[Flat], velocities: Sequence[Flat]) -> bool:
    """Whether a small change of the velocities stays small."""
    perturbed = [
        (vx + PERTURBATION * (-1) ** k, vy + PERTURBATION * (-1) ** (k // 2)) for k, (vx, vy) in enumerate(velocities)
    ]
    ends = [play(p, positions, each, [DEVIATION_BY])[0][0] for each in (velocities, perturbed)]
    return max(map(math.dist, *ends)) <= MAX_DEVIATION


def held_balls(p: Params, hues: Sequence[int]) -> tuple[list[Body], list[Body]]:
    """The balls at their release, cue ball first, and their holders."""
    radius, restitution = p["radius"], math.sqrt(p["restitution"])
    positions, velocities = start(p)
    balls: list[Body] = []
    blocks: list[Body] = []
    for number, hue, position, (vx, vy) in zip(NUMBERS, hues, positions, velocities, strict=False):
        balls.append(
            ball(
                f"ball {number}",
                radius,
                (*at(position, (vx, vy), p["release"]), 0.0),
                hue,
                velocity=(vx, vy, 0.0),
                spin=(-vy / radius, vx / radius, 0.0),
                restitution=restitution,
                friction=BALL_FRICTION,
                release=p["release"],
            )
        )
        blocks.append(held(balls[-1], f"holder {number}"))
    return balls, blocks


def cloth(p: Params) -> Body:
    """The table on which the balls roll."""
    friction, position = p["friction"] / BALL_FRICTION, (0.0, 0.0, -p["radius"])
    return Body("table", "plane", (), "fixed", position, grey=FLOOR_GREY, restitution=0.0, friction=friction)


def cushions(p: Params) -> tuple[Body, ...]:
    """Four walls round the table; their tops stand a little above the centres of the balls that they stop."""
    radius, restitution = p["radius"], p["cushions"] / math.sqrt(p["restitution"])
    half = (HALF_WINDOW - TABLE_HALF) / 2
    found = []
    for name, (x, y) in zip(("right", "top", "left", "bottom"), ((1, 0), (0, 1), (-1, 0), (0, -1)), strict=True):
        size = (half, HALF_WINDOW, radius / 2 + 0.05) if x else (TABLE_HALF, half, radius / 2 + 0.05)
        centre = ((TABLE_HALF + half) * x, (TABLE_HALF + half) * y, 0.05 - radius / 2)
        found.append(wall(f"cushion {name}", size, centre, restitution=restitution))
    return tuple(found)


def play(
    p: Params, positions: Sequence[Flat], velocities: Sequence[Flat], times: Sequence[float]
) -> tuple[list[list[Flat]], list[Hit]]:
    """Motion of the balls in closed form, exact except for a ball that is hit again while it still slides.

    Args:
        p: Parameters of the task.
        positions: m, of the centres of all balls.
        velocities: m/s, of all balls.
        times: s from then on, ascending.

    Returns:
        Centres in m at each time, and the hits until the last one.
    """
    where, moving, now = list(positions), list(velocities), 0.0
    inner, reach = TABLE_HALF - p["radius"], 2 * p["radius"]
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
            where = [at(position, velocity, first) for position, velocity in zip(where, moving, strict=True)]
            now += first
            if event is not None:
                _impact(p, where, moving, *event)
                hits.append((now, *event))
        found.append(list(where))
    return found, hits


def _impact(p: Params, where: list[Flat], moving: list[Flat], a: int, other: int) -> None:
    """Ball `a` meets ball `other` or a cushion; new velocities and positions replace the old ones."""
    before = moving[a]
    if other <= CUSHION:
        normal = (1.0, 0.0) if other == CUSHION else (0.0, 1.0)
        parted = {a: reflected(before, normal, p["cushions"])}
    else:
        after = rebound(where[a], before, 1.0, where[other], moving[other], 1.0, p["restitution"])
        parted = {a: after[0], other: after[1]}
    for k, velocity in parted.items():
        where[k], moving[k] = rolls_on(p, where[k], velocity, moving[k])


def rolls_on(p: Params, position: Flat, velocity: Flat, roll: Flat) -> tuple[Flat, Flat]:
    """Place m and velocity m/s from which a ball rolls in a straight line to where its slide takes it."""
    return at(position, slid(velocity, roll, p["friction"] * p["gravity"]), 1.0), rolled(velocity, roll)
