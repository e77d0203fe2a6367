"""Bodies that meet: head on, at a wall, in a row, on a table with cushions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from physbench.clips.clip import Split
from physbench.clips.task import (
    FREE_BORDER,
    HALF_WINDOW,
    MAX_DRAWS,
    RELEASE,
    Level,
    NothingAccepted,
    Parameter,
    Params,
    Task,
    declare,
    draw,
    hues,
    inside,
    numbered,
)
from physbench.laws.impacts import Flat, at, meeting_time, nearest, rebound, reflected, rolled, slid
from physbench.world.bodies import ball, floor, held, holder, table, turned_from_front, turned_from_top, wall
from physbench.world.scene import FLOOR_GREY, HORIZON, PALETTE, Body, Camera, Outcome, Scene, hue_name, sphere_mass

NUMBERS = ("one", "two", "three", "four")  # in the names of bodies
VIEW_AFTER_HIT = 0.8  # s for which both balls stay in full view after they met
MOVED_BY = 2.0  # s, when every ball is further than its diameter from where it was at the hand-over

WALL = (0.7, 0.1, 0.3)  # m, half extents of a wall: along it, through it, upwards
VIEW_AFTER_BOUNCE = 1.2  # s for which the ball stays in full view after its last bounce

Pair = tuple[Flat, Flat]


def gliding(name: str, p: Params, at_release: Flat, velocity: Flat) -> Body:
    """One of two balls, named a and b, on a frictionless table."""
    return ball(
        f"ball {name}",
        p[f"radius_{name}"],
        (*at_release, 0.0),
        p[f"hue_{name}"],
        velocity=(*velocity, 0.0),
        restitution=math.sqrt(p["restitution"]),
        friction=p["friction"],
        release=p["release"],
    )


class HeadOn(Task):
    """Two balls of different size meet, seen from straight above.

    What happens: two balls lie on a table, each in front of a grey block. The blocks vanish, both balls move towards
    each other on parallel lines and meet after the hand-over, nearly head-on. The larger one is faster and drives the
    smaller one back.

    Law: conservation of momentum and Newton's law of restitution along the line of centres (Newton 1687, Principia,
    corollary III to the laws of motion); motion on straight lines before and after. There is no gravity and no
    friction, the centres stay in one plane and the table is only drawn: on a real table balls of different size meet
    on a tilted normal and hop. No spin.

    {parameters}

    heading is the direction of ball a; offset is the distance of the two lines over the sum of the radii (0 is head-on,
    1 a miss); meeting is the time of contact and (meet_x, meet_y) the point of it. Mass is density x volume.

    Camera: from straight above, 5.12 m wide. Actions: none.
    Hand-over: both held until `release`, both moving at 0, contact in [0.2 s, 2.4 s], horizon 4 s. Both stay in full
    view for 0.8 s after the contact and may leave later.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    id = "collisions/head-on-v1"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "speed_b", "event": "meeting"}
    parameters = declare(
        restitution=Parameter.fixed(0.9, "", "of the two balls"),
        friction=Parameter.fixed(0.0, "", "of the two balls"),
        radius_a=Parameter("m", "visible", (0.40, 0.46), "of the smaller ball"),
        radius_b=Parameter("m", "visible", (0.54, 0.62), "of the larger ball", ood=(0.64, 0.68)),
        **hues("hue_a", "hue_b"),
        release=RELEASE,
        speed_a=Parameter("m/s", "visible", (0.7, 0.9), "of ball a"),
        speed_b=Parameter("m/s", "visible", (1.1, 1.5), "of ball b", ood=(1.55, 1.7)),
        heading=Parameter("rad", "visible", (-3.1416, 3.1416), "direction of ball a"),
        offset=Parameter("", "visible", (-0.25, 0.25), "distance of the lines over the sum of radii"),
        meeting=Parameter("s", "visible", (0.3, 1.0), "time of contact"),
        meet_x=Parameter("m", "visible", (-1.2, 1.2), "point of contact, to the right"),
        meet_y=Parameter("m", "visible", (-1.2, 1.2), "point of contact, upwards in the image"),
    )

    def accepts(self, p: Params) -> bool:
        """Different hues; both balls in the window from the release until a while after the contact; both well away
        from where they started by the middle of the horizon, so that a frozen picture is wrong about both."""
        if p["hue_a"] == p["hue_b"]:
            return False
        held_for = p["meeting"] - p["release"]
        for centre, v, w, name in zip(*head_on_motion(p), "ab", strict=True):
            r = p[f"radius_{name}"]
            moved = [p["meeting"] * v[axis] + (MOVED_BY - p["meeting"]) * w[axis] for axis in (0, 1)]
            if math.hypot(*moved) <= 2 * r + FREE_BORDER:
                return False
            if not (inside(at(centre, v, -held_for), r) and inside(at(centre, w, VIEW_AFTER_HIT), r)):
                return False
        return True

    def scene(self, p: Params) -> Scene:
        centres, before, _ = head_on_motion(p)
        balls: list[Body] = []
        blocks: list[Body] = []
        for name, centre, velocity, turn in zip("ab", centres, before, (0.0, math.pi), strict=True):
            balls.append(gliding(name, p, at(centre, velocity, p["release"] - p["meeting"]), velocity))
            blocks.append(held(balls[-1], f"holder {name}", speed=p[f"speed_{name}"], heading=p["heading"] + turn))
        return Scene(
            bodies=(*balls, table(), *blocks),
            camera=Camera("top", (0.0, 0.0, 0.0)),
            prompt=f"A small {hue_name(p['hue_a'])} ball and a large {hue_name(p['hue_b'])} ball glide towards each "
            "other on a frictionless table, collide and rebound. Static camera, seen from straight above.",
            caption=f"A small {hue_name(p['hue_a'])} exercise ball and a large {hue_name(p['hue_b'])} one glide "
            "towards each other over a smooth floor.",
        )


def head_on_motion(p: Params) -> tuple[Pair, Pair, Pair]:
    """Centres (a, b) at the contact m, velocities before and after it m/s, in the plane, in closed form."""
    ahead = (math.cos(p["heading"]), math.sin(p["heading"]))
    aside = (-ahead[1], ahead[0])
    along = math.sqrt(1 - p["offset"] ** 2)
    normal = (along * ahead[0] + p["offset"] * aside[0], along * ahead[1] + p["offset"] * aside[1])  # from a to b
    meet = (p["meet_x"], p["meet_y"])
    a = (meet[0] - p["radius_a"] * normal[0], meet[1] - p["radius_a"] * normal[1])
    b = (meet[0] + p["radius_b"] * normal[0], meet[1] + p["radius_b"] * normal[1])
    va = (p["speed_a"] * ahead[0], p["speed_a"] * ahead[1])
    vb = (-p["speed_b"] * ahead[0], -p["speed_b"] * ahead[1])
    masses = sphere_mass(p["radius_a"]), sphere_mass(p["radius_b"])
    return (a, b), (va, vb), rebound(a, va, masses[0], b, vb, masses[1], p["restitution"])


class WallBounce(Task):
    """A ball meets one or two fixed walls, seen from straight above.

    What happens: a ball lies on a table in front of a grey block, near one or two dark walls that stand at any angle.
    The block vanishes, the ball glides off, meets a wall after the hand-over and, where there are two, the other one.

    Law: Newton's law of restitution (Newton 1687, Principia, corollary VI to the laws of motion): a smooth wall with
    unit normal n turns v into v - (1 + e) (v . n) n. Straight lines before and after, in closed form
    x(t) = meet + v (t - meeting), then x(t) = meet + w (t - meeting), and so on at the next wall. There is no gravity,
    no friction and no spin; the table is only drawn.

    {parameters}

    (meet_x, meet_y) is the centre of the ball at the first bounce, `between` the time from there to the second one.
    Each wall has its middle where it is met; incidence is the angle from its normal to the ball's path there. Where
    there is one wall, `between` and incidence_2 play no part. Mass is density x volume and plays no part.

    Camera: from straight above, 5.12 m wide. Actions: none.
    Hand-over: held until `release`, moving at 0, first bounce in [0.2 s, 1 s], the last one before 2.4 s, horizon 4 s.
    The ball stays in full view for 1.2 s after the last bounce and may leave later. All walls are in full view.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    id = "collisions/wall-bounce-v1"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "walls", "event": "meeting"}
    parameters = declare(
        restitution=Parameter.fixed(0.9, "", "of ball and wall"),
        friction=Parameter.fixed(0.0, "", "of ball and wall"),
        walls=Parameter("", "visible", (1, 2), "number of walls", grid=1),
        radius=Parameter("m", "visible", (0.40, 0.48), "of the ball"),
        **hues("hue"),
        release=RELEASE,
        speed=Parameter("m/s", "visible", (1.2, 1.8), "of the ball at its release", ood=(1.9, 2.3)),
        heading=Parameter("rad", "visible", (-3.1416, 3.1416), "direction of the ball"),
        meeting=Parameter("s", "visible", (0.3, 1.0), "time of the first bounce"),
        meet_x=Parameter("m", "visible", (-1.9, 1.9), "centre of the ball then, to the right"),
        meet_y=Parameter("m", "visible", (-1.9, 1.9), "centre of the ball then, upwards in the image"),
        incidence_1=Parameter("rad", "visible", (-1.0, 1.0), "from the first wall's normal to the ball's way"),
        between=Parameter("s", "visible", (0.6, 1.4), "from the first to the second bounce"),
        incidence_2=Parameter("rad", "visible", (-1.0, 1.0), "from the second wall's normal to the ball's way"),
    )
    evenly = "walls"  # though two seldom fit

    def accepts(self, p: Params) -> bool:
        """In view from the release until a while after the last bounce, and clear of the walls that are not its turn;
        well away from where it started by the middle of the horizon."""
        corners, velocities, normals = bounce_path(p)
        last = [p["release"], p["meeting"], p["meeting"] + p["between"]][len(corners) - 1]
        end = at(corners[-1], velocities[-1], VIEW_AFTER_BOUNCE)
        if not all(inside(position, p["radius"]) for position in (*corners, end)):
            return False
        start = at(corners[1], velocities[0], -p["meeting"])
        moved = at(corners[-1], velocities[-1], MOVED_BY - last)
        if math.dist(start, moved) <= 2 * p["radius"] + FREE_BORDER:
            return False
        away = at(corners[-1], velocities[-1], HORIZON - last)
        from_block = at(corners[0], velocities[0], -0.2 / p["speed"])  # m that the block of a held ball needs
        return walls_fit([from_block, *corners[1:], away], normals, p["radius"])

    def scene(self, p: Params) -> Scene:
        corners, velocities, normals = bounce_path(p)
        body = held_ball(p, corners[0], velocities[0])
        walls = walls_at(corners[1:], normals, p["radius"])
        block = held(body, "holder", speed=p["speed"], heading=p["heading"])
        what = "a dark wall and rebounds" if len(walls) == 1 else "two dark walls, one after the other, and rebounds"
        return Scene(
            bodies=(body, table(), *walls, block),
            camera=Camera("top", (0.0, 0.0, 0.0)),
            prompt=f"A {hue_name(p['hue'])} ball glides on a frictionless table, meets {what}. Static camera, seen "
            "from straight above.",
            caption=f"A {hue_name(p['hue'])} exercise ball glides over a smooth floor towards "
            f"{'a dark wall' if len(walls) == 1 else 'one of two dark walls'}.",
        )


def held_ball(p: Params, at_release: Flat, velocity: Flat) -> Body:
    """The ball that meets the walls."""
    return ball(
        "ball",
        p["radius"],
        (*at_release, 0.0),
        p["hue"],
        velocity=(*velocity, 0.0),
        restitution=p["restitution"],
        friction=p["friction"],
        release=p["release"],
    )


def bounce_path(p: Params) -> tuple[list[Flat], list[Flat], list[Flat]]:
    """Positions of the ball at its release and at every bounce m, its velocity from there on m/s, and the unit normals
    of the walls, into them."""
    velocity = (p["speed"] * math.cos(p["heading"]), p["speed"] * math.sin(p["heading"]))
    meet = (p["meet_x"], p["meet_y"])
    corners, velocities, normals = [at(meet, velocity, p["release"] - p["meeting"]), meet], [velocity], []
    for k in range(1, int(p["walls"]) + 1):
        if k > 1:
            corners.append(at(corners[-1], velocities[-1], p["between"]))
        vx, vy = velocities[-1]
        angle = math.atan2(vy, vx) + p[f"incidence_{k}"]
        normals.append((math.cos(angle), math.sin(angle)))
        velocities.append(reflected((vx, vy), normals[-1], p["restitution"]))
    return corners, velocities, normals


def walls_at(bounces: list[Flat], normals: list[Flat], radius: float) -> list[Body]:
    """The walls that a ball meets when its centre is at `bounces`, m."""
    walls = []
    for number, position, normal in zip(NUMBERS, bounces, normals, strict=False):
        middle = at(position, normal, radius + WALL[1])
        turned = turned_from_top(math.atan2(normal[1], normal[0]) - math.pi / 2)
        walls.append(wall(f"wall {number}", WALL, (*middle, 0.05 - WALL[2]), turned))
    return walls


def walls_fit(corners: list[Flat], normals: list[Flat], radius: float) -> bool:
    """True if all walls are in the window and each is met in its turn only. corners: m, of the path of the ball."""
    legs = list(itertools.pairwise(corners))
    for k, normal in enumerate(normals):
        face, back = (at(corners[k + 1], normal, radius + depth) for depth in (0.0, 2 * WALL[1]))
        if max(abs(back[0]) + WALL[0] * abs(normal[1]), abs(back[1]) + WALL[0] * abs(normal[0])) > HALF_WINDOW:
            return False
        for number, leg in enumerate(legs):
            # m, so that it does not meet it now
            if number not in (k, k + 1) and not clear(leg, face, normal, radius + 0.1):
                return False
    return True


def clear(leg: tuple[Flat, Flat], face: Flat, normal: Flat, room: float) -> bool:
    """True if a path from point to point stays `room` m away from a wall that begins at `face` and lies along `normal`.

    Looks at points less than 0.1 m apart."""
    (ax, ay), (bx, by) = leg
    count = int(math.dist(*leg) / 0.1) + 1
    for k in range(count + 1):
        x, y = ax + (bx - ax) * k / count - face[0], ay + (by - ay) * k / count - face[1]
        deep = x * normal[0] + y * normal[1] - WALL[1]
        aside = y * normal[0] - x * normal[1]
        if math.hypot(max(abs(deep) - WALL[1], 0.0), max(abs(aside) - WALL[0], 0.0)) < room:
            return False
    return True


# A ball that meets a row of balls at rest.

VIEW_AFTER_ROW, VIEW_UNTIL = 0.6, 1.1  # s for which the last ball stays in full view after its hit; at least until then


class BallRow(Task):
    """A ball meets a row of equal balls at rest: the last one goes off, seen from straight above.

    What happens: two or three balls rest in a row on a table, a little apart, and another one lies before them in front
    of a grey block. The block vanishes, the ball glides along the row's line and hits the first one, which hits the
    next. The last one moves off; the others all but stand still.

    Law: momentum and Newton's law of restitution (Huygens 1703, De motu corporum ex percussione; Newton 1687,
    Principia, corollary III): between equal balls a hit gives (1 + e) / 2 of the speed to the next one and leaves
    (1 - e) / 2, so that the last of n balls gets ((1 + e) / 2)^n. There is no gravity, no friction and no spin; the
    table is only drawn.

    {parameters}

    (meet_x, meet_y) is the point of the first contact, gap the distance of the surfaces of two balls of the row. Ball k
    of 0, 1, ... has the hue hue + k hue_step modulo 5. Mass is density x volume, the same for all.

    Camera: from straight above, 5.12 m wide. Actions: none.
    Hand-over: held until `release`, gliding at 0, first contact in [0.25 s, 1 s], horizon 4 s. All balls are in full
    view until 0.6 s after the last hit and for 1.1 s; the last one may leave later.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    core = False

    id = "collisions/row-v1"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "row", "event": "meeting"}
    parameters = declare(
        restitution=Parameter.fixed(0.9, "", "of two balls"),
        friction=Parameter.fixed(0.0, "", "of two balls"),
        row=Parameter("", "visible", (2, 3), "balls at rest", grid=1),
        radius=Parameter("m", "visible", (0.40, 0.43), "of every ball"),
        hue=Parameter("", "visible", (0, 4), "index into the palette, of the ball that moves", grid=1),
        hue_step=Parameter("", "visible", (1, 4), "from ball to ball, modulo 5", grid=1),
        release=RELEASE,
        speed=Parameter("m/s", "visible", (0.9, 1.5), "of the ball that moves", ood=(1.6, 2.0)),
        heading=Parameter("rad", "visible", (-3.1416, 3.1416), "of the row, and of the ball that moves"),
        meeting=Parameter("s", "visible", (0.25, 1.0), "time of the first contact"),
        meet_x=Parameter("m", "visible", (-1.6, 1.6), "point of the first contact, to the right"),
        meet_y=Parameter("m", "visible", (-1.6, 1.6), "point of the first contact, upwards in the image"),
        gap=Parameter("m", "visible", (0.06, 0.16), "between two balls of the row"),
    )
    evenly = "row"  # though three balls seldom fit

    def accepts(self, p: Params) -> bool:
        """In view from the release until a while after the last hit."""
        centres, hits, speeds = row_motion(p)
        ahead = (math.cos(p["heading"]), math.sin(p["heading"]))
        first = at(centres[0], ahead, -p["speed"] * (p["meeting"] - p["release"]))
        last = at(centres[-1], ahead, speeds[-1] * max(VIEW_AFTER_ROW, VIEW_UNTIL - hits[-1]))
        return inside(first, p["radius"]) and inside(last, p["radius"]) and hits[-1] <= 0.6 * HORIZON

    def scene(self, p: Params) -> Scene:
        ahead = (math.cos(p["heading"]), math.sin(p["heading"]))
        centres, _, _ = row_motion(p)
        start = at(centres[0], ahead, -p["speed"] * (p["meeting"] - p["release"]))
        balls = []
        for number, k, centre in zip(NUMBERS, itertools.count(), (start, *centres[1:]), strict=False):
            moves = k == 0
            balls.append(
                ball(
                    f"ball {number}",
                    p["radius"],
                    (*centre, 0.0),
                    (int(p["hue"]) + k * int(p["hue_step"])) % len(PALETTE),
                    velocity=(p["speed"] * ahead[0], p["speed"] * ahead[1], 0.0) if moves else (0.0, 0.0, 0.0),
                    restitution=math.sqrt(p["restitution"]),
                    friction=p["friction"],
                    release=p["release"] if moves else None,
                )
            )
        block = held(balls[0], "holder", speed=p["speed"], heading=p["heading"])
        row = " and ".join(f"a {hue_name(each.hue or 0)} one" for each in balls[1:])
        return Scene(
            bodies=(*balls, table(), block),
            camera=Camera("top", (0.0, 0.0, 0.0)),
            prompt=f"A {hue_name(p['hue'])} ball glides on a frictionless table towards a row of balls at rest, {row}, "
            "and hits the first. The last one moves off. Static camera, seen from straight above.",
            caption=f"A {hue_name(p['hue'])} exercise ball glides over a smooth floor towards a row of balls at rest, "
            f"{row}.",
        )


def row_motion(p: Params) -> tuple[list[Flat], list[float], list[float]]:
    """Motion of the balls in closed form, that of the one that moves first.

    Returns:
        Centres in m when each is hit, and of the first one when it hits; times s of the hits; speeds m/s with which
        each ball but the first goes off after its hit, before it hits the next.
    """
    ahead, step = (math.cos(p["heading"]), math.sin(p["heading"])), 2 * p["radius"] + p["gap"]
    meet = (p["meet_x"], p["meet_y"])
    count, share = int(p["row"]), (1 + p["restitution"]) / 2
    centres = [at(meet, ahead, -p["radius"]), *(at(meet, ahead, p["radius"] + k * step) for k in range(count))]
    speeds = [p["speed"] * share ** (k + 1) for k in range(count)]
    hits = list(itertools.accumulate((p["gap"] / speed for speed in speeds[:-1]), initial=p["meeting"]))
    return centres, hits, speeds


# Blocks in a row, of which the first one falls.


@dataclass(frozen=True)
class DominoRow:
    """Blocks in a row, of which the first one falls."""

    depth: float = 0.5  # m, half of the blocks' extent across the plane of motion
    topples: float = 0.7  # gap over height, up to which a block topples the next
    misses: float = 1.1  # the same, from which on it misses
    leans_by: float = 0.06  # rad by which the first block leans further than it could stand, at least
    swings_by: float = 0.1  # m between the upper edge of the leaning block and the next one, at least
    prop: float = 0.3  # m from the edge on which the first block stands to the prop on which it leans
    last: int = 4  # blocks in a row, at most
    centre: float = 1.6  # m, height of the middle of the window above the floor


DOMINOES = DominoRow()


class Domino(Task):
    """The first of a row of blocks falls: which others does it take along, and when does each fall?

    What happens: three or four equal blocks stand in a row on the floor, and the first one leans towards the others on
    a grey prop. At the hand-over the prop vanishes, the block falls against the next one, and so on. In half of the
    rows a gap after the second or third block is wider than a block is high: the blocks beyond it stay.

    Law: a block that turns about its lower edge reaches as far as it is high, so that the next one falls exactly if the
    gap is less; the angle a of the first from the vertical obeys a'' = (m g r / I) sin(a - b), with r the distance of
    its middle from the edge, tan b = width / height and I = 4/3 m r^2, until it hits (Euler 1765, Theoria motus). Gaps
    are at most 0.7 or at least 1.1 heights, so that the answer can be known. The hits of blocks that slide on one
    another have no closed form: those are simulated.

    {parameters}

    A gap is from face to face; that after the last block that falls is `wide`, and what is declared of blocks that are
    not there plays no part. Mass is density x volume and plays no part.

    Camera: from the front, 5.12 m wide, the floor in its lower part. Actions: none.
    Hand-over: at rest until 0, when the prop vanishes; horizon 4 s, of which the last are at rest. All stays in view.
    Outcomes: does each block but the first fall; when does each that falls; does anything hang in the air.
    May be hidden: nothing.

    Version history: v1, first release.
    """

    core = False

    id = "collisions/domino-v1"
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "falling"}
    static_history = True
    parameters = declare(
        gravity=Parameter.fixed(9.81, "m/s2", "downwards"),
        restitution=Parameter.fixed(0.0, "", "of blocks and floor"),
        friction=Parameter.fixed(0.6, "", "of blocks and floor; of two blocks it is 0.1"),
        blocks=Parameter("", "visible", (3, DOMINOES.last), "how many", grid=1),
        width=Parameter("m", "visible", (0.2, 0.22), "half width of a block"),
        height=Parameter("m", "visible", (0.63, 0.68), "half height of a block", ood=(0.7, 0.74)),
        **hues(*(f"hue_{i}" for i in range(1, DOMINOES.last + 1))),
        side=Parameter("", "visible", (1, 1), "1: they fall to the right, -1: to the left", signed=True),
        angle=Parameter("rad", "visible", (0.38, 0.46), "by which the first block leans"),
        gap_1=Parameter("m", "visible", (0.76, 0.9), "after the first block"),
        **numbered((2, 3), gap=Parameter("m", "visible", (0.35, 0.8), "after the {nth} block")),
        falling=Parameter("", "visible", (2, DOMINOES.last), "how many fall", grid=1),
        wide=Parameter("m", "visible", (1.45, 1.75), "after the last of these, where a block stays"),
    )

    def sample(self, rng: np.random.Generator, split: Split) -> Params:
        stops = bool(rng.random() < 0.5)  # first: both are as frequent
        return draw(self.parameters, rng, split, lambda p: (p["falling"] < p["blocks"]) == stops and self.accepts(p))

    def accepts(self, p: Params) -> bool:
        """Different hues; the first block falls and is clear of the second; gaps are decided; all in view."""
        if p["falling"] > p["blocks"]:
            return False
        tall, gaps = 2 * p["height"], domino_gaps(p)
        others = [gap for k, gap in enumerate(gaps, start=1) if k != p["falling"]]
        near, far = domino_reach(p)
        return (
            len({p[f"hue_{i}"] for i in range(1, DOMINOES.last + 1)}) == DOMINOES.last
            and p["angle"] >= math.atan(p["width"] / p["height"]) + DOMINOES.leans_by
            and gaps[0] >= tall * math.sin(p["angle"]) + DOMINOES.swings_by
            and all(gap <= DOMINOES.topples * tall for gap in others)
            and p["wide"] >= DOMINOES.misses * tall
            and far - near <= 2 * (HALF_WINDOW - FREE_BORDER)
        )

    def scene(self, p: Params) -> Scene:
        side, friction = p["side"], math.sqrt(p["friction"] / 6)
        near, far = domino_reach(p)
        edges = [side * (edge - (near + far) / 2) for edge in domino_edges(p)]  # lower ones, on the side of the fall
        blocks = [domino_block(p, i, edge, friction) for i, edge in enumerate(edges, start=1)]
        tall = (DOMINOES.prop - 0.05) / math.tan(p["angle"])
        prop = holder("prop", (0.05, 0.2, tall / 2), (edges[0] + side * DOMINOES.prop, 0.0, tall / 2), 0.0)
        names = ", ".join(hue_name(p[f"hue_{i}"]) for i in range(1, len(blocks) + 1))
        return Scene(
            bodies=(*blocks, floor(friction=p["friction"] / friction), prop),
            camera=Camera("front", (0.0, 0.0, DOMINOES.centre)),
            gravity=(0.0, 0.0, -p["gravity"]),
            prompt=f"Blocks stand in a row on a flat floor, from one that leans on a grey prop on: {names}. The prop "
            "vanishes, the leaning block falls, and each block that is hit falls against the next. Static camera, seen "
            "from the side.",
            caption=f"Foam blocks stand in a row on the floor: {names}. The {hue_name(p['hue_1'])} one leans. The "
            "grey prop that held it has just been drawn back.",
            outcomes=(
                *(Outcome("falls", block.name) for block in blocks[1:]),
                *(Outcome("falls when", block.name) for block in blocks),
                Outcome("hangs", None),
            ),
        )


def domino_block(p: Params, number: int, edge: float, friction: float) -> Body:
    """A block whose lower edge on the side of the fall is at `edge` m; the first one leans."""
    side, lean = p["side"], p["angle"] if number == 1 else 0.0
    x, z = -p["width"] * math.cos(lean) + p["height"] * math.sin(lean), p["width"] * math.sin(lean)
    return Body(
        f"block {number}",
        "box",
        (p["width"], DOMINOES.depth, p["height"]),
        "moving",
        (edge + side * x, 0.0, z + p["height"] * math.cos(lean)),
        turned_from_front(-side * lean),
        hue=int(p[f"hue_{number}"]),
        restitution=p["restitution"],
        friction=friction,
        flat=True,
        release=0.0,
    )


def domino_gaps(p: Params) -> list[float]:
    """Gaps between the blocks that are there, m."""
    return [p["wide"] if k == p["falling"] else p[f"gap_{k}"] for k in range(1, int(p["blocks"]))]


def domino_edges(p: Params) -> list[float]:
    """Lower edges of the blocks on the side to which they fall, m from that of the first block."""
    return list(itertools.accumulate((gap + 2 * p["width"] for gap in domino_gaps(p)), initial=0.0))


def domino_reach(p: Params) -> tuple[float, float]:
    """Ends of the row before and after the fall, m from the lower edge of the first block.

    A block that stands reaches as far as the disc of its silhouette's area, which is wider.
    """
    edges, radius = domino_edges(p), 2 * math.sqrt(p["width"] * p["height"] / math.pi)
    return -2 * p["width"], max(edges[-1] - p["width"] + radius, edges[int(p["falling"]) - 1] + 2 * p["height"])


# Balls that roll, hit each other and rebound from cushions.


@dataclass(frozen=True)
class BilliardTable:
    """The table, and rolls on it that a clip may show."""

    half: float = 2.36  # m, from the middle of the table to its cushions
    friction: float = 0.05  # two balls have next to none; a ball and the table have what the task says
    first_hit: float = 0.25  # s; nothing is hit before
    clearance: float = 0.2  # m between the surfaces of two balls until then, and of a held ball and a cushion
    gone_by: float = 1.6  # s, when every ball has been further than its diameter from where it was at the hand-over
    tries: int = 20  # draws of one more ball before all are drawn anew


BILLIARDS = BilliardTable()


@dataclass(frozen=True)
class Chaos:
    """Divergence of two rolls that begin nearly alike."""

    perturbation: float = 0.01  # m/s; a change of all velocities by this much
    max_deviation: float = 0.25  # m; moves no ball by more than this
    by: float = 2.6  # s, until then


CHAOS = Chaos()


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
    levels: ClassVar[Mapping[str, Level]] = {"difficulty": "balls", "event": "meeting"}
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
    last: tuple[str, ...] = ()  # parameters that are drawn when all balls lie

    def sample(self, rng: np.random.Generator, split: Split) -> Params:
        """Draw the cue ball and what it hits first, then the others one by one: all at once they would rarely fit."""
        return draw_in_turn(self.parameters, rng, split, self.accepts, self.last)

    def accepts(self, p: Params) -> bool:
        """Nothing is hit before `first_hit`, every ball gets away from where it was, small changes stay small."""
        return fits(p) and self.plays(p)

    def plays(self, p: Params) -> bool:
        """Every ball gets away from where it was, and a small change of the velocities stays small."""
        positions, velocities = start(p)
        paths, _ = play(p, positions, velocities, [BILLIARDS.gone_by / 4 * k for k in range(1, 5)])
        return gone(p, positions, paths) and steady(p, positions, velocities)

    def scene(self, p: Params) -> Scene:
        hues = [(int(p["hue"]) + k * int(p["hue_step"])) % len(PALETTE) for k in range(int(p["balls"]))]
        balls, blocks = held_balls(p, hues)
        others = " and ".join(f"a {hue_name(hue)} one" for hue in hues[1:])
        return Scene(
            bodies=(*balls, cloth(p), *cushions(p), *blocks),
            camera=Camera("top", (0.0, 0.0, 0.0)),
            gravity=(0.0, 0.0, -p["gravity"]),
            prompt=f"A {hue_name(hues[0])} ball and {others} roll on a table, hit each other and rebound from the "
            "cushions. Static camera, seen from straight above.",
            caption=f"A {hue_name(hues[0])} exercise ball and {others} roll over a floor between four cushions.",
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
            for _ in range(BILLIARDS.tries):
                if fits({**p, "balls": float(k)}):
                    break
                p |= {name: parameters[name].draw(rng, split) for name in p if name.endswith(f"_{k}")}
        for _ in range(BILLIARDS.tries if last else 1):
            if accepts(p):
                return p
            p |= {name: parameters[name].draw(rng, split) for name in last}
    raise NothingAccepted(f"`accepts` refused {MAX_DRAWS:,} draws of the split {split}. {NothingAccepted.remedy}")


def fits(p: Params) -> bool:
    """All balls have room from their release to `first_hit`."""
    radius, since = p["radius"], p["release"]
    positions, velocities = start(p)
    for k, (position, velocity) in enumerate(zip(positions, velocities, strict=True)):
        for time, room in ((since, BILLIARDS.clearance), (BILLIARDS.first_hit, 0.0)):
            if max(map(abs, at(position, velocity, time))) > BILLIARDS.half - radius - room:
                return False
        for other in range(k):
            distance = nearest(positions[other], velocities[other], position, velocity, since, BILLIARDS.first_hit)
            if distance < 2 * radius + (0.0 if (other, k) == (0, 1) else BILLIARDS.clearance):
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
    """True if every ball gets a diameter away from its position at some time of the paths (times, balls)."""
    away = [max(math.dist(position, centres[k]) for centres in paths) for k, position in enumerate(positions)]
    return min(away) > 2 * p["radius"] + BILLIARDS.clearance


def steady(p: Params, positions: Sequence[Flat], velocities: Sequence[Flat]) -> bool:
    """True if a small change of the velocities stays small."""
    perturbed = [
        (vx + CHAOS.perturbation * (-1) ** k, vy + CHAOS.perturbation * (-1) ** (k // 2))
        for k, (vx, vy) in enumerate(velocities)
    ]
    ends = [play(p, positions, each, [CHAOS.by])[0][0] for each in (velocities, perturbed)]
    return max(map(math.dist, *ends)) <= CHAOS.max_deviation


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
                friction=BILLIARDS.friction,
                release=p["release"],
            )
        )
        blocks.append(held(balls[-1], f"holder {number}"))
    return balls, blocks


def cloth(p: Params) -> Body:
    """The table on which the balls roll."""
    friction, position = p["friction"] / BILLIARDS.friction, (0.0, 0.0, -p["radius"])
    return Body("table", "plane", (), "fixed", position, grey=FLOOR_GREY, restitution=0.0, friction=friction)


def cushions(p: Params) -> tuple[Body, ...]:
    """Four walls round the table; their tops stand a little above the centres of the balls that they stop."""
    radius, restitution = p["radius"], p["cushions"] / math.sqrt(p["restitution"])
    half = (HALF_WINDOW - BILLIARDS.half) / 2
    walls = []
    for name, (x, y) in zip(("right", "top", "left", "bottom"), ((1, 0), (0, 1), (-1, 0), (0, -1)), strict=True):
        size = (half, HALF_WINDOW, radius / 2 + 0.05) if x else (BILLIARDS.half, half, radius / 2 + 0.05)
        centre = ((BILLIARDS.half + half) * x, (BILLIARDS.half + half) * y, 0.05 - radius / 2)
        walls.append(wall(f"cushion {name}", size, centre, restitution=restitution))
    return tuple(walls)


def play(
    p: Params, positions: Sequence[Flat], velocities: Sequence[Flat], times: Sequence[float]
) -> tuple[list[list[Flat]], list[Hit]]:
    """Motion of the balls in closed form, exact except for a ball that is hit again while it still slides.

    Args:
        p: Parameters of the task.
        positions: m, of the centres of all balls.
        velocities: m/s, of all balls.
        times: s from then on, ascending.

    Returns centres in m at each time, and the hits until the last one.
    """
    where, moving, now = list(positions), list(velocities), 0.0
    inner, reach = BILLIARDS.half - p["radius"], 2 * p["radius"]
    places, hits = [], []
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
        places.append(list(where))
    return places, hits


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
